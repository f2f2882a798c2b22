/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/stream.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/parse.h"
#include "worker/error.h"

#define CACHE_BYTES_MAX (64u << 20)
#define CACHE_FRAMES_MAX UINT16_MAX

static int refuse(const struct shoal_stream *stream, const char *reason)
{
	return shoal_error(EINVAL, "stream %u (%s): %s", stream->number, stream->config.name, reason);
}

static int config_check(const struct shoal_stream *stream)
{
	const struct shoal_stream_config *config = &stream->config;

	if (config->packet_bytes < SHOAL_FRAME_BYTES_MIN || config->packet_bytes > SHOAL_FRAME_BYTES_MAX)
		return refuse(stream, "a packet has 14 to 9238 bytes");
	if (config->mode < SHOAL_STREAM_CONTINUOUS || config->mode > SHOAL_STREAM_MULTI_BURST)
		return refuse(stream, "there is no such mode");
	if (config->mode != SHOAL_STREAM_CONTINUOUS && config->burst_packets == 0)
		return refuse(stream, "a burst has at least one packet");
	if (config->mode == SHOAL_STREAM_CONTINUOUS && config->next >= 0)
		return refuse(stream, "a continuous stream never ends, so no other can follow it");
	if (!(config->start_gap_us >= 0) || !(config->burst_gap_us >= 0) || isinf(config->start_gap_us) ||
		isinf(config->burst_gap_us))
		return refuse(stream, "isg and ibg are not negative");
	if (config->cache > CACHE_FRAMES_MAX)
		return refuse(stream, "at most 65535 frames can be cached");
	if (config->group_kind < SHOAL_GROUP_NONE || config->group_kind > SHOAL_GROUP_LATENCY)
		return refuse(stream, "there is no such kind of flow statistics");
	return 0;
}

/* Mean length of its frames decides how many packets make a rate in bits. */
static int rate_init(struct shoal_stream *stream, uint64_t link_bps)
{
	const struct shoal_stream_config *config = &stream->config;
	double bytes = stream->program ? shoal_field_program_expected_bytes(stream->program) : stream->frame_bytes;
	double l2_bits = (bytes + SHOAL_FCS_BYTES) * 8, l1_bits = l2_bits + SHOAL_GAP_BYTES * 8;

	switch (config->rate_kind) {
	case SHOAL_RATE_PPS:
		stream->pps = config->rate;
		break;
	case SHOAL_RATE_BPS_L1:
		stream->pps = config->rate / l1_bits;
		break;
	case SHOAL_RATE_BPS_L2:
		stream->pps = config->rate / l2_bits;
		break;
	case SHOAL_RATE_PERCENTAGE:
		if (!link_bps)
			return refuse(stream,
				"a rate in percent needs a link with a speed; give it in packets or bits a second");
		stream->pps = config->rate * (double)link_bps / 100 / l1_bits;
		break;
	default:
		return refuse(stream, "there is no such kind of rate");
	}
	return stream->pps > 0 && isfinite(stream->pps) ? 0 : refuse(stream, "its rate is not above 0");
}

static int frame_init(struct shoal_stream *stream, const uint8_t *packet)
{
	uint32_t bytes = stream->config.packet_bytes;

	stream->frame_bytes = (uint16_t)(bytes < SHOAL_FRAME_BYTES_PADDED ? SHOAL_FRAME_BYTES_PADDED : bytes);
	stream->frame = calloc(1, stream->frame_bytes);
	if (!stream->frame)
		return shoal_error(ENOMEM, "stream %u: no memory", stream->number);
	memcpy(stream->frame, packet, bytes);
	stream->shape.frame = stream->frame;
	stream->shape.length = stream->frame_bytes;
	stream->shaped = shoal_parse(&stream->shape) == SHOAL_PARSE_OK;
	if (stream->config.group_kind != SHOAL_GROUP_NONE && !stream->shaped)
		return refuse(stream, "flow statistics need a packet of IPv4 or IPv6");
	return 0;
}

/* Latency streams are never cached: each of their packets is unlike the others. */
static int cache_init(struct shoal_stream *stream)
{
	uint32_t frames = stream->config.group_kind == SHOAL_GROUP_LATENCY ? 0 : stream->config.cache;

	stream->config.cache = frames;
	if (!frames)
		return 0;
	if (frames * (uint64_t)stream->frame_bytes > CACHE_BYTES_MAX)
		return refuse(stream, "its cache needs more than 64 MiB");
	stream->cached_frames = malloc(frames * (size_t)stream->frame_bytes);
	stream->cached_lengths = calloc(frames, sizeof(*stream->cached_lengths));
	if (!stream->cached_frames || !stream->cached_lengths)
		return shoal_error(ENOMEM, "stream %u: no memory", stream->number);
	return 0;
}

static int program_init(struct shoal_stream *stream, const struct shoal_stream_config *config, uint32_t default_seed)
{
	uint32_t seed = config->random_seed ? config->random_seed : default_seed;
	char reason[400];

	if (!config->instructions_count)
		return 0;
	stream->program = shoal_field_program_create(
		config->instructions, config->instructions_count, stream->frame_bytes, seed, reason, sizeof(reason));
	if (stream->program)
		return 0;
	return errno == EINVAL ? refuse(stream, reason) : shoal_error(errno, "stream %u: %s", stream->number, reason);
}

int shoal_stream_init(struct shoal_stream *stream, const struct shoal_stream_config *config, uint32_t number,
	uint64_t link_bps, uint32_t default_seed)
{
	int rc;

	*stream = (struct shoal_stream){ .config = *config, .number = number };
	stream->config.name[sizeof(stream->config.name) - 1] = 0;
	rc = config_check(stream);
	rc = rc ? rc : frame_init(stream, config->packet);
	rc = rc ? rc : program_init(stream, config, default_seed);
	rc = rc ? rc : rate_init(stream, link_bps);
	rc = rc ? rc : cache_init(stream);
	stream->config.packet = NULL;
	stream->config.instructions = NULL;
	if (rc)
		shoal_stream_fini(stream);
	else
		shoal_stream_reset(stream, 1);
	return rc;
}

void shoal_stream_fini(struct shoal_stream *stream)
{
	shoal_field_program_destroy(stream->program);
	free(stream->frame);
	free(stream->cached_frames);
	free(stream->cached_lengths);
	*stream = (struct shoal_stream){ 0 };
}

void shoal_stream_set_multiplier(struct shoal_stream *stream, double multiplier)
{
	bool fixed = stream->config.group_kind == SHOAL_GROUP_LATENCY;

	stream->gap_s = 1 / (fixed ? stream->pps : stream->pps * multiplier);
}

void shoal_stream_reset(struct shoal_stream *stream, double multiplier)
{
	if (stream->program)
		shoal_field_program_reset(stream->program);
	stream->cached = stream->cache_next = 0;
	stream->active = false;
	stream->paused = stream->config.start_paused;
	stream->completions = 0;
	shoal_stream_set_multiplier(stream, multiplier);
}

static uint32_t build(struct shoal_stream *stream, uint8_t *frame)
{
	memcpy(frame, stream->frame, stream->frame_bytes);
	return stream->program ? shoal_field_program_run(stream->program, frame) : stream->frame_bytes;
}

uint32_t shoal_stream_build(struct shoal_stream *stream, uint8_t *frame)
{
	uint32_t at = stream->cache_next;
	uint8_t *kept;

	if (!stream->config.cache)
		return build(stream, frame);
	stream->cache_next = at + 1 == stream->config.cache ? 0 : at + 1;
	kept = stream->cached_frames + at * (size_t)stream->frame_bytes;
	if (at == stream->cached) {
		stream->cached_lengths[at] = (uint16_t)build(stream, kept);
		stream->cached++;
	}
	memcpy(frame, kept, stream->cached_lengths[at]);
	return stream->cached_lengths[at];
}
