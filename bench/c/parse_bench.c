/* SPDX-License-Identifier: BSD-3-Clause */
/* What shoal_parse costs: nanoseconds a packet, over chunks of 2,048 packets; the median of thousands of chunks, the kinds of frames taken in turn so that a slow minute hits all of them.
 *
 * "hot": 32 packets again and again, all in the first cache. "pool": 2,048 packets as far apart as mbufs of 2 KiB are,
 * each burst of 32 prefetched before it is parsed, as ports do. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "io/made_frame.h"
#include "io/parse.h"
#include "worker/runner.h"

#define CHUNK BENCH_CHUNK
#define BURST 32
#define CHUNKS 4000
#define HEADROOM_BYTES 128
#define MBUF_BYTES 128
#define ELEMENT_BYTES (MBUF_BYTES + SHOAL_PACKET_PRIVATE_BYTES + HEADROOM_BYTES + 2048)

struct kind {
	const char *name;
	void (*make)(struct made_frame *frame, uint32_t random);
	unsigned packets; /* distinct ones */
	bool parsed; /* else only touched: what the rest of the loop costs */
	uint8_t *elements; /* owns */
	struct bench_samples *samples; /* owns; ns a packet, of each chunk */
};

static void make_udp(struct made_frame *frame, uint32_t random)
{
	made_ethernet(frame, SHOAL_ETHER_IPV4);
	made_ipv4(frame, SHOAL_PROTOCOL_UDP, 0, 0);
	made_udp(frame, (uint16_t)random, 53, 18);
	made_finish(frame);
}

static void make_tcp(struct made_frame *frame, uint32_t random)
{
	made_ethernet(frame, SHOAL_ETHER_IPV4);
	made_ipv4(frame, SHOAL_PROTOCOL_TCP, 0, 0);
	made_tcp(frame, (uint16_t)random, 80, 0);
	made_finish(frame);
}

/* In random order, so that the branch between the two can't be learnt. */
static void make_mixed(struct made_frame *frame, uint32_t random)
{
	if (random & 0x10000)
		make_udp(frame, random);
	else
		make_tcp(frame, random);
}

static void make_vlan(struct made_frame *frame, uint32_t random)
{
	made_ethernet(frame, SHOAL_ETHER_VLAN);
	made_vlan(frame, 5, SHOAL_ETHER_IPV4);
	made_ipv4(frame, SHOAL_PROTOCOL_UDP, 0, 0);
	made_udp(frame, (uint16_t)random, 53, 18);
	made_finish(frame);
}

static struct shoal_packet *packet_at(const struct kind *kind, unsigned index)
{
	return (struct shoal_packet *)(kind->elements + (size_t)index * ELEMENT_BYTES + MBUF_BYTES);
}

static void prepare(struct kind *kind)
{
	uint64_t state = 1;

	kind->elements = aligned_alloc(SHOAL_CACHE_LINE, (size_t)kind->packets * ELEMENT_BYTES);
	kind->samples = calloc(1, sizeof(*kind->samples));
	if (!kind->elements || !kind->samples)
		abort();
	memset(kind->elements, 0, (size_t)kind->packets * ELEMENT_BYTES);
	for (unsigned i = 0; i < kind->packets; i++) {
		struct shoal_packet *packet = packet_at(kind, i);
		struct made_frame frame;

		state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		kind->make(&frame, (uint32_t)(state >> 32));
		packet->frame = (uint8_t *)packet + SHOAL_PACKET_PRIVATE_BYTES + HEADROOM_BYTES;
		packet->length = frame.length;
		memcpy(packet->frame, frame.bytes, frame.length);
	}
}

/* What remains without the parser: reads the frame's and writes the packet's line. */
static inline unsigned touch(struct shoal_packet *packet)
{
	packet->flags = packet->frame[12];
	return packet->flags == UINT8_MAX;
}

/* Frames that were refused; each would be a fault of this program. */
static unsigned parse_burst(const struct kind *kind, unsigned first)
{
	unsigned refused = 0;

	if (kind->packets > BURST) {
		for (unsigned i = 0; i < BURST; i++)
			__builtin_prefetch(packet_at(kind, first + i), 1);
		for (unsigned i = 0; i < BURST; i++)
			__builtin_prefetch(
				(uint8_t *)packet_at(kind, first + i) + SHOAL_PACKET_PRIVATE_BYTES + HEADROOM_BYTES);
	}
	for (unsigned i = 0; i < BURST && !kind->parsed; i++)
		refused += touch(packet_at(kind, first + i));
	for (unsigned i = 0; i < BURST && kind->parsed; i++)
		refused += shoal_parse(packet_at(kind, first + i)) != SHOAL_PARSE_OK;
	return refused;
}

static void measure_chunk(struct kind *kind)
{
	uint64_t began = shoal_clock_now();
	unsigned refused = 0;

	for (unsigned done = 0; done < CHUNK; done += BURST)
		refused += parse_burst(kind, done % kind->packets);
	bench_sample(kind->samples, (double)(shoal_clock_now() - began) / CHUNK);
	if (refused)
		abort();
}

int main(int argc, char **argv)
{
	struct kind kinds[] = {
		{ .name = "udp", .make = make_udp, .packets = BURST },
		{ .name = "udp", .make = make_udp, .packets = CHUNK },
		{ .name = "udp", .make = make_udp, .packets = BURST, .parsed = true },
		{ .name = "tcp", .make = make_tcp, .packets = BURST, .parsed = true },
		{ .name = "vlan", .make = make_vlan, .packets = BURST, .parsed = true },
		{ .name = "udp", .make = make_udp, .packets = CHUNK, .parsed = true },
		{ .name = "mixed", .make = make_mixed, .packets = CHUNK, .parsed = true },
		{ .name = "vlan", .make = make_vlan, .packets = CHUNK, .parsed = true },
	};
	const unsigned count = sizeof(kinds) / sizeof(kinds[0]);
	struct bench bench;

	bench_start(&bench, "parse", argc, argv);
	for (unsigned i = 0; i < count; i++)
		prepare(&kinds[i]);
	for (unsigned chunk = 0; chunk < (bench.quick ? 4 : CHUNKS); chunk++)
		for (unsigned i = 0; i < count; i++)
			measure_chunk(&kinds[i]);
	for (unsigned i = 0; i < count; i++) {
		const struct bench_figure figure = { bench_median(kinds[i].samples), "ns", 0,
			"instructions of one core" };

		bench_row(&bench, &figure, "\"frame\": \"%s\", \"metric\": \"%s\", \"distinct_packets\": %u",
			kinds[i].name, kinds[i].parsed ? "parse" : "touch", kinds[i].packets);
		free(kinds[i].elements);
		free(kinds[i].samples);
	}
	bench_finish(&bench);
	return 0;
}
