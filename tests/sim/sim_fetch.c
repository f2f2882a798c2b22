/* SPDX-License-Identifier: BSD-3-Clause */
#include "object/map_inline.h"
#include "sim_world.h"

#define BEGIN_PERCENT 20

static void look_at(struct sim_member *member, const struct sim_fetch *fetched)
{
	unsigned class = fetched->fetch.wait.class;
	struct sim_object *object = shoal_fetch_object(member->space, &fetched->fetch);

	sim_ledger_compare(member->world, member->number, class, object);
	if (object->key != fetched->key)
		sim_fail(member->world, 3, "member %u fetched another object", member->number);
	sim_ledger_update(member->world, class, object);
	shoal_fetch_release(member->space, &fetched->fetch);
}

static void end(struct sim_member *member, struct sim_fetch *fetched)
{
	unsigned class = fetched->fetch.wait.class;

	fetched->under_way = false;
	sim_note(member->world, "  member %ld has fetched class %ld key %ld: %ld", member->number, class, fetched->key,
		fetched->fetch.wait.outcome);
	switch (fetched->fetch.wait.outcome) {
	case SHOAL_WAIT_GRANTED:
		look_at(member, fetched);
		break;
	case SHOAL_WAIT_GONE:
		sim_ledger_absent(member->world, member->number, class, fetched->key, fetched->since_step);
		break;
	case SHOAL_WAIT_AGAIN:
		break; /* who takes now gets an answer */
	default:
		if (fetched->fetch.wait.outcome == SHOAL_WAIT_NO_ROOM ? !member->world->settings.fills
								      : !member->world->settings.gives_up)
			sim_fail(member->world, 4, "member %u: a fetch ended with %u", member->number,
				fetched->fetch.wait.outcome);
	}
}

static void begin(struct sim_member *member, struct sim_fetch *fetched)
{
	uint8_t class = (uint8_t)sim_random_below(&member->fetch_random, SIM_SINGLE_CLASSES);
	struct shoal_map *map = &member->space->maps[class];

	fetched->key = (uint16_t)sim_random_below(&member->fetch_random, member->world->settings.mix.keys);
	fetched->since_step = member->world->steps;
	sim_key_write(class, fetched->key, fetched->key_bytes);
	fetched->fetch.key = fetched->key_bytes;
	fetched->fetch.hash = shoal_map_hash(map, fetched->key_bytes);
	fetched->under_way = shoal_fetch_begin(
		member->space, &fetched->fetch, class, shoal_map_find(map, fetched->key_bytes, fetched->fetch.hash));
	if (fetched->under_way)
		sim_note(member->world, "  member %ld fetches class %ld key %ld", member->number, class, fetched->key);
}

void sim_fetch_poll(struct sim_member *member)
{
	struct shoal_fetch *ended;

	while ((ended = shoal_fetch_ended(member->space)) != NULL)
		end(member, (struct sim_fetch *)ended);
	if (!member->world->settings.fetches || !member->open || member->world->drained || !member->operations_left)
		return;
	for (unsigned i = 0; i < SIM_FETCHES_MAX; i++)
		if (!member->fetches[i].under_way && sim_random_chance(&member->fetch_random, BEGIN_PERCENT))
			begin(member, &member->fetches[i]);
}
