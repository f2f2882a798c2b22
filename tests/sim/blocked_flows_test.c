/* SPDX-License-Identifier: BSD-3-Clause */
/* dso.md, case 20: 100,000 flows of a worker are blocked (their key owner is not polled); the others keep 90 % of their
 * throughput. Two workers do the same work chunk by chunk in turn, and one of them has the blocked flows; afterwards all of
 * those leave too. Under sanitizers a hundredth, and no times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "blocked_pair.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BLOCKED 1000u
#define TIMED false
#else
#define BLOCKED 100000u
#define TIMED true
#endif
#define CHUNK_BURSTS 64u
#define CHUNKS 600u

static void block(struct pair *pair)
{
	uint64_t key = UINT64_C(1) << 32;

	for (unsigned i = 0; i < BLOCKED; i++) {
		key = pair_find_key(pair, key + 1, false);
		pair_feed(pair, key);
		if (pair->source.count < SHOAL_BURST_MAX && i + 1 < BLOCKED)
			continue;
		pair_now_ns += 10000;
		shoal_worker_poll(pair->worker, pair_now_ns);
	}
	assert_int_equal(pair->worker->space.fetches, BLOCKED);
}

static uint64_t chunk_ns(struct pair *pair)
{
	struct timespec from, to;
	uint64_t sum = 0;

	for (unsigned burst = 0; burst < CHUNK_BURSTS; burst++) {
		pair_feed_local(pair);
		pair_now_ns += 10000;
		clock_gettime(CLOCK_MONOTONIC, &from);
		shoal_worker_poll(pair->worker, pair_now_ns);
		clock_gettime(CLOCK_MONOTONIC, &to);
		sum += (uint64_t)(to.tv_sec - from.tv_sec) * SHOAL_NS_PER_S + (uint64_t)to.tv_nsec -
		       (uint64_t)from.tv_nsec;
	}
	return sum;
}

static int compare(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

static double median_ns(uint64_t *chunks)
{
	qsort(chunks, CHUNKS, sizeof(chunks[0]), compare);
	return (double)chunks[CHUNKS / 2] / (CHUNK_BURSTS * SHOAL_BURST_MAX);
}

static void test_others_go_on(void **state)
{
	static uint64_t with[CHUNKS], without[CHUNKS];
	static struct pair free_one, blocked;
	double ratio;

	(void)state;
	pair_start(&free_one, 1024, 2 * BLOCKED);
	pair_start(&blocked, BLOCKED + 1024, 2 * BLOCKED);
	block(&blocked);
	for (unsigned chunk = 0; chunk < CHUNKS; chunk++) {
		without[chunk] = chunk_ns(&free_one);
		with[chunk] = chunk_ns(&blocked);
	}
	assert_int_equal(free_one.source.left, blocked.source.left);
	ratio = median_ns(without) / median_ns(with);
	printf("%.1f ns a packet, with %u blocked flows %.1f ns: %.0f %%\n", median_ns(without), BLOCKED,
		median_ns(with), 100 * ratio);
	if (TIMED)
		assert_true(ratio >= 0.9);
	/* The peer is polled again: all that were blocked leave. */
	uint64_t expected = blocked.source.left + BLOCKED;

	for (unsigned i = 0; i < BLOCKED && blocked.source.left < expected; i++)
		pair_poll(&blocked);
	assert_int_equal(blocked.source.left, expected);
	assert_int_equal(shoal_worker_inside(blocked.worker), 0);
	pair_end(&blocked);
	pair_end(&free_one);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_others_go_on) };

	return pair_set_up(BLOCKED + 4096) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
