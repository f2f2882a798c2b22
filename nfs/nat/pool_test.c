/* SPDX-License-Identifier: BSD-3-Clause */
/* The pool's methods, called as the object space calls them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "nat.h"

static struct nat_pool_taken take(
	const struct nat_pool_key *key, struct nat_pool *pool, uint16_t lowest, uint16_t highest)
{
	struct nat_pool_take argument = { lowest, highest };
	struct nat_pool_taken result;

	memset(&result, 0xff, sizeof(result));
	nat_pool_class.methods[NAT_POOL_TAKE].apply(NULL, key, pool, &argument, &result);
	return result;
}

static void give_back(const struct nat_pool_key *key, struct nat_pool *pool, uint16_t port)
{
	struct nat_pool_give_back argument = { port };

	nat_pool_class.methods[NAT_POOL_GIVE_BACK].apply(NULL, key, pool, &argument, NULL);
}

static uint16_t count(const struct nat_pool_key *key, struct nat_pool *pool)
{
	struct nat_pool_count result;

	nat_pool_class.methods[NAT_POOL_COUNT].apply(NULL, key, pool, NULL, &result);
	return result.taken;
}

/* For every slot and several ranges: each port of the pool exactly once, then none. */
static void every_port_once(void **state)
{
	static const uint16_t ranges[][2] = { { 1024, 65535 }, { 1, 65535 }, { 1, 256 }, { 5000, 5300 },
		{ 40000, 40255 }, { 65280, 65535 }, { 1023, 1279 } };

	for (unsigned range = 0; range < sizeof(ranges) / sizeof(ranges[0]); range++) {
		for (unsigned slot = 0; slot < 256; slot++) {
			struct nat_pool_key key = { .steering_slot = (uint8_t)slot };
			struct nat_pool pool = { 0 };
			uint8_t seen[65536] = { 0 };
			unsigned expected = 0, found = 0;

			for (unsigned port = ranges[range][0]; port <= ranges[range][1]; port++)
				expected += (port & 255) == slot;
			for (;;) {
				struct nat_pool_taken taken = take(&key, &pool, ranges[range][0], ranges[range][1]);

				if (!taken.found)
					break;
				assert_in_range(taken.port, ranges[range][0], ranges[range][1]);
				assert_int_equal(taken.port & 255, slot);
				assert_false(seen[taken.port]++);
				assert_int_equal(count(&key, &pool), ++found);
			}
			assert_int_equal(found, expected);
			assert_true(nat_pool_class.check(&key, &pool));
		}
	}
}

/* A port that was given back is taken again only after all the others of its pool. */
static void ports_rest(void **state)
{
	struct nat_pool_key key = { .steering_slot = 7 };
	struct nat_pool pool = { 0 };
	uint16_t first = take(&key, &pool, 1024, 65535).port;

	give_back(&key, &pool, first);
	assert_int_equal(count(&key, &pool), 0);
	for (unsigned others = 0; others < 251; others++) {
		uint16_t port = take(&key, &pool, 1024, 65535).port;

		assert_int_not_equal(port, first);
		give_back(&key, &pool, port);
	}
	assert_int_equal(take(&key, &pool, 1024, 65535).port, first);
}

static void full_pool_gives_what_comes_back(void **state)
{
	struct nat_pool_key key = { .steering_slot = 200 };
	struct nat_pool pool = { 0 };
	struct nat_pool_taken taken;
	uint16_t last = 0;

	while ((taken = take(&key, &pool, 1024, 65535)).found)
		last = taken.port;
	assert_int_equal(count(&key, &pool), 252);
	give_back(&key, &pool, 1224);
	give_back(&key, &pool, last);
	assert_int_equal(take(&key, &pool, 1024, 65535).port, 1224);
	assert_int_equal(take(&key, &pool, 1024, 65535).port, last);
	assert_false(take(&key, &pool, 1024, 65535).found);
}

static void giving_back_nonsense_changes_nothing(void **state)
{
	struct nat_pool_key key = { .steering_slot = 1 };
	struct nat_pool pool = { 0 };
	uint16_t port = take(&key, &pool, 1024, 65535).port;
	struct nat_pool before = pool;

	give_back(&key, &pool, (uint16_t)(port + 1)); /* another steering slot's */
	give_back(&key, &pool, (uint16_t)(port + 256)); /* not taken */
	assert_memory_equal(&pool, &before, sizeof(pool));
	give_back(&key, &pool, port);
	give_back(&key, &pool, port);
	assert_int_equal(count(&key, &pool), 0);
}

static void narrowed_range(void **state)
{
	struct nat_pool_key key = { .steering_slot = 3 };
	struct nat_pool pool = { 0 };

	for (unsigned taken = 0; taken < 200; taken++)
		assert_true(take(&key, &pool, 1024, 65535).found);
	assert_int_equal(take(&key, &pool, 60000, 65535).port, 60163);
	assert_false(take(&key, &pool, 1024, 2000).found);
}

/* The bitmap against a plain array that is searched one port after the other, from where the last search ended. */
static uint16_t plain_take(uint8_t taken[256], unsigned slot, unsigned *from, const uint16_t range[2])
{
	for (unsigned looked = 0; looked < 256; looked++) {
		unsigned number = (*from + looked) % 256, port = number << 8 | slot;

		if (taken[number] || port < range[0] || port > range[1])
			continue;
		taken[number] = 1;
		*from = number + 1;
		return (uint16_t)port;
	}
	return 0;
}

static void bitmap_is_as_a_plain_array(void **state)
{
	static const uint16_t ranges[][2] = { { 1024, 65535 }, { 5000, 21000 }, { 32768, 49151 }, { 60000, 65535 } };
	uint64_t random = 1;

	for (unsigned round = 0; round < 200; round++) {
		const uint16_t *range = ranges[round % 4];
		struct nat_pool_key key = { .steering_slot = (uint8_t)(round * 37) };
		struct nat_pool pool = { 0 };
		uint8_t taken[256] = { 0 };
		unsigned from = 0, last = 0;

		for (unsigned step = 0; step < 2000; step++) {
			random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			unsigned number = (unsigned)(random >> 40) % 256;

			if (random >> 62) { /* three of four: it fills up */
				uint16_t port = plain_take(taken, key.steering_slot, &from, range);

				assert_int_equal(take(&key, &pool, range[0], range[1]).port, port);
				last += port != 0;
			} else {
				give_back(&key, &pool, (uint16_t)(number << 8 | key.steering_slot));
				last -= taken[number];
				taken[number] = 0;
			}
			assert_int_equal(count(&key, &pool), last);
			assert_true(nat_pool_class.check(&key, &pool));
		}
	}
}

static void half_written_pool_is_refused(void **state)
{
	struct nat_pool_key key = { 0 };
	struct nat_pool pool = { .taken = { 5 }, .hint = 3, .count = 2 };

	assert_true(nat_pool_class.check(&key, &pool));
	pool.count = 3;
	assert_false(nat_pool_class.check(&key, &pool));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_port_once),
		cmocka_unit_test(ports_rest),
		cmocka_unit_test(full_pool_gives_what_comes_back),
		cmocka_unit_test(giving_back_nonsense_changes_nothing),
		cmocka_unit_test(narrowed_range),
		cmocka_unit_test(bitmap_is_as_a_plain_array),
		cmocka_unit_test(half_written_pool_is_refused),
	};

	return cmocka_run_group_tests_name("nat_pool", tests, NULL, NULL);
}
