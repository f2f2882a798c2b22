/* SPDX-License-Identifier: BSD-3-Clause */
/* Flow statistics of TRex (`flow_stats` of a stream): packets of a group are marked when they are sent and counted when
 * they come back; those of a latency group also carry a number and a time.
 *
 * Marks: IPv4 identification, or IPv6 flow label: SHOAL_GROUP_MARK + the group's number for statistics, SHOAL_GROUP_LATENCY_MARK
 * for latency; the type of service's lowest bit. Latency packets carry 16 bytes at their end, little-endian: u8 0xab,
 * u8 number of the start, u16 the group's number, u32 sequence (from 0xfffffffe on), u64 time of sending. */
#ifndef SHOAL_IO_PACKET_GROUPS_H
#define SHOAL_IO_PACKET_GROUPS_H

#include "io/stream.h"

#define SHOAL_GROUP_MARK 0xfc00u
#define SHOAL_GROUP_LATENCY_MARK 0xffffu
#define SHOAL_GROUPS_MAX 1023 /* of statistics */
#define SHOAL_GROUPS_LATENCY_MAX 128
#define SHOAL_GROUP_PAYLOAD_BYTES 16

struct shoal_packet_groups;

struct shoal_packet_groups *shoal_packet_groups_create(void);
void shoal_packet_groups_destroy(struct shoal_packet_groups *groups);

/* Joins a new stream to the group that its configuration names, and marks its frame. 0, or -errno with shoal_last_error(): too
 * many groups, a latency group's second stream, no room for its payload. Streams without flow statistics: 0. */
SHOAL_MUST_USE int shoal_packet_groups_join(struct shoal_packet_groups *groups, struct shoal_stream *stream);

/* All counters to zero, all sequences to their start. */
void shoal_packet_groups_reset(struct shoal_packet_groups *groups);
/* Latencies before this moment do not enter the histograms. */
void shoal_packet_groups_warm_up(struct shoal_packet_groups *groups, uint64_t until_ns);
/* The stream's frame is about to be sent; for a latency group writes its payload. */
void shoal_packet_groups_send(struct shoal_packet_groups *groups, const struct shoal_stream *stream, uint8_t nf_port,
	uint8_t *frame, uint32_t length, uint64_t now_ns);
/* An arriving packet, parsed. True when it is a latency packet of ours: nobody else's to judge. */
bool shoal_packet_groups_receive(
	struct shoal_packet_groups *groups, uint8_t nf_port, const struct shoal_packet *packet, uint64_t now_ns);
/* The end of a row of the time series: folds its mean into average_us. */
void shoal_packet_groups_end_row(struct shoal_packet_groups *groups);
/* The index-th group, or NULL. */
const struct shoal_packet_group *shoal_packet_groups_at(const struct shoal_packet_groups *groups, uint32_t index);

#endif
