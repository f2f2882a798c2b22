/* SPDX-License-Identifier: BSD-3-Clause */
/* When packets leave, answers, commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "io/generator_bench.h"

/* A test names what differs from the usual initializers. */
#pragma GCC diagnostic ignored "-Woverride-init"

static void short_delays_are_made_good(void **state)
{
	struct bench bench;

	bench_init(&bench, &bench_config);
	assert_int_equal(
		shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(bench_udp(40), .rate = 10000)), 0);
	bench_start(&bench, 0);
	assert_int_equal(bench_take(&bench, INSIDE), 1);
	bench.now_ns += 1900000; /* the next was due after 100 us: 1.8 ms late */
	assert_int_equal(bench_take(&bench, INSIDE), 19);
	assert_int_equal(bench_totals(&bench).slips, 0);
	assert_int_equal(bench_totals(&bench).late_max_ns, 1800000);
	bench_fini(&bench);
}

/* Of 12 ms, 2 are made good; the rest shifts the schedule and is reported. */
static void long_delays_shift_the_schedule(void **state)
{
	struct bench bench;

	bench_init(&bench, &bench_config);
	assert_int_equal(
		shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(bench_udp(40), .rate = 10000)), 0);
	bench_start(&bench, 0);
	assert_int_equal(bench_take(&bench, INSIDE), 1);
	bench.now_ns += 12 * BENCH_MS;
	assert_int_equal(bench_take(&bench, INSIDE), 21);
	assert_int_equal(bench_totals(&bench).slips, 1);
	assert_in_range(bench_totals(&bench).slipped_ns, 9899990, 9900010);
	assert_int_equal(bench_take(&bench, INSIDE), 0);
	bench.now_ns += BENCH_MS;
	assert_in_range(bench_take(&bench, INSIDE), 9, 10);
	bench_fini(&bench);
}

static void an_empty_pool_delays_and_loses_nothing(void **state)
{
	struct shoal_generator_config config = bench_config;
	struct bench bench;

	config.name[0] = 's';
	config.packets = 15;
	bench_init(&bench, &config);
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE,
				 BENCH_STREAM(bench_udp(40), .rate = 1e6, .mode = SHOAL_STREAM_SINGLE_BURST,
					 .burst_packets = 25)),
		0);
	bench_start(&bench, 0);
	bench.now_ns += BENCH_MS;
	assert_int_equal(bench_take(&bench, INSIDE), 15);
	assert_int_equal(bench_totals(&bench).pool_empty, 1);
	bench_deliver_all(&bench, OUTSIDE);
	assert_int_equal(bench_take(&bench, INSIDE), 10);
	bench_deliver_all(&bench, OUTSIDE);
	shoal_generator_poll(bench.generator, bench.now_ns);
	assert_int_equal(bench_totals(&bench).running, 0);
	assert_int_equal(bench_stream(&bench, 0).there.received_packets, 25);
	assert_int_equal(bench_totals(&bench).missing, 0);
	bench_fini(&bench);
}

/* Inside to outside and back, with a translator between. */
static void translate(struct shoal_packet *packet, bool out)
{
	uint8_t *frame = packet->frame;
	uint8_t *address = frame + (out ? 26 : 30), *port = frame + (out ? 34 : 36);

	address[1] = out ? 9 : 0;
	made_store16(port, (uint16_t)(shoal_frame_number16(port) + (out ? 1000 : -1000)));
	shoal_frame_store16(frame + 24, shoal_checksum_ipv4_header(frame + 14));
	shoal_frame_store16(frame + 40, shoal_checksum_transport(frame + 14, frame + 34, 48, SHOAL_PROTOCOL_UDP));
}

static void round_trip(struct bench *bench, unsigned mislead)
{
	bench_take(bench, INSIDE);
	if (bench->held_count)
		translate(bench->held[0], true);
	bench_deliver_all(bench, OUTSIDE);
	bench_take(bench, OUTSIDE);
	if (bench->held_count) {
		translate(bench->held[0], false);
		if (mislead) {
			made_store16(bench->held[0]->frame + 36, 9999);
			shoal_frame_store16(bench->held[0]->frame + 40,
				shoal_checksum_transport(bench->held[0]->frame + 14, bench->held[0]->frame + 34, 48,
					SHOAL_PROTOCOL_UDP));
		}
	}
	bench_deliver_all(bench, INSIDE);
	bench->now_ns += BENCH_MS;
}

static void every_second_packet_is_answered(void **state)
{
	struct shoal_generator_config config = bench_config;
	struct shoal_generator_stream stream;
	struct bench bench;

	config.responses_max = 8;
	bench_init(&bench, &config);
	bench.run.respond_every = 2;
	assert_int_equal(
		shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(bench_udp(40), FOUR_FLOWS)), 0);
	bench_start(&bench, 0.04);
	for (unsigned i = 0; i < 50; i++)
		round_trip(&bench, 0);
	stream = bench_stream(&bench, 0);
	assert_int_equal(stream.there.received_packets, 40);
	assert_int_equal(stream.back.sent_packets, 20);
	assert_int_equal(stream.back.received_packets, 20);
	assert_int_equal(bench_totals(&bench).responses_sent, 20);
	assert_int_equal(bench_totals(&bench).corrupted, 0);
	assert_int_equal(bench_totals(&bench).mappings_checked, 60);
	assert_int_equal(bench_totals(&bench).mapping_changed + bench_totals(&bench).mapping_misled, 0);
	bench_fini(&bench);
}

static void answers_that_go_astray_are_seen(void **state)
{
	struct shoal_generator_config config = bench_config;
	struct bench bench;

	config.responses_max = 8;
	bench_init(&bench, &config);
	bench.run.respond_every = 1;
	assert_int_equal(
		shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(bench_udp(40), FOUR_FLOWS)), 0);
	bench_start(&bench, 0);
	for (unsigned i = 0; i < 4; i++)
		round_trip(&bench, i == 2);
	assert_int_equal(bench_totals(&bench).mapping_misled, 1);
	assert_int_equal(bench_stream(&bench, 0).back.received_packets, 4);
	bench_fini(&bench);
}

static void answers_are_bounded(void **state)
{
	struct shoal_generator_config config = bench_config;
	struct bench bench;

	config.responses_max = 3;
	bench_init(&bench, &config);
	bench.run.respond_every = 1;
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(bench_udp(40))), 0);
	bench_start(&bench, 0.01);
	bench_pass(&bench, 10, 0);
	assert_int_equal(bench_totals(&bench).responses_dropped, 7);
	assert_int_equal(bench_take(&bench, OUTSIDE), 3);
	bench_deliver_all(&bench, INSIDE);
	assert_int_equal(bench_stream(&bench, 0).back.received_packets, 3);
	assert_int_equal(bench_totals(&bench).missing, 0); /* numbers are given when an answer leaves */
	bench_fini(&bench);
}

static void echo_requests_get_replies(void **state)
{
	struct shoal_generator_config config = bench_config;
	struct made_frame echo;
	struct bench bench;

	made_ethernet(&echo, SHOAL_ETHER_IPV4);
	made_ipv4(&echo, SHOAL_PROTOCOL_ICMP, 0, 0);
	made_icmp(&echo, 8, 77);
	made_append(&echo, 30);
	made_finish(&echo);
	config.responses_max = 3;
	bench_init(&bench, &config);
	bench.run.respond_every = 1;
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(&echo)), 0);
	bench_start(&bench, 0);
	bench_pass(&bench, 1, 0);
	assert_int_equal(bench_take(&bench, OUTSIDE), 1);
	assert_int_equal(bench.held[0]->frame[34], 0);
	bench_deliver_all(&bench, INSIDE);
	assert_int_equal(bench_stream(&bench, 0).back.received_packets, 1);
	assert_int_equal(bench_totals(&bench).corrupted + bench_totals(&bench).mapping_misled, 0);
	bench_fini(&bench);
}

static void flows_end_and_begin(void **state)
{
	static const struct shoal_instruction churn[] = {
		{ .kind = SHOAL_INSTRUCTION_FLOW_VAR,
			.name = "p",
			.size = 2,
			.init_value = 1024,
			.min_value = 1024,
			.max_value = 65535,
			.step = 1 },
		{ .kind = SHOAL_INSTRUCTION_WRITE_FLOW_VAR, .name = "p", .packet_offset = 34, .big_endian = 1 },
	};
	struct bench bench;

	bench_init(&bench, &bench_config);
	bench.run.flow_idle_ms = 20;
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE,
				 BENCH_STREAM(bench_udp(40), .instructions = churn, .instructions_count = 2)),
		0);
	bench_start(&bench, 0);
	bench_pass(&bench, 300, 0);
	assert_int_equal(bench_totals(&bench).flows_started, 300);
	assert_in_range(bench_totals(&bench).flows_live, 20, 40);
	assert_int_equal(bench_totals(&bench).flows_refused, 0);
	assert_int_equal(bench_stream(&bench, 0).there.received_packets, 300);
	bench_fini(&bench);
}

static void commands(void **state)
{
	struct bench bench;

	bench_init(&bench, &bench_config);
	assert_int_equal(shoal_generator_start(bench.generator, &bench_run), -EINVAL);
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(bench_udp(40))), 0);
	assert_int_equal(shoal_generator_add_stream(bench.generator, 8, BENCH_STREAM(bench_udp(40))), -EINVAL);
	bench_start(&bench, 0);
	assert_int_equal(shoal_generator_start(bench.generator, &bench_run), -EBUSY);
	bench_pass(&bench, 10, 0);
	assert_int_equal(shoal_generator_pause(bench.generator, INSIDE, 1, 1), -ENOENT);
	assert_int_equal(shoal_generator_pause(bench.generator, INSIDE, 0, 1), 0);
	bench_pass(&bench, 10, 0);
	assert_int_equal(bench_stream(&bench, 0).there.sent_packets, 10);
	assert_int_equal(shoal_generator_pause(bench.generator, INSIDE, 0, 0), 0);
	assert_int_equal(shoal_generator_set_multiplier(bench.generator, 2), 0);
	bench_pass(&bench, 10, 0);
	assert_in_range(bench_stream(&bench, 0).there.sent_packets, 28, 31);
	assert_int_equal(shoal_generator_stop(bench.generator), 0);
	bench_pass(&bench, 10, 0);
	assert_in_range(bench_stream(&bench, 0).there.sent_packets, 28, 31);
	bench_fini(&bench);
}

/* A second profile replaces the first; packets of before are strangers to it. */
static void another_profile(void **state)
{
	struct bench bench;

	bench_init(&bench, &bench_config);
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(bench_udp(40))), 0);
	bench_start(&bench, 0.01);
	bench_take(&bench, INSIDE);
	assert_int_equal(shoal_generator_stop(bench.generator), 0);
	assert_int_equal(
		shoal_generator_add_stream(bench.generator, OUTSIDE, BENCH_STREAM(bench_udp(100), .name = "second")),
		0);
	bench_start(&bench, 0.01);
	bench_deliver_all(&bench, OUTSIDE);
	assert_int_equal(bench_totals(&bench).unknown_flow, 1);
	assert_int_equal(bench_stream(&bench, 0).nf_port, OUTSIDE);
	assert_string_equal(bench_stream(&bench, 0).name, "second");
	bench_take(&bench, OUTSIDE);
	bench_deliver_all(&bench, INSIDE);
	assert_int_equal(bench_stream(&bench, 0).there.received_packets, 1);
	bench_fini(&bench);
}

static void bad_configurations_are_refused(void **state)
{
	static const struct {
		size_t offset;
		const char *because;
	} cases[] = {
		{ offsetof(struct shoal_generator_config, packets), "no packets" },
		{ offsetof(struct shoal_generator_config, row_ms), "row_ms" },
		{ offsetof(struct shoal_generator_config, rows_max), "rows_max" },
		{ offsetof(struct shoal_generator_config, flows_max), "flows_max" },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct shoal_generator_config config = bench_config;

		memset((uint8_t *)&config + cases[i].offset, 0, sizeof(uint32_t));
		assert_null(shoal_generator_create(&config));
		assert_non_null(strstr(shoal_last_error(), cases[i].because));
	}
}

static void bad_runs_are_refused(void **state)
{
	static const struct {
		struct shoal_generator_run run;
		const char *because;
	} cases[] = {
		{ { .multiplier = 0 }, "multiplier" },
		{ { .multiplier = 1, .duration_s = -1 }, "duration" },
		{ { .multiplier = 1, .respond_every = 1 }, "stamps" },
		{ { .multiplier = 1, .check_mappings = 1 }, "stamps" },
		{ { .multiplier = 1, .stamp = 1 }, "flow_idle_ms" },
		{ { .multiplier = 1, .stamp = 1, .flow_idle_ms = 1, .respond_every = 1 }, "responses_max" },
	};
	struct shoal_generator_config config = bench_config;
	struct bench bench;

	config.responses_max = 0;
	bench_init(&bench, &config);
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE, BENCH_STREAM(bench_udp(40))), 0);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(shoal_generator_start(bench.generator, &cases[i].run), -EINVAL);
		assert_non_null(strstr(shoal_last_error(), cases[i].because));
	}
	bench_fini(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_delays_are_made_good),
		cmocka_unit_test(long_delays_shift_the_schedule),
		cmocka_unit_test(an_empty_pool_delays_and_loses_nothing),
		cmocka_unit_test(every_second_packet_is_answered),
		cmocka_unit_test(answers_that_go_astray_are_seen),
		cmocka_unit_test(answers_are_bounded),
		cmocka_unit_test(echo_requests_get_replies),
		cmocka_unit_test(flows_end_and_begin),
		cmocka_unit_test(commands),
		cmocka_unit_test(another_profile),
		cmocka_unit_test(bad_configurations_are_refused),
		cmocka_unit_test(bad_runs_are_refused),
	};

	return cmocka_run_group_tests(tests, bench_eal_start, bench_eal_stop);
}
