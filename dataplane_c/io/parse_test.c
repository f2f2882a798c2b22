/* SPDX-License-Identifier: BSD-3-Clause */
/* Ethernet, IPv4, TCP and UDP; fragments, IPv6 and ICMP have tests of their own. */
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

static void plain_udp(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	for (uint16_t payload = 0; payload < 40; payload++) {
		udp_frame(&frame, payload);
		assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
		assert_int_equal(packet.flags, SHOAL_PACKET_IPV4 | SHOAL_PACKET_TRANSPORT);
		assert_offsets(&packet, 14, 34);
		assert_flow(&packet, SHOAL_PROTOCOL_UDP, 1024, 53);
		assert_int_equal(packet.tuple.tcp_flags, 0);
		assert_ptr_equal(shoal_packet_network(&packet), packet.frame + 14);
		free(packet.frame);
	}
}

static void plain_tcp(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	for (unsigned options = 0; options <= 40; options += 4) {
		tcp_frame(&frame, 0, options);
		assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
		assert_int_equal(packet.flags, SHOAL_PACKET_IPV4 | SHOAL_PACKET_TRANSPORT);
		assert_offsets(&packet, 14, 34);
		assert_flow(&packet, SHOAL_PROTOCOL_TCP, 1024, 80);
		assert_int_equal(packet.tuple.tcp_flags, 0x12);
		free(packet.frame);
	}
}

/* Type of service, don't-fragment, time to live and the reserved bit are nobody's business here. */
static void other_ipv4_fields_do_not_matter(void **state)
{
	struct made_frame frame;

	udp_frame(&frame, 4);
	frame.bytes[15] = 0xff;
	frame.bytes[20] = 0xc0;
	frame.bytes[22] = 0;
	assert_int_equal(made_result(&frame), SHOAL_PARSE_OK);
}

static void ethernet_padding_is_not_payload(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	udp_frame(&frame, 1);
	memset(made_append(&frame, 17), 0xff, 17);
	assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
	assert_int_equal(packet.length, 60);
	assert_flow(&packet, SHOAL_PROTOCOL_UDP, 1024, 53);
	free(packet.frame);
	made_store16(frame.bytes + 38, 10); /* UDP length into the padding */
	assert_int_equal(made_result(&frame), SHOAL_PARSE_UDP_HEADER);
}

static void ipv4_options(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	for (unsigned options = 4; options <= 40; options += 4) {
		tcp_frame(&frame, options, 12);
		assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
		assert_int_equal(packet.flags, SHOAL_PACKET_IPV4 | SHOAL_PACKET_TRANSPORT);
		assert_offsets(&packet, 14, (uint16_t)(34 + options));
		assert_flow(&packet, SHOAL_PROTOCOL_TCP, 1024, 80);
		assert_int_equal(packet.tuple.tcp_flags, 0x12);
		free(packet.frame);
	}
}

static void vlan_and_qinq(void **state)
{
	static const uint16_t outer_types[] = { SHOAL_ETHER_VLAN, SHOAL_ETHER_QINQ, SHOAL_ETHER_QINQ_OLD };
	struct made_frame frame;
	struct shoal_packet packet;

	for (unsigned i = 0; i < 3; i++) {
		for (unsigned tags = 1; tags <= 2; tags++) {
			made_ethernet(&frame, outer_types[i]);
			if (tags == 2)
				made_vlan(&frame, 0xe123, SHOAL_ETHER_VLAN);
			made_vlan(&frame, 7, SHOAL_ETHER_IPV4);
			made_ipv4(&frame, SHOAL_PROTOCOL_UDP, 0, 0);
			made_udp(&frame, 1024, 53, 3);
			made_finish(&frame);
			assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
			assert_int_equal(packet.flags, SHOAL_PACKET_VLAN | SHOAL_PACKET_IPV4 | SHOAL_PACKET_TRANSPORT);
			assert_offsets(&packet, (uint16_t)(14 + tags * 4), (uint16_t)(34 + tags * 4));
			assert_flow(&packet, SHOAL_PROTOCOL_UDP, 1024, 53);
			free(packet.frame);
		}
	}
}

static void runts(void **state)
{
	struct made_frame frame;

	made_ethernet(&frame, SHOAL_ETHER_QINQ);
	made_vlan(&frame, 1, SHOAL_ETHER_VLAN);
	made_vlan(&frame, 2, SHOAL_ETHER_IPV4);
	for (frame.length = 0; frame.length < 22; frame.length++)
		assert_int_equal(made_result(&frame), SHOAL_PARSE_RUNT);
	assert_int_equal(made_result(&frame), SHOAL_PARSE_IPV4_TRUNCATED);
}

static void not_ip(void **state)
{
	struct made_frame frame;

	made_ethernet(&frame, 0x0806); /* ARP */
	made_append(&frame, 46);
	assert_int_equal(made_result(&frame), SHOAL_PARSE_NOT_IP);
	made_store16(frame.bytes + 12, 46); /* a length: IEEE 802.3 */
	assert_int_equal(made_result(&frame), SHOAL_PARSE_NOT_IP);
	made_ethernet(&frame, SHOAL_ETHER_QINQ); /* a third tag */
	made_vlan(&frame, 1, SHOAL_ETHER_VLAN);
	made_vlan(&frame, 2, SHOAL_ETHER_VLAN);
	made_vlan(&frame, 3, SHOAL_ETHER_IPV4);
	made_append(&frame, 40);
	assert_int_equal(made_result(&frame), SHOAL_PARSE_NOT_IP);
}

static void ipv4_header(void **state)
{
	struct made_frame frame;

	udp_frame(&frame, 20);
	frame.bytes[14] = 0x65; /* version */
	assert_int_equal(made_result(&frame), SHOAL_PARSE_IPV4_HEADER);
	frame.bytes[14] = 0x44; /* header length */
	assert_int_equal(made_result(&frame), SHOAL_PARSE_IPV4_HEADER);
	frame.bytes[14] = 0x45;
	made_store16(frame.bytes + 16, 19); /* total length shorter than the header */
	assert_int_equal(made_result(&frame), SHOAL_PARSE_IPV4_HEADER);
	frame.bytes[14] = 0x46;
	made_store16(frame.bytes + 16, 20);
	assert_int_equal(made_result(&frame), SHOAL_PARSE_IPV4_HEADER);
}

static void ipv4_truncated(void **state)
{
	struct made_frame frame;

	udp_frame(&frame, 20);
	made_store16(frame.bytes + 16, 49);
	assert_int_equal(made_result(&frame), SHOAL_PARSE_IPV4_TRUNCATED);
	made_store16(frame.bytes + 16, UINT16_MAX);
	assert_int_equal(made_result(&frame), SHOAL_PARSE_IPV4_TRUNCATED);
}

static void transport_truncated(void **state)
{
	struct made_frame frame;

	udp_frame(&frame, 20);
	for (uint16_t total = 20; total < 28; total++) {
		made_store16(frame.bytes + 16, total);
		assert_int_equal(made_result(&frame), SHOAL_PARSE_TRANSPORT_TRUNCATED);
	}
	tcp_frame(&frame, 0, 0);
	for (uint16_t total = 20; total < 40; total++) {
		made_store16(frame.bytes + 16, total);
		assert_int_equal(made_result(&frame), SHOAL_PARSE_TRANSPORT_TRUNCATED);
	}
}

static void tcp_header(void **state)
{
	struct made_frame frame;

	tcp_frame(&frame, 0, 8);
	for (unsigned words = 0; words < 16; words++) {
		frame.bytes[46] = (uint8_t)(words << 4);
		assert_int_equal(made_result(&frame), words < 5 || words > 7 ? SHOAL_PARSE_TCP_HEADER : SHOAL_PARSE_OK);
	}
}

static void udp_header(void **state)
{
	struct made_frame frame;

	udp_frame(&frame, 10);
	for (uint16_t length = 0; length < 40; length++) {
		made_store16(frame.bytes + 38, length);
		assert_int_equal(
			made_result(&frame), length < 8 || length > 18 ? SHOAL_PARSE_UDP_HEADER : SHOAL_PARSE_OK);
	}
}

static void unknown_protocol(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;

	made_ethernet(&frame, SHOAL_ETHER_IPV4);
	made_ipv4(&frame, 47, 0, 0);
	made_append(&frame, 30);
	made_finish(&frame);
	assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
	assert_int_equal(packet.flags, SHOAL_PACKET_IPV4);
	assert_offsets(&packet, 14, 0);
	assert_flow(&packet, 47, 0, 0);
	free(packet.frame);
}

/* --- The fast path and its twin --- */

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

/* A frame that is plain or nearly so: other protocols and options among them, then up to three bytes of the headers changed. */
static void nearly_plain_frame(struct made_frame *frame, uint64_t *random)
{
	unsigned options = random_next(random) % 8 ? 0 : 4;

	if (random_next(random) % 2)
		tcp_frame(frame, options, (unsigned)(random_next(random) % 11) * 4);
	else
		udp_frame(frame, (uint16_t)(random_next(random) % 64));
	made_append(frame, random_next(random) % 32); /* the link's padding */
	for (uint64_t changes = random_next(random) % 4; changes; changes--)
		frame->bytes[12 + random_next(random) % 50] ^= (uint8_t)(1u << random_next(random) % 8);
}

/* Whatever the fast path takes, shoal_parse_any says the same of it. Whether it took the frame. */
static bool compare_with_twin(const struct made_frame *frame, uint16_t length, bool ports_known)
{
	struct shoal_packet plain, twin;
	bool taken;

	memset(&plain, 0xa5, sizeof(plain));
	plain.flags = ports_known ? UINT16_MAX : (uint16_t)~SHOAL_PACKET_PORTS_KNOWN;
	plain.frame = made_exact_copy(frame, length);
	plain.length = length;
	twin = plain;
	taken = shoal_parse_plain(&plain);
	if (taken) {
		assert_int_equal(shoal_parse_any(&twin), SHOAL_PARSE_OK);
		assert_int_equal(plain.flags, twin.flags);
		assert_memory_equal(&plain.tuple, &twin.tuple, offsetof(struct shoal_tuple, tcp_flags) + 1);
		assert_offsets(&plain, twin.network_offset, twin.transport_offset);
		assert_int_equal(twin.inner_network_offset + twin.inner_transport_offset, 0);
	}
	free(plain.frame);
	return taken;
}

static void fast_path_is_as_its_twin(void **state)
{
	uint64_t random = 1;
	unsigned taken = 0;

	for (unsigned round = 0; round < 200000; round++) {
		struct made_frame frame;
		uint16_t length;

		nearly_plain_frame(&frame, &random);
		length =
			random_next(&random) % 4 ? frame.length : (uint16_t)(random_next(&random) % (frame.length + 1));
		taken += compare_with_twin(&frame, length, random_next(&random) % 2);
	}
	assert_in_range(taken, 20000, 180000);
}

/* --- Everything --- */

/* A frame cut anywhere is refused, and never read behind its end. */
static void truncated_at_every_byte(void **state)
{
	struct made_frame frames[3];

	udp_frame(&frames[0], 12);
	tcp_frame(&frames[1], 0, 12);
	tcp_frame(&frames[2], 20, 12);
	for (unsigned i = 0; i < 3; i++) {
		for (uint16_t length = 0; length < frames[i].length; length++) {
			struct shoal_packet packet;
			enum shoal_parse_result expected = length < 14 ? SHOAL_PARSE_RUNT : SHOAL_PARSE_IPV4_TRUNCATED;

			assert_int_equal(made_parse(&frames[i], length, &packet), expected);
			free(packet.frame);
		}
	}
}

static void result_names(void **state)
{
	for (unsigned i = 0; i < SHOAL_PARSE_RESULTS; i++) {
		assert_non_null(shoal_parse_result_name(i));
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(shoal_parse_result_name(i), shoal_parse_result_name(j));
	}
	assert_string_equal(shoal_parse_result_name(SHOAL_PARSE_IPV4_TRUNCATED), "ipv4_truncated");
	assert_string_equal(shoal_parse_result_name(SHOAL_PARSE_RESULTS), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_udp),
		cmocka_unit_test(plain_tcp),
		cmocka_unit_test(other_ipv4_fields_do_not_matter),
		cmocka_unit_test(ethernet_padding_is_not_payload),
		cmocka_unit_test(ipv4_options),
		cmocka_unit_test(vlan_and_qinq),
		cmocka_unit_test(runts),
		cmocka_unit_test(not_ip),
		cmocka_unit_test(ipv4_header),
		cmocka_unit_test(ipv4_truncated),
		cmocka_unit_test(transport_truncated),
		cmocka_unit_test(tcp_header),
		cmocka_unit_test(udp_header),
		cmocka_unit_test(unknown_protocol),
		cmocka_unit_test(fast_path_is_as_its_twin),
		cmocka_unit_test(truncated_at_every_byte),
		cmocka_unit_test(result_names),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
