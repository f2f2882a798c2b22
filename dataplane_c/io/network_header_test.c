/* SPDX-License-Identifier: BSD-3-Clause */
/* IPv6, its extension headers and fragments, through shoal_parse. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "io/made_frame.h"
#include "io/network_header.h"

#define FOLDED_SOURCE (htonl(0x20010db8) ^ htonl(1))
#define FOLDED_DESTINATION (htonl(0x20010db8) ^ htonl(2))

static void udp6_frame(struct made_frame *frame, uint16_t payload)
{
	made_ethernet(frame, SHOAL_ETHER_IPV6);
	made_ipv6(frame, SHOAL_PROTOCOL_UDP, 0);
	made_udp(frame, 1024, 53, payload);
	made_finish(frame);
}

/* One header of each kind, then TCP. */
static void long_frame(struct made_frame *frame)
{
	uint8_t *authentication;

	made_ethernet(frame, SHOAL_ETHER_IPV6);
	made_ipv6(frame, SHOAL_PROTOCOL_HOP_BY_HOP, 0);
	made_extension(frame, SHOAL_PROTOCOL_DESTINATION_OPTIONS, 16);
	made_extension(frame, SHOAL_PROTOCOL_ROUTING, 8);
	made_extension(frame, SHOAL_PROTOCOL_AUTHENTICATION, 24);
	authentication = made_append(frame, 12);
	authentication[0] = SHOAL_PROTOCOL_MOBILITY;
	authentication[1] = 1; /* in words of four, less two */
	made_extension(frame, SHOAL_PROTOCOL_HOST_IDENTITY, 8);
	made_extension(frame, SHOAL_PROTOCOL_SHIM6, 8);
	made_extension(frame, SHOAL_PROTOCOL_TCP, 8);
	made_tcp(frame, 1024, 80, 4)[13] = 2;
	made_finish(frame);
}

static void assert_flow6(
	const struct shoal_packet *packet, uint8_t protocol, uint16_t source_port, uint16_t destination_port)
{
	assert_int_equal(packet->tuple.source_address, FOLDED_SOURCE);
	assert_int_equal(packet->tuple.destination_address, FOLDED_DESTINATION);
	assert_int_equal(packet->tuple.source_port, htons(source_port));
	assert_int_equal(packet->tuple.destination_port, htons(destination_port));
	assert_int_equal(packet->tuple.protocol, protocol);
}

static void plain_ipv6(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	udp6_frame(&frame, 10);
	memset(made_append(&frame, 6), 0xff, 6); /* padding */
	assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
	assert_int_equal(packet.flags, SHOAL_PACKET_IPV6 | SHOAL_PACKET_TRANSPORT);
	assert_int_equal(packet.network_offset, 14);
	assert_int_equal(packet.transport_offset, 54);
	assert_flow6(&packet, SHOAL_PROTOCOL_UDP, 1024, 53);
	free(packet.frame);
}

static void every_extension_header(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	long_frame(&frame);
	assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
	assert_int_equal(packet.flags, SHOAL_PACKET_IPV6 | SHOAL_PACKET_TRANSPORT);
	assert_int_equal(packet.transport_offset, 54 + 16 + 8 + 24 + 12 + 24);
	assert_flow6(&packet, SHOAL_PROTOCOL_TCP, 1024, 80);
	assert_int_equal(packet.tuple.tcp_flags, 2);
	free(packet.frame);
}

static void extensions_with_vlan(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	made_ethernet(&frame, SHOAL_ETHER_VLAN);
	made_vlan(&frame, 5, SHOAL_ETHER_IPV6);
	made_ipv6(&frame, SHOAL_PROTOCOL_DESTINATION_OPTIONS, 0);
	made_extension(&frame, SHOAL_PROTOCOL_UDP, 2048 / 8);
	made_udp(&frame, 7, 8, 0);
	made_finish(&frame);
	assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
	assert_int_equal(packet.flags, SHOAL_PACKET_IPV6 | SHOAL_PACKET_TRANSPORT | SHOAL_PACKET_VLAN);
	assert_int_equal(packet.transport_offset, 58 + 256);
	assert_flow6(&packet, SHOAL_PROTOCOL_UDP, 7, 8);
	free(packet.frame);
}

/* ESP, "no next header" and unknown protocols end the chain without ports. */
static void chains_without_transport(void **state)
{
	static const uint8_t protocols[] = { SHOAL_PROTOCOL_ESP, SHOAL_PROTOCOL_NO_NEXT_HEADER, 132, 253,
		SHOAL_PROTOCOL_ICMP };

	for (unsigned i = 0; i < sizeof(protocols); i++) {
		struct made_frame frame;
		struct shoal_packet packet;

		made_ethernet(&frame, SHOAL_ETHER_IPV6);
		made_ipv6(&frame, SHOAL_PROTOCOL_DESTINATION_OPTIONS, 0);
		made_extension(&frame, protocols[i], 8);
		made_finish(&frame);
		assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
		assert_int_equal(packet.flags, SHOAL_PACKET_IPV6);
		assert_int_equal(packet.transport_offset, 0);
		assert_flow6(&packet, protocols[i], 0, 0);
		free(packet.frame);
	}
}

static void ipv6_header(void **state)
{
	struct made_frame frame;

	udp6_frame(&frame, 10);
	frame.bytes[14] = 0x45;
	assert_int_equal(made_result(&frame), SHOAL_PARSE_IPV6_HEADER);
}

static void ipv6_truncated(void **state)
{
	struct made_frame frame;

	udp6_frame(&frame, 10);
	made_store16(frame.bytes + 18, 19);
	assert_int_equal(made_result(&frame), SHOAL_PARSE_IPV6_TRUNCATED);
	made_store16(frame.bytes + 18, UINT16_MAX);
	assert_int_equal(made_result(&frame), SHOAL_PARSE_IPV6_TRUNCATED);
}

static void transport_truncated(void **state)
{
	struct made_frame frame;

	udp6_frame(&frame, 10);
	for (uint16_t payload = 0; payload < 8; payload++) {
		made_store16(frame.bytes + 18, payload);
		assert_int_equal(made_result(&frame), SHOAL_PARSE_TRANSPORT_TRUNCATED);
	}
}

static void extensions_cut(void **state)
{
	struct made_frame frame;
	uint16_t chain = 16 + 8 + 24 + 12 + 24, transport = 24;

	long_frame(&frame);
	for (uint16_t payload = 0; payload < chain + transport; payload++) {
		enum shoal_parse_result expected =
			payload < chain ? SHOAL_PARSE_IPV6_EXTENSIONS : SHOAL_PARSE_TRANSPORT_TRUNCATED;

		if (payload >= chain + SHOAL_TCP_BYTES)
			expected = SHOAL_PARSE_TCP_HEADER; /* its options are cut */
		made_store16(frame.bytes + 18, payload);
		assert_int_equal(made_result(&frame), expected);
	}
}

static void too_many_extensions(void **state)
{
	for (unsigned count = SHOAL_IPV6_EXTENSIONS_MAX; count <= SHOAL_IPV6_EXTENSIONS_MAX + 1; count++) {
		struct made_frame frame;

		made_ethernet(&frame, SHOAL_ETHER_IPV6);
		made_ipv6(&frame, SHOAL_PROTOCOL_DESTINATION_OPTIONS, 0);
		for (unsigned i = 0; i < count; i++)
			made_extension(
				&frame, i + 1 < count ? SHOAL_PROTOCOL_DESTINATION_OPTIONS : SHOAL_PROTOCOL_UDP, 8);
		made_udp(&frame, 1, 2, 0);
		made_finish(&frame);
		assert_int_equal(made_result(&frame),
			count > SHOAL_IPV6_EXTENSIONS_MAX ? SHOAL_PARSE_IPV6_EXTENSIONS : SHOAL_PARSE_OK);
	}
}

/* RFC 8200 §4.1: Hop-by-Hop options stand first or not at all. */
static void hop_by_hop_out_of_place(void **state)
{
	struct made_frame frame;

	made_ethernet(&frame, SHOAL_ETHER_IPV6);
	made_ipv6(&frame, SHOAL_PROTOCOL_DESTINATION_OPTIONS, 0);
	made_extension(&frame, SHOAL_PROTOCOL_HOP_BY_HOP, 8);
	made_extension(&frame, SHOAL_PROTOCOL_UDP, 8);
	made_udp(&frame, 1, 2, 0);
	made_finish(&frame);
	assert_int_equal(made_result(&frame), SHOAL_PARSE_IPV6_EXTENSIONS);
}

/* --- Fragments --- */

static void fragment6(struct made_frame *frame, uint16_t offset, bool more, unsigned bytes)
{
	made_ethernet(frame, SHOAL_ETHER_IPV6);
	made_ipv6(frame, SHOAL_PROTOCOL_FRAGMENT, 0);
	made_fragment_header(frame, SHOAL_PROTOCOL_UDP, offset, more);
	made_append(frame, bytes);
	made_finish(frame);
}

static void first_fragment6(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	made_ethernet(&frame, SHOAL_ETHER_IPV6);
	made_ipv6(&frame, SHOAL_PROTOCOL_FRAGMENT, 0);
	made_fragment_header(&frame, SHOAL_PROTOCOL_DESTINATION_OPTIONS, 0, true);
	made_extension(&frame, SHOAL_PROTOCOL_UDP, 8);
	made_store16(made_udp(&frame, 1024, 53, 8) + 4, 1000);
	made_finish(&frame);
	assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
	assert_int_equal(packet.flags, SHOAL_PACKET_IPV6 | SHOAL_PACKET_TRANSPORT | SHOAL_PACKET_FRAGMENT_FIRST);
	assert_int_equal(packet.transport_offset, 54 + 8 + 8);
	assert_flow6(&packet, SHOAL_PROTOCOL_UDP, 1024, 53);
	free(packet.frame);
}

static void later_fragment6(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	fragment6(&frame, 1448, false, 3);
	assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
	assert_int_equal(packet.flags, SHOAL_PACKET_IPV6 | SHOAL_PACKET_FRAGMENT_LATER);
	assert_int_equal(packet.transport_offset, 0);
	assert_flow6(&packet, SHOAL_PROTOCOL_UDP, 0, 0);
	packet.flags |= SHOAL_PACKET_PORTS_KNOWN;
	packet.tuple.source_port = htons(1024);
	packet.tuple.destination_port = htons(53);
	assert_int_equal(shoal_parse(&packet), SHOAL_PARSE_OK);
	assert_int_equal(packet.flags, SHOAL_PACKET_IPV6 | SHOAL_PACKET_FRAGMENT_LATER | SHOAL_PACKET_PORTS_KNOWN);
	assert_flow6(&packet, SHOAL_PROTOCOL_UDP, 1024, 53);
	free(packet.frame);
}

/* RFC 6946: a fragment that is its whole datagram is no fragment. */
static void atomic_fragment(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;
	struct shoal_fragment_key key;

	made_ethernet(&frame, SHOAL_ETHER_IPV6);
	made_ipv6(&frame, SHOAL_PROTOCOL_FRAGMENT, 0);
	made_fragment_header(&frame, SHOAL_PROTOCOL_UDP, 0, false);
	made_udp(&frame, 1024, 53, 3);
	made_finish(&frame);
	assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
	assert_int_equal(packet.flags, SHOAL_PACKET_IPV6 | SHOAL_PACKET_TRANSPORT);
	assert_flow6(&packet, SHOAL_PROTOCOL_UDP, 1024, 53);
	assert_false(shoal_parse_fragment_key(&packet, &key));
	free(packet.frame);
}

static void impossible_fragments6(void **state)
{
	static const struct {
		uint16_t offset;
		bool more;
		unsigned bytes;
		enum shoal_parse_result result;
	} cases[] = {
		{ 8, false, 0, SHOAL_PARSE_FRAGMENT }, /* empty */
		{ 64, true, 12, SHOAL_PARSE_FRAGMENT }, /* no multiple of 8 */
		{ 64, false, 12, SHOAL_PARSE_OK }, { 65528, false, 7, SHOAL_PARSE_OK },
		{ 65528, false, 8, SHOAL_PARSE_FRAGMENT }, /* beyond the largest datagram */
	};
	struct made_frame frame;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fragment6(&frame, cases[i].offset, cases[i].more, cases[i].bytes);
		assert_int_equal(made_result(&frame), cases[i].result);
	}
	made_ethernet(&frame, SHOAL_ETHER_IPV6); /* a fragment of a fragment */
	made_ipv6(&frame, SHOAL_PROTOCOL_FRAGMENT, 0);
	made_fragment_header(&frame, SHOAL_PROTOCOL_FRAGMENT, 0, true);
	made_fragment_header(&frame, SHOAL_PROTOCOL_UDP, 0, true);
	made_udp(&frame, 1024, 53, 8);
	made_finish(&frame);
	assert_int_equal(made_result(&frame), SHOAL_PARSE_IPV6_EXTENSIONS);
}

static void fragment_keys6(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;
	struct shoal_fragment_key key;

	fragment6(&frame, 8, true, 16);
	made_parse(&frame, frame.length, &packet);
	memset(&key, 0x11, sizeof(key));
	assert_true(shoal_parse_fragment_key(&packet, &key));
	assert_int_equal(key.identification, 0xabcd1234);
	assert_int_equal(key.version, 6);
	assert_int_equal(key.protocol, 0);
	assert_int_equal(key.port, 1);
	assert_int_equal(key.zero, 0);
	assert_memory_equal(key.source, frame.bytes + 22, 16);
	assert_memory_equal(key.destination, frame.bytes + 38, 16);
	free(packet.frame);
}

static void truncated_at_every_byte(void **state)
{
	struct made_frame frames[3];

	udp6_frame(&frames[0], 12);
	long_frame(&frames[1]);
	fragment6(&frames[2], 8, true, 16);
	for (unsigned i = 0; i < 3; i++) {
		for (uint16_t length = 0; length < frames[i].length; length++) {
			struct shoal_packet packet;
			enum shoal_parse_result expected = length < 14 ? SHOAL_PARSE_RUNT : SHOAL_PARSE_IPV6_TRUNCATED;

			assert_int_equal(made_parse(&frames[i], length, &packet), expected);
			free(packet.frame);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_ipv6),
		cmocka_unit_test(every_extension_header),
		cmocka_unit_test(extensions_with_vlan),
		cmocka_unit_test(chains_without_transport),
		cmocka_unit_test(ipv6_header),
		cmocka_unit_test(ipv6_truncated),
		cmocka_unit_test(transport_truncated),
		cmocka_unit_test(extensions_cut),
		cmocka_unit_test(too_many_extensions),
		cmocka_unit_test(hop_by_hop_out_of_place),
		cmocka_unit_test(first_fragment6),
		cmocka_unit_test(later_fragment6),
		cmocka_unit_test(atomic_fragment),
		cmocka_unit_test(impossible_fragments6),
		cmocka_unit_test(fragment_keys6),
		cmocka_unit_test(truncated_at_every_byte),
	};

	return cmocka_run_group_tests_name("network_header", tests, NULL, NULL);
}
