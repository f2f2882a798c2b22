/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "sched/ready_queue.h"

#define ROOM 3000

static uint64_t random_next(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed >> 33;
}

static int by_order(const void *one, const void *other)
{
	const struct shoal_ready_entry *a = one, *b = other;

	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	return a->sequence < b->sequence ? -1 : 1;
}

/* Few different orders, so that many are equal. */
static void leaves_in_order_whatever_the_order_of_entry(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		struct shoal_ready_entry entries[ROOM];
		struct shoal_ready_queue queue;
		unsigned count = (unsigned)(seed * 97 % ROOM + 1);
		uint64_t random = seed;

		assert_int_equal(shoal_ready_queue_init(&queue, count), 0);
		for (unsigned i = 0; i < count; i++) {
			entries[i] = (struct shoal_ready_entry){
				.order = random_next(&random) % 200, .sequence = i, .index = i
			};
			shoal_ready_queue_push(&queue, entries[i]);
		}
		qsort(entries, count, sizeof(entries[0]), by_order);
		for (unsigned i = 0; i < count; i++)
			assert_int_equal(shoal_ready_queue_pop(&queue), entries[i].index);
		assert_int_equal(shoal_ready_queue_count(&queue), 0);
		shoal_ready_queue_fini(&queue);
	}
}

/* Orders that grow, as those of microthreads that wait equally long, but for one in `disorder`. */
static void push_and_pop(uint64_t disorder)
{
	struct shoal_ready_queue queue;
	uint64_t random = 5, waiting[64] = { 0 };
	unsigned count = 0;

	assert_int_equal(shoal_ready_queue_init(&queue, 64), 0);
	for (unsigned i = 0; i < 20000; i++) {
		if (count < 64 && (count == 0 || random_next(&random) % 2)) {
			unsigned free_place = 0;

			while (waiting[free_place])
				free_place++;
			waiting[free_place] =
				1 + (random_next(&random) % disorder ? i / 3 : random_next(&random) % 10000);
			count++;
			shoal_ready_queue_push(
				&queue, (struct shoal_ready_entry){
						.order = waiting[free_place], .sequence = i, .index = free_place });
		} else {
			unsigned first = shoal_ready_queue_pop(&queue);

			for (unsigned other = 0; other < 64; other++)
				assert_true(!waiting[other] || waiting[other] >= waiting[first]);
			waiting[first] = 0;
			count--;
		}
		assert_int_equal(shoal_ready_queue_count(&queue), count);
	}
	shoal_ready_queue_fini(&queue);
}

static void mixed_pushes_and_pops(void **state)
{
	static const uint64_t disorders[] = { 1, 2, 8, 100, UINT64_MAX };

	(void)state;
	for (unsigned i = 0; i < sizeof(disorders) / sizeof(disorders[0]); i++)
		push_and_pop(disorders[i]);
}

static void sequence_numbers_may_wrap(void **state)
{
	struct shoal_ready_queue queue;

	(void)state;
	assert_int_equal(shoal_ready_queue_init(&queue, 3), 0);
	shoal_ready_queue_push(&queue, (struct shoal_ready_entry){ .sequence = 1, .index = 3 });
	shoal_ready_queue_push(&queue, (struct shoal_ready_entry){ .sequence = UINT32_MAX, .index = 1 });
	shoal_ready_queue_push(&queue, (struct shoal_ready_entry){ .sequence = 0, .index = 2 });
	assert_int_equal(shoal_ready_queue_pop(&queue), 1);
	assert_int_equal(shoal_ready_queue_pop(&queue), 2);
	assert_int_equal(shoal_ready_queue_pop(&queue), 3);
	shoal_ready_queue_fini(&queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_in_order_whatever_the_order_of_entry),
		cmocka_unit_test(mixed_pushes_and_pops),
		cmocka_unit_test(sequence_numbers_may_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
