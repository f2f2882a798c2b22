/* SPDX-License-Identifier: BSD-3-Clause */
/* A small controller: carries plans out as the real one does, over commands that reach each member at their own time. */
#ifndef SIM_CONTROLLER_H
#define SIM_CONTROLLER_H

#include "keyspace/keyspace.h"

struct sim_world;

struct sim_member;

enum sim_controller_stage { SIM_AT_REST, SIM_LEARN, SIM_ABANDON, SIM_HAND_OVER, SIM_WAIT, SIM_FORGET };

/* A view change, as the controller carries it out (docs/view-change.md). */
enum sim_view_phase { SIM_VIEW_ADOPT, SIM_VIEW_TELL, SIM_VIEW_SETTLE };

struct sim_view {
	bool active;
	enum sim_view_phase phase;
	struct shoal_death death;
	uint8_t owner_now[SHOAL_SLOTS], owner_next[SHOAL_SLOTS]; /* when the first of them died */
	uint64_t members; /* who takes part, dead or alive */
	uint64_t told;
	uint64_t due_ns[SHOAL_MEMBERS_MAX];
	uint64_t number_last;
	uint64_t refused; /* dead members whose slabs an adopter could not open */
	uint8_t adopter_asked[SHOAL_MEMBERS_MAX]; /* a directed schedule's: by dead member the adopter + 1; 0: drawn */
};

/* An earlier controller that has been given up, and speaks again. */
struct sim_ghost {
	bool speaks;
	enum sim_controller_stage stage;
	uint64_t term, epoch;
	uint64_t until_ns;
	bool view; /* speaks of that */
	struct shoal_plan plan;
	struct shoal_death death;
	uint64_t life[SHOAL_MEMBERS_MAX]; /* of those that it knew */
	uint64_t told;
	uint64_t due_ns[SHOAL_MEMBERS_MAX];
};

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
	uint64_t packets_left, moved_ns; /* how many have left their ports, and when the last one did */
	unsigned plans_left;
	unsigned plans_done, plans_abandoned, plans_refused, plans_interrupted;
	uint64_t longest_ns;
	bool abandons; /* the plan under way is to be abandoned */
	struct sim_view view;
	struct sim_ghost ghost;
	uint64_t down_until_ns; /* its process has ended; 0: it runs */
	unsigned crashes_left, crashes;
	uint64_t crash_ns; /* of the next one */
	bool by_hand; /* a directed schedule gives the commands */
};

/* The first map, over members 0 … count - 1, which have been started; a plan like any other. */
void sim_controller_begin_first(struct sim_world *world);
/* A plan to the given members, over all slots anew where `shuffle`, else with the fewest moves. Starts those that join. */
void sim_controller_begin(struct sim_world *world, uint64_t members, bool shuffle);
/* Moves on: gives commands that are due, looks at who is done. */
void sim_controller_poll(struct sim_world *world);
bool sim_controller_at_rest(const struct sim_world *world);

/* --- Between the files of the controller --- */

/* Gives the plan's stage's command to all concerned (again). */
void sim_controller_command_all(struct sim_world *world, enum sim_controller_stage stage);
/* The command of that stage, as that controller gives it. */
int sim_controller_command(struct sim_world *world, uint8_t member, enum sim_controller_stage stage,
	const struct shoal_plan *plan, uint64_t term);
/* Who takes part in a view change, dead or alive. */
uint64_t sim_controller_members(const struct sim_world *world);
/* Ends a plan under way because members have died; returns who takes part in the view change. */
uint64_t sim_controller_interrupt(struct sim_world *world);
/* One that was to join, or was about to go, is dead: it is no member. */
void sim_controller_other_died(struct sim_world *world, uint8_t number);

/* sim_mourning.c: what is done when members have died. True: nothing else is done meanwhile. */
bool sim_mourning_poll(struct sim_world *world);

/* sim_reign.c: the controller's own deaths. True: it is down. */
bool sim_reign_poll(struct sim_world *world);
/* A member has done what this controller told it: it listens to no earlier one any more. */
void sim_reign_check(struct sim_world *world, uint8_t member);

#endif
