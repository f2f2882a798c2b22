/* SPDX-License-Identifier: BSD-3-Clause */
/* 9: long-lived objects that nobody uses: a reorganisation ends with a million of them, of which 99 % see no packet, and none
 * is lost; 2 → 5 → 2 twenty times. */
#include "object/map_inline.h"
#include "sim_direct.h"
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OBJECTS 10000u
#else
#define OBJECTS 1000000u
#endif
#define TURNS 20
#define FIRST SIM_KEYS_MAX /* smaller keys are those that are used meanwhile, and in the ledger */

/* In a microthread of the member: makes every object whose key it owns. */
static bool make_own(void *argument)
{
	struct sim_member *member = argument;
	struct shoal_map *map = &member->space->maps[SIM_ACCOUNT];
	uint8_t key[SHOAL_KEY_BYTES_MAX];

	for (unsigned number = FIRST; number < FIRST + OBJECTS; number++) {
		struct shoal_request request = { .class = sim_classes[SIM_ACCOUNT], .key = key, .create = true };

		sim_key_write(SIM_ACCOUNT, number, key);
		if (!shoal_slot_bit(member->space->keyspace.token, shoal_map_slot(map, key, shoal_map_hash(map, key))))
			continue;
		if (shoal_take(&member->context->context, &request, 1)) {
			sim_fail(member->world, 4, "object %u was not made", number);
			return false;
		}
		shoal_release(&member->context->context, &request, 1);
	}
	return false;
}

/* Every object is in one place, as it was made, and has one record. */
static void check_all(struct sim_world *world)
{
	uint8_t *places = calloc(OBJECTS, 1), *records = calloc(OBJECTS, 1);

	for (uint8_t number = 0; number < world->settings.members_most; number++) {
		struct shoal_map *map =
			world->members[number] ? &world->members[number]->space->maps[SIM_ACCOUNT] : NULL;

		for (uint32_t index = 1; map && index < map->high_water; index++) {
			struct shoal_entry *entry = shoal_map_entry(map, index);
			unsigned key = sim_key_number(entry->bytes);
			const struct sim_object *object = shoal_map_object(map, entry);

			if (key < FIRST)
				continue;
			records[key - FIRST] += entry->record != SHOAL_RECORD_NONE;
			if (entry->handle != SHOAL_HANDLE_HELD && entry->record != SHOAL_RECORD_FREE)
				continue;
			places[key - FIRST]++;
			if (object->key != key || !sim_object_filled(SIM_ACCOUNT, object))
				sim_fail(world, 3, "object %u is torn", key);
		}
	}
	for (unsigned i = 0; i < OBJECTS; i++)
		if (places[i] != 1 || records[i] != 1)
			sim_fail(world, 3, "object %u is in %u places and has %u records", FIRST + i, places[i],
				records[i]);
	free(places);
	free(records);
}

static void case_09(struct sim_world *world)
{
	struct sim_settings settings = sim_direct_settings(2);

	settings.objects_max = OBJECTS + 4096;
	settings.strands = 2;
	settings.operations = 1;
	settings.pause_ns = SHOAL_NS_PER_MS;
	settings.mix = (struct sim_mix){ .keys = 200, .call_percent = 20, .untethered_percent = 50 };
	settings.sparse_checks = true;
	sim_direct_begin_with(world, &settings);
	for (unsigned number = 0; number < 2; number++)
		shoal_scheduler_run(world->members[number]->scheduler, make_own, world->members[number]);
	for (unsigned turn = 0; turn < 2 * TURNS && !world->failed; turn++) {
		sim_controller_begin(world, turn % 2 ? 0x3 : 0x1f, false);
		while (!world->failed && !sim_controller_at_rest(world))
			sim_world_step(world);
	}
	if (!world->failed)
		check_all(world);
	sim_direct_end(world);
}

/* --- A leaver gives back more objects than the windows allow messages to be kept --- */

#define HELD 4000u

static struct {
	struct sim_member *member;
	bool made;
} holder;

/* In a microthread of the member: takes objects whose key member 0 owns, and keeps their leases. */
static bool take_held(void *argument)
{
	struct sim_member *member = argument;
	struct shoal_map *map = &member->space->maps[SIM_ACCOUNT];
	uint8_t key[SHOAL_KEY_BYTES_MAX];

	for (unsigned number = FIRST, taken = 0; taken < HELD; number++) {
		struct shoal_request request = { .class = sim_classes[SIM_ACCOUNT], .key = key, .create = true };

		sim_key_write(SIM_ACCOUNT, number, key);
		if (member->world->controller.owner[shoal_map_slot(map, key, shoal_map_hash(map, key))] != 0)
			continue;
		if (shoal_take(&member->context->context, &request, 1)) {
			sim_fail(member->world, 4, "object %u was not made", number);
			break;
		}
		shoal_release(&member->context->context, &request, 1);
		taken++;
	}
	holder.made = true;
	return false;
}

static void returns_wait_for_records(struct sim_world *world)
{
	struct sim_settings settings = sim_direct_settings(3);

	settings.objects_max = 2 * HELD;
	settings.sparse_checks = true;
	sim_direct_begin_with(world, &settings);
	holder.member = world->members[2];
	holder.made = false;
	shoal_scheduler_run(holder.member->scheduler, take_held, holder.member);
	while (!world->failed && !holder.made)
		sim_world_step(world);
	sim_plan_by_hand(world, 0x2); /* 0, the owner, and 2, the holder, leave */
	for (uint8_t member = 0; member < 3; member++)
		sim_expect(world, !sim_learn(world, member), "learn");
	for (uint8_t member = 0; member < 3; member++)
		sim_expect(world, !sim_hand_over(world, member), "hand over");
	while (!world->failed && world->members[1]->space->keyspace.tokens_to_receive)
		sim_world_step(world);
	sim_hold(world, 0, 1); /* no record comes */
	sim_plan_let(world);
	sim_run_ms(world, 1000);
	sim_expect(world, world->members[2]->space->keyspace.markers_back && world->members[2]->space->keyspace.swept,
		"2 could give back what it holds");
	sim_expect(world, world->members[1]->space->contention.parked < settings.window,
		"1 keeps no more than the windows allow");
	sim_let(world, 0, 1);
	while (!world->failed && !sim_controller_at_rest(world))
		sim_world_step(world);
	sim_expect(world, world->members[1]->space->maps[SIM_ACCOUNT].count == HELD, "all have come");
	sim_direct_end(world);
}

const struct sim_case sim_million_cases[] = {
	{ "returns_wait_for_records", returns_wait_for_records },
	{ "09_million_idle", case_09 },
	{ 0 },
};
