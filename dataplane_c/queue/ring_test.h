/* SPDX-License-Identifier: BSD-3-Clause */
/* Both ends of a ring in one thread, in memory of exactly its size. For tests. */
#ifndef SHOAL_QUEUE_RING_TEST_H
#define SHOAL_QUEUE_RING_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "queue/ring.h"

#define CAPACITY 4096u

static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

struct rings {
	void *mapping;
	struct shoal_ring producer, consumer;
};

static inline void rings_create(struct rings *rings, uint32_t capacity)
{
	size_t bytes = shoal_ring_mapping_bytes(capacity);

	/* Exactly the mapping's size, so that ASan sees every byte beyond it. */
	rings->mapping = aligned_alloc(2 * SHOAL_CACHE_LINE, bytes);
	assert_non_null(rings->mapping);
	memset(rings->mapping, 0, bytes);
	assert_int_equal(shoal_ring_init(rings->mapping, capacity), 0);
	assert_int_equal(shoal_ring_open(&rings->producer, rings->mapping, capacity, SHOAL_RING_PRODUCER), 0);
	assert_int_equal(shoal_ring_open(&rings->consumer, rings->mapping, capacity, SHOAL_RING_CONSUMER), 0);
}

#endif
