/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/schedule.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "worker/error.h"

#define SILENT_STEPS_MAX 1024 /* of dummy and paused streams in one call */
#define US_PER_S 1e6

struct event {
	double time_s;
	uint64_t order; /* of insertion: ties are first come first served */
	uint32_t stream;
};

struct shoal_schedule {
	struct shoal_stream *streams;
	uint32_t count, room;
	struct event *heap; /* each active stream has exactly one event */
	uint32_t heap_count;
	uint64_t order;
	double duration_s;
	double multiplier;
	uint64_t link_bps;
	uint32_t default_seed;
};

struct shoal_schedule *shoal_schedule_create(uint64_t link_bps, uint32_t default_seed)
{
	struct shoal_schedule *schedule = calloc(1, sizeof(*schedule));

	if (!schedule) {
		shoal_error(ENOMEM, "no memory for a schedule");
		return NULL;
	}
	schedule->link_bps = link_bps;
	schedule->default_seed = default_seed;
	schedule->multiplier = 1;
	return schedule;
}

void shoal_schedule_destroy(struct shoal_schedule *schedule)
{
	if (!schedule)
		return;
	for (uint32_t i = 0; i < schedule->count; i++)
		shoal_stream_fini(&schedule->streams[i]);
	free(schedule->streams);
	free(schedule->heap);
	free(schedule);
}

static int grow(struct shoal_schedule *schedule)
{
	uint32_t room = schedule->room ? schedule->room * 2 : 16;
	struct shoal_stream *streams;
	struct event *heap;

	if (schedule->count == SHOAL_STREAMS_MAX)
		return shoal_error(ENOSPC, "a port has at most %d streams", SHOAL_STREAMS_MAX);
	if (schedule->count < schedule->room)
		return 0;
	streams = realloc(schedule->streams, room * sizeof(*streams));
	if (streams)
		schedule->streams = streams;
	heap = realloc(schedule->heap, room * sizeof(*heap));
	if (heap)
		schedule->heap = heap;
	if (!streams || !heap)
		return shoal_error(ENOMEM, "no memory for %u streams", room);
	schedule->room = room;
	return 0;
}

int shoal_schedule_add(struct shoal_schedule *schedule, const struct shoal_stream_config *config)
{
	int rc = grow(schedule);

	if (rc)
		return rc;
	rc = shoal_stream_init(&schedule->streams[schedule->count], config, schedule->count, schedule->link_bps,
		schedule->default_seed + schedule->count);
	if (!rc)
		schedule->count++;
	return rc;
}

void shoal_schedule_remove_last(struct shoal_schedule *schedule)
{
	shoal_stream_fini(&schedule->streams[--schedule->count]);
}

uint32_t shoal_schedule_count(const struct shoal_schedule *schedule)
{
	return schedule->count;
}

struct shoal_stream *shoal_schedule_stream(struct shoal_schedule *schedule, uint32_t number)
{
	return &schedule->streams[number];
}

uint32_t shoal_schedule_frame_bytes(const struct shoal_schedule *schedule)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < schedule->count; i++)
		if (schedule->streams[i].frame_bytes > most)
			most = schedule->streams[i].frame_bytes;
	return most;
}

/* --- the queue --- */

static bool earlier(const struct event *left, const struct event *right)
{
	return left->time_s < right->time_s || (left->time_s == right->time_s && left->order < right->order);
}

static void sift_up(struct event *heap, uint32_t at)
{
	struct event moving = heap[at];

	for (uint32_t parent = (at - 1) / 2; at && earlier(&moving, &heap[parent]); parent = (at - 1) / 2) {
		heap[at] = heap[parent];
		at = parent;
	}
	heap[at] = moving;
}

static void sift_down(struct event *heap, uint32_t count)
{
	struct event moving = heap[0];
	uint32_t at = 0;

	for (uint32_t child = 1; child < count; child = 2 * at + 1) {
		if (child + 1 < count && earlier(&heap[child + 1], &heap[child]))
			child++;
		if (!earlier(&heap[child], &moving))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moving;
}

static void push(struct shoal_schedule *schedule, const struct shoal_stream *stream, double time_s)
{
	schedule->heap[schedule->heap_count] =
		(struct event){ .time_s = time_s, .order = schedule->order++, .stream = stream->number };
	sift_up(schedule->heap, schedule->heap_count++);
}

static void pop(struct shoal_schedule *schedule)
{
	schedule->heap[0] = schedule->heap[--schedule->heap_count];
	if (schedule->heap_count)
		sift_down(schedule->heap, schedule->heap_count);
}

/* The stream at the head sends again at time_s: one walk down instead of a pop and a push. */
static void postpone(struct shoal_schedule *schedule, double time_s)
{
	schedule->heap[0].time_s = time_s;
	schedule->heap[0].order = schedule->order++;
	sift_down(schedule->heap, schedule->heap_count);
}

/* --- streams in time --- */

/* Variables of the field engine go on where they were: only the counters begin anew. */
static void activate(struct shoal_schedule *schedule, struct shoal_stream *stream, double last_s)
{
	const struct shoal_stream_config *config = &stream->config;

	stream->active = true;
	stream->burst_left = config->burst_packets;
	stream->bursts_left = config->mode == SHOAL_STREAM_MULTI_BURST ? config->bursts : 1;
	push(schedule, stream, last_s + config->start_gap_us / US_PER_S);
}

static void complete(struct shoal_schedule *schedule, struct shoal_stream *stream, double time_s)
{
	const struct shoal_stream_config *config = &stream->config;

	pop(schedule);
	stream->active = false;
	if (config->next < 0)
		return;
	if (config->action_count && ++stream->completions >= config->action_count)
		return;
	if (!schedule->streams[config->next].active)
		activate(schedule, &schedule->streams[config->next], time_s);
}

void shoal_schedule_advance(struct shoal_schedule *schedule)
{
	struct event *head = &schedule->heap[0];
	struct shoal_stream *stream = &schedule->streams[head->stream];
	const struct shoal_stream_config *config = &stream->config;

	if (config->mode == SHOAL_STREAM_CONTINUOUS || --stream->burst_left > 0) {
		postpone(schedule, head->time_s + stream->gap_s);
		return;
	}
	if (--stream->bursts_left > 0) {
		stream->burst_left = config->burst_packets;
		postpone(schedule, head->time_s + config->burst_gap_us / US_PER_S);
		return;
	}
	complete(schedule, stream, head->time_s);
}

struct shoal_stream *shoal_schedule_due(struct shoal_schedule *schedule, double until_s, double *due_s)
{
	for (unsigned step = 0; step < SILENT_STEPS_MAX; step++) {
		const struct event *head = &schedule->heap[0];
		struct shoal_stream *stream;

		if (shoal_schedule_finished(schedule) || head->time_s > until_s)
			return NULL;
		stream = &schedule->streams[head->stream];
		if (!stream->paused && !(stream->config.flags & SHOAL_STREAM_DUMMY)) {
			*due_s = head->time_s;
			return stream;
		}
		shoal_schedule_advance(schedule);
	}
	return NULL;
}

bool shoal_schedule_finished(const struct shoal_schedule *schedule)
{
	return !schedule->heap_count || schedule->heap[0].time_s >= schedule->duration_s;
}

void shoal_schedule_start(struct shoal_schedule *schedule, double multiplier, double duration_s)
{
	schedule->multiplier = multiplier;
	schedule->duration_s = duration_s > 0 ? duration_s : INFINITY;
	schedule->heap_count = 0;
	schedule->order = 0;
	for (uint32_t i = 0; i < schedule->count; i++)
		shoal_stream_reset(&schedule->streams[i], multiplier);
	for (uint32_t i = 0; i < schedule->count; i++)
		if (schedule->streams[i].config.enabled && schedule->streams[i].config.self_start)
			activate(schedule, &schedule->streams[i], 0);
}

void shoal_schedule_stop(struct shoal_schedule *schedule)
{
	schedule->heap_count = 0;
}

void shoal_schedule_set_multiplier(struct shoal_schedule *schedule, double multiplier)
{
	schedule->multiplier = multiplier;
	for (uint32_t i = 0; i < schedule->count; i++)
		shoal_stream_set_multiplier(&schedule->streams[i], multiplier);
}
