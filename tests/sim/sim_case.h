/* SPDX-License-Identifier: BSD-3-Clause */
/* Named cases: directed schedules for races that random seeds hide, and those that broke the prototype (dso.md). */
#ifndef SIM_CASE_H
#define SIM_CASE_H

#include "sim_world.h"

struct sim_case {
	const char *name;
	void (*run)(struct sim_world *world); /* makes the world */
};

/* One list for each file of cases; ends with an empty one. */
extern const struct sim_case sim_race_cases[];
extern const struct sim_case sim_prototype_cases[];
extern const struct sim_case sim_million_cases[];
extern const struct sim_case sim_death_cases[];

/* False: no such case. What it finds is in world->failed. */
bool sim_case_run(struct sim_world *world, const char *name);
/* Names, one to a line. */
void sim_case_list(void);

#endif
