/* SPDX-License-Identifier: BSD-3-Clause */
/* The controller's own end: it comes back with the next term and what it had persisted (the plan's stage, the view), and
 * gives the commands of that stage again; the one before may speak once more, and is refused wherever the new one has been
 * heard. */
#include <errno.h>
#include "sim_world.h"

#define AWAY_MOST_NS (300 * SHOAL_NS_PER_MS)

static void leave_ghost(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;
	struct sim_ghost *ghost = &controller->ghost;

	ghost->speaks = sim_random_chance(&world->random, 60);
	ghost->stage = controller->stage;
	ghost->term = controller->term;
	ghost->epoch = controller->plan.epoch_next;
	ghost->plan = controller->plan;
	ghost->view = controller->view.active && controller->view.phase != SIM_VIEW_ADOPT;
	ghost->death = controller->view.death;
	ghost->told = 0;
	ghost->until_ns = world->now_ns + 3 * AWAY_MOST_NS;
	for (unsigned member = 0; member < SHOAL_MEMBERS_MAX; member++)
		ghost->life[member] = world->members[member] ? world->members[member]->life : 0;
	for (unsigned member = 0; member < SHOAL_MEMBERS_MAX; member++)
		ghost->due_ns[member] = world->now_ns + sim_random_below(&world->random, 2 * AWAY_MOST_NS);
}

/* Term, view and plan as far as they were persisted; whom it had told it does not know. */
static void come_back(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;

	controller->down_until_ns = 0;
	controller->plan.term = ++controller->term;
	sim_note(world, "the controller is back, term %ld, plan in stage %ld", (long)controller->term,
		controller->stage);
	if (controller->view.active) {
		controller->view.death.term = controller->term;
		controller->view.phase = SIM_VIEW_ADOPT;
		controller->view.told = 0;
	}
	if (controller->stage == SIM_LEARN && controller->epoch)
		controller->abandons |= sim_random_chance(&world->random, 30);
	if (controller->stage != SIM_AT_REST)
		sim_controller_command_all(world, controller->stage == SIM_WAIT ? SIM_HAND_OVER : controller->stage);
}

static void speak(struct sim_world *world, uint8_t number)
{
	const struct sim_ghost *ghost = &world->controller.ghost;
	struct shoal_keyspace *keyspace = &world->members[number]->space->keyspace;
	uint64_t term = keyspace->term;
	int stage = keyspace->stage, view_stage = world->members[number]->space->view.stage, error;

	if (ghost->view)
		error = shoal_view_death(world->members[number]->space, &ghost->death);
	else
		error = sim_controller_command(world, number, ghost->stage == SIM_WAIT ? SIM_HAND_OVER : ghost->stage,
			&ghost->plan, ghost->term);
	sim_note(world, "member %ld: term %ld speaks again, answered %ld", number, (long)ghost->term, error);
	if (term > ghost->term && (error != -ESTALE || keyspace->stage != stage || keyspace->term != term ||
					  world->members[number]->space->view.stage != view_stage))
		sim_fail(world, 7, "member %u, which has heard term %lu, answered %d to term %lu", number, term, error,
			ghost->term);
}

static void ghost_poll(struct sim_world *world)
{
	struct sim_ghost *ghost = &world->controller.ghost;

	if ((ghost->stage == SIM_AT_REST && !ghost->view) || world->now_ns > ghost->until_ns)
		ghost->speaks = false;
	for (uint8_t number = 0; number < world->settings.members_most && ghost->speaks; number++) {
		if (!world->members[number] || ghost->told >> number & 1 || ghost->due_ns[number] > world->now_ns)
			continue;
		ghost->told |= UINT64_C(1) << number;
		/* A life that it never knew does not listen to it. */
		if (ghost->view ? ghost->death.survivor[number] && ghost->life[number] == world->members[number]->life
				: ghost->plan.life[number] == world->members[number]->life)
			speak(world, number);
	}
}

bool sim_reign_poll(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;

	if (controller->down_until_ns) {
		if (world->now_ns < controller->down_until_ns)
			return true;
		come_back(world);
	}
	ghost_poll(world);
	if (!controller->crashes_left || world->now_ns < controller->crash_ns || !controller->epoch)
		return false;
	leave_ghost(world);
	controller->crashes_left--;
	controller->crashes++;
	controller->down_until_ns = world->now_ns + 1 + sim_random_below(&world->random, AWAY_MOST_NS);
	controller->crash_ns = controller->down_until_ns + sim_random_below(&world->random, 4 * AWAY_MOST_NS);
	sim_note(world, "the controller dies in stage %ld", controller->stage);
	return true;
}

void sim_reign_check(struct sim_world *world, uint8_t number)
{
	if (world->members[number]->space->keyspace.term != world->controller.term)
		sim_fail(world, 7, "member %u has done what term %lu told it, and would listen to term %lu", number,
			world->controller.term, world->members[number]->space->keyspace.term);
}
