/* SPDX-License-Identifier: BSD-3-Clause */
/* What the splitter costs a packet, in nanoseconds, as JSON: from a port that makes packets out of a pool, through the
 * splitter to an echo instance at the other end of its packet ring (in the same thread), back, and out of a port that frees
 * them. Only the splitter's polls are in splitter_ns: parse, steer, two copies, both directions' ring work. Beside it the
 * ports without a splitter, and the instances' part. Medians over chunks of 2,048.
 *
 *     splitter_bench [EAL arguments; without: --no-huge -m 512] */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_mbuf.h>

#include "io/splitter.h"
#include "worker/clock.h"
#include "worker/runner.h"

#define CHUNK 2048U
#define CHUNKS_MAX 4096U
#define MEASURE_NS (400 * SHOAL_NS_PER_MS)
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

struct samples {
	double ns[CHUNKS_MAX];
	unsigned count;
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

static void add(struct samples *samples, uint64_t nanoseconds, uint64_t packets)
{
	if (samples->count < CHUNKS_MAX && packets != 0)
		samples->ns[samples->count++] = (double)nanoseconds / (double)packets;
}

static int ascending(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return (a > b) - (a < b);
}

static double median(struct samples *samples)
{
	qsort(samples->ns, samples->count, sizeof(samples->ns[0]), ascending);
	return samples->count != 0 ? samples->ns[samples->count / 2] : 0;
}

static double measure_ports(struct bench_port *port)
{
	static struct samples samples;
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	uint64_t end = shoal_clock_now() + MEASURE_NS;

	samples.count = 0;
	while (shoal_clock_now() < end) {
		uint64_t start = shoal_clock_now();

		for (unsigned i = 0; i < CHUNK; i += SHOAL_BURST_MAX)
			transmit(&port->port, packets, receive(&port->port, packets, SHOAL_BURST_MAX, start));
		add(&samples, shoal_clock_now() - start, CHUNK);
	}
	return median(&samples);
}

static void echo(struct instance *instance)
{
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	unsigned n = instance->port->operations->receive(instance->port, packets, SHOAL_BURST_MAX, 0);

	instance->port->operations->transmit(instance->port, packets, n);
	instance->port->operations->flush(instance->port);
}

static void measure_splitter(struct shoal_splitter *splitter, struct instance *instances, unsigned members,
	double *splitter_ns, double *echo_ns)
{
	static struct samples polls, echoes;
	uint64_t end = shoal_clock_now() + MEASURE_NS, now;

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
		add(&polls, in_polls, splitter->transmitted - packets);
		add(&echoes, in_echoes, splitter->transmitted - packets);
	} while (now < end);
	*splitter_ns = median(&polls);
	*echo_ns = median(&echoes);
}

/* --- Setting up ----------------------------------------------------------------------------------------------------- */

static void fail(const char *what)
{
	fprintf(stderr, "splitter_bench: %s: %s\n", what, shoal_last_error());
	exit(1);
}

static void attach(
	struct shoal_splitter *splitter, struct instance *instances, unsigned members, struct rte_mempool *pool)
{
	uint8_t table[SHOAL_STEERING_SLOTS];
	unsigned slot;

	for (unsigned i = 0; i < members; i++) {
		int descriptor = shoal_ring_pair_create(RING_BYTES);
		struct shoal_packet_ring *ring = shoal_packet_ring_create(descriptor, 0, pool);

		instances[i].ring = shoal_packet_ring_create(descriptor, 1, pool);
		if (ring == NULL || instances[i].ring == NULL ||
			shoal_splitter_member_add(splitter, (uint16_t)i, ring) != 0)
			fail("no packet ring");
		instances[i].port = shoal_packet_ring_port(instances[i].ring);
		close(descriptor);
	}
	for (unsigned i = 0; i < SHOAL_STEERING_SLOTS; i++)
		table[i] = (uint8_t)(i % members);
	if (shoal_splitter_table_assign(splitter, table, &slot) != 0)
		fail("no table");
}

static void bench(struct rte_mempool *pool, uint16_t frame_bytes, unsigned members, bool last)
{
	struct shoal_splitter_setup setup = { .nf = &nf, .parked_max = 1024, .fragments_max = 64 };
	struct bench_port port = { .port = { .operations = &operations }, .pool = pool, .frame_bytes = frame_bytes };
	struct shoal_splitter *splitter = aligned_alloc(SHOAL_CACHE_LINE, (sizeof(*splitter) + 63) / 64 * 64);
	struct instance instances[MEMBERS];
	double ports_ns, splitter_ns, echo_ns;

	if (splitter == NULL || shoal_splitter_init(splitter, &setup) != 0 ||
		shoal_splitter_port_add(splitter, 0, &port.port) != 0)
		fail("no splitter");
	rte_mempool_obj_iter(pool, frame_write, &frame_bytes);
	attach(splitter, instances, members, pool);
	ports_ns = measure_ports(&port);
	measure_splitter(splitter, instances, members, &splitter_ns, &echo_ns);
	printf("  {\"frame_bytes\": %u, \"members\": %u, \"ports_ns\": %.1f, \"splitter_ns\": %.1f, \"echo_ns\": "
	       "%.1f}%s\n",
		frame_bytes, members, ports_ns, splitter_ns, echo_ns, last ? "" : ",");
	for (unsigned i = 0; i < members; i++)
		instances[i].port->operations->destroy(instances[i].port);
	shoal_splitter_fini(splitter);
	free(splitter);
}

int main(int count, char **arguments)
{
	static const char *const without_huge[] = { "splitter_bench", "--no-huge", "-m", "512", "--no-pci",
		"--no-telemetry", "--no-shconf", "--file-prefix", "splitter-bench" };
	static const uint16_t sizes[] = { 60, 1514 };
	static const unsigned members[] = { 1, 2, MEMBERS };
	int code =
		count > 1 ? shoal_eal_start(count, (const char *const *)arguments) : shoal_eal_start(9, without_huge);
	struct rte_mempool *pool = code == 0 ? shoal_packet_pool_create("bench", POOL_PACKETS, FRAME_ROOM) : NULL;

	if (pool == NULL)
		fail("no packets");
	shoal_clock_calibrate();
	printf("{\"splitter\": [\n");
	for (unsigned i = 0; i < 2; i++)
		for (unsigned j = 0; j < 3; j++)
			bench(pool, sizes[i], members[j], i == 1 && j == 2);
	printf("]}\n");
	shoal_eal_stop();
	return 0;
}
