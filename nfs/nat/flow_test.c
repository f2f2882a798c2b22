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

/* What may have a key, in the packet's own words; `to` is its own destination. */
static bool plain_has_key(const struct shoal_packet *packet, unsigned port, uint32_t to)
{
	const unsigned known = SHOAL_PACKET_TRANSPORT | SHOAL_PACKET_ICMP_ERROR | SHOAL_PACKET_PORTS_KNOWN;
	uint8_t protocol = packet->tuple.protocol;

	if (!(packet->flags & SHOAL_PACKET_IPV4) || !(packet->flags & known) ||
		packet->flags & SHOAL_PACKET_INNER_NO_PORTS)
		return false;
	if (protocol != NAT_TCP && protocol != NAT_UDP && protocol != NAT_ICMP)
		return false;
	return port == NAT_OUTSIDE || ntohl(to) >> 28 < 14;
}

/* A packet of some kind, and whether its first bytes were changed at random. */
static struct shoal_packet some_packet(uint64_t *random)
{
	static const uint8_t protocols[] = { NAT_TCP, NAT_UDP, NAT_ICMP, 47 };
	struct made_frame frame;
	struct shoal_packet packet;

	do {
		uint8_t protocol;

		*random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		protocol = protocols[*random >> 62];
		made_ethernet(&frame, SHOAL_ETHER_IPV4);
		made_store32(made_ipv4(&frame, protocol, *random >> 60 & 1 ? 4 : 0, 0) + 16, (uint32_t)(*random >> 8));
		if (protocol == NAT_TCP)
			made_tcp(&frame, 1, 2, 0);
		else if (protocol == NAT_UDP)
			made_udp(&frame, 3, 4, 20);
		else if (protocol == NAT_ICMP)
			made_icmp(&frame, (uint8_t)((*random >> 50 & 1) * 8), 5);
		made_append(&frame, 20);
		made_finish(&frame);
		if (*random >> 40 & 1)
			made_store16(frame.bytes + 20, (uint16_t)(*random >> 30 & 0x2003)); /* fragments */
		if (made_parse(&frame, frame.length, &packet) == SHOAL_PARSE_OK)
			return packet;
		free(packet.frame);
	} while (true);
}

/* Of a burst each packet has the key that it has alone, field by field, and has one by the plain rule. */
static void compare_burst(unsigned n, unsigned port, uint64_t *random, unsigned *with_key)
{
	struct shoal_packet all[SHOAL_BURST_MAX], *packets[SHOAL_BURST_MAX];
	struct nat_mapping_key keys[SHOAL_BURST_MAX];
	uint32_t keyed;

	for (unsigned i = 0; i < n; i++) {
		all[i] = some_packet(random);
		packets[i] = &all[i];
		if ((all[i].flags & SHOAL_PACKET_FRAGMENT_LATER) && *random >> 20 & 1)
			all[i].flags |= SHOAL_PACKET_PORTS_KNOWN;
	}
	keyed = shoal_nf.ports[port].keys(NULL, packets, n, keys);
	for (unsigned i = 0; i < n; i++) {
		const struct shoal_tuple *tuple = &all[i].tuple;
		bool wanted = plain_has_key(&all[i], port, shoal_frame_load32(shoal_packet_network(&all[i]) + 16));

		assert_int_equal(keyed >> i & 1, wanted);
		*with_key += wanted;
		free(all[i].frame);
		if (!wanted)
			continue;
		assert_int_equal(
			keys[i].address, port == NAT_INSIDE ? tuple->source_address : tuple->destination_address);
		assert_int_equal(keys[i].port, port == NAT_INSIDE ? tuple->source_port : tuple->destination_port);
		assert_int_equal(keys[i].protocol, tuple->protocol);
		assert_int_equal(keys[i].zero, 0);
	}
	assert_int_equal(n < 32 ? keyed >> n : 0, 0);
}

static void keys_of_bursts_are_as_by_the_plain_rule(void **state)
{
	uint64_t random = 7;
	unsigned with_key = 0;

	for (unsigned round = 0; round < 2000; round++)
		compare_burst(
			1 + round % SHOAL_BURST_MAX, round / 100 % 2 ? NAT_OUTSIDE : NAT_INSIDE, &random, &with_key);
	assert_in_range(with_key, 5000, 30000);
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
		cmocka_unit_test(keys_of_bursts_are_as_by_the_plain_rule),
		cmocka_unit_test(error_follows_its_flow),
		cmocka_unit_test(later_fragment),
		cmocka_unit_test(refusals),
		cmocka_unit_test(hosts_spread),
		cmocka_unit_test(drops_and_counters_have_names),
	};

	return cmocka_run_group_tests_name("nat_flow", tests, NULL, NULL);
}
