/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "object/contention.h"

/* The pools hold all that the members' windows allow; an empty one is a broken invariant, and going on would lose state. */
static void exhausted(const char *what)
{
	fprintf(stderr, "shoal: the pool of %s is empty, which the windows do not allow\n", what);
	abort();
}

static void *reserve(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int shoal_contention_init(
	struct shoal_contention_pool *pool, uint32_t contentions, uint32_t nodes, uint32_t blocks, size_t message_bytes)
{
	*pool = (struct shoal_contention_pool){ .contentions_count = contentions + 1,
		.nodes_count = nodes + 1,
		.blocks_count = blocks,
		.contentions_high = 1,
		.nodes_high = 1,
		.block_bytes = (offsetof(struct shoal_parked, message) + message_bytes + 63) / 64 * 64 };
	pool->contentions = reserve(pool->contentions_count * sizeof(*pool->contentions));
	pool->nodes = reserve(pool->nodes_count * sizeof(*pool->nodes));
	pool->blocks = reserve(pool->blocks_count * pool->block_bytes);
	if (pool->contentions && pool->nodes && pool->blocks)
		return 0;
	shoal_contention_fini(pool);
	return -ENOMEM;
}

void shoal_contention_fini(struct shoal_contention_pool *pool)
{
	if (pool->contentions)
		munmap(pool->contentions, pool->contentions_count * sizeof(*pool->contentions));
	if (pool->nodes)
		munmap(pool->nodes, pool->nodes_count * sizeof(*pool->nodes));
	if (pool->blocks)
		munmap(pool->blocks, pool->blocks_count * pool->block_bytes);
	memset(pool, 0, sizeof(*pool));
}

uint32_t shoal_contention_get(struct shoal_contention_pool *pool)
{
	uint32_t index = pool->contentions_free;

	if (index)
		pool->contentions_free = pool->contentions[index].free_next;
	else if (pool->contentions_high < pool->contentions_count)
		index = pool->contentions_high++;
	else
		exhausted("contended objects");
	memset(&pool->contentions[index], 0, sizeof(pool->contentions[index]));
	pool->contentions_used++;
	return index;
}

void shoal_contention_put(struct shoal_contention_pool *pool, uint32_t index)
{
	pool->contentions[index].free_next = pool->contentions_free;
	pool->contentions_free = index;
	pool->contentions_used--;
}

bool shoal_contention_empty(const struct shoal_contention *contention)
{
	return !contention->local_first && !contention->successors && !contention->waiters &&
	       !contention->parked_first && !contention->recall_lease && !contention->missing;
}

static uint32_t node_get(struct shoal_contention_pool *pool)
{
	uint32_t index = pool->nodes_free;

	if (index)
		pool->nodes_free = pool->nodes[index].next;
	else if (pool->nodes_high < pool->nodes_count)
		index = pool->nodes_high++;
	else
		exhausted("waiters");
	pool->nodes_used++;
	return index;
}

static void node_put(struct shoal_contention_pool *pool, uint32_t index)
{
	pool->nodes[index].next = pool->nodes_free;
	pool->nodes_free = index;
	pool->nodes_used--;
}

void shoal_waiters_add(struct shoal_contention_pool *pool, uint32_t *list, struct shoal_waiter waiter)
{
	uint32_t *link = list;

	while (*link) {
		uint32_t index = *link;
		const struct shoal_waiter *present = &pool->nodes[index].waiter;

		if (present->member != waiter.member) {
			link = &pool->nodes[index].next;
			continue;
		}
		if ((int32_t)(waiter.request - present->request) <= 0)
			return;
		/* It asks again, so the earlier request has been answered. */
		*link = pool->nodes[index].next;
		node_put(pool, index);
	}
	*link = node_get(pool);
	pool->nodes[*link] = (struct shoal_waiter_node){ .waiter = waiter };
}

void shoal_waiters_strike(struct shoal_contention_pool *pool, uint32_t *list, uint8_t member, uint32_t request)
{
	uint32_t *link = list;

	while (*link) {
		uint32_t index = *link;
		const struct shoal_waiter *waiter = &pool->nodes[index].waiter;

		if (waiter->member == member && (int32_t)(waiter->request - request) <= 0) {
			*link = pool->nodes[index].next;
			node_put(pool, index);
		} else {
			link = &pool->nodes[index].next;
		}
	}
}

bool shoal_waiters_pop(struct shoal_contention_pool *pool, uint32_t *list, struct shoal_waiter *waiter)
{
	uint32_t index = *list;

	if (!index)
		return false;
	*waiter = pool->nodes[index].waiter;
	*list = pool->nodes[index].next;
	node_put(pool, index);
	return true;
}

unsigned shoal_waiters_copy(
	const struct shoal_contention_pool *pool, uint32_t list, struct shoal_waiter *array, unsigned room)
{
	unsigned count = 0;

	for (; list && count < room; list = pool->nodes[list].next)
		array[count++] = pool->nodes[list].waiter;
	return count;
}

void shoal_waiters_clear(struct shoal_contention_pool *pool, uint32_t *list)
{
	struct shoal_waiter waiter;

	while (shoal_waiters_pop(pool, list, &waiter))
		;
}

struct shoal_parked *shoal_parked_get(struct shoal_contention_pool *pool, uint32_t length)
{
	struct shoal_parked *parked = pool->blocks_free;

	if (offsetof(struct shoal_parked, message) + length > pool->block_bytes)
		exhausted("message rooms of that size");
	if (parked)
		pool->blocks_free = parked->next;
	else if (pool->blocks_high < pool->blocks_count)
		parked = (struct shoal_parked *)(pool->blocks + pool->blocks_high++ * pool->block_bytes);
	else
		exhausted("parked messages");
	parked->next = NULL;
	pool->blocks_used++;
	return parked;
}

void shoal_parked_put(struct shoal_contention_pool *pool, struct shoal_parked *parked)
{
	parked->next = pool->blocks_free;
	pool->blocks_free = parked;
	pool->blocks_used--;
}
