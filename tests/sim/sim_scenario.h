/* SPDX-License-Identifier: BSD-3-Clause */
/* From a seed to a world's settings, and the run itself. */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "sim_world.h"

void sim_scenario_draw(uint64_t seed, struct sim_settings *settings);
/* Starts the members, lets the first plan be carried out, runs to the end. */
void sim_scenario_run(struct sim_world *world);

#endif
