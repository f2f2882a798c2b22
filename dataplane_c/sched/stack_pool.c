/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sched/fiber_inline.h"
#include "sched/stack_pool.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define STACK_BYTES_LEAST 8192
/* An odd number of cache lines more than the stack's bytes, so that tops wander through all cache sets. */
#define COLOUR_BYTES (7 * SHOAL_CACHE_LINE)

const uint64_t shoal_stack_canary_none[SHOAL_STACK_CANARY_BYTES / 8] = { [0 ... SHOAL_STACK_CANARY_BYTES / 8 - 1] =
										 SHOAL_STACK_CANARY };

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int map_stacks(struct shoal_stack_pool *pool)
{
	size_t bytes = pool->stride * pool->count + HUGE_PAGE;
	void *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t first = ((uintptr_t)mapping + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;

	if (mapping == MAP_FAILED)
		return -errno;
	pool->mapping = mapping;
	pool->mapping_bytes = bytes;
	pool->first = pool->mapping + (first - (uintptr_t)mapping);
	/* A guard page would split a huge one. */
	if (!pool->guarded)
		madvise(pool->first, pool->stride * pool->count, MADV_HUGEPAGE);
	return 0;
}

static int guard_stacks(struct shoal_stack_pool *pool)
{
	for (unsigned i = 0; i < pool->count; i++)
		if (mprotect(pool->first + i * pool->stride, page_bytes(), PROT_NONE))
			return -errno;
	return 0;
}

static void touch_stacks(struct shoal_stack_pool *pool)
{
	for (unsigned i = 0; i < pool->count; i++) {
		uint8_t *low = shoal_stack_pool_low(pool, i), *top = shoal_stack_pool_top(pool, i);
		uint64_t *canary = (uint64_t *)(void *)low;

		for (volatile uint8_t *byte = low; byte < top; byte += 4096)
			*byte = 0;
		top[-1] = 0;
		for (unsigned word = 0; !pool->guarded && word < SHOAL_STACK_CANARY_BYTES / 8; word++)
			canary[word] = SHOAL_STACK_CANARY;
	}
}

int shoal_stack_pool_init(struct shoal_stack_pool *pool, unsigned count, size_t stack_bytes, bool guarded)
{
	int error;

	if (!count || stack_bytes < STACK_BYTES_LEAST || stack_bytes > ((size_t)1 << 30))
		return -EINVAL;
	if (guarded && stack_bytes % page_bytes())
		return -EINVAL;
	stack_bytes = (stack_bytes + SHOAL_CACHE_LINE - 1) / SHOAL_CACHE_LINE * SHOAL_CACHE_LINE * FIBER_STACK_FACTOR;
	*pool = (struct shoal_stack_pool){
		.stride = stack_bytes + (guarded ? page_bytes() : COLOUR_BYTES),
		.stack_bytes = stack_bytes,
		.count = count,
		.guarded = guarded,
	};
	error = map_stacks(pool);
	if (error)
		return error;
	error = guarded ? guard_stacks(pool) : 0;
	if (error) {
		shoal_stack_pool_fini(pool);
		return error;
	}
	touch_stacks(pool);
	return 0;
}

void shoal_stack_pool_fini(struct shoal_stack_pool *pool)
{
	if (!pool->mapping)
		return;
	fiber_forget_frames(pool->mapping, pool->mapping_bytes);
	munmap(pool->mapping, pool->mapping_bytes);
	*pool = (struct shoal_stack_pool){ 0 };
}

uint8_t *shoal_stack_pool_low(const struct shoal_stack_pool *pool, unsigned index)
{
	return pool->first + index * pool->stride + (pool->guarded ? page_bytes() : 0);
}

uint8_t *shoal_stack_pool_top(const struct shoal_stack_pool *pool, unsigned index)
{
	return shoal_stack_pool_low(pool, index) + pool->stack_bytes;
}
