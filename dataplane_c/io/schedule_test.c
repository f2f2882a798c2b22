/* SPDX-License-Identifier: BSD-3-Clause */
/* Exact virtual times of streams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "io/schedule.h"

/* A test names what differs from the usual initializers. */
#pragma GCC diagnostic ignored "-Woverride-init"

static const uint8_t packet[98]; /* 102 bytes on the wire */

#define STREAM(...)                                                                                                    \
	(struct shoal_stream_config)                                                                                   \
	{                                                                                                              \
		.enabled = 1, .self_start = 1, .next = -1, .rate = 100, .packet = packet,                              \
		.packet_bytes = sizeof(packet), __VA_ARGS__                                                            \
	}
#define BURST(n) .mode = SHOAL_STREAM_SINGLE_BURST, .burst_packets = (n)

struct moment {
	uint32_t stream;
	double time_ms;
};

static struct shoal_schedule *made(const struct shoal_stream_config *streams, unsigned n)
{
	struct shoal_schedule *schedule = shoal_schedule_create(10000000000, 1);

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(shoal_schedule_add(schedule, &streams[i]), 0);
	assert_int_equal(shoal_schedule_check(schedule), 0);
	return schedule;
}

/* The first packets are exactly these; and, with `whole`, there are no others. */
static void follow(struct shoal_schedule *schedule, const struct moment *expected, unsigned n, bool whole)
{
	double due;

	for (unsigned i = 0; i < n; i++) {
		struct shoal_stream *stream = shoal_schedule_due(schedule, INFINITY, &due);

		if (!stream)
			fail_msg("packet %u is missing", i);
		else if (stream->number != expected[i].stream || fabs(due * 1000 - expected[i].time_ms) > 1e-9)
			fail_msg("packet %u: stream %u at %.9f ms", i, stream->number, due * 1000);
		shoal_schedule_advance(schedule);
	}
	if (whole) {
		assert_null(shoal_schedule_due(schedule, INFINITY, &due));
		assert_true(shoal_schedule_finished(schedule));
	}
	shoal_schedule_destroy(schedule);
}

#define FOLLOW(schedule, whole, ...)                                                                                   \
	follow(schedule, (const struct moment[]){ __VA_ARGS__ },                                                       \
		sizeof((const struct moment[]){ __VA_ARGS__ }) / sizeof(struct moment), whole)

static void continuous_until_duration(void **state)
{
	const struct shoal_stream_config streams[] = { STREAM(.start_gap_us = 5000) };
	struct shoal_schedule *schedule = made(streams, 1);

	shoal_schedule_start(schedule, 1, 0.035);
	FOLLOW(schedule, true, { 0, 5 }, { 0, 15 }, { 0, 25 });
}

static void nothing_is_due_early(void **state)
{
	const struct shoal_stream_config streams[] = { STREAM() };
	struct shoal_schedule *schedule = made(streams, 1);
	double due;

	shoal_schedule_start(schedule, 1, 0);
	assert_non_null(shoal_schedule_due(schedule, 0, &due));
	shoal_schedule_advance(schedule);
	assert_null(shoal_schedule_due(schedule, 0.00999, &due));
	assert_false(shoal_schedule_finished(schedule));
	assert_non_null(shoal_schedule_due(schedule, 0.01, &due));
	shoal_schedule_destroy(schedule);
}

static void gap_between_bursts_is_ibg_alone(void **state)
{
	const struct shoal_stream_config streams[] = {
		STREAM(.mode = SHOAL_STREAM_MULTI_BURST, .burst_packets = 2, .bursts = 2, .burst_gap_us = 3000),
	};
	struct shoal_schedule *schedule = made(streams, 1);

	shoal_schedule_start(schedule, 1, 0);
	FOLLOW(schedule, true, { 0, 0 }, { 0, 10 }, { 0, 13 }, { 0, 23 });
}

static void no_bursts_are_endless(void **state)
{
	const struct shoal_stream_config streams[] = {
		STREAM(.mode = SHOAL_STREAM_MULTI_BURST, .burst_packets = 1, .bursts = 0, .burst_gap_us = 1000),
	};
	struct shoal_schedule *schedule = made(streams, 1);

	shoal_schedule_start(schedule, 1, 0);
	FOLLOW(schedule, false, { 0, 0 }, { 0, 1 }, { 0, 2 }, { 0, 3 });
}

static void next_starts_after_the_last_packet(void **state)
{
	const struct shoal_stream_config streams[] = {
		STREAM(BURST(2), .next = 1),
		STREAM(BURST(1), .self_start = 0, .start_gap_us = 1000, .next = 0, .action_count = 3),
	};
	struct shoal_schedule *schedule = made(streams, 2);

	shoal_schedule_start(schedule, 1, 0);
	FOLLOW(schedule, true, { 0, 0 }, { 0, 10 }, { 1, 11 }, { 0, 11 }, { 0, 21 }, { 1, 22 }, { 0, 22 }, { 0, 32 },
		{ 1, 33 });
}

static void action_count_of_a_self_loop(void **state)
{
	const struct shoal_stream_config streams[] = { STREAM(BURST(2), .next = 0, .action_count = 3) };
	struct shoal_schedule *schedule = made(streams, 1);

	shoal_schedule_start(schedule, 1, 0);
	FOLLOW(schedule, true, { 0, 0 }, { 0, 10 }, { 0, 10 }, { 0, 20 }, { 0, 20 }, { 0, 30 });
}

static void equal_times_are_first_come_first_served(void **state)
{
	const struct shoal_stream_config streams[] = { STREAM(BURST(2)), STREAM(BURST(2)), STREAM(BURST(2)) };
	struct shoal_schedule *schedule = made(streams, 3);

	shoal_schedule_start(schedule, 1, 0);
	FOLLOW(schedule, true, { 0, 0 }, { 1, 0 }, { 2, 0 }, { 0, 10 }, { 1, 10 }, { 2, 10 });
}

static void an_active_next_is_not_started_again(void **state)
{
	const struct shoal_stream_config streams[] = {
		STREAM(BURST(1), .next = 1),
		STREAM(BURST(3), .next = -1),
	};
	struct shoal_schedule *schedule = made(streams, 2);

	shoal_schedule_start(schedule, 1, 0);
	FOLLOW(schedule, true, { 0, 0 }, { 1, 0 }, { 1, 10 }, { 1, 20 });
}

static void dummies_take_their_time(void **state)
{
	const struct shoal_stream_config streams[] = {
		STREAM(BURST(3), .flags = SHOAL_STREAM_DUMMY, .next = 1),
		STREAM(BURST(1), .self_start = 0, .start_gap_us = 500),
	};
	struct shoal_schedule *schedule = made(streams, 2);

	shoal_schedule_start(schedule, 1, 0);
	FOLLOW(schedule, true, { 1, 20.5 });
}

static void paused_streams_go_on_in_time(void **state)
{
	const struct shoal_stream_config streams[] = { STREAM(.start_paused = 1) };
	struct shoal_schedule *schedule = made(streams, 1);
	double due;

	shoal_schedule_start(schedule, 1, 0);
	assert_null(shoal_schedule_due(schedule, 0.015, &due));
	shoal_schedule_stream(schedule, 0)->paused = false;
	FOLLOW(schedule, false, { 0, 20 }, { 0, 30 });
}

static void multiplier_spares_latency_streams(void **state)
{
	static uint8_t udp[60];
	const struct shoal_stream_config streams[] = {
		STREAM(BURST(2)),
		STREAM(BURST(2), .packet = udp, .packet_bytes = sizeof(udp), .group_kind = SHOAL_GROUP_LATENCY),
	};
	static const uint8_t head[] = { 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0,
		0, 16, 0, 0, 1, 48, 0, 0, 1, 0, 1, 0, 2, 0, 26 };
	struct shoal_schedule *schedule;

	memcpy(udp, head, sizeof(head));
	schedule = made(streams, 2);
	shoal_schedule_start(schedule, 4, 0);
	FOLLOW(schedule, true, { 0, 0 }, { 1, 0 }, { 0, 2.5 }, { 1, 10 });
}

static void rates_in_bits(void **state)
{
	const struct shoal_stream_config streams[] = {
		STREAM(.rate_kind = SHOAL_RATE_BPS_L1, .rate = 84800),
		STREAM(.rate_kind = SHOAL_RATE_BPS_L2, .rate = 81600),
		STREAM(.rate_kind = SHOAL_RATE_PERCENTAGE, .rate = 0.001),
		STREAM(.packet_bytes = 20, .rate_kind = SHOAL_RATE_BPS_L2, .rate = 51200),
	};
	struct shoal_schedule *schedule = made(streams, 4);
	double expected[] = { 84800 / 976.0, 100, 100000 / 976.0, 100 };

	for (uint32_t i = 0; i < 4; i++)
		assert_true(fabs(shoal_schedule_stream(schedule, i)->pps - expected[i]) < 1e-9);
	shoal_schedule_destroy(schedule);
}

static void refused(const struct shoal_stream_config *streams, unsigned n, const char *because)
{
	struct shoal_schedule *schedule = shoal_schedule_create(0, 1);
	int rc = 0;

	for (unsigned i = 0; !rc && i < n; i++)
		rc = shoal_schedule_add(schedule, &streams[i]);
	rc = rc ? rc : shoal_schedule_check(schedule);
	if (!rc || !strstr(shoal_last_error(), because))
		fail_msg("should be refused because of '%s': %d %s", because, rc, rc ? shoal_last_error() : "was not");
	shoal_schedule_destroy(schedule);
}

#define REFUSED(because, ...)                                                                                          \
	do {                                                                                                           \
		const struct shoal_stream_config streams_[] = { __VA_ARGS__ };                                         \
		refused(streams_, sizeof(streams_) / sizeof(streams_[0]), because);                                    \
	} while (0)

static void what_cannot_be_is_refused(void **state)
{
	REFUSED("14 to 9238", STREAM(.packet_bytes = 13));
	REFUSED("at least one packet", STREAM(BURST(0)));
	REFUSED("never ends", STREAM(.next = 0));
	REFUSED("needs a link", STREAM(.rate_kind = SHOAL_RATE_PERCENTAGE, .rate = 1));
	REFUSED("not above 0", STREAM(.rate = 0));
	REFUSED("not negative", STREAM(.start_gap_us = -1));
	REFUSED("not negative", STREAM(.start_gap_us = NAN));
	REFUSED("IPv4 or IPv6", STREAM(.group_kind = SHOAL_GROUP_LATENCY));
	REFUSED("does not exist", STREAM(BURST(1), .next = 1));
	REFUSED("is disabled", STREAM(BURST(1), .next = 1), STREAM(.enabled = 0));
	REFUSED("neither starts itself", STREAM(.self_start = 0));
	REFUSED("without any time", STREAM(BURST(1), .next = 1), STREAM(BURST(1), .self_start = 0, .next = 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(continuous_until_duration),
		cmocka_unit_test(nothing_is_due_early),
		cmocka_unit_test(gap_between_bursts_is_ibg_alone),
		cmocka_unit_test(no_bursts_are_endless),
		cmocka_unit_test(next_starts_after_the_last_packet),
		cmocka_unit_test(action_count_of_a_self_loop),
		cmocka_unit_test(equal_times_are_first_come_first_served),
		cmocka_unit_test(an_active_next_is_not_started_again),
		cmocka_unit_test(dummies_take_their_time),
		cmocka_unit_test(paused_streams_go_on_in_time),
		cmocka_unit_test(multiplier_spares_latency_streams),
		cmocka_unit_test(rates_in_bits),
		cmocka_unit_test(what_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
