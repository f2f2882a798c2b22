/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "io/made_frame.h"

/* splitmix64: a fixed sequence, the same in each run. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);

	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

/* The header of RFC 1624 §4's and everybody's examples. */
static void known_ipv4_header(void **state)
{
	const uint8_t header[20] = { 0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8,
		0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7 };

	assert_int_equal(shoal_checksum_ipv4_header(header), shoal_frame_load16(header + 10));
}

/* RFC 1624 §4: 0xdd2f with a field that goes from 0x5555 to 0x3285 gives 0, where RFC 1141 gave 0xffff. */
static void rfc1624_example(void **state)
{
	assert_int_equal(shoal_checksum_update16(0xdd2f, 0x5555, 0x3285), 0x0000);
}

static void whole_checksums_match_dpdk(void **state)
{
	uint64_t random = 1;

	for (unsigned payload = 0; payload < 200; payload++) {
		struct made_frame frame;
		struct rte_ipv4_hdr *ipv4;
		struct rte_udp_hdr *udp;
		uint16_t checksum;

		made_ethernet(&frame, SHOAL_ETHER_IPV4);
		made_ipv4(&frame, SHOAL_PROTOCOL_UDP, payload % 11 * 4, 0);
		made_udp(&frame, (uint16_t)next_random(&random), (uint16_t)next_random(&random), (uint16_t)payload);
		made_finish(&frame);
		ipv4 = (struct rte_ipv4_hdr *)(frame.bytes + frame.network);
		udp = (struct rte_udp_hdr *)(frame.bytes + frame.transport);
		checksum = udp->dgram_cksum;
		udp->dgram_cksum = 0;
		assert_int_equal(checksum, rte_ipv4_udptcp_cksum(ipv4, udp));
		assert_int_equal(rte_raw_cksum(ipv4, frame.transport - frame.network), 0xffff);
	}
}

static void whole_checksums_match_dpdk_over_ipv6(void **state)
{
	for (unsigned payload = 0; payload < 200; payload++) {
		struct made_frame frame;
		struct rte_tcp_hdr *tcp;
		uint16_t checksum;

		made_ethernet(&frame, SHOAL_ETHER_IPV6);
		made_ipv6(&frame, SHOAL_PROTOCOL_TCP, 0);
		tcp = (struct rte_tcp_hdr *)made_tcp(&frame, 1000, (uint16_t)payload, payload % 11 * 4);
		memset(made_append(&frame, payload), (int)payload, payload);
		made_finish(&frame);
		checksum = tcp->cksum;
		tcp->cksum = 0;
		assert_int_equal(
			checksum, rte_ipv6_udptcp_cksum((struct rte_ipv6_hdr *)(frame.bytes + frame.network), tcp));
	}
}

/* ICMP has no pseudo header, ICMPv6 has. */
static void icmp(void **state)
{
	struct made_frame frame;
	uint8_t *bytes;
	uint16_t before;

	made_ethernet(&frame, SHOAL_ETHER_IPV4);
	made_ipv4(&frame, SHOAL_PROTOCOL_ICMP, 0, 0);
	bytes = made_icmp(&frame, 8, 77);
	made_append(&frame, 3)[2] = 0xee;
	made_finish(&frame);
	assert_int_equal(rte_raw_cksum(bytes, 11), 0xffff);
	before = shoal_frame_load16(bytes + 2);
	made_store32(frame.bytes + frame.network + 12, 0x01020304);
	assert_int_equal(shoal_checksum_transport(frame.bytes + frame.network, bytes, 11, SHOAL_PROTOCOL_ICMP), before);

	made_ethernet(&frame, SHOAL_ETHER_IPV6);
	made_ipv6(&frame, SHOAL_PROTOCOL_ICMPV6, 0);
	bytes = made_icmp(&frame, 128, 77);
	made_finish(&frame);
	before = shoal_frame_load16(bytes + 2);
	frame.bytes[frame.network + 23] = 9;
	assert_int_not_equal(
		shoal_checksum_transport(frame.bytes + frame.network, bytes, 8, SHOAL_PROTOCOL_ICMPV6), before);
}

/* The field's own contents do not count, and the odd last byte is the high half of a word. */
static void field_is_left_out(void **state)
{
	struct made_frame frame;
	uint8_t *network, *transport;
	uint16_t of_header, of_transport;

	made_ethernet(&frame, SHOAL_ETHER_IPV4);
	network = made_ipv4(&frame, SHOAL_PROTOCOL_UDP, 0, 0);
	transport = made_udp(&frame, 1, 2, 5);
	made_finish(&frame);
	of_header = shoal_frame_load16(network + 10);
	of_transport = shoal_frame_load16(transport + 6);
	shoal_frame_store16(network + 10, 0x5a5a);
	shoal_frame_store16(transport + 6, 0x5a5a);
	assert_int_equal(shoal_checksum_ipv4_header(network), of_header);
	assert_int_equal(shoal_checksum_transport(network, transport, 13, SHOAL_PROTOCOL_UDP), of_transport);
}

/* UDP: 0 on the wire means that there is none. */
static void udp_zero(void **state)
{
	struct made_frame frame;
	uint8_t *network, *transport;
	uint16_t value;

	made_ethernet(&frame, SHOAL_ETHER_IPV4);
	network = made_ipv4(&frame, SHOAL_PROTOCOL_UDP, 0, 0);
	transport = made_udp(&frame, 0, 2, 4);
	made_finish(&frame);
	value = shoal_frame_load16(transport + 6);
	shoal_frame_store16(transport, value); /* adds what was missing to the sum's complement: the sum is now 0 */
	assert_int_equal(shoal_checksum_transport(network, transport, 12, SHOAL_PROTOCOL_UDP), 0xffff);
	assert_int_equal(shoal_checksum_adjust_udp(value, shoal_checksum_change16(0, 0, value)), 0xffff);
	assert_int_equal(shoal_checksum_adjust_udp(0, shoal_checksum_change16(0, 1, 2)), 0);
}

static void unknown_protocol_or_too_short(void **state)
{
	struct made_frame frame;
	uint8_t *network;

	made_ethernet(&frame, SHOAL_ETHER_IPV4);
	network = made_ipv4(&frame, SHOAL_PROTOCOL_UDP, 0, 0);
	made_append(&frame, 40);
	assert_int_equal(shoal_checksum_field_offset(132), -1);
	assert_int_equal(shoal_checksum_transport(network, network + 20, 40, 132), 0);
	assert_int_equal(shoal_checksum_transport(network, network + 20, 7, SHOAL_PROTOCOL_UDP), 0);
	assert_int_equal(shoal_checksum_transport(network, network + 20, 17, SHOAL_PROTOCOL_TCP), 0);
}

/* Address and port rewritten: both checksums adjusted by one difference equal those computed anew, 100,000 times over the
 * same frame, so that an error would add up. */
static void incremental_equals_whole(void **state)
{
	struct made_frame frame;
	uint8_t *network, *transport;
	uint64_t random = 42;

	made_ethernet(&frame, SHOAL_ETHER_IPV4);
	network = made_ipv4(&frame, SHOAL_PROTOCOL_TCP, 0, 0);
	transport = made_tcp(&frame, 1024, 80, 0);
	memset(made_append(&frame, 11), 0xa5, 11);
	made_finish(&frame);
	for (unsigned i = 0; i < 100000; i++) {
		uint32_t address = i % 7 ? (uint32_t)next_random(&random) : i % 2 ? UINT32_MAX : 0;
		uint16_t port = i % 5 ? (uint16_t)next_random(&random) : i % 2 ? UINT16_MAX : 0;
		uint32_t change = shoal_checksum_change32(0, shoal_frame_load32(network + 12), address);

		shoal_frame_store16(network + 10, shoal_checksum_adjust(shoal_frame_load16(network + 10), change));
		change = shoal_checksum_change16(change, shoal_frame_load16(transport), port);
		shoal_frame_store16(transport + 16, shoal_checksum_adjust(shoal_frame_load16(transport + 16), change));
		shoal_frame_store32(network + 12, address);
		shoal_frame_store16(transport, port);
		assert_int_equal(shoal_frame_load16(network + 10), shoal_checksum_ipv4_header(network));
		assert_int_equal(shoal_frame_load16(transport + 16),
			shoal_checksum_transport(network, transport, 31, SHOAL_PROTOCOL_TCP));
	}
}

static void update32_equals_two_updates(void **state)
{
	uint64_t random = 3;

	for (unsigned i = 0; i < 10000; i++) {
		uint16_t checksum = (uint16_t)next_random(&random);
		uint32_t before = (uint32_t)next_random(&random), after = (uint32_t)next_random(&random);
		uint16_t two = shoal_checksum_update16(checksum, (uint16_t)before, (uint16_t)after);

		two = shoal_checksum_update16(two, (uint16_t)(before >> 16), (uint16_t)(after >> 16));
		assert_int_equal(shoal_checksum_update32(checksum, before, after), two);
	}
}

/* As many changes as the contract allows, each the largest. */
static void difference_has_room(void **state)
{
	uint32_t difference = 0;
	uint16_t one_by_one = 0x1234;

	for (unsigned i = 0; i < 32768; i++) {
		difference = shoal_checksum_change16(difference, 0, 0xffff);
		one_by_one = shoal_checksum_update16(one_by_one, 0, 0xffff);
	}
	assert_int_equal(shoal_checksum_adjust(0x1234, difference), one_by_one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_ipv4_header),
		cmocka_unit_test(rfc1624_example),
		cmocka_unit_test(whole_checksums_match_dpdk),
		cmocka_unit_test(whole_checksums_match_dpdk_over_ipv6),
		cmocka_unit_test(icmp),
		cmocka_unit_test(field_is_left_out),
		cmocka_unit_test(udp_zero),
		cmocka_unit_test(unknown_protocol_or_too_short),
		cmocka_unit_test(incremental_equals_whole),
		cmocka_unit_test(update32_equals_two_updates),
		cmocka_unit_test(difference_has_room),
	};

	return cmocka_run_group_tests_name("checksum", tests, NULL, NULL);
}
