/* SPDX-License-Identifier: BSD-3-Clause */
/* The steps of a reorganisation that a worker takes by itself, between the files of this folder. */
#ifndef SHOAL_KEYSPACE_REORGANISATION_H
#define SHOAL_KEYSPACE_REORGANISATION_H

#include <string.h>
#include "object/space.h"

/* keyspace.c: sends up to `budget` tokens to their next owners. */
unsigned shoal_keyspace_send_tokens(struct shoal_space *space, unsigned budget);
/* sweep.c: tells the leavers that all records of my slots have come. */
void shoal_sweep_say_settled(struct shoal_space *space);
/* sweep.c: whether records of slots whose tokens have been sent are still here. */
bool shoal_sweep_left(const struct shoal_keyspace *keyspace);
/* sweep.c: the entry's record goes if it is one that has to; adds what that cost to *work. False: its receiver is slow. */
bool shoal_sweep_entry(struct shoal_space *space, uint8_t class, uint32_t index, unsigned *work);
/* sweep_steering.c: a plan is learnt in which so many slots get another owner, from whomever. */
void shoal_sweep_steering_plan(struct shoal_space *space, uint32_t slots_moving);
/* sweep.c: an entry is on its way into the cache. */
void shoal_sweep_fetch(const struct shoal_map *map, uint32_t index);
/* sweep.c: hands over records of slots whose tokens have been sent, then says SWEPT; a leaver's objects go to their key
 * owners. Return work done. */
unsigned shoal_sweep_poll(struct shoal_space *space, unsigned budget);
unsigned shoal_sweep_push_held(struct shoal_space *space, unsigned budget);

#endif
