/* SPDX-License-Identifier: BSD-3-Clause */
/* sim --seeds FIRST COUNT      runs that many worlds; the first one that fails is reported and ends it
 * sim --seed N [--trace]       one world; with --trace every event
 * … --digest                     a number that follows from all bytes that members sent to each other
 * sim --case NAME [--trace]    a directed schedule; sim --cases: their names
 * sim_planted --plant N --seeds FIRST COUNT    breaks the rule planted for property PN, and fails unless that is found; from
 *                                or --case NAME; 11 on: rules for deaths (object/plant.h), which may break any property */
#include "sim_case.h"
#include "sim_scenario.h"
#include "sim_world.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS_WRITTEN 120
#define SECONDS_EACH 300
#define SIM_PROPERTIES 10

#ifdef SHOAL_PLANTED_BUILD
unsigned shoal_planted_bug;
#else
static unsigned shoal_planted_bug; /* none */
#endif

struct arguments {
	uint64_t first, count;
	const char *name; /* of a case */
	bool aloud;
	bool digest; /* print one of all bytes that were sent */
};

static struct sim_world world;
static uint64_t digest; /* of the worlds so far */

static void report(const char *what)
{
	fprintf(stderr, "seed %lu, step %lu: %s\n", world.settings.seed, world.steps, what);
	sim_trace_write(&world.trace, EVENTS_WRITTEN);
	sim_state_write(&world);
	fprintf(stderr, "seed %lu: %s\nagain with: sim --seed %lu --trace\n", world.settings.seed, what,
		world.settings.seed);
}

static void on_signal(int number)
{
	report(number == SIGABRT ? "aborted" : number == SIGALRM ? "does not end" : "crashed");
	_exit(3);
}

/* The property that was broken; 0: none. */
static unsigned run_seed(uint64_t seed, bool aloud)
{
	struct sim_settings settings;
	char sentence[600];
	unsigned failed;

	alarm(SECONDS_EACH);
	sim_scenario_draw(seed, &settings);
	sim_world_init(&world, &settings);
	world.trace.aloud = aloud;
	sim_scenario_run(&world);
	failed = world.failed;
	digest = digest * 31 + world.network.digest;
	if (failed && !shoal_planted_bug) {
		snprintf(sentence, sizeof(sentence), "P%u is broken: %s", failed, world.failure);
		report(sentence);
	}
	sim_world_fini(&world);
	alarm(0);
	return failed;
}

static int run_seeds(const struct arguments *arguments)
{
	for (uint64_t i = 0; i < arguments->count; i++)
		if (run_seed(arguments->first + i, arguments->aloud)) {
			printf("%lu seeds, the last one failed\n", i + 1);
			return 1;
		}
	printf("%lu seeds, none failed\n", arguments->count);
	if (arguments->digest)
		printf("digest %016lx\n", digest);
	return 0;
}

/* Beyond the properties' own bugs: one shows as whatever property breaks; that of a death in a world that has deaths. */
static bool of_any_property(void)
{
	return shoal_planted_bug > SIM_PROPERTIES;
}

static bool of_deaths(void)
{
	return of_any_property() && shoal_planted_bug < SHOAL_PLANT_MARKER_BEFORE_RECORDS;
}

static bool worth_running(uint64_t seed)
{
	struct sim_settings settings;

	sim_scenario_draw(seed, &settings);
	return !of_deaths() || settings.deaths;
}

static int find_planted(const struct arguments *arguments)
{
	unsigned others = 0, failed;

	for (uint64_t i = 0; i < arguments->count; i++) {
		if (!worth_running(arguments->first + i))
			continue;
		failed = run_seed(arguments->first + i, arguments->aloud);
		if (of_any_property() ? failed != 0 : failed == shoal_planted_bug) {
			printf("planted bug %u was found at seed %lu: P%u (%u seeds broke another property before)\n",
				shoal_planted_bug, arguments->first + i, failed, others);
			return 0;
		}
		others += failed != 0;
	}
	printf("planted bug %u was not found in %lu seeds; %u broke another property\n", shoal_planted_bug,
		arguments->count, others);
	return 1;
}

static int run_case(const struct arguments *arguments)
{
	alarm(SECONDS_EACH);
	world.trace.aloud = arguments->aloud;
	if (!sim_case_run(&world, arguments->name)) {
		fprintf(stderr, "no such case: %s\n", arguments->name);
		return 2;
	}
	if (world.failed && shoal_planted_bug)
		printf("planted bug %u was found: P%u\n", shoal_planted_bug, world.failed);
	else if (world.failed)
		report(world.failure);
	return !world.failed == !shoal_planted_bug ? 0 : 1;
}

static int usage(void)
{
	fprintf(stderr, "usage: sim --seeds FIRST COUNT | --seed N [--trace] | --case NAME [--trace] | --cases\n");
	return 2;
}

/* 0 or the exit status. */
static int read_arguments(int count, char **words, struct arguments *arguments)
{
	for (int i = 1; i < count; i++) {
		if (!strcmp(words[i], "--seed") && i + 1 < count)
			*arguments = (struct arguments){ .first = strtoull(words[++i], NULL, 0), .count = 1 };
		else if (!strcmp(words[i], "--seeds") && i + 2 < count) {
			arguments->first = strtoull(words[++i], NULL, 0);
			arguments->count = strtoull(words[++i], NULL, 0);
		} else if (!strcmp(words[i], "--case") && i + 1 < count)
			arguments->name = words[++i];
		else if (!strcmp(words[i], "--plant") && i + 1 < count)
			shoal_planted_bug = (unsigned)strtoul(words[++i], NULL, 0);
		else if (!strcmp(words[i], "--digest"))
			arguments->digest = true;
		else if (!strcmp(words[i], "--trace"))
			arguments->aloud = true;
		else
			return usage();
	}
	return 0;
}

int main(int count, char **words)
{
	struct arguments arguments = { .first = 1, .count = 100 };
	int status;

	if (count == 2 && !strcmp(words[1], "--cases")) {
		sim_case_list();
		return 0;
	}
	status = read_arguments(count, words, &arguments);
	if (status)
		return status;
	signal(SIGABRT, on_signal);
	signal(SIGSEGV, on_signal);
	signal(SIGALRM, on_signal);
	if (arguments.name)
		return run_case(&arguments);
	return shoal_planted_bug ? find_planted(&arguments) : run_seeds(&arguments);
}
