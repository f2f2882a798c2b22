/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP: queries, errors and the packets that they quote, through shoal_parse. ICMPv6 has a test of its own. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "io/made_frame.h"

static void icmp_frame(struct made_frame *frame, uint8_t type, unsigned data)
{
	made_ethernet(frame, SHOAL_ETHER_IPV4);
	made_ipv4(frame, SHOAL_PROTOCOL_ICMP, 0, 0);
	made_icmp(frame, type, 0x4321);
	made_append(frame, data);
	made_finish(frame);
}

/* An error from a router (203.0.113.1) to the client's side, about a packet that the client had sent; what it quotes
 * is appended by the caller. */
static void begin_error(struct made_frame *frame, uint8_t type)
{
	uint8_t *ipv4;

	made_ethernet(frame, SHOAL_ETHER_IPV4);
	ipv4 = made_ipv4(frame, SHOAL_PROTOCOL_ICMP, 0, 0);
	made_store32(ipv4 + 12, 0xcb007101);
	made_store32(ipv4 + 16, MADE_CLIENT);
	made_icmp(frame, type, 0);
}

/* The quoted packet went from client to server, so that the error's flow goes from server to client. */
static void assert_reversed(
	const struct shoal_packet *packet, uint8_t protocol, uint16_t source_port, uint16_t destination_port)
{
	assert_int_equal(packet->tuple.source_address, htonl(MADE_SERVER));
	assert_int_equal(packet->tuple.destination_address, htonl(MADE_CLIENT));
	assert_int_equal(packet->tuple.source_port, htons(source_port));
	assert_int_equal(packet->tuple.destination_port, htons(destination_port));
	assert_int_equal(packet->tuple.protocol, protocol);
	assert_int_equal(packet->tuple.tcp_flags, 0);
}

static void queries(void **state)
{
	static const uint8_t types[] = { 0, 8, 13, 14, 15, 16, 17, 18 };

	for (unsigned i = 0; i < sizeof(types); i++) {
		struct made_frame frame;
		struct shoal_packet packet;

		icmp_frame(&frame, types[i], i);
		assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
		assert_int_equal(packet.flags, SHOAL_PACKET_IPV4 | SHOAL_PACKET_TRANSPORT | SHOAL_PACKET_ICMP_QUERY);
		assert_int_equal(packet.transport_offset, 34);
		assert_int_equal(packet.tuple.source_port, htons(0x4321));
		assert_int_equal(packet.tuple.destination_port, htons(0x4321));
		assert_int_equal(packet.tuple.protocol, SHOAL_PROTOCOL_ICMP);
		free(packet.frame);
	}
}

/* Router discovery and what nobody has assigned: no identifier, no quoted packet. */
static void other_types(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	icmp_frame(&frame, 9, 8);
	assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
	assert_int_equal(packet.flags, SHOAL_PACKET_IPV4);
	assert_int_equal(packet.tuple.source_port, 0);
	free(packet.frame);
}

static void header_cut(void **state)
{
	struct made_frame frame;

	for (unsigned cut = 1; cut <= 8; cut++) {
		icmp_frame(&frame, 8, 0);
		made_store16(frame.bytes + 16, (uint16_t)(28 - cut));
		assert_int_equal(made_result(&frame), SHOAL_PARSE_TRANSPORT_TRUNCATED);
	}
}

static void errors_about_udp_and_tcp(void **state)
{
	static const uint8_t types[] = { 3, 4, 5, 11, 12 };

	for (unsigned i = 0; i < 2 * sizeof(types); i++) {
		bool tcp = i % 2;
		struct made_frame frame;
		struct shoal_packet packet;
		uint8_t protocol = tcp ? SHOAL_PROTOCOL_TCP : SHOAL_PROTOCOL_UDP;

		begin_error(&frame, types[i / 2]);
		made_ipv4(&frame, protocol, i * 4, 1400);
		if (tcp)
			made_tcp(&frame, 1024, 80, 0)[13] = 2;
		else
			made_udp(&frame, 1024, 80, 0);
		made_finish(&frame);
		assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
		assert_int_equal(packet.flags, SHOAL_PACKET_IPV4 | SHOAL_PACKET_ICMP_ERROR);
		assert_int_equal(packet.network_offset, 14);
		assert_int_equal(packet.transport_offset, 34);
		assert_int_equal(packet.inner_network_offset, 42);
		assert_int_equal(packet.inner_transport_offset, 62 + i * 4);
		assert_reversed(&packet, protocol, 80, 1024);
		free(packet.frame);
	}
}

static void error_about_query(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	begin_error(&frame, 11);
	made_ipv4(&frame, SHOAL_PROTOCOL_ICMP, 0, 28);
	made_icmp(&frame, 8, 0x4321);
	made_finish(&frame);
	assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
	assert_int_equal(packet.flags, SHOAL_PACKET_IPV4 | SHOAL_PACKET_ICMP_ERROR);
	assert_int_equal(packet.inner_transport_offset, 62);
	assert_reversed(&packet, SHOAL_PROTOCOL_ICMP, 0x4321, 0x4321);
	free(packet.frame);
}

static void error_about_error(void **state)
{
	struct made_frame frame;

	begin_error(&frame, 11);
	made_ipv4(&frame, SHOAL_PROTOCOL_ICMP, 0, 56);
	made_icmp(&frame, 3, 0);
	made_finish(&frame);
	assert_int_equal(made_result(&frame), SHOAL_PARSE_ICMP_INNER);
}

static void assert_no_inner_ports(const struct made_frame *frame, uint8_t protocol)
{
	struct shoal_packet packet;

	assert_int_equal(made_parse(frame, frame->length, &packet), SHOAL_PARSE_OK);
	assert_int_equal(packet.flags, SHOAL_PACKET_IPV4 | SHOAL_PACKET_ICMP_ERROR | SHOAL_PACKET_INNER_NO_PORTS);
	assert_int_equal(packet.inner_network_offset, 42);
	assert_int_equal(packet.inner_transport_offset, 0);
	assert_reversed(&packet, protocol, 0, 0);
	free(packet.frame);
}

/* A later fragment, a protocol without ports, and an ICMP type without an identifier. */
static void quoted_without_ports(void **state)
{
	struct made_frame frame;

	begin_error(&frame, 3);
	made_store16(made_ipv4(&frame, SHOAL_PROTOCOL_UDP, 0, 28) + 6, 2);
	made_udp(&frame, 1024, 80, 0);
	made_finish(&frame);
	assert_no_inner_ports(&frame, SHOAL_PROTOCOL_UDP);

	begin_error(&frame, 3);
	made_ipv4(&frame, 47, 0, 28);
	made_append(&frame, 8);
	made_finish(&frame);
	assert_no_inner_ports(&frame, 47);

	begin_error(&frame, 3);
	made_ipv4(&frame, SHOAL_PROTOCOL_ICMP, 0, 28);
	made_icmp(&frame, 9, 3);
	made_finish(&frame);
	assert_no_inner_ports(&frame, SHOAL_PROTOCOL_ICMP);
}

static void quoted_first_fragment_has_ports(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	begin_error(&frame, 11);
	made_store16(made_ipv4(&frame, SHOAL_PROTOCOL_UDP, 0, 1500) + 6, 0x2000);
	made_udp(&frame, 1024, 80, 0);
	made_finish(&frame);
	assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
	assert_int_equal(packet.flags, SHOAL_PACKET_IPV4 | SHOAL_PACKET_ICMP_ERROR);
	assert_reversed(&packet, SHOAL_PROTOCOL_UDP, 80, 1024);
	free(packet.frame);
}

/* The datagram itself is whole, what it quotes ends anywhere: up to the quoted header it is refused, up to eight bytes of
 * transport there are no ports. */
static void quoted_cut_at_every_byte(void **state)
{
	struct made_frame whole;

	begin_error(&whole, 3);
	made_ipv4(&whole, SHOAL_PROTOCOL_TCP, 8, 1400);
	made_tcp(&whole, 1024, 80, 0);
	for (uint16_t quoted = 0; quoted <= 48; quoted++) {
		struct made_frame frame = whole;
		struct shoal_packet packet;

		frame.length = (uint16_t)(42 + quoted);
		made_finish(&frame);
		if (quoted < 28) {
			assert_int_equal(made_result(&frame), SHOAL_PARSE_ICMP_INNER);
		} else if (quoted < 36) {
			assert_no_inner_ports(&frame, SHOAL_PROTOCOL_TCP);
		} else {
			assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
			assert_reversed(&packet, SHOAL_PROTOCOL_TCP, 80, 1024);
			free(packet.frame);
		}
	}
}

static void quoted_header_that_cannot_be(void **state)
{
	struct made_frame frame;

	begin_error(&frame, 3);
	made_ipv4(&frame, SHOAL_PROTOCOL_UDP, 0, 28);
	made_udp(&frame, 1024, 80, 0);
	made_finish(&frame);
	frame.bytes[42] = 0x44;
	assert_int_equal(made_result(&frame), SHOAL_PARSE_ICMP_INNER);
	frame.bytes[42] = 0x65;
	assert_int_equal(made_result(&frame), SHOAL_PARSE_ICMP_INNER);
	frame.bytes[42] = 0x45;
	made_store16(frame.bytes + 44, 19);
	assert_int_equal(made_result(&frame), SHOAL_PARSE_ICMP_INNER);
	made_store16(frame.bytes + 44, 24); /* its own length says that it had four bytes only */
	assert_no_inner_ports(&frame, SHOAL_PROTOCOL_UDP);
}

static void truncated_at_every_byte(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	begin_error(&frame, 3);
	made_ipv4(&frame, SHOAL_PROTOCOL_TCP, 8, 1400);
	made_tcp(&frame, 1024, 80, 0);
	made_finish(&frame);
	for (uint16_t length = 0; length < frame.length; length++) {
		assert_int_equal(made_parse(&frame, length, &packet),
			length < 14 ? SHOAL_PARSE_RUNT : SHOAL_PARSE_IPV4_TRUNCATED);
		free(packet.frame);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queries),
		cmocka_unit_test(other_types),
		cmocka_unit_test(header_cut),
		cmocka_unit_test(errors_about_udp_and_tcp),
		cmocka_unit_test(error_about_query),
		cmocka_unit_test(error_about_error),
		cmocka_unit_test(quoted_without_ports),
		cmocka_unit_test(quoted_first_fragment_has_ports),
		cmocka_unit_test(quoted_cut_at_every_byte),
		cmocka_unit_test(quoted_header_that_cannot_be),
		cmocka_unit_test(truncated_at_every_byte),
	};

	return cmocka_run_group_tests_name("transport_header", tests, NULL, NULL);
}
