/* SPDX-License-Identifier: BSD-3-Clause */
/* A mapping that lies: nothing leaves it, nothing hangs, and what is broken stays broken. */
#include <errno.h>

#include "queue/ring_test.h"

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
	shared->tail = 2 * CAPACITY;
	assert_int_equal(shoal_ring_open(&ring, rings.mapping, CAPACITY, SHOAL_RING_CONSUMER), -EPROTO);
	shared->tail = 12;
	assert_int_equal(shoal_ring_open(&ring, rings.mapping, CAPACITY, SHOAL_RING_PRODUCER), -EPROTO);
	shared->tail = 16;
	shared->head = 24;
	assert_int_equal(shoal_ring_open(&ring, rings.mapping, CAPACITY, SHOAL_RING_PRODUCER), -EPROTO);
	shared->head = 16;
	assert_int_equal(shoal_ring_open(&ring, rings.mapping, CAPACITY, SHOAL_RING_PRODUCER), 0);
	*shoal_ring_word(&ring, 16) = 1; /* where a producer goes on there is no word yet */
	assert_int_equal(shoal_ring_open(&ring, rings.mapping, CAPACITY, SHOAL_RING_PRODUCER), -EPROTO);
	*shoal_ring_word(&ring, 16) = shoal_ring_run(&ring, 16, 2 * CAPACITY);
	assert_int_equal(shoal_ring_open(&ring, rings.mapping, CAPACITY, SHOAL_RING_CONSUMER), -EPROTO);
	*shoal_ring_word(&ring, 16) = 0;
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

/* A run of one record of 8 bytes, whose words are then others. */
static void lie_in_words(uint64_t run, uint64_t header)
{
	struct rings rings;

	rings_create(&rings, CAPACITY);
	assert_non_null(shoal_ring_reserve(&rings.producer, 8));
	shoal_ring_push(&rings.producer, 8);
	shoal_ring_flush(&rings.producer);
	*shoal_ring_word(&rings.consumer, 0) = run;
	*shoal_ring_word(&rings.consumer, SHOAL_RING_WORD_BYTES) = header;
	assert_consumer_broken(&rings.consumer);
	free(rings.mapping);
}

static void test_lies(void **state)
{
	static const uint64_t header = SHOAL_RING_KIND_RECORD << 32 | 8, run = SHOAL_RING_KIND_RUN << 48;
	static const uint64_t headers[] = {
		0,
		UINT64_MAX,
		UINT32_MAX,
		SHOAL_RING_KIND_RECORD << 32 | UINT32_MAX,
		SHOAL_RING_KIND_RECORD << 32 | 0xfffffff8,
		SHOAL_RING_KIND_RECORD << 32 | (CAPACITY / 4 + 1),
		SHOAL_RING_KIND_RECORD << 32 | 9 /* beyond the run */,
		SHOAL_RING_KIND_SKIP << 32 | (CAPACITY - 16),
		SHOAL_RING_KIND_SKIP << 32 | 4,
		SHOAL_RING_KIND_SKIP << 32 | 0xfffffff8,
		SHOAL_RING_KIND_SKIP << 32 | 16 /* beyond the run */,
	};
	static const uint64_t runs[] = {
		UINT64_MAX,
		run | UINT64_C(1) << 32 | 24 /* another lap's */,
		run,
		run | 8 /* of nothing */,
		run | 20,
		run | (2 * CAPACITY),
		run | 0xfffffff8,
		SHOAL_RING_KIND_SKIP << 32 | 8,
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		lie_in_words(run | 24, headers[i]);
	for (unsigned i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		lie_in_words(runs[i], header);
	static const uint64_t positions[] = { 2 * CAPACITY, 4, UINT64_MAX - 7, UINT64_C(1) << 63 };

	for (unsigned i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
		struct rings rings;

		rings_create(&rings, CAPACITY);
		rings.producer.shared->tail = positions[i]; /* only who opens an end, and control, look at it */
		assert_in_range(shoal_ring_depth(&rings.consumer), 0, CAPACITY);
		assert_int_equal(
			shoal_ring_open(&rings.consumer, rings.mapping, CAPACITY, SHOAL_RING_CONSUMER), -EPROTO);
		rings.producer.shared->head = positions[i];
		for (int record = 0; record < 4; record++)
			if (shoal_ring_reserve(&rings.producer, CAPACITY / 4))
				shoal_ring_push(&rings.producer, CAPACITY / 4);
		assert_null(shoal_ring_reserve(&rings.producer, 0));
		assert_true(shoal_ring_broken(&rings.producer));
		free(rings.mapping);
	}
}

/* A peer that skips and skips: a peek ends soon, and the ring is broken. */
static void test_many_skips(void **state)
{
	struct rings rings;
	uint32_t length = 0;

	(void)state;
	rings_create(&rings, CAPACITY);
	*shoal_ring_word(&rings.consumer, 0) = shoal_ring_run(&rings.consumer, 0, CAPACITY);
	for (uint32_t position = SHOAL_RING_WORD_BYTES; position < CAPACITY; position += SHOAL_RING_WORD_BYTES)
		*shoal_ring_word(&rings.consumer, position) = shoal_ring_header(SHOAL_RING_KIND_SKIP, 0);
	assert_null(shoal_ring_peek(&rings.consumer, &length));
	assert_int_equal(length, UINT32_MAX);
	assert_in_range(rings.consumer.position, 2 * SHOAL_RING_WORD_BYTES, CAPACITY / 8);
	assert_consumer_broken(&rings.consumer);
	free(rings.mapping);
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
				else if (random_next(&random) % 4 == 0)
					word = shoal_ring_run(&rings.consumer, rings.consumer.other, (uint32_t)word);
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
		cmocka_unit_test(test_open_refuses),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_many_skips),
		cmocka_unit_test(test_random_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
