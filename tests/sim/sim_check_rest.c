/* SPDX-License-Identifier: BSD-3-Clause */
/* What must be true when nothing is under way: every object in one place, every record true, nothing left over. */
#include "object/map_inline.h"
#include "sim_world.h"

struct found {
	unsigned holders, records;
	uint8_t holder; /* the one that holds it */
	uint8_t record_holder; /* what the record says */
	uint8_t record, owner;
	const void *object;
};

static void find_key(struct sim_world *world, unsigned class, unsigned key, struct found *found)
{
	uint8_t bytes[SHOAL_KEY_BYTES_MAX];

	*found = (struct found){ .holder = SHOAL_MEMBER_NONE };
	sim_key_write(class, key, bytes);
	for (uint8_t number = 0; number < world->settings.members_most; number++) {
		struct shoal_map *map = world->members[number] ? &world->members[number]->space->maps[class] : NULL;
		uint32_t index = map ? shoal_map_find(map, bytes, shoal_map_hash(map, bytes)) : 0;
		struct shoal_entry *entry = index ? shoal_map_entry(map, index) : NULL;

		if (!entry)
			continue;
		if (entry->handle == SHOAL_HANDLE_HELD) {
			found->holders++;
			found->holder = number;
			found->object = shoal_map_object(map, entry);
		}
		if (entry->record == SHOAL_RECORD_NONE)
			continue;
		found->records++;
		found->record = entry->record;
		found->record_holder = entry->holder;
		found->owner = number;
		if (entry->record == SHOAL_RECORD_FREE || entry->record == SHOAL_RECORD_SHARED)
			found->object = shoal_map_object(map, entry);
		if (!shoal_slot_bit(world->members[number]->space->keyspace.token, entry->slot))
			sim_fail(world, 2, "member %u has a record of class %u key %u without the token", number, class,
				key);
	}
}

static void check_single(struct sim_world *world, unsigned class, unsigned key)
{
	struct sim_single *single = &world->ledger.single[class][key];
	struct found found;

	find_key(world, class, key, &found);
	/* What a death may have ended, or brought back. */
	if (single->alive && (single->shaken || single->may_have_ended) && !found.records && !found.holders)
		sim_ledger_end(world, class, key);
	if ((single->shaken || single->may_live) && found.object)
		sim_ledger_compare(world, found.holder, class, found.object);
	if (!single->alive) {
		if (found.holders || found.records)
			sim_fail(world, 3, "class %u key %u was removed, but there are %u holders and %u records",
				class, key, found.holders, found.records);
		return;
	}
	if (found.records != 1)
		sim_fail(world, 3, "class %u key %u has %u records", class, key, found.records);
	else if (found.record == SHOAL_RECORD_FREE ? found.holders != 0 : found.holders != 1)
		sim_fail(world, 3, "class %u key %u has %u holders, its record at member %u is in state %u", class, key,
			found.holders, found.owner, found.record);
	else if (found.record != SHOAL_RECORD_FREE &&
		 (found.record != SHOAL_RECORD_LEASED || found.record_holder != found.holder))
		sim_fail(world, 3, "class %u key %u is held by member %u, its record at member %u says %u in state %u",
			class, key, found.holder, found.owner, found.record_holder, found.record);
	else
		sim_ledger_compare(world, found.holder, class, found.object);
}

/* Who made it for its first call may have died before that was applied. */
static bool made_for_nothing(const struct sim_world *world, unsigned key)
{
	const struct sim_ledger *ledger = &world->ledger;

	for (unsigned i = 0; i < ledger->gone_count; i++)
		if (ledger->gone[i].key == key)
			return true;
	return false;
}

static void check_shared(struct sim_world *world, unsigned key)
{
	const struct sim_shared *shared = &world->ledger.shared[key];
	const struct sim_counter *counter;
	struct found found;

	find_key(world, SIM_COUNTER, key, &found);
	counter = found.object;
	sim_ledger_go_back(world, key, counter);
	if (found.records != (shared->applications != 0) &&
		!(found.records == 1 && counter && !counter->sum && made_for_nothing(world, key)))
		sim_fail(
			world, 3, "counter %u has %u records after %u calls", key, found.records, shared->applications);
	else if (shared->accepted != shared->applied || (counter && counter->sum != shared->accepted))
		sim_fail(world, 3, "counter %u has %lu, applied were %lu, accepted %lu", key,
			counter ? counter->sum : 0, shared->applied, shared->accepted);
}

/* Nothing is left over from what is finished. */
static void check_left_over(struct sim_world *world, const struct sim_member *member)
{
	const struct shoal_space *space = member->space;
	uint32_t held = 0;

	if (space->deadline_first || space->window_first || space->contention.nodes_used ||
		space->contention.contentions_used)
		sim_fail(world, 8, "member %u at rest: %u waiters, %u contended objects", member->number,
			space->contention.nodes_used, space->contention.contentions_used);
	if (space->contention.parked || space->keyspace.held_back_count)
		sim_fail(world, 8, "member %u at rest: %u parked, %u held back", member->number,
			space->contention.parked, space->keyspace.held_back_count);
	for (unsigned class = 0; class < SIM_CLASSES; class ++) {
		const struct shoal_map *map = &space->maps[class];
		uint32_t used = 0;

		for (uint32_t index = 1; index < map->high_water; index++) {
			const struct shoal_entry *entry = shoal_map_entry(map, index);

			/* What was sent stays until the receiver is known to have it. */
			used += entry->handle != SHOAL_HANDLE_ABSENT || entry->record != SHOAL_RECORD_NONE ||
			        entry->flags & SHOAL_ENTRY_MAILED;
			held += entry->handle == SHOAL_HANDLE_HELD;
			if (entry->handle == SHOAL_HANDLE_HELD && entry->references)
				sim_fail(world, 4, "member %u at rest: %u references", member->number,
					entry->references);
		}
		if (used != map->count)
			sim_fail(world, 8, "member %u at rest: %u entries of class %u, %u are used", member->number,
				map->count, class, used);
	}
	if (held != space->held)
		sim_fail(world, 8, "member %u holds %u objects and counts %u", member->number, held, space->held);
}

/* Where every slab was adopted, nothing is lost (P3's exception is for what is in the report). */
static void check_reports(struct sim_world *world)
{
	const struct sim_deaths *deaths = &world->deaths;
	uint64_t lost = deaths->lost, rolled_back = deaths->rolled_back, rejected = deaths->rejected;

	for (unsigned number = 0; number < world->settings.members_most; number++)
		for (unsigned class = 0; class < SIM_CLASSES && world->members[number]; class ++) {
			lost += world->members[number]->space->view.lost[class];
			rolled_back += world->members[number]->space->view.rolled_back[class];
			rejected += world->members[number]->space->view.rejected[class];
		}
	if (deaths->exact && (lost || rolled_back))
		sim_fail(world, 3, "every slab was adopted, but %lu objects were lost and %lu rolled back", lost,
			rolled_back);
	if (deaths->vanished > lost || deaths->went_back > rolled_back + lost)
		sim_fail(world, 3,
			"%lu objects were gone and %lu in an earlier state; reported were %lu lost, %lu rolled back",
			deaths->vanished, deaths->went_back, lost, rolled_back);
	if (rejected < deaths->objects_torn)
		sim_fail(world, 3, "%u objects were being written, %lu were rejected", deaths->objects_torn, rejected);
}

void sim_check_at_rest(struct sim_world *world)
{
	sim_check_tokens(world);
	sim_calls_check(world);
	if (world->deaths.done)
		check_reports(world);
	for (unsigned number = 0; number < world->settings.members_most; number++)
		if (world->members[number])
			check_left_over(world, world->members[number]);
	for (unsigned key = 0; key < SIM_KEYS_MAX; key++) {
		for (unsigned class = 0; class < SIM_SINGLE_CLASSES; class ++)
			check_single(world, class, key);
		check_shared(world, key);
	}
}
