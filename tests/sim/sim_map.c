/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_map.h"
#include <string.h>
#include "sim_world.h"

static uint64_t bit(unsigned member)
{
	return UINT64_C(1) << member;
}

static unsigned nth(uint64_t members, unsigned n)
{
	while (n--)
		members &= members - 1;
	return (unsigned)__builtin_ctzll(members);
}

/* In packet worlds whole steering slots move, so that both tables move alike. */
static unsigned unit_of(const struct sim_world *world)
{
	return world->settings.packets ? SHOAL_SLOTS_PER_STEERING : 1;
}

void sim_map_shuffle(struct sim_world *world, uint64_t members, uint8_t *owner)
{
	unsigned count = (unsigned)__builtin_popcountll(members), unit = unit_of(world);

	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot += unit)
		memset(owner + slot, (int)nth(members, (unsigned)sim_random_below(&world->random, count)), unit);
}

void sim_map_balance(struct sim_world *world, uint64_t members, uint8_t *owner)
{
	unsigned count = (unsigned)__builtin_popcountll(members), have[SHOAL_MEMBERS_MAX] = { 0 },
		 unit = unit_of(world);
	unsigned share = (SHOAL_SLOTS / unit + count - 1) / count;
	uint64_t wanting = members;

	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot += unit)
		if (owner[slot] < SHOAL_MEMBERS_MAX && members & bit(owner[slot]))
			have[owner[slot]]++;
	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot += unit) {
		bool stays = owner[slot] < SHOAL_MEMBERS_MAX && members & bit(owner[slot]);

		if (stays && have[owner[slot]] <= share)
			continue;
		while (have[__builtin_ctzll(wanting)] >= share)
			wanting &= wanting - 1;
		have[owner[slot] % SHOAL_MEMBERS_MAX] -= stays;
		memset(owner + slot, __builtin_ctzll(wanting), unit);
		have[owner[slot]]++;
	}
}
