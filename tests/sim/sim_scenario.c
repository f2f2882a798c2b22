/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_scenario.h"

#define US UINT64_C(1000)
#define MS SHOAL_NS_PER_MS

static struct sim_mix draw_mix(struct sim_random *random)
{
	static const unsigned keys[] = { 1, 2, 4, 8, 24, 64 };
	struct sim_mix mix = { .keys = keys[sim_random_below(random, sizeof(keys) / sizeof(keys[0]))] };

	mix.call_percent = (unsigned)sim_random_between(random, 0, 60);
	mix.untethered_percent = (unsigned)sim_random_between(random, 0, 100);
	mix.several_percent = (unsigned)sim_random_between(random, 0, 60);
	mix.find_percent = (unsigned)sim_random_between(random, 0, 50);
	mix.remove_percent = sim_random_chance(random, 70) ? (unsigned)sim_random_between(random, 0, 40) : 0;
	mix.hold_percent = (unsigned)sim_random_between(random, 0, 60);
	mix.hold_ns = sim_random_between(random, 1, 30) * MS;
	mix.home_percent = (unsigned)sim_random_between(random, 0, 70);
	mix.idle = sim_random_chance(random, 30);
	return mix;
}

/* Most runs are of no special kind. */
static void draw_kind(struct sim_random *random, struct sim_settings *settings)
{
	switch (sim_random_below(random, 8)) {
	case 0: /* one reference each, and nothing else: P4's formula */
		settings->formula = true;
		settings->plans = 0;
		settings->strands = 1;
		settings->window = 64;
		settings->stall_permille = 0;
		settings->lossy = false;
		settings->link_bytes = 1 << 20;
		settings->members = (unsigned)sim_random_between(random, 1, 8);
		settings->members_most = settings->members;
		settings->mix.several_percent = settings->mix.find_percent = settings->mix.remove_percent = 0;
		settings->mix.idle = false;
		break;
	case 1: /* callers give up */
		settings->gives_up = true;
		settings->steady = false;
		settings->deadline_ns = sim_random_between(random, 5, 60) * MS;
		break;
	case 2: /* tables are too small; calls to full ones are refused, so there are none */
		settings->fills = true;
		settings->objects_max = (uint32_t)sim_random_between(random, 4, 40);
		settings->plans = 0;
		settings->mix.call_percent = 0;
		settings->steady = false;
		break;
	default:
		break;
	}
}

/* Members die, at any instruction; and the controller. */
static void draw_deaths(struct sim_random *random, struct sim_settings *settings)
{
	settings->deaths = (unsigned)sim_random_between(random, 1, 4);
	settings->controller_deaths = (unsigned)(sim_random_chance(random, 50) ? sim_random_between(random, 1, 3) : 0);
	settings->unusable_percent = sim_random_chance(random, 30) ? 50 : 0;
	settings->together_percent = (unsigned)sim_random_between(random, 0, 80);
	settings->members_most = 8;
	settings->fills = false;
	settings->objects_max = 1024;
}

/* Packets through workers, by way of the splitter. */
static void draw_packets(struct sim_random *random, struct sim_settings *settings)
{
	settings->packets = sim_random_between(random, 200, 1200);
	settings->microthreads = (uint32_t)(sim_random_chance(random, 25) ? sim_random_between(random, 1, 6) : 48);
	settings->parked_max = (uint32_t)(sim_random_chance(random, 30) ? sim_random_between(random, 2, 20) : 2048);
	settings->ring_bytes = sim_random_chance(random, 30) ? 8192 : 1 << 17;
	settings->port_full_percent = sim_random_chance(random, 30) ? 30 : 0;
	settings->formula = settings->steady = settings->fills = false;
	settings->objects_max = 1024;
	settings->mix.idle = false;
	settings->strands = SIM_STRANDS_MAX;
}

void sim_scenario_draw(uint64_t seed, struct sim_settings *settings)
{
	struct sim_random random = { .state = seed * 2654435761u };
	static const uint64_t delays[] = { 50 * US, 500 * US, 5 * MS, 20 * MS };
	static const uint64_t links[] = { 24576, 65536, 1 << 20 };

	*settings = (struct sim_settings){ .seed = seed };
	settings->members = (unsigned)sim_random_between(&random, 1, 5);
	settings->members_most = (unsigned)sim_random_between(&random, settings->members, 8);
	settings->strands = (unsigned)sim_random_between(&random, 1, 6);
	settings->window = (uint32_t)(sim_random_chance(&random, 30) ? sim_random_between(&random, 1, 4) : 64);
	settings->objects_max = 1024;
	settings->plans = (unsigned)(sim_random_chance(&random, 25) ? 0 : sim_random_between(&random, 1, 5));
	settings->abandon_percent = 15;
	settings->second_plan_percent = 10;
	settings->operations = 80;
	settings->pause_ns = sim_random_below(&random, 10 * MS);
	settings->mix = draw_mix(&random);
	settings->delay_least_ns = 10 * US;
	settings->delay_most_ns = delays[sim_random_below(&random, 4)];
	settings->poll_least_ns = 100 * US;
	settings->poll_most_ns = sim_random_chance(&random, 50) ? 300 * US : 5 * MS;
	settings->stall_permille = sim_random_chance(&random, 30) ? 5 : 0;
	settings->stall_ns = 300 * MS;
	settings->lossy = sim_random_chance(&random, 25);
	settings->link_bytes = links[sim_random_below(&random, 3)];
	settings->deadline_ns = 60 * SHOAL_NS_PER_S;
	settings->steady = sim_random_chance(&random, 25);
	draw_kind(&random, settings);
	if (sim_random_chance(&random, 30))
		draw_deaths(&random, settings);
	else if (sim_random_chance(&random, 20))
		draw_packets(&random, settings);
	settings->fetches = sim_random_chance(&random, 60) && !settings->formula && !settings->steady;
}

static void reach_first_map(struct sim_world *world)
{
	world->controller.plans_left = 0;
	while (!world->failed && !sim_controller_at_rest(world))
		sim_world_step(world);
}

void sim_scenario_run(struct sim_world *world)
{
	sim_idle_ms = world->settings.mix.idle ? 400 : 0;
	for (uint8_t number = 0; number < world->settings.members; number++)
		sim_member_start(world, number);
	sim_controller_begin_first(world);
	world->formula_from_ns = UINT64_MAX;
	if (world->settings.formula || world->settings.packets)
		reach_first_map(world);
	world->formula_from_ns = world->now_ns;
	if (world->settings.packets)
		sim_traffic_begin(world);
	world->controller.plans_left = world->settings.plans;
	sim_world_run(world);
}
