/* SPDX-License-Identifier: BSD-3-Clause */
/* The generator's mark in a packet's payload: its last SHOAL_STAMP_BYTES. Laid out so that a UDP packet of 64 bytes (60
 * without its FCS) has room for it: u32 flow, u32 sequence, u32 time in units of 16 ns, u16 stream, u32 checksum over the
 * whole payload before it, seeded; all little-endian. */
#ifndef SHOAL_IO_STAMP_H
#define SHOAL_IO_STAMP_H

#include <shoal/dataplane.h>
#include <shoal/packet.h>

struct shoal_stamp {
	uint32_t flow;
	uint32_t sequence;
	uint64_t time_ns; /* modulo SHOAL_STAMP_TIME_RANGE */
	uint16_t stream; /* index among the streams of all ports */
};

#define SHOAL_STAMP_TIME_UNIT 16u
#define SHOAL_STAMP_TIME_RANGE (SHOAL_STAMP_TIME_UNIT * (UINT64_C(1) << 32)) /* 68 s */

/* A parsed packet's transport segment. */
struct shoal_segment {
	uint16_t header; /* offset in the frame of the TCP, UDP or ICMP query header */
	uint16_t payload; /* offset of what follows it */
	uint16_t end; /* offset behind the IP packet: padding is not payload */
};

/* false: no whole TCP, UDP or ICMP query packet, or no room for a stamp. */
bool shoal_segment_find(const struct shoal_packet *packet, struct shoal_segment *segment);

void shoal_stamp_write(
	uint8_t *frame, const struct shoal_segment *segment, const struct shoal_stamp *stamp, uint64_t seed);
/* Reads it in any case; false: its checksum is wrong. */
bool shoal_stamp_read(
	const uint8_t *frame, const struct shoal_segment *segment, struct shoal_stamp *stamp, uint64_t seed);

/* Makes the IP and the transport checksum right; a UDP checksum of 0 over IPv4 stays ("none"). */
void shoal_segment_checksums_write(const struct shoal_packet *packet, const struct shoal_segment *segment);
bool shoal_segment_checksums_good(const struct shoal_packet *packet, const struct shoal_segment *segment);

#endif
