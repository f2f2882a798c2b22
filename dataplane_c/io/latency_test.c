/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/latency.h"

static void buckets_hold_their_values(void **state)
{
	for (uint64_t value = 0; value < UINT64_C(1) << 37; value = value * 17 / 16 + 1) {
		uint32_t bucket = shoal_latency_bucket(value);

		assert_true(bucket < SHOAL_LATENCY_BUCKETS);
		assert_true(value <= shoal_latency_bucket_ns(bucket));
		if (bucket)
			assert_true(value > shoal_latency_bucket_ns(bucket - 1));
		if (bucket < SHOAL_LATENCY_BUCKETS - 1)
			assert_true(shoal_latency_bucket_ns(bucket) - value <= value / 31 + 1);
	}
	assert_int_equal(shoal_latency_bucket(UINT64_MAX), SHOAL_LATENCY_BUCKETS - 1);
}

static void quantiles(void **state)
{
	struct shoal_latency latency = { 0 };

	assert_int_equal(shoal_latency_quantile(&latency, 0.99), 0);
	for (uint64_t value = 1; value <= 1000; value++)
		shoal_latency_add(&latency, value * 1000);
	assert_int_equal(latency.count, 1000);
	assert_int_equal(latency.min_ns, 1000);
	assert_int_equal(latency.max_ns, 1000000);
	assert_int_equal(latency.sum_ns, 500500000);
	assert_in_range(shoal_latency_quantile(&latency, 0.5), 500000, 516000);
	assert_in_range(shoal_latency_quantile(&latency, 0.99), 990000, 1000000);
	assert_int_equal(shoal_latency_quantile(&latency, 1), 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_hold_their_values),
		cmocka_unit_test(quantiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
