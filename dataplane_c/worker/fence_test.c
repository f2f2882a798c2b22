/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/fence.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define LEASE UINT64_C(1000)

/* Member 0, in made-up time. */
struct world {
	struct shoal_fence fence;
	uint64_t heard_ns[SHOAL_MEMBERS_MAX];
	struct shoal_fence_members members;
};

static void begin(struct world *world, uint64_t members, uint64_t remote)
{
	memset(world, 0, sizeof(*world));
	world->fence = (struct shoal_fence){ .lease_ns = LEASE, .remote = remote };
	world->members =
		(struct shoal_fence_members){ .in_now = members, .in_next = members, .heard_ns = world->heard_ns };
}

static bool look(struct world *world, uint64_t now_ns)
{
	return shoal_fence_look(&world->fence, &world->members, now_ns);
}

static void alone_or_on_one_host_it_never_holds(void **state)
{
	struct world world;

	begin(&world, 0x1, 0);
	assert_true(look(&world, 100 * LEASE));
	begin(&world, 0x7, 0); /* nobody answers: they may be stopped, and live */
	assert_true(look(&world, 100 * LEASE));
	begin(&world, 0x1, 0x2); /* a channel to one that is no member */
	assert_true(look(&world, 100 * LEASE));
	assert_int_equal(world.fence.holds, 0);
}

static void a_majority_keeps_it_open_whatever_the_controller_does(void **state)
{
	struct world world;

	begin(&world, 0x7, 0x6);
	world.heard_ns[2] = 5000;
	assert_true(look(&world, 5000 + LEASE - 1));
	assert_int_equal(world.fence.until_ns, 5000 + LEASE);
	assert_false(look(&world, 5000 + LEASE));
	assert_int_equal(world.fence.state, SHOAL_FENCE_HOLDING);
	world.heard_ns[1] = 5500;
	assert_true(look(&world, 5000 + LEASE));
	assert_int_equal(world.fence.holds, 1);
	/* Two that hear each other, without the controller. */
	begin(&world, 0x3, 0x2);
	world.heard_ns[1] = 5000;
	assert_true(look(&world, 5000 + LEASE - 1));
	assert_false(look(&world, 5000 + LEASE));
}

static void half_of_them_need_the_controllers_voice(void **state)
{
	struct world world;

	begin(&world, 0x3, 0x2);
	world.heard_ns[1] = 1000;
	assert_true(shoal_fence_voice(&world.fence, 4000, 4100));
	assert_true(look(&world, 4000 + LEASE - 1));
	assert_false(look(&world, 4000 + LEASE));
	assert_true(shoal_fence_voice(&world.fence, 4500, 4000 + LEASE));
	assert_true(look(&world, 4000 + LEASE));
	/* A voice of the future was never asked for. */
	assert_false(shoal_fence_voice(&world.fence, 9000, 8000));
	assert_int_equal(world.fence.voice_ns, 4500);
	/* With three members the controller's voice makes no majority of one. */
	begin(&world, 0x7, 0x6);
	assert_true(shoal_fence_voice(&world.fence, 4000, 4000));
	assert_false(look(&world, 4001));
}

static void both_maps_need_their_majority(void **state)
{
	struct world world;

	begin(&world, 0x7, 0x1e);
	world.members.in_next = 0x1f;
	world.heard_ns[1] = 5000;
	assert_false(look(&world, 5500)); /* two of three, two of five */
	world.heard_ns[4] = 4900;
	assert_true(look(&world, 5500));
	assert_int_equal(world.fence.until_ns, 4900 + LEASE);
	world.heard_ns[1] = 0;
	world.heard_ns[3] = 5000;
	assert_false(look(&world, 5500)); /* three of five, one of three */
}

static void who_has_ended_has_no_vote(void **state)
{
	struct world world;

	begin(&world, 0x1f, 0x1e);
	world.heard_ns[1] = 5000;
	assert_false(look(&world, 5500));
	world.fence.gone = 0x10;
	world.members.gone = 0x08;
	assert_true(look(&world, 5500)); /* two of three */
	/* Nor does it make itself the only one: its own bit does not count. */
	world.members.gone = 0x09;
	assert_true(look(&world, 5500));
	world.members.gone = 0x1f;
	assert_true(look(&world, 100 * LEASE));
}

static void a_stop_longer_than_the_lease_holds_until_somebody_answers(void **state)
{
	struct world world;

	begin(&world, 0x7, 0x6);
	world.heard_ns[1] = world.heard_ns[2] = 5000;
	assert_true(look(&world, 5100));
	/* Five leases later. Answers to old questions, which lay in buffers, are of no use. */
	world.heard_ns[1] = 5100;
	assert_false(look(&world, 5100 + 5 * LEASE));
	assert_int_equal(shoal_fence_held_ns(&world.fence, 5200 + 5 * LEASE), 100);
	world.heard_ns[2] = 5200 + 5 * LEASE;
	assert_true(look(&world, 5300 + 5 * LEASE));
	assert_int_equal(world.fence.holds, 1);
	assert_int_equal(world.fence.held_ns, 200);
}

static void who_was_declared_dead_never_works_again(void **state)
{
	struct world world;

	begin(&world, 0x7, 0x6);
	shoal_fence_shut(&world.fence, 5000);
	world.heard_ns[1] = world.heard_ns[2] = 5000;
	assert_false(look(&world, 5001));
	assert_int_equal(world.fence.state, SHOAL_FENCE_FENCED);
}

/* Of all ways in which the channels between five members can be cut, at most one side works; and one of two sides works
 * where one of them has a majority. */
static void never_do_two_sides_work(void **state)
{
	for (unsigned count = 2; count <= 5; count++) {
		for (unsigned side = 1; side < 1u << count; side++) {
			unsigned working[2] = { 0, 0 };

			for (uint8_t self = 0; self < count; self++) {
				struct world world;
				unsigned mine = side >> self & 1 ? side : ~side & ((1u << count) - 1);

				begin(&world, (1u << count) - 1, ((1u << count) - 1) & ~(1u << self));
				world.fence.self = self;
				for (unsigned member = 0; member < count; member++)
					world.heard_ns[member] = mine >> member & 1 ? 5000 : 1;
				/* The controller speaks to the side of member 0 alone. */
				if (mine & 1)
					assert_true(shoal_fence_voice(&world.fence, 5000, 5000));
				working[side >> self & 1] += look(&world, 5500);
			}
			assert_true(!working[0] || !working[1]);
			if (__builtin_popcount(side) * 2 > (int)count)
				assert_int_equal(working[1], __builtin_popcount(side));
			if (__builtin_popcount(side) * 2 == (int)count)
				assert_int_equal(working[side & 1], count / 2);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alone_or_on_one_host_it_never_holds),
		cmocka_unit_test(a_majority_keeps_it_open_whatever_the_controller_does),
		cmocka_unit_test(half_of_them_need_the_controllers_voice),
		cmocka_unit_test(both_maps_need_their_majority),
		cmocka_unit_test(who_has_ended_has_no_vote),
		cmocka_unit_test(a_stop_longer_than_the_lease_holds_until_somebody_answers),
		cmocka_unit_test(who_was_declared_dead_never_works_again),
		cmocka_unit_test(never_do_two_sides_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
