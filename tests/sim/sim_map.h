/* SPDX-License-Identifier: BSD-3-Clause */
/* Maps of a plan: the owner of each slot. */
#ifndef SIM_MAP_H
#define SIM_MAP_H

#include <stdint.h>

struct sim_world;

/* Every slot goes anywhere. */
void sim_map_shuffle(struct sim_world *world, uint64_t members, uint8_t *owner);
/* Slots of members that are gone, and those that somebody has too many of, go to those that have too few. */
void sim_map_balance(struct sim_world *world, uint64_t members, uint8_t *owner);

#endif
