/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_world.h"
#include <stdlib.h>

/* After a death without adoption an earlier state counts, or that there is none; what it was is in the report. */
static void go_back(struct sim_world *world, struct sim_single *single, const struct sim_object *object)
{
	if (single->alive && single->life == object->life && single->updates == object->updates)
		return;
	world->deaths.went_back += single->named;
	single->alive = true;
	single->life = object->life;
	single->updates = object->updates;
}

/* A death may have ended it. */
static bool may_be_gone(struct sim_world *world, struct sim_single *single)
{
	if (!single->alive || !(single->shaken || single->may_have_ended))
		return false;
	world->deaths.vanished += single->shaken && single->named;
	single->alive = single->shaken = single->may_have_ended = false;
	single->absent_last_step = world->steps;
	return true;
}

void sim_ledger_compare(struct sim_world *world, uint8_t member, unsigned class, const struct sim_object *object)
{
	struct sim_single *single = &world->ledger.single[class][object->key % SIM_KEYS_MAX];

	if (single->shaken)
		go_back(world, single, object);
	if (!single->alive && single->may_live && single->may_live == object->life && !object->updates) {
		single->alive = true;
		single->life = object->life;
		single->updates = 0;
	}
	single->may_live = 0;
	single->shaken = single->may_have_ended = false;
	if (!single->alive)
		sim_fail(world, 3, "member %u has class %u key %u, which was removed", member, class, object->key);
	else if (single->life != object->life || single->updates != object->updates)
		sim_fail(world, 3,
			"member %u: class %u key %u is in life %u with %lu updates, accepted were life %u, %lu updates",
			member, class, object->key, object->life, object->updates, single->life, single->updates);
	else if (!sim_object_filled(class, object))
		sim_fail(world, 3, "member %u: class %u key %u is torn", member, class, object->key);
}

void sim_ledger_announce(struct sim_world *world, uint8_t member, unsigned class, const struct sim_object *object)
{
	struct sim_single *single = &world->ledger.single[class][object->key];

	if (single->alive && !may_be_gone(world, single))
		sim_fail(world, 1, "member %u is told that it made class %u key %u, which lives", member, class,
			object->key);
	single->alive = true;
	single->shaken = single->may_have_ended = false;
	single->life = object->life;
	single->updates = 0;
	single->absent_last_step = world->steps;
	world->ledger.lives++;
}

void sim_ledger_update(struct sim_world *world, unsigned class, struct sim_object *object)
{
	object->updates++;
	world->ledger.single[class][object->key % SIM_KEYS_MAX].updates++;
	world->ledger.updates++;
	sim_object_fill(class, object);
}

void sim_ledger_end(struct sim_world *world, unsigned class, unsigned key)
{
	struct sim_single *single = &world->ledger.single[class][key];

	single->alive = single->shaken = single->may_have_ended = false;
	single->absent_last_step = world->steps;
	world->ledger.ends++;
	sim_note(world, "  class %ld key %ld removed", class, key);
}

void sim_ledger_absent(struct sim_world *world, uint8_t member, unsigned class, unsigned key, uint64_t since_step)
{
	struct sim_single *single = &world->ledger.single[class][key];

	if (single->alive && single->absent_last_step < since_step && may_be_gone(world, single))
		return;
	if (single->alive && single->absent_last_step < since_step)
		sim_fail(world, 3,
			"member %u was told that class %u key %u is absent, but it has been there since step %lu",
			member, class, key, single->absent_last_step);
}

void sim_ledger_construct(struct sim_world *world, uint8_t member, unsigned class, struct sim_object *object)
{
	struct sim_single *single = &world->ledger.single[class][object->key % SIM_KEYS_MAX];

	if (object->key >= SIM_KEYS_MAX) { /* not in the ledger */
		sim_object_fill(class, object);
		return;
	}
	if (single->alive && !single->shaken && !single->may_have_ended)
		sim_fail(world, 1, "member %u makes class %u key %u, which lives (life %u, %lu updates)", member, class,
			object->key, single->life, single->updates);
	object->life = ++single->constructions;
	single->maker = member;
	sim_object_fill(class, object);
	sim_note(world, "  member %ld makes class %ld key %ld life %ld", member, class, object->key, object->life);
}

/* --- Calls --- */

static bool same(struct sim_call a, struct sim_call b)
{
	return a.sequence == b.sequence && a.key == b.key && a.member == b.member && a.strand == b.strand;
}

/* Its index in the list, or the list's end. */
static unsigned index_of(const struct sim_call *list, unsigned count, struct sim_call call)
{
	unsigned index = 0;

	while (index < count && !same(list[index], call))
		index++;
	return index;
}

/* A world works on while its plan is not over. */
static bool too_many(struct sim_world *world, unsigned count, unsigned most)
{
	if (count == most)
		sim_fail(world, 7, "%u calls were made, and this world has not come to its end", count);
	return count == most;
}

bool sim_ledger_gone(const struct sim_world *world, struct sim_call call)
{
	const struct sim_ledger *ledger = &world->ledger;

	return index_of(ledger->gone, ledger->gone_count, call) < ledger->gone_count;
}

void sim_ledger_lose(struct sim_world *world, struct sim_call call)
{
	struct sim_ledger *ledger = &world->ledger;

	if (too_many(world, ledger->gone_count, SIM_GONE_MAX))
		return;
	ledger->gone[ledger->gone_count++] = call;
	ledger->shared[call.key].accepted -= sim_amount(call.sequence);
}

/* The books of a counter go back by its latest call. */
static void undo_latest(struct sim_ledger *ledger, struct sim_shared *shared)
{
	struct sim_applied *latest = &ledger->log[shared->log_last - 1];

	shared->log_last = latest->before;
	shared->applications--;
	shared->applied -= sim_amount(latest->call.sequence);
	shared->accepted -= sim_amount(latest->call.sequence);
	if (ledger->undone_count == SIM_GONE_MAX)
		abort(); /* there are no more in the log */
	ledger->undone[ledger->undone_count++] = latest->call;
}

void sim_ledger_go_back(struct sim_world *world, unsigned key, const struct sim_counter *counter)
{
	struct sim_shared *shared = &world->ledger.shared[key];
	uint64_t applications = counter ? counter->applications : 0, sum = counter ? counter->sum : 0;

	if (!shared->shaken)
		return;
	shared->shaken = false;
	while (shared->applications > applications)
		undo_latest(&world->ledger, shared);
	if (shared->applications != applications || shared->applied != sum)
		sim_fail(world, 3, "counter %u has %lu after %lu calls, which it never had", key, sum, applications);
}

static void log_applied(struct sim_world *world, struct sim_shared *shared, struct sim_call call)
{
	struct sim_ledger *ledger = &world->ledger;

	shared->applied += sim_amount(call.sequence);
	shared->applications++;
	if (!world->settings.deaths && !world->settings.deaths_by_hand)
		return;
	if (too_many(world, ledger->log_count, SIM_APPLIED_MAX))
		return;
	ledger->log[ledger->log_count++] = (struct sim_applied){ call, shared->log_last };
	shared->log_last = ledger->log_count;
}

/* It had been applied to an object that was lost: once more is right. */
static bool apply_again(struct sim_world *world, struct sim_shared *shared, struct sim_call call)
{
	struct sim_ledger *ledger = &world->ledger;
	unsigned index = index_of(ledger->undone, ledger->undone_count, call);

	if (index == ledger->undone_count)
		return false;
	ledger->undone[index] = ledger->undone[--ledger->undone_count];
	shared->accepted += sim_amount(call.sequence);
	log_applied(world, shared, call);
	return true;
}

void sim_ledger_apply(
	struct sim_world *world, uint8_t member, unsigned key, struct sim_counter *counter, const struct sim_add *add)
{
	struct sim_shared *shared = &world->ledger.shared[key];
	uint32_t *seen = &shared->seen[add->member][add->strand];
	struct sim_call call = { add->sequence, (uint16_t)key, add->member, add->strand };

	sim_note(world, "  member %ld applies call %ld of member %ld strand %ld on counter %ld", member, add->sequence,
		add->member, add->strand, key);
	sim_ledger_go_back(world, key, counter);
	if (counter->sum != shared->applied || counter->applications != shared->applications)
		sim_fail(world, 3, "member %u: counter %u has %lu after %lu calls, applied were %lu in %u", member, key,
			counter->sum, counter->applications, shared->applied, shared->applications);
	if (add->sequence <= *seen && apply_again(world, shared, call))
		return;
	if (add->sequence <= *seen || sim_ledger_gone(world, call)) {
		sim_fail(world, 3, "member %u applies call %u of member %u strand %u on counter %u %s (last %u)",
			member, add->sequence, add->member, add->strand, key,
			add->sequence <= *seen ? "again" : "though it was gone", *seen);
		return;
	}
	for (call.sequence = *seen + 1; call.sequence < add->sequence; call.sequence++)
		if (!sim_ledger_gone(world, call))
			sim_fail(world, 9,
				"member %u applies call %u of member %u strand %u on counter %u before call %u", member,
				add->sequence, add->member, add->strand, key, call.sequence);
	*seen = call.sequence;
	log_applied(world, shared, call);
}
