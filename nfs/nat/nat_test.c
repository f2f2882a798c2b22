/* SPDX-License-Identifier: BSD-3-Clause */
/* The NAT in one real worker: flows, their end, and every reason to refuse one. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <cmocka.h>

#include "steering.h"
#include "world_flow.h"

#define MINUTE_MS 60000

static const char *const plain[] = { "public_addresses", "198.51.100.1-198.51.100.16", NULL };

static void flows_of_each_protocol(void **state)
{
	struct world *world = world_create(1, 1000, plain);
	struct endpoint udp = send_out(world, NAT_UDP, HOST, 5000, 0);
	struct endpoint tcp = send_out(world, NAT_TCP, HOST, 5000, 2);
	struct endpoint icmp = send_out(world, NAT_ICMP, HOST, 5000, 8);

	assert_true(send_in(world, NAT_UDP, udp, HOST, 5000, 0));
	assert_true(send_in(world, NAT_TCP, tcp, HOST, 5000, 0x12));
	assert_true(send_in(world, NAT_ICMP, icmp, HOST, 5000, 0));
	assert_int_equal(world_count(world, NAT_COUNT_CREATED), 3);
	/* Ports carry the host's steering slot, and all its flows have one public address. */
	assert_int_equal(udp.port & 255, nat_host_steering_slot(inet_addr(HOST)));
	assert_int_equal(tcp.port & 255, udp.port & 255);
	assert_int_equal(icmp.port & 255, udp.port & 255);
	assert_true(udp.address == tcp.address && udp.address == icmp.address);
	world_destroy(world);
}

static void mapping_is_endpoint_independent(void **state)
{
	struct world *world = world_create(1, 1000, plain);
	struct endpoint first = send_out(world, NAT_UDP, HOST, 5000, 0);
	struct made_frame frame;

	make(&frame, NAT_UDP, inet_addr(HOST), 5000, inet_addr("203.0.113.9"), 9999, 0);
	assert_int_equal(world_pass(world, &frame, NAT_INSIDE), NAT_OUTSIDE);
	assert_true(same(source_of(&frame), first));
	assert_false(same(send_out(world, NAT_UDP, HOST, 5001, 0), first));
	/* And a host that was never written to may answer (RFC 4787 §5). */
	make(&frame, NAT_UDP, inet_addr("203.0.113.77"), 1, first.address, first.port, 0);
	assert_int_equal(world_pass(world, &frame, NAT_OUTSIDE), NAT_INSIDE);
	world_destroy(world);
}

static void refuse(struct world *world, const struct made_frame *frame, uint8_t port, enum nat_drop drop)
{
	struct made_frame copy = *frame;
	uint64_t before = world_drops(world, drop);

	assert_int_equal(world_pass(world, &copy, port), -1);
	assert_int_equal(world_drops(world, drop), before + 1);
}

/* None of these leaves an object behind. */
static void refused_packets(void **state)
{
	struct world *world = world_create(1, 1000, plain);
	struct made_frame frame;

	make(&frame, NAT_UDP, inet_addr(SERVER), 80, inet_addr("198.51.100.1"), 40000, 0);
	refuse(world, &frame, NAT_OUTSIDE, NAT_DROP_NO_MAPPING);
	make(&frame, NAT_TCP, inet_addr(SERVER), 80, inet_addr("198.51.100.1"), 40000, 2);
	refuse(world, &frame, NAT_OUTSIDE, NAT_DROP_NO_MAPPING);
	make(&frame, NAT_UDP, inet_addr(SERVER), 80, inet_addr("198.51.100.17"), 40000, 0);
	refuse(world, &frame, NAT_OUTSIDE, NAT_DROP_NOT_PUBLIC);
	make(&frame, NAT_UDP, inet_addr("203.0.113.1"), 80, inet_addr(SERVER), 40000, 0);
	refuse(world, &frame, NAT_INSIDE, NAT_DROP_NOT_INSIDE);
	make(&frame, NAT_UDP, inet_addr(HOST), 80, inet_addr("239.1.1.1"), 40000, 0);
	refuse(world, &frame, NAT_INSIDE, NAT_DROP_DESTINATION);
	make(&frame, NAT_TCP, inet_addr(HOST), 80, inet_addr(SERVER), 40000, 4);
	refuse(world, &frame, NAT_INSIDE, NAT_DROP_NO_MAPPING); /* RST of nothing */
	make(&frame, NAT_ICMP, inet_addr(HOST), 80, inet_addr(SERVER), 0, 0);
	refuse(world, &frame, NAT_INSIDE, NAT_DROP_NO_MAPPING); /* an answer to nothing */
	make(&frame, NAT_ICMP, inet_addr(HOST), 80, inet_addr(SERVER), 0, 10);
	refuse(world, &frame, NAT_INSIDE, NAT_DROP_ICMP_TYPE);
	assert_empty(world);
	assert_int_equal(world_objects(world, &nat_pool_class), 0);
	world_destroy(world);
}

/* Later fragments whose ports the splitter knows find their mapping; they never make one. */
static void later_fragments(void **state)
{
	struct world *world = world_create(1, 1000, plain);
	struct made_frame frame;
	uint8_t port;

	for (unsigned round = 0; round < 2; round++) {
		struct shoal_packet *packet;

		make(&frame, NAT_UDP, inet_addr(HOST), 5000, inet_addr(SERVER), 80, 0);
		made_store16(frame.bytes + 20, 100);
		shoal_frame_store16(frame.bytes + 24, shoal_checksum_ipv4_header(frame.bytes + 14));
		packet = world_make_packet(&frame, NAT_INSIDE);
		packet->flags |= SHOAL_PACKET_PORTS_KNOWN;
		packet->tuple.source_port = htons(5000);
		packet->tuple.destination_port = htons(80);
		world_send_packet(world, 0, packet);
		world_run(world, 0);
		if (round == 0) {
			assert_false(world_receive(world, &frame, &port));
			assert_int_equal(world_drops(world, NAT_DROP_NO_MAPPING), 1);
			send_out(world, NAT_UDP, HOST, 5000, 0);
			continue;
		}
		assert_true(world_receive(world, &frame, &port));
		assert_int_equal(port, NAT_OUTSIDE);
		assert_int_equal(shoal_frame_load16(frame.bytes + 24), shoal_checksum_ipv4_header(frame.bytes + 14));
		assert_int_not_equal(shoal_frame_load32(frame.bytes + 26), inet_addr(HOST));
	}
	world_destroy(world);
}

/* Two hosts that know each other's public endpoints only. */
static void hairpin_both_ways(void **state)
{
	struct world *world = world_create(1, 1000, plain);
	struct endpoint a = send_out(world, NAT_UDP, HOST, 5000, 0);
	struct endpoint b = send_out(world, NAT_UDP, "10.9.9.9", 7000, 0);
	struct made_frame frame;

	make(&frame, NAT_UDP, inet_addr(HOST), 5000, b.address, b.port, 0);
	assert_int_equal(world_pass(world, &frame, NAT_INSIDE), NAT_INSIDE);
	assert_sound(&frame);
	assert_true(same(source_of(&frame), a));
	assert_true(same(destination_of(&frame), (struct endpoint){ inet_addr("10.9.9.9"), 7000 }));
	make(&frame, NAT_UDP, inet_addr("10.9.9.9"), 7000, a.address, a.port, 0);
	assert_int_equal(world_pass(world, &frame, NAT_INSIDE), NAT_INSIDE);
	assert_sound(&frame);
	assert_true(same(source_of(&frame), b));
	assert_true(same(destination_of(&frame), (struct endpoint){ inet_addr(HOST), 5000 }));
	assert_int_equal(world_count(world, NAT_COUNT_HAIRPINNED), 2);
	world_destroy(world);
}

/* A router outside says that a packet of the flow could not go on. */
static void icmp_error_comes_home(void **state)
{
	struct world *world = world_create(1, 1000, plain);
	struct endpoint public = send_out(world, NAT_UDP, HOST, 5000, 0);
	struct made_frame frame;
	uint8_t *network, *quoted;

	made_ethernet(&frame, SHOAL_ETHER_IPV4);
	network = made_ipv4(&frame, NAT_ICMP, 0, 0);
	shoal_frame_store32(network + 12, inet_addr("203.0.113.1"));
	shoal_frame_store32(network + 16, public.address);
	made_icmp(&frame, 3, 0);
	quoted = made_ipv4(&frame, NAT_UDP, 0, 58);
	shoal_frame_store32(quoted + 12, public.address);
	shoal_frame_store32(quoted + 16, inet_addr(SERVER));
	shoal_frame_store16(quoted + 10, shoal_checksum_ipv4_header(quoted));
	made_udp(&frame, public.port, 80, 0);
	made_finish(&frame);
	assert_int_equal(world_pass(world, &frame, NAT_OUTSIDE), NAT_INSIDE);
	assert_sound(&frame);
	assert_int_equal(shoal_frame_load32(frame.bytes + 30), inet_addr(HOST));
	assert_int_equal(shoal_frame_load32(frame.bytes + 54), inet_addr(HOST));
	assert_int_equal(shoal_frame_number16(frame.bytes + 62), 5000);
	world_destroy(world);
}

static void idle_mapping_ends(void **state)
{
	struct world *world = world_create(1, 1000, plain);
	struct endpoint public = send_out(world, NAT_UDP, HOST, 5000, 0);

	world_run(world, 4 * MINUTE_MS);
	assert_true(send_in(world, NAT_UDP, public, HOST, 5000, 0)); /* inbound alone keeps it */
	world_run(world, 4 * MINUTE_MS);
	assert_true(same(send_out(world, NAT_UDP, HOST, 5000, 0), public)); /* and so does outbound */
	world_run(world, 4 * MINUTE_MS + 55000);
	assert_int_equal(world_objects(world, &nat_mapping_class), 1);
	world_run(world, 10000);
	assert_empty(world);
	assert_int_equal(world_count(world, NAT_COUNT_EXPIRED), 1);
	assert_false(send_in(world, NAT_UDP, public, HOST, 5000, 0));
	/* The port is free, but rests. */
	assert_false(same(send_out(world, NAT_UDP, HOST, 5000, 0), public));
	world_destroy(world);
}

/* Idle times are longer than the timer wheel's turn of 131 s: an object is looked at once a turn, not all the time. */
static void timer_wheel_rests(void **state)
{
	struct world *world = world_create(1, 1000, plain);
	uint64_t busy;

	for (uint16_t flow = 0; flow < 100; flow++)
		send_out(world, NAT_UDP, HOST, (uint16_t)(5000 + flow), 0);
	world_run(world, 2 * MINUTE_MS + 15000);
	busy = world->members[0].worker.busy_polls;
	world_run(world, MINUTE_MS);
	assert_true(world->members[0].worker.busy_polls <= busy + 100);
	world_destroy(world);
}

static void connect_tcp(struct world *world, struct endpoint *public)
{
	*public = send_out(world, NAT_TCP, HOST, 5000, 2);
	assert_true(send_in(world, NAT_TCP, *public, HOST, 5000, 0x12));
	assert_true(same(send_out(world, NAT_TCP, HOST, 5000, 0x10), *public));
}

static void tcp_idle_times(void **state)
{
	struct world *world = world_create(1, 1000, plain);
	struct endpoint public = send_out(world, NAT_TCP, HOST, 5000, 2);

	world_run(world, 4 * MINUTE_MS + 5000); /* never answered */
	assert_empty(world);

	connect_tcp(world, &public);
	world_run(world, 123 * MINUTE_MS); /* established: idle for hours */
	assert_true(send_in(world, NAT_TCP, public, HOST, 5000, 0x10));
	assert_true(same(send_out(world, NAT_TCP, HOST, 5000, 0x11), public));
	assert_true(send_in(world, NAT_TCP, public, HOST, 5000, 0x11));
	assert_true(same(send_out(world, NAT_TCP, HOST, 5000, 0x10), public));
	world_run(world, 50000);
	assert_int_equal(world_objects(world, &nat_mapping_class), 1); /* TIME-WAIT */
	world_run(world, 3 * MINUTE_MS);
	assert_empty(world);

	connect_tcp(world, &public);
	assert_true(send_in(world, NAT_TCP, public, HOST, 5000, 0x14)); /* RST */
	world_run(world, 3 * MINUTE_MS);
	assert_int_equal(world_objects(world, &nat_mapping_class), 1);
	world_run(world, 4 * MINUTE_MS);
	assert_empty(world);
	world_destroy(world);
}

/* A connection that was there before the NAT: known as such once its packets have come from both sides. */
static void connection_without_beginning(void **state)
{
	struct world *world = world_create(1, 1000, plain);
	struct endpoint public = send_out(world, NAT_TCP, HOST, 5000, 0x10);

	assert_true(send_in(world, NAT_TCP, public, HOST, 5000, 0x10));
	world_run(world, 60 * MINUTE_MS);
	assert_true(send_in(world, NAT_TCP, public, HOST, 5000, 0x10));
	send_out(world, NAT_TCP, "10.1.2.4", 5000, 0x10); /* this one is never answered */
	world_run(world, 10 * MINUTE_MS);
	assert_int_equal(world_objects(world, &nat_mapping_class), 1);
	world_destroy(world);
}

/* Each steering slot has one port in a range of 256; a host may have its own and seven borrowed ones. */
static void exhaustion(void **state)
{
	const char *const settings[] = { "public_addresses", "198.51.100.1", "port_range", "50176-50431", NULL };
	struct world *world = world_create(1, 1000, settings);
	uint8_t slot = nat_host_steering_slot(inet_addr(HOST));
	struct made_frame frame;

	for (unsigned flow = 0; flow < 8; flow++)
		assert_int_equal(send_out(world, NAT_UDP, HOST, (uint16_t)(5000 + flow), 0).port,
			50176 + (uint8_t)(slot + flow));
	assert_int_equal(world_count(world, NAT_COUNT_BORROWED), 7);
	make(&frame, NAT_UDP, inet_addr(HOST), 6000, inet_addr(SERVER), 80, 0);
	refuse(world, &frame, NAT_INSIDE, NAT_DROP_PORT_EXHAUSTED);
	send_out(world, NAT_TCP, HOST, 6000, 2); /* another protocol has ports of its own */
	world_run(world, 6 * MINUTE_MS);
	assert_empty(world);
	assert_int_equal(send_out(world, NAT_UDP, HOST, 6000, 0).port, 50176 + slot);
	world_destroy(world);
}

/* A full table refuses new flows only, and leaks no port. */
static void full_table(void **state)
{
	struct world *world = world_create(1, 8, plain);
	struct endpoint first = send_out(world, NAT_UDP, HOST, 1, 0);
	struct made_frame frame;
	char reply[200], arguments[64];

	for (uint16_t flow = 2; flow <= 8; flow++)
		send_out(world, NAT_UDP, HOST, flow, 0);
	for (uint16_t flow = 9; flow < 40; flow++) {
		make(&frame, NAT_UDP, inet_addr(HOST), flow, inet_addr(SERVER), 80, 0);
		refuse(world, &frame, NAT_INSIDE, NAT_DROP_TABLE_FULL);
	}
	assert_true(send_in(world, NAT_UDP, first, HOST, 1, 0));
	world_run(world, 6 * MINUTE_MS);
	assert_empty(world);
	assert_int_equal(world_count(world, NAT_COUNT_EXPIRED), 8);
	world_destroy(world);

	world = world_create(1, 300, plain);
	first = send_out(world, NAT_UDP, HOST, 1, 0);
	for (uint16_t flow = 2; flow <= 5; flow++)
		send_out(world, NAT_UDP, HOST, flow, 0);
	snprintf(arguments, sizeof(arguments), "%s udp", inet_ntoa((struct in_addr){ first.address }));
	world_task(world, 0, shoal_nf.tasks[0].run, arguments, reply, sizeof(reply));
	snprintf(arguments, sizeof(arguments), "5 of 64512 ports taken; most in one steering slot: 5 (slot %u)",
		nat_host_steering_slot(inet_addr(HOST)));
	assert_string_equal(reply, arguments);
	world_destroy(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flows_of_each_protocol),
		cmocka_unit_test(mapping_is_endpoint_independent),
		cmocka_unit_test(refused_packets),
		cmocka_unit_test(later_fragments),
		cmocka_unit_test(hairpin_both_ways),
		cmocka_unit_test(icmp_error_comes_home),
		cmocka_unit_test(idle_mapping_ends),
		cmocka_unit_test(timer_wheel_rests),
		cmocka_unit_test(tcp_idle_times),
		cmocka_unit_test(connection_without_beginning),
		cmocka_unit_test(exhaustion),
		cmocka_unit_test(full_table),
	};

	return cmocka_run_group_tests_name("nat", tests, world_start, world_stop);
}
