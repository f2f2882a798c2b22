/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/transport_header.h"

#include "io/frame_inline.h"

/* A NAT must rewrite the checksum behind the ports, so that a first fragment without its whole transport header is of
 * no use (and a known evasion: RFC 1858 §3). */
static enum shoal_parse_result too_short(const struct shoal_network_header *network)
{
	return network->fragment ? SHOAL_PARSE_FRAGMENT : SHOAL_PARSE_TRANSPORT_TRUNCATED;
}

static void set_transport(struct shoal_packet *packet, const struct shoal_network_header *network)
{
	packet->transport_offset = network->payload;
	packet->flags |= SHOAL_PACKET_TRANSPORT;
}

static void set_ports(struct shoal_packet *packet, uint16_t source, uint16_t destination)
{
	packet->tuple.source_port = source;
	packet->tuple.destination_port = destination;
}

static enum shoal_parse_result read_tcp(struct shoal_packet *packet, const struct shoal_network_header *network)
{
	const uint8_t *bytes = packet->frame + network->payload;
	uint32_t available = network->end - network->payload;
	uint32_t header_bytes;

	if (available < SHOAL_TCP_BYTES)
		return too_short(network);
	header_bytes = (bytes[12] >> 4) * 4u;
	if (header_bytes < SHOAL_TCP_BYTES)
		return SHOAL_PARSE_TCP_HEADER;
	if (header_bytes > available)
		return network->fragment ? SHOAL_PARSE_FRAGMENT : SHOAL_PARSE_TCP_HEADER;
	set_transport(packet, network);
	set_ports(packet, shoal_frame_load16(bytes), shoal_frame_load16(bytes + 2));
	packet->tuple.tcp_flags = bytes[13];
	return SHOAL_PARSE_OK;
}

static enum shoal_parse_result read_udp(struct shoal_packet *packet, const struct shoal_network_header *network)
{
	const uint8_t *bytes = packet->frame + network->payload;
	uint32_t available = network->end - network->payload;
	uint32_t length;

	if (available < SHOAL_UDP_BYTES)
		return too_short(network);
	length = shoal_frame_number16(bytes + 4);
	if (length < SHOAL_UDP_BYTES || (length > available && !network->fragment))
		return SHOAL_PARSE_UDP_HEADER;
	set_transport(packet, network);
	set_ports(packet, shoal_frame_load16(bytes), shoal_frame_load16(bytes + 2));
	return SHOAL_PARSE_OK;
}

enum icmp_kind { ICMP_OTHER, ICMP_QUERY, ICMP_ERROR };

/* RFC 792, RFC 950, RFC 4443: queries are those with an identifier, errors those that quote a packet. */
static enum icmp_kind icmp_kind(uint8_t protocol, uint8_t type)
{
	if (protocol == SHOAL_PROTOCOL_ICMPV6)
		return type == 128 || type == 129 ? ICMP_QUERY : type >= 1 && type <= 4 ? ICMP_ERROR : ICMP_OTHER;
	switch (type) {
	case 0: /* echo reply, echo */
	case 8:
	case 13: /* timestamp, information and address mask, each with its reply */
	case 14:
	case 15:
	case 16:
	case 17:
	case 18:
		return ICMP_QUERY;
	case 3: /* unreachable, quench, redirect, time exceeded, parameter problem */
	case 4:
	case 5:
	case 11:
	case 12:
		return ICMP_ERROR;
	default:
		return ICMP_OTHER;
	}
}

static bool is_icmp(const struct shoal_network_header *network)
{
	return network->protocol == (network->version == 4 ? SHOAL_PROTOCOL_ICMP : SHOAL_PROTOCOL_ICMPV6);
}

/* The eight bytes of the quoted transport header that every error carries (RFC 792): ports, or an ICMP query's
 * identifier. Reversed, because the error travels against the packet that it quotes. */
static enum shoal_parse_result read_quoted_ports(struct shoal_packet *packet, const struct shoal_network_header *quoted)
{
	const uint8_t *bytes = packet->frame + quoted->payload;

	packet->flags |= SHOAL_PACKET_INNER_NO_PORTS;
	if (quoted->cut || quoted->fragment_offset || quoted->end - quoted->payload < 8)
		return SHOAL_PARSE_OK;
	if (is_icmp(quoted)) {
		enum icmp_kind kind = icmp_kind(quoted->protocol, bytes[0]);

		if (kind == ICMP_ERROR) /* nobody answers an error with an error: RFC 1122 §3.2.2 */
			return SHOAL_PARSE_ICMP_INNER;
		if (kind == ICMP_OTHER)
			return SHOAL_PARSE_OK;
		set_ports(packet, shoal_frame_load16(bytes + 4), shoal_frame_load16(bytes + 4));
	} else if (quoted->protocol == SHOAL_PROTOCOL_TCP || quoted->protocol == SHOAL_PROTOCOL_UDP) {
		set_ports(packet, shoal_frame_load16(bytes + 2), shoal_frame_load16(bytes));
	} else {
		return SHOAL_PARSE_OK;
	}
	packet->flags &= (uint16_t)~SHOAL_PACKET_INNER_NO_PORTS;
	packet->inner_transport_offset = quoted->payload;
	return SHOAL_PARSE_OK;
}

static enum shoal_parse_result read_icmp_error(struct shoal_packet *packet, const struct shoal_network_header *network)
{
	struct shoal_network_header quoted = { .offset = (uint16_t)(network->payload + SHOAL_ICMP_BYTES),
		.version = network->version,
		.quoted = true,
		.end = network->end };

	if (shoal_network_header_read(packet->frame, &quoted) != SHOAL_PARSE_OK)
		return SHOAL_PARSE_ICMP_INNER;
	packet->flags |= SHOAL_PACKET_ICMP_ERROR;
	packet->transport_offset = network->payload;
	packet->inner_network_offset = quoted.offset;
	packet->tuple.protocol = quoted.protocol;
	shoal_network_header_addresses(
		packet->frame, &quoted, &packet->tuple.destination_address, &packet->tuple.source_address);
	return read_quoted_ports(packet, &quoted);
}

static enum shoal_parse_result read_icmp(struct shoal_packet *packet, const struct shoal_network_header *network)
{
	const uint8_t *bytes = packet->frame + network->payload;
	uint32_t available = network->end - network->payload;

	if (available < SHOAL_ICMP_BYTES)
		return too_short(network);
	switch (icmp_kind(network->protocol, bytes[0])) {
	case ICMP_ERROR:
		return read_icmp_error(packet, network);
	case ICMP_QUERY:
		set_transport(packet, network);
		set_ports(packet, shoal_frame_load16(bytes + 4), shoal_frame_load16(bytes + 4));
		packet->flags |= SHOAL_PACKET_ICMP_QUERY;
		return SHOAL_PARSE_OK;
	default:
		return SHOAL_PARSE_OK;
	}
}

enum shoal_parse_result shoal_transport_header_read(
	struct shoal_packet *packet, const struct shoal_network_header *network)
{
	if (network->protocol == SHOAL_PROTOCOL_TCP)
		return read_tcp(packet, network);
	if (network->protocol == SHOAL_PROTOCOL_UDP)
		return read_udp(packet, network);
	if (is_icmp(network))
		return read_icmp(packet, network);
	return SHOAL_PARSE_OK;
}
