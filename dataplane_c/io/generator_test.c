/* SPDX-License-Identifier: BSD-3-Clause */
/* What the sink says of packets that are lost, swapped, doubled, changed, or mapped wrongly on purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "io/generator_bench.h"

/* A test names what differs from the usual initializers. */
#pragma GCC diagnostic ignored "-Woverride-init"

static void a_good_wire_is_found_good(void **state)
{
	struct bench bench;
	struct shoal_generator_totals totals;
	struct shoal_generator_stream stream;

	bench_init(&bench, &bench_config);
	assert_int_equal(
		shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(bench_udp(18), FOUR_FLOWS)), 0);
	bench_start(&bench, 0.1);
	bench_pass(&bench, 110, 300);
	totals = bench_totals(&bench);
	stream = bench_stream(&bench, 0);
	assert_int_equal(totals.running, 0);
	assert_int_equal(stream.there.sent_packets, 100);
	assert_int_equal(stream.there.sent_bytes, 6400);
	assert_int_equal(stream.there.stamped_packets, 100);
	assert_int_equal(stream.there.received_packets, 100);
	assert_int_equal(bench_totals(&bench).missing, 0);
	assert_int_equal(totals.reordered + totals.duplicated + totals.corrupted, 0);
	assert_int_equal(totals.unstamped_sent + totals.unstamped_arrived + totals.unknown_flow, 0);
	assert_int_equal(totals.flows_started, 4);
	assert_int_equal(totals.mappings_checked, 100);
	assert_int_equal(totals.mapping_changed + totals.mapping_shared, 0);
	assert_int_equal(totals.slips, 0);
	bench_fini(&bench);
}

/* Ten packets of one flow, held back. */
static void ten_held(struct bench *bench)
{
	bench_init(bench, &bench_config);
	assert_int_equal(shoal_generator_add_stream(bench->generator, INSIDE, BENCH_STREAM(bench_udp(40))), 0);
	bench_start(bench, 0);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(bench_take(bench, INSIDE), 1);
		bench->now_ns += BENCH_MS;
	}
}

/* Two streams of the same flows: their packets count for each, and their order is the flow's. */
static void streams_share_flows(void **state)
{
	struct bench bench;

	bench_init(&bench, &bench_config);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE,
					 BENCH_STREAM(bench_udp(18), FOUR_FLOWS, .start_gap_us = i * 4000.0)),
			0);
	bench_start(&bench, 0.020);
	for (unsigned i = 0; i < 20; i++) {
		bench_take(&bench, INSIDE);
		if (i == 10)
			bench_deliver(&bench, 1, OUTSIDE); /* the other stream's packet of this flow goes first */
		bench_deliver_all(&bench, OUTSIDE);
		bench.now_ns += BENCH_MS;
	}
	assert_int_equal(bench_totals(&bench).flows_started, 4);
	assert_int_equal(bench_stream(&bench, 0).there.received_packets, 20);
	assert_int_equal(bench_stream(&bench, 1).there.received_packets, 16);
	assert_int_equal(bench_totals(&bench).reordered, 1);
	assert_int_equal(bench_totals(&bench).missing, 0);
	bench_fini(&bench);
}

static void lost_packets_are_missed(void **state)
{
	struct bench bench;
	struct shoal_generator_stream stream;

	ten_held(&bench);
	shoal_packet_free(bench.held[4]);
	memmove(bench.held + 4, bench.held + 5, 5 * sizeof(bench.held[0]));
	bench.held_count--;
	bench_deliver_all(&bench, OUTSIDE);
	stream = bench_stream(&bench, 0);
	assert_int_equal(stream.there.stamped_packets, 10);
	assert_int_equal(stream.there.received_packets, 9);
	assert_int_equal(bench_totals(&bench).missing, 1);
	assert_int_equal(stream.there.reordered, 0);
	bench_fini(&bench);
}

static void swapped_packets_are_seen(void **state)
{
	struct bench bench;
	struct shoal_generator_stream stream;

	ten_held(&bench);
	bench_deliver(&bench, 1, OUTSIDE);
	bench_deliver_all(&bench, OUTSIDE);
	stream = bench_stream(&bench, 0);
	assert_int_equal(stream.there.received_packets, 10);
	assert_int_equal(stream.there.reordered, 1);
	assert_int_equal(bench_totals(&bench).missing, 0);
	bench_fini(&bench);
}

static void doubled_packets_are_seen(void **state)
{
	struct bench bench;
	struct shoal_generator_stream stream;

	ten_held(&bench);
	bench.held[bench.held_count] = bench_copy(&bench, 3);
	bench.held_count++;
	bench_deliver_all(&bench, OUTSIDE);
	stream = bench_stream(&bench, 0);
	assert_int_equal(stream.there.received_packets, 10);
	assert_int_equal(stream.there.duplicated, 1);
	assert_int_equal(bench_totals(&bench).arrived_packets[OUTSIDE], 11);
	bench_fini(&bench);
}

/* A bit of the payload, of the stamp, of the addresses (with the checksums left as they were), of the ports. */
static void changed_packets_are_seen(void **state)
{
	static const unsigned places[] = { 45, 14 + 20 + 8 + 40 - 12, 30, 35 };

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct bench bench;

		ten_held(&bench);
		bench.held[2]->frame[places[i]] ^= 0x10;
		bench_deliver_all(&bench, OUTSIDE);
		assert_int_equal(bench_stream(&bench, 0).there.corrupted, 1);
		assert_int_equal(bench_totals(&bench).corrupted, 1);
		bench_fini(&bench);
	}
}

static void foreign_packets_are_told_apart(void **state)
{
	struct bench bench;

	ten_held(&bench);
	memset(bench.held[0]->frame + 42, 0x55, bench.held[0]->length - 42u);
	memset(bench.held[1]->frame, 0, 14);
	bench_deliver_all(&bench, OUTSIDE);
	assert_int_equal(bench_totals(&bench).unstamped_arrived, 2);
	assert_int_equal(bench_totals(&bench).corrupted, 0);
	assert_int_equal(bench_stream(&bench, 0).there.received_packets, 8);
	bench_fini(&bench);
}

static void no_room_for_a_stamp(void **state)
{
	struct bench bench;

	bench_init(&bench, &bench_config);
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(bench_udp(17))), 0);
	bench_start(&bench, 0.01);
	bench_take(&bench, INSIDE);
	assert_memory_equal(bench.held[0]->frame, bench_udp(17)->bytes, bench_udp(17)->length);
	bench_deliver_all(&bench, OUTSIDE);
	assert_int_equal(bench_totals(&bench).unstamped_sent, 1);
	assert_int_equal(bench_totals(&bench).unstamped_arrived, 1);
	bench_fini(&bench);
}

static void stamps_keep_checksums_right(void **state)
{
	struct made_frame without = *bench_udp(31), tcp;
	struct bench bench;

	shoal_frame_store16(without.bytes + without.transport + 6, 0);
	made_ethernet(&tcp, SHOAL_ETHER_IPV4);
	made_ipv4(&tcp, SHOAL_PROTOCOL_TCP, 4, 0);
	made_tcp(&tcp, 1, 2, 8);
	made_append(&tcp, 33);
	made_finish(&tcp);
	bench_init(&bench, &bench_config);
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(&without)), 0);
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(&tcp)), 0);
	bench_start(&bench, 0.01);
	bench_pass(&bench, 20, 0);
	assert_int_equal(bench_totals(&bench).corrupted, 0);
	assert_int_equal(bench_stream(&bench, 0).there.received_packets, 10);
	assert_int_equal(bench_stream(&bench, 1).there.received_packets, 10);
	bench_fini(&bench);
}

static void wrong_mappings_are_seen(void **state)
{
	struct bench bench;

	bench_init(&bench, &bench_config);
	assert_int_equal(
		shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(bench_udp(40), FOUR_FLOWS)), 0);
	bench_start(&bench, 0);
	for (unsigned i = 0; i < 12; i++) {
		uint8_t *frame;
		uint16_t port;

		assert_int_equal(bench_take(&bench, INSIDE), 1);
		frame = bench.held[0]->frame;
		/* A translator: 10.0.0.1:p becomes 10.9.0.1:p+1000, but 1026 shares 1025's (packets 2, 6, 10), and 1024 changes
		 * once (packet 8). */
		port = shoal_frame_number16(frame + 34);
		port = (uint16_t)(port == 1026 ? 2025 : i == 8 ? 4000 : port + 1000);
		frame[27] = 9;
		made_store16(frame + 34, port);
		shoal_frame_store16(frame + 24, shoal_checksum_ipv4_header(frame + 14));
		shoal_frame_store16(
			frame + 40, shoal_checksum_transport(frame + 14, frame + 34, 48, SHOAL_PROTOCOL_UDP));
		bench_deliver_all(&bench, OUTSIDE);
		bench.now_ns += BENCH_MS;
	}
	assert_int_equal(bench_totals(&bench).mapping_shared, 3);
	assert_int_equal(bench_totals(&bench).mapping_changed, 1);
	assert_int_equal(bench_totals(&bench).corrupted, 0);
	bench_fini(&bench);
}

static void more_flows_than_room(void **state)
{
	struct shoal_generator_config config = bench_config;
	struct bench bench;

	config.flows_max = 3;
	bench_init(&bench, &config);
	assert_int_equal(
		shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(bench_udp(40), FOUR_FLOWS)), 0);
	bench_start(&bench, 0);
	bench_pass(&bench, 8, 0);
	assert_int_equal(bench_totals(&bench).flows_live, 3);
	assert_int_equal(bench_totals(&bench).flows_refused, 2);
	assert_int_equal(bench_totals(&bench).unstamped_sent, 2);
	bench_fini(&bench);
}

static void latency_is_the_wires(void **state)
{
	struct bench bench;
	struct shoal_latency latency;
	struct shoal_traffic_row rows[64];
	long n;

	bench_init(&bench, &bench_config);
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(bench_udp(40))), 0);
	bench_start(&bench, 0);
	bench_pass(&bench, 105, 30000);
	shoal_generator_latency(bench.generator, &latency);
	assert_int_equal(latency.count, 105);
	assert_int_equal(latency.min_ns, 30000);
	assert_int_equal(latency.max_ns, 30000);
	n = shoal_generator_drain(bench.generator, rows, 64);
	assert_int_equal(n, 10);
	assert_int_equal(rows[3].sent_packets, 10);
	assert_int_equal(rows[3].received_packets, 10);
	assert_int_equal(rows[3].latency_count, 10);
	assert_int_equal(rows[3].p99_ns, 30000);
	assert_int_equal(rows[3].end_ns, 40 * BENCH_MS);
	assert_int_equal(shoal_generator_drain(bench.generator, rows, 64), 0);
	bench_fini(&bench);
}

static void warming_up_is_left_out(void **state)
{
	struct shoal_packet_group group;
	struct shoal_latency latency;
	struct bench bench;

	bench_init(&bench, &bench_config);
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(bench_udp(40))), 0);
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE,
				 BENCH_STREAM(bench_udp(40), .group_kind = SHOAL_GROUP_LATENCY)),
		0);
	bench.run.warm_up_ms = 10;
	bench_start(&bench, 0);
	bench_pass(&bench, 10, 500000);
	bench_pass(&bench, 5, 3000);
	shoal_generator_latency(bench.generator, &latency);
	assert_int_equal(latency.count, 5);
	assert_int_equal(latency.max_ns, 3000);
	assert_int_equal(shoal_generator_packet_group(bench.generator, 0, &group), 0);
	assert_int_equal(group.latency.count, 5);
	assert_int_equal(bench_stream(&bench, 0).there.received_packets, 15);
	bench_fini(&bench);
}

static void rows_that_nobody_drains_are_counted(void **state)
{
	struct shoal_generator_config config = bench_config;
	struct shoal_traffic_row rows[8];
	struct bench bench;

	config.rows_max = 3;
	bench_init(&bench, &config);
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(bench_udp(40))), 0);
	bench_start(&bench, 0);
	bench_pass(&bench, 61, 0);
	assert_int_equal(bench_totals(&bench).rows_lost, 3);
	assert_int_equal(shoal_generator_drain(bench.generator, rows, 8), 3);
	bench_fini(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_wire_is_found_good),
		cmocka_unit_test(streams_share_flows),
		cmocka_unit_test(lost_packets_are_missed),
		cmocka_unit_test(swapped_packets_are_seen),
		cmocka_unit_test(doubled_packets_are_seen),
		cmocka_unit_test(changed_packets_are_seen),
		cmocka_unit_test(foreign_packets_are_told_apart),
		cmocka_unit_test(no_room_for_a_stamp),
		cmocka_unit_test(stamps_keep_checksums_right),
		cmocka_unit_test(wrong_mappings_are_seen),
		cmocka_unit_test(more_flows_than_room),
		cmocka_unit_test(latency_is_the_wires),
		cmocka_unit_test(warming_up_is_left_out),
		cmocka_unit_test(rows_that_nobody_drains_are_counted),
	};

	return cmocka_run_group_tests(tests, bench_eal_start, bench_eal_stop);
}
