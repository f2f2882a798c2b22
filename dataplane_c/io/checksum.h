/* SPDX-License-Identifier: BSD-3-Clause */
/* Internet checksums (RFC 1071): the incremental update of RFC 1624 for the packet path, whole ones for the generator
 * and the tests. Checksums and fields are in network order, as they lie in the frame: one's complement sums do not
 * care. */
#ifndef SHOAL_IO_CHECKSUM_H
#define SHOAL_IO_CHECKSUM_H

#include <shoal/types.h>

/* A difference gathers what changed in a packet, so that one pass over the fields serves both the IPv4 header's and the
 * transport's checksum: start with 0, add each change, then adjust each checksum by it. Room for 32,768 changes. */
static inline uint32_t shoal_checksum_change16(uint32_t difference, uint16_t before, uint16_t after)
{
	return difference + (uint16_t)~before + after;
}

static inline uint32_t shoal_checksum_change32(uint32_t difference, uint32_t before, uint32_t after)
{
	difference = shoal_checksum_change16(difference, (uint16_t)before, (uint16_t)after);
	return shoal_checksum_change16(difference, (uint16_t)(before >> 16), (uint16_t)(after >> 16));
}

/* RFC 1624 §3, equation 3: HC' = ~(~HC + ~m + m'). */
static inline uint16_t shoal_checksum_adjust(uint16_t checksum, uint32_t difference)
{
	uint64_t sum = (uint64_t)(uint16_t)~checksum + difference;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* UDP: 0 means "none" and stays; a sum that comes out as 0 is sent as 0xffff (RFC 768). Over IPv6 0 is not allowed, so
 * that nothing is lost by leaving it. */
static inline uint16_t shoal_checksum_adjust_udp(uint16_t checksum, uint32_t difference)
{
	uint16_t adjusted;

	if (!checksum)
		return 0;
	adjusted = shoal_checksum_adjust(checksum, difference);
	return adjusted ? adjusted : UINT16_MAX;
}

static inline uint16_t shoal_checksum_update16(uint16_t checksum, uint16_t before, uint16_t after)
{
	return shoal_checksum_adjust(checksum, shoal_checksum_change16(0, before, after));
}

static inline uint16_t shoal_checksum_update32(uint16_t checksum, uint32_t before, uint32_t after)
{
	return shoal_checksum_adjust(checksum, shoal_checksum_change32(0, before, after));
}

/* One's complement sum of bytes, added to `sum`; not folded to 16 bits yet. At most 65,535 bytes a call. */
uint64_t shoal_checksum_sum(uint64_t sum, const uint8_t *bytes, size_t length);
/* The checksum of such a sum. */
uint16_t shoal_checksum_fold(uint64_t sum);

/* The value that belongs into the header's checksum field, whatever stands there now. */
uint16_t shoal_checksum_ipv4_header(const uint8_t *header);
/* The same for `length` bytes of TCP, UDP, ICMP or ICMPv6 (header and payload) behind the IPv4 or IPv6 header
 * `network`, whose version says which pseudo header counts (none for ICMP). Must be a whole datagram, not a fragment. A
 * protocol without a checksum that we know of, or one cut before its field, gives 0. */
uint16_t shoal_checksum_transport(const uint8_t *network, const uint8_t *transport, uint16_t length, uint8_t protocol);
/* Where the checksum field of a protocol lies in its header; -1: not one of the four. */
int shoal_checksum_field_offset(uint8_t protocol);

#endif
