/* SPDX-License-Identifier: BSD-3-Clause */
/* A small controller: carries plans out as the real one does, over commands that reach each member at their own time. */
#ifndef SIM_CONTROLLER_H
#define SIM_CONTROLLER_H

#include "keyspace/keyspace.h"

struct sim_world;

enum sim_controller_stage { SIM_AT_REST, SIM_LEARN, SIM_ABANDON, SIM_HAND_OVER, SIM_WAIT, SIM_FORGET };

struct sim_controller {
	enum sim_controller_stage stage;
	struct shoal_plan plan;
	uint8_t owner[SHOAL_SLOTS]; /* of the map in force */
	uint64_t members; /* of it; bit for each */
	uint64_t joining, leaving;
	uint64_t told; /* who has had the present stage's command */
	uint64_t due_ns[SHOAL_MEMBERS_MAX]; /* when it reaches them */
	uint64_t quiet_ns[SHOAL_MEMBERS_MAX]; /* when a leaver gets no more work */
	uint64_t handed; /* who has been told to hand over */
	uint64_t markers_back;
	uint64_t epoch, epoch_last, term;
	uint64_t began_ns, next_ns;
	unsigned plans_left;
	unsigned plans_done, plans_abandoned, plans_refused;
	uint64_t longest_ns;
	bool abandons; /* the plan under way is to be abandoned */
	bool by_hand; /* a directed schedule gives the commands */
};

/* The first map, over members 0 … count - 1, which have been started; a plan like any other. */
void sim_controller_begin_first(struct sim_world *world);
/* A plan to the given members, over all slots anew where `shuffle`, else with the fewest moves. Starts those that join. */
void sim_controller_begin(struct sim_world *world, uint64_t members, bool shuffle);
/* Moves on: gives commands that are due, looks at who is done. */
void sim_controller_poll(struct sim_world *world);
bool sim_controller_at_rest(const struct sim_world *world);

#endif
