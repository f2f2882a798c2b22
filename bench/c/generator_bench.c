/* SPDX-License-Identifier: BSD-3-Clause */
/* What the generator costs a packet, in nanoseconds, as JSON: 60-byte UDP frames of 64 k flows, out of one port and into the
 * sink of the other, without and with stamps. Time is virtual, so that it always has packets due. Medians over chunks of
 * 2,048.
 *
 *     generator_bench [EAL arguments; without: --no-huge -m 512] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/generator.h"
#include "worker/clock.h"
#include "worker/runner.h"

#define CHUNK 2048U
#define CHUNKS_MAX 4096U
#define MEASURE_NS (600 * SHOAL_NS_PER_MS)
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

static int ascending(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return (a > b) - (a < b);
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), ascending);
	return count ? values[count / 2] : 0;
}

static struct shoal_generator *made(void)
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

	if (!generator || shoal_generator_add_stream(generator, 0, &stream)) {
		fprintf(stderr, "generator_bench: %s\n", shoal_last_error());
		exit(1);
	}
	return generator;
}

static struct figures measure(int stamp)
{
	static double send[CHUNKS_MAX], take[CHUNKS_MAX];
	static struct shoal_packet *packets[CHUNK];
	struct shoal_generator *generator = made();
	struct shoal_generator_run run = {
		.multiplier = 1, .stamp = stamp, .check_mappings = stamp, .flow_idle_ms = 60000
	};
	struct shoal_port *in = shoal_generator_port(generator, 0), *out = shoal_generator_port(generator, 1);
	struct shoal_generator_totals totals;
	uint64_t end = shoal_clock_now() + MEASURE_NS, now = SHOAL_NS_PER_S;
	unsigned chunks = 0;

	if (shoal_generator_start(generator, &run)) {
		fprintf(stderr, "generator_bench: %s\n", shoal_last_error());
		exit(1);
	}
	shoal_generator_poll(generator, now);
	while (chunks < CHUNKS_MAX && shoal_clock_now() < end) {
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
		send[chunks] = (double)(middle - start) / count;
		take[chunks++] = (double)(stop - middle) / count;
	}
	shoal_generator_totals(generator, &totals);
	if (totals.sent_packets[0] != totals.arrived_packets[1] || totals.missing || totals.corrupted)
		fprintf(stderr, "generator_bench: packets went missing\n");
	shoal_generator_stop(generator);
	shoal_generator_destroy(generator);
	return (struct figures){ .send_ns = median(send, chunks), .take_ns = median(take, chunks) };
}

int main(int count, char **arguments)
{
	static char prefix[48];
	const char *defaults[] = { arguments[0], "--no-huge", "-m", "512", "--no-pci", "--no-telemetry", "--no-shconf",
		"--file-prefix", prefix };
	struct figures plain, stamped;

	snprintf(prefix, sizeof(prefix), "generator-bench-%d", (int)getpid());
	if (count > 1 ? shoal_eal_start(count, (const char *const *)arguments)
		      : shoal_eal_start(sizeof(defaults) / sizeof(defaults[0]), defaults)) {
		fprintf(stderr, "generator_bench: %s\n", shoal_last_error());
		return 1;
	}
	shoal_clock_calibrate();
	plain = measure(0);
	stamped = measure(1);
	printf("{\"flows\": 65536, \"frame_bytes\": 60, \"plain_send_ns\": %.1f, \"plain_take_ns\": %.1f, "
	       "\"stamped_send_ns\": %.1f, \"stamped_take_ns\": %.1f}\n",
		plain.send_ns, plain.take_ns, stamped.send_ns, stamped.take_ns);
	shoal_eal_stop();
	return 0;
}
