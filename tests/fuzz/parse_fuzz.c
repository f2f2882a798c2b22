/* SPDX-License-Identifier: BSD-3-Clause */
/* The parser on any bytes as a frame: offsets lie within it, flags and ports agree with it, parsing again says the same,
 * and a VLAN tag put in front (which leaves the fast path) changes nothing but the offsets. */
#include <string.h>

#include "io/frame_inline.h"
#include "io/parse.h"
#include "target.h"

#define FRAME_BYTES_MAX 16384

#define GIVEN_SOURCE_PORT 0x1111
#define GIVEN_DESTINATION_PORT 0x2222

/* A packet full of old values over a frame. */
static void prepare(struct shoal_packet *packet, uint8_t *frame, size_t length, uint16_t flags)
{
	memset(packet, 0xa5, sizeof(*packet));
	packet->frame = frame;
	packet->length = (uint16_t)length;
	packet->flags = flags;
	packet->tuple.source_port = GIVEN_SOURCE_PORT;
	packet->tuple.destination_port = GIVEN_DESTINATION_PORT;
}

static void check_offsets(const struct shoal_packet *packet)
{
	uint16_t network_bytes = packet->flags & SHOAL_PACKET_IPV4 ? SHOAL_IPV4_BYTES : SHOAL_IPV6_BYTES;

	FUZZ_REQUIRE(!(packet->flags & SHOAL_PACKET_IPV4) != !(packet->flags & SHOAL_PACKET_IPV6));
	FUZZ_REQUIRE(packet->network_offset >= SHOAL_ETHERNET_BYTES);
	FUZZ_REQUIRE((packet->network_offset > SHOAL_ETHERNET_BYTES) == !!(packet->flags & SHOAL_PACKET_VLAN));
	FUZZ_REQUIRE(packet->network_offset + network_bytes <= packet->length);
	FUZZ_REQUIRE(packet->frame[packet->network_offset] >> 4 == (packet->flags & SHOAL_PACKET_IPV4 ? 4 : 6));
	if (packet->transport_offset) {
		FUZZ_REQUIRE(packet->transport_offset >= packet->network_offset + network_bytes);
		FUZZ_REQUIRE(packet->transport_offset + 8 <= packet->length);
	}
	if (packet->inner_network_offset) {
		FUZZ_REQUIRE(packet->inner_network_offset == packet->transport_offset + SHOAL_ICMP_BYTES);
		FUZZ_REQUIRE(packet->inner_network_offset + network_bytes <= packet->length);
	}
	if (packet->inner_transport_offset) {
		FUZZ_REQUIRE(packet->inner_transport_offset >= packet->inner_network_offset + network_bytes);
		FUZZ_REQUIRE(packet->inner_transport_offset + 8 <= packet->length);
	}
}

/* What the flags say of the offsets, and of one another. */
static void check_flags(const struct shoal_packet *packet)
{
	uint16_t flags = packet->flags;

	FUZZ_REQUIRE(!(flags & SHOAL_PACKET_ICMP_QUERY) || (flags & SHOAL_PACKET_TRANSPORT));
	FUZZ_REQUIRE(!!packet->transport_offset == !!(flags & (SHOAL_PACKET_TRANSPORT | SHOAL_PACKET_ICMP_ERROR)));
	FUZZ_REQUIRE((flags & (SHOAL_PACKET_TRANSPORT | SHOAL_PACKET_ICMP_ERROR)) !=
		     (SHOAL_PACKET_TRANSPORT | SHOAL_PACKET_ICMP_ERROR));
	FUZZ_REQUIRE(!!packet->inner_network_offset == !!(flags & SHOAL_PACKET_ICMP_ERROR));
	FUZZ_REQUIRE(!!packet->inner_transport_offset ==
		     ((flags & (SHOAL_PACKET_ICMP_ERROR | SHOAL_PACKET_INNER_NO_PORTS)) == SHOAL_PACKET_ICMP_ERROR));
	FUZZ_REQUIRE(!(flags & SHOAL_PACKET_FRAGMENT_LATER) || !packet->transport_offset);
	FUZZ_REQUIRE(!(flags & SHOAL_PACKET_FRAGMENT_LATER) || !(flags & SHOAL_PACKET_FRAGMENT_FIRST));
	FUZZ_REQUIRE(!(flags & SHOAL_PACKET_PORTS_KNOWN) || (flags & SHOAL_PACKET_FRAGMENT_LATER));
}

/* Ports are those of the frame. */
static void check_ports(const struct shoal_packet *packet)
{
	const struct shoal_tuple *tuple = &packet->tuple;
	bool icmp = tuple->protocol == SHOAL_PROTOCOL_ICMP || tuple->protocol == SHOAL_PROTOCOL_ICMPV6;
	uint16_t offset =
		packet->flags & SHOAL_PACKET_ICMP_ERROR ? packet->inner_transport_offset : packet->transport_offset;
	const uint8_t *bytes = packet->frame + offset;

	if (packet->flags & SHOAL_PACKET_PORTS_KNOWN) {
		FUZZ_REQUIRE(
			tuple->source_port == GIVEN_SOURCE_PORT && tuple->destination_port == GIVEN_DESTINATION_PORT);
	} else if (!offset) {
		FUZZ_REQUIRE(!tuple->source_port && !tuple->destination_port);
	} else if (icmp) {
		FUZZ_REQUIRE(tuple->source_port == shoal_frame_load16(bytes + 4));
		FUZZ_REQUIRE(tuple->source_port == tuple->destination_port);
	} else {
		unsigned reversed = packet->flags & SHOAL_PACKET_ICMP_ERROR ? 2 : 0;

		FUZZ_REQUIRE(tuple->protocol == SHOAL_PROTOCOL_TCP || tuple->protocol == SHOAL_PROTOCOL_UDP);
		FUZZ_REQUIRE(tuple->source_port == shoal_frame_load16(bytes + reversed));
		FUZZ_REQUIRE(tuple->destination_port == shoal_frame_load16(bytes + (2 - reversed)));
	}
}

static void check_fragment_key(const struct shoal_packet *packet)
{
	bool fragment = packet->flags & (SHOAL_PACKET_FRAGMENT_FIRST | SHOAL_PACKET_FRAGMENT_LATER);
	struct shoal_fragment_key key;

	FUZZ_REQUIRE(shoal_parse_fragment_key(packet, &key) == fragment);
	if (fragment)
		FUZZ_REQUIRE(key.version == (packet->flags & SHOAL_PACKET_IPV4 ? 4 : 6) && key.port == packet->port);
}

static bool same(const struct shoal_packet *a, const struct shoal_packet *b, unsigned moved)
{
	return (a->flags | SHOAL_PACKET_VLAN) == (b->flags | SHOAL_PACKET_VLAN) &&
	       !memcmp(&a->tuple, &b->tuple, offsetof(struct shoal_tuple, tcp_flags) + 1) &&
	       a->network_offset + moved == b->network_offset &&
	       a->transport_offset + (a->transport_offset ? moved : 0) == b->transport_offset &&
	       a->inner_network_offset + (a->inner_network_offset ? moved : 0) == b->inner_network_offset &&
	       a->inner_transport_offset + (a->inner_transport_offset ? moved : 0) == b->inner_transport_offset;
}

/* The same frame with a tag in front, unless it has one. */
static void check_tagged(const struct shoal_packet *packet, enum shoal_parse_result result, uint16_t flags)
{
	struct shoal_packet tagged;
	uint8_t *frame;

	if (packet->length < SHOAL_ETHERNET_BYTES || (packet->flags & SHOAL_PACKET_VLAN))
		return;
	frame = malloc(packet->length + SHOAL_VLAN_BYTES);
	if (!frame)
		abort();
	memcpy(frame, packet->frame, 12);
	memcpy(frame + 12, "\x81\x00\x00\x01", SHOAL_VLAN_BYTES);
	memcpy(frame + 16, packet->frame + 12, packet->length - 12u);
	prepare(&tagged, frame, packet->length + SHOAL_VLAN_BYTES, flags);
	FUZZ_REQUIRE(shoal_parse(&tagged) == result);
	if (result == SHOAL_PARSE_OK)
		FUZZ_REQUIRE(same(packet, &tagged, SHOAL_VLAN_BYTES));
	free(frame);
}

static void check(uint8_t *frame, size_t length, uint16_t flags)
{
	struct shoal_packet packet, again;
	enum shoal_parse_result result;

	prepare(&packet, frame, length, flags);
	result = shoal_parse(&packet);
	FUZZ_REQUIRE((unsigned)result < SHOAL_PARSE_RESULTS);
	check_tagged(&packet, result, flags);
	if (result != SHOAL_PARSE_OK)
		return;
	check_offsets(&packet);
	check_flags(&packet);
	check_ports(&packet);
	check_fragment_key(&packet);
	again = packet;
	FUZZ_REQUIRE(shoal_parse(&again) == SHOAL_PARSE_OK);
	FUZZ_REQUIRE(same(&packet, &again, 0) && packet.flags == again.flags);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	uint8_t *frame;

	if (length > FRAME_BYTES_MAX)
		return 0;
	frame = malloc(length ? length : 1);
	if (!frame)
		abort();
	memcpy(frame, bytes, length);
	check(frame, length, (uint16_t)~SHOAL_PACKET_PORTS_KNOWN);
	check(frame, length, UINT16_MAX);
	FUZZ_REQUIRE(!memcmp(frame, bytes, length)); /* the parser only reads */
	free(frame);
	return 0;
}
