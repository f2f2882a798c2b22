/* SPDX-License-Identifier: BSD-3-Clause */
/* Which of the ready microthreads runs next. Nearly all are woken in the order in which they are to run: these stand in a
 * line. Whoever comes before the line's last goes into a four-way heap (four children in one cache line); who leaves is the
 * first of either. Arrays are allocated once. Equal orders leave in the order of their sequence numbers, which may wrap. */
#ifndef SHOAL_SCHED_READY_QUEUE_H
#define SHOAL_SCHED_READY_QUEUE_H

#include <shoal/types.h>

struct shoal_ready_entry {
	uint64_t order;
	uint32_t sequence;
	uint32_t index; /* the caller's */
};

struct shoal_ready_queue {
	struct shoal_ready_entry *entries; /* owns; the heap */
	struct shoal_ready_entry *line; /* owns; in order, `line_count` of them from `line_first` on, round the end */
	unsigned count; /* of both */
	unsigned line_first, line_count;
	unsigned room; /* of each */
};

SHOAL_MUST_USE int shoal_ready_queue_init(struct shoal_ready_queue *queue, unsigned room);
void shoal_ready_queue_fini(struct shoal_ready_queue *queue);
/* There must be room. */
void shoal_ready_queue_push(struct shoal_ready_queue *queue, struct shoal_ready_entry entry);
/* The index of the first; it must not be empty. */
uint32_t shoal_ready_queue_pop(struct shoal_ready_queue *queue);

#endif
