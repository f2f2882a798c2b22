/* SPDX-License-Identifier: BSD-3-Clause */
/* The burst handler and the key functions, called as the worker calls them, with objects made by hand. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "io/made_frame.h"
#include "steering.h"
#include "worker.h"

#define PUBLIC "198.51.100.7"
#define PUBLIC_PORT 40001
#define INSIDE_PORT 5000
#define REMOTE_PORT 80
#define NOW_TICKS 1000

struct world {
	struct shoal_context context;
	struct nat_worker *nat;
	struct nat_mapping mapping;
	struct nat_reverse reverse;
};

static void set(struct world *world, const char *name, const char *value)
{
	char error[256];

	assert_int_equal(shoal_nf.configure(world->nat, name, value, error, sizeof(error)), 0);
}

static void begin(struct world *world, uint8_t protocol, uint8_t state)
{
	struct nat_endpoint inside = { htonl(MADE_CLIENT), htons(INSIDE_PORT) };
	struct nat_endpoint public = { inet_addr(PUBLIC), htons(PUBLIC_PORT) };

	*world = (struct world){ .nat = shoal_nf.create() };
	assert_non_null(world->nat);
	set(world, "public_addresses", "198.51.100.1-198.51.100.16");
	world->context.nf_state = world->nat;
	world->context.now_ns = (uint64_t)NOW_TICKS << NAT_TICK_SHIFT;
	world->mapping =
		(struct nat_mapping){ .translation = nat_translation_make(inside, public, protocol, NAT_SOURCE),
			.state = state,
			.protocol = protocol,
			.ready = 1 };
	world->reverse = (struct nat_reverse){
		.translation = nat_translation_make(public, inside, protocol, NAT_DESTINATION),
		.protocol = protocol,
		.ready = 1,
	};
}

static void init(struct world *world)
{
	char error[256];

	assert_int_equal(shoal_nf.init(world->nat, error, sizeof(error)), 0);
}

static void end(struct world *world)
{
	shoal_nf.destroy(world->nat);
}

static void make_packet(struct made_frame *frame, uint8_t protocol, const char *from, uint16_t from_port,
	const char *to, uint16_t to_port)
{
	uint8_t *network;

	made_ethernet(frame, SHOAL_ETHER_IPV4);
	network = made_ipv4(frame, protocol, 0, 0);
	shoal_frame_store32(network + 12, inet_addr(from));
	shoal_frame_store32(network + 16, inet_addr(to));
	if (protocol == NAT_TCP)
		made_tcp(frame, from_port, to_port, 0);
	else if (protocol == NAT_UDP)
		made_udp(frame, from_port, to_port, 18);
	else
		made_icmp(frame, 8, from_port);
	made_finish(frame);
}

/* Gives one packet to the burst handler; its verdict. The packet keeps the frame until the caller frees it. */
static uint16_t process(struct world *world, const struct made_frame *frame, uint8_t port, struct shoal_packet *packet)
{
	struct shoal_packet *packets[1] = { packet };
	void *objects[1] = { port == NAT_INSIDE ? (void *)&world->mapping : (void *)&world->reverse };

	assert_int_equal(made_parse(frame, frame->length, packet), SHOAL_PARSE_OK);
	packet->port = port;
	shoal_nf.process(&world->context, packets, objects, 1);
	return packet->verdict;
}

static void assert_addresses(const struct shoal_packet *packet, const char *from, const char *to)
{
	const uint8_t *network = shoal_packet_network(packet);

	assert_int_equal(shoal_frame_load32(network + 12), inet_addr(from));
	assert_int_equal(shoal_frame_load32(network + 16), inet_addr(to));
	assert_int_equal(shoal_frame_load16(network + 10), shoal_checksum_ipv4_header(network));
}

static void out_and_in(void **state)
{
	static const uint8_t protocols[] = { NAT_UDP, NAT_TCP, NAT_ICMP };

	for (unsigned index = 0; index < sizeof(protocols); index++) {
		struct made_frame frame;
		struct shoal_packet packet;
		struct world world;

		begin(&world, protocols[index], NAT_STATE_UDP);
		init(&world);
		make_packet(&frame, protocols[index], "10.0.0.1", INSIDE_PORT, "192.0.2.1", REMOTE_PORT);
		assert_int_equal(process(&world, &frame, NAT_INSIDE, &packet), SHOAL_TRANSMIT(NAT_OUTSIDE));
		assert_addresses(&packet, PUBLIC, "192.0.2.1");
		assert_int_equal(world.mapping.last_seen, NOW_TICKS);
		assert_int_equal(world.reverse.last_seen, 0);
		free(packet.frame);
		make_packet(&frame, protocols[index], "192.0.2.1",
			protocols[index] == NAT_ICMP ? PUBLIC_PORT : REMOTE_PORT, PUBLIC, PUBLIC_PORT);
		assert_int_equal(process(&world, &frame, NAT_OUTSIDE, &packet), SHOAL_TRANSMIT(NAT_INSIDE));
		assert_addresses(&packet, "192.0.2.1", "10.0.0.1");
		assert_int_equal(world.reverse.last_seen, NOW_TICKS);
		free(packet.frame);
		end(&world);
	}
}

/* Each of a mixed burst gets its own object and verdict. */
static void whole_burst(void **state)
{
	struct world world;
	struct made_frame frame;
	struct shoal_packet storage[SHOAL_BURST_MAX];
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	struct nat_mapping mappings[SHOAL_BURST_MAX];
	void *objects[SHOAL_BURST_MAX];

	begin(&world, NAT_UDP, NAT_STATE_UDP);
	init(&world);
	for (unsigned index = 0; index < SHOAL_BURST_MAX; index++) {
		uint8_t protocol = index & 1 ? NAT_TCP : NAT_UDP;
		struct nat_endpoint inside = { htonl(MADE_CLIENT), htons((uint16_t)(index + 1)) };
		struct nat_endpoint public = { inet_addr(PUBLIC), htons((uint16_t)(2000 + index)) };

		make_packet(&frame, protocol, "10.0.0.1", (uint16_t)(index + 1), "192.0.2.1", REMOTE_PORT);
		assert_int_equal(made_parse(&frame, frame.length, &storage[index]), SHOAL_PARSE_OK);
		storage[index].port = NAT_INSIDE;
		packets[index] = &storage[index];
		mappings[index] = (struct nat_mapping){
			.translation = nat_translation_make(inside, public, protocol, NAT_SOURCE),
			.state = protocol == NAT_TCP ? NAT_STATE_TCP_ESTABLISHED : NAT_STATE_UDP,
			.protocol = protocol,
			.ready = index != 5,
		};
		objects[index] = &mappings[index];
	}
	shoal_nf.process(&world.context, packets, objects, SHOAL_BURST_MAX);
	for (unsigned index = 0; index < SHOAL_BURST_MAX; index++) {
		const uint8_t *transport = packets[index]->frame + 34;

		assert_int_equal(
			packets[index]->verdict, index == 5 ? SHOAL_TO_PACKET_HANDLER : SHOAL_TRANSMIT(NAT_OUTSIDE));
		assert_int_equal(shoal_frame_number16(transport), index == 5 ? 6 : 2000 + index);
		free(packets[index]->frame);
	}
	end(&world);
}

/* To one of our own addresses: source translated, and in again from outside (RFC 4787 REQ-9). */
static void hairpin(void **state)
{
	struct world world;
	struct made_frame frame;
	struct shoal_packet packet;

	begin(&world, NAT_UDP, NAT_STATE_UDP);
	init(&world);
	make_packet(&frame, NAT_UDP, "10.0.0.1", INSIDE_PORT, "198.51.100.16", 5555);
	assert_int_equal(process(&world, &frame, NAT_INSIDE, &packet), SHOAL_REENTER(NAT_OUTSIDE));
	assert_addresses(&packet, PUBLIC, "198.51.100.16");
	assert_int_equal(world.nat->counters[NAT_COUNT_HAIRPINNED], 1);
	free(packet.frame);
	make_packet(&frame, NAT_UDP, "10.0.0.1", INSIDE_PORT, "198.51.100.17", 5555);
	assert_int_equal(process(&world, &frame, NAT_INSIDE, &packet), SHOAL_TRANSMIT(NAT_OUTSIDE));
	free(packet.frame);
	end(&world);
}

static uint16_t process_tcp(struct world *world, uint8_t port, uint8_t flags)
{
	struct made_frame frame;
	struct shoal_packet packet;
	uint16_t verdict;

	if (port == NAT_INSIDE)
		make_packet(&frame, NAT_TCP, "10.0.0.1", INSIDE_PORT, "192.0.2.1", REMOTE_PORT);
	else
		make_packet(&frame, NAT_TCP, "192.0.2.1", REMOTE_PORT, PUBLIC, PUBLIC_PORT);
	frame.bytes[34 + 13] = flags;
	made_finish(&frame);
	verdict = process(world, &frame, port, &packet);
	if (verdict == SHOAL_TO_PACKET_HANDLER)
		assert_memory_equal(packet.frame, frame.bytes, frame.length);
	free(packet.frame);
	return verdict;
}

/* From inside the state changes in the burst; from outside that is the packet handler's, and nothing is written. */
static void tcp_states(void **state)
{
	struct world world;

	begin(&world, NAT_TCP, NAT_STATE_TCP_ESTABLISHED);
	init(&world);
	assert_int_equal(process_tcp(&world, NAT_INSIDE, 0x10), SHOAL_TRANSMIT(NAT_OUTSIDE));
	assert_int_equal(world.mapping.state, NAT_STATE_TCP_ESTABLISHED);
	assert_int_equal(process_tcp(&world, NAT_INSIDE, 0x11), SHOAL_TRANSMIT(NAT_OUTSIDE));
	assert_int_equal(world.mapping.state, NAT_STATE_TCP_FIN_INSIDE);
	assert_int_equal(process_tcp(&world, NAT_OUTSIDE, 0x10), SHOAL_TRANSMIT(NAT_INSIDE));
	world.reverse.last_seen = 0;
	assert_int_equal(process_tcp(&world, NAT_OUTSIDE, 0x12), SHOAL_TO_PACKET_HANDLER);
	assert_int_equal(process_tcp(&world, NAT_OUTSIDE, 0x11), SHOAL_TO_PACKET_HANDLER);
	assert_int_equal(process_tcp(&world, NAT_OUTSIDE, 0x14), SHOAL_TO_PACKET_HANDLER);
	assert_int_equal(world.reverse.last_seen, 0);
	world.reverse.ready = 0;
	assert_int_equal(process_tcp(&world, NAT_OUTSIDE, 0x10), SHOAL_TO_PACKET_HANDLER);
	end(&world);
}

/* Data, other than a bare acknowledgement in a padded frame, revives a connection that seemed over. */
static void data_after_time_wait(void **state)
{
	struct world world;
	struct made_frame frame;
	struct shoal_packet packet;

	begin(&world, NAT_TCP, NAT_STATE_TCP_TIME_WAIT);
	init(&world);
	make_packet(&frame, NAT_TCP, "10.0.0.1", INSIDE_PORT, "192.0.2.1", REMOTE_PORT);
	made_append(&frame, 6); /* the link's padding */
	process(&world, &frame, NAT_INSIDE, &packet);
	free(packet.frame);
	assert_int_equal(world.mapping.state, NAT_STATE_TCP_TIME_WAIT);
	make_packet(&frame, NAT_TCP, "10.0.0.1", INSIDE_PORT, "192.0.2.1", REMOTE_PORT);
	made_append(&frame, 100);
	made_finish(&frame);
	process(&world, &frame, NAT_INSIDE, &packet);
	free(packet.frame);
	assert_int_equal(world.mapping.state, NAT_STATE_TCP_ESTABLISHED);
	end(&world);
}

static void router(void **state)
{
	static const uint8_t next_and_own[12] = { 2, 0, 0, 0, 0, 0x0b, 2, 0, 0, 0, 0, 0x0a };
	struct world world;
	struct made_frame frame;
	struct shoal_packet packet;

	begin(&world, NAT_UDP, NAT_STATE_UDP);
	set(&world, "decrement_ttl", "true");
	set(&world, "outside_mac", "02:00:00:00:00:0a, 02:00:00:00:00:0b");
	init(&world);
	make_packet(&frame, NAT_UDP, "10.0.0.1", INSIDE_PORT, "192.0.2.1", REMOTE_PORT);
	assert_int_equal(process(&world, &frame, NAT_INSIDE, &packet), SHOAL_TRANSMIT(NAT_OUTSIDE));
	assert_addresses(&packet, PUBLIC, "192.0.2.1");
	assert_int_equal(shoal_packet_network(&packet)[8], 63);
	assert_memory_equal(packet.frame, next_and_own, 12);
	free(packet.frame);
	make_packet(&frame, NAT_UDP, "10.0.0.1", INSIDE_PORT, "198.51.100.1", REMOTE_PORT);
	assert_int_equal(process(&world, &frame, NAT_INSIDE, &packet), SHOAL_REENTER(NAT_OUTSIDE));
	assert_int_equal(shoal_packet_network(&packet)[8], 64); /* its second pass counts */
	free(packet.frame);
	make_packet(&frame, NAT_UDP, "192.0.2.1", REMOTE_PORT, PUBLIC, PUBLIC_PORT);
	frame.bytes[22] = 1;
	made_finish(&frame);
	assert_int_equal(process(&world, &frame, NAT_OUTSIDE, &packet), SHOAL_DROP(NAT_DROP_TTL_EXPIRED));
	assert_memory_equal(packet.frame, frame.bytes, frame.length);
	free(packet.frame);
	end(&world);
}

/* An error does not keep the mapping alive (RFC 5508 REQ-6), and may come from a router in between. */
static void icmp_error(void **state)
{
	struct world world;
	struct made_frame frame;
	struct shoal_packet packet;
	uint8_t *network, *quoted;

	begin(&world, NAT_UDP, NAT_STATE_UDP);
	init(&world);
	made_ethernet(&frame, SHOAL_ETHER_IPV4);
	network = made_ipv4(&frame, NAT_ICMP, 0, 0);
	shoal_frame_store32(network + 12, inet_addr("203.0.113.1"));
	shoal_frame_store32(network + 16, inet_addr(PUBLIC));
	made_icmp(&frame, 11, 0);
	quoted = made_ipv4(&frame, NAT_UDP, 0, 28);
	shoal_frame_store32(quoted + 12, inet_addr(PUBLIC));
	shoal_frame_store32(quoted + 16, inet_addr("192.0.2.1"));
	shoal_frame_store16(quoted + 10, shoal_checksum_ipv4_header(quoted));
	made_udp(&frame, PUBLIC_PORT, REMOTE_PORT, 0);
	made_finish(&frame);
	assert_int_equal(process(&world, &frame, NAT_OUTSIDE, &packet), SHOAL_TRANSMIT(NAT_INSIDE));
	assert_addresses(&packet, "203.0.113.1", "10.0.0.1");
	quoted = packet.frame + packet.inner_network_offset;
	assert_int_equal(shoal_frame_load32(quoted + 12), inet_addr("10.0.0.1"));
	assert_int_equal(shoal_frame_number16(quoted + 20), INSIDE_PORT);
	assert_int_equal(world.reverse.last_seen, 0);
	free(packet.frame);
	frame.bytes[40] ^= 1;
	assert_int_equal(process(&world, &frame, NAT_OUTSIDE, &packet), SHOAL_DROP(NAT_DROP_ICMP_CHECKSUM));
	free(packet.frame);
	end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(out_and_in),
		cmocka_unit_test(whole_burst),
		cmocka_unit_test(hairpin),
		cmocka_unit_test(tcp_states),
		cmocka_unit_test(data_after_time_wait),
		cmocka_unit_test(router),
		cmocka_unit_test(icmp_error),
	};

	return cmocka_run_group_tests_name("nat_burst", tests, NULL, NULL);
}
