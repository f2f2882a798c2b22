/* SPDX-License-Identifier: BSD-3-Clause */
#include "object/map_inline.h"
#include "sim_world.h"
#include <errno.h>

static uint16_t draw_key(struct sim_random *random, const struct sim_mix *mix, uint8_t member)
{
	if (sim_random_chance(random, mix->home_percent))
		return (uint16_t)(mix->keys + member * 2u + sim_random_below(random, 2)) % SIM_KEYS_MAX;
	return (uint16_t)sim_random_below(random, mix->keys);
}

void sim_operation_draw(
	struct sim_random *random, const struct sim_mix *mix, uint8_t member, struct sim_operation *operation)
{
	*operation = (struct sim_operation){ .count = 1 };
	operation->is_call = sim_random_chance(random, mix->call_percent);
	operation->untethered = sim_random_chance(random, mix->untethered_percent);
	operation->removes = sim_random_chance(random, mix->remove_percent);
	if (sim_random_chance(random, mix->several_percent))
		operation->count = (uint8_t)sim_random_between(random, 2, SIM_TAKES_MAX);
	for (unsigned i = 0; i < operation->count; i++) {
		operation->objects[i].class = (uint8_t)sim_random_below(random, SIM_SINGLE_CLASSES);
		operation->objects[i].create = !sim_random_chance(random, mix->find_percent);
		operation->objects[i].key = draw_key(random, mix, member);
	}
	if (sim_random_chance(random, mix->hold_percent))
		operation->hold_ns = sim_random_below(random, mix->hold_ns + 1);
}

/* Whether all that is asked for is held here, at rest: then no message may be sent for it (P10). */
static bool all_local(
	struct sim_member *member, const struct shoal_request *requests, const struct sim_operation *operation)
{
	for (unsigned i = 0; i < operation->count; i++) {
		uint8_t class = operation->objects[i].class;
		uint64_t hash = shoal_map_hash(&member->space->maps[class], requests[i].key);
		struct shoal_place place = shoal_place_find(member->space, class, requests[i].key, hash);

		if (!place.entry || place.entry->handle != SHOAL_HANDLE_HELD ||
			place.entry->flags & (SHOAL_ENTRY_RECALLED | SHOAL_ENTRY_FRESH))
			return false;
	}
	return true;
}

static uint64_t messages_of(const struct sim_member *member)
{
	const struct shoal_channel_counters *counters = shoal_channel_counters(member->space->channel);
	uint64_t sum = 0;

	for (unsigned kind = 1; kind < SHOAL_MESSAGE_KINDS; kind++)
		sum += counters->sent[kind];
	return sum;
}

static void look_at(struct sim_member *member, struct shoal_request *requests, const struct sim_operation *operation,
	bool update, uint64_t since_step)
{
	for (unsigned i = 0; i < operation->count; i++) {
		uint8_t class = operation->objects[i].class;

		if (!requests[i].object) {
			if (operation->objects[i].create)
				sim_fail(member->world, 4,
					"member %u was given no object for class %u key %u, though it asked to make it",
					member->number, class, operation->objects[i].key);
			if (update)
				sim_ledger_absent(
					member->world, member->number, class, operation->objects[i].key, since_step);
			continue;
		}
		if (update && requests[i].created)
			sim_ledger_announce(member->world, member->number, class, requests[i].object);
		sim_ledger_compare(member->world, member->number, class, requests[i].object);
		if (((struct sim_object *)requests[i].object)->key != operation->objects[i].key)
			sim_fail(member->world, 3, "member %u was given another object", member->number);
		if (update)
			sim_ledger_update(member->world, class, requests[i].object);
	}
}

static void remove_first(
	struct sim_member *member, struct shoal_request *requests, const struct sim_operation *operation)
{
	for (unsigned i = 0; i < operation->count; i++) {
		if (!requests[i].object)
			continue;
		member->ending = (struct sim_ending){ true, operation->objects[i].class, operation->objects[i].key };
		int error = shoal_remove(&member->context->context, &requests[i]);

		member->ending.under_way = false;
		if (!error)
			sim_ledger_end(member->world, operation->objects[i].class, operation->objects[i].key);
		else if (error != -EBUSY)
			sim_fail(member->world, 4, "member %u: remove answered %d", member->number, error);
		return;
	}
}

/* P4's formula (dso.md): what one reference may take at most, where nothing else is asked of the protocol; for each death
 * meanwhile its recovery too, after which everybody asks anew. */
static void check_time(struct sim_member *member, uint64_t began_ns, struct sim_recoveries before)
{
	const struct sim_world *world = member->world;
	const struct sim_settings *settings = &world->settings;
	uint64_t poll = settings->poll_most_ns * 3 / 2, d = settings->delay_most_ns + poll,
		 h = settings->mix.hold_ns + poll;
	const struct sim_recoveries now = sim_recoveries(world);
	uint64_t once = 7 * d + (settings->members - 1) * (h + 3 * d), took = world->now_ns - began_ns;
	uint64_t most = (1 + now.views - before.views) * once + now.lasted_ns - before.lasted_ns;

	if (began_ns >= world->formula_from_ns && took > most)
		sim_fail(member->world, 4, "member %u waited %.3f ms, the formula allows %.3f", member->number,
			(double)took / 1e6, (double)most / 1e6);
}

static int take(struct sim_member *member, uint8_t strand, const struct sim_operation *operation)
{
	struct shoal_request requests[SIM_TAKES_MAX];
	uint8_t keys[SIM_TAKES_MAX][SHOAL_KEY_BYTES_MAX];
	uint64_t step = member->world->steps, sent = messages_of(member), began_ns = member->world->now_ns;
	const struct sim_recoveries recoveries = sim_recoveries(member->world);
	bool local;
	int error;

	for (unsigned i = 0; i < operation->count; i++) {
		sim_key_write(operation->objects[i].class, operation->objects[i].key, keys[i]);
		requests[i] = (struct shoal_request){ .class = sim_classes[operation->objects[i].class],
			.key = keys[i],
			.create = operation->objects[i].create };
	}
	for (unsigned i = 0; i < operation->count; i++)
		sim_note(member->world, "  member %ld strand %ld asks for class %ld key %ld, create %ld, hold %ld us",
			member->number, strand, operation->objects[i].class, operation->objects[i].key,
			operation->objects[i].create, (long)operation->hold_ns / 1000);
	local = all_local(member, requests, operation);
	error = shoal_take(&member->context->context, requests, operation->count);
	if (local && (error || member->world->steps != step || messages_of(member) != sent))
		sim_fail(member->world, 10, "member %u: a take of what lies here cost a message or a wait",
			member->number);
	sim_note(member->world, "  member %ld strand %ld has them: %ld", member->number, strand, error);
	if (member->world->settings.formula)
		check_time(member, began_ns, recoveries);
	if (error)
		return error;
	member->strands[strand].held = requests;
	member->strands[strand].held_count = operation->count;
	look_at(member, requests, operation, true, step);
	if (operation->hold_ns) {
		sim_member_sleep(member, operation->hold_ns);
		look_at(member, requests, operation, false, step);
	}
	if (operation->removes)
		remove_first(member, requests, operation);
	member->strands[strand].held_count = 0; /* nothing is written from here on */
	shoal_release(&member->context->context, requests, operation->count);
	sim_note(member->world, "  member %ld strand %ld has released them", member->number, strand);
	return 0;
}

/* Whether it was applied, if the answer says so. */
static void check_answer(
	struct sim_member *member, const struct sim_calling *calling, const struct sim_add *add, struct sim_sum sum)
{
	const struct sim_shared *shared = &member->world->ledger.shared[calling->call.key];

	if (sum.sequence != add->sequence || sum.sum < add->amount)
		sim_fail(member->world, 3, "member %u: the answer to call %u was that to call %u", member->number,
			add->sequence, sum.sequence);
	if (shared->seen[add->member][add->strand] < add->sequence)
		sim_fail(member->world, 3, "member %u: call %u of strand %u on counter %u was answered, not applied",
			member->number, add->sequence, add->strand, calling->call.key);
}

static int call_once(struct sim_member *member, uint8_t strand, const struct sim_operation *operation, bool untethered)
{
	unsigned key = operation->objects[0].key;
	struct sim_shared *shared = &member->world->ledger.shared[key];
	struct sim_calling *calling = &member->strands[strand].calling;
	struct sim_add add = {
		.member = member->number, .strand = strand, .sequence = ++shared->issued[member->number][strand]
	};
	struct sim_sum sum = { 0 };
	uint8_t bytes[SHOAL_KEY_BYTES_MAX];
	int error;

	sim_key_write(SIM_COUNTER, key, bytes);
	add.amount = sim_amount(add.sequence);
	shared->accepted += add.amount;
	member->world->ledger.calls++;
	*calling = (struct sim_calling){ .under_way = true,
		.exact = !untethered,
		.call = { add.sequence, (uint16_t)key, member->number, strand },
		.microthread = shoal_microthread_current(member->scheduler) };
	sim_note(member->world, "  member %ld strand %ld calls counter %ld, call %ld, exact %ld", member->number,
		strand, key, add.sequence, !untethered);
	error = shoal_call(&member->context->context, sim_classes[SIM_COUNTER], bytes,
		untethered ? SIM_ADD_UNTETHERED : SIM_ADD_EXACT, &add, untethered ? NULL : &sum);
	calling->under_way = false;
	if (error)
		sim_call_failed(member->world, calling, error);
	else if (!untethered)
		check_answer(member, calling, &add, sum);
	return error;
}

int sim_operation_run(struct sim_member *member, uint8_t strand, const struct sim_operation *operation)
{
	int error = 0;

	if (!operation->is_call)
		return take(member, strand, operation);
	/* Several in a row: the last one may be exact, and must be applied last. */
	for (unsigned i = 0; i < operation->count && !error; i++)
		error = call_once(member, strand, operation, operation->untethered || i + 1 < operation->count);
	return error;
}
