/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMPv6: queries, errors and the packets that they quote, through shoal_parse. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "io/made_frame.h"

static void icmp6_frame(struct made_frame *frame, uint8_t type, unsigned data)
{
	made_ethernet(frame, SHOAL_ETHER_IPV6);
	made_ipv6(frame, SHOAL_PROTOCOL_ICMPV6, 0);
	made_icmp(frame, type, 0x4321);
	made_append(frame, data);
	made_finish(frame);
}

static void begin_error6(struct made_frame *frame, uint8_t type)
{
	uint8_t *ipv6;

	made_ethernet(frame, SHOAL_ETHER_IPV6);
	ipv6 = made_ipv6(frame, SHOAL_PROTOCOL_ICMPV6, 0);
	ipv6[23] = 99;
	ipv6[39] = 1;
	made_icmp(frame, type, 0);
}

static void assert_reversed6(
	const struct shoal_packet *packet, uint8_t protocol, uint16_t source_port, uint16_t destination_port)
{
	assert_int_equal(packet->tuple.source_address, htonl(0x20010db8) ^ htonl(2));
	assert_int_equal(packet->tuple.destination_address, htonl(0x20010db8) ^ htonl(1));
	assert_int_equal(packet->tuple.source_port, htons(source_port));
	assert_int_equal(packet->tuple.destination_port, htons(destination_port));
	assert_int_equal(packet->tuple.protocol, protocol);
}

static void queries6(void **state)
{
	for (unsigned type = 128; type <= 129; type++) {
		struct made_frame frame;
		struct shoal_packet packet;

		icmp6_frame(&frame, (uint8_t)type, 5);
		assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
		assert_int_equal(packet.flags, SHOAL_PACKET_IPV6 | SHOAL_PACKET_TRANSPORT | SHOAL_PACKET_ICMP_QUERY);
		assert_int_equal(packet.transport_offset, 54);
		assert_int_equal(packet.tuple.source_port, htons(0x4321));
		assert_int_equal(packet.tuple.destination_port, htons(0x4321));
		assert_int_equal(packet.tuple.protocol, SHOAL_PROTOCOL_ICMPV6);
		free(packet.frame);
	}
}

static void errors6(void **state)
{
	for (unsigned type = 1; type <= 4; type++) {
		struct made_frame frame;
		struct shoal_packet packet;

		begin_error6(&frame, (uint8_t)type);
		made_ipv6(&frame, SHOAL_PROTOCOL_HOP_BY_HOP, 1200);
		made_append(&frame, 8)[0] = SHOAL_PROTOCOL_UDP;
		made_udp(&frame, 1024, 80, 20);
		made_finish(&frame);
		assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
		assert_int_equal(packet.flags, SHOAL_PACKET_IPV6 | SHOAL_PACKET_ICMP_ERROR);
		assert_int_equal(packet.transport_offset, 54);
		assert_int_equal(packet.inner_network_offset, 62);
		assert_int_equal(packet.inner_transport_offset, 110);
		assert_reversed6(&packet, SHOAL_PROTOCOL_UDP, 80, 1024);
		free(packet.frame);
	}
}

static void error6_about_query_and_error(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	begin_error6(&frame, 1);
	made_ipv6(&frame, SHOAL_PROTOCOL_ICMPV6, 8);
	made_icmp(&frame, 128, 0x4321);
	made_finish(&frame);
	assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
	assert_int_equal(packet.flags, SHOAL_PACKET_IPV6 | SHOAL_PACKET_ICMP_ERROR);
	assert_reversed6(&packet, SHOAL_PROTOCOL_ICMPV6, 0x4321, 0x4321);
	free(packet.frame);
	frame.bytes[102] = 1;
	assert_int_equal(made_result(&frame), SHOAL_PARSE_ICMP_INNER);
}

/* Cut in the fixed header: refused. In the extension headers or before eight bytes of transport: no ports. */
static void quoted6_cut_at_every_byte(void **state)
{
	struct made_frame whole;

	begin_error6(&whole, 3);
	made_ipv6(&whole, SHOAL_PROTOCOL_DESTINATION_OPTIONS, 1200);
	made_append(&whole, 8)[0] = SHOAL_PROTOCOL_TCP;
	made_tcp(&whole, 1024, 80, 0);
	for (uint16_t quoted = 0; quoted <= 68; quoted++) {
		struct made_frame frame = whole;
		struct shoal_packet packet;
		bool ports = quoted >= 56;

		frame.length = (uint16_t)(62 + quoted);
		made_finish(&frame);
		if (quoted < 40) {
			assert_int_equal(made_result(&frame), SHOAL_PARSE_ICMP_INNER);
			continue;
		}
		assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
		assert_int_equal(packet.flags,
			SHOAL_PACKET_IPV6 | SHOAL_PACKET_ICMP_ERROR | (ports ? 0 : SHOAL_PACKET_INNER_NO_PORTS));
		assert_int_equal(packet.inner_transport_offset, ports ? 110 : 0);
		assert_reversed6(&packet, quoted < 48 ? SHOAL_PROTOCOL_DESTINATION_OPTIONS : SHOAL_PROTOCOL_TCP,
			ports ? 80 : 0, ports ? 1024 : 0);
		free(packet.frame);
	}
}

/* Neighbour discovery and what nobody has assigned: no identifier, no quoted packet. */
static void other_types6(void **state)
{
	static const uint8_t types[] = { 0, 5, 100, 127, 130, 133, 135, 137, 255 };

	for (unsigned i = 0; i < sizeof(types); i++) {
		struct made_frame frame;
		struct shoal_packet packet;

		icmp6_frame(&frame, types[i], 16);
		assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
		assert_int_equal(packet.flags, SHOAL_PACKET_IPV6);
		assert_int_equal(packet.tuple.source_port, 0);
		assert_int_equal(packet.tuple.destination_port, 0);
		free(packet.frame);
	}
}

static void header6_cut(void **state)
{
	for (unsigned cut = 1; cut <= 8; cut++) {
		struct made_frame frame;

		icmp6_frame(&frame, 128, 0);
		made_store16(frame.bytes + 18, (uint16_t)(8 - cut));
		assert_int_equal(made_result(&frame), SHOAL_PARSE_TRANSPORT_TRUNCATED);
	}
}

static void truncated6_at_every_byte(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	begin_error6(&frame, 3);
	made_ipv6(&frame, SHOAL_PROTOCOL_UDP, 1200);
	made_udp(&frame, 1024, 80, 0);
	made_finish(&frame);
	for (uint16_t length = 0; length < frame.length; length++) {
		assert_int_equal(made_parse(&frame, length, &packet),
			length < 14 ? SHOAL_PARSE_RUNT : SHOAL_PARSE_IPV6_TRUNCATED);
		free(packet.frame);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queries6),
		cmocka_unit_test(other_types6),
		cmocka_unit_test(header6_cut),
		cmocka_unit_test(errors6),
		cmocka_unit_test(error6_about_query_and_error),
		cmocka_unit_test(quoted6_cut_at_every_byte),
		cmocka_unit_test(truncated6_at_every_byte),
	};

	return cmocka_run_group_tests_name("transport_header6", tests, NULL, NULL);
}
