/* SPDX-License-Identifier: BSD-3-Clause */
/* What the world was told was done: against this the objects' contents are compared, at every access and at rest. */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include "sim_calls.h"
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
	bool shaken; /* it may be lost, or again what it once was: the first look at it tells */
	uint32_t applications;
	uint32_t log_last; /* index + 1 of its latest call in the log */
	/* Of each strand: last sequence number given out, last one applied. */
	uint32_t issued[SHOAL_MEMBERS_MAX][SIM_STRANDS_MAX];
	uint32_t seen[SHOAL_MEMBERS_MAX][SIM_STRANDS_MAX];
};

/* What a call carries follows from its number. */
static inline uint64_t sim_amount(uint32_t sequence)
{
	return 1 + sequence % 997;
}

/* A call that was applied, in the order of all; those of one counter are chained. */
struct sim_applied {
	struct sim_call call;
	uint32_t before; /* index + 1 of the one before it; 0: it was the first */
};
#define SIM_APPLIED_MAX 65536 /* in worlds where members die */
#define SIM_GONE_MAX 65536

struct sim_ledger {
	struct sim_call gone[SIM_GONE_MAX]; /* calls that will never be applied */
	struct sim_call undone[SIM_GONE_MAX]; /* applied to an object that was lost: each may be applied once more */
	unsigned gone_count, undone_count;
	struct sim_applied log[SIM_APPLIED_MAX];
	uint32_t log_count;
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
/* The call lies nowhere any more, and is never to be applied. */
void sim_ledger_lose(struct sim_world *world, struct sim_call call);
bool sim_ledger_gone(const struct sim_world *world, struct sim_call call);
/* A counter that a death may have taken is looked at; NULL: there is none. What was applied to the lost one is undone. */
void sim_ledger_go_back(struct sim_world *world, unsigned key, const struct sim_counter *counter);
/* From the classes' own functions. */
void sim_ledger_construct(struct sim_world *world, uint8_t member, unsigned class, struct sim_object *object);
void sim_ledger_apply(
	struct sim_world *world, uint8_t member, unsigned key, struct sim_counter *counter, const struct sim_add *add);

#endif
