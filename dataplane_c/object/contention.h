/* SPDX-License-Identifier: BSD-3-Clause */
/* What hangs on an object that somebody waits for; most objects have none. All from pools made at start. */
#ifndef SHOAL_OBJECT_CONTENTION_H
#define SHOAL_OBJECT_CONTENTION_H

#include "channel/message.h"

struct shoal_wait;

struct shoal_waiter_node {
	struct shoal_waiter waiter;
	uint32_t next;
};

/* A message kept for later: while a record is being pulled, for a gap before a call, or on its way to myself. */
struct shoal_parked {
	struct shoal_parked *next;
	struct shoal_message message; /* with its body */
};

struct shoal_contention {
	struct shoal_wait *local_first, *local_last; /* microthreads of this worker, in order */
	uint64_t asked_ns; /* when the request that is under way was sent */
	uint32_t successors; /* holder: to whom the object goes next, in order (waiter nodes) */
	uint32_t waiters; /* key owner: who asked, in order (waiter nodes) */
	uint32_t missing; /* key owner: leases up to the record's whose PASSED has not come yet */
	struct shoal_parked *parked_first,
		*parked_last; /* key owner: messages until the record, or a PASSED, is here */
	uint64_t recall_incarnation; /* a RECALL that overtook its GRANT [m 2] */
	uint32_t recall_lease; /* 0: none kept */
	uint32_t keep; /* holder: local uses that the object may still serve before it is passed on */
	uint32_t free_next;
};

struct shoal_contention_pool {
	struct shoal_contention *contentions; /* index 0 unused */
	struct shoal_waiter_node *nodes; /* index 0 unused */
	uint8_t *blocks; /* of parked messages */
	struct shoal_parked *blocks_free;
	uint32_t contentions_count, nodes_count, blocks_count;
	uint32_t contentions_free, nodes_free;
	uint32_t contentions_used, contentions_high, nodes_used, nodes_high, blocks_used, blocks_high;
	size_t block_bytes;
	uint32_t parked; /* messages parked now */
};

SHOAL_MUST_USE int shoal_contention_init(struct shoal_contention_pool *pool, uint32_t contentions, uint32_t nodes,
	uint32_t blocks, size_t message_bytes);
void shoal_contention_fini(struct shoal_contention_pool *pool);

uint32_t shoal_contention_get(struct shoal_contention_pool *pool);
void shoal_contention_put(struct shoal_contention_pool *pool, uint32_t index);
bool shoal_contention_empty(const struct shoal_contention *contention);

/* Lists of waiters; `list` is the first node's index. A member is there once, with its latest request: a later one goes to
 * the end. */
void shoal_waiters_add(struct shoal_contention_pool *pool, uint32_t *list, struct shoal_waiter waiter);
/* Strikes a member's entry with a request number up to and including `request` [m 7]. */
void shoal_waiters_strike(struct shoal_contention_pool *pool, uint32_t *list, uint8_t member, uint32_t request);
bool shoal_waiters_pop(struct shoal_contention_pool *pool, uint32_t *list, struct shoal_waiter *waiter);
/* Copies up to `room` into an array. Returns how many. */
unsigned shoal_waiters_copy(
	const struct shoal_contention_pool *pool, uint32_t list, struct shoal_waiter *array, unsigned room);
void shoal_waiters_clear(struct shoal_contention_pool *pool, uint32_t *list);

/* Keeps a copy of a message. */
struct shoal_parked *shoal_parked_get(struct shoal_contention_pool *pool, uint32_t length);
void shoal_parked_put(struct shoal_contention_pool *pool, struct shoal_parked *parked);

#endif
