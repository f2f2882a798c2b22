/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>

#include "sched/ready_queue.h"

#define CHILDREN 4U
/* Entries before the root, so that the root's children, and with them all others, begin a cache line. */
#define LEAD (CHILDREN - 1)

int shoal_ready_queue_init(struct shoal_ready_queue *queue, unsigned room)
{
	size_t bytes = ((size_t)room + LEAD) * sizeof(*queue->entries);
	struct shoal_ready_entry *entries =
		aligned_alloc(SHOAL_CACHE_LINE, (bytes + SHOAL_CACHE_LINE - 1) / SHOAL_CACHE_LINE * SHOAL_CACHE_LINE);

	if (!entries)
		return -ENOMEM;
	*queue = (struct shoal_ready_queue){ .entries = entries + LEAD, .room = room };
	return 0;
}

void shoal_ready_queue_fini(struct shoal_ready_queue *queue)
{
	if (queue->entries)
		free(queue->entries - LEAD);
	*queue = (struct shoal_ready_queue){ 0 };
}

static bool is_before(struct shoal_ready_entry one, struct shoal_ready_entry other)
{
	if (one.order != other.order)
		return one.order < other.order;
	return (int32_t)(one.sequence - other.sequence) < 0;
}

void shoal_ready_queue_push(struct shoal_ready_queue *queue, struct shoal_ready_entry entry)
{
	struct shoal_ready_entry *entries = queue->entries;
	unsigned place = queue->count++;

	while (place) {
		unsigned parent = (place - 1) / CHILDREN;

		if (!is_before(entry, entries[parent]))
			break;
		entries[place] = entries[parent];
		place = parent;
	}
	entries[place] = entry;
}

static unsigned first_child(const struct shoal_ready_queue *queue, unsigned from)
{
	unsigned end = from + CHILDREN < queue->count ? from + CHILDREN : queue->count;
	unsigned first = from;

	for (unsigned child = from + 1; child < end; child++)
		if (is_before(queue->entries[child], queue->entries[first]))
			first = child;
	return first;
}

uint32_t shoal_ready_queue_pop(struct shoal_ready_queue *queue)
{
	struct shoal_ready_entry *entries = queue->entries;
	uint32_t index = entries[0].index;
	struct shoal_ready_entry last = entries[--queue->count];
	unsigned place = 0;

	while (place * CHILDREN + 1 < queue->count) {
		unsigned child = first_child(queue, place * CHILDREN + 1);

		if (!is_before(entries[child], last))
			break;
		entries[place] = entries[child];
		place = child;
	}
	entries[place] = last;
	return index;
}
