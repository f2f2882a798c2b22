/* SPDX-License-Identifier: BSD-3-Clause */
/* sim --seeds FIRST COUNT · sim --seed N [--trace] */
#include "sim_world.h"
#include "sim_scenario.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS_WRITTEN 120
#define SECONDS_EACH 60

static struct sim_world world;

static void report(const char *what)
{
	fprintf(stderr, "seed %lu, step %lu: %s\n", world.settings.seed, world.steps, what);
	sim_trace_write(&world.trace, EVENTS_WRITTEN);
	sim_state_write(&world);
	fprintf(stderr, "again with: sim --seed %lu --trace\n", world.settings.seed);
}

static void on_signal(int number)
{
	report(number == SIGABRT ? "aborted" : number == SIGALRM ? "does not end" : "crashed");
	_exit(3);
}

static int run_seed(uint64_t seed, bool aloud)
{
	struct sim_settings settings;
	char sentence[600];
	int failed;

	alarm(SECONDS_EACH);
	sim_scenario_draw(seed, &settings);
	sim_world_init(&world, &settings);
	world.trace.aloud = aloud;
	sim_scenario_run(&world);
	failed = (int)world.failed;
	if (failed) {
		snprintf(sentence, sizeof(sentence), "P%d is broken: %s", failed, world.failure);
		report(sentence);
	}
	sim_world_fini(&world);
	alarm(0);
	return failed;
}

int main(int count, char **arguments)
{
	uint64_t first = 1, seeds = 100;
	bool aloud = false;
	uint64_t failures = 0;

	for (int i = 1; i < count; i++) {
		if (!strcmp(arguments[i], "--seed") && i + 1 < count) {
			first = strtoull(arguments[++i], NULL, 0);
			seeds = 1;
		} else if (!strcmp(arguments[i], "--seeds") && i + 2 < count) {
			first = strtoull(arguments[++i], NULL, 0);
			seeds = strtoull(arguments[++i], NULL, 0);
		} else if (!strcmp(arguments[i], "--trace")) {
			aloud = true;
		} else {
			fprintf(stderr, "usage: sim --seeds FIRST COUNT | --seed N [--trace]\n");
			return 2;
		}
	}
	signal(SIGABRT, on_signal);
	signal(SIGSEGV, on_signal);
	signal(SIGALRM, on_signal);
	for (uint64_t seed = first; seed < first + seeds && !failures; seed++)
		failures += run_seed(seed, aloud) != 0;
	printf("%lu seeds, %lu failed\n", seeds, failures);
	return failures ? 1 : 0;
}
