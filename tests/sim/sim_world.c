/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_world.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Virtual time after which a world that has nothing new to do must be at rest. */
#define REST_MOST_NS (240 * SHOAL_NS_PER_S)

void sim_fail(struct sim_world *world, unsigned property, const char *sentence, ...)
{
	va_list arguments;

	if (world->failed)
		return;
	world->failed = property;
	va_start(arguments, sentence);
	vsnprintf(world->failure, sizeof(world->failure), sentence, arguments);
	va_end(arguments);
	sim_note_text(world, world->failure, "BROKEN P%2$ld: %1$s", property);
}

static void draw_delays(struct sim_world *world)
{
	struct sim_network *network = &world->network;
	uint64_t least = world->settings.delay_least_ns, most = world->settings.delay_most_ns;

	for (unsigned from = 0; from < world->settings.members_most; from++)
		for (unsigned to = 0; to < world->settings.members_most; to++) {
			struct sim_pair *pair = &network->pairs[from][to];

			pair->delay_min_ns = sim_random_between(&world->random, least, most);
			pair->delay_max_ns = sim_random_between(&world->random, pair->delay_min_ns, most);
		}
}

void sim_world_init(struct sim_world *world, const struct sim_settings *settings)
{
	memset(world, 0, sizeof(*world));
	world->settings = *settings;
	world->random.state = settings->seed;
	world->now_ns = SHOAL_NS_PER_S;
	sim_network_init(&world->network, world);
	world->network.random.state = settings->seed ^ 0x6e6574;
	world->network.reliable = !settings->lossy;
	if (settings->lossy) {
		world->network.loss_percent = (unsigned)sim_random_between(&world->random, 1, 10);
		world->network.repeat_percent = (unsigned)sim_random_between(&world->random, 0, 10);
		world->network.overtake_percent = (unsigned)sim_random_between(&world->random, 0, 20);
	}
	world->network.capacity_bytes = settings->link_bytes;
	draw_delays(world);
	for (unsigned class = 0; class < SIM_SINGLE_CLASSES; class ++)
		for (unsigned key = 0; key < SIM_KEYS_MAX; key++)
			world->ledger.single[class][key].holder = SHOAL_MEMBER_NONE;
	if (settings->packets)
		sim_traffic_init(world);
	world->controller.term = 1;
	world->controller.plans_left = settings->plans;
	world->controller.crashes_left = settings->controller_deaths;
	world->deaths.left = settings->deaths;
	world->deaths.exact = settings->deaths || settings->deaths_by_hand;
}

void sim_world_fini(struct sim_world *world)
{
	for (unsigned number = 0; number < SHOAL_MEMBERS_MAX; number++)
		if (world->members[number])
			sim_member_end(world, (uint8_t)number);
	sim_deaths_fini(world);
	sim_network_fini(&world->network);
	if (world->settings.packets)
		sim_traffic_fini(world);
}

static struct sim_member *next_member(struct sim_world *world)
{
	struct sim_member *next = NULL;

	for (unsigned number = 0; number < world->settings.members_most; number++) {
		struct sim_member *member = world->members[number];

		if (member && (!next || member->poll_due_ns < next->poll_due_ns))
			next = member;
	}
	return next;
}

static void schedule(struct sim_world *world, struct sim_member *member)
{
	const struct sim_settings *settings = &world->settings;
	uint64_t mean = member->poll_mean_ns;

	member->poll_due_ns = world->now_ns + mean / 2 + sim_random_below(&world->random, mean + 1);
	if (settings->stall_permille && sim_random_below(&world->random, 1000) < settings->stall_permille)
		member->poll_due_ns += sim_random_below(&world->random, settings->stall_ns + 1);
}

static void step_traffic(struct sim_world *world)
{
	struct sim_traffic *traffic = &world->traffic;

	if (traffic->poll_due_ns > world->now_ns)
		world->now_ns = traffic->poll_due_ns;
	sim_traffic_poll(world);
	traffic->poll_due_ns =
		world->now_ns + traffic->poll_mean_ns / 2 + sim_random_below(&world->random, traffic->poll_mean_ns + 1);
	sim_traffic_check(world);
}

void sim_world_step(struct sim_world *world)
{
	struct sim_member *member;

	world->steps++;
	sim_deaths_poll(world);
	sim_controller_poll(world);
	member = next_member(world);
	if (!member) { /* nobody lives; the controller will do something about it */
		world->now_ns += SHOAL_NS_PER_MS;
		return;
	}
	if (world->settings.packets && world->traffic.poll_due_ns <= member->poll_due_ns) {
		step_traffic(world);
		return;
	}
	if (member->poll_due_ns > world->now_ns)
		world->now_ns = member->poll_due_ns;
	sim_member_poll(member);
	if (!world->members[member->number])
		return;
	schedule(world, member);
	sim_check_step(world, member);
}

static bool member_at_rest(const struct sim_member *member)
{
	const struct shoal_space *space = member->space;

	for (unsigned i = 0; i < SIM_STRANDS_MAX; i++)
		if (member->strands[i].busy)
			return false;
	return !sim_member_asked(member) && !shoal_space_frozen(space) &&
	       !shoal_scheduler_suspended(member->scheduler) && !space->fetches && !space->outstanding &&
	       !space->waiting && !space->loopback_first && !space->settle_count && !space->contention.blocks_used &&
	       shoal_channel_idle(space->channel) && space->idle_tasks_head == space->idle_tasks_tail;
}

bool sim_world_at_rest(const struct sim_world *world)
{
	if (world->network.frames || !sim_controller_at_rest(world) ||
		(world->settings.packets && !sim_traffic_at_rest(world)))
		return false;
	for (unsigned number = 0; number < SHOAL_MEMBERS_MAX; number++)
		if (world->members[number] && !member_at_rest(world->members[number]))
			return false;
	return true;
}

/* Enough was done, and no plan is left. */
static bool work_done(const struct sim_world *world)
{
	if (!sim_controller_at_rest(world))
		return false;
	if (world->settings.packets)
		return !world->traffic.packets_left;
	for (unsigned number = 0; number < SHOAL_MEMBERS_MAX; number++)
		if (world->members[number] && world->members[number]->operations_left)
			return false;
	return true;
}

static void run_until_rest(struct sim_world *world)
{
	uint64_t rest_ns;

	while (!world->failed && !work_done(world))
		sim_world_step(world);
	world->drained = true;
	rest_ns = world->now_ns + REST_MOST_NS;
	while (!world->failed && !sim_world_at_rest(world)) {
		sim_world_step(world);
		if (world->now_ns > rest_ns)
			sim_fail(world, 4, "something is still under way when nothing new was asked for long");
	}
	if (!world->failed)
		sim_check_at_rest(world);
	world->drained = false;
}

/* Every member works on objects that no other asks for; once it holds them that costs no message (P10). */
static void run_steady(struct sim_world *world)
{
	const struct sim_mix own = { .keys = world->settings.mix.keys, .home_percent = 100, .several_percent = 30 };
	uint64_t messages = 0;

	world->settings.mix = own;
	sim_idle_ms = 0;
	for (unsigned round = 0; round < 2 && !world->failed; round++) {
		messages = world->network.messages;
		sim_note(world, "steady round %ld", round);
		for (unsigned number = 0; number < SHOAL_MEMBERS_MAX; number++)
			if (world->members[number])
				world->members[number]->operations_left = 60;
		run_until_rest(world);
	}
	if (!world->failed && world->network.messages != messages)
		sim_fail(world, 10, "%lu messages were sent while every member used what it holds",
			world->network.messages - messages);
}

void sim_world_run(struct sim_world *world)
{
	run_until_rest(world);
	if (!world->failed && world->settings.steady)
		run_steady(world);
}
