/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose turn it is: one steering slot at a time, and when it is more. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "io/steering.h"

static struct shoal_steering steering;

#define MS SHOAL_NS_PER_MS

/* Slots 1 to n are at member 1, and redirected to member 2. */
static void redirect_many(unsigned n, uint64_t now_ns)
{
	struct shoal_steering_set set = { { (UINT64_C(2) << n) - 2 } };
	uint8_t members[SHOAL_STEERING_SLOTS];
	unsigned slot;

	shoal_steering_init(&steering, 64);
	memset(members, 1, sizeof(members));
	assert_int_equal(shoal_steering_assign(&steering, members, &slot), 0);
	shoal_steering_move(&steering, now_ns);
	steering.crowded_until_ns = 0; /* it has been polled for long */
	assert_int_equal(shoal_steering_redirect(&steering, &set, 2, now_ns, &slot), 0);
	assert_int_equal(steering.pending_count, n);
}

static unsigned begun(void)
{
	unsigned count = 0;

	for (unsigned word = 0; word < SHOAL_STEERING_WORDS; word++)
		count += (unsigned)__builtin_popcountll(steering.pending.words[word] & ~steering.queued.words[word]);
	return count;
}

static void arrive(unsigned slot, uint64_t now_ns)
{
	shoal_steering_marker_sent(&steering, slot);
	shoal_steering_marker_returned(&steering, slot, steering.slots[slot].marker, 1, now_ns);
	assert_int_equal(steering.slots[slot].state, SHOAL_STEERING_STEADY);
	assert_int_equal(steering.members[slot], 2);
}

static void test_one_slot_moves_at_a_time(void **state)
{
	uint64_t now_ns = 7 * MS;

	(void)state;
	redirect_many(5, now_ns);
	for (unsigned slot = 1; slot <= 5; slot++) {
		assert_int_equal(begun(), 1);
		assert_int_equal(steering.slots[slot].state, SHOAL_STEERING_MARKER_DUE);
		for (unsigned later = slot + 1; later <= 5; later++) {
			assert_int_equal(steering.slots[later].state, SHOAL_STEERING_QUEUED);
			assert_int_equal(steering.members[later], 1); /* served as ever */
		}
		arrive(slot, now_ns += 1000);
		shoal_steering_move(&steering, now_ns);
	}
	assert_int_equal(steering.pending_count, 0);
	assert_int_equal(steering.redirects, 5);
}

static void test_a_stuck_slot_keeps_nobody(void **state)
{
	uint64_t now_ns = 7 * MS;

	(void)state;
	redirect_many(3, now_ns);
	for (; now_ns < 106 * MS; now_ns += MS / 4) {
		shoal_steering_move(&steering, now_ns);
		assert_int_equal(begun(), 1);
	}
	for (; now_ns < 108 * MS; now_ns += MS / 4)
		shoal_steering_move(&steering, now_ns);
	assert_int_equal(begun(), 2);
	arrive(2, now_ns);
	shoal_steering_move(&steering, now_ns);
	assert_int_equal(steering.slots[3].state, SHOAL_STEERING_MARKER_DUE);
}

static void test_more_move_where_the_core_is_shared(void **state)
{
	(void)state;
	redirect_many(9, 7 * MS);
	shoal_steering_move(&steering, 9 * MS); /* a gap */
	assert_int_equal(begun(), 4);
	arrive(1, 9 * MS);
	arrive(2, 9 * MS);
	shoal_steering_move(&steering, 9 * MS + 1000);
	assert_int_equal(begun(), 4);
	for (uint64_t now_ns = 9 * MS + 2000; now_ns < 15 * MS; now_ns += MS / 4)
		shoal_steering_move(&steering, now_ns);
	for (unsigned slot = 3; slot <= 6; slot++)
		arrive(slot, 15 * MS);
	shoal_steering_move(&steering, 15 * MS); /* no gap for long: one again */
	assert_int_equal(begun(), 1);
}

static void test_a_member_goes_before_the_turn(void **state)
{
	(void)state;
	redirect_many(3, 7 * MS);
	shoal_steering_member_gone(&steering, 2, 8 * MS);
	assert_int_equal(steering.slots[2].state, SHOAL_STEERING_STEADY); /* where it is */
	assert_int_equal(steering.members[2], 1);
	assert_int_equal(steering.slots[2].next, SHOAL_MEMBER_NONE);
	redirect_many(3, 7 * MS);
	shoal_steering_member_gone(&steering, 1, 8 * MS);
	assert_int_equal(steering.members[2], 2); /* at once: nobody has a packet of it */
	assert_int_equal(steering.members[3], 2);
	assert_int_equal(steering.pending_count, 0);
	assert_int_equal(steering.markers_void, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_slot_moves_at_a_time),
		cmocka_unit_test(test_a_stuck_slot_keeps_nobody),
		cmocka_unit_test(test_more_move_where_the_core_is_shared),
		cmocka_unit_test(test_a_member_goes_before_the_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
