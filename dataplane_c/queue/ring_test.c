/* SPDX-License-Identifier: BSD-3-Clause */
/* One end after the other in one thread: against a model, full, and with a mapping that lies. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "queue/ring.h"

#define CAPACITY 4096u
#define RECORDS_MAX (CAPACITY / SHOAL_RING_HEADER_BYTES)

static uint64_t random_next(uint64_t *state)
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

static void rings_create(struct rings *rings, uint32_t capacity)
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

/* What the ring should hold: pushed, of which `visible` were flushed; seeds make the bytes. */
struct model {
	uint32_t lengths[RECORDS_MAX];
	uint64_t seeds[RECORDS_MAX];
	uint64_t pushed, visible, popped;
};

static void fill(uint8_t *bytes, uint32_t length, uint64_t seed)
{
	for (uint32_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(seed + i * 131 + (i >> 8));
}

static void check(const uint8_t *bytes, uint32_t length, uint64_t seed)
{
	for (uint32_t i = 0; i < length; i++)
		if (bytes[i] != (uint8_t)(seed + i * 131 + (i >> 8)))
			fail_msg("byte %u of %u", i, length);
}

static void model_push(struct rings *rings, struct model *model, uint64_t *random)
{
	uint32_t asked = (uint32_t)(random_next(random) % (random_next(random) % 8 ? 200 : CAPACITY / 4 + 1));
	uint8_t *bytes = shoal_ring_reserve(&rings->producer, asked);

	if (!bytes)
		return;
	assert_int_equal((uintptr_t)bytes % 8, 0);
	if (random_next(random) % 16 == 0)
		return; /* given up */

	uint32_t length = random_next(random) % 4 ? asked : (uint32_t)(random_next(random) % (asked + 1));
	uint64_t seed = random_next(random);

	memset(bytes, 0xee, asked);
	fill(bytes, length, seed);
	shoal_ring_push(&rings->producer, length);
	assert_true(model->pushed - model->popped < RECORDS_MAX);
	model->lengths[model->pushed % RECORDS_MAX] = length;
	model->seeds[model->pushed++ % RECORDS_MAX] = seed;
}

static void model_pop(struct rings *rings, struct model *model, uint64_t *random)
{
	uint32_t length = 0;
	const uint8_t *bytes = shoal_ring_peek(&rings->consumer, &length);

	if (model->popped == model->visible) {
		assert_null(bytes);
		assert_int_equal(length, 0);
		return;
	}
	assert_non_null(bytes);
	assert_int_equal(length, model->lengths[model->popped % RECORDS_MAX]);
	check(bytes, length, model->seeds[model->popped % RECORDS_MAX]);
	if (random_next(random) % 8 == 0)
		return; /* looks again next time */
	shoal_ring_pop(&rings->consumer);
	model->popped++;
}

static void test_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15);
		struct model model = { 0 };
		struct rings rings;

		rings_create(&rings, CAPACITY);
		for (int step = 0; step < 4000; step++) {
			switch (random_next(&random) % 6) {
			case 0:
			case 1:
				model_push(&rings, &model, &random);
				break;
			case 2:
				shoal_ring_flush(&rings.producer);
				model.visible = model.pushed;
				break;
			case 3:
				shoal_ring_consumed(&rings.consumer);
				break;
			default:
				model_pop(&rings, &model, &random);
			}
			assert_false(shoal_ring_broken(&rings.producer) || shoal_ring_broken(&rings.consumer));
		}
		assert_true(model.popped > 300); /* it went round many times */
		free(rings.mapping);
	}
}

static void test_full(void **state)
{
	struct rings rings;
	uint32_t length;
	unsigned pushed = 0;

	(void)state;
	rings_create(&rings, CAPACITY);
	assert_null(shoal_ring_reserve(&rings.producer, CAPACITY / 4 + 1));
	while (shoal_ring_reserve(&rings.producer, 56)) {
		shoal_ring_push(&rings.producer, 56);
		pushed++;
	}
	assert_int_equal(pushed, CAPACITY / 64); /* to the last byte */
	assert_null(shoal_ring_peek(&rings.consumer, &length)); /* nothing is visible before flush */
	assert_int_equal(shoal_ring_depth(&rings.producer), 0);
	shoal_ring_flush(&rings.producer);
	assert_int_equal(shoal_ring_depth(&rings.consumer), CAPACITY);
	assert_non_null(shoal_ring_peek(&rings.consumer, &length));
	shoal_ring_pop(&rings.consumer);
	assert_null(shoal_ring_reserve(&rings.producer, 0)); /* popped is not yet freed */
	shoal_ring_consumed(&rings.consumer);
	assert_null(shoal_ring_reserve(&rings.producer, 57));
	assert_non_null(shoal_ring_reserve(&rings.producer, 56));
	free(rings.mapping);
}

/* The longest record fits wherever the positions stand once the ring is empty. */
static void test_longest_everywhere(void **state)
{
	struct rings rings;
	uint32_t length;

	(void)state;
	rings_create(&rings, CAPACITY);
	for (unsigned i = 0; i < 3 * CAPACITY / 8; i++) {
		assert_non_null(shoal_ring_reserve(&rings.producer, 0));
		shoal_ring_push(&rings.producer, 0);
		assert_non_null(shoal_ring_reserve(&rings.producer, CAPACITY / 4));
		shoal_ring_push(&rings.producer, CAPACITY / 4);
		shoal_ring_flush(&rings.producer);
		for (unsigned record = 0; record < 2; record++) {
			assert_non_null(shoal_ring_peek(&rings.consumer, &length));
			assert_int_equal(length, record ? CAPACITY / 4 : 0);
			shoal_ring_pop(&rings.consumer);
		}
		shoal_ring_consumed(&rings.consumer);
	}
	free(rings.mapping);
}

static void test_open_refuses(void **state)
{
	struct rings rings;
	struct shoal_ring ring;

	(void)state;
	rings_create(&rings, CAPACITY);
	struct shoal_ring_shared *shared = rings.mapping;

	assert_int_equal(shoal_ring_init(rings.mapping, 5000), -EINVAL);
	assert_int_equal(shoal_ring_init(rings.mapping, 2048), -EINVAL);
	assert_int_equal(shoal_ring_open(&ring, rings.mapping, 2 * CAPACITY, SHOAL_RING_CONSUMER), -EPROTO);
	shared->tail = CAPACITY + 8;
	assert_int_equal(shoal_ring_open(&ring, rings.mapping, CAPACITY, SHOAL_RING_CONSUMER), -EPROTO);
	shared->tail = 12;
	assert_int_equal(shoal_ring_open(&ring, rings.mapping, CAPACITY, SHOAL_RING_PRODUCER), -EPROTO);
	shared->tail = 16;
	shared->head = 24;
	assert_int_equal(shoal_ring_open(&ring, rings.mapping, CAPACITY, SHOAL_RING_PRODUCER), -EPROTO);
	shared->head = 16;
	assert_int_equal(shoal_ring_open(&ring, rings.mapping, CAPACITY, SHOAL_RING_PRODUCER), 0);
	shared->magic++;
	assert_int_equal(shoal_ring_open(&ring, rings.mapping, CAPACITY, SHOAL_RING_PRODUCER), -EPROTO);
	free(rings.mapping);
}

static void assert_consumer_broken(struct shoal_ring *consumer)
{
	for (int again = 0; again < 3; again++) {
		uint32_t length = 0;

		assert_null(shoal_ring_peek(consumer, &length));
		assert_int_equal(length, UINT32_MAX);
	}
	assert_true(shoal_ring_broken(consumer));
}

static void test_lies(void **state)
{
	static const uint64_t headers[] = {
		0,
		UINT64_MAX,
		UINT32_MAX,
		SHOAL_RING_KIND_RECORD << 32 | UINT32_MAX,
		SHOAL_RING_KIND_RECORD << 32 | 0xfffffff8,
		SHOAL_RING_KIND_RECORD << 32 | (CAPACITY / 4 + 1),
		SHOAL_RING_KIND_RECORD << 32 | 9 /* beyond tail */,
		SHOAL_RING_KIND_SKIP << 32 | (CAPACITY - 8),
		SHOAL_RING_KIND_SKIP << 32,
	};
	(void)state;
	for (unsigned i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct rings rings;

		rings_create(&rings, CAPACITY);
		assert_non_null(shoal_ring_reserve(&rings.producer, 8));
		shoal_ring_push(&rings.producer, 8);
		shoal_ring_flush(&rings.producer);
		memcpy(rings.consumer.bytes, &headers[i], 8);
		assert_consumer_broken(&rings.consumer);
		free(rings.mapping);
	}
	static const uint64_t positions[] = { CAPACITY + 8, 4, UINT64_MAX - 7, UINT64_C(1) << 63 };

	for (unsigned i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
		struct rings rings;

		rings_create(&rings, CAPACITY);
		rings.producer.shared->tail = positions[i];
		assert_consumer_broken(&rings.consumer);
		rings.producer.shared->head = positions[i];
		for (int record = 0; record < 4; record++)
			if (shoal_ring_reserve(&rings.producer, CAPACITY / 4))
				shoal_ring_push(&rings.producer, CAPACITY / 4);
		assert_null(shoal_ring_reserve(&rings.producer, 0));
		assert_true(shoal_ring_broken(&rings.producer));
		free(rings.mapping);
	}
}

/* Random words anywhere in the mapping, between random operations: under ASan no access may leave it, and no loop hang.
 */
static void test_random_lies(void **state)
{
	uint64_t sum = 0;
	unsigned broken = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 3000; seed++) {
		uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15);
		struct rings rings;

		rings_create(&rings, CAPACITY);
		for (int step = 0; step < 300; step++) {
			uint32_t length = (uint32_t)(random_next(&random) % (CAPACITY / 4 + 8));
			uint8_t *bytes = shoal_ring_reserve(&rings.producer, length);

			if (bytes) {
				memset(bytes, 1, length);
				shoal_ring_push(&rings.producer, length);
				shoal_ring_flush(&rings.producer);
			}
			if (random_next(&random) % 32 == 0) {
				uint64_t word = random_next(&random) % 2 ? random_next(&random)
				                                         : random_next(&random) % CAPACITY;
				size_t words = shoal_ring_mapping_bytes(CAPACITY) / 8;

				if (random_next(&random) % 2)
					word |= (random_next(&random) % 2 ? SHOAL_RING_KIND_RECORD
									  : SHOAL_RING_KIND_SKIP)
					        << 32;
				((uint64_t *)rings.mapping)[random_next(&random) % words] = word;
			}
			const uint8_t *record = shoal_ring_peek(&rings.consumer, &length);

			for (uint32_t i = 0; record && i < length; i++)
				sum += record[i];
			shoal_ring_pop(&rings.consumer);
			if (step % 3 == 0)
				shoal_ring_consumed(&rings.consumer);
			assert_true(shoal_ring_depth(&rings.consumer) <= CAPACITY);
		}
		broken += shoal_ring_broken(&rings.consumer) || shoal_ring_broken(&rings.producer);
		free(rings.mapping);
	}
	assert_true(sum > 0);
	assert_in_range(broken, 100, 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_longest_everywhere),
		cmocka_unit_test(test_open_refuses),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_random_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
