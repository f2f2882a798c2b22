/* SPDX-License-Identifier: BSD-3-Clause */
/* dso.md, case 21: key patterns built to collide, 256 × 256 clients and ports. With any seed the local map stays flat and the
 * slots even. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "object/map_inline.h"

#define SIDE 256u
#define KEYS (SIDE * SIDE)
/* Slots get 4 keys each on average; a Poisson variable of mean 4 exceeds 24 once in 10^11. */
#define SLOT_MOST 24

struct key {
	uint32_t address;
	uint16_t port;
	uint8_t protocol, zero;
};

static const struct shoal_class class = { .name = "test.tuple", .key_bytes = sizeof(struct key), .object_bytes = 8 };

/* Bits that vary: a plain block, addresses and ports that differ in their high bytes only, or in bits that cancel out. */
static struct key make(unsigned pattern, unsigned client, unsigned port)
{
	struct key key = { .protocol = 17 };

	switch (pattern) {
	case 0:
		key.address = 0x0a000000 + client;
		key.port = (uint16_t)(1024 + port);
		break;
	case 1:
		key.address = client << 24;
		key.port = (uint16_t)(port << 8);
		break;
	case 2:
		key.address = client << 8 | client;
		key.port = (uint16_t)(port << 8 | port);
		break;
	default:
		key.address = 0x0a000000 + (client ^ port);
		key.port = (uint16_t)(port << 8 | client);
	}
	return key;
}

static void check_map(struct shoal_map *map, uint16_t *of_slot, unsigned pattern)
{
	unsigned beyond_home = 0;
	for (unsigned i = 0; i < KEYS; i++) {
		const struct key fields = make(pattern, i / SIDE, i % SIDE);
		const void *key = &fields;
		uint64_t hash;

		/* The compiler must not know the key's size, or it warns of hashing for longer keys, which is never reached. */
		__asm__("" : "+r"(key) : : "memory");
		hash = shoal_map_hash(map, key);
		assert_int_equal(shoal_map_find(map, key, hash), 0);
		assert_int_not_equal(shoal_map_insert(map, key, hash), 0);
		assert_in_range(++of_slot[shoal_map_slot(map, key, hash)], 1, SLOT_MOST);
	}
	for (uint32_t bucket = 0; bucket < map->buckets_count; bucket++) {
		assert_in_range(map->buckets[bucket].passed, 0, 24);
		beyond_home += map->buckets[bucket].passed;
	}
	/* At the load of a full map few entries lie outside their own bucket. */
	assert_in_range(beyond_home, 0, KEYS / 5);
}

static void test_patterns(void **state)
{
	static uint16_t of_slot[SHOAL_SLOTS];
	struct shoal_map map;

	(void)state;
	for (unsigned pattern = 0; pattern < 4; pattern++)
		for (uint64_t seed = 1; seed <= 5; seed++) {
			memset(of_slot, 0, sizeof(of_slot));
			assert_int_equal(shoal_map_init(&map, &class, KEYS, seed * 0x9e3779b97f4a7c15, NULL, false), 0);
			check_map(&map, of_slot, pattern);
			shoal_map_fini(&map);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_patterns) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
