/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <cmocka.h>

#include "worker/clock.h"
#include "worker/runner.h"

static uint64_t monotonic_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * SHOAL_NS_PER_S + (uint64_t)time.tv_nsec;
}

static void never_runs_backwards(void **state)
{
	uint64_t last = shoal_clock_now();

	(void)state;
	for (unsigned i = 0; i < 1000000; i++) {
		uint64_t now = shoal_clock_now();

		assert_true(now >= last);
		last = now;
	}
}

/* Over a fifth of a second the two clocks agree within a thousandth, wherever the thread was preempted: the reading is
 * enclosed by two of the other clock. */
static void runs_as_fast_as_the_monotonic_clock(void **state)
{
	uint64_t start_low, start, start_high, low, end, high;

	(void)state;
	shoal_clock_calibrate();
	start_low = monotonic_ns();
	start = shoal_clock_now();
	start_high = monotonic_ns();
	while (monotonic_ns() - start_high < 200 * SHOAL_NS_PER_MS)
		;
	low = monotonic_ns();
	end = shoal_clock_now();
	high = monotonic_ns();
	assert_true(end - start >= (low - start_high) / 1000 * 999);
	assert_true(end - start <= (high - start_low) / 1000 * 1001);
}

static void starts_near_the_monotonic_clock(void **state)
{
	uint64_t low, now, high;

	(void)state;
	shoal_clock_calibrate();
	low = monotonic_ns();
	now = shoal_clock_now();
	high = monotonic_ns();
	assert_true(now + 10 * SHOAL_NS_PER_MS > low);
	assert_true(now < high + 10 * SHOAL_NS_PER_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_runs_backwards),
		cmocka_unit_test(runs_as_fast_as_the_monotonic_clock),
		cmocka_unit_test(starts_near_the_monotonic_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
