/* SPDX-License-Identifier: BSD-3-Clause */
/* What a translated packet still needs, and its verdict; the same in the burst handler and in the packet handlers. */
#ifndef SHOAL_NAT_FORWARD_H
#define SHOAL_NAT_FORWARD_H

#include "worker.h"

/* As a router: whether the packet may go on at all. Nothing is written. */
static inline bool nat_ttl_expired(const struct nat_worker *nat, const struct shoal_packet *packet)
{
	return nat->configuration.decrement_ttl && shoal_packet_network(packet)[NAT_IPV4_TTL] < 2;
}

static inline uint16_t nat_transmit(const struct nat_worker *nat, struct shoal_packet *packet, enum nat_port port)
{
	if (nat->configuration.decrement_ttl)
		nat_decrement_ttl(packet->frame + packet->network_offset);
	if (nat->configuration.rewrite_macs[port])
		memcpy(packet->frame, nat->configuration.macs[port], sizeof(nat->configuration.macs[port]));
	return SHOAL_TRANSMIT(port);
}

/* Destination of the packet itself, network order: in an ICMP error the tuple's is another. */
static inline uint32_t nat_packet_destination(const struct shoal_packet *packet)
{
	return shoal_frame_load32(shoal_packet_network(packet) + NAT_DESTINATION);
}

/* A packet from inside whose source has been translated: on its way out, or, where it goes to one of our own addresses,
 * in again as if it came from outside (hairpinning, RFC 4787 REQ-9). `destination` is in network order; `router` is constant where it
 * is known. */
static inline uint16_t nat_forward_out(
	struct nat_worker *nat, struct shoal_packet *packet, uint32_t destination, bool router)
{
	if (nat_address_set_contains(&nat->configuration.public_addresses, destination)) {
		nat->counters[NAT_COUNT_HAIRPINNED]++;
		return SHOAL_REENTER(NAT_OUTSIDE);
	}
	return router ? nat_transmit(nat, packet, NAT_OUTSIDE) : SHOAL_TRANSMIT(NAT_OUTSIDE);
}

static inline uint16_t nat_forward_in(struct nat_worker *nat, struct shoal_packet *packet, bool router)
{
	return router ? nat_transmit(nat, packet, NAT_INSIDE) : SHOAL_TRANSMIT(NAT_INSIDE);
}

/* The packet's event for the TCP state (tcp_state.h). It carries data for sure where more follows the transport header's
 * start than the longest TCP header; the link's padding is never that long. */
static inline unsigned nat_packet_event(const struct shoal_packet *packet)
{
	return (packet->tuple.tcp_flags & NAT_EVENT_FLAGS) | (unsigned)(packet->length - packet->transport_offset > 60)
	                                                             << 3;
}

/* The mapping's next state. Nearly always it is the present one, and a store would have the flow's next packet wait for it. */
static inline void nat_note_outbound(struct nat_mapping *mapping, const struct shoal_packet *packet)
{
	uint8_t next = nat_state_outbound[mapping->state][nat_packet_event(packet)];

	if (SHOAL_UNLIKELY(next != mapping->state))
		mapping->state = next;
}

/* Packet from inside with its mapping at hand: translated, noticed, and its verdict. The reference may belong to the
 * burst or to the caller. */
static inline uint16_t nat_outbound(
	struct nat_worker *nat, struct shoal_packet *packet, struct nat_mapping *mapping, uint32_t now)
{
	if (nat_ttl_expired(nat, packet))
		return SHOAL_DROP(NAT_DROP_TTL_EXPIRED);
	if (nat_translate(packet, &mapping->translation, NAT_SOURCE) != NAT_TRANSLATED)
		return SHOAL_DROP(NAT_DROP_ICMP_CHECKSUM);
	if (!(packet->flags & SHOAL_PACKET_ICMP_ERROR)) { /* errors keep no mapping alive: RFC 5508 REQ-6 */
		mapping->last_seen = now;
		nat_note_outbound(mapping, packet);
	}
	return nat_forward_out(nat, packet, nat_packet_destination(packet), nat->router);
}

/* Packet from outside with its reverse at hand. */
static inline uint16_t nat_inbound(
	struct nat_worker *nat, struct shoal_packet *packet, struct nat_reverse *reverse, uint32_t now)
{
	if (nat_ttl_expired(nat, packet))
		return SHOAL_DROP(NAT_DROP_TTL_EXPIRED);
	if (nat_translate(packet, &reverse->translation, NAT_DESTINATION) != NAT_TRANSLATED)
		return SHOAL_DROP(NAT_DROP_ICMP_CHECKSUM);
	if (!(packet->flags & SHOAL_PACKET_ICMP_ERROR))
		reverse->last_seen = now | !now; /* 0 is "none yet" */
	return nat_forward_in(nat, packet, nat->router);
}

#endif
