/* SPDX-License-Identifier: BSD-3-Clause */
/* What the generator costs a packet: 60-byte UDP frames of 64 k flows, out of one port and into the
 * sink of the other, without and with stamps. Time is virtual, so that it always has packets due. Medians over chunks of
 * 2,048. */
#include <string.h>

#include "bench.h"
#include "io/generator.h"
#include "worker/runner.h"

#define CHUNK BENCH_CHUNK
#define MEASURE_NS (400 * SHOAL_NS_PER_MS)
#define QUICK_NS (5 * SHOAL_NS_PER_MS)
#define RATE 10e6
#define CHUNK_NS ((uint64_t)(CHUNK * 1e9 / RATE))

struct figures {
	double send_ns, take_ns;
};

static const struct shoal_instruction program[] = {
	{ .kind = SHOAL_INSTRUCTION_TUPLE_FLOW_VAR,
		.name = "t",
		.ip_min = 0x10000001,
		.ip_max = 0x10000100,
		.port_min = 1024,
		.port_max = 1279 },
	{ .kind = SHOAL_INSTRUCTION_WRITE_FLOW_VAR, .name = "t.ip", .packet_offset = 26, .big_endian = 1 },
	{ .kind = SHOAL_INSTRUCTION_WRITE_FLOW_VAR, .name = "t.port", .packet_offset = 34, .big_endian = 1 },
	{ .kind = SHOAL_INSTRUCTION_FIX_CHECKSUM_HW, .l2_bytes = 14, .l3_bytes = 20, .l4_type = SHOAL_CHECKSUM_UDP },
};

static const uint8_t frame[60] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 46, 0, 1, 0, 0, 64, 17, 0, 0,
	16, 0, 0, 1, 48, 0, 0, 1, 4, 0, 19, 136, 0, 26, 1, 1 };

static struct shoal_generator *made(const struct bench *bench)
{
	const struct shoal_generator_config config = { .name = "bench",
		.seed = 1,
		.packets = 8191,
		.catch_up_us = 1000000,
		.flows_max = 1 << 17,
		.row_ms = 100,
		.rows_max = 16 };
	const struct shoal_stream_config stream = { .name = "bench",
		.enabled = 1,
		.self_start = 1,
		.next = -1,
		.rate = RATE,
		.packet = frame,
		.packet_bytes = sizeof(frame),
		.instructions = program,
		.instructions_count = 4 };
	struct shoal_generator *generator = shoal_generator_create(&config);

	if (!generator || shoal_generator_add_stream(generator, 0, &stream))
		bench_fail(bench, shoal_last_error());
	return generator;
}

static struct figures measure(const struct bench *bench, int stamp)
{
	static struct bench_samples send, take;
	static struct shoal_packet *packets[CHUNK];
	struct shoal_generator *generator = made(bench);
	struct shoal_generator_run run = {
		.multiplier = 1, .stamp = stamp, .check_mappings = stamp, .flow_idle_ms = 60000
	};
	struct shoal_port *in = shoal_generator_port(generator, 0), *out = shoal_generator_port(generator, 1);
	struct shoal_generator_totals totals;
	uint64_t end = shoal_clock_now() + (bench->quick ? QUICK_NS : MEASURE_NS), now = SHOAL_NS_PER_S;

	send.count = take.count = 0;
	if (shoal_generator_start(generator, &run))
		bench_fail(bench, shoal_last_error());
	shoal_generator_poll(generator, now);
	while (shoal_clock_now() < end) {
		uint64_t start, middle, stop;
		unsigned count = 0, n;

		now += CHUNK_NS;
		start = shoal_clock_now();
		while (count < CHUNK && (n = in->operations->receive(in, packets + count, SHOAL_BURST_MAX, now)) != 0)
			count += n;
		middle = shoal_clock_now();
		for (unsigned i = 0; i < count; i += SHOAL_BURST_MAX)
			out->operations->transmit(
				out, packets + i, count - i < SHOAL_BURST_MAX ? count - i : SHOAL_BURST_MAX);
		stop = shoal_clock_now();
		if (count < CHUNK / 2)
			continue;
		bench_sample(&send, (double)(middle - start) / count);
		bench_sample(&take, (double)(stop - middle) / count);
	}
	shoal_generator_totals(generator, &totals);
	if (totals.sent_packets[0] != totals.arrived_packets[1] || totals.missing || totals.corrupted)
		bench_fail(bench, "packets went missing");
	shoal_generator_stop(generator);
	shoal_generator_destroy(generator);
	return (struct figures){ .send_ns = bench_median(&send), .take_ns = bench_median(&take) };
}

static void print(struct bench *bench, const char *metric, bool stamped, double ns)
{
	const struct bench_figure figure = { ns, "ns", 0, "instructions of one core" };

	bench_row(bench, &figure, "\"metric\": \"%s\", \"stamped\": %s, \"flows\": 65536, \"packet_bytes\": 64", metric,
		stamped ? "true" : "false");
}

int main(int argc, char **argv)
{
	struct bench bench;

	bench_start(&bench, "generator", argc, argv);
	bench_eal_start(&bench, 128);
	for (unsigned stamped = 0; stamped < 2; stamped++) {
		struct figures figures = measure(&bench, (int)stamped);

		print(&bench, "send", stamped, figures.send_ns);
		print(&bench, "take", stamped, figures.take_ns);
	}
	bench_finish(&bench);
	return 0;
}
