/* SPDX-License-Identifier: BSD-3-Clause */
/* Directed schedules: a world that does only what it is told, pair by pair and operation by operation. */
#ifndef SIM_DIRECT_H
#define SIM_DIRECT_H

#include "sim_case.h"

/* Members 0 … members - 1 with the first map; every pair takes a millisecond, every member polls each 0.1 ms. Key owners
 * are told by sim_owner_key. */
void sim_direct_begin(struct sim_world *world, unsigned members);
void sim_direct_begin_with(struct sim_world *world, const struct sim_settings *settings);
struct sim_settings sim_direct_settings(unsigned members);
/* Goes on until everything asked for is over, and checks what must be true at rest. */
void sim_direct_end(struct sim_world *world);

/* A key of that class whose slot the member owns by the map in force and, where `next` is a member, the other one by the
 * plan's; `nth` of them. */
unsigned sim_key_owned(struct sim_world *world, unsigned class, uint8_t owner, uint8_t next, unsigned nth);

/* Asks a member for something; it begins at its next poll. Up to SIM_ASKS_MAX at once. Returns its number there. */
unsigned sim_ask(struct sim_world *world, uint8_t member, const struct sim_operation *operation);
unsigned sim_ask_take(
	struct sim_world *world, uint8_t member, unsigned class, unsigned key, bool create, uint64_t hold_ns);
unsigned sim_ask_remove(struct sim_world *world, uint8_t member, unsigned class, unsigned key);
unsigned sim_ask_call(struct sim_world *world, uint8_t member, unsigned key, bool untethered);
/* -EINPROGRESS until it is over. */
int sim_answer(struct sim_world *world, uint8_t member, unsigned ask);
/* Runs until it is over, with that answer. */
void sim_expect_answer(struct sim_world *world, uint8_t member, unsigned ask, int answer);

/* Lets nothing arrive from one member to another, or everything again. */
void sim_hold(struct sim_world *world, uint8_t from, uint8_t to);
void sim_let(struct sim_world *world, uint8_t from, uint8_t to);
void sim_run_ms(struct sim_world *world, unsigned milliseconds);
/* The plan to those members is begun; then its commands go to one member at a time, and are answered. */
void sim_plan_by_hand(struct sim_world *world, uint64_t members);
int sim_learn(struct sim_world *world, uint8_t member);
int sim_hand_over(struct sim_world *world, uint8_t member);
/* All that is left of the plan goes by itself again. */
void sim_plan_let(struct sim_world *world);

/* Worlds of directed deaths: settings for sim_direct_begin_with. */
struct sim_settings sim_direct_mortal(unsigned members);
/* The member's process ends now; the controller notices, and has its slabs adopted by that one. */
void sim_die(struct sim_world *world, uint8_t member, uint8_t adopter);
/* Runs until the member has come to that stage of that view. */
void sim_run_to_stage(struct sim_world *world, uint8_t member, uint64_t view, int stage);
/* Runs until the view is complete everywhere. */
void sim_run_to_recovery(struct sim_world *world);
/* The member's entry for a key; NULL: there is none. */
struct shoal_entry *sim_entry(struct sim_world *world, uint8_t member, unsigned class, unsigned key);

/* Fails the world unless it is so. */
void sim_expect(struct sim_world *world, bool so, const char *what);

#endif
