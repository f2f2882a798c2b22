/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>

#include "sched/ready_queue.h"

#define CHILDREN 4U
/* Entries before the root, so that the root's children, and with them all others, begin a cache line. */
#define LEAD (CHILDREN - 1)

static struct shoal_ready_entry *entries_create(size_t count)
{
	size_t bytes = count * sizeof(struct shoal_ready_entry);

	return aligned_alloc(SHOAL_CACHE_LINE, (bytes + SHOAL_CACHE_LINE - 1) / SHOAL_CACHE_LINE * SHOAL_CACHE_LINE);
}

int shoal_ready_queue_init(struct shoal_ready_queue *queue, unsigned room)
{
	uint32_t line_room = 1;
	struct shoal_ready_entry *heap, *line;

	while (line_room < room)
		line_room *= 2;
	heap = entries_create((size_t)room + LEAD);
	line = entries_create(line_room);
	*queue = (struct shoal_ready_queue){ 0 };
	if (!heap || !line) {
		free(heap);
		free(line);
		return -ENOMEM;
	}
	*queue = (struct shoal_ready_queue){ .heap = heap + LEAD, .line = line, .line_mask = line_room - 1 };
	return 0;
}

void shoal_ready_queue_fini(struct shoal_ready_queue *queue)
{
	if (queue->heap)
		free(queue->heap - LEAD);
	free(queue->line);
	*queue = (struct shoal_ready_queue){ 0 };
}

void shoal_ready_heap_push(struct shoal_ready_queue *queue, struct shoal_ready_entry entry)
{
	struct shoal_ready_entry *heap = queue->heap;
	unsigned place = queue->heap_count++;

	while (place) {
		unsigned parent = (place - 1) / CHILDREN;

		if (!shoal_ready_before(&entry, &heap[parent]))
			break;
		heap[place] = heap[parent];
		place = parent;
	}
	heap[place] = entry;
}

static unsigned first_child(const struct shoal_ready_queue *queue, unsigned from)
{
	unsigned end = from + CHILDREN < queue->heap_count ? from + CHILDREN : queue->heap_count;
	unsigned first = from;

	for (unsigned child = from + 1; child < end; child++)
		if (shoal_ready_before(&queue->heap[child], &queue->heap[first]))
			first = child;
	return first;
}

uint32_t shoal_ready_heap_pop(struct shoal_ready_queue *queue)
{
	struct shoal_ready_entry *heap = queue->heap;
	uint32_t index = heap[0].index;
	struct shoal_ready_entry last = heap[--queue->heap_count];
	unsigned place = 0;

	while (place * CHILDREN + 1 < queue->heap_count) {
		unsigned child = first_child(queue, place * CHILDREN + 1);

		if (!shoal_ready_before(&heap[child], &last))
			break;
		heap[place] = heap[child];
		place = child;
	}
	heap[place] = last;
	return index;
}
