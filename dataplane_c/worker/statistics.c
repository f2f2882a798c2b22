/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>

#include "worker/statistics.h"

static void add_row(struct shoal_statistics *statistics, const struct shoal_statistic *row, const char *name,
	const char *label, const char *label_value)
{
	struct shoal_statistic *next;

	if (statistics->count++ >= statistics->room)
		return;
	next = &statistics->rows[statistics->count - 1];
	*next = *row;
	snprintf(next->name, sizeof(next->name), "%s", name);
	snprintf(next->label, sizeof(next->label), "%s", label ? label : "");
	snprintf(next->label_value, sizeof(next->label_value), "%s", label_value ? label_value : "");
}

void shoal_statistics_counter(struct shoal_statistics *statistics, const char *name, const char *label,
	const char *label_value, uint64_t value)
{
	struct shoal_statistic row = { .kind = SHOAL_COUNTER, .value = value };

	add_row(statistics, &row, name, label, label_value);
}

void shoal_statistics_gauge(struct shoal_statistics *statistics, const char *name, const char *label,
	const char *label_value, uint64_t value)
{
	struct shoal_statistic row = { .kind = SHOAL_GAUGE, .value = value };

	add_row(statistics, &row, name, label, label_value);
}

void shoal_statistics_histogram(
	struct shoal_statistics *statistics, const char *name, const struct shoal_histogram *histogram)
{
	struct shoal_statistic row = { .kind = SHOAL_HISTOGRAM };
	char bound[32];

	for (unsigned bucket = 0; bucket < SHOAL_HISTOGRAM_BUCKETS; bucket++) {
		row.value += __atomic_load_n(&histogram->buckets[bucket], __ATOMIC_RELAXED);
		/* "le" includes its bound, and durations are whole nanoseconds. The last bucket takes all that is longer. */
		if (bucket < SHOAL_HISTOGRAM_BUCKETS - 1)
			snprintf(bound, sizeof(bound), "%" PRIu64, (UINT64_C(1) << bucket) - 1);
		else
			snprintf(bound, sizeof(bound), "+Inf");
		add_row(statistics, &row, name, "le", bound);
	}
	row.value = __atomic_load_n(&histogram->sum, __ATOMIC_RELAXED);
	add_row(statistics, &row, name, "le", "sum");
}
