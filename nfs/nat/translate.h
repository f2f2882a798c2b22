/* SPDX-License-Identifier: BSD-3-Clause */
/* Rewriting headers. The common packet (TCP, UDP, ICMP query; whole, or a first fragment) is done inline, without a branch
 * on its protocol; later fragments and ICMP errors by nat_translate_rare. Checksums are corrected, never computed anew, so
 * that a packet that came in damaged goes out damaged (RFC 3022 §4.2, RFC 1624). */
#ifndef SHOAL_NAT_TRANSLATE_H
#define SHOAL_NAT_TRANSLATE_H

#include "io/checksum.h"
#include "io/frame_inline.h"
#include "nat.h"

/* Which end of the packet is rewritten: its source on the way out, its destination on the way in. The value is where the
 * address lies in the IPv4 header. */
enum nat_end { NAT_SOURCE = 12, NAT_DESTINATION = 16 };

/* Address and port before and after; network order. */
struct nat_endpoint {
	uint32_t address;
	uint16_t port;
};

#define NAT_IPV4_TTL 8
#define NAT_IPV4_CHECKSUM 10
#define NAT_UDP_CHECKSUM 6
#define NAT_TCP_CHECKSUM 16
#define NAT_ICMP_CHECKSUM 2
#define NAT_ICMP_IDENTIFIER 4

/* Flags of the packets that nat_translate_rare is for. */
#define NAT_RARE (SHOAL_PACKET_ICMP_ERROR | SHOAL_PACKET_FRAGMENT_LATER)

static inline uint16_t nat_difference_fold(uint32_t difference)
{
	difference = (difference & 0xffff) + (difference >> 16);
	return (uint16_t)(difference + (difference >> 16));
}

static inline uint8_t nat_port_offset(uint8_t protocol, enum nat_end end)
{
	if (protocol == NAT_ICMP)
		return NAT_ICMP_IDENTIFIER;
	return end == NAT_SOURCE ? 0 : 2;
}

/* Prepares the translation of `end` of `protocol`'s packets (ICMP, TCP or UDP) from `before` to `after`. */
static inline struct nat_translation nat_translation_make(
	struct nat_endpoint before, struct nat_endpoint after, uint8_t protocol, enum nat_end end)
{
	uint32_t network = shoal_checksum_change32(0, before.address, after.address);
	uint32_t pseudo_header = protocol == NAT_ICMP ? 0 : network;

	return (struct nat_translation){
		.address = after.address,
		.port = after.port,
		.network_delta = nat_difference_fold(network),
		.transport_delta = nat_difference_fold(shoal_checksum_change16(pseudo_header, before.port, after.port)),
		.port_offset = nat_port_offset(protocol, end),
		.checksum_offset = protocol == NAT_TCP   ? NAT_TCP_CHECKSUM
		                   : protocol == NAT_UDP ? NAT_UDP_CHECKSUM
		                                         : NAT_ICMP_CHECKSUM,
	};
}

/* RFC 1624 §3, equation 3, with ~m + m' ready folded to 16 bits: ~(~HC + delta) with the carry added is HC - delta with the
 * borrow taken off, which is two instructions. */
static inline uint16_t nat_checksum_apply(uint16_t checksum, uint16_t delta)
{
	uint16_t updated;
	bool borrow = __builtin_sub_overflow(checksum, delta, &updated);

	return (uint16_t)(updated - borrow);
}

/* The same for a transport's checksum. That of UDP is special: 0 is none and stays, and a sum of 0 is written as 0xffff
 * (RFC 768). ICMP may do the latter too: 0xffff is right for any message whose sum is 0 or 0xffff, and 0 is wrong for one
 * whose words are all 0, as those of an echo reply can be. Without a branch on the protocol: a mix of protocols would make
 * branches that no predictor guesses. A sum of 0 is rare enough for one. */
static inline uint16_t nat_transport_checksum_apply(uint16_t checksum, const struct nat_translation *translation)
{
	uint16_t updated = nat_checksum_apply(checksum, translation->transport_delta);
	unsigned counts = checksum | (translation->checksum_offset ^ NAT_UDP_CHECKSUM);

	if (SHOAL_UNLIKELY(!updated) && translation->checksum_offset != NAT_TCP_CHECKSUM)
		updated = UINT16_MAX;
	return counts ? updated : 0;
}

static inline void nat_translate_network(uint8_t *network, const struct nat_translation *translation, enum nat_end end)
{
	uint8_t *checksum = network + NAT_IPV4_CHECKSUM;

	shoal_frame_store32(network + end, translation->address);
	shoal_frame_store16(checksum, nat_checksum_apply(shoal_frame_load16(checksum), translation->network_delta));
}

/* A packet with none of the flags NAT_RARE, and with SHOAL_PACKET_TRANSPORT. All reads come first: after a write to the frame
 * the compiler would do them again. */
static inline void nat_translate_plain(
	struct shoal_packet *packet, const struct nat_translation *of_object, enum nat_end end)
{
	const struct nat_translation translation = *of_object;
	uint8_t *network = packet->frame + packet->network_offset,
		*transport = packet->frame + packet->transport_offset;
	uint8_t *checksum = transport + translation.checksum_offset;
	uint16_t network_sum =
		nat_checksum_apply(shoal_frame_load16(network + NAT_IPV4_CHECKSUM), translation.network_delta);

	shoal_frame_store16(checksum, nat_transport_checksum_apply(shoal_frame_load16(checksum), &translation));
	shoal_frame_store16(transport + translation.port_offset, translation.port);
	shoal_frame_store32(network + end, translation.address);
	shoal_frame_store16(network + NAT_IPV4_CHECKSUM, network_sum);
}

/* RFC 1812 §5.3.1. The time to live is at least 2. */
static inline void nat_decrement_ttl(uint8_t *network)
{
	uint8_t *checksum = network + NAT_IPV4_CHECKSUM;
	const uint8_t minus_one[2] = { 0xfe, 0xff }; /* ~m + m' where the word's high byte is one less */

	network[NAT_IPV4_TTL]--;
	shoal_frame_store16(checksum, nat_checksum_apply(shoal_frame_load16(checksum), shoal_frame_load16(minus_one)));
}

enum nat_translate_result {
	NAT_TRANSLATED,
	NAT_BAD_CHECKSUM, /* of an ICMP error, or of the header that it quotes; nothing has been written */
};

/* A later fragment: the address alone. An ICMP error: its own address, and the other end of the quoted packet, with
 * all checksums that can be reached (RFC 5508 §4). `translation` is that of the tuple's flow. */
SHOAL_MUST_USE enum nat_translate_result nat_translate_rare(
	struct shoal_packet *packet, const struct nat_translation *translation, enum nat_end end);

/* Either of the two, by the packet's flags. */
SHOAL_MUST_USE static inline enum nat_translate_result nat_translate(
	struct shoal_packet *packet, const struct nat_translation *translation, enum nat_end end)
{
	if (SHOAL_UNLIKELY(packet->flags & NAT_RARE))
		return nat_translate_rare(packet, translation, end);
	nat_translate_plain(packet, translation, end);
	return NAT_TRANSLATED;
}

#endif
