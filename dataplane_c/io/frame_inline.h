/* SPDX-License-Identifier: BSD-3-Clause */
/* Unaligned reads of a frame's fields, and the numbers that headers are made of. The caller has checked the length. */
#ifndef SHOAL_IO_FRAME_INLINE_H
#define SHOAL_IO_FRAME_INLINE_H

#include <string.h>
#include <shoal/types.h>

#define SHOAL_ETHERNET_BYTES 14
#define SHOAL_VLAN_BYTES 4
#define SHOAL_IPV4_BYTES 20
#define SHOAL_IPV6_BYTES 40
#define SHOAL_UDP_BYTES 8
#define SHOAL_TCP_BYTES 20
#define SHOAL_ICMP_BYTES 8

enum shoal_ether_type {
	SHOAL_ETHER_IPV4 = 0x0800,
	SHOAL_ETHER_VLAN = 0x8100,
	SHOAL_ETHER_IPV6 = 0x86dd,
	SHOAL_ETHER_QINQ = 0x88a8,
	SHOAL_ETHER_QINQ_OLD = 0x9100,
};

/* IANA protocol numbers; the IPv6 extension headers among them. */
enum shoal_protocol {
	SHOAL_PROTOCOL_HOP_BY_HOP = 0,
	SHOAL_PROTOCOL_ICMP = 1,
	SHOAL_PROTOCOL_TCP = 6,
	SHOAL_PROTOCOL_UDP = 17,
	SHOAL_PROTOCOL_ROUTING = 43,
	SHOAL_PROTOCOL_FRAGMENT = 44,
	SHOAL_PROTOCOL_ESP = 50,
	SHOAL_PROTOCOL_AUTHENTICATION = 51,
	SHOAL_PROTOCOL_ICMPV6 = 58,
	SHOAL_PROTOCOL_NO_NEXT_HEADER = 59,
	SHOAL_PROTOCOL_DESTINATION_OPTIONS = 60,
	SHOAL_PROTOCOL_MOBILITY = 135,
	SHOAL_PROTOCOL_HOST_IDENTITY = 139,
	SHOAL_PROTOCOL_SHIM6 = 140,
};

/* Network order, as in the frame. */
static inline uint16_t shoal_frame_load16(const uint8_t *bytes)
{
	uint16_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static inline uint32_t shoal_frame_load32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static inline void shoal_frame_store16(uint8_t *bytes, uint16_t value)
{
	memcpy(bytes, &value, sizeof(value));
}

static inline void shoal_frame_store32(uint8_t *bytes, uint32_t value)
{
	memcpy(bytes, &value, sizeof(value));
}

/* Host order. */
static inline uint16_t shoal_frame_number16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static inline uint32_t shoal_frame_number32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

#endif
