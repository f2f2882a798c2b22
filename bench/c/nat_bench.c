/* SPDX-License-Identifier: BSD-3-Clause */
/* ns a packet of the NAT on one worker that owns everything, beside the ideal: the same parser, hash and rewriting over a
 * private table, without handles, channel or microthreads. Packets are made in memory. Chunks of 2,048 packets alternate
 * between the two; medians and quartiles over all chunks (performance.md, "How to measure here").
 *     nat_bench FLOWS CHUNKS [EAL arguments…]
 * Prints one line of JSON. */
#include <arpa/inet.h>
#include <math.h>
#include <rte_eal.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "object/map_inline.h"
#include "worker/runner.h"
#include "worker/worker.h"

#define CHUNK 2048
#define SEQUENCE (1u << 20)
#define FRAME 60

struct memory_port {
	struct shoal_port port;
	struct rte_mempool *pool;
	const uint32_t *sequence; /* flow of each packet to come */
	uint32_t at;
	uint32_t room; /* packets still to give */
	uint64_t out, wrong;
};

static uint8_t template[64] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 46, 0, 1, 0, 0, 64, 17, 0, 0, 16,
	0, 0, 1, 48, 0, 0, 1, 4, 1, 0, 12, 0, 26, 0, 0 };

static void write_flow(uint8_t *frame, uint32_t flow)
{
	/* 256 ports on each inside host. */
	uint32_t address = htonl(0x10000000u + 1 + flow / 256);
	uint16_t port = htons((uint16_t)(1024 + flow % 256));

	memcpy(frame, template, FRAME);
	memcpy(frame + 26, &address, 4);
	memcpy(frame + 34, &port, 2);
}

static unsigned receive(struct shoal_port *port, struct shoal_packet *packets[], unsigned n, uint64_t now_ns)
{
	struct memory_port *memory = (struct memory_port *)port;
	struct rte_mbuf *mbufs[SHOAL_BURST_MAX];

	if (!memory->room || rte_pktmbuf_alloc_bulk(memory->pool, mbufs, n))
		return 0;
	for (unsigned i = 0; i < n; i++) {
		mbufs[i]->data_len = FRAME;
		mbufs[i]->pkt_len = FRAME;
		packets[i] = shoal_packet_from_mbuf(mbufs[i]);
		packets[i]->port = 0;
		write_flow(packets[i]->frame, memory->sequence[memory->at++ % SEQUENCE]);
	}
	memory->room -= n;
	return n;
}

static unsigned transmit(struct shoal_port *port, struct shoal_packet *const packets[], unsigned n)
{
	struct memory_port *memory = (struct memory_port *)port;
	struct rte_mbuf *mbufs[SHOAL_BURST_MAX];

	for (unsigned i = 0; i < n; i++) {
		mbufs[i] = packets[i]->mbuf;
		memory->wrong += packets[i]->port != 1;
	}
	memory->out += n;
	rte_pktmbuf_free_bulk(mbufs, n);
	return n;
}

static void flush(struct shoal_port *port)
{
}

static void destroy(struct shoal_port *port)
{
}

static const struct shoal_port_operations operations = {
	.receive = receive, .transmit = transmit, .flush = flush, .destroy = destroy
};

static void make_sequence(uint32_t *sequence, uint32_t flows)
{
	/* Zipf with exponent 1 by inverting its continuous form. */
	double norm = log((double)flows + 1);

	for (uint32_t i = 0; i < SEQUENCE; i++) {
		uint32_t rank = (uint32_t)(exp(drand48() * norm)) - 1;

		sequence[i] = (uint32_t)((uint64_t)(rank % flows) * 2654435761u % flows);
	}
}

/* The ideal: a private table of the worker's own objects, no ownership, no channel. */
static void ideal_burst(struct shoal_worker *worker, struct memory_port *port)
{
	const struct shoal_nf_port *declared = &worker->nf->ports[0];
	struct shoal_map *map = &worker->space.maps[0];
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	uint8_t keys[SHOAL_BURST_MAX * 8];
	uint64_t hashes[SHOAL_BURST_MAX];
	uint32_t buckets[SHOAL_BURST_MAX], candidates[SHOAL_BURST_MAX];
	void *objects[SHOAL_BURST_MAX];
	unsigned n = receive(&port->port, packets, SHOAL_BURST_MAX, 0);

	if (!n)
		abort();
	for (unsigned i = 0; i < n; i++)
		if (shoal_parse(packets[i]) != SHOAL_PARSE_OK)
			abort();
	declared->keys(&worker->context.context, packets, n, keys);
	shoal_map_hash_burst(map, keys, n, hashes);
	shoal_map_bucket_burst(map, hashes, n, buckets);
	shoal_map_candidate_burst(map, hashes, buckets, n, candidates);
	for (unsigned i = 0; i < n; i++) {
		uint32_t index = shoal_map_verify(map, candidates[i], keys + i * 8, hashes[i]);

		objects[i] = shoal_map_object(map, shoal_map_entry(map, index));
	}
	worker->nf->process(&worker->context.context, packets, objects, n);
	for (unsigned i = 0; i < n; i++)
		packets[i]->port = packets[i]->verdict & 0xff;
	transmit(&port->port, packets, n);
}

static int by_value(const void *left, const void *right)
{
	double difference = *(const double *)left - *(const double *)right;

	return (difference > 0) - (difference < 0);
}

static void print_row(const char *name, double *values, unsigned n, uint32_t flows, bool last)
{
	qsort(values, n, sizeof(*values), by_value);
	printf("{\"nf\": \"nat\", \"plane\": \"%s\", \"flows\": %u, \"distribution\": \"zipf\", \"packet_bytes\": 64, "
	       "\"unit\": "
	       "\"ns/packet\", \"value\": %.2f, \"quartiles\": [%.2f, %.2f]}%s",
		name, flows, values[n / 2], values[n / 4], values[n * 3 / 4], last ? "" : ", ");
}

static void fail(const char *what)
{
	fprintf(stderr, "nat_bench: %s\n", what);
	exit(1);
}

static void print_counters(const struct shoal_worker *worker)
{
	static struct shoal_statistic rows[512];
	struct shoal_statistics statistics = { .rows = rows, .room = 512 };

	shoal_worker_statistics(worker, &statistics);
	for (long i = 0; i < statistics.count; i++)
		if (rows[i].value)
			fprintf(stderr, "%s{%s} %lu\n", rows[i].name, rows[i].label_value, rows[i].value);
}

static void *make_nat(void)
{
	void *state = shoal_nf.create();
	char error[256];

	if (shoal_nf.configure(state, "public_addresses", "198.18.0.1-198.18.0.255", error, sizeof(error)))
		fail(error);
	if (shoal_nf.configure(state, "inside_prefixes", "16.0.0.0/8", error, sizeof(error)))
		fail(error);
	if (shoal_nf.init(state, error, sizeof(error)))
		fail(error);
	return state;
}

static void open_space(struct shoal_worker *worker)
{
	struct shoal_plan *plan = calloc(1, sizeof(*plan));

	plan->term = plan->epoch_next = 1;
	plan->in_next[0] = 1;
	plan->life[0] = 1;
	if (shoal_keyspace_learn(&worker->space, plan) || shoal_keyspace_hand_over(&worker->space, 1, 1))
		fail("the first plan was refused");
	for (unsigned i = 0; i < 10; i++)
		shoal_worker_poll(worker, 1 + i);
	if (shoal_keyspace_forget(&worker->space, 1, 1))
		fail("the first plan did not end");
	free(plan);
}

static double chunk_ns(struct shoal_worker *worker, struct memory_port *port, bool ideal)
{
	uint64_t begin = shoal_clock_now();

	port->room = CHUNK;
	while (port->room) {
		if (ideal)
			ideal_burst(worker, port);
		else
			shoal_worker_poll(worker, begin);
	}
	return (double)(shoal_clock_now() - begin) / CHUNK;
}

int main(int argc, char **argv)
{
	uint32_t flows = argc > 1 ? (uint32_t)atoi(argv[1]) : 65536, chunks = argc > 2 ? (uint32_t)atoi(argv[2]) : 4000;
	struct shoal_worker *worker = aligned_alloc(64, (sizeof(*worker) + 63) / 64 * 64);
	uint32_t *sequence = malloc(SEQUENCE * sizeof(*sequence)), *all = malloc(SEQUENCE * sizeof(*all));
	double *ideal = malloc(chunks * sizeof(*ideal)), *shared = malloc(chunks * sizeof(*shared));
	struct memory_port port = { .port.operations = &operations }, sink = { .port.operations = &operations };

	argv[argc > 2 ? 2 : argc - 1] = argv[0];
	if (rte_eal_init(argc > 2 ? argc - 2 : 1, argv + (argc > 2 ? 2 : argc - 1)) < 0)
		fail("EAL did not start");
	port.pool = shoal_packet_pool_create("bench", 8191, 2048);
	if (!port.pool)
		fail("no packet pool");
	const struct shoal_worker_config config = { .space = { .life = 1,
							    .hash_seed = 42,
							    .classes = shoal_nf.classes,
							    .classes_count = shoal_nf.classes_count,
							    .objects_max = flows + flows / 8 + 65536,
							    .window = 256,
							    .microthreads_max = 64,
							    .members_max = 64,
							    .touch = true,
							    .deadline_ns = SHOAL_NS_PER_S },
		.nf = &shoal_nf,
		.nf_state = make_nat(),
		.parked_max = 1024,
		.backlog_max = 512,
		.stack_bytes = 16384 };

	if (shoal_worker_init(worker, &config))
		fail("no worker");
	worker->ports[0] = &port.port;
	worker->ports[1] = &sink.port;
	open_space(worker);
	for (uint32_t i = 0; i < SEQUENCE; i++)
		all[i] = i % flows;
	make_sequence(sequence, flows);
	port.sequence = all;
	uint64_t begin = shoal_clock_now();

	for (uint32_t made = 0; made < flows; made += CHUNK)
		chunk_ns(worker, &port, false);
	double new_ns = (double)(shoal_clock_now() - begin) / flows;

	if (worker->space.maps[0].count != flows || worker->space.maps[1].count != flows)
		fail("not every flow got its mapping");
	port.sequence = sequence;
	for (uint32_t i = 0; i < chunks; i++) {
		ideal[i] = chunk_ns(worker, &port, true);
		shared[i] = chunk_ns(worker, &port, false);
	}
	if (port.wrong || sink.wrong)
		fail("a packet was not transmitted outside");
	if (getenv("COUNTERS"))
		print_counters(worker);
	printf("{\"rows\": [");
	print_row("ideal", ideal, chunks, flows, false);
	print_row("shared", shared, chunks, flows, false);
	printf("{\"nf\": \"nat\", \"plane\": \"shared\", \"metric\": \"new_flow\", \"flows\": %u, \"unit\": "
	       "\"ns/flow\", \"value\": %.1f}",
		flows, new_ns);
	printf("], \"ratio_to_ideal\": %.3f, \"suspended\": %lu}\n", ideal[chunks / 2] / shared[chunks / 2],
		worker->blocked);
	shoal_worker_fini(worker);
	return 0;
}
