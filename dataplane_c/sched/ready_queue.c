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
	struct shoal_ready_entry *entries = entries_create((size_t)room + LEAD), *line = entries_create(room);

	*queue = (struct shoal_ready_queue){ 0 };
	if (!entries || !line) {
		free(entries);
		free(line);
		return -ENOMEM;
	}
	*queue = (struct shoal_ready_queue){ .entries = entries + LEAD, .line = line, .room = room };
	return 0;
}

void shoal_ready_queue_fini(struct shoal_ready_queue *queue)
{
	if (queue->entries)
		free(queue->entries - LEAD);
	free(queue->line);
	*queue = (struct shoal_ready_queue){ 0 };
}

static bool is_before(struct shoal_ready_entry one, struct shoal_ready_entry other)
{
	if (one.order != other.order)
		return one.order < other.order;
	return (int32_t)(one.sequence - other.sequence) < 0;
}

static struct shoal_ready_entry *in_line(const struct shoal_ready_queue *queue, unsigned number)
{
	unsigned place = queue->line_first + number;

	return &queue->line[place < queue->room ? place : place - queue->room];
}

static void heap_push(struct shoal_ready_queue *queue, struct shoal_ready_entry entry)
{
	struct shoal_ready_entry *entries = queue->entries;
	unsigned place = queue->count - queue->line_count;

	while (place) {
		unsigned parent = (place - 1) / CHILDREN;

		if (!is_before(entry, entries[parent]))
			break;
		entries[place] = entries[parent];
		place = parent;
	}
	entries[place] = entry;
}

void shoal_ready_queue_push(struct shoal_ready_queue *queue, struct shoal_ready_entry entry)
{
	if (SHOAL_LIKELY(!queue->line_count || !is_before(entry, *in_line(queue, queue->line_count - 1))))
		*in_line(queue, queue->line_count++) = entry;
	else
		heap_push(queue, entry);
	queue->count++;
}

static unsigned first_child(const struct shoal_ready_queue *queue, unsigned from, unsigned count)
{
	unsigned end = from + CHILDREN < count ? from + CHILDREN : count;
	unsigned first = from;

	for (unsigned child = from + 1; child < end; child++)
		if (is_before(queue->entries[child], queue->entries[first]))
			first = child;
	return first;
}

static uint32_t heap_pop(struct shoal_ready_queue *queue, unsigned count)
{
	struct shoal_ready_entry *entries = queue->entries;
	uint32_t index = entries[0].index;
	struct shoal_ready_entry last = entries[--count];
	unsigned place = 0;

	while (place * CHILDREN + 1 < count) {
		unsigned child = first_child(queue, place * CHILDREN + 1, count);

		if (!is_before(entries[child], last))
			break;
		entries[place] = entries[child];
		place = child;
	}
	entries[place] = last;
	return index;
}

uint32_t shoal_ready_queue_pop(struct shoal_ready_queue *queue)
{
	unsigned in_heap = queue->count-- - queue->line_count;
	struct shoal_ready_entry first;

	if (SHOAL_UNLIKELY(!queue->line_count || (in_heap && is_before(queue->entries[0], *in_line(queue, 0)))))
		return heap_pop(queue, in_heap);
	first = *in_line(queue, 0);
	queue->line_first = queue->line_first + 1 < queue->room ? queue->line_first + 1 : 0;
	queue->line_count--;
	return first.index;
}
