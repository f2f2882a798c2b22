/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_case.h"
#include <stdio.h>
#include <string.h>

static const struct sim_case *const lists[] = { sim_race_cases, sim_prototype_cases, sim_million_cases,
	sim_death_cases };

bool sim_case_run(struct sim_world *world, const char *name)
{
	for (unsigned list = 0; list < sizeof(lists) / sizeof(lists[0]); list++)
		for (const struct sim_case *at = lists[list]; at->name; at++)
			if (!strcmp(at->name, name)) {
				at->run(world);
				return true;
			}
	return false;
}

void sim_case_list(void)
{
	for (unsigned list = 0; list < sizeof(lists) / sizeof(lists[0]); list++)
		for (const struct sim_case *at = lists[list]; at->name; at++)
			printf("%s\n", at->name);
}
