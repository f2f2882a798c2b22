/* SPDX-License-Identifier: BSD-3-Clause */
/* IPv4 fragments and their keys, through shoal_parse. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "io/made_frame.h"

static void udp_frame(struct made_frame *frame, uint16_t payload)
{
	made_ethernet(frame, SHOAL_ETHER_IPV4);
	made_ipv4(frame, SHOAL_PROTOCOL_UDP, 0, 0);
	made_udp(frame, 1024, 53, payload);
	made_finish(frame);
}

static void tcp_frame(struct made_frame *frame, unsigned ip_options, unsigned tcp_options)
{
	made_ethernet(frame, SHOAL_ETHER_IPV4);
	made_ipv4(frame, SHOAL_PROTOCOL_TCP, ip_options, 0);
	made_tcp(frame, 1024, 80, tcp_options)[13] = 0x12;
	made_finish(frame);
}

static void assert_flow(
	const struct shoal_packet *packet, uint8_t protocol, uint16_t source_port, uint16_t destination_port)
{
	assert_int_equal(packet->tuple.source_address, htonl(MADE_CLIENT));
	assert_int_equal(packet->tuple.destination_address, htonl(MADE_SERVER));
	assert_int_equal(packet->tuple.source_port, htons(source_port));
	assert_int_equal(packet->tuple.destination_port, htons(destination_port));
	assert_int_equal(packet->tuple.protocol, protocol);
}

static void assert_offsets(const struct shoal_packet *packet, uint16_t network, uint16_t transport)
{
	assert_int_equal(packet->network_offset, network);
	assert_int_equal(packet->transport_offset, transport);
	assert_int_equal(packet->inner_network_offset, 0);
	assert_int_equal(packet->inner_transport_offset, 0);
}

static void ipv4_fragment(struct made_frame *frame, uint8_t protocol, uint16_t offset, bool more, unsigned bytes)
{
	made_ethernet(frame, SHOAL_ETHER_IPV4);
	made_store16(made_ipv4(frame, protocol, 0, 0) + 6, (uint16_t)(offset / 8 | more << 13));
	made_append(frame, bytes);
	made_finish(frame);
}

static void first_fragment(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	made_ethernet(&frame, SHOAL_ETHER_IPV4);
	made_store16(made_ipv4(&frame, SHOAL_PROTOCOL_UDP, 4, 0) + 6, 0x2000);
	made_store16(made_udp(&frame, 1024, 53, 16) + 4, 3000); /* its length is that of the whole datagram */
	made_finish(&frame);
	assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
	assert_int_equal(packet.flags, SHOAL_PACKET_IPV4 | SHOAL_PACKET_TRANSPORT | SHOAL_PACKET_FRAGMENT_FIRST);
	assert_offsets(&packet, 14, 38);
	assert_flow(&packet, SHOAL_PROTOCOL_UDP, 1024, 53);
	free(packet.frame);
}

static void later_fragment(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	ipv4_fragment(&frame, SHOAL_PROTOCOL_UDP, 16, false, 5);
	assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
	assert_int_equal(packet.flags, SHOAL_PACKET_IPV4 | SHOAL_PACKET_FRAGMENT_LATER);
	assert_offsets(&packet, 14, 0);
	assert_flow(&packet, SHOAL_PROTOCOL_UDP, 0, 0);

	packet.flags |= SHOAL_PACKET_PORTS_KNOWN;
	packet.tuple.source_port = htons(5);
	packet.tuple.destination_port = htons(6);
	for (unsigned again = 0; again < 2; again++) {
		assert_int_equal(shoal_parse(&packet), SHOAL_PARSE_OK);
		assert_int_equal(
			packet.flags, SHOAL_PACKET_IPV4 | SHOAL_PACKET_FRAGMENT_LATER | SHOAL_PACKET_PORTS_KNOWN);
		assert_flow(&packet, SHOAL_PROTOCOL_UDP, 5, 6);
	}
	free(packet.frame);
}

/* Only a later fragment can be told its ports. */
static void ports_known_is_ignored_elsewhere(void **state)
{
	for (unsigned options = 0; options <= 4; options += 4) {
		struct made_frame frame;
		struct shoal_packet packet;

		tcp_frame(&frame, options, 0);
		made_parse(&frame, frame.length, &packet);
		packet.flags |= SHOAL_PACKET_PORTS_KNOWN;
		packet.tuple.source_port = htons(5);
		assert_int_equal(shoal_parse(&packet), SHOAL_PARSE_OK);
		assert_int_equal(packet.flags, SHOAL_PACKET_IPV4 | SHOAL_PACKET_TRANSPORT);
		assert_flow(&packet, SHOAL_PROTOCOL_TCP, 1024, 80);
		free(packet.frame);
	}
}

static void impossible_fragments(void **state)
{
	static const struct {
		uint8_t protocol;
		uint16_t offset;
		bool more;
		unsigned bytes;
		enum shoal_parse_result result;
	} cases[] = {
		{ SHOAL_PROTOCOL_UDP, 8, true, 0, SHOAL_PARSE_FRAGMENT }, /* empty */
		{ SHOAL_PROTOCOL_UDP, 0, true, 0, SHOAL_PARSE_FRAGMENT },
		{ SHOAL_PROTOCOL_UDP, 64, true, 12, SHOAL_PARSE_FRAGMENT }, /* no multiple of 8 */
		{ SHOAL_PROTOCOL_UDP, 64, false, 12, SHOAL_PARSE_OK },
		{ SHOAL_PROTOCOL_UDP, 65504, false, 11, SHOAL_PARSE_OK }, /* just the largest datagram */
		{ SHOAL_PROTOCOL_UDP, 65504, false, 12, SHOAL_PARSE_FRAGMENT }, /* beyond it */
		{ SHOAL_PROTOCOL_TCP, 0, true, 16, SHOAL_PARSE_FRAGMENT }, /* too short for its header */
		{ SHOAL_PROTOCOL_ICMP, 8, false, 1, SHOAL_PARSE_OK },
		{ SHOAL_PROTOCOL_UDP, 8, false, 1, SHOAL_PARSE_OK },
		{ SHOAL_PROTOCOL_TCP, 8, false, 16, SHOAL_PARSE_FRAGMENT }, /* overwrites the header: RFC 1858 */
		{ SHOAL_PROTOCOL_TCP, 16, false, 16, SHOAL_PARSE_FRAGMENT },
		{ SHOAL_PROTOCOL_TCP, 24, false, 16, SHOAL_PARSE_OK },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct made_frame frame;

		ipv4_fragment(&frame, cases[i].protocol, cases[i].offset, cases[i].more, cases[i].bytes);
		assert_int_equal(made_result(&frame), cases[i].result);
	}
}

static void fragment_with_cut_tcp_options(void **state)
{
	struct made_frame frame;

	made_ethernet(&frame, SHOAL_ETHER_IPV4);
	made_store16(made_ipv4(&frame, SHOAL_PROTOCOL_TCP, 0, 0) + 6, 0x2000);
	made_tcp(&frame, 1024, 80, 4)[12] = 0xa0;
	made_finish(&frame);
	assert_int_equal(made_result(&frame), SHOAL_PARSE_FRAGMENT);
}

static void fragment_keys(void **state)
{
	struct made_frame first, later;
	struct shoal_packet packet;
	struct shoal_fragment_key keys[2];

	made_ethernet(&first, SHOAL_ETHER_QINQ);
	made_vlan(&first, 9, SHOAL_ETHER_IPV4);
	made_store16(made_ipv4(&first, SHOAL_PROTOCOL_UDP, 0, 0) + 6, 0x2000);
	made_udp(&first, 1024, 53, 0);
	made_finish(&first);
	ipv4_fragment(&later, SHOAL_PROTOCOL_UDP, 8, false, 5);
	memset(keys, 0x11, sizeof(keys));
	made_parse(&first, first.length, &packet);
	assert_true(shoal_parse_fragment_key(&packet, &keys[0]));
	free(packet.frame);
	made_parse(&later, later.length, &packet);
	assert_true(shoal_parse_fragment_key(&packet, &keys[1]));
	free(packet.frame);
	assert_memory_equal(&keys[0], &keys[1], sizeof(keys[0]));
	assert_int_equal(keys[0].identification, 0x1234);
	assert_int_equal(keys[0].protocol, SHOAL_PROTOCOL_UDP);
	assert_int_equal(keys[0].version, 4);
	assert_int_equal(keys[0].port, 1);
	assert_memory_equal(keys[0].source, first.bytes + first.network + 12, 4);
	assert_memory_equal(keys[0].destination, first.bytes + first.network + 16, 4);

	udp_frame(&first, 0);
	made_parse(&first, first.length, &packet);
	assert_false(shoal_parse_fragment_key(&packet, &keys[0]));
	free(packet.frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_fragment),
		cmocka_unit_test(later_fragment),
		cmocka_unit_test(ports_known_is_ignored_elsewhere),
		cmocka_unit_test(impossible_fragments),
		cmocka_unit_test(fragment_with_cut_tcp_options),
		cmocka_unit_test(fragment_keys),
	};

	return cmocka_run_group_tests_name("parse_fragment", tests, NULL, NULL);
}
