/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "worker/statistics.h"

static void rows_carry_what_they_were_given(void **state)
{
	struct shoal_statistic rows[2];
	struct shoal_statistics statistics = { .rows = rows, .room = 2 };

	(void)state;
	shoal_statistics_counter(&statistics, "packets_total", "port", "inside", 12);
	shoal_statistics_gauge(&statistics, "objects", NULL, NULL, 3);
	assert_int_equal(statistics.count, 2);
	assert_string_equal(rows[0].name, "packets_total");
	assert_string_equal(rows[0].label, "port");
	assert_string_equal(rows[0].label_value, "inside");
	assert_int_equal(rows[0].kind, SHOAL_COUNTER);
	assert_int_equal(rows[0].value, 12);
	assert_string_equal(rows[1].label, "");
	assert_int_equal(rows[1].kind, SHOAL_GAUGE);
	assert_int_equal(rows[1].value, 3);
}

static void rows_beyond_the_room_are_counted_not_written(void **state)
{
	struct shoal_statistic rows[2];
	struct shoal_statistics statistics = { .rows = rows, .room = 1 };

	(void)state;
	memset(rows, 0x5a, sizeof(rows));
	shoal_statistics_counter(&statistics, "a", NULL, NULL, 1);
	shoal_statistics_counter(&statistics, "b", NULL, NULL, 2);
	assert_int_equal(statistics.count, 2);
	assert_string_equal(rows[0].name, "a");
	assert_int_equal(rows[1].name[0], 0x5a);
}

static void a_name_that_is_too_long_is_cut(void **state)
{
	struct shoal_statistic row;
	struct shoal_statistics statistics = { .rows = &row, .room = 1 };
	char longer[200];

	(void)state;
	memset(longer, 'n', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	shoal_statistics_counter(&statistics, longer, longer, longer, 1);
	assert_int_equal(strlen(row.name), sizeof(row.name) - 1);
	assert_int_equal(strlen(row.label), sizeof(row.label) - 1);
	assert_int_equal(strlen(row.label_value), sizeof(row.label_value) - 1);
}

static const struct shoal_statistic *row_of(const struct shoal_statistic *rows, long count, const char *bound)
{
	for (long i = 0; i < count; i++)
		if (!strcmp(rows[i].bound, bound))
			return &rows[i];
	return NULL;
}

static void a_histogram_is_cumulative_and_exact_at_its_bounds(void **state)
{
	struct shoal_statistic rows[SHOAL_HISTOGRAM_BUCKETS + 1];
	struct shoal_statistics statistics = { .rows = rows, .room = SHOAL_HISTOGRAM_BUCKETS + 1 };
	struct shoal_histogram histogram = { 0 };

	(void)state;
	shoal_histogram_add(&histogram, 0);
	shoal_histogram_add(&histogram, 1023);
	shoal_histogram_add(&histogram, 1024);
	shoal_histogram_add(&histogram, UINT64_C(1) << 50);
	shoal_statistics_histogram(&statistics, "wait", &histogram);
	assert_int_equal(statistics.count, SHOAL_HISTOGRAM_BUCKETS + 1);
	assert_int_equal(row_of(rows, statistics.count, "0")->value, 1);
	assert_int_equal(row_of(rows, statistics.count, "511")->value, 1);
	assert_int_equal(row_of(rows, statistics.count, "1023")->value, 2);
	assert_int_equal(row_of(rows, statistics.count, "2047")->value, 3);
	assert_int_equal(row_of(rows, statistics.count, "+Inf")->value, 4);
	assert_int_equal(row_of(rows, statistics.count, "sum")->value, 2047 + (UINT64_C(1) << 50));
	assert_string_equal(rows[SHOAL_HISTOGRAM_BUCKETS].bound, "sum");
	assert_string_equal(rows[0].label, "");
}

static void a_labelled_histogram_has_few_bounds_and_counts_all(void **state)
{
	struct shoal_statistic rows[SHOAL_HISTOGRAM_BUCKETS];
	struct shoal_statistics statistics = { .rows = rows, .room = SHOAL_HISTOGRAM_BUCKETS };
	struct shoal_histogram histogram = { 0 };

	(void)state;
	shoal_histogram_add_times(&histogram, 7, 3);
	shoal_histogram_add(&histogram, 1024);
	shoal_histogram_add(&histogram, 4096);
	shoal_histogram_add(&histogram, UINT64_C(1) << 45);
	shoal_statistics_labelled_histogram(&statistics, "round_trip", "member", "3", &histogram);
	assert_in_range(statistics.count, 3, 17);
	assert_int_equal(row_of(rows, statistics.count, "1023")->value, 3);
	assert_int_equal(row_of(rows, statistics.count, "4095")->value, 4);
	assert_int_equal(row_of(rows, statistics.count, "16383")->value, 5);
	assert_int_equal(row_of(rows, statistics.count, "+Inf")->value, 6);
	assert_int_equal(row_of(rows, statistics.count, "sum")->value, 21 + 1024 + 4096 + (UINT64_C(1) << 45));
	for (long i = 0; i < statistics.count; i++) {
		assert_string_equal(rows[i].label, "member");
		assert_string_equal(rows[i].label_value, "3");
		assert_int_equal(rows[i].kind, SHOAL_HISTOGRAM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_carry_what_they_were_given),
		cmocka_unit_test(rows_beyond_the_room_are_counted_not_written),
		cmocka_unit_test(a_name_that_is_too_long_is_cut),
		cmocka_unit_test(a_histogram_is_cumulative_and_exact_at_its_bounds),
		cmocka_unit_test(a_labelled_histogram_has_few_bounds_and_counts_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
