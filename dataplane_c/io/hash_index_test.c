/* SPDX-License-Identifier: BSD-3-Clause */
/* Against a plain array, over many insertions and removals that collide. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/hash_index.h"

#define MOST 64u
#define STEPS 200000u

static bool found(const struct shoal_hash_index *index, uint32_t hash, uint32_t value)
{
	uint32_t cursor = hash, candidate;

	while ((candidate = shoal_hash_index_next(index, hash, &cursor)) != SHOAL_HASH_INDEX_NONE)
		if (candidate == value)
			return true;
	return false;
}

/* Few different hashes, at the table's end among others, so that runs are long and wrap. */
static uint32_t hash_for(uint32_t value)
{
	return value % 3 ? UINT32_MAX - value % 7 : value;
}

static void like_a_plain_array(void **state)
{
	bool there[MOST] = { false };
	struct shoal_hash_index index;
	uint32_t random = 1;

	assert_int_equal(shoal_hash_index_init(&index, MOST), 0);
	for (unsigned step = 0; step < STEPS; step++) {
		uint32_t value = (random = random * 1664525u + 1013904223u) >> 16 & (MOST - 1);

		if (there[value])
			shoal_hash_index_remove(&index, hash_for(value), value);
		else
			shoal_hash_index_insert(&index, hash_for(value), value);
		there[value] = !there[value];
		value = random >> 10 & (MOST - 1);
		assert_int_equal(found(&index, hash_for(value), value), there[value]);
	}
	for (uint32_t value = 0; value < MOST; value++)
		assert_int_equal(found(&index, hash_for(value), value), there[value]);
	shoal_hash_index_clear(&index);
	for (uint32_t value = 0; value < MOST; value++)
		assert_false(found(&index, hash_for(value), value));
	shoal_hash_index_fini(&index);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(like_a_plain_array) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
