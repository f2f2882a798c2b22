/* SPDX-License-Identifier: BSD-3-Clause */
/* The streams of one run of the generator. Control side. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/generator_state.h"
#include "worker/error.h"

struct generator_profile *generator_profile_create(uint64_t link_bps, uint32_t seed)
{
	struct generator_profile *profile = calloc(1, sizeof(*profile));

	if (!profile) {
		shoal_error(ENOMEM, "no memory for a profile");
		return NULL;
	}
	profile->groups = shoal_packet_groups_create();
	for (unsigned i = 0; profile->groups && i < SHOAL_NF_PORTS_MAX; i++) {
		profile->schedules[i] = shoal_schedule_create(link_bps, seed + i * SHOAL_STREAMS_MAX);
		if (!profile->schedules[i])
			break;
	}
	if (profile->groups && profile->schedules[SHOAL_NF_PORTS_MAX - 1])
		return profile;
	generator_profile_destroy(profile);
	return NULL;
}

void generator_profile_destroy(struct generator_profile *profile)
{
	if (!profile)
		return;
	for (unsigned i = 0; i < SHOAL_NF_PORTS_MAX; i++)
		shoal_schedule_destroy(profile->schedules[i]);
	shoal_packet_groups_destroy(profile->groups);
	free(profile->streams);
	free(profile);
}

static int counters_grow(struct generator_profile *profile)
{
	uint32_t room = profile->room ? profile->room * 2 : 16;
	struct shoal_generator_stream *streams;

	if (profile->count < profile->room)
		return 0;
	streams = realloc(profile->streams, room * sizeof(*streams));
	if (!streams)
		return shoal_error(ENOMEM, "no memory for the counters of %u streams", room);
	profile->streams = streams;
	profile->room = room;
	return 0;
}

int generator_profile_add(struct generator_profile *profile, uint8_t nf_port, const struct shoal_stream_config *config)
{
	struct shoal_schedule *schedule;
	struct shoal_stream *stream;
	int rc = counters_grow(profile);

	if (rc)
		return rc;
	if (profile->count == SHOAL_STREAMS_MAX) /* a stamp has 16 bits for the stream */
		return shoal_error(ENOSPC, "at most %d streams on all ports", SHOAL_STREAMS_MAX);
	if (nf_port >= SHOAL_NF_PORTS_MAX)
		return shoal_error(EINVAL, "there is no port %u", nf_port);
	schedule = profile->schedules[nf_port];
	rc = shoal_schedule_add(schedule, config);
	if (rc)
		return rc;
	stream = shoal_schedule_stream(schedule, shoal_schedule_count(schedule) - 1);
	rc = shoal_packet_groups_join(profile->groups, stream);
	if (rc) {
		shoal_schedule_remove_last(schedule);
		return rc;
	}
	stream->index = profile->count;
	profile->streams[profile->count++] = (struct shoal_generator_stream){
		.number = stream->number, .nf_port = nf_port, .group_kind = config->group_kind, .group = config->group
	};
	snprintf(profile->streams[stream->index].name, sizeof(config->name), "%s", stream->config.name);
	return 0;
}

int generator_profile_check(const struct generator_profile *profile)
{
	for (unsigned i = 0; i < SHOAL_NF_PORTS_MAX; i++) {
		int rc = shoal_schedule_check(profile->schedules[i]);

		if (rc)
			return rc;
	}
	return profile->count ? 0 : shoal_error(EINVAL, "there is no stream to send");
}

uint32_t generator_profile_frame_bytes(const struct generator_profile *profile)
{
	uint32_t most = 0;

	for (unsigned i = 0; i < SHOAL_NF_PORTS_MAX; i++) {
		uint32_t bytes = shoal_schedule_frame_bytes(profile->schedules[i]);

		most = bytes > most ? bytes : most;
	}
	return most;
}

void generator_profile_reset(struct generator_profile *profile)
{
	for (uint32_t i = 0; i < profile->count; i++) {
		profile->streams[i].there = (struct shoal_traffic_counters){ 0 };
		profile->streams[i].back = (struct shoal_traffic_counters){ 0 };
	}
	shoal_packet_groups_reset(profile->groups);
}
