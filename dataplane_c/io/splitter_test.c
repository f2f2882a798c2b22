/* SPDX-License-Identifier: BSD-3-Clause */
/* The splitter's steady state and its fragments, case by case, over real packet rings. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/splitter_world.h"

#define PARKED_MAX 512
#define FRAGMENTS_MAX 64

static struct world world;

static int create(void **state)
{
	(void)state;
	world_create(&world, 1, PARKED_MAX, FRAGMENTS_MAX);
	return 0;
}

static int destroy(void **state)
{
	(void)state;
	world_destroy(&world);
	return 0;
}

static uint64_t drops(enum shoal_splitter_drop reason)
{
	return world.splitter->drops[reason];
}

static void one_member(void)
{
	world_attach(&world, 0);
	world_table(&world, (const uint8_t[]){ 0 }, 1);
}

static void two_members(void)
{
	world_attach(&world, 0);
	world_attach(&world, 1);
	world_table(&world, (const uint8_t[]){ 0 }, 1);
}

static void feed_many(unsigned flow, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		world_feed(&world, flow);
}

/* --- Steady state ------------------------------------------------------------------------------------------------- */

static void test_packets_cross(void **state)
{
	(void)state;
	world_attach(&world, 0);
	world_attach(&world, 3);
	world_table(&world, (const uint8_t[]){ 0, 3 }, 2);
	for (unsigned flow = 0; flow < WORLD_FLOWS; flow++)
		feed_many(flow, 10);
	world_settle(&world);
	assert_int_equal(world.left, WORLD_FLOWS * 10);
	assert_int_equal(world.left_by[WORLD_OUTSIDE], WORLD_FLOWS * 10 / 4);
	assert_int_equal(world.splitter->reentered, WORLD_FLOWS * 10 / 4);
	assert_true(world.splitter->members[0].sent > 0 && world.splitter->members[3].sent > 0);
	assert_int_equal(world.splitter->members[0].sent, world.splitter->members[0].returned);
}

static void test_steering_follows_the_table(void **state)
{
	(void)state;
	two_members();
	assert_int_equal(world_redirect(&world, world_slot_of(0), 1, 1), 0);
	world_settle(&world);
	feed_many(0, 5);
	feed_many(4, 7);
	world_settle(&world);
	assert_int_equal(world.splitter->members[0].sent, 7);
	assert_int_equal(world.splitter->members[1].sent, 5);
}

static void test_drops_without_table_and_port(void **state)
{
	(void)state;
	feed_many(0, 3);
	world_poll(&world);
	assert_int_equal(drops(SHOAL_SPLITTER_NO_TABLE), 3);
	one_member();
	world.splitter->ports[WORLD_OUTSIDE].port = NULL;
	feed_many(0, 2);
	world_settle(&world);
	assert_int_equal(drops(SHOAL_SPLITTER_NO_PORT), 2);
	world.splitter->ports[WORLD_OUTSIDE].port = &world.ports[WORLD_OUTSIDE].port;
}

static void test_what_cannot_be_parsed_is_named(void **state)
{
	static const uint8_t arp[42] = { [12] = 8, [13] = 6 };

	(void)state;
	one_member();
	world_feed_raw(&world, 0, arp, sizeof(arp));
	world_feed_raw(&world, 1, arp, 13);
	world_settle(&world);
	assert_int_equal(world.splitter->parse_drops[SHOAL_PARSE_NOT_IP], 1);
	assert_int_equal(world.splitter->parse_drops[SHOAL_PARSE_RUNT], 1);
}

static void test_a_stalled_member_costs_its_own_slots_only(void **state)
{
	(void)state;
	world_attach(&world, 0);
	world_attach(&world, 1);
	world_table(&world, (const uint8_t[]){ 0, 1 }, 2);
	/* flow 0 has slot 0 (member 0), flow 1 slot 37 (member 1): 64 KiB hold fewer than 1,000 of these packets */
	for (unsigned i = 0; i < 1200; i++) {
		world_feed(&world, 0);
		world_feed(&world, 1);
		world_poll(&world);
		world_step(&world, 1, 4, false);
	}
	assert_true(drops(SHOAL_SPLITTER_INSTANCE_RING_FULL) > 0);
	assert_int_equal(world.splitter->members[0].ring_full, drops(SHOAL_SPLITTER_INSTANCE_RING_FULL));
	assert_int_equal(world.splitter->members[1].ring_full, 0);
	world_settle(&world);
	assert_int_equal(world.left, 2400 - drops(SHOAL_SPLITTER_INSTANCE_RING_FULL));
}

static void test_a_port_that_takes_nothing_stops_no_other(void **state)
{
	(void)state;
	one_member();
	world.ports[WORLD_OUTSIDE].room = 100;
	for (unsigned i = 0; i < 100; i++) {
		feed_many(0, 10); /* leave at the outside */
		feed_many(1, 10); /* leave at the inside */
		world_poll(&world);
		world_step(&world, 0, 32, false);
	}
	world_settle(&world);
	assert_int_equal(world.left_by[WORLD_INSIDE], 1000);
	assert_int_equal(world.left_by[WORLD_OUTSIDE], 100);
	assert_int_equal(drops(SHOAL_SPLITTER_PORT_FULL), 1000 - 100 - SHOAL_SPLITTER_OUTPUT_MAX);
	world.ports[WORLD_OUTSIDE].room = UINT32_MAX;
	world_settle(&world);
	assert_int_equal(world.left_by[WORLD_OUTSIDE], 100 + SHOAL_SPLITTER_OUTPUT_MAX);
}

/* --- Fragments ---------------------------------------------------------------------------------------------------- */

static void test_fragments_in_all_orders(void **state)
{
	static const enum world_fragment orders[6][3] = { { WORLD_FIRST, WORLD_MIDDLE, WORLD_LAST },
		{ WORLD_FIRST, WORLD_LAST, WORLD_MIDDLE }, { WORLD_MIDDLE, WORLD_FIRST, WORLD_LAST },
		{ WORLD_MIDDLE, WORLD_LAST, WORLD_FIRST }, { WORLD_LAST, WORLD_FIRST, WORLD_MIDDLE },
		{ WORLD_LAST, WORLD_MIDDLE, WORLD_FIRST } };

	(void)state;
	two_members();
	assert_int_equal(world_redirect(&world, world_slot_of(5), 1, 1), 0);
	world_settle(&world);
	/* Flow 0 crosses, flow 2 enters again, flow 5 comes from outside and is at member 1. */
	for (unsigned i = 0; i < 18; i++) {
		static const unsigned flows[] = { 0, 2, 5 };
		struct world_datagram datagram = { 0 };

		for (unsigned j = 0; j < 3; j++) {
			world_feed_fragment(&world, flows[i % 3], (uint16_t)(100 + i), &datagram, orders[i / 3][j]);
			world_poll(&world);
		}
	}
	world_settle(&world);
	assert_int_equal(world.left, 54);
	assert_int_equal(world.splitter->members[1].sent, 18);
	assert_int_equal(shoal_fragment_table_held(world.splitter->fragments), 0);
}

static void test_fragments_without_first_time_out(void **state)
{
	struct world_datagram datagram = { 0 };

	(void)state;
	one_member();
	world_feed_fragment(&world, 0, 7, &datagram, WORLD_LAST);
	world_feed_fragment(&world, 0, 7, &datagram, WORLD_MIDDLE);
	world_poll(&world);
	world.now_ns += SHOAL_FRAGMENT_LIFE_NS - 1;
	world_poll(&world);
	assert_int_equal(drops(SHOAL_SPLITTER_FRAGMENT_TIMEOUT), 0);
	world.now_ns++;
	world_poll(&world);
	assert_int_equal(drops(SHOAL_SPLITTER_FRAGMENT_TIMEOUT), 2);
	datagram = (struct world_datagram){ 0 };
	world_feed_fragment(&world, 0, 7, &datagram, WORLD_FIRST);
	world_settle(&world);
	assert_int_equal(world.left, 1);
}

static void test_fragments_are_bounded(void **state)
{
	struct world_datagram datagrams[FRAGMENTS_MAX] = { 0 };

	(void)state;
	one_member();
	for (unsigned i = 0; i < FRAGMENTS_MAX; i++)
		world_feed_fragment(&world, 0, (uint16_t)i, &datagrams[i], WORLD_LAST);
	world_settle(&world);
	/* Half of the table is left for datagrams whose first fragment has come. */
	assert_int_equal(drops(SHOAL_SPLITTER_FRAGMENT_TABLE_FULL), FRAGMENTS_MAX / 2);
	for (unsigned i = 0; i < FRAGMENTS_MAX / 2; i++)
		for (unsigned more = 0; more < 3; more++)
			world_feed_fragment(&world, 0, (uint16_t)i, &datagrams[i], WORLD_MIDDLE);
	world_settle(&world);
	assert_int_equal(shoal_fragment_table_held(world.splitter->fragments), FRAGMENTS_MAX);
	assert_int_equal(drops(SHOAL_SPLITTER_FRAGMENT_HELD_OVERFLOW), FRAGMENTS_MAX);
	for (unsigned i = 0; i < FRAGMENTS_MAX; i++)
		world_feed_fragment(&world, 0, (uint16_t)i, &datagrams[i], WORLD_FIRST);
	world_settle(&world);
	assert_int_equal(world.left, 2 * FRAGMENTS_MAX);
}

static void test_held_fragments_keep_order_across_a_redirect(void **state)
{
	struct world_datagram datagram = { 0 };

	(void)state;
	two_members();
	world_feed(&world, 0);
	world_feed_fragment(&world, 0, 9, &datagram, WORLD_LAST);
	world_poll(&world);
	assert_int_equal(world_redirect(&world, world_slot_of(0), 1, 1), 0);
	world_feed(&world, 0);
	world_feed_fragment(&world, 0, 9, &datagram, WORLD_FIRST);
	world_feed_fragment(&world, 0, 9, &datagram, WORLD_MIDDLE);
	world_poll(&world);
	assert_int_equal(world.splitter->steering.parked, 4);
	world_settle(&world);
	assert_int_equal(world.left, 5);
	assert_int_equal(world.splitter->members[1].sent, 4);
}

/* --- Bad peers, figures ------------------------------------------------------------------------------------------- */

/* The side of the ring that an instance has, written by somebody who is none. */
static void spoil(uint16_t member, const void *bytes, uint32_t length)
{
	int descriptor = shoal_ring_pair_create(world.ring_bytes);
	struct shoal_packet_ring *ring = shoal_packet_ring_create(descriptor, 0, world_pool);
	struct shoal_ring_pair raw;

	assert_non_null(ring);
	assert_int_equal(shoal_ring_pair_open(&raw, descriptor, 1), 0);
	close(descriptor);
	assert_int_equal(shoal_splitter_member_add(world.splitter, member, ring), 0);
	memcpy(shoal_ring_reserve(&raw.out, length), bytes, length);
	shoal_ring_push(&raw.out, length);
	shoal_ring_flush(&raw.out);
	shoal_ring_pair_close(&raw);
}

static void test_malformed_records_are_counted(void **state)
{
	static const struct shoal_packet_record record = { .kind = SHOAL_RECORD_PACKET, .port = SHOAL_NF_PORTS_MAX };
	struct shoal_splitter_balance balance;
	uint8_t bytes[sizeof(record) + 60] = { 0 };

	(void)state;
	memcpy(bytes, &record, sizeof(record));
	spoil(0, bytes, sizeof(bytes));
	shoal_splitter_poll(world.splitter, 0);
	shoal_splitter_balance_read(world.splitter, &balance);
	assert_int_equal(balance.dropped, 1);
	assert_int_equal(balance.at_members, -1); /* it put out what it was not given */
}

static void test_reentry_at_a_port_that_the_nf_lacks(void **state)
{
	static const struct shoal_packet_record record = {
		.kind = SHOAL_RECORD_PACKET, .port = WORLD_PORTS, .flags = SHOAL_RECORD_REENTER
	};
	uint8_t bytes[sizeof(record) + 60] = { 0 };

	(void)state;
	memcpy(bytes, &record, sizeof(record));
	spoil(0, bytes, sizeof(bytes));
	shoal_splitter_poll(world.splitter, 0);
	assert_int_equal(drops(SHOAL_SPLITTER_NO_PORT), 1);
}

/* Of a histogram the row of that bound, else that of the label's value. */
static uint64_t row(const struct shoal_statistic *rows, long n, const char *name, const char *which)
{
	for (long i = 0; i < n; i++)
		if (strcmp(rows[i].name, name) == 0 &&
			strcmp(rows[i].bound[0] != 0 ? rows[i].bound : rows[i].label_value, which) == 0)
			return rows[i].value;
	fail_msg("no row %s %s", name, which);
	return 0;
}

static void test_rows_tell_the_books(void **state)
{
	static struct shoal_statistic rows[512];
	struct shoal_statistics statistics = { .rows = rows, .room = 512 };

	(void)state;
	two_members();
	assert_int_equal(world_redirect(&world, world_slot_of(0), 1, 1), 0);
	feed_many(0, 9);
	feed_many(3, 5);
	world_settle(&world);
	world_feed_raw(&world, 0, (const uint8_t[14]){ 0 }, 14);
	world_settle(&world);
	shoal_splitter_rows(world.splitter, &statistics);
	assert_true(statistics.count < 512);
	assert_int_equal(row(rows, statistics.count, "splitter_received_packets_total", ""), 15);
	assert_int_equal(row(rows, statistics.count, "splitter_transmitted_packets_total", ""), 14);
	assert_int_equal(row(rows, statistics.count, "splitter_drops_total", "not_ip"), 1);
	assert_int_equal(row(rows, statistics.count, "splitter_drops_total", "parked_overflow"), 0);
	assert_int_equal(row(rows, statistics.count, "splitter_member_sent_packets_total", "1"), 9);
	assert_int_equal(row(rows, statistics.count, "splitter_member_returned_packets_total", "0"), 5);
	assert_int_equal(row(rows, statistics.count, "splitter_port_transmitted_packets_total", "outside"), 9);
	assert_int_equal(row(rows, statistics.count, "splitter_parked_packets_most", ""), 9);
	assert_int_equal(row(rows, statistics.count, "splitter_park_seconds", "+Inf"), 9);
	assert_int_equal(row(rows, statistics.count, "splitter_redirect_seconds", "+Inf"), 1);
}

static void test_init_refuses(void **state)
{
	struct shoal_splitter *splitter = malloc(sizeof(*splitter));
	struct shoal_splitter_setup setup = { .nf = &world_nf, .parked_max = 1, .fragments_max = 2 };
	struct shoal_nf incomplete = world_nf;

	(void)state;
	assert_non_null(splitter);
	setup.parked_max = 0;
	assert_int_equal(shoal_splitter_init(splitter, &setup), -EINVAL);
	setup.parked_max = 1;
	setup.fragments_max = 1;
	assert_int_equal(shoal_splitter_init(splitter, &setup), -EINVAL);
	setup.fragments_max = 2;
	incomplete.packet = NULL;
	setup.nf = &incomplete;
	assert_int_equal(shoal_splitter_init(splitter, &setup), -EINVAL);
	free(splitter);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, create, destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_packets_cross),
		TEST(test_steering_follows_the_table),
		TEST(test_drops_without_table_and_port),
		TEST(test_what_cannot_be_parsed_is_named),
		TEST(test_a_stalled_member_costs_its_own_slots_only),
		TEST(test_a_port_that_takes_nothing_stops_no_other),
		TEST(test_fragments_in_all_orders),
		TEST(test_fragments_without_first_time_out),
		TEST(test_fragments_are_bounded),
		TEST(test_held_fragments_keep_order_across_a_redirect),
		TEST(test_malformed_records_are_counted),
		TEST(test_reentry_at_a_port_that_the_nf_lacks),
		TEST(test_rows_tell_the_books),
		cmocka_unit_test(test_init_refuses),
	};

	return cmocka_run_group_tests(tests, world_start, world_stop);
}
