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
}

void sim_scenario_run(struct sim_world *world)
{
	sim_idle_ms = world->settings.mix.idle ? 400 : 0;
	for (uint8_t number = 0; number < world->settings.members; number++)
		sim_member_start(world, number);
	sim_controller_begin_first(world);
	sim_world_run(world);
}
