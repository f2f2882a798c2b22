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
/* sweep.c: hands over records of slots whose tokens have been sent, then says SWEPT; a leaver's objects go to their key
 * owners. Return work done. */
unsigned shoal_sweep_poll(struct shoal_space *space, unsigned budget);
unsigned shoal_sweep_push_held(struct shoal_space *space, unsigned budget);

#endif
