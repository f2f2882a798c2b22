/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_world.h"
#include "worker/error.h"
#include <errno.h>
#include <string.h>

#define COMMAND_MOST_NS (20 * SHOAL_NS_PER_MS)
#define PLAN_MOST_NS (120 * SHOAL_NS_PER_S)

static uint64_t bit(unsigned member)
{
	return UINT64_C(1) << member;
}

/* --- Maps --- */

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

static void shuffle_map(struct sim_world *world, uint64_t members, uint8_t *owner)
{
	unsigned count = (unsigned)__builtin_popcountll(members), unit = unit_of(world);

	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot += unit)
		memset(owner + slot, (int)nth(members, (unsigned)sim_random_below(&world->random, count)), unit);
}

/* Slots of members that are gone, and those that somebody has too many of, go to those that have too few. */
static void balance_map(struct sim_world *world, uint64_t members, uint8_t *owner)
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

/* --- Beginning --- */

static void command_all(struct sim_world *world, enum sim_controller_stage stage)
{
	struct sim_controller *controller = &world->controller;

	controller->stage = stage;
	controller->told = 0;
	for (unsigned member = 0; member < SHOAL_MEMBERS_MAX; member++)
		controller->due_ns[member] = world->now_ns + sim_random_below(&world->random, COMMAND_MOST_NS);
	sim_note(world, "controller stage %ld epoch %ld", stage, (long)controller->plan.epoch_next);
}

static void fill_plan(struct sim_world *world, uint64_t next)
{
	struct sim_controller *controller = &world->controller;
	struct shoal_plan *plan = &controller->plan;

	plan->term = controller->term;
	plan->epoch_now = controller->epoch;
	plan->epoch_next = ++controller->epoch_last;
	memcpy(plan->owner_now, controller->owner, SHOAL_SLOTS);
	for (unsigned member = 0; member < SHOAL_MEMBERS_MAX; member++) {
		plan->in_now[member] = controller->members >> member & 1;
		plan->in_next[member] = next >> member & 1;
		plan->life[member] = world->members[member] ? world->members[member]->life : 0;
	}
	controller->joining = next & ~controller->members;
	controller->leaving = controller->members & ~next;
	controller->markers_back = controller->handed = 0;
	world->traffic.redirected = (struct shoal_steering_set){ { 0 } };
	controller->began_ns = world->now_ns;
}

void sim_controller_begin(struct sim_world *world, uint64_t members, bool shuffle)
{
	struct sim_controller *controller = &world->controller;

	for (uint64_t joining = members & ~controller->members; joining; joining &= joining - 1) {
		if (!world->members[__builtin_ctzll(joining)])
			sim_member_start(world, (uint8_t)__builtin_ctzll(joining));
		/* Work is sent to it when it is handed its part. */
		world->members[__builtin_ctzll(joining)]->open = false;
	}
	fill_plan(world, members);
	memcpy(controller->plan.owner_next, controller->owner, SHOAL_SLOTS);
	if (shuffle)
		shuffle_map(world, members, controller->plan.owner_next);
	else
		balance_map(world, members, controller->plan.owner_next);
	controller->abandons = controller->epoch && sim_random_chance(&world->random, world->settings.abandon_percent);
	sim_note(world, "plan %ld: members %lx -> %lx", (long)controller->plan.epoch_next, (long)controller->members,
		(long)members);
	command_all(world, SIM_LEARN);
}

void sim_controller_begin_first(struct sim_world *world)
{
	uint64_t members = 0;

	for (unsigned member = 0; member < SHOAL_MEMBERS_MAX; member++)
		members |= world->members[member] ? bit(member) : 0;
	memset(world->controller.owner, SHOAL_MEMBER_NONE, SHOAL_SLOTS);
	sim_controller_begin(world, members, false);
}

/* Any number may join and leave in one plan; at least one member of the next map stays or comes. */
static void begin_random(struct sim_world *world)
{
	uint64_t members = world->controller.members, next;
	unsigned most = world->settings.members_most;

	do {
		next = members;
		if (sim_random_chance(&world->random, 85))
			for (unsigned changes = (unsigned)sim_random_between(&world->random, 1, 3); changes; changes--)
				next ^= bit((unsigned)sim_random_below(&world->random, most));
	} while (!next);
	world->controller.plans_left--;
	sim_controller_begin(world, next, sim_random_chance(&world->random, 30));
}

/* --- Commands --- */

static void refuse_second(struct sim_world *world, struct sim_member *member)
{
	struct shoal_plan *plan = &world->controller.plan;
	int error;

	if (!sim_random_chance(&world->random, world->settings.second_plan_percent))
		return;
	plan->epoch_next++;
	error = shoal_keyspace_learn(member->space, plan);
	plan->epoch_next--;
	world->controller.plans_refused++;
	if (error != -EBUSY)
		sim_fail(
			world, 7, "member %u answered %d to a second plan while one was active", member->number, error);
}

static int command(struct sim_world *world, struct sim_member *member)
{
	struct sim_controller *controller = &world->controller;
	uint64_t term = controller->term, epoch = controller->plan.epoch_next;

	switch (controller->stage) {
	case SIM_LEARN:
		return shoal_keyspace_learn(member->space, &controller->plan);
	case SIM_ABANDON:
		return shoal_keyspace_abandon(member->space, term, epoch);
	case SIM_HAND_OVER:
		refuse_second(world, member);
		member->open = true;
		controller->handed |= bit(member->number);
		controller->quiet_ns[member->number] =
			world->now_ns + sim_random_below(&world->random, 4 * COMMAND_MOST_NS);
		return shoal_keyspace_hand_over(member->space, term, epoch);
	default:
		return shoal_keyspace_forget(member->space, term, epoch);
	}
}

/* True when all concerned have had it. */
static bool give_commands(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;
	uint64_t concerned = controller->members | controller->joining;

	for (uint64_t left = concerned & ~controller->told; left; left &= left - 1) {
		unsigned number = (unsigned)__builtin_ctzll(left);

		if (controller->due_ns[number] > world->now_ns)
			continue;
		int error = command(world, world->members[number]);

		sim_note(world, "member %ld: command of stage %ld answered %ld", number, controller->stage, error);
		if (error)
			sim_fail(world, 7, "member %u answered %d to stage %u: %s", number, error, controller->stage,
				shoal_last_error());
		controller->told |= bit(number);
	}
	return controller->told == concerned;
}

/* --- Waiting and ending --- */

static bool quiet(struct sim_member *member)
{
	if (member->worker)
		return sim_traffic_redirected(member->world, member->number);
	for (unsigned i = 0; i < SIM_STRANDS_MAX; i++)
		if (member->strands[i].busy)
			return false;
	return !sim_member_asked(member);
}

/* A leaver's work goes elsewhere: what it has begun ends, then its markers are back. */
static void quieten_leavers(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;

	for (uint64_t left = controller->leaving & controller->handed & ~controller->markers_back; left;
		left &= left - 1) {
		struct sim_member *member = world->members[__builtin_ctzll(left)];

		if (world->now_ns < controller->quiet_ns[member->number])
			continue;
		member->open = false;
		if (!quiet(member))
			continue;
		controller->markers_back |= bit(member->number);
		if (shoal_keyspace_markers_back(member->space, controller->term, controller->plan.epoch_next))
			sim_fail(world, 7, "member %u refused markers_back", member->number);
	}
}

static bool all_done(struct sim_world *world)
{
	const struct sim_controller *controller = &world->controller;

	if (world->settings.packets && !sim_traffic_redirected(world, SHOAL_MEMBER_NONE))
		return false;
	for (uint64_t left = controller->members | controller->joining; left; left &= left - 1)
		if (world->members[__builtin_ctzll(left)]->space->keyspace.stage != SHOAL_STAGE_DONE)
			return false;
	return true;
}

static void rest(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;
	uint64_t took = world->now_ns - controller->began_ns;

	if (took > controller->longest_ns)
		controller->longest_ns = took;
	controller->stage = SIM_AT_REST;
	controller->next_ns = world->now_ns + sim_random_below(&world->random, 4 * COMMAND_MOST_NS);
}

static void complete(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;

	for (uint64_t left = controller->leaving; left; left &= left - 1)
		sim_member_end(world, (uint8_t)__builtin_ctzll(left));
	memcpy(controller->owner, controller->plan.owner_next, SHOAL_SLOTS);
	controller->members = (controller->members | controller->joining) & ~controller->leaving;
	controller->epoch = controller->plan.epoch_next;
	controller->plans_done++;
	rest(world);
}

static void give_up(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;

	for (uint64_t left = controller->joining; left; left &= left - 1)
		sim_member_end(world, (uint8_t)__builtin_ctzll(left));
	controller->plans_abandoned++;
	rest(world);
}

static void say_what_is_open(struct sim_world *world)
{
	struct shoal_progress progress;

	for (unsigned number = 0; number < SHOAL_MEMBERS_MAX; number++) {
		if (!world->members[number])
			continue;
		shoal_keyspace_progress(world->members[number]->space, &progress);
		sim_note(world, "member %ld stage %ld: to send %ld, to receive %ld, unswept %ld, held %ld", number,
			progress.stage, progress.tokens_to_send, progress.tokens_to_receive, progress.slots_unswept,
			progress.objects_held);
	}
}

void sim_controller_poll(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;

	if (controller->by_hand)
		return;
	if (controller->stage == SIM_AT_REST) {
		if (controller->plans_left && world->now_ns >= controller->next_ns)
			begin_random(world);
		return;
	}
	if (world->now_ns - controller->began_ns > PLAN_MOST_NS) {
		say_what_is_open(world);
		sim_fail(world, 7, "the plan for epoch %lu is not done", controller->plan.epoch_next);
		return;
	}
	if (controller->stage == SIM_WAIT) {
		sim_traffic_redirect(world);
		quieten_leavers(world);
		if (all_done(world))
			command_all(world, SIM_FORGET);
		return;
	}
	if (controller->stage == SIM_HAND_OVER) {
		sim_traffic_redirect(world);
		quieten_leavers(world);
	}
	if (!give_commands(world))
		return;
	if (controller->stage == SIM_LEARN)
		command_all(world, controller->abandons ? SIM_ABANDON : SIM_HAND_OVER);
	else if (controller->stage == SIM_HAND_OVER)
		controller->stage = SIM_WAIT;
	else if (controller->stage == SIM_ABANDON)
		give_up(world);
	else
		complete(world);
}

bool sim_controller_at_rest(const struct sim_world *world)
{
	return world->controller.stage == SIM_AT_REST && !world->controller.plans_left;
}
