/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: a generator whose two ports are joined by a wire that the test holds in its hands. Time is the test's. */
#ifndef SHOAL_IO_GENERATOR_BENCH_H
#define SHOAL_IO_GENERATOR_BENCH_H

#include <rte_mbuf.h>
#include <stdio.h>
#include <unistd.h>

#include "io/generator.h"
#include "io/made_frame.h"

#define BENCH_MS SHOAL_NS_PER_MS
#define INSIDE 0
#define OUTSIDE 1

static const struct shoal_generator_run bench_run = {
	.multiplier = 1, .stamp = 1, .check_mappings = 1, .flow_idle_ms = 1000
};

struct bench {
	struct shoal_generator_run run;
	struct shoal_generator *generator;
	struct shoal_port *ports[2];
	uint64_t now_ns;
	struct shoal_packet *held[256]; /* sent, and not yet delivered */
	unsigned held_count;
};

static const struct shoal_generator_config bench_config = { .name = "bench",
	.seed = 7,
	.packets = 1023,
	.catch_up_us = 2000,
	.flows_max = 64,
	.responses_max = 8,
	.row_ms = 10,
	.rows_max = 64 };

/* UDP with room for a stamp; the field engine counts the source port from 1024 on. */
static const struct shoal_instruction bench_ports[] = {
	{ .kind = SHOAL_INSTRUCTION_FLOW_VAR,
		.name = "p",
		.size = 2,
		.init_value = 1024,
		.min_value = 1024,
		.max_value = 1027,
		.step = 1 },
	{ .kind = SHOAL_INSTRUCTION_WRITE_FLOW_VAR, .name = "p", .packet_offset = 34, .big_endian = 1 },
};

static inline struct made_frame *bench_udp(uint16_t payload)
{
	static struct made_frame frame;

	made_ethernet(&frame, SHOAL_ETHER_IPV4);
	made_ipv4(&frame, SHOAL_PROTOCOL_UDP, 0, 0);
	made_udp(&frame, 1024, 53, payload);
	made_finish(&frame);
	return &frame;
}

#define BENCH_STREAM(made, ...)                                                                                        \
	(&(struct shoal_stream_config){ .enabled = 1,                                                                  \
		.self_start = 1,                                                                                       \
		.next = -1,                                                                                            \
		.rate = 1000,                                                                                          \
		.packet = (made)->bytes,                                                                               \
		.packet_bytes = (made)->length,                                                                        \
		__VA_ARGS__ })
#define FOUR_FLOWS .instructions = bench_ports, .instructions_count = 2

static inline void bench_init(struct bench *bench, const struct shoal_generator_config *config)
{
	*bench = (struct bench){
		.run = bench_run, .generator = shoal_generator_create(config), .now_ns = 5 * SHOAL_NS_PER_S
	};
	assert_non_null(bench->generator);
	for (uint8_t i = 0; i < 2; i++)
		bench->ports[i] = shoal_generator_port(bench->generator, i);
}

static inline void bench_start(struct bench *bench, double duration_s)
{
	bench->run.duration_s = duration_s;
	assert_int_equal(shoal_generator_start(bench->generator, &bench->run), 0);
	shoal_generator_poll(bench->generator, bench->now_ns);
}

/* What one port gives at this moment is held. */
static inline unsigned bench_take(struct bench *bench, unsigned port)
{
	unsigned n = bench->ports[port]->operations->receive(
		bench->ports[port], bench->held + bench->held_count, SHOAL_BURST_MAX, bench->now_ns);

	bench->held_count += n;
	return n;
}

static inline void bench_deliver(struct bench *bench, unsigned at, unsigned port)
{
	struct shoal_packet *packet = bench->held[at];

	bench->held_count--;
	memmove(bench->held + at, bench->held + at + 1, (bench->held_count - at) * sizeof(packet));
	packet->port = (uint8_t)port;
	assert_int_equal(bench->ports[port]->operations->transmit(bench->ports[port], &packet, 1), 1);
}

static inline void bench_deliver_all(struct bench *bench, unsigned port)
{
	while (bench->held_count)
		bench_deliver(bench, 0, port);
}

static inline struct shoal_packet *bench_copy(struct bench *bench, unsigned at)
{
	struct shoal_packet *packet = bench->held[at];
	struct shoal_packet *copy = shoal_packet_alloc(packet->mbuf->pool, packet->length);

	assert_non_null(copy);
	memcpy(copy->frame, packet->frame, packet->length);
	return copy;
}

/* Sends at `from` and delivers at `to` for some milliseconds, one packet delayed by `delay_ns`. */
static inline void bench_pass(struct bench *bench, unsigned milliseconds, uint64_t delay_ns)
{
	for (unsigned i = 0; i < milliseconds; i++) {
		bench_take(bench, INSIDE);
		bench->now_ns += delay_ns;
		shoal_generator_poll(bench->generator, bench->now_ns);
		bench_deliver_all(bench, OUTSIDE);
		bench->now_ns += BENCH_MS - delay_ns;
	}
}

static inline struct shoal_generator_totals bench_totals(struct bench *bench)
{
	struct shoal_generator_totals totals;

	assert_int_equal(shoal_generator_totals(bench->generator, &totals), 0);
	return totals;
}

static inline struct shoal_generator_stream bench_stream(struct bench *bench, long at)
{
	struct shoal_generator_stream stream;

	assert_true(shoal_generator_streams(bench->generator, at, &stream, 1) > at);
	return stream;
}

/* Nothing may be left of a run: every mbuf is back. */
static inline void bench_fini(struct bench *bench)
{
	while (bench->held_count)
		shoal_packet_free(bench->held[--bench->held_count]);
	assert_int_equal(shoal_generator_stop(bench->generator), 0);
	shoal_generator_destroy(bench->generator);
}

static inline int bench_eal_start(void **state)
{
	static char prefix[48];
	const char *arguments[] = { "generator-test", "--no-huge", "-m", "64", "--no-pci", "--no-telemetry",
		"--no-shconf", "--file-prefix", prefix };

	snprintf(prefix, sizeof(prefix), "generator-test-%d", (int)getpid());
	return shoal_eal_start(sizeof(arguments) / sizeof(arguments[0]), arguments);
}

static inline int bench_eal_stop(void **state)
{
	shoal_eal_stop();
	return 0;
}

#endif
