/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/checksum.h"

#include <arpa/inet.h>

#include "io/frame_inline.h"

#define IPV4_CHECKSUM_OFFSET 10

uint64_t shoal_checksum_sum(uint64_t sum, const uint8_t *bytes, size_t length)
{
	uint16_t last = 0;

	for (; length >= 4; bytes += 4, length -= 4)
		sum += shoal_frame_load32(bytes);
	if (length >= 2) {
		sum += shoal_frame_load16(bytes);
		bytes += 2;
		length -= 2;
	}
	if (length) {
		memcpy(&last, bytes, 1);
		sum += last;
	}
	return sum;
}

uint16_t shoal_checksum_fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Sum of everything but the two bytes of the checksum field itself. */
static uint64_t sum_around(uint64_t sum, const uint8_t *bytes, size_t length, size_t field)
{
	sum = shoal_checksum_sum(sum, bytes, field);
	return shoal_checksum_sum(sum, bytes + field + 2, length - field - 2);
}

uint16_t shoal_checksum_ipv4_header(const uint8_t *header)
{
	return shoal_checksum_fold(sum_around(0, header, (header[0] & 15u) * 4, IPV4_CHECKSUM_OFFSET));
}

int shoal_checksum_field_offset(uint8_t protocol)
{
	switch (protocol) {
	case SHOAL_PROTOCOL_TCP:
		return 16;
	case SHOAL_PROTOCOL_UDP:
		return 6;
	case SHOAL_PROTOCOL_ICMP:
	case SHOAL_PROTOCOL_ICMPV6:
		return 2;
	default:
		return -1;
	}
}

/* RFC 9293 §3.1, RFC 768, RFC 8200 §8.1. */
static uint64_t pseudo_header_sum(const uint8_t *network, uint16_t length, uint8_t protocol)
{
	uint64_t sum = (uint64_t)htons(length) + htons(protocol);

	if (protocol == SHOAL_PROTOCOL_ICMP)
		return 0;
	if (network[0] >> 4 == 4)
		return shoal_checksum_sum(sum, network + 12, 8);
	return shoal_checksum_sum(sum, network + 8, 32);
}

uint16_t shoal_checksum_transport(const uint8_t *network, const uint8_t *transport, uint16_t length, uint8_t protocol)
{
	int field = shoal_checksum_field_offset(protocol);
	uint16_t checksum;

	if (field < 0 || length < field + 2)
		return 0;
	checksum = shoal_checksum_fold(
		sum_around(pseudo_header_sum(network, length, protocol), transport, length, (size_t)field));
	return protocol == SHOAL_PROTOCOL_UDP && !checksum ? UINT16_MAX : checksum;
}
