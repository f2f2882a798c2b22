/* SPDX-License-Identifier: BSD-3-Clause */
/* What leaves the fast path of parse_inline.h: tags, options, IPv6, fragments, ICMP, and all errors. */
#include "io/parse.h"

#include "io/frame_inline.h"
#include "io/network_header.h"
#include "io/transport_header.h"

#define VLAN_TAGS_MAX 2

static bool is_vlan(uint16_t type)
{
	return type == SHOAL_ETHER_VLAN || type == SHOAL_ETHER_QINQ || type == SHOAL_ETHER_QINQ_OLD;
}

/* Ethernet and up to two tags; sets where the network header starts and which it is. */
static enum shoal_parse_result read_ethernet(struct shoal_packet *packet, struct shoal_network_header *network)
{
	uint16_t offset = SHOAL_ETHERNET_BYTES;
	uint16_t type;

	if (packet->length < SHOAL_ETHERNET_BYTES)
		return SHOAL_PARSE_RUNT;
	type = shoal_frame_number16(packet->frame + offset - 2);
	for (unsigned tags = 0; tags < VLAN_TAGS_MAX && is_vlan(type); tags++) {
		packet->flags |= SHOAL_PACKET_VLAN;
		offset += SHOAL_VLAN_BYTES;
		if (packet->length < offset)
			return SHOAL_PARSE_RUNT;
		type = shoal_frame_number16(packet->frame + offset - 2);
	}
	if (type != SHOAL_ETHER_IPV4 && type != SHOAL_ETHER_IPV6)
		return SHOAL_PARSE_NOT_IP;
	*network = (struct shoal_network_header){
		.offset = offset, .version = type == SHOAL_ETHER_IPV4 ? 4 : 6, .end = packet->length
	};
	return SHOAL_PARSE_OK;
}

/* A later fragment has no header of its own; what the splitter knew of the first is in the tuple already. */
static void read_later_fragment(struct shoal_packet *packet, const struct shoal_tuple *given, bool ports_known)
{
	packet->flags |= SHOAL_PACKET_FRAGMENT_LATER;
	if (!ports_known)
		return;
	packet->flags |= SHOAL_PACKET_PORTS_KNOWN;
	packet->tuple.source_port = given->source_port;
	packet->tuple.destination_port = given->destination_port;
}

enum shoal_parse_result shoal_parse_any(struct shoal_packet *packet)
{
	bool ports_known = packet->flags & SHOAL_PACKET_PORTS_KNOWN;
	struct shoal_tuple given = packet->tuple;
	struct shoal_network_header network;
	enum shoal_parse_result result;

	packet->flags = 0;
	packet->network_offset = 0;
	packet->transport_offset = 0;
	packet->inner_network_offset = 0;
	packet->inner_transport_offset = 0;
	packet->tuple = (struct shoal_tuple){ 0 };
	result = read_ethernet(packet, &network);
	if (result == SHOAL_PARSE_OK)
		result = shoal_network_header_read(packet->frame, &network);
	if (result != SHOAL_PARSE_OK)
		return result;
	packet->flags |= network.version == 4 ? SHOAL_PACKET_IPV4 : SHOAL_PACKET_IPV6;
	packet->network_offset = network.offset;
	packet->tuple.protocol = network.protocol;
	shoal_network_header_addresses(
		packet->frame, &network, &packet->tuple.source_address, &packet->tuple.destination_address);
	if (network.fragment_offset) {
		read_later_fragment(packet, &given, ports_known);
		return SHOAL_PARSE_OK;
	}
	if (network.fragment)
		packet->flags |= SHOAL_PACKET_FRAGMENT_FIRST;
	return shoal_transport_header_read(packet, &network);
}

const char *shoal_parse_result_name(enum shoal_parse_result result)
{
	static const char *const names[SHOAL_PARSE_RESULTS] = {
		[SHOAL_PARSE_OK] = "ok",
		[SHOAL_PARSE_RUNT] = "runt",
		[SHOAL_PARSE_NOT_IP] = "not_ip",
		[SHOAL_PARSE_IPV4_HEADER] = "ipv4_header",
		[SHOAL_PARSE_IPV4_TRUNCATED] = "ipv4_truncated",
		[SHOAL_PARSE_IPV6_HEADER] = "ipv6_header",
		[SHOAL_PARSE_IPV6_TRUNCATED] = "ipv6_truncated",
		[SHOAL_PARSE_IPV6_EXTENSIONS] = "ipv6_extensions",
		[SHOAL_PARSE_TRANSPORT_TRUNCATED] = "transport_truncated",
		[SHOAL_PARSE_TCP_HEADER] = "tcp_header",
		[SHOAL_PARSE_UDP_HEADER] = "udp_header",
		[SHOAL_PARSE_FRAGMENT] = "fragment",
		[SHOAL_PARSE_ICMP_INNER] = "icmp_inner",
	};

	return (unsigned)result < SHOAL_PARSE_RESULTS ? names[result] : "unknown";
}

bool shoal_parse_fragment_key(const struct shoal_packet *packet, struct shoal_fragment_key *key)
{
	struct shoal_network_header network = { .offset = packet->network_offset,
		.version = packet->flags & SHOAL_PACKET_IPV4 ? 4 : 6,
		.end = packet->length };
	const uint8_t *bytes = shoal_packet_network(packet);

	if (!(packet->flags & (SHOAL_PACKET_FRAGMENT_FIRST | SHOAL_PACKET_FRAGMENT_LATER)) ||
		shoal_network_header_read(packet->frame, &network) != SHOAL_PARSE_OK)
		return false;
	*key = (struct shoal_fragment_key){
		.identification = network.identification, .version = network.version, .port = packet->port
	};
	if (network.version == 4) {
		key->protocol = network.protocol;
		memcpy(key->source, bytes + 12, 4);
		memcpy(key->destination, bytes + 16, 4);
	} else { /* fragments of one packet may differ in their next header: RFC 8200 §4.5 */
		memcpy(key->source, bytes + 8, 16);
		memcpy(key->destination, bytes + 24, 16);
	}
	return true;
}
