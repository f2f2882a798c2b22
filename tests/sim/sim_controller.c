/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_map.h"
#include "sim_world.h"
#include "worker/error.h"
#include <errno.h>
#include <string.h>

#define COMMAND_MOST_NS (20 * SHOAL_NS_PER_MS)
#define STILL_MOST_NS (120 * SHOAL_NS_PER_S) /* a plan, in which no packet leaves */

static uint64_t bit(unsigned member)
{
	return UINT64_C(1) << member;
}

/* --- Beginning --- */

void sim_controller_command_all(struct sim_world *world, enum sim_controller_stage stage)
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
		sim_map_shuffle(world, members, controller->plan.owner_next);
	else
		sim_map_balance(world, members, controller->plan.owner_next);
	controller->abandons = controller->epoch && sim_random_chance(&world->random, world->settings.abandon_percent);
	sim_note(world, "plan %ld: members %lx -> %lx", (long)controller->plan.epoch_next, (long)controller->members,
		(long)members);
	sim_controller_command_all(world, SIM_LEARN);
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
static uint64_t dead_members(const struct sim_world *world)
{
	uint64_t dead = 0;

	for (unsigned number = 0; number < SHOAL_MEMBERS_MAX; number++)
		dead |= world->deaths.corpses[number].lies_here ? bit(number) : 0;
	return dead;
}

static void begin_random(struct sim_world *world)
{
	uint64_t members = world->controller.members, next;
	unsigned most = world->settings.members_most;

	do {
		next = members;
		if (sim_random_chance(&world->random, 85))
			for (unsigned changes = (unsigned)sim_random_between(&world->random, 1, 3); changes; changes--)
				next ^= bit((unsigned)sim_random_below(&world->random, most));
	} while (!next || next & dead_members(world));
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

int sim_controller_command(struct sim_world *world, uint8_t number, enum sim_controller_stage stage,
	const struct shoal_plan *plan, uint64_t term)
{
	struct shoal_space *space = world->members[number]->space;

	switch (stage) {
	case SIM_LEARN:
		return shoal_keyspace_learn(space, plan);
	case SIM_ABANDON:
		return shoal_keyspace_abandon(space, term, plan->epoch_next);
	case SIM_HAND_OVER:
		return shoal_keyspace_hand_over(space, term, plan->epoch_next);
	default:
		return shoal_keyspace_forget(space, term, plan->epoch_next);
	}
}

struct commanded {
	struct sim_member *member;
	int error;
};

static void command(void *argument)
{
	struct commanded *commanded = argument;
	struct sim_member *member = commanded->member;
	struct sim_controller *controller = &member->world->controller;

	if (controller->stage == SIM_HAND_OVER && !(controller->handed & bit(member->number))) {
		refuse_second(member->world, member);
		member->open = true;
		controller->handed |= bit(member->number);
		controller->quiet_ns[member->number] =
			member->world->now_ns + sim_random_below(&member->world->random, 4 * COMMAND_MOST_NS);
	}
	commanded->error = sim_controller_command(
		member->world, member->number, controller->stage, &controller->plan, controller->term);
}

static void command_one(struct sim_world *world, uint8_t number)
{
	struct sim_controller *controller = &world->controller;
	struct commanded commanded = { .member = world->members[number] };

	if (!sim_mortal_run(commanded.member, command, &commanded))
		return;
	sim_note(world, "member %ld: command of stage %ld answered %ld", number, controller->stage, commanded.error);
	/* Where somebody died who had not been missed yet, its links may have ended before. */
	if (commanded.error && !dead_members(world))
		sim_fail(world, 7, "member %u answered %d to stage %u: %s", number, commanded.error, controller->stage,
			shoal_last_error());
	if (!commanded.error)
		sim_reign_check(world, number);
	controller->told |= bit(number);
}

/* True when all concerned have had it. */
static bool give_commands(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;
	uint64_t concerned = controller->members | controller->joining;

	for (uint64_t left = concerned & ~controller->told; left; left &= left - 1) {
		uint8_t number = (uint8_t)__builtin_ctzll(left);

		/* One that has died does not answer. */
		if (controller->due_ns[number] <= world->now_ns && world->members[number])
			command_one(world, number);
	}
	return (controller->told & concerned) == concerned;
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

		if (!member || world->now_ns < controller->quiet_ns[member->number])
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
		if (!world->members[__builtin_ctzll(left)] ||
			world->members[__builtin_ctzll(left)]->space->keyspace.stage != SHOAL_STAGE_DONE)
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

static void end_all(struct sim_world *world, uint64_t members)
{
	for (; members; members &= members - 1)
		if (world->members[__builtin_ctzll(members)])
			sim_member_end(world, (uint8_t)__builtin_ctzll(members));
}

static void complete(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;

	end_all(world, controller->leaving);
	memcpy(controller->owner, controller->plan.owner_next, SHOAL_SLOTS);
	controller->members = (controller->members | controller->joining) & ~controller->leaving;
	controller->epoch = controller->plan.epoch_next;
	controller->plans_done++;
	rest(world);
}

static void give_up(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;

	end_all(world, controller->joining);
	controller->plans_abandoned++;
	rest(world);
}

/* --- Deaths --- */

uint64_t sim_controller_members(const struct sim_world *world)
{
	const struct sim_controller *controller = &world->controller;

	if (controller->stage == SIM_HAND_OVER || controller->stage == SIM_WAIT)
		return controller->members | controller->joining;
	if (controller->stage == SIM_FORGET)
		return (controller->members | controller->joining) & ~controller->leaving;
	return controller->members;
}

uint64_t sim_controller_interrupt(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;
	uint64_t members = sim_controller_members(world);

	if (controller->stage == SIM_LEARN || controller->stage == SIM_ABANDON)
		give_up(world);
	else if (controller->stage == SIM_FORGET)
		end_all(world, controller->leaving);
	controller->plans_interrupted += controller->stage != SIM_AT_REST;
	controller->stage = SIM_AT_REST;
	return members;
}

void sim_controller_other_died(struct sim_world *world, uint8_t number)
{
	struct sim_controller *controller = &world->controller;

	controller->joining &= ~bit(number);
	controller->leaving &= ~bit(number);
	controller->members &= ~bit(number);
	if (controller->stage == SIM_LEARN)
		sim_controller_command_all(world, SIM_ABANDON);
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

/* There are only so many packets; a member that is asked for more than it can do works them off before its plan ends. */
static bool stands_still(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;

	if (controller->packets_left != world->traffic.left) {
		controller->packets_left = world->traffic.left;
		controller->moved_ns = world->now_ns;
	}
	return world->now_ns - controller->began_ns > STILL_MOST_NS &&
	       world->now_ns - controller->moved_ns > STILL_MOST_NS;
}

void sim_controller_poll(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;

	if (sim_reign_poll(world) || sim_mourning_poll(world) || controller->by_hand)
		return;
	if (controller->stage == SIM_AT_REST) {
		if (controller->plans_left && world->now_ns >= controller->next_ns)
			begin_random(world);
		return;
	}
	if (stands_still(world)) {
		say_what_is_open(world);
		sim_fail(world, 7, "the plan for epoch %lu is not done", controller->plan.epoch_next);
		return;
	}
	if (controller->stage == SIM_WAIT) {
		sim_traffic_redirect(world);
		quieten_leavers(world);
		if (all_done(world))
			sim_controller_command_all(world, SIM_FORGET);
		return;
	}
	if (controller->stage == SIM_HAND_OVER) {
		sim_traffic_redirect(world);
		quieten_leavers(world);
	}
	if (!give_commands(world))
		return;
	if (controller->stage == SIM_LEARN)
		sim_controller_command_all(world, controller->abandons ? SIM_ABANDON : SIM_HAND_OVER);
	else if (controller->stage == SIM_HAND_OVER)
		controller->stage = SIM_WAIT;
	else if (controller->stage == SIM_ABANDON)
		give_up(world);
	else
		complete(world);
}

bool sim_controller_at_rest(const struct sim_world *world)
{
	const struct sim_controller *controller = &world->controller;

	return controller->stage == SIM_AT_REST && !controller->plans_left && !controller->view.active &&
	       !controller->down_until_ns && !controller->ghost.speaks && sim_deaths_over(world);
}
