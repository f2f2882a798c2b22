/* SPDX-License-Identifier: BSD-3-Clause */
/* What a worker's histogram of latencies says of packets that leave at once, that are suspended, that wait behind such a one,
 * and that a full port keeps back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "blocked_pair.h"

static uint64_t samples(const struct shoal_histogram *histogram)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < SHOAL_HISTOGRAM_BUCKETS; i++)
		sum += histogram->buckets[i];
	return sum;
}

/* Polls the worker alone and expects so many samples more, of so many nanoseconds together. */
static void poll_and_expect(struct pair *pair, uint64_t count, uint64_t nanoseconds)
{
	const struct shoal_histogram before = pair->worker->latencies;

	pair_now_ns += 10000;
	shoal_worker_poll(pair->worker, pair_now_ns);
	assert_int_equal(samples(&pair->worker->latencies) - samples(&before), count);
	assert_int_equal(pair->worker->latencies.sum - before.sum, nanoseconds);
}

static void start_timed_pair(struct pair *pair)
{
	pair_start(pair, 1024, 4096);
	pair_poll(pair); /* the last burst's poll has its length now */
	assert_int_equal(samples(&pair->worker->latencies), pair->source.left);
}

static void test_what_leaves_at_once_took_its_poll(void **state)
{
	static struct pair pair;

	(void)state;
	start_timed_pair(&pair);
	pair_feed_local(&pair);
	poll_and_expect(&pair, 0, 0); /* its length is not known yet */
	poll_and_expect(&pair, SHOAL_BURST_MAX, SHOAL_BURST_MAX * 10000);
	poll_and_expect(&pair, 0, 0);
	pair_end(&pair);
}

static void test_what_was_suspended_took_its_wait(void **state)
{
	static struct pair pair;
	uint64_t key;

	(void)state;
	start_timed_pair(&pair);
	key = pair_find_key(&pair, UINT64_C(1) << 32, false);
	pair_feed_peer(&pair, key); /* who makes the object, and has it */
	pair_poll(&pair);
	/* Two packets of one flow, the second one behind the first; around them others, which do not wait. */
	pair_feed(&pair, pair.local[0]);
	pair_feed(&pair, key);
	pair_feed(&pair, key);
	pair_feed(&pair, pair.local[1]);
	poll_and_expect(&pair, 0, 0);
	poll_and_expect(&pair, 2, 20000);
	poll_and_expect(&pair, 0, 0);
	shoal_worker_poll(pair.peer, pair_now_ns); /* the key's owner */
	poll_and_expect(&pair, 2, 2 * 30000);
	assert_int_equal(samples(&pair.worker->latencies), pair.source.left);
	pair_end(&pair);
}

/* Drivers want more room than a microthread has; and no packet is lost for having been set aside. */
static void test_many_that_were_suspended_leave_from_the_workers_stack(void **state)
{
	static struct pair pair;
	uint64_t key = UINT64_C(1) << 32, left;

	(void)state;
	start_timed_pair(&pair);
	left = pair.source.left;
	pair.source.stack = (uintptr_t)__builtin_frame_address(0);
	for (unsigned i = 0; i < 25 * SHOAL_BURST_MAX; i++) {
		key = pair_find_key(&pair, key + 1, false);
		pair_feed(&pair, key);
		if (pair.source.count == SHOAL_BURST_MAX)
			poll_and_expect(&pair, 0, 0);
	}
	for (unsigned i = 0; i < 1000 && pair.source.left < left + 25 * SHOAL_BURST_MAX; i++) {
		pair_feed_local(&pair);
		pair_poll(&pair);
	}
	pair_poll(&pair);
	assert_int_equal(pair.source.elsewhere, 0);
	assert_int_equal(pair.worker->drops[SHOAL_WORKER_DROP_TRANSMIT_FULL], 0);
	assert_int_equal(shoal_worker_inside(pair.worker), 0);
	assert_true(pair.source.left >= left + 25 * SHOAL_BURST_MAX);
	pair_end(&pair);
}

static void test_what_a_full_port_kept_back_took_that_too(void **state)
{
	static struct pair pair;

	(void)state;
	start_timed_pair(&pair);
	pair.source.full = true;
	pair_feed_local(&pair);
	poll_and_expect(&pair, 0, 0);
	poll_and_expect(&pair, 0, 0);
	pair.source.full = false;
	poll_and_expect(&pair, SHOAL_BURST_MAX, SHOAL_BURST_MAX * 20000);
	assert_int_equal(samples(&pair.worker->latencies), pair.source.left);
	pair_end(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_leaves_at_once_took_its_poll),
		cmocka_unit_test(test_what_was_suspended_took_its_wait),
		cmocka_unit_test(test_many_that_were_suspended_leave_from_the_workers_stack),
		cmocka_unit_test(test_what_a_full_port_kept_back_took_that_too),
	};

	return pair_set_up(4096) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
