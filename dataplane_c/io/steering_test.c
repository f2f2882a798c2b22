/* SPDX-License-Identifier: BSD-3-Clause */
/* The state machine of a steering slot, transition by transition. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/steering.h"

#define SLOT 70
#define PARKED_MAX 64

static struct shoal_steering steering;
static struct shoal_packet packets[128];
static struct shoal_packet *sent[128];
static unsigned sent_count, room;
static uint8_t sent_to;

static int begin(void **state)
{
	uint8_t members[SHOAL_STEERING_SLOTS];
	unsigned slot;

	(void)state;
	shoal_steering_init(&steering, PARKED_MAX);
	memset(members, SHOAL_MEMBER_NONE, sizeof(members));
	members[SLOT] = 1;
	assert_int_equal(shoal_steering_assign(&steering, members, &slot), 0);
	memset(packets, 0, sizeof(packets));
	for (unsigned i = 0; i < 128; i++)
		packets[i].steering_slot = SLOT;
	sent_count = 0;
	room = UINT32_MAX;
	return 0;
}

static enum shoal_steering_state state_now(void)
{
	/* What the fast path sees agrees with the state at any time. */
	bool seen = steering.slots[SLOT].state == SHOAL_STEERING_STEADY ||
	            steering.slots[SLOT].state == SHOAL_STEERING_QUEUED;

	assert_int_equal(steering.members[SLOT], seen ? steering.slots[SLOT].member : SHOAL_MEMBER_NONE);
	return steering.slots[SLOT].state;
}

static int redirect(uint8_t member, uint64_t now_ns)
{
	struct shoal_steering_set set = { { 0 } };
	unsigned slot = 0;
	int code;

	set.words[SLOT / 64] = UINT64_C(1) << SLOT % 64;
	code = shoal_steering_redirect(&steering, &set, member, now_ns, &slot);
	if (code != 0)
		assert_int_equal(slot, SLOT);
	return code;
}

static void marker_back(uint8_t member, uint64_t now_ns)
{
	shoal_steering_marker_returned(&steering, SLOT, steering.slots[SLOT].marker, member, now_ns);
}

static unsigned send(void *context, uint8_t member, struct shoal_packet *const list[], unsigned n)
{
	unsigned taken = n < room ? n : room;

	(void)context;
	sent_to = member;
	for (unsigned i = 0; i < taken; i++) {
		sent[sent_count++] = list[i];
		list[i]->next = (struct shoal_packet *)(uintptr_t)0x10; /* gone: nobody may follow it any more */
		list[i]->arrived_ns = UINT64_MAX;
	}
	room -= taken;
	return taken;
}

static void park(unsigned first, unsigned n, uint64_t now_ns)
{
	for (unsigned i = first; i < first + n; i++)
		assert_int_equal(shoal_steering_park(&steering, &packets[i], now_ns), SHOAL_STEERING_PARKED);
}

static void expect_sent(unsigned n)
{
	assert_int_equal(sent_count, n);
	for (unsigned i = 0; i < n; i++)
		assert_ptr_equal(sent[i], &packets[i]);
}

static void test_a_whole_redirection(void **state)
{
	(void)state;
	assert_int_equal(redirect(2, 1000), 0);
	assert_int_equal(state_now(), SHOAL_STEERING_MARKER_DUE);
	assert_true(shoal_steering_set_has(&steering.due, SLOT));
	park(0, 3, 1100);
	shoal_steering_marker_sent(&steering, SLOT);
	assert_int_equal(state_now(), SHOAL_STEERING_MARKER_OUT);
	assert_false(shoal_steering_set_has(&steering.due, SLOT));
	park(3, 40, 1200);
	marker_back(1, 1300);
	assert_int_equal(state_now(), SHOAL_STEERING_FORWARDING);
	room = 35;
	assert_int_equal(shoal_steering_forward(&steering, SLOT, 100, send, NULL, 1400), 35);
	assert_int_equal(sent_to, 2);
	assert_int_equal(state_now(), SHOAL_STEERING_FORWARDING);
	park(43, 5, 1500); /* queues behind the others */
	room = UINT32_MAX;
	assert_int_equal(shoal_steering_forward(&steering, SLOT, 6, send, NULL, 1600), 6);
	assert_int_equal(shoal_steering_forward(&steering, SLOT, 100, send, NULL, 1700), 7);
	expect_sent(48);
	assert_int_equal(state_now(), SHOAL_STEERING_STEADY);
	assert_int_equal(steering.members[SLOT], 2);
	assert_int_equal(steering.parked, 0);
	assert_int_equal(steering.parked_most, 43);
	assert_int_equal(steering.redirects, 1);
	assert_int_equal(steering.redirect_time.sum, 700);
	assert_int_equal(steering.park_time.sum, 3 * 300 + 32 * 200 + 6 * 400 + 2 * 500 + 5 * 200);
}

static void test_without_packets_it_ends_at_once(void **state)
{
	(void)state;
	assert_int_equal(redirect(2, 0), 0);
	shoal_steering_marker_sent(&steering, SLOT);
	marker_back(1, 5);
	assert_int_equal(state_now(), SHOAL_STEERING_STEADY);
	assert_int_equal(steering.members[SLOT], 2);
}

static void test_to_itself_is_nothing(void **state)
{
	(void)state;
	assert_int_equal(redirect(1, 0), 0);
	assert_int_equal(state_now(), SHOAL_STEERING_STEADY);
	assert_int_equal(steering.redirects, 0);
	assert_int_equal(steering.pending_count, 0);
}

static void test_a_slot_without_member_needs_no_marker(void **state)
{
	struct shoal_steering_set all;
	unsigned slot;

	(void)state;
	packets[0].steering_slot = SLOT + 1;
	assert_int_equal(shoal_steering_park(&steering, &packets[0], 0), SHOAL_STEERING_NO_TABLE);
	memset(&all, 0xff, sizeof(all));
	assert_int_equal(shoal_steering_redirect(&steering, &all, 2, 0, &slot), 0);
	assert_int_equal(steering.members[SLOT + 1], 2);
	assert_int_equal(state_now(), SHOAL_STEERING_MARKER_DUE);
	assert_int_equal(steering.pending_count, 1);
}

static void test_assign_is_for_free_slots(void **state)
{
	uint8_t members[SHOAL_STEERING_SLOTS], read[SHOAL_STEERING_SLOTS];
	unsigned slot = 0;

	(void)state;
	memset(members, 4, sizeof(members));
	assert_int_equal(shoal_steering_assign(&steering, members, &slot), -EEXIST);
	assert_int_equal(slot, SLOT);
	assert_int_equal(steering.members[0], SHOAL_MEMBER_NONE); /* nothing was changed */
	members[SLOT] = 1;
	assert_int_equal(shoal_steering_assign(&steering, members, &slot), 0);
	assert_int_equal(shoal_steering_assign(&steering, members, &slot), 0); /* the same again */
	shoal_steering_read(&steering, read);
	assert_memory_equal(read, members, sizeof(read));
}

static void test_busy_until_the_target_is_gone(void **state)
{
	(void)state;
	assert_int_equal(redirect(2, 0), 0);
	park(0, 4, 0);
	assert_int_equal(redirect(3, 0), -EBUSY);
	shoal_steering_marker_sent(&steering, SLOT);
	assert_int_equal(redirect(3, 0), -EBUSY);
	shoal_steering_member_gone(&steering, 2, 0);
	assert_int_equal(state_now(), SHOAL_STEERING_MARKER_OUT);
	assert_int_equal(redirect(1, 0), 0); /* back to where it came from: the marker still has to come first */
	assert_int_equal(state_now(), SHOAL_STEERING_MARKER_OUT);
	marker_back(1, 0);
	assert_int_equal(shoal_steering_forward(&steering, SLOT, 100, send, NULL, 0), 4);
	assert_int_equal(sent_to, 1);
	assert_int_equal(steering.members[SLOT], 1);
}

static void test_old_member_gone(void **state)
{
	(void)state;
	for (unsigned out = 0; out < 2; out++) {
		begin(NULL);
		assert_int_equal(redirect(2, 0), 0);
		park(0, 2, 0);
		if (out)
			shoal_steering_marker_sent(&steering, SLOT);
		shoal_steering_member_gone(&steering, 1, 0);
		assert_int_equal(state_now(), SHOAL_STEERING_FORWARDING);
		assert_int_equal(steering.markers_void, 1);
		marker_back(1, 0); /* it had been on its way */
		assert_int_equal(steering.markers_stale, 1);
		assert_int_equal(shoal_steering_forward(&steering, SLOT, 100, send, NULL, 0), 2);
		expect_sent(2);
	}
}

static void test_both_gone(void **state)
{
	(void)state;
	assert_int_equal(redirect(2, 0), 0);
	park(0, 2, 0);
	shoal_steering_member_gone(&steering, 2, 0);
	shoal_steering_member_gone(&steering, 1, 0);
	assert_int_equal(state_now(), SHOAL_STEERING_STRANDED);
	park(2, 1, 0);
	assert_int_equal(redirect(5, 0), 0);
	assert_int_equal(shoal_steering_forward(&steering, SLOT, 100, send, NULL, 0), 3);
	expect_sent(3);
	assert_int_equal(steering.members[SLOT], 5);
}

static void test_steady_member_gone(void **state)
{
	(void)state;
	shoal_steering_member_gone(&steering, 1, 0);
	assert_int_equal(state_now(), SHOAL_STEERING_LOST);
	assert_int_equal(shoal_steering_park(&steering, &packets[0], 0), SHOAL_STEERING_MEMBER_GONE);
	assert_int_equal(redirect(2, 0), 0);
	assert_int_equal(state_now(), SHOAL_STEERING_STEADY);
}

static void test_new_member_gone_while_forwarding(void **state)
{
	(void)state;
	assert_int_equal(redirect(2, 0), 0);
	park(0, 9, 0);
	shoal_steering_marker_sent(&steering, SLOT);
	marker_back(1, 0);
	room = 4;
	assert_int_equal(shoal_steering_forward(&steering, SLOT, 100, send, NULL, 0), 4);
	assert_int_equal(steering.parked_for[2], 5);
	shoal_steering_member_gone(&steering, 2, 0);
	assert_int_equal(state_now(), SHOAL_STEERING_STRANDED);
	assert_int_equal(steering.parked_for[2], 0);
	room = UINT32_MAX;
	assert_int_equal(redirect(3, 0), 0);
	assert_int_equal(steering.parked_for[3], 5);
	assert_int_equal(shoal_steering_forward(&steering, SLOT, 100, send, NULL, 0), 5);
	expect_sent(9);
}

static void test_parking_is_bounded_and_shared(void **state)
{
	uint8_t members[SHOAL_STEERING_SLOTS];
	struct shoal_steering_set other = { { 4 } };
	unsigned slot;

	(void)state;
	memset(members, SHOAL_MEMBER_NONE, sizeof(members));
	members[2] = 3;
	assert_int_equal(shoal_steering_assign(&steering, members, &slot), 0);
	assert_int_equal(redirect(2, 0), 0);
	park(0, PARKED_MAX / 8 * 7, 0);
	assert_int_equal(shoal_steering_park(&steering, &packets[100], 0), SHOAL_STEERING_PARKED_OVERFLOW);
	assert_int_equal(shoal_steering_redirect(&steering, &other, 2, 0, &slot), 0);
	for (unsigned i = 0; i < PARKED_MAX / 8; i++) {
		packets[100 + i].steering_slot = 2;
		assert_int_equal(shoal_steering_park(&steering, &packets[100 + i], 0), SHOAL_STEERING_PARKED);
	}
	packets[110].steering_slot = 2;
	assert_int_equal(shoal_steering_park(&steering, &packets[110], 0), SHOAL_STEERING_PARKED_OVERFLOW);
	assert_int_equal(steering.parked, PARKED_MAX);
}

static void test_forbidden_transitions_abort(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		signal(SIGABRT, SIG_DFL);
		shoal_steering_marker_sent(&steering, SLOT); /* STEADY: no marker is due */
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_sets_are_walked(void **state)
{
	struct shoal_steering_set set = { { UINT64_C(1) << 63, 0, 1, UINT64_C(1) << 63 } };

	(void)state;
	assert_int_equal(shoal_steering_set_next(&set, 0), 63);
	assert_int_equal(shoal_steering_set_next(&set, 63), 63);
	assert_int_equal(shoal_steering_set_next(&set, 64), 128);
	assert_int_equal(shoal_steering_set_next(&set, 129), 255);
	assert_int_equal(shoal_steering_set_next(&set, 256), SHOAL_STEERING_SLOTS);
}

#define TEST(function) cmocka_unit_test_setup(function, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_whole_redirection),
		TEST(test_without_packets_it_ends_at_once),
		TEST(test_to_itself_is_nothing),
		TEST(test_a_slot_without_member_needs_no_marker),
		TEST(test_assign_is_for_free_slots),
		TEST(test_busy_until_the_target_is_gone),
		TEST(test_old_member_gone),
		TEST(test_both_gone),
		TEST(test_steady_member_gone),
		TEST(test_new_member_gone_while_forwarding),
		TEST(test_parking_is_bounded_and_shared),
		TEST(test_forbidden_transitions_abort),
		cmocka_unit_test(test_sets_are_walked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
