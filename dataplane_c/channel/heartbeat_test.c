/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel/heartbeat.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#define PERIOD UINT64_C(100)

static void no_period_asks_nothing(void **state)
{
	struct shoal_heartbeat heartbeat = { 0 };

	assert_false(shoal_heartbeat_due(&heartbeat, 5000, 0));
	assert_int_equal(shoal_heartbeat_silent_ns(&heartbeat, 6000), 0);
}

static void a_peer_is_heard_as_of_the_question(void **state)
{
	struct shoal_heartbeat one = { 0 }, other = { 0 };
	struct shoal_heartbeat_body body;

	assert_true(shoal_heartbeat_due(&one, 1000, PERIOD));
	body = shoal_heartbeat_say(&one, 1000, PERIOD);
	assert_int_equal(body.question, 1000);
	assert_int_equal(body.answer, 0);
	assert_false(shoal_heartbeat_due(&one, 1099, PERIOD));

	/* The other's clock has nothing to do with ours. */
	assert_true(shoal_heartbeat_due(&other, 7, PERIOD));
	(void)shoal_heartbeat_say(&other, 7, PERIOD);
	assert_false(shoal_heartbeat_due(&other, 8, PERIOD));
	assert_true(shoal_heartbeat_take(&other, &body));
	assert_true(shoal_heartbeat_due(&other, 9, PERIOD)); /* an answer does not wait for the next question */
	body = shoal_heartbeat_say(&other, 9, PERIOD);
	assert_int_equal(body.answer, 1000);
	assert_int_equal(body.question, 0);
	assert_false(shoal_heartbeat_due(&other, 10, PERIOD));

	assert_int_equal(shoal_heartbeat_silent_ns(&one, 1600), 600);
	assert_true(shoal_heartbeat_take(&one, &body)); /* however late it comes */
	assert_int_equal(one.heard_ns, 1000);
	assert_int_equal(shoal_heartbeat_silent_ns(&one, 1600), 600);
	assert_false(one.to_answer); /* answers are not answered: no endless talk */
}

static void a_round_trip_is_told_once_for_each_answer(void **state)
{
	struct shoal_heartbeat one = { 0 }, other = { 0 };
	struct shoal_heartbeat_body body;
	uint64_t round_trip_ns = 0;

	assert_true(shoal_heartbeat_due(&one, 1000, PERIOD));
	body = shoal_heartbeat_say(&one, 1000, PERIOD);
	assert_false(shoal_heartbeat_round_trip(&one, 1010, &round_trip_ns));
	assert_true(shoal_heartbeat_take(&other, &body));
	assert_false(shoal_heartbeat_round_trip(&other, 8, &round_trip_ns)); /* a question is no answer */
	body = shoal_heartbeat_say(&other, 9, PERIOD);
	assert_true(shoal_heartbeat_take(&one, &body));
	assert_true(shoal_heartbeat_round_trip(&one, 1042, &round_trip_ns));
	assert_int_equal(round_trip_ns, 42);
	assert_false(shoal_heartbeat_round_trip(&one, 1043, &round_trip_ns));
	/* The same answer again is none. */
	assert_true(shoal_heartbeat_take(&one, &body));
	assert_false(shoal_heartbeat_round_trip(&one, 1050, &round_trip_ns));
}

static void loss_in_one_direction_is_silence_for_both(void **state)
{
	struct shoal_heartbeat one = { 0 }, other = { 0 };
	struct shoal_heartbeat_body body;

	/* What `one` says arrives; what `other` says does not. */
	for (uint64_t now = PERIOD; now <= 10 * PERIOD; now += PERIOD / 4) {
		if (shoal_heartbeat_due(&one, now, PERIOD)) {
			body = shoal_heartbeat_say(&one, now, PERIOD);
			assert_true(shoal_heartbeat_take(&other, &body));
		}
		if (shoal_heartbeat_due(&other, now, PERIOD))
			(void)shoal_heartbeat_say(&other, now, PERIOD);
	}
	assert_int_equal(one.heard_ns, 0);
	assert_int_equal(other.heard_ns, 0);
	assert_int_equal(shoal_heartbeat_silent_ns(&one, 11 * PERIOD), 10 * PERIOD);
	assert_int_equal(shoal_heartbeat_silent_ns(&other, 11 * PERIOD), 10 * PERIOD);
}

static void an_answer_to_no_question_is_refused(void **state)
{
	struct shoal_heartbeat heartbeat = { 0 };
	struct shoal_heartbeat_body forged = { .question = 3, .answer = 1001 };

	assert_true(shoal_heartbeat_due(&heartbeat, 1000, PERIOD));
	(void)shoal_heartbeat_say(&heartbeat, 1000, PERIOD);
	assert_false(shoal_heartbeat_take(&heartbeat, &forged));
	assert_int_equal(heartbeat.heard_ns, 0);
	assert_int_equal(heartbeat.to_answer, 0);
	/* An older answer takes nothing back. */
	assert_true(shoal_heartbeat_take(&heartbeat, &(struct shoal_heartbeat_body){ .answer = 1000 }));
	assert_true(shoal_heartbeat_take(&heartbeat, &(struct shoal_heartbeat_body){ .answer = 900 }));
	assert_int_equal(heartbeat.heard_ns, 1000);
}

static void a_new_connection_asks_at_once_and_answers_no_old_question(void **state)
{
	struct shoal_heartbeat heartbeat = { 0 };

	assert_true(shoal_heartbeat_due(&heartbeat, 1000, PERIOD));
	(void)shoal_heartbeat_say(&heartbeat, 1000, PERIOD);
	assert_true(shoal_heartbeat_take(&heartbeat, &(struct shoal_heartbeat_body){ .question = 4 }));
	shoal_heartbeat_hurry(&heartbeat);
	assert_true(shoal_heartbeat_due(&heartbeat, 1001, PERIOD));

	struct shoal_heartbeat_body body = shoal_heartbeat_say(&heartbeat, 1001, PERIOD);

	assert_int_equal(body.question, 1001);
	assert_int_equal(body.answer, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_period_asks_nothing),
		cmocka_unit_test(a_peer_is_heard_as_of_the_question),
		cmocka_unit_test(a_round_trip_is_told_once_for_each_answer),
		cmocka_unit_test(loss_in_one_direction_is_silence_for_both),
		cmocka_unit_test(an_answer_to_no_question_is_refused),
		cmocka_unit_test(a_new_connection_asks_at_once_and_answers_no_old_question),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
