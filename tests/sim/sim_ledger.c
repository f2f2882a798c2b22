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

void sim_ledger_doubt(struct sim_world *world, struct sim_doubt doubt)
{
	for (unsigned i = 0; i < world->ledger.doubts_count; i++) {
		const struct sim_doubt *at = &world->ledger.doubts[i];

		if (at->sequence == doubt.sequence && at->key == doubt.key && at->member == doubt.member &&
			at->strand == doubt.strand)
			return;
	}
	if (world->ledger.doubts_count == SIM_DOUBTS_MAX)
		abort();
	world->ledger.doubts[world->ledger.doubts_count++] = doubt;
}

bool sim_ledger_give_up(struct sim_world *world, struct sim_doubt doubt)
{
	for (unsigned i = 0; i < world->ledger.doubts_count; i++) {
		const struct sim_doubt *at = &world->ledger.doubts[i];

		if (at->sequence != doubt.sequence || at->key != doubt.key || at->member != doubt.member ||
			at->strand != doubt.strand)
			continue;
		world->ledger.shared[doubt.key].accepted -= sim_amount(doubt.sequence);
		world->ledger.doubts[i] = world->ledger.doubts[--world->ledger.doubts_count];
		return true;
	}
	return false;
}

/* What the dead had applied may be gone, and be applied again: only sums are followed. */
static void apply_after_loss(struct sim_shared *shared, const struct sim_counter *counter, const struct sim_add *add)
{
	uint32_t *seen = &shared->seen[add->member][add->strand];

	if (add->sequence > *seen)
		*seen = add->sequence;
	shared->applied = counter->sum + add->amount;
	shared->applications = (uint32_t)counter->applications + 1;
}

void sim_ledger_apply(
	struct sim_world *world, uint8_t member, unsigned key, struct sim_counter *counter, const struct sim_add *add)
{
	struct sim_shared *shared = &world->ledger.shared[key];
	uint32_t *seen = &shared->seen[add->member][add->strand];

	if (shared->shaken) {
		apply_after_loss(shared, counter, add);
		return;
	}
	if (counter->sum != shared->applied || counter->applications != shared->applications)
		sim_fail(world, 3, "member %u: counter %u has %lu after %lu calls, applied were %lu in %u", member, key,
			counter->sum, counter->applications, shared->applied, shared->applications);
	if (add->sequence <= *seen) {
		sim_fail(world, 3, "member %u applies call %u of member %u strand %u on counter %u again (last %u)",
			member, add->sequence, add->member, add->strand, key, *seen);
		return;
	}
	for (uint32_t skipped = *seen + 1; skipped < add->sequence; skipped++)
		if (!sim_ledger_give_up(world, (struct sim_doubt){ skipped, (uint16_t)key, add->member, add->strand }))
			sim_fail(world, 9,
				"member %u applies call %u of member %u strand %u on counter %u before call %u", member,
				add->sequence, add->member, add->strand, key, skipped);
	*seen = add->sequence;
	shared->applied += add->amount;
	shared->applications++;
}
