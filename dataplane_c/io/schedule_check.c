/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a port's streams fit together; the rules of TRex's own compiler, and one that it lacks (no_standing_circle). */
#include <errno.h>
#include <stdlib.h>

#include "io/schedule.h"
#include "worker/error.h"

/* accessors take a schedule that may be changed; nothing here changes it */
static const struct shoal_stream *stream_at(const struct shoal_schedule *schedule, uint32_t number)
{
	return shoal_schedule_stream((struct shoal_schedule *)schedule, number);
}

static bool is_latency(const struct shoal_stream *stream)
{
	return stream->config.group_kind == SHOAL_GROUP_LATENCY;
}

static int check_next(const struct shoal_schedule *schedule, const struct shoal_stream *stream)
{
	const char *name = stream->config.name;
	int64_t next = stream->config.next;

	if (next < 0 || !stream->config.enabled)
		return 0;
	if (next >= shoal_schedule_count(schedule))
		return shoal_error(
			EINVAL, "stream %u (%s): its next stream %ld does not exist", stream->number, name, next);
	if (!stream_at(schedule, (uint32_t)next)->config.enabled)
		return shoal_error(
			EINVAL, "stream %u (%s): its next stream %ld is disabled", stream->number, name, next);
	if (is_latency(stream) != is_latency(stream_at(schedule, (uint32_t)next)))
		return shoal_error(
			EINVAL, "stream %u (%s): a chain can't mix latency streams with others", stream->number, name);
	return 0;
}

static int check_reachable(const struct shoal_schedule *schedule, const bool *started)
{
	for (uint32_t i = 0; i < shoal_schedule_count(schedule); i++) {
		const struct shoal_stream_config *config = &stream_at(schedule, i)->config;

		if (config->enabled && !config->self_start && !started[i])
			return shoal_error(
				EINVAL, "stream %u (%s): neither starts itself nor follows another", i, config->name);
	}
	return 0;
}

static bool takes_no_time(const struct shoal_stream *stream)
{
	const struct shoal_stream_config *config = &stream->config;

	return !(config->start_gap_us > 0) && config->burst_packets == 1 &&
	       (config->mode == SHOAL_STREAM_SINGLE_BURST || config->bursts == 1 || !(config->burst_gap_us > 0));
}

/* Streams that start one another for ever at one and the same instant would send without end and stop all others.
 * `seen[i]` is the start of the walk that first came to i, plus one. */
static int no_standing_circle(const struct shoal_schedule *schedule, uint32_t *seen)
{
	for (uint32_t start = 0; start < shoal_schedule_count(schedule); start++) {
		int64_t at = start;

		while (at >= 0 && !seen[at]) {
			const struct shoal_stream *stream = stream_at(schedule, (uint32_t)at);

			seen[at] = start + 1;
			if (!stream->config.enabled || stream->config.action_count || !takes_no_time(stream))
				at = -1;
			else
				at = stream->config.next;
		}
		if (at >= 0 && seen[at] == start + 1)
			return shoal_error(EINVAL, "stream %ld (%s): follows itself for ever without any time passing",
				at, stream_at(schedule, (uint32_t)at)->config.name);
	}
	return 0;
}

int shoal_schedule_check(const struct shoal_schedule *schedule)
{
	uint32_t count = shoal_schedule_count(schedule);
	bool *started = calloc(count + 1, sizeof(*started));
	uint32_t *seen = calloc(count + 1, sizeof(*seen));
	int rc = started && seen ? 0 : shoal_error(ENOMEM, "no memory to check %u streams", count);

	for (uint32_t i = 0; !rc && i < count; i++) {
		const struct shoal_stream_config *config = &stream_at(schedule, i)->config;

		rc = check_next(schedule, stream_at(schedule, i));
		if (!rc && config->enabled && config->next >= 0)
			started[config->next] = true;
	}
	rc = rc ? rc : check_reachable(schedule, started);
	rc = rc ? rc : no_standing_circle(schedule, seen);
	free(started);
	free(seen);
	return rc;
}
