/* SPDX-License-Identifier: BSD-3-Clause */
/* What the splitter costs a packet: from a port that makes packets out of a pool, through the
 * splitter to an echo instance at the other end of its packet ring (in the same thread), back, and out of a port that frees
 * them. Only the splitter's polls are in its row: parse, steer, two copies, both directions' ring work. Beside it the
 * ports without a splitter, and the instances' part. Medians over chunks of 2,048. */
#include <arpa/inet.h>
#include <rte_mbuf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "io/splitter.h"
#include "worker/runner.h"

#define CHUNK BENCH_CHUNK
#define MEASURE_NS (100 * SHOAL_NS_PER_MS)
#define QUICK_NS (2 * SHOAL_NS_PER_MS)
#define POOL_PACKETS 8191U
#define FRAME_ROOM 1600U
#define RING_BYTES (1U << 19)
#define MEMBERS 8U

struct bench_port {
	struct shoal_port port;
	struct rte_mempool *pool;
	uint16_t frame_bytes;
};

struct instance {
	struct shoal_packet_ring *ring;
	struct shoal_port *port;
};

static uint8_t steer(const struct shoal_packet *packet)
{
	return (uint8_t)ntohs(packet->tuple.source_port);
}

static uint32_t keys(const struct shoal_context *context, struct shoal_packet *const packets[], unsigned n, void *out)
{
	(void)context, (void)packets, (void)n, (void)out;
	return 0;
}

static void *create(void)
{
	return NULL;
}

static int configure(void *nf_state, const char *name, const char *value, char *error, size_t error_bytes)
{
	(void)nf_state, (void)name, (void)value, (void)error, (void)error_bytes;
	return 0;
}

static int init(void *nf_state, char *error, size_t error_bytes)
{
	(void)nf_state, (void)error, (void)error_bytes;
	return 0;
}

static void destroy(void *nf_state)
{
	(void)nf_state;
}

static void process(
	struct shoal_context *context, struct shoal_packet *const packets[], void *const objects[], unsigned n)
{
	(void)context, (void)packets, (void)objects, (void)n;
}

static uint16_t packet_handler(struct shoal_context *context, struct shoal_packet *packet, const void *key)
{
	(void)context, (void)packet, (void)key;
	return SHOAL_TRANSMIT(0);
}

static const struct shoal_nf_port nf_port = { .name = "port", .steer = steer, .keys = keys };
static const struct shoal_nf nf = { .abi = SHOAL_NF_ABI,
	.name = "bench",
	.version = "1",
	.ports = &nf_port,
	.ports_count = 1,
	.create = create,
	.configure = configure,
	.init = init,
	.destroy = destroy,
	.process = process,
	.packet = packet_handler };

/* --- A port like net_null: its frames were written into the pool's buffers once --------------------------------------- */

static unsigned receive(struct shoal_port *base, struct shoal_packet *packets[], unsigned n, uint64_t now_ns)
{
	struct bench_port *port = (struct bench_port *)(void *)base;
	struct rte_mbuf *mbufs[SHOAL_BURST_MAX];

	(void)now_ns;
	if (rte_pktmbuf_alloc_bulk(port->pool, mbufs, n) != 0)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		mbufs[i]->data_len = port->frame_bytes;
		mbufs[i]->pkt_len = port->frame_bytes;
		packets[i] = shoal_packet_from_mbuf(mbufs[i]);
	}
	return n;
}

static unsigned transmit(struct shoal_port *base, struct shoal_packet *const packets[], unsigned n)
{
	struct rte_mbuf *mbufs[SHOAL_BURST_MAX];

	(void)base;
	for (unsigned i = 0; i < n; i++) {
		mbufs[i % SHOAL_BURST_MAX] = packets[i]->mbuf;
		if (i % SHOAL_BURST_MAX == SHOAL_BURST_MAX - 1 || i == n - 1)
			rte_pktmbuf_free_bulk(mbufs, i % SHOAL_BURST_MAX + 1);
	}
	return n;
}

static void nothing(struct shoal_port *base)
{
	(void)base;
}

static const struct shoal_port_operations operations = {
	.receive = receive, .transmit = transmit, .flush = nothing, .destroy = nothing
};

static void frame_write(struct rte_mempool *pool, void *argument, void *object, unsigned index)
{
	uint16_t frame_bytes = *(uint16_t *)argument;
	uint8_t *frame = rte_pktmbuf_mtod((struct rte_mbuf *)object, uint8_t *);
	const uint16_t words[] = { htons(0x0800), htons(0x4500), htons(frame_bytes - 14), 0, 0, htons(0x4011), 0,
		htons(0x0a00), htons((uint16_t)index), htons(0xc633), htons(0x6401), htons((uint16_t)(index * 7)),
		htons(9000), htons(frame_bytes - 34), 0 };

	(void)pool;
	memset(frame, 0, frame_bytes);
	memcpy(frame + 12, words, sizeof(words));
}

/* --- Measuring ---------------------------------------------------------------------------------------------------- */

static double measure_ports(const struct bench *bench, struct bench_port *port)
{
	static struct bench_samples samples;
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	uint64_t end = shoal_clock_now() + (bench->quick ? QUICK_NS : MEASURE_NS);

	samples.count = 0;
	while (shoal_clock_now() < end) {
		uint64_t start = shoal_clock_now();

		for (unsigned i = 0; i < CHUNK; i += SHOAL_BURST_MAX)
			transmit(&port->port, packets, receive(&port->port, packets, SHOAL_BURST_MAX, start));
		bench_sample(&samples, (double)(shoal_clock_now() - start) / (double)(CHUNK));
	}
	return bench_median(&samples);
}

static void echo(struct instance *instance)
{
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	unsigned n = instance->port->operations->receive(instance->port, packets, SHOAL_BURST_MAX, 0);

	instance->port->operations->transmit(instance->port, packets, n);
	instance->port->operations->flush(instance->port);
}

static void measure_splitter(const struct bench *bench, struct shoal_splitter *splitter, struct instance *instances,
	unsigned members, double *splitter_ns, double *echo_ns)
{
	static struct bench_samples polls, echoes;
	uint64_t end = shoal_clock_now() + (bench->quick ? QUICK_NS : MEASURE_NS), now;

	polls.count = echoes.count = 0;
	do {
		uint64_t packets = splitter->transmitted, in_polls = 0, in_echoes = 0;

		while (splitter->transmitted - packets < CHUNK) {
			uint64_t start = shoal_clock_now();

			shoal_splitter_poll(splitter, start);
			now = shoal_clock_now();
			in_polls += now - start;
			for (unsigned i = 0; i < members; i++)
				echo(&instances[i]);
			in_echoes += shoal_clock_now() - now;
		}
		bench_sample(&polls, (double)(in_polls) / (double)(splitter->transmitted - packets));
		bench_sample(&echoes, (double)(in_echoes) / (double)(splitter->transmitted - packets));
	} while (now < end);
	*splitter_ns = bench_median(&polls);
	*echo_ns = bench_median(&echoes);
}

/* --- Setting up ----------------------------------------------------------------------------------------------------- */

static void attach(const struct bench *bench, struct shoal_splitter *splitter, struct instance *instances,
	unsigned members, struct rte_mempool *pool)
{
	uint8_t table[SHOAL_STEERING_SLOTS];
	unsigned slot;

	for (unsigned i = 0; i < members; i++) {
		int descriptor = shoal_ring_pair_create(RING_BYTES);
		struct shoal_packet_ring *ring = shoal_packet_ring_create(descriptor, 0, pool);

		instances[i].ring = shoal_packet_ring_create(descriptor, 1, pool);
		if (ring == NULL || instances[i].ring == NULL ||
			shoal_splitter_member_add(splitter, (uint16_t)i, ring) != 0)
			bench_fail(bench, "no packet ring");
		instances[i].port = shoal_packet_ring_port(instances[i].ring);
		close(descriptor);
	}
	for (unsigned i = 0; i < SHOAL_STEERING_SLOTS; i++)
		table[i] = (uint8_t)(i % members);
	if (shoal_splitter_table_assign(splitter, table, &slot) != 0)
		bench_fail(bench, "no table");
}

static void print(struct bench *bench, const char *metric, uint16_t frame_bytes, unsigned members, double ns)
{
	const struct bench_figure figure = { ns, "ns", 0, frame_bytes > 256 ? "copying" : "instructions of one core" };

	bench_row(bench, &figure, "\"metric\": \"%s\", \"packet_bytes\": %u, \"members\": %u", metric, frame_bytes + 4u,
		members);
}

static void measure(struct bench *bench, struct rte_mempool *pool, uint16_t frame_bytes, unsigned members)
{
	struct shoal_splitter_setup setup = { .nf = &nf, .parked_max = 1024, .fragments_max = 64 };
	struct bench_port port = { .port = { .operations = &operations }, .pool = pool, .frame_bytes = frame_bytes };
	struct shoal_splitter *splitter = aligned_alloc(SHOAL_CACHE_LINE, (sizeof(*splitter) + 63) / 64 * 64);
	struct instance instances[MEMBERS];
	double ports_ns, splitter_ns, echo_ns;

	if (splitter == NULL || shoal_splitter_init(splitter, &setup) != 0 ||
		shoal_splitter_port_add(splitter, 0, &port.port) != 0)
		bench_fail(bench, "no splitter");
	rte_mempool_obj_iter(pool, frame_write, &frame_bytes);
	attach(bench, splitter, instances, members, pool);
	ports_ns = measure_ports(bench, &port);
	measure_splitter(bench, splitter, instances, members, &splitter_ns, &echo_ns);
	print(bench, "ports", frame_bytes, members, ports_ns);
	print(bench, "splitter", frame_bytes, members, splitter_ns);
	print(bench, "echo", frame_bytes, members, echo_ns);
	for (unsigned i = 0; i < members; i++)
		instances[i].port->operations->destroy(instances[i].port);
	shoal_splitter_fini(splitter);
	free(splitter);
}

int main(int argc, char **argv)
{
	static const uint16_t sizes[] = { 60, 1514 };
	static const unsigned members[] = { 1, 2, MEMBERS };
	struct rte_mempool *pool;
	struct bench bench;

	bench_start(&bench, "splitter", argc, argv);
	bench_eal_start(&bench, 128);
	pool = shoal_packet_pool_create("bench", POOL_PACKETS, FRAME_ROOM);
	if (!pool)
		bench_fail(&bench, "no packet pool");
	for (unsigned i = 0; i < 2; i++)
		for (unsigned j = 0; j < 3; j++)
			measure(&bench, pool, sizes[i], members[j]);
	bench_finish(&bench);
	return 0;
}
