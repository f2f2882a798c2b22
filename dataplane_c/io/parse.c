/* SPDX-License-Identifier: BSD-3-Clause */
/* Almost every packet is Ethernet, IPv4 without options, TCP or UDP: parse_plain takes those in one go, with few
 * branches and few stores. It only ever says yes to what parse_any would give the same answer for; all else, errors
 * too, is parse_any's. */
#include "io/parse.h"

#include <rte_byteorder.h>

#include "io/frame_inline.h"
#include "io/network_header.h"
#include "io/transport_header.h"

#define VLAN_TAGS_MAX 2

/* A plain frame: Ethernet, 20 bytes of IPv4, UDP at least. */
#define PLAIN_NETWORK SHOAL_ETHERNET_BYTES
#define PLAIN_TRANSPORT (PLAIN_NETWORK + SHOAL_IPV4_BYTES)
#define PLAIN_BYTES_MIN (PLAIN_TRANSPORT + SHOAL_UDP_BYTES)

_Static_assert(
	offsetof(struct shoal_packet, inner_transport_offset) == offsetof(struct shoal_packet, network_offset) + 6,
	"the four offsets are stored as one word");
_Static_assert(offsetof(struct shoal_tuple, destination_port) == 10, "addresses and ports lie as in a plain frame");

static inline void store_offsets(struct shoal_packet *packet, uint16_t network, uint16_t transport)
{
	const uint16_t offsets[4] = { network, transport, 0, 0 };

	memcpy(&packet->network_offset, offsets, sizeof(offsets));
}

/* Whether the TCP or UDP header of a plain frame fits `bytes` of payload; its TCP flags. */
static inline bool plain_transport_fits(const uint8_t *frame, uint32_t bytes, uint8_t *tcp_flags)
{
	const uint8_t *transport = frame + PLAIN_TRANSPORT;

	if (frame[PLAIN_NETWORK + 9] == SHOAL_PROTOCOL_UDP) {
		uint32_t length = shoal_frame_number16(transport + 4);

		*tcp_flags = 0;
		return length >= SHOAL_UDP_BYTES && length <= bytes;
	}
	if (frame[PLAIN_NETWORK + 9] == SHOAL_PROTOCOL_TCP && bytes >= SHOAL_TCP_BYTES) {
		uint32_t header_bytes = (transport[12] >> 4) * 4u;

		*tcp_flags = transport[13];
		return header_bytes >= SHOAL_TCP_BYTES && header_bytes <= bytes;
	}
	return false;
}

static inline bool parse_plain(struct shoal_packet *packet)
{
	const uint8_t *frame = packet->frame;
	uint32_t total;
	uint8_t tcp_flags;

	if (packet->length < PLAIN_BYTES_MIN)
		return false;
	/* Ether type, version and header length, with the type of service masked away; then no fragment. */
	if ((shoal_frame_load32(frame + 12) & RTE_BE32(0xffffff00)) != RTE_BE32(0x08004500) ||
		(shoal_frame_load16(frame + PLAIN_NETWORK + 6) & RTE_BE16(0x3fff)))
		return false;
	total = shoal_frame_number16(frame + PLAIN_NETWORK + 2);
	if (total < SHOAL_IPV4_BYTES + SHOAL_UDP_BYTES || total + PLAIN_NETWORK > packet->length)
		return false;
	if (!plain_transport_fits(frame, total - SHOAL_IPV4_BYTES, &tcp_flags))
		return false;
	packet->flags = SHOAL_PACKET_IPV4 | SHOAL_PACKET_TRANSPORT;
	store_offsets(packet, PLAIN_NETWORK, PLAIN_TRANSPORT);
	memcpy(&packet->tuple, frame + PLAIN_NETWORK + 12, 12);
	packet->tuple.protocol = frame[PLAIN_NETWORK + 9];
	packet->tuple.tcp_flags = tcp_flags;
	return true;
}

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

static __attribute__((noinline, cold)) enum shoal_parse_result parse_any(struct shoal_packet *packet)
{
	bool ports_known = packet->flags & SHOAL_PACKET_PORTS_KNOWN;
	struct shoal_tuple given = packet->tuple;
	struct shoal_network_header network;
	enum shoal_parse_result result;

	packet->flags = 0;
	store_offsets(packet, 0, 0);
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

enum shoal_parse_result shoal_parse(struct shoal_packet *packet)
{
	if (SHOAL_LIKELY(parse_plain(packet)))
		return SHOAL_PARSE_OK;
	return parse_any(packet);
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
