/* SPDX-License-Identifier: BSD-3-Clause */
/* What control reads of a generator while it runs: counters, each one aligned word with one writer. */
#include <errno.h>

#include "io/generator_state.h"
#include "io/latency.h"
#include "worker/error.h"

int shoal_generator_totals(struct shoal_generator *generator, struct shoal_generator_totals *totals)
{
	*totals = generator->totals;
	totals->elapsed_ns = (totals->running ? generator->now_ns : generator->ended_ns) - generator->started_ns;
	if (generator->starting)
		totals->elapsed_ns = 0;
	totals->flows_started = generator->flows.started;
	totals->flows_ended = generator->flows.ended;
	totals->flows_live = generator->flows.started - generator->flows.ended;
	return 0;
}

long shoal_generator_streams(
	struct shoal_generator *generator, long first, struct shoal_generator_stream *streams, long n)
{
	const struct generator_profile *profile = generator->profile;

	if (!profile)
		return 0;
	for (long i = 0; i < n && first >= 0 && first + i < profile->count; i++)
		streams[i] = profile->streams[first + i];
	return profile->count;
}

int shoal_generator_packet_group(struct shoal_generator *generator, uint32_t index, struct shoal_packet_group *group)
{
	const struct shoal_packet_group *found =
		generator->profile ? shoal_packet_groups_at(generator->profile->groups, index) : NULL;

	if (!found)
		return shoal_error(ENOENT, "there is no packet group %u", index);
	*group = *found;
	return 0;
}

int shoal_generator_latency(struct shoal_generator *generator, struct shoal_latency *latency)
{
	*latency = generator->latency;
	return 0;
}
