/* SPDX-License-Identifier: BSD-3-Clause */
/* One end after the other in one thread: against a model, full, and when an end is gone at any point. */
#include "queue/ring_test.h"

#define RECORDS_MAX (CAPACITY / SHOAL_RING_WORD_BYTES)

/* What the ring should hold: pushed, of which `visible` were flushed; seeds make the bytes. */
struct model {
	uint32_t lengths[RECORDS_MAX];
	uint64_t seeds[RECORDS_MAX];
	uint64_t pushed, visible, popped, freed;
	unsigned folds;
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

static void model_flush(struct rings *rings, struct model *model)
{
	bool folded = rings->producer.folded;

	shoal_ring_flush(&rings->producer);
	model->visible = model->pushed;
	model->folds += !folded && rings->producer.folded;
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

/* An end's process is gone, another opens it: what was not flushed never was, what was not freed comes again. */
static void model_reopen(struct rings *rings, struct model *model, bool producer)
{
	if (producer) {
		assert_int_equal(shoal_ring_open(&rings->producer, rings->mapping, CAPACITY, SHOAL_RING_PRODUCER), 0);
		model->pushed = model->visible;
	} else {
		assert_int_equal(shoal_ring_open(&rings->consumer, rings->mapping, CAPACITY, SHOAL_RING_CONSUMER), 0);
		model->popped = model->freed;
	}
}

static void test_model(void **state)
{
	unsigned folds = 0;

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
				model_flush(&rings, &model);
				break;
			case 3:
				shoal_ring_consumed(&rings.consumer);
				model.freed = model.popped;
				break;
			default:
				model_pop(&rings, &model, &random);
			}
			if (random_next(&random) % 256 == 0)
				model_reopen(&rings, &model, random_next(&random) % 2);
			assert_false(shoal_ring_broken(&rings.producer) || shoal_ring_broken(&rings.consumer));
		}
		assert_true(model.popped > 300); /* it went round many times */
		folds += model.folds;
		free(rings.mapping);
	}
	assert_true(folds > 300);
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
	assert_int_equal(pushed, CAPACITY / 64 - 1);
	for (; shoal_ring_reserve(&rings.producer, 0); pushed++)
		shoal_ring_push(&rings.producer, 0);
	/* To the last byte: one word is this run's, one the next one's. */
	assert_int_equal(pushed, CAPACITY / 64 - 1 + (64 - 2 * SHOAL_RING_WORD_BYTES) / SHOAL_RING_WORD_BYTES);
	assert_null(shoal_ring_peek(&rings.consumer, &length)); /* nothing is visible before flush */
	assert_int_equal(shoal_ring_depth(&rings.producer), 0);
	shoal_ring_flush(&rings.producer);
	assert_int_equal(shoal_ring_depth(&rings.consumer), CAPACITY - SHOAL_RING_WORD_BYTES);
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

static void send_number(struct rings *rings, uint64_t number)
{
	uint64_t *record = shoal_ring_reserve(&rings->producer, sizeof(number));

	assert_true(number < CAPACITY); /* more than there is room for */
	assert_non_null(record);
	*record = number;
	shoal_ring_push(&rings->producer, sizeof(number));
	shoal_ring_flush(&rings->producer);
}

static void expect_number(struct rings *rings, uint64_t number)
{
	uint32_t length = 0;
	const uint64_t *record = shoal_ring_peek(&rings->consumer, &length);

	assert_non_null(record);
	assert_int_equal(length, sizeof(number));
	assert_int_equal(*record, number);
	shoal_ring_pop(&rings->consumer);
	shoal_ring_consumed(&rings->consumer);
}

/* Until the producer turns back to the start, with `lag` numbers and one that wait. How many were sent. */
static uint64_t send_until_fold(struct rings *rings, unsigned lag)
{
	uint64_t sent = 0, taken = 0;

	for (;;) {
		send_number(rings, sent++);
		if (rings->producer.folded)
			break;
		if (sent - taken > lag)
			expect_number(rings, taken++);
	}
	assert_in_range(rings->producer.position % CAPACITY, 0, CAPACITY / 8);
	assert_int_equal(sent - taken, lag + 1);
	return sent;
}

/* Who stalls just when the producer has turned back leaves it nearly as much room as ever, but for what waits, and a little in
 * front of the consumer and of the end. */
static void test_fold_and_stall(void **state)
{
	(void)state;
	for (unsigned lag = 0; lag < 16; lag++) {
		struct rings rings;
		uint64_t sent, taken, bytes = 0;

		rings_create(&rings, CAPACITY);
		sent = send_until_fold(&rings, lag);
		taken = sent - lag - 1;
		while (shoal_ring_reserve(&rings.producer, sizeof(sent))) {
			send_number(&rings, sent++);
			bytes += SHOAL_RING_WORD_BYTES + shoal_ring_record_bytes(sizeof(sent));
		}
		assert_false(shoal_ring_broken(&rings.producer));
		assert_in_range(bytes, CAPACITY - 24 * (lag + 1) - 128, CAPACITY);
		while (taken < sent)
			expect_number(&rings, taken++);
		send_number(&rings, sent);
		expect_number(&rings, sent);
		free(rings.mapping);
	}
}

/* Another producer knows of no fold: it waits until the consumer has come by, and overwrites nothing. */
static void test_fold_and_another_producer(void **state)
{
	(void)state;
	for (unsigned more = 0; more < CAPACITY; more += 7) {
		struct rings rings;
		uint64_t sent, taken;

		rings_create(&rings, CAPACITY);
		sent = send_until_fold(&rings, 8);
		taken = sent - 9;
		for (unsigned i = 0; i < more && shoal_ring_reserve(&rings.producer, sizeof(sent)); i++)
			send_number(&rings, sent++);
		assert_int_equal(shoal_ring_open(&rings.producer, rings.mapping, CAPACITY, SHOAL_RING_PRODUCER), 0);
		while (shoal_ring_reserve(&rings.producer, sizeof(sent)))
			send_number(&rings, sent++);
		while (taken < sent)
			expect_number(&rings, taken++);
		send_number(&rings, sent);
		expect_number(&rings, sent);
		free(rings.mapping);
	}
}

/* Its producer is killed in flush, between the run's word and tail; another goes on, once each record has been taken or
 * before. */
static void test_killed_before_tail(void **state)
{
	(void)state;
	for (int taken = 0; taken < 2; taken++) {
		struct rings rings;
		uint32_t length;

		rings_create(&rings, CAPACITY);
		for (unsigned i = 0; i < 2; i++) {
			memset(shoal_ring_reserve(&rings.producer, 40), 1, 40);
			shoal_ring_push(&rings.producer, 40);
		}
		shoal_ring_flush(&rings.producer);
		rings.producer.shared->tail = 0;
		for (unsigned i = 0; taken && i < 2; i++) {
			assert_non_null(shoal_ring_peek(&rings.consumer, &length));
			shoal_ring_pop(&rings.consumer);
			shoal_ring_consumed(&rings.consumer);
			assert_int_equal(shoal_ring_depth(&rings.consumer), 0);
		}
		assert_int_equal(shoal_ring_open(&rings.producer, rings.mapping, CAPACITY, SHOAL_RING_PRODUCER), 0);
		memset(shoal_ring_reserve(&rings.producer, 40), 2, 40);
		shoal_ring_push(&rings.producer, 40);
		shoal_ring_flush(&rings.producer);
		for (unsigned i = taken ? 2 : 0; i < 3; i++) {
			const uint8_t *bytes = shoal_ring_peek(&rings.consumer, &length);

			assert_non_null(bytes);
			assert_int_equal(bytes[39], i < 2 ? 1 : 2);
			shoal_ring_pop(&rings.consumer);
		}
		assert_null(shoal_ring_peek(&rings.consumer, &length));
		free(rings.mapping);
	}
}

/* A consumer is gone after any record of a run: who follows it reads the rest of the run, once, and on. */
static void test_consumer_gone_within_run(void **state)
{
	(void)state;
	for (unsigned gone = 0; gone <= 20; gone++) {
		struct rings rings;
		uint32_t length;

		rings_create(&rings, CAPACITY);
		for (unsigned i = 0; i < 30; i++) {
			*(uint8_t *)shoal_ring_reserve(&rings.producer, 33) = (uint8_t)i;
			shoal_ring_push(&rings.producer, 33);
			if (i == 19 || i == 29)
				shoal_ring_flush(&rings.producer);
		}
		for (unsigned i = 0; i < 30; i++) {
			if (i == gone)
				assert_int_equal(
					shoal_ring_open(&rings.consumer, rings.mapping, CAPACITY, SHOAL_RING_CONSUMER),
					0);
			const uint8_t *bytes = shoal_ring_peek(&rings.consumer, &length);

			assert_non_null(bytes);
			assert_int_equal(length, 33);
			assert_int_equal(bytes[0], i);
			shoal_ring_pop(&rings.consumer);
			shoal_ring_consumed(&rings.consumer);
		}
		assert_null(shoal_ring_peek(&rings.consumer, &length));
		assert_int_equal(length, 0);
		free(rings.mapping);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_longest_everywhere),
		cmocka_unit_test(test_fold_and_stall),
		cmocka_unit_test(test_fold_and_another_producer),
		cmocka_unit_test(test_killed_before_tail),
		cmocka_unit_test(test_consumer_gone_within_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
