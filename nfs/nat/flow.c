/* SPDX-License-Identifier: BSD-3-Clause */
#include "flow.h"

#include "forward.h"
#include "steering.h"

/* The tuple is that of the flow: for an ICMP error, of the packet that it quotes, reversed; for a later fragment, with the
 * first one's ports. So one rule serves them all. */
uint8_t nat_steer_inside(const struct shoal_packet *packet)
{
	return nat_host_steering_slot(packet->tuple.source_address);
}

uint8_t nat_steer_outside(const struct shoal_packet *packet)
{
	return nat_port_steering_slot(packet->tuple.destination_port);
}

static inline bool protocol_is_translated(uint8_t protocol)
{
	return protocol < 32 &&
	       (UINT32_C(1) << NAT_ICMP | UINT32_C(1) << NAT_TCP | UINT32_C(1) << NAT_UDP) >> protocol & 1;
}

/* Whole TCP, UDP or ICMP query in IPv4: in IPv4 nothing else has a transport header for the parser. */
static inline bool is_plain(const struct shoal_packet *packet)
{
	const unsigned plain = SHOAL_PACKET_IPV4 | SHOAL_PACKET_TRANSPORT;

	return (packet->flags & plain) == plain;
}

/* Known ports, of a protocol that is translated, in IPv4. */
static bool has_flow(const struct shoal_packet *packet)
{
	const unsigned ports = SHOAL_PACKET_TRANSPORT | SHOAL_PACKET_ICMP_ERROR | SHOAL_PACKET_PORTS_KNOWN;

	return (packet->flags & SHOAL_PACKET_IPV4) && (packet->flags & ports) &&
	       !(packet->flags & SHOAL_PACKET_INNER_NO_PORTS) && protocol_is_translated(packet->tuple.protocol);
}

/* Multicast, broadcast and the reserved rest are above all unicast addresses (RFC 5771, RFC 1112 §4); a NAT for unicast
 * has no business with them. `address` in network order. */
static inline bool is_unicast(uint32_t address)
{
	uint8_t bytes[4];

	memcpy(bytes, &address, sizeof(bytes));
	return bytes[0] < 224;
}

static __attribute__((noinline)) bool has_flow_from_inside(const struct shoal_packet *packet)
{
	return has_flow(packet) && is_unicast(nat_packet_destination(packet));
}

/* A key in one store: the look-up reads it as one word soon after. */
static inline void write_key(void *keys, unsigned index, uint32_t address, uint16_t port, uint8_t protocol)
{
	uint64_t word = nat_key_word(address, port, protocol);

	memcpy((uint8_t *)keys + index * sizeof(word), &word, sizeof(word));
}

uint32_t nat_keys_inside(
	const struct shoal_context *context, struct shoal_packet *const packets[], unsigned n, void *keys)
{
	uint32_t missing = 0;

	for (unsigned index = 0; index < n; index++) {
		const struct shoal_packet *packet = packets[index];

		write_key(keys, index, packet->tuple.source_address, packet->tuple.source_port, packet->tuple.protocol);
		if (SHOAL_UNLIKELY(!(is_plain(packet) & is_unicast(packet->tuple.destination_address))))
			missing |= (uint32_t)!has_flow_from_inside(packet) << index;
	}
	return UINT32_MAX >> (32 - n) & ~missing;
}

uint32_t nat_keys_outside(
	const struct shoal_context *context, struct shoal_packet *const packets[], unsigned n, void *keys)
{
	uint32_t missing = 0;

	for (unsigned index = 0; index < n; index++) {
		const struct shoal_packet *packet = packets[index];

		write_key(keys, index, packet->tuple.destination_address, packet->tuple.destination_port,
			packet->tuple.protocol);
		if (SHOAL_UNLIKELY(!is_plain(packet)))
			missing |= (uint32_t)!has_flow(packet) << index;
	}
	return UINT32_MAX >> (32 - n) & ~missing;
}

unsigned nat_flow_refusal(const struct shoal_packet *packet)
{
	if (!(packet->flags & SHOAL_PACKET_IPV4))
		return NAT_DROP_NOT_IPV4;
	if (!protocol_is_translated(packet->tuple.protocol))
		return NAT_DROP_PROTOCOL;
	if (packet->flags & SHOAL_PACKET_FRAGMENT_LATER && !(packet->flags & SHOAL_PACKET_PORTS_KNOWN))
		return NAT_DROP_FRAGMENT;
	if (!has_flow(packet))
		return NAT_DROP_ICMP_TYPE;
	return NAT_DROP_DESTINATION;
}
