/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys, steering, and why a packet has no key. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "flow.h"
#include "io/made_frame.h"
#include "steering.h"
#include "worker.h"

static struct shoal_packet parse(const struct made_frame *frame)
{
	struct shoal_packet packet;

	assert_int_equal(made_parse(frame, frame->length, &packet), SHOAL_PARSE_OK);
	return packet;
}

static bool inside_key(struct shoal_packet *packet, struct nat_mapping_key *key)
{
	struct shoal_packet *packets[1] = { packet };

	memset(key, 0xff, sizeof(*key));
	return shoal_nf.ports[NAT_INSIDE].keys(NULL, packets, 1, key) & 1;
}

static bool outside_key(struct shoal_packet *packet, struct nat_reverse_key *key)
{
	struct shoal_packet *packets[1] = { packet };

	memset(key, 0xff, sizeof(*key));
	return shoal_nf.ports[NAT_OUTSIDE].keys(NULL, packets, 1, key) & 1;
}

static void udp(struct made_frame *frame)
{
	made_ethernet(frame, SHOAL_ETHER_IPV4);
	made_ipv4(frame, NAT_UDP, 0, 0);
	made_udp(frame, 1111, 0x22ab, 8);
	made_finish(frame);
}

static void keys(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;
	struct nat_mapping_key mapping, mapping_right = { htonl(MADE_CLIENT), htons(1111), NAT_UDP, 0 };
	struct nat_reverse_key reverse, reverse_right = { htonl(MADE_SERVER), htons(0x22ab), NAT_UDP, 0 };

	udp(&frame);
	packet = parse(&frame);
	assert_true(inside_key(&packet, &mapping));
	assert_memory_equal(&mapping, &mapping_right, sizeof(mapping));
	assert_true(outside_key(&packet, &reverse));
	assert_memory_equal(&reverse, &reverse_right, sizeof(reverse));
	assert_int_equal(nat_steer_outside(&packet), 0xab);
	assert_int_equal(nat_reverse_class.steering(&reverse), 0xab);
	assert_int_equal(nat_steer_inside(&packet), nat_host_steering_slot(htonl(MADE_CLIENT)));
	assert_int_equal(nat_mapping_class.steering(&mapping), nat_steer_inside(&packet));
	free(packet.frame);
}

/* An error about a flow has the flow's keys and steering slots, seen from the other end. */
static void error_follows_its_flow(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;
	struct nat_mapping_key mapping;
	struct nat_reverse_key reverse;
	uint8_t *network;

	made_ethernet(&frame, SHOAL_ETHER_IPV4);
	network = made_ipv4(&frame, NAT_ICMP, 0, 0);
	made_store32(network + 12, 0xcb007101);
	made_icmp(&frame, 3, 0);
	made_ipv4(&frame, NAT_TCP, 0, 40);
	made_tcp(&frame, 0x3301, 0x4402, 0);
	made_finish(&frame);
	packet = parse(&frame);
	assert_true(inside_key(&packet, &mapping));
	assert_int_equal(mapping.address, htonl(MADE_SERVER));
	assert_int_equal(mapping.port, htons(0x4402));
	assert_int_equal(mapping.protocol, NAT_TCP);
	assert_true(outside_key(&packet, &reverse));
	assert_int_equal(reverse.address, htonl(MADE_CLIENT));
	assert_int_equal(reverse.port, htons(0x3301));
	assert_int_equal(nat_steer_outside(&packet), 1);
	assert_int_equal(nat_steer_inside(&packet), nat_host_steering_slot(htonl(MADE_SERVER)));
	free(packet.frame);
}

static void later_fragment(void **state)
{
	struct made_frame frame;
	struct shoal_packet packet;
	struct nat_mapping_key key;

	udp(&frame);
	made_store16(frame.bytes + 20, 4);
	packet = parse(&frame);
	assert_false(inside_key(&packet, &key));
	assert_int_equal(nat_flow_refusal(&packet), NAT_DROP_FRAGMENT);
	packet.flags |= SHOAL_PACKET_PORTS_KNOWN;
	packet.tuple.source_port = htons(7);
	assert_true(inside_key(&packet, &key));
	assert_int_equal(key.port, htons(7));
	free(packet.frame);
}

static void assert_refused(const struct made_frame *frame, unsigned drop)
{
	struct shoal_packet packet = parse(frame);
	struct nat_mapping_key key;

	assert_false(inside_key(&packet, &key));
	assert_int_equal(nat_flow_refusal(&packet), drop);
	assert_int_equal(shoal_nf.packet(NULL, &packet, NULL), SHOAL_DROP(drop));
	free(packet.frame);
}

static void refusals(void **state)
{
	struct made_frame frame;

	made_ethernet(&frame, SHOAL_ETHER_IPV6);
	made_ipv6(&frame, NAT_UDP, 0);
	made_udp(&frame, 1, 2, 8);
	made_finish(&frame);
	assert_refused(&frame, NAT_DROP_NOT_IPV4);

	made_ethernet(&frame, SHOAL_ETHER_IPV4);
	made_ipv4(&frame, 47, 0, 0);
	made_append(&frame, 30);
	made_finish(&frame);
	assert_refused(&frame, NAT_DROP_PROTOCOL);

	made_ethernet(&frame, SHOAL_ETHER_IPV4);
	made_ipv4(&frame, NAT_ICMP, 0, 0);
	made_icmp(&frame, 9, 0); /* router advertisement */
	made_finish(&frame);
	assert_refused(&frame, NAT_DROP_ICMP_TYPE);

	made_ethernet(&frame, SHOAL_ETHER_IPV4);
	made_ipv4(&frame, NAT_ICMP, 0, 0);
	made_icmp(&frame, 3, 0);
	made_store16(made_ipv4(&frame, NAT_UDP, 0, 100) + 6, 4); /* quotes a later fragment */
	made_append(&frame, 8);
	made_finish(&frame);
	assert_refused(&frame, NAT_DROP_ICMP_TYPE);

	udp(&frame);
	made_store32(frame.bytes + 30, 0xe00000fb); /* 224.0.0.251 */
	assert_refused(&frame, NAT_DROP_DESTINATION);
	made_store32(frame.bytes + 30, 0xffffffff);
	assert_refused(&frame, NAT_DROP_DESTINATION);
}

/* 64 k neighbouring hosts: every steering slot has its share, and so has every address of an odd number of them. */
static void hosts_spread(void **state)
{
	unsigned slots[256] = { 0 }, addresses[3] = { 0 };

	for (uint32_t host = 0; host < 65536; host++) {
		slots[nat_host_steering_slot(htonl(0x0a000000 + host))]++;
		addresses[nat_host_address_index(htonl(0x0a000000 + host), 3)]++;
	}
	for (unsigned slot = 0; slot < 256; slot++)
		assert_in_range(slots[slot], 128, 512);
	for (unsigned index = 0; index < 3; index++)
		assert_in_range(addresses[index], 20000, 24000);
	for (uint32_t count = 1; count <= NAT_PUBLIC_ADDRESSES_MAX; count = count * 3 + 1)
		for (uint32_t host = 0; host < 1000; host++)
			assert_true(nat_host_address_index(host * 2654435761u, count) < count);
}

static void drops_and_counters_have_names(void **state)
{
	assert_int_equal(shoal_nf.abi, SHOAL_NF_ABI);
	assert_true(shoal_nf.drops_count <= SHOAL_NF_DROPS_MAX);
	for (unsigned index = 0; index < shoal_nf.drops_count; index++)
		assert_non_null(shoal_nf.drops[index]);
	for (unsigned index = 0; index < shoal_nf.counters_count; index++)
		assert_non_null(shoal_nf.counters[index]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys),
		cmocka_unit_test(error_follows_its_flow),
		cmocka_unit_test(later_fragment),
		cmocka_unit_test(refusals),
		cmocka_unit_test(hosts_spread),
		cmocka_unit_test(drops_and_counters_have_names),
	};

	return cmocka_run_group_tests_name("nat_flow", tests, NULL, NULL);
}
