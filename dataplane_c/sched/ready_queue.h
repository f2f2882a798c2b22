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
	struct shoal_ready_entry
		*line; /* owns; in order, from `line_first` to before `line_end`, which count on: modulo its size */
	uint32_t line_first, line_end;
	uint32_t line_mask; /* its size is a power of two */
	uint32_t heap_count;
	struct shoal_ready_entry *heap; /* owns */
};

SHOAL_MUST_USE int shoal_ready_queue_init(struct shoal_ready_queue *queue, unsigned room);
void shoal_ready_queue_fini(struct shoal_ready_queue *queue);

void shoal_ready_heap_push(struct shoal_ready_queue *queue, struct shoal_ready_entry entry);
uint32_t shoal_ready_heap_pop(struct shoal_ready_queue *queue);

static inline unsigned shoal_ready_queue_count(const struct shoal_ready_queue *queue)
{
	return queue->line_end - queue->line_first + queue->heap_count;
}

static inline bool shoal_ready_before(const struct shoal_ready_entry *one, const struct shoal_ready_entry *other)
{
	if (SHOAL_LIKELY(one->order != other->order))
		return one->order < other->order;
	return (int32_t)(one->sequence - other->sequence) < 0;
}

/* There must be room. */
static inline void shoal_ready_queue_push(struct shoal_ready_queue *queue, struct shoal_ready_entry entry)
{
	uint32_t end = queue->line_end;

	if (SHOAL_UNLIKELY(end != queue->line_first &&
			   shoal_ready_before(&entry, &queue->line[(end - 1) & queue->line_mask]))) {
		shoal_ready_heap_push(queue, entry);
		return;
	}
	queue->line[end & queue->line_mask] = entry;
	queue->line_end = end + 1;
}

/* The index of the first; it must not be empty. */
static inline uint32_t shoal_ready_queue_pop(struct shoal_ready_queue *queue)
{
	const struct shoal_ready_entry *first = &queue->line[queue->line_first & queue->line_mask];

	if (SHOAL_UNLIKELY(queue->heap_count) &&
		(queue->line_first == queue->line_end || shoal_ready_before(&queue->heap[0], first)))
		return shoal_ready_heap_pop(queue);
	queue->line_first++;
	return first->index;
}

#endif
