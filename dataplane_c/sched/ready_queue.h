/* SPDX-License-Identifier: BSD-3-Clause */
/* Which of the ready microthreads runs next: a four-way heap in an array that is allocated once. Four children lie in one
 * cache line. Equal orders leave in the order of their sequence numbers, which may wrap. */
#ifndef SHOAL_SCHED_READY_QUEUE_H
#define SHOAL_SCHED_READY_QUEUE_H

#include <shoal/types.h>

struct shoal_ready_entry {
	uint64_t order;
	uint32_t sequence;
	uint32_t index; /* the caller's */
};

struct shoal_ready_queue {
	struct shoal_ready_entry *entries; /* owns */
	unsigned count;
	unsigned room;
};

SHOAL_MUST_USE int shoal_ready_queue_init(struct shoal_ready_queue *queue, unsigned room);
void shoal_ready_queue_fini(struct shoal_ready_queue *queue);
/* There must be room. */
void shoal_ready_queue_push(struct shoal_ready_queue *queue, struct shoal_ready_entry entry);
/* The index of the first; it must not be empty. */
uint32_t shoal_ready_queue_pop(struct shoal_ready_queue *queue);

#endif
