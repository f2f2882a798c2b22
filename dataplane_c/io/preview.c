/* SPDX-License-Identifier: BSD-3-Clause */
/* The generator's packets in virtual time, for packet files; contract in shoal/dataplane.h. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "io/generator_state.h"
#include "worker/error.h"

struct shoal_preview {
	struct generator_profile *profile; /* owns */
	bool started;
	bool silent[SHOAL_NF_PORTS_MAX]; /* only dummy and paused streams are left there */
};

/* A call to the schedule takes a bounded number of silent steps: after so many calls nothing is expected of the port any
 * more. Minutes of dummy streams are below it. */
#define SILENT_CALLS_MAX 65536

struct shoal_preview *shoal_preview_create(const struct shoal_preview_config *config)
{
	struct shoal_preview *preview = calloc(1, sizeof(*preview));

	if (preview)
		preview->profile = generator_profile_create(config->link_bps, config->seed);
	if (preview && preview->profile)
		return preview;
	shoal_preview_destroy(preview);
	shoal_error(ENOMEM, "no memory for a preview");
	errno = ENOMEM;
	return NULL;
}

void shoal_preview_destroy(struct shoal_preview *preview)
{
	if (!preview)
		return;
	generator_profile_destroy(preview->profile);
	free(preview);
}

int shoal_preview_add_stream(struct shoal_preview *preview, uint8_t nf_port, const struct shoal_stream_config *stream)
{
	if (preview->started)
		return shoal_error(EBUSY, "streams are added before the start");
	return generator_profile_add(preview->profile, nf_port, stream);
}

int shoal_preview_start(struct shoal_preview *preview, double multiplier, double duration_s)
{
	int rc = generator_profile_check(preview->profile);

	if (rc)
		return rc;
	if (!(multiplier > 0) || !isfinite(multiplier) || !(duration_s >= 0))
		return shoal_error(EINVAL, "multiplier %g, duration %g s", multiplier, duration_s);
	generator_profile_reset(preview->profile);
	for (unsigned i = 0; i < SHOAL_NF_PORTS_MAX; i++)
		shoal_schedule_start(preview->profile->schedules[i], multiplier, duration_s);
	preview->started = true;
	return 0;
}

/* The next sending stream of a port. */
static struct shoal_stream *next_of_port(struct shoal_preview *preview, unsigned port, double *due_s)
{
	struct shoal_schedule *schedule = preview->profile->schedules[port];

	for (unsigned call = 0; call < SILENT_CALLS_MAX && !preview->silent[port]; call++) {
		struct shoal_stream *stream = shoal_schedule_due(schedule, INFINITY, due_s);

		if (stream)
			return stream;
		if (shoal_schedule_finished(schedule))
			break;
	}
	preview->silent[port] = true;
	return NULL;
}

int shoal_preview_next(struct shoal_preview *preview, struct shoal_preview_packet *packet)
{
	struct shoal_stream *first = NULL;
	unsigned port = 0;
	double due_s;

	if (!preview->started)
		return shoal_error(EINVAL, "the preview was not started");
	for (unsigned i = 0; i < SHOAL_NF_PORTS_MAX; i++) {
		struct shoal_stream *stream = next_of_port(preview, i, &due_s);

		if (!stream || (first && packet->time_s <= due_s))
			continue;
		first = stream;
		packet->time_s = due_s;
		port = i;
	}
	if (!first)
		return 0;
	packet->stream = first->number;
	packet->nf_port = (uint8_t)port;
	packet->length = (uint16_t)shoal_stream_build(first, packet->frame);
	shoal_packet_groups_send(preview->profile->groups, first, packet->nf_port, packet->frame, packet->length,
		(uint64_t)(packet->time_s * 1e9));
	shoal_schedule_advance(preview->profile->schedules[port]);
	return 1;
}

int shoal_preview_rate(struct shoal_preview *preview, uint8_t nf_port, uint32_t number, double *pps, double *mean_bytes)
{
	const struct shoal_stream *stream;

	if (nf_port >= SHOAL_NF_PORTS_MAX || number >= shoal_schedule_count(preview->profile->schedules[nf_port]))
		return shoal_error(ENOENT, "port %u has no stream %u", nf_port, number);
	stream = shoal_schedule_stream(preview->profile->schedules[nf_port], number);
	*pps = stream->pps;
	*mean_bytes = stream->program ? shoal_field_program_expected_bytes(stream->program) : stream->frame_bytes;
	return 0;
}
