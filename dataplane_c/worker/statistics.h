/* SPDX-License-Identifier: BSD-3-Clause */
/* Collects the rows of shoal_instance_statistics and shoal_splitter_statistics. Counters are read while their writer
 * runs: each is one aligned word, written by one thread. */
#ifndef SHOAL_WORKER_STATISTICS_H
#define SHOAL_WORKER_STATISTICS_H

#include <shoal/dataplane.h>

struct shoal_statistics {
	struct shoal_statistic *rows; /* borrows */
	long room;
	long count; /* may exceed room: then the caller asks again with more */
};

void shoal_statistics_counter(struct shoal_statistics *statistics, const char *name, const char *label,
	const char *label_value, uint64_t value);
void shoal_statistics_gauge(struct shoal_statistics *statistics, const char *name, const char *label,
	const char *label_value, uint64_t value);

/* Histogram of durations by powers of two of a nanosecond: bucket b counts values below 2^b. Adding costs one
 * increment. */
#define SHOAL_HISTOGRAM_BUCKETS 40
struct shoal_histogram {
	uint64_t buckets[SHOAL_HISTOGRAM_BUCKETS];
	uint64_t sum;
};
static inline void shoal_histogram_add_times(struct shoal_histogram *histogram, uint64_t nanoseconds, uint64_t times)
{
	unsigned bucket = nanoseconds ? 64 - (unsigned)__builtin_clzll(nanoseconds) : 0;

	histogram->buckets[bucket < SHOAL_HISTOGRAM_BUCKETS ? bucket : SHOAL_HISTOGRAM_BUCKETS - 1] += times;
	histogram->sum += nanoseconds * times;
}
static inline void shoal_histogram_add(struct shoal_histogram *histogram, uint64_t nanoseconds)
{
	shoal_histogram_add_times(histogram, nanoseconds, 1);
}
/* Rows as dataplane.h says, one for each bucket. */
void shoal_statistics_histogram(
	struct shoal_statistics *statistics, const char *name, const struct shoal_histogram *histogram);
/* The same with a label, and with few rows since there is one such histogram for each of its values: bounds from 1 us to
 * 5 minutes, each four times the one before. */
void shoal_statistics_labelled_histogram(struct shoal_statistics *statistics, const char *name, const char *label,
	const char *label_value, const struct shoal_histogram *histogram);

#endif
