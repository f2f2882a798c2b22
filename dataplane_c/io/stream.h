/* SPDX-License-Identifier: BSD-3-Clause */
/* One stream of a traffic profile: a frame, the program that changes it, and how often it is sent. Knows no mbuf and no
 * EAL, and nothing of time but differences: io/schedule.h says when. */
#ifndef SHOAL_IO_STREAM_H
#define SHOAL_IO_STREAM_H

#include <shoal/packet.h>

#include "io/field_engine.h"

#define SHOAL_FCS_BYTES 4 /* rates and byte counters include it, frames do not */
#define SHOAL_GAP_BYTES 20 /* preamble, start of frame and gap, for rates at L1 */

/* writer: the component that polls it. */
struct shoal_stream {
	struct shoal_stream_config config; /* `packet` and `instructions` are NULL: see below */
	uint32_t number; /* index within its port */
	uint16_t frame_bytes; /* padded */
	uint8_t *frame; /* owns: padded, with its flow statistics' marks */
	struct shoal_field_program *program; /* owns; NULL without instructions */
	uint8_t *cached_frames; /* owns: config.cache frames of frame_bytes each */
	uint16_t *cached_lengths;
	uint32_t cached, cache_next;
	struct shoal_packet shape; /* the frame as parsed; only offsets, flags and tuple are meant */
	bool shaped; /* it could be parsed */
	uint16_t group_number; /* of its flow statistics, within their kind; set by io/packet_groups.h */
	uint32_t index; /* among the streams of all ports; set by the generator */
	double pps; /* at multiplier 1 */
	double gap_s; /* between two packets of a burst, at the multiplier in force */
	/* --- state of the schedule --- */
	bool active, paused;
	uint32_t burst_left, bursts_left; /* modulo 2^32: 0 bursts are practically endless, as on a real server */
	uint32_t completions;
};

/* Checks and compiles. 0, -EINVAL or -ENOMEM with shoal_last_error(). link_bps 0: rates in percent are refused;
 * default_seed stands in for a random_seed of 0. */
SHOAL_MUST_USE int shoal_stream_init(struct shoal_stream *stream, const struct shoal_stream_config *config,
	uint32_t number, uint64_t link_bps, uint32_t default_seed);
void shoal_stream_fini(struct shoal_stream *stream);

/* Back to what it was before its first packet; `multiplier` scales its rate unless it is a latency stream. */
void shoal_stream_reset(struct shoal_stream *stream, double multiplier);
void shoal_stream_set_multiplier(struct shoal_stream *stream, double multiplier);

/* Writes the next frame into `frame` (room for frame_bytes) and returns its length. */
uint32_t shoal_stream_build(struct shoal_stream *stream, uint8_t *frame);

#endif
