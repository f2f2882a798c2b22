/* SPDX-License-Identifier: BSD-3-Clause */
/* The controller's part of a scaling event: plan, tokens, steering slots, markers (docs/object-space.md), done between two polls. */
#include <string.h>

#include "nat.h"
#include "scale_world.h"
#include "worker/runner.h"

#define LOOK_NS 50000 /* between two looks at how far an event has come */

static void make_plan(struct scale_world *world, bool two)
{
	struct shoal_plan plan = { .term = 1, .epoch_now = world->epoch, .epoch_next = world->epoch + 1 };

	world->epoch++;
	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot++) {
		uint8_t of_two = slot / SHOAL_SLOTS_PER_STEERING % 2;

		plan.owner_now[slot] = world->two ? of_two : 0;
		plan.owner_next[slot] = two ? of_two : 0;
		world->owner_next[slot / SHOAL_SLOTS_PER_STEERING] = plan.owner_next[slot];
	}
	plan.in_now[0] = plan.epoch_now != 0;
	plan.in_next[0] = 1;
	plan.in_now[1] = world->two;
	plan.in_next[1] = two;
	for (unsigned number = 0; number < 2; number++)
		plan.life[number] = world->shared[number] ? world->shared[number]->config.life : 0;
	for (unsigned number = 0; number < 2; number++)
		if (world->shared[number])
			world->shared[number]->plan = plan;
}

void scale_world_event_begin(struct scale_world *world, bool two)
{
	make_plan(world, two);
	world->two = two;
	memset(world->redirected, 0, sizeof(world->redirected));
	scale_world_tell_all(world, SCALE_LEARN);
	scale_world_tell_all(world, SCALE_HAND_OVER);
	world->step = SCALE_HANDING_OVER;
}

/* Steering slots whose tokens have come to their new owner go there. */
static void redirect(struct scale_world *world)
{
	struct shoal_steering_set sets[2] = { 0 };
	unsigned refused;

	for (unsigned slot = 0; slot < SHOAL_STEERING_SLOTS; slot++) {
		uint8_t owner = world->owner_next[slot];
		uint64_t bit = UINT64_C(1) << slot % 64;

		if ((world->redirected[slot / 64] & bit) || !(world->shared[owner]->ready[slot / 64] & bit))
			continue;
		world->redirected[slot / 64] |= bit;
		if (world->splitter.steering.slots[slot].member != owner)
			sets[owner].words[slot / 64] |= bit;
	}
	for (uint16_t owner = 0; owner < 2; owner++)
		if ((sets[owner].words[0] | sets[owner].words[1] | sets[owner].words[2] | sets[owner].words[3]) &&
			shoal_splitter_slots_redirect(&world->splitter, &sets[owner], owner, world->now_ns, &refused))
			bench_fail(world->bench, "a steering slot can't be redirected");
}

static bool all_redirected(struct scale_world *world)
{
	struct shoal_redirect_progress progress;

	for (unsigned word = 0; word < 4; word++)
		if (world->redirected[word] != UINT64_MAX)
			return false;
	shoal_splitter_progress_read(&world->splitter, false, &progress);
	return !progress.pending;
}

static bool all_done(const struct scale_world *world)
{
	for (unsigned number = 0; number < 2; number++)
		if (world->shared[number] &&
			__atomic_load_n(&world->shared[number]->stage, __ATOMIC_ACQUIRE) != SHOAL_STAGE_DONE)
			return false;
	return true;
}

void scale_plan_step(struct scale_world *world)
{
	if (world->now_ns - world->looked_ns < LOOK_NS)
		return;
	world->looked_ns = world->now_ns;
	if (world->step == SCALE_HANDING_OVER) {
		redirect(world);
		if (!all_redirected(world))
			return;
		scale_world_tell_all(world, SCALE_MARKERS_BACK);
		world->step = SCALE_REDIRECTED;
	} else if (all_done(world)) {
		scale_world_tell_all(world, SCALE_FORGET);
		world->step = SCALE_REST;
	}
}

void scale_plan_first(struct scale_world *world)
{
	uint8_t table[SHOAL_STEERING_SLOTS] = { 0 };
	uint64_t deadline = shoal_clock_now() + SCALE_DEADLINE_NS;
	unsigned slot;

	make_plan(world, false);
	scale_world_tell(world, 0, SCALE_LEARN);
	scale_world_tell(world, 0, SCALE_HAND_OVER);
	while (!all_done(world)) {
		scale_world_poll_round(world);
		if (world->now_ns > deadline)
			bench_fail(world->bench, "the first plan does not end");
	}
	scale_world_tell(world, 0, SCALE_FORGET);
	if (shoal_splitter_table_assign(&world->splitter, table, &slot))
		bench_fail(world->bench, "no steering table");
}
