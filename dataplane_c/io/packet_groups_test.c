/* SPDX-License-Identifier: BSD-3-Clause */
/* Marks, latency payloads, and how a TRex server counts what comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "io/generator_bench.h"

/* A test names what differs from the usual initializers. */
#pragma GCC diagnostic ignored "-Woverride-init"

static struct shoal_packet_group group_at(struct bench *bench, uint32_t index)
{
	struct shoal_packet_group group;

	assert_int_equal(shoal_generator_packet_group(bench->generator, index, &group), 0);
	return group;
}

static void statistics_are_marked_and_counted(void **state)
{
	struct bench bench;
	uint8_t *frame;

	bench_init(&bench, &bench_config);
	bench.run.stamp = bench.run.check_mappings = 0;
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE,
					 BENCH_STREAM(bench_udp(40), .group_kind = SHOAL_GROUP_STATISTICS,
						 .group = i == 2 ? 70 : 70 + i)),
			0);
	bench_start(&bench, 0.01);
	assert_int_equal(bench_take(&bench, INSIDE), 3);
	frame = bench.held[1]->frame;
	assert_int_equal(shoal_frame_number16(frame + 18), 0xfc01);
	assert_int_equal(frame[15], 1);
	assert_int_equal(shoal_frame_load16(frame + 24), shoal_checksum_ipv4_header(frame + 14));
	shoal_packet_free(bench.held[--bench.held_count]);
	bench_deliver_all(&bench, OUTSIDE);
	assert_int_equal(group_at(&bench, 0).group, 70);
	assert_int_equal(group_at(&bench, 0).sent_packets[INSIDE], 2);
	assert_int_equal(group_at(&bench, 0).received_packets[OUTSIDE], 1);
	assert_int_equal(group_at(&bench, 1).received_bytes[OUTSIDE], 14 + 20 + 8 + 40 + 4);
	bench_fini(&bench);
}

static void labels_of_ipv6(void **state)
{
	struct made_frame made;
	struct bench bench;

	made_ethernet(&made, SHOAL_ETHER_IPV6);
	made_ipv6(&made, SHOAL_PROTOCOL_UDP, 0);
	made_udp(&made, 1, 2, 30);
	made_finish(&made);
	bench_init(&bench, &bench_config);
	bench.run.stamp = bench.run.check_mappings = 0;
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE,
				 BENCH_STREAM(&made, .group_kind = SHOAL_GROUP_STATISTICS, .group = 1)),
		0);
	bench_start(&bench, 0.001);
	assert_int_equal(bench_take(&bench, INSIDE), 1);
	assert_int_equal(shoal_frame_number32(bench.held[0]->frame + 14), 0x6010fc00);
	bench_deliver_all(&bench, OUTSIDE);
	assert_int_equal(group_at(&bench, 0).received_packets[OUTSIDE], 1);
	bench_fini(&bench);
}

/* One latency stream at 1000 a second; its packets are held. */
static void latency_held(struct bench *bench, unsigned n)
{
	bench_init(bench, &bench_config);
	assert_int_equal(shoal_generator_add_stream(bench->generator, INSIDE,
				 BENCH_STREAM(bench_udp(40), .group_kind = SHOAL_GROUP_LATENCY, .group = 5)),
		0);
	bench_start(bench, 0);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(bench_take(bench, INSIDE), 1);
		bench->now_ns += BENCH_MS;
	}
}

static void latency_packets_carry_their_time(void **state)
{
	static const uint8_t payload[] = { 0xab, 1, 0, 0, 0xfe, 0xff, 0xff, 0xff };
	struct bench bench;
	uint8_t *frame;
	uint64_t time_ns;

	latency_held(&bench, 2);
	frame = bench.held[0]->frame;
	assert_int_equal(shoal_frame_number16(frame + 18), 0xffff);
	assert_memory_equal(frame + bench.held[0]->length - 16, payload, sizeof(payload));
	memcpy(&time_ns, frame + bench.held[0]->length - 8, sizeof(time_ns));
	assert_int_equal(time_ns, bench.now_ns - 2 * BENCH_MS);
	assert_int_equal(bench_totals(&bench).unstamped_sent, 0);
	bench_deliver_all(&bench, OUTSIDE);
	assert_int_equal(group_at(&bench, 0).received_packets[OUTSIDE], 2);
	assert_int_equal(bench_totals(&bench).unstamped_arrived, 0);
	bench_fini(&bench);
}

static void losses_and_late_ones(void **state)
{
	struct bench bench;
	struct shoal_packet_group group;

	latency_held(&bench, 8);
	bench_deliver(&bench, 0, OUTSIDE); /* 0 */
	bench_deliver(&bench, 2, OUTSIDE); /* 3: 1 and 2 are missing */
	bench.held[bench.held_count] = bench_copy(&bench, 2);
	bench.held_count++;
	bench_deliver(&bench, 2, OUTSIDE); /* 4 */
	bench_deliver(&bench, bench.held_count - 1, OUTSIDE); /* 4 again */
	bench_deliver(&bench, 0, OUTSIDE); /* 1, late */
	group = group_at(&bench, 0);
	assert_int_equal(group.sequence_too_high, 1);
	assert_int_equal(group.dropped, 1);
	assert_int_equal(group.duplicated, 1);
	assert_int_equal(group.out_of_order, 1);
	assert_int_equal(group.sequence_too_low, 2);
	bench_fini(&bench);
}

static void latencies(void **state)
{
	static const uint64_t delays_us[] = { 5, 25, 25, 345, 1000000 };
	static const unsigned decades[] = { 0, 2, 2, 12, 45 };
	struct bench bench;
	struct shoal_packet_group group;
	double jitter = 0, last = 0;

	bench_init(&bench, &bench_config);
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE,
				 BENCH_STREAM(bench_udp(40), .group_kind = SHOAL_GROUP_LATENCY, .group = 5)),
		0);
	bench_start(&bench, 0);
	for (unsigned i = 0; i < 5; i++) {
		double delay = (double)delays_us[i], difference = delay > last ? delay - last : last - delay;

		assert_true(bench_take(&bench, INSIDE) >= 1);
		while (bench.held_count > 1)
			shoal_packet_free(bench.held[--bench.held_count]);
		bench.now_ns += delays_us[i] * 1000;
		shoal_generator_poll(bench.generator, bench.now_ns);
		bench_deliver_all(&bench, OUTSIDE);
		bench.now_ns += BENCH_MS;
		jitter += (difference - jitter) / 16;
		last = delay;
	}
	group = group_at(&bench, 0);
	assert_int_equal(group.latency.count, 5);
	assert_int_equal(group.latency.max_ns, 1000000000);
	for (unsigned i = 0; i < 5; i++)
		assert_true(group.decades[decades[i]] > 0);
	assert_true(group.jitter_us > jitter - 0.001 && group.jitter_us < jitter + 0.001);
	bench_fini(&bench);
}

static void groups_are_refused(void **state)
{
	struct bench bench;

	bench_init(&bench, &bench_config);
	assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE,
				 BENCH_STREAM(bench_udp(15), .group_kind = SHOAL_GROUP_LATENCY, .group = 5)),
		-EINVAL);
	assert_non_null(strstr(shoal_last_error(), "16 bytes"));
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(shoal_generator_add_stream(bench.generator, INSIDE,
					 BENCH_STREAM(bench_udp(16), .group_kind = SHOAL_GROUP_LATENCY, .group = 5)),
			i ? -EINVAL : 0);
	assert_non_null(strstr(shoal_last_error(), "is taken"));
	bench_start(&bench, 0.001);
	assert_int_equal(shoal_generator_streams(bench.generator, 0, NULL, 0), 1);
	bench_fini(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statistics_are_marked_and_counted),
		cmocka_unit_test(labels_of_ipv6),
		cmocka_unit_test(latency_packets_carry_their_time),
		cmocka_unit_test(losses_and_late_ones),
		cmocka_unit_test(latencies),
		cmocka_unit_test(groups_are_refused),
	};

	return cmocka_run_group_tests(tests, bench_eal_start, bench_eal_stop);
}
