/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "io/fragment_table.h"

#define ENTRIES 8

static struct shoal_fragment_table *table;
static struct shoal_packet packets[256];

static int begin(void **state)
{
	struct shoal_fragment_table_config config = { .entries_max = ENTRIES, .held_max = 100, .hash_seed = 5 };

	(void)state;
	memset(packets, 0, sizeof(packets));
	table = shoal_fragment_table_create(&config);
	return table == NULL ? -1 : 0;
}

static int end(void **state)
{
	(void)state;
	/* These packets lie in no pool: what is held is taken out first. */
	(void)shoal_fragment_table_expire(table, UINT32_MAX, UINT64_MAX);
	shoal_fragment_table_destroy(table);
	return 0;
}

static struct shoal_fragment_key key(uint32_t identification)
{
	return (struct shoal_fragment_key){ .source = { 10, 0, 0, 1 }, .identification = identification, .version = 4 };
}

static struct shoal_packet *first(uint32_t identification, unsigned packet, uint16_t port, uint64_t now_ns)
{
	struct shoal_fragment_key name = key(identification);

	packets[packet].tuple.source_port = port;
	packets[packet].tuple.destination_port = (uint16_t)(port + 1);
	packets[packet].steering_slot = (uint8_t)port;
	return shoal_fragment_table_first(table, &name, &packets[packet], now_ns);
}

static enum shoal_fragment_answer later(uint32_t identification, unsigned packet, uint64_t now_ns)
{
	struct shoal_fragment_key name = key(identification);

	return shoal_fragment_table_later(table, &name, &packets[packet], now_ns);
}

static void expect_flow(const struct shoal_packet *packet, uint16_t port)
{
	assert_int_equal(packet->tuple.source_port, port);
	assert_int_equal(packet->tuple.destination_port, port + 1);
	assert_int_equal(packet->steering_slot, (uint8_t)port);
	assert_true(packet->flags & SHOAL_PACKET_PORTS_KNOWN);
}

static void test_later_ones_follow_the_first(void **state)
{
	(void)state;
	assert_null(first(1, 0, 300, 0));
	assert_null(first(2, 1, 400, 0));
	assert_int_equal(later(1, 2, 1), SHOAL_FRAGMENT_KNOWN);
	assert_int_equal(later(2, 3, 1), SHOAL_FRAGMENT_KNOWN);
	expect_flow(&packets[2], 300);
	expect_flow(&packets[3], 400);
	assert_int_equal(shoal_fragment_table_entries(table), 2);
}

static void test_early_ones_come_out_in_order(void **state)
{
	struct shoal_packet *held;

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(later(1, i, 0), SHOAL_FRAGMENT_HELD);
	assert_int_equal(shoal_fragment_table_held(table), 5);
	held = first(1, 9, 300, 1);
	for (unsigned i = 0; i < 5; i++, held = held->next) {
		assert_ptr_equal(held, &packets[i]);
		expect_flow(held, 300);
	}
	assert_null(held);
	assert_int_equal(shoal_fragment_table_held(table), 0);
	assert_int_equal(later(1, 10, 2), SHOAL_FRAGMENT_KNOWN);
}

static void test_keys_differ_in_every_field(void **state)
{
	static const size_t offsets[] = { offsetof(struct shoal_fragment_key, source[15]),
		offsetof(struct shoal_fragment_key, destination[0]),
		offsetof(struct shoal_fragment_key, identification), offsetof(struct shoal_fragment_key, protocol),
		offsetof(struct shoal_fragment_key, version), offsetof(struct shoal_fragment_key, port) };

	(void)state;
	assert_null(first(1, 0, 300, 0));
	for (unsigned i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		struct shoal_fragment_key other = key(1);

		((uint8_t *)&other)[offsets[i]] ^= 0x80;
		assert_int_equal(shoal_fragment_table_later(table, &other, &packets[1 + i], 0), SHOAL_FRAGMENT_HELD);
		assert_ptr_equal(shoal_fragment_table_first(table, &other, &packets[20], 0), &packets[1 + i]);
	}
}

static void test_life_ends(void **state)
{
	(void)state;
	assert_null(first(1, 0, 300, 10));
	assert_int_equal(later(2, 1, 20), SHOAL_FRAGMENT_HELD);
	assert_int_equal(later(2, 2, 30), SHOAL_FRAGMENT_HELD); /* does not lengthen it */
	assert_null(shoal_fragment_table_expire(table, 10, 10 + SHOAL_FRAGMENT_LIFE_NS - 1));
	assert_int_equal(shoal_fragment_table_entries(table), 2);
	assert_null(shoal_fragment_table_expire(table, 10, 10 + SHOAL_FRAGMENT_LIFE_NS));
	assert_int_equal(shoal_fragment_table_entries(table), 1);
	assert_int_equal(later(1, 3, 10 + SHOAL_FRAGMENT_LIFE_NS), SHOAL_FRAGMENT_HELD);
	assert_ptr_equal(shoal_fragment_table_expire(table, 10, 20 + SHOAL_FRAGMENT_LIFE_NS), &packets[1]);
	assert_ptr_equal(packets[1].next, &packets[2]);
	assert_null(packets[2].next);
	assert_int_equal(shoal_fragment_table_held(table), 1);
}

static void test_expiry_keeps_to_its_budget(void **state)
{
	unsigned dropped = 0;

	(void)state;
	assert_null(first(10, 20, 300, 0));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(later(i, i, i), SHOAL_FRAGMENT_HELD);
	for (struct shoal_packet *packet = shoal_fragment_table_expire(table, 3, UINT64_MAX); packet != NULL;
		packet = packet->next)
		assert_ptr_equal(packet, &packets[dropped++]);
	assert_int_equal(dropped, 2);
	assert_int_equal(shoal_fragment_table_entries(table), 2);
}

static void test_reused_identification(void **state)
{
	(void)state;
	assert_null(first(1, 0, 300, 0));
	assert_null(first(1, 1, 400, SHOAL_FRAGMENT_LIFE_NS - 1));
	assert_null(shoal_fragment_table_expire(table, 10, SHOAL_FRAGMENT_LIFE_NS));
	assert_int_equal(later(1, 2, SHOAL_FRAGMENT_LIFE_NS), SHOAL_FRAGMENT_KNOWN);
	expect_flow(&packets[2], 400);
}

static void test_the_oldest_known_one_makes_room(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ENTRIES + 2; i++)
		assert_null(first(i, i, (uint16_t)(100 + i), i));
	assert_int_equal(shoal_fragment_table_entries(table), ENTRIES);
	assert_int_equal(later(2, 20, 50), SHOAL_FRAGMENT_KNOWN);
	assert_int_equal(later(1, 21, 50), SHOAL_FRAGMENT_HELD);
}

static void test_bounds(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ENTRIES / 2; i++)
		assert_int_equal(later(i, i, 0), SHOAL_FRAGMENT_HELD);
	assert_int_equal(later(99, 10, 0), SHOAL_FRAGMENT_TABLE_FULL);
	for (unsigned i = 1; i < SHOAL_FRAGMENT_HELD_PER_DATAGRAM; i++)
		assert_int_equal(later(0, 10 + i, 0), SHOAL_FRAGMENT_HELD);
	assert_int_equal(later(0, 100, 0), SHOAL_FRAGMENT_HELD_FULL);
	while (shoal_fragment_table_held(table) < 100)
		assert_int_equal(later(1, 101 + shoal_fragment_table_held(table), 0), SHOAL_FRAGMENT_HELD);
	assert_int_equal(later(2, 250, 0), SHOAL_FRAGMENT_HELD_FULL);
	/* Those that wait are never pushed out by first ones. */
	for (unsigned i = 0; i < 2 * ENTRIES; i++)
		assert_null(first(1000 + i, 251, 300, 0));
	assert_ptr_equal(first(0, 252, 300, 0), &packets[0]);
}

static void test_create_refuses(void **state)
{
	struct shoal_fragment_table_config config = { .entries_max = 1, .held_max = 2 };

	(void)state;
	assert_null(shoal_fragment_table_create(&config));
	assert_int_equal(errno, EINVAL);
	config.entries_max = 2;
	config.held_max = 1;
	assert_null(shoal_fragment_table_create(&config));
	assert_int_equal(errno, EINVAL);
	shoal_fragment_table_destroy(NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_later_ones_follow_the_first),
		TEST(test_early_ones_come_out_in_order),
		TEST(test_keys_differ_in_every_field),
		TEST(test_life_ends),
		TEST(test_expiry_keeps_to_its_budget),
		TEST(test_reused_identification),
		TEST(test_the_oldest_known_one_makes_room),
		TEST(test_bounds),
		cmocka_unit_test(test_create_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
