/* SPDX-License-Identifier: BSD-3-Clause */
/* What the world was told was done: against this the objects' contents are compared, at every access and at rest. */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include "sim_classes.h"

#define SIM_STRANDS_MAX 16 /* the upper half is for directed schedules */

/* One key of a single-writer class. */
struct sim_single {
	uint32_t constructions;
	/* From when its maker is told that it made it. One that is constructed and not wanted any more ends unseen. */
	bool alive;
	uint32_t life; /* which construction it was */
	uint64_t updates; /* accepted, in this life */
	uint64_t absent_last_step; /* last step in which there was none */
	uint8_t holder; /* member whose handle was HELD when it was last looked at */
	bool shaken; /* whoever had it is dead, and nobody could adopt it: it may be gone, or what it once was */
	bool named; /* while it is shaken: a survivor's record names it, so that the report does */
	uint8_t maker; /* of the latest one */
	uint32_t may_live; /* a life whose maker died before it was told that it had made it; 0: none */
	bool may_have_ended; /* somebody died while removing it */
};

/* One key of the multi-writer class. */
struct sim_shared {
	uint64_t accepted; /* sum of what calls that were accepted carried */
	uint64_t applied; /* sum of what has been applied */
	bool shaken;
	uint32_t applications;
	/* Of each strand: last sequence number given out, last one applied. */
	uint32_t issued[SHOAL_MEMBERS_MAX][SIM_STRANDS_MAX];
	uint32_t seen[SHOAL_MEMBERS_MAX][SIM_STRANDS_MAX];
};

/* What a call carries follows from its number. */
static inline uint64_t sim_amount(uint32_t sequence)
{
	return 1 + sequence % 997;
}

/* A call whose caller gave up: it may be applied or not. */
struct sim_doubt {
	uint32_t sequence;
	uint16_t key;
	uint8_t member, strand;
};
#define SIM_DOUBTS_MAX 65536

struct sim_ledger {
	struct sim_doubt doubts[SIM_DOUBTS_MAX];
	unsigned doubts_count;
	struct sim_single single[SIM_SINGLE_CLASSES][SIM_KEYS_MAX];
	struct sim_shared shared[SIM_KEYS_MAX];
	uint64_t updates, calls, lives, ends;
};

/* An object is taken: is it what the ledger says? Fails the world if not. */
void sim_ledger_compare(struct sim_world *world, uint8_t member, unsigned class, const struct sim_object *object);
/* Its maker is told that it made it. */
void sim_ledger_announce(struct sim_world *world, uint8_t member, unsigned class, const struct sim_object *object);
/* Changes the object, and notes it. */
void sim_ledger_update(struct sim_world *world, unsigned class, struct sim_object *object);
/* The object was removed. */
void sim_ledger_end(struct sim_world *world, unsigned class, unsigned key);
/* A take that began in that step was told that there is none. */
void sim_ledger_absent(struct sim_world *world, uint8_t member, unsigned class, unsigned key, uint64_t since_step);
/* Such a call may be applied or not; noted once. */
void sim_ledger_doubt(struct sim_world *world, struct sim_doubt doubt);
/* A call that is in doubt will not be applied any more. False: it is not in doubt. */
bool sim_ledger_give_up(struct sim_world *world, struct sim_doubt doubt);
/* From the classes' own functions. */
void sim_ledger_construct(struct sim_world *world, uint8_t member, unsigned class, struct sim_object *object);
void sim_ledger_apply(
	struct sim_world *world, uint8_t member, unsigned key, struct sim_counter *counter, const struct sim_add *add);

#endif
