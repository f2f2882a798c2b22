/* SPDX-License-Identifier: BSD-3-Clause */
/* The local map against a plain list: the same answers after any sequence of insertions and removals. */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>
#include <cmocka.h>
#include "object/map_inline.h"

static const struct shoal_class class8 = { .name = "test.eight", .key_bytes = 8, .object_bytes = 40 };
static const struct shoal_class class13 = { .name = "test.thirteen", .key_bytes = 13, .object_bytes = 8 };

static uint64_t random_state;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* collide: hashes of few values, so that buckets overflow into their neighbours. */
static void churn(const struct shoal_class *class, uint32_t capacity, uint64_t seed, bool collide)
{
	struct shoal_map map;
	uint32_t *entry_of = calloc(capacity * 2, sizeof(*entry_of));
	uint32_t present = 0;

	random_state = seed * 2654435761u + 1;
	assert_int_equal(shoal_map_init(&map, class, capacity, seed, NULL, false), 0);
	for (unsigned step = 0; step < capacity * 20; step++) {
		uint32_t number = (uint32_t)(random_next() % (capacity * 2));
		uint8_t key[16] = { 0 };

		memcpy(key, &number, sizeof(number));
		uint64_t hash = collide ? number % 3 * UINT64_C(0x0001000155555555) : shoal_map_hash(&map, key);

		assert_int_equal(shoal_map_find(&map, key, hash), entry_of[number]);
		assert_int_equal(shoal_map_verify(&map, shoal_map_candidate(&map, hash), key, hash), entry_of[number]);
		assert_int_equal(shoal_map_look(&map, key, hash), entry_of[number]);
		assert_false(entry_of[number] && shoal_map_surely_absent(&map, shoal_map_bucket(&map, hash), hash));
		if (entry_of[number] && random_next() % 2) {
			shoal_map_remove(&map, entry_of[number]);
			entry_of[number] = 0;
			present--;
		} else if (!entry_of[number]) {
			entry_of[number] = shoal_map_insert(&map, key, hash);
			assert_int_equal(entry_of[number] != 0, present < capacity);
			present += entry_of[number] != 0;
		}
		assert_int_equal(map.count, present);
	}
	shoal_map_fini(&map);
	free(entry_of);
}

static void test_churn(void **state)
{
	for (uint64_t seed = 1; seed < 20; seed++) {
		churn(&class8, 100 + (uint32_t)seed * 13, seed, false);
		churn(&class13, 200, seed, false);
		churn(&class8, 60, seed, true);
	}
}

/* Eight bytes are hashed as XXH3 hashes them. */
static void test_word_hash(void **state)
{
	random_state = 1;
	for (unsigned round = 0; round < 100000; round++) {
		struct shoal_map map = { .class = &class8, .seed = random_next() };
		uint64_t key = random_next() >> round % 64;

		assert_int_equal(shoal_map_hash(&map, &key), XXH3_64bits_withSeed(&key, 8, map.seed));
	}
}

static void test_bucket_match(void **state)
{
	random_state = 2;
	for (unsigned round = 0; round < 100000; round++) {
		uint16_t tag = (uint16_t)(random_next() % 4);
		struct shoal_bucket bucket;
		unsigned plain = 0;

		memset(&bucket, 0, sizeof(bucket));
		for (unsigned way = 0; way < SHOAL_BUCKET_WAYS; way++) {
			bucket.tags[way] = (uint16_t)(random_next() % 4);
			plain |= (unsigned)(bucket.tags[way] == tag) << way;
		}
		assert_int_equal(shoal_bucket_match(&bucket, tag), plain);
	}
}

/* Whatever room a class leaves in its entries: no part of an entry lies in another part, or in another entry, or behind the slab. */
static void test_parts_apart(void **state)
{
	const uint32_t capacity = 50;

	for (uint16_t object_bytes = 1; object_bytes < 300; object_bytes++) {
		const struct shoal_class class = { .name = "test.parts", .key_bytes = 8, .object_bytes = object_bytes };
		struct shoal_map map;

		assert_int_equal(shoal_map_init(&map, &class, capacity, 1, NULL, false), 0);
		uint8_t *owner = calloc(map.slab_bytes, 1);

		for (uint32_t index = 1; index <= capacity; index++) {
			const size_t offsets[] = { (size_t)((uint8_t *)shoal_map_entry(&map, index) - map.slab),
				(size_t)((uint8_t *)shoal_map_lease(&map, index) - map.slab),
				(size_t)((uint8_t *)&map.timers[index] - map.slab) };
			const size_t sizes[] = { map.object_offset + object_bytes, sizeof(struct shoal_entry_lease),
				sizeof(struct shoal_entry_timer) };

			for (unsigned part = 0; part < 3; part++) {
				assert_true(offsets[part] % 4 == 0 && offsets[part] + sizes[part] <= map.slab_bytes);
				for (size_t at = offsets[part]; at < offsets[part] + sizes[part]; at++)
					assert_int_equal(owner[at]++, 0);
			}
		}
		free(owner);
		shoal_map_fini(&map);
	}
}

/* A burst's steps against those for one key. Half of the keys are in the map. */
static void burst_steps(const struct shoal_class *class, unsigned n)
{
	uint8_t keys[SHOAL_BURST_MAX * 16] = { 0 };
	uint64_t hashes[SHOAL_BURST_MAX];
	uint32_t buckets[SHOAL_BURST_MAX], candidates[SHOAL_BURST_MAX];
	struct shoal_map map;

	assert_int_equal(shoal_map_init(&map, class, 100, random_next(), NULL, false), 0);
	for (unsigned i = 0; i < n; i++) {
		uint8_t *key = keys + i * class->key_bytes;
		uint64_t number = random_next();

		memcpy(key, &number, sizeof(number));
		if (i % 2)
			assert_true(shoal_map_insert(&map, key, shoal_map_hash(&map, key)) != 0);
	}
	shoal_map_hash_burst(&map, keys, n, hashes);
	shoal_map_bucket_burst(&map, hashes, n, buckets);
	shoal_map_candidate_burst(&map, hashes, buckets, n, candidates);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(hashes[i], shoal_map_hash(&map, keys + i * class->key_bytes));
		assert_int_equal(buckets[i], shoal_map_bucket(&map, hashes[i]));
		assert_int_equal(candidates[i], shoal_map_candidate(&map, hashes[i]));
	}
	shoal_map_fini(&map);
}

static void test_burst_steps(void **state)
{
	random_state = 3;
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned n = 1; n <= SHOAL_BURST_MAX; n++) {
			burst_steps(&class8, n);
			burst_steps(&class13, n);
		}
	}
}

static void test_resident_bytes(void **state)
{
	struct shoal_map map;
	uint32_t capacity = 1000000;

	assert_int_equal(shoal_map_init(&map, &class8, capacity, 1, NULL, false), 0);
	size_t resident = map.slab_bytes + map.buckets_bytes;

	/* Beyond key and payload, at the configured load. */
	assert_true((double)resident / capacity - class8.key_bytes - class8.object_bytes <= 64.0);
	shoal_map_fini(&map);
}

static void test_file(void **state)
{
	char directory[] = "/tmp/shoal-map-test-XXXXXX";
	struct shoal_map map, second;

	assert_non_null(mkdtemp(directory));
	assert_int_equal(shoal_map_init(&map, &class8, 100, 1, directory, false), 0);
	assert_int_equal(access(map.path, R_OK | W_OK), 0);
	/* A slab that is there already belongs to somebody. */
	assert_int_equal(shoal_map_init(&second, &class8, 100, 1, directory, false), -EEXIST);
	shoal_map_fini(&map);
	assert_int_equal(rmdir(directory), 0);
}

/* A container's /dev/shm is small: a slab must be refused there, not fault when it has filled up. */
static void test_file_without_room(void **state)
{
	char directory[] = "/tmp/shoal-map-test-XXXXXX";
	struct shoal_map map;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		skip();
	assert_non_null(mkdtemp(directory));
	assert_int_equal(mount("shoal", directory, "tmpfs", 0, "size=1m"), 0);
	for (unsigned touch = 0; touch < 2; touch++) {
		assert_int_equal(shoal_map_init(&map, &class8, 100000, 1, directory, touch), -ENOSPC);
		assert_int_equal(access(map.path, F_OK), -1);
		assert_int_equal(shoal_map_init(&map, &class8, 5000, 1, directory, touch), 0);
		memset(map.slab, 0xa5, map.slab_bytes);
		shoal_map_fini(&map);
	}
	assert_int_equal(umount(directory), 0);
	assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_churn),
		cmocka_unit_test(test_parts_apart),
		cmocka_unit_test(test_word_hash),
		cmocka_unit_test(test_bucket_match),
		cmocka_unit_test(test_burst_steps),
		cmocka_unit_test(test_resident_bytes),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_without_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
