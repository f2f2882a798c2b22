/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>

#include "worker/statistics.h"

static struct shoal_statistic row_of(
	enum shoal_statistic_kind kind, const char *name, const char *label, const char *label_value)
{
	struct shoal_statistic row = { .kind = kind };

	snprintf(row.name, sizeof(row.name), "%s", name);
	snprintf(row.label, sizeof(row.label), "%s", label ? label : "");
	snprintf(row.label_value, sizeof(row.label_value), "%s", label_value ? label_value : "");
	return row;
}

static void add_row(struct shoal_statistics *statistics, const struct shoal_statistic *row)
{
	if (statistics->count++ < statistics->room)
		statistics->rows[statistics->count - 1] = *row;
}

void shoal_statistics_counter(struct shoal_statistics *statistics, const char *name, const char *label,
	const char *label_value, uint64_t value)
{
	struct shoal_statistic row = row_of(SHOAL_COUNTER, name, label, label_value);

	row.value = value;
	add_row(statistics, &row);
}

void shoal_statistics_gauge(struct shoal_statistics *statistics, const char *name, const char *label,
	const char *label_value, uint64_t value)
{
	struct shoal_statistic row = row_of(SHOAL_GAUGE, name, label, label_value);

	row.value = value;
	add_row(statistics, &row);
}

/* From the bucket `first` on every one of `step`. */
static void add_histogram(struct shoal_statistics *statistics, const struct shoal_statistic *labelled,
	const struct shoal_histogram *histogram, unsigned first, unsigned step)
{
	struct shoal_statistic row = *labelled;

	for (unsigned bucket = 0; bucket < SHOAL_HISTOGRAM_BUCKETS; bucket++) {
		row.value += __atomic_load_n(&histogram->buckets[bucket], __ATOMIC_RELAXED);
		/* A bound is included, and durations are whole nanoseconds. The last bucket takes all that is longer. */
		if (bucket == SHOAL_HISTOGRAM_BUCKETS - 1)
			snprintf(row.bound, sizeof(row.bound), "+Inf");
		else if (bucket >= first && (bucket - first) % step == 0)
			snprintf(row.bound, sizeof(row.bound), "%" PRIu64, (UINT64_C(1) << bucket) - 1);
		else
			continue;
		add_row(statistics, &row);
	}
	row.value = __atomic_load_n(&histogram->sum, __ATOMIC_RELAXED);
	snprintf(row.bound, sizeof(row.bound), "sum");
	add_row(statistics, &row);
}

void shoal_statistics_histogram(
	struct shoal_statistics *statistics, const char *name, const struct shoal_histogram *histogram)
{
	const struct shoal_statistic row = row_of(SHOAL_HISTOGRAM, name, NULL, NULL);

	add_histogram(statistics, &row, histogram, 0, 1);
}

void shoal_statistics_labelled_histogram(struct shoal_statistics *statistics, const char *name, const char *label,
	const char *label_value, const struct shoal_histogram *histogram)
{
	const struct shoal_statistic row = row_of(SHOAL_HISTOGRAM, name, label, label_value);

	add_histogram(statistics, &row, histogram, 10, 2);
}
