/* SPDX-License-Identifier: BSD-3-Clause */
/* Redirection, and the end of a member, case by case, over real packet rings. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

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

static enum shoal_steering_state state_of(unsigned slot)
{
	return world.splitter->steering.slots[slot].state;
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

/* --- Redirection -------------------------------------------------------------------------------------------------- */

static void test_redirect_waits_for_the_marker(void **state)
{
	unsigned slot = world_slot_of(0);

	(void)state;
	two_members();
	feed_many(0, 20);
	world_poll(&world);
	assert_int_equal(world_redirect(&world, slot, 1, 1), 0);
	assert_int_equal(state_of(slot), SHOAL_STEERING_MARKER_DUE);
	feed_many(0, 30);
	world_poll(&world);
	world_poll(&world);
	assert_int_equal(state_of(slot), SHOAL_STEERING_MARKER_OUT);
	assert_int_equal(world.splitter->steering.parked, 30);
	assert_int_equal(world.splitter->members[1].sent, 0);
	world_step(&world, 0, 32, false); /* 20 packets and the marker */
	world_poll(&world);
	assert_int_equal(state_of(slot), SHOAL_STEERING_STEADY);
	assert_int_equal(world.left, 20);
	assert_int_equal(world.splitter->members[0].sent, 20);
	assert_int_equal(world.splitter->members[1].sent, 30);
	assert_int_equal(world.splitter->steering.redirects, 1);
	assert_int_equal(world.splitter->steering.parked_most, 30);
	world_settle(&world);
	assert_int_equal(world.left, 50);
}

static void test_parking_is_bounded(void **state)
{
	(void)state;
	two_members();
	assert_int_equal(world_redirect(&world, world_slot_of(0), 1, 1), 0);
	feed_many(0, PARKED_MAX + 100);
	for (unsigned i = 0; i < 30; i++)
		world_poll(&world);
	/* An eighth is left for the redirections of other members. */
	assert_int_equal(world.splitter->steering.parked, PARKED_MAX - PARKED_MAX / 8);
	assert_int_equal(drops(SHOAL_SPLITTER_PARKED_OVERFLOW), 100 + PARKED_MAX / 8);
	world_settle(&world);
	assert_int_equal(world.left, PARKED_MAX - PARKED_MAX / 8);
}

static void test_marker_waits_for_room(void **state)
{
	unsigned slot = world_slot_of(0), stale = 0;

	(void)state;
	two_members();
	while (drops(SHOAL_SPLITTER_INSTANCE_RING_FULL) == 0) {
		feed_many(0, SHOAL_BURST_MAX);
		world_poll(&world);
	}
	/* What is left is less than a packet needs; short markers, which nobody waits for, fill it up. */
	while (shoal_packet_ring_send_marker(world.splitter->members[0].ring, (uint8_t)(slot + 1), 1))
		stale++;
	assert_int_equal(world_redirect(&world, slot, 1, 1), 0);
	for (unsigned i = 0; i < 10; i++)
		world_poll(&world);
	assert_int_equal(state_of(slot), SHOAL_STEERING_MARKER_DUE);
	world_settle(&world);
	assert_int_equal(world.splitter->steering.redirects, 1);
	assert_int_equal(world.splitter->steering.markers_stale, stale);
	assert_int_equal(world.left, world.fed - drops(SHOAL_SPLITTER_INSTANCE_RING_FULL));
}

static void test_second_redirect_is_refused(void **state)
{
	unsigned slot = world_slot_of(0);

	(void)state;
	two_members();
	world_attach(&world, 2);
	assert_int_equal(world_redirect(&world, slot, 1, 1), 0);
	assert_int_equal(world_redirect(&world, slot, 1, 1), 0); /* the same again: nothing to do */
	assert_int_equal(world_redirect(&world, slot, 2, 2), -EBUSY);
	assert_int_equal(state_of(slot + 1), SHOAL_STEERING_STEADY); /* all or nothing */
	assert_int_equal(world_redirect(&world, slot, 1, 5), -ENOENT);
	world_settle(&world);
	assert_int_equal(world_redirect(&world, slot, 2, 2), 0);
	world_settle(&world);
	assert_int_equal(world.splitter->steering.slots[slot].member, 2);
	assert_int_equal(world.splitter->steering.redirects, 3);
}

static void test_stale_markers_do_nothing(void **state)
{
	struct world_instance *instance = &world.instances[0];

	(void)state;
	two_members();
	assert_true(shoal_packet_ring_return_marker(instance->ring, 5, 77));
	world_step(&world, 0, 1, false);
	assert_int_equal(world_redirect(&world, 6, 1, 1), 0);
	world_poll(&world);
	/* The right slot, a wrong number; and the right one from the wrong member. */
	assert_true(shoal_packet_ring_return_marker(instance->ring, 6, world.splitter->steering.slots[6].marker + 1));
	assert_true(
		shoal_packet_ring_return_marker(world.instances[1].ring, 6, world.splitter->steering.slots[6].marker));
	instance->port->operations->flush(instance->port);
	world_step(&world, 1, 1, false);
	world_poll(&world);
	assert_int_equal(world.splitter->steering.markers_stale, 3);
	assert_int_equal(state_of(6), SHOAL_STEERING_MARKER_OUT);
	world_settle(&world);
	assert_int_equal(state_of(6), SHOAL_STEERING_STEADY);
}

static void test_redirect_of_all_slots(void **state)
{
	struct shoal_redirect_progress progress;

	(void)state;
	two_members();
	for (unsigned flow = 0; flow < WORLD_FLOWS; flow++)
		world_feed(&world, flow);
	world_poll(&world);
	assert_int_equal(world_redirect(&world, 0, SHOAL_STEERING_SLOTS, 1), 0);
	for (unsigned flow = 0; flow < WORLD_FLOWS; flow++)
		world_feed(&world, flow);
	world_poll(&world);
	shoal_splitter_progress_read(world.splitter, false, &progress);
	assert_int_equal(progress.pending, SHOAL_STEERING_SLOTS);
	assert_int_equal(progress.pending_slots[31], 0xff);
	assert_true(progress.parked > 0);
	world_settle(&world);
	shoal_splitter_progress_read(world.splitter, true, &progress);
	assert_int_equal(progress.pending, 0);
	assert_int_equal(progress.done, SHOAL_STEERING_SLOTS);
	assert_int_equal(progress.pending_slots[31], 0);
	assert_true(progress.parked_most > 0);
	shoal_splitter_progress_read(world.splitter, false, &progress);
	assert_int_equal(progress.parked_most, 0);
	assert_int_equal(world.left, 2 * WORLD_FLOWS);
}

/* --- The end of a member ------------------------------------------------------------------------------------------ */

static void test_death_of_the_old_member_voids_its_marker(void **state)
{
	unsigned slot = world_slot_of(0);

	(void)state;
	two_members();
	feed_many(0, 20);
	world_poll(&world);
	world_step(&world, 0, 8, false); /* takes in 8 and puts them out: good, though it dies now */
	feed_many(0, 6);
	world_poll(&world);
	world_step(&world, 0, 0, false);
	assert_int_equal(world_redirect(&world, slot, 1, 1), 0);
	feed_many(0, 30);
	world_poll(&world);
	assert_int_equal(state_of(slot), SHOAL_STEERING_MARKER_OUT);
	world_kill(&world, 0);
	world_check(&world);
	assert_int_equal(drops(SHOAL_SPLITTER_INSTANCE_DIED), 18);
	assert_int_equal(world.splitter->steering.markers_void, 1);
	world_settle(&world);
	assert_int_equal(world.left, 8 + 30);
	assert_int_equal(state_of(slot), SHOAL_STEERING_STEADY);
	feed_many(4, 2); /* of a slot that nobody has any more */
	world_settle(&world);
	assert_int_equal(drops(SHOAL_SPLITTER_UNKNOWN_MEMBER), 2);
}

static void test_output_before_death_leaves(void **state)
{
	(void)state;
	one_member();
	feed_many(0, 20);
	feed_many(2, 12);
	world_poll(&world);
	world_step(&world, 0, 32, false);
	world_kill(&world, 0);
	world_check(&world);
	assert_int_equal(world.left, 20);
	assert_int_equal(world.splitter->reentered, 12);
	assert_int_equal(drops(SHOAL_SPLITTER_INSTANCE_DIED), 12); /* entered again, into the dead one's ring */
}

static void test_death_of_the_new_member_strands(void **state)
{
	unsigned slot = world_slot_of(0);

	(void)state;
	two_members();
	world_attach(&world, 2);
	feed_many(0, 10);
	world_poll(&world);
	assert_int_equal(world_redirect(&world, slot, 1, 1), 0);
	feed_many(0, 10);
	world_poll(&world);
	world_kill(&world, 1);
	world_settle(&world); /* the marker comes back, and there is nobody to go on at */
	assert_int_equal(state_of(slot), SHOAL_STEERING_STRANDED);
	feed_many(0, 10);
	world_settle(&world);
	assert_int_equal(world.splitter->steering.parked, 20);
	assert_int_equal(world_redirect(&world, slot, 1, 2), 0);
	world_settle(&world);
	assert_int_equal(world.left, 30);
	assert_int_equal(world.splitter->steering.slots[slot].member, 2);
}

static void test_death_while_forwarding(void **state)
{
	unsigned slot = world_slot_of(0);

	(void)state;
	world.ring_bytes = 1 << 14; /* holds fewer than the parked packets */
	two_members();
	assert_int_equal(world_redirect(&world, slot, 1, 1), 0);
	feed_many(0, 400);
	for (unsigned i = 0; i < 20; i++)
		world_poll(&world);
	world_step(&world, 0, 1, false);
	world_poll(&world);
	assert_int_equal(state_of(slot), SHOAL_STEERING_FORWARDING);
	assert_true(world.splitter->steering.parked > 0 && world.splitter->members[1].sent > 0);
	world_kill(&world, 1);
	world_check(&world);
	assert_int_equal(state_of(slot), SHOAL_STEERING_STRANDED);
	assert_int_equal(drops(SHOAL_SPLITTER_INSTANCE_DIED), world.splitter->members[1].sent);
	assert_int_equal(world_redirect(&world, slot, 1, 0), 0);
	world_settle(&world);
	assert_int_equal(world.left, 400 - drops(SHOAL_SPLITTER_INSTANCE_DIED));
}

static void test_orderly_leave_drops_nothing(void **state)
{
	struct shoal_packet_ring *ring;

	(void)state;
	two_members();
	for (unsigned flow = 0; flow < WORLD_FLOWS; flow++)
		feed_many(flow, 4);
	world_poll(&world);
	assert_int_equal(world_redirect(&world, 0, SHOAL_STEERING_SLOTS, 1), 0);
	world_settle(&world);
	world_kill(&world, 0);
	assert_int_equal(drops(SHOAL_SPLITTER_INSTANCE_DIED), 0);
	assert_int_equal(world.lost_inside, 0);
	assert_int_equal(shoal_splitter_member_remove(world.splitter, 0, 0, &ring), -ENOENT);
	assert_int_equal(world.left, 4 * WORLD_FLOWS);
}

static void test_one_blamed_member_leaves_room_for_others(void **state)
{
	(void)state;
	world_attach(&world, 0);
	world_attach(&world, 1);
	world_attach(&world, 2);
	world_table(&world, (const uint8_t[]){ 0, 1 }, 2);
	/* Member 0 stalls with its marker out; flow 1 is at member 1. */
	assert_int_equal(world_redirect(&world, world_slot_of(0), 1, 2), 0);
	feed_many(0, 1000);
	for (unsigned i = 0; i < 40; i++)
		world_poll(&world);
	assert_true(drops(SHOAL_SPLITTER_PARKED_OVERFLOW) > 0);
	assert_int_equal(world_redirect(&world, world_slot_of(1), 1, 2), 0);
	feed_many(1, 50);
	for (unsigned i = 0; i < 6; i++) {
		world_poll(&world);
		world_step(&world, 1, 32, false);
		world_step(&world, 2, 32, false);
	}
	world_poll(&world);
	assert_int_equal(world.left_by[WORLD_INSIDE], 50);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, create, destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_redirect_waits_for_the_marker),
		TEST(test_parking_is_bounded),
		TEST(test_marker_waits_for_room),
		TEST(test_second_redirect_is_refused),
		TEST(test_stale_markers_do_nothing),
		TEST(test_redirect_of_all_slots),
		TEST(test_death_of_the_old_member_voids_its_marker),
		TEST(test_output_before_death_leaves),
		TEST(test_death_of_the_new_member_strands),
		TEST(test_death_while_forwarding),
		TEST(test_orderly_leave_drops_nothing),
		TEST(test_one_blamed_member_leaves_room_for_others),
	};

	return cmocka_run_group_tests(tests, world_start, world_stop);
}
