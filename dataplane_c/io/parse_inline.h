/* SPDX-License-Identifier: BSD-3-Clause */
/* The parser's fast path. Almost every packet is Ethernet, IPv4 without options, TCP or UDP: those are taken in one go,
 * with few branches and few stores. It says yes only where shoal_parse_any would give the same answer; all else, errors
 * too, is shoal_parse_any's. */
#ifndef SHOAL_IO_PARSE_INLINE_H
#define SHOAL_IO_PARSE_INLINE_H

#include <rte_byteorder.h>

#include "io/frame_inline.h"
#include "io/parse.h"

/* A plain frame: Ethernet, 20 bytes of IPv4, and room for a TCP header even if it is UDP (Ethernet's minimum is above). */
#define SHOAL_PLAIN_NETWORK SHOAL_ETHERNET_BYTES
#define SHOAL_PLAIN_TRANSPORT (SHOAL_PLAIN_NETWORK + SHOAL_IPV4_BYTES)
#define SHOAL_PLAIN_BYTES_MIN (SHOAL_PLAIN_TRANSPORT + SHOAL_TCP_BYTES)

_Static_assert(
	offsetof(struct shoal_packet, inner_transport_offset) == offsetof(struct shoal_packet, network_offset) + 6,
	"the four offsets are stored as one word");
_Static_assert(offsetof(struct shoal_tuple, destination_port) == 10, "addresses and ports lie as in a plain frame");
_Static_assert(offsetof(struct shoal_tuple, protocol) == 12 && offsetof(struct shoal_tuple, tcp_flags) == 13 &&
		       sizeof(struct shoal_tuple) == 16,
	"protocol and TCP flags are stored as one word behind the ports");

/* Everything, out of line. */
enum shoal_parse_result shoal_parse_any(struct shoal_packet *packet) __attribute__((cold));

/* Whether the transport header fits `bytes` (perhaps negative) of IPv4 payload. *tail: protocol and TCP flags. */
static inline bool shoal_plain_transport_fits(const uint8_t *transport, uint8_t protocol, int bytes, uint16_t *tail)
{
	int length;

	if (protocol == SHOAL_PROTOCOL_UDP) {
		length = shoal_frame_number16(transport + 4);
		*tail = RTE_LE16(SHOAL_PROTOCOL_UDP);
		return length >= SHOAL_UDP_BYTES && length <= bytes;
	}
	length = (transport[12] >> 2) & 0x3c;
	*tail = rte_cpu_to_le_16((uint16_t)(SHOAL_PROTOCOL_TCP | transport[13] << 8));
	return protocol == SHOAL_PROTOCOL_TCP && length >= SHOAL_TCP_BYTES && length <= bytes;
}

static inline bool shoal_parse_plain(struct shoal_packet *packet)
{
	static const uint16_t offsets[4] = { SHOAL_PLAIN_NETWORK, SHOAL_PLAIN_TRANSPORT, 0, 0 };
	const uint8_t *network = packet->frame + SHOAL_PLAIN_NETWORK;
	int length = packet->length, total;
	uint16_t tail;

	if (length < SHOAL_PLAIN_BYTES_MIN)
		return false;
	/* Ether type, version and header length, with the type of service masked away; then no fragment. */
	if ((shoal_frame_load32(network - 2) & RTE_BE32(0xffffff00)) != RTE_BE32(0x08004500) ||
		(shoal_frame_load16(network + 6) & RTE_BE16(0x3fff)))
		return false;
	total = shoal_frame_number16(network + 2);
	if (total > length - SHOAL_PLAIN_NETWORK ||
		!shoal_plain_transport_fits(network + SHOAL_IPV4_BYTES, network[9], total - SHOAL_IPV4_BYTES, &tail))
		return false;
	packet->flags = SHOAL_PACKET_IPV4 | SHOAL_PACKET_TRANSPORT;
	memcpy(&packet->network_offset, offsets, sizeof(offsets));
	memcpy(&packet->tuple, network + 12, sizeof(packet->tuple)); /* its tail is written next */
	memcpy(&packet->tuple.protocol, &tail, sizeof(tail));
	return true;
}

static inline enum shoal_parse_result shoal_parse(struct shoal_packet *packet)
{
	if (SHOAL_LIKELY(shoal_parse_plain(packet)))
		return SHOAL_PARSE_OK;
	return shoal_parse_any(packet);
}

#endif
