/* SPDX-License-Identifier: BSD-3-Clause */
/* Flows, their order and their ends; sources and their public addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "io/traffic_flows.h"

#define IDLE UINT64_C(1000000)

static struct shoal_traffic_flow_key key(uint32_t source, uint32_t destination)
{
	return (struct shoal_traffic_flow_key){
		.source = { .address = source, .port = 1, .protocol = 17, .version = 4 },
		.destination = { .address = destination, .port = 2, .protocol = 17, .version = 4 }
	};
}

static struct shoal_traffic_flow *get(
	struct shoal_traffic_flows *table, uint32_t source, uint32_t destination, uint64_t now)
{
	struct shoal_traffic_flow_key wanted = key(source, destination);

	return shoal_traffic_flows_get(table, &wanted, now);
}

static void flows_are_found_and_bounded(void **state)
{
	struct shoal_traffic_flows table;
	struct shoal_traffic_flow *first, *second;

	assert_int_equal(shoal_traffic_flows_init(&table, 2, IDLE), 0);
	first = get(&table, 1, 1, 10);
	second = get(&table, 1, 2, 10);
	assert_ptr_equal(get(&table, 1, 1, 20), first);
	assert_ptr_not_equal(first, second);
	assert_null(get(&table, 1, 3, 20));
	assert_ptr_equal(shoal_traffic_flows_find(&table, first->number), first);
	assert_ptr_equal(shoal_traffic_flows_find(&table, second->number | SHOAL_FLOW_BACK), second);
	assert_null(shoal_traffic_flows_find(&table, 0));
	assert_null(shoal_traffic_flows_find(&table, first->number + (1u << table.index_bits)));
	shoal_traffic_flows_fini(&table);
}

static void idle_flows_end(void **state)
{
	struct shoal_traffic_flows table;
	uint32_t old;

	assert_int_equal(shoal_traffic_flows_init(&table, 100, IDLE), 0);
	for (uint32_t i = 0; i < 100; i++)
		assert_non_null(get(&table, i, 1, 1));
	old = get(&table, 5, 1, 1)->number;
	for (uint64_t now = 1; now < 3 * IDLE; now += IDLE / 50) {
		get(&table, 7, 1, now);
		shoal_traffic_flows_sweep(&table, now);
	}
	assert_int_equal(table.started, 100);
	assert_int_equal(table.ended, 99);
	assert_null(shoal_traffic_flows_find(&table, old));
	assert_int_not_equal(get(&table, 5, 1, 3 * IDLE)->number, old);
	shoal_traffic_flows_fini(&table);
}

static void a_flow_that_was_idle_is_a_new_one(void **state)
{
	struct shoal_traffic_flows table;
	uint32_t old;

	assert_int_equal(shoal_traffic_flows_init(&table, 1, IDLE), 0);
	old = get(&table, 1, 1, 1)->number;
	assert_int_equal(get(&table, 1, 1, IDLE + 1)->number, old);
	assert_int_not_equal(get(&table, 1, 1, 2 * IDLE + 2)->number, old);
	assert_int_equal(table.ended, 1);
	shoal_traffic_flows_reset(&table, IDLE);
	assert_null(shoal_traffic_flows_find(&table, old));
	assert_int_equal(table.started, 0);
	shoal_traffic_flows_fini(&table);
	assert_int_equal(shoal_traffic_flows_init(&table, 0, IDLE), -EINVAL);
	assert_int_equal(shoal_traffic_flows_init(&table, SHOAL_FLOWS_MAX + 1, IDLE), -EINVAL);
}

static void sequences(void **state)
{
	struct shoal_traffic_sequence sequence = { .next = 200 };
	uint32_t skipped;

	assert_int_equal(shoal_traffic_sequence_receive(&sequence, 0, &skipped), SHOAL_SEQUENCE_GOOD);
	assert_int_equal(skipped, 0);
	assert_int_equal(shoal_traffic_sequence_receive(&sequence, 3, &skipped), SHOAL_SEQUENCE_GOOD);
	assert_int_equal(skipped, 2);
	assert_int_equal(shoal_traffic_sequence_receive(&sequence, 1, &skipped), SHOAL_SEQUENCE_REORDERED);
	assert_int_equal(shoal_traffic_sequence_receive(&sequence, 1, &skipped), SHOAL_SEQUENCE_DUPLICATE);
	assert_int_equal(shoal_traffic_sequence_receive(&sequence, 3, &skipped), SHOAL_SEQUENCE_DUPLICATE);
	assert_int_equal(shoal_traffic_sequence_receive(&sequence, 0, &skipped), SHOAL_SEQUENCE_DUPLICATE);
	assert_int_equal(shoal_traffic_sequence_receive(&sequence, 66, &skipped), SHOAL_SEQUENCE_GOOD);
	assert_int_equal(skipped, 62);
	assert_int_equal(shoal_traffic_sequence_receive(&sequence, 3, &skipped), SHOAL_SEQUENCE_DUPLICATE);
	assert_int_equal(
		shoal_traffic_sequence_receive(&sequence, 2, &skipped), SHOAL_SEQUENCE_REORDERED); /* too far back */
	assert_int_equal(shoal_traffic_sequence_receive(&sequence, 199, &skipped), SHOAL_SEQUENCE_GOOD);
	assert_int_equal(shoal_traffic_sequence_receive(&sequence, 198, &skipped), SHOAL_SEQUENCE_REORDERED);
	assert_int_equal(shoal_traffic_sequence_receive(&sequence, 200, &skipped), SHOAL_SEQUENCE_UNSENT);
}

static void sequences_wrap(void **state)
{
	struct shoal_traffic_sequence sequence = { .next = 2, .expected = UINT32_MAX };
	uint32_t skipped;

	assert_int_equal(shoal_traffic_sequence_receive(&sequence, 0, &skipped), SHOAL_SEQUENCE_GOOD);
	assert_int_equal(skipped, 1);
	assert_int_equal(shoal_traffic_sequence_receive(&sequence, UINT32_MAX, &skipped), SHOAL_SEQUENCE_REORDERED);
	assert_int_equal(shoal_traffic_sequence_receive(&sequence, 2, &skipped), SHOAL_SEQUENCE_UNSENT);
}

static struct shoal_endpoint endpoint(uint32_t address, uint16_t port)
{
	return (struct shoal_endpoint){ .address = address, .port = port, .protocol = 17, .version = 4 };
}

static void mappings_are_kept_while_a_flow_lives(void **state)
{
	struct shoal_mapping_check *check = shoal_mapping_check_create(4);
	struct shoal_endpoint inside = endpoint(1, 1), other = endpoint(2, 1), one = endpoint(9, 1),
			      two = endpoint(9, 2);
	uint32_t source = shoal_mapping_check_get(check, &inside), second;

	assert_int_equal(shoal_mapping_check_get(check, &inside), source);
	second = shoal_mapping_check_get(check, &other);
	assert_int_not_equal(second, source);
	assert_int_equal(shoal_mapping_check_seen(check, source, &one), SHOAL_MAPPING_KEPT);
	assert_int_equal(shoal_mapping_check_seen(check, source, &one), SHOAL_MAPPING_KEPT);
	assert_int_equal(shoal_mapping_check_seen(check, second, &one), SHOAL_MAPPING_SHARED);
	assert_int_equal(shoal_mapping_check_seen(check, second, &two), SHOAL_MAPPING_KEPT);
	assert_int_equal(shoal_mapping_check_seen(check, second, &one), SHOAL_MAPPING_CHANGED);
	shoal_mapping_check_put(check, source);
	assert_int_equal(
		shoal_mapping_check_seen(check, second, &one), SHOAL_MAPPING_SHARED); /* one flow of it lives */
	shoal_mapping_check_put(check, source);
	assert_int_equal(shoal_mapping_check_seen(check, second, &one), SHOAL_MAPPING_KEPT);
	shoal_mapping_check_put(check, second);
	shoal_mapping_check_destroy(check);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flows_are_found_and_bounded),
		cmocka_unit_test(idle_flows_end),
		cmocka_unit_test(a_flow_that_was_idle_is_a_new_one),
		cmocka_unit_test(sequences),
		cmocka_unit_test(sequences_wrap),
		cmocka_unit_test(mappings_are_kept_while_a_flow_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
