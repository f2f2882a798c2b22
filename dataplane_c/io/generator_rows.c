/* SPDX-License-Identifier: BSD-3-Clause */
/* The generator's time series. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/generator_state.h"
#include "io/latency.h"
#include "worker/error.h"

int generator_rows_init(struct shoal_generator *generator)
{
	struct generator_rows *rows = &generator->rows;

	rows->most = generator->config.rows_max;
	rows->ring = calloc(rows->most, sizeof(*rows->ring));
	return rows->ring ? 0 : shoal_error(ENOMEM, "no memory for %u rows", rows->most);
}

/* Sums since start; a row is the difference of two. Flows that live, and quantiles, are not sums. */
static struct shoal_traffic_row sums(const struct shoal_generator *generator)
{
	const struct shoal_generator_totals *totals = &generator->totals;
	struct shoal_traffic_row row = { .end_ns = generator->now_ns - generator->started_ns,
		.reordered = totals->reordered,
		.duplicated = totals->duplicated,
		.corrupted = totals->corrupted,
		.mapping_violations = totals->mapping_changed + totals->mapping_shared + totals->mapping_misled,
		.flows_started = generator->flows.started,
		.slipped_ns = totals->slipped_ns };

	for (unsigned i = 0; i < SHOAL_NF_PORTS_MAX; i++) {
		row.sent_packets += totals->sent_packets[i];
		row.sent_bytes += totals->sent_bytes[i];
		row.received_packets += totals->arrived_packets[i];
		row.received_bytes += totals->arrived_bytes[i];
	}
	return row;
}

void generator_rows_start(struct shoal_generator *generator)
{
	struct generator_rows *rows = &generator->rows;

	rows->begun_ns = generator->now_ns;
	rows->before = sums(generator);
	memset(&rows->latency, 0, sizeof(rows->latency));
}

static struct shoal_traffic_row difference(const struct shoal_traffic_row *now, const struct shoal_traffic_row *before)
{
	struct shoal_traffic_row row = *now;

	row.length_ns = now->end_ns - before->end_ns;
	row.sent_packets -= before->sent_packets;
	row.sent_bytes -= before->sent_bytes;
	row.received_packets -= before->received_packets;
	row.received_bytes -= before->received_bytes;
	row.reordered -= before->reordered;
	row.duplicated -= before->duplicated;
	row.corrupted -= before->corrupted;
	row.mapping_violations -= before->mapping_violations;
	row.flows_started -= before->flows_started;
	row.slipped_ns -= before->slipped_ns;
	return row;
}

static void row_end(struct shoal_generator *generator)
{
	struct generator_rows *rows = &generator->rows;
	struct shoal_traffic_row now = sums(generator), row = difference(&now, &rows->before);
	/* acquire; pairs with the release in shoal_generator_drain: a row is overwritten only after it was copied */
	uint64_t read = __atomic_load_n(&rows->read, __ATOMIC_ACQUIRE);

	row.flows_live = generator->flows.started - generator->flows.ended;
	row.latency_count = rows->latency.count;
	row.p50_ns = shoal_latency_quantile(&rows->latency, 0.5);
	row.p99_ns = shoal_latency_quantile(&rows->latency, 0.99);
	row.p999_ns = shoal_latency_quantile(&rows->latency, 0.999);
	row.max_ns = rows->latency.max_ns;
	if (rows->written - read < rows->most) {
		rows->ring[rows->written % rows->most] = row;
		/* release; pairs with the acquire in shoal_generator_drain */
		__atomic_store_n(&rows->written, rows->written + 1, __ATOMIC_RELEASE);
	} else {
		generator->totals.rows_lost++;
	}
	shoal_packet_groups_end_row(generator->profile->groups);
	generator_rows_start(generator);
}

void generator_rows_advance(struct shoal_generator *generator)
{
	if (generator->answering &&
		generator->now_ns - generator->rows.begun_ns >= generator->config.row_ms * SHOAL_NS_PER_MS)
		row_end(generator);
}

long shoal_generator_drain(struct shoal_generator *generator, struct shoal_traffic_row *out, long n)
{
	struct generator_rows *rows = &generator->rows;
	/* acquire; pairs with the release in row_end */
	uint64_t written = __atomic_load_n(&rows->written, __ATOMIC_ACQUIRE), read = rows->read;
	long count = 0;

	for (; count < n && read < written; count++, read++)
		out[count] = rows->ring[read % rows->most];
	/* release; pairs with the acquire in row_end */
	__atomic_store_n(&rows->read, read, __ATOMIC_RELEASE);
	return count;
}
