/* SPDX-License-Identifier: BSD-3-Clause */
/* The same NAT on its planes: `local`, `shared`, and `remote` on a redis-server of its own on the other core, by the most packets
 * under way; what a client costs that does nothing but one GET and one SET for each packet; and an ideal store behind a ring, on
 * the other core. 64 k flows, 64 bytes, everything known before; then, one at a time, an IMIX, and flows of 100 packets. Planes that need one core alternate chunk by chunk with the ideal. */
#include <stdlib.h>
#include <string.h>

#include "bare_client.h"
#include "plane/made_server.h"
#include "planes_latency.h"
#include "ring_store.h"
#include "worker/runner.h"

#define FLOWS 65536u
#define QUICK_FLOWS 4096u
#define CHUNKS 600
#define RING_CHUNKS 300
#define REMOTE_PACKETS 60000u
#define ONE_PACKETS 6000u /* where one packet is under way */
#define LATENCY_NS (400 * SHOAL_NS_PER_MS)
#define LOAD 0.5 /* of what a plane bears, where latencies are measured */

enum kind { UNIFORM, ZIPF, IMIX, SHORT_FLOWS, KINDS };

struct planes {
	struct bench bench;
	struct rte_mempool *pool;
	uint32_t flows;
	struct nat_world shared, local;
	struct made_server server;
	double shared_ns[KINDS], local_ns[KINDS], ideal_ns[KINDS];
	uint32_t remotes; /* workers on the server so far */
	double best_remote_ns;
	double half_remote_ns; /* between packets, at LOAD of what remote bears */
};

static struct source_traffic traffic_of(const struct planes *planes, enum kind kind)
{
	return (struct source_traffic){ .flows = planes->flows,
		.zipf = kind == ZIPF,
		.imix = kind == IMIX,
		.new_flows = kind == SHORT_FLOWS ? 0.01 : 0 };
}

/* "batch" is the most packets under way, and what more the row is told by; cores: that it keeps busy. */
static void print(struct planes *planes, const char *plane, enum kind kind, const char *batch, unsigned cores,
	double ns, const char *limited_by)
{
	const struct bench_figure figure = { 1000 / ns, "Mpps", planes->ideal_ns[kind] / ns, limited_by };
	const struct source_traffic traffic = traffic_of(planes, kind);

	bench_row(&planes->bench, &figure,
		"\"nf\": \"nat\", \"plane\": \"%s\", \"flows\": %u, \"distribution\": \"%s\", \"packet_bytes\": %s, "
		"\"blocked\": 0, \"new_flows\": %g, \"batch\": %s, \"cores\": %u",
		plane, planes->flows, source_distribution(&traffic), source_packet_bytes(&traffic), traffic.new_flows,
		batch, cores);
}

static void print_ratio(struct planes *planes, const char *metric, double ratio)
{
	const struct bench_figure figure = { ratio, "times", 0, "both rows" };

	bench_row(&planes->bench, &figure,
		"\"nf\": \"nat\", \"plane\": \"shared\", \"metric\": \"%s\", \"flows\": %u, \"distribution\": "
		"\"uniform\", "
		"\"packet_bytes\": 64, \"blocked\": 0, \"new_flows\": 0",
		metric, planes->flows);
}

/* How long packets are inside, offered at a steady rate. */
static void print_latency(
	struct planes *planes, struct nat_world *world, const char *plane, double interval_ns, bool pipe)
{
	static const struct {
		const char *metric;
		double share;
	} shares[] = { { "latency_us_p50", 0.5 }, { "latency_us_p99", 0.99 }, { "latency_us_p999", 0.999 } };
	const struct source_traffic traffic = traffic_of(planes, UNIFORM);
	bool remote = !strcmp(plane, "remote");
	static struct shoal_latency latency;

	source_draw(&world->source, &traffic, planes->flows);
	planes_latency_measure(world, interval_ns, planes->bench.quick ? LATENCY_NS / 20 : LATENCY_NS,
		pipe ? planes->bench.other_cpu : -1, &latency);
	nat_world_check(world);
	for (unsigned i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		const struct bench_figure figure = { (double)shoal_latency_quantile(&latency, shares[i].share) / 1000,
			"us", 0,
			remote ? "round trips, and the scheduler's slices"
			       : "how often the worker polls, and the scheduler's slices" };

		bench_row(&planes->bench, &figure,
			"\"nf\": \"nat\", \"plane\": \"%s\", \"metric\": \"%s\", \"flows\": %u, \"distribution\": "
			"\"uniform\", \"packet_bytes\": 64, \"blocked\": 0, \"new_flows\": 0, \"offered\": \"%s\", "
			"\"pipe\": %s, \"cores\": %u",
			plane, shares[i].metric, planes->flows,
			remote || interval_ns != planes->half_remote_ns ? "half" : "half of remote's",
			pipe ? "true" : "false", remote ? 2u : 1u);
	}
}

/* --- One core --- */

/* The ideal works on the plane's own table: so each finds in the cache what the other has left there. ns a packet. */
static double measure_here(struct planes *planes, struct nat_world *world, const char *plane, enum kind kind)
{
	static struct bench_samples ideal, worker;
	const struct source_traffic traffic = traffic_of(planes, kind);
	uint32_t next_new = world->source.next_new;

	source_draw(&world->source, &traffic, planes->flows);
	ideal.count = worker.count = 0;
	for (unsigned i = 0; i < (planes->bench.quick ? 4 : CHUNKS); i++) {
		bench_sample(&ideal, nat_world_ideal_new_chunk(world, &next_new));
		bench_sample(&worker, nat_world_worker_chunk(world));
	}
	nat_world_check(world);
	planes->ideal_ns[kind] = bench_median(&ideal);
	print(planes, plane, kind, "32", 1, bench_median(&worker), "instructions of one core");
	return bench_median(&worker);
}

static void measure_planes_here(struct planes *planes, enum kind kind)
{
	planes->local_ns[kind] = measure_here(planes, &planes->local, "local", kind);
	planes->shared_ns[kind] = measure_here(planes, &planes->shared, "shared", kind);
	print(planes, "ideal", kind, "32", 1, planes->ideal_ns[kind], "instructions of one core");
}

static void measure_short_flows_here(struct planes *planes)
{
	nat_world_own_ideal(&planes->local);
	nat_world_own_ideal(&planes->shared);
	measure_planes_here(planes, SHORT_FLOWS);
}

/* --- A store behind a ring --- */

static void measure_ring(struct planes *planes)
{
	static const unsigned depths[] = { 1, 4, RING_STORE_DEPTH };
	const struct source_traffic traffic = traffic_of(planes, UNIFORM);
	struct ring_store *store = ring_store_create(&planes->bench, &planes->shared);
	static struct bench_samples samples;
	double best = 0;

	source_draw(&planes->shared.source, &traffic, planes->flows);
	for (unsigned i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		char batch[16];

		samples.count = 0;
		for (unsigned chunk = 0; chunk < (planes->bench.quick ? 4 : RING_CHUNKS); chunk++)
			bench_sample(&samples, ring_store_chunk(store, &planes->shared, depths[i]));
		snprintf(batch, sizeof(batch), "%u", depths[i] * SHOAL_BURST_MAX);
		print(planes, "ring_store", UNIFORM, batch, 2, bench_median(&samples),
			"messages between two cores; both are busy");
		if (!best || bench_median(&samples) < best)
			best = bench_median(&samples);
	}
	ring_store_destroy(store);
	print_ratio(planes, "shared_against_ring_store_per_core", 2 * best / planes->shared_ns[UNIFORM]);
}

/* --- remote --- */

/* The median of what as many packets as are in a part take; with those that are under way already. With a pipe the source's
 * room is another thread's. */
static double remote_ns(struct nat_world *world, unsigned packets, unsigned part, int receiver_cpu)
{
	static struct bench_samples samples;
	struct planes_pipe *pipe = NULL;
	uint64_t begin, now, since, out = world->sink.out, end = out + packets;

	samples.count = 0;
	world->source.room = packets;
	if (receiver_cpu >= 0)
		pipe = planes_pipe_start(world, receiver_cpu);
	begin = now = since = shoal_clock_now();
	while ((pipe ? world->sink.out < end : world->source.room) || shoal_worker_inside(world->worker)) {
		shoal_worker_poll(world->worker, now);
		now = shoal_clock_now();
		if (now - begin > 60 * SHOAL_NS_PER_S)
			bench_fail(world->bench, "packets do not come back");
		if (world->sink.out - out < part)
			continue;
		bench_sample(&samples, (double)(now - since) / (double)(world->sink.out - out));
		since = now;
		out = world->sink.out;
	}
	planes_pipe_stop(pipe);
	return bench_median(&samples);
}

static void measure_remote(struct planes *planes, unsigned batch, enum kind kind, bool pipe)
{
	int receiver_cpu = pipe ? planes->bench.other_cpu : -1;
	struct shoal_remote_config remote = { .name = "nat", .owner = ++planes->remotes, .batch_max = batch };
	const struct source_traffic traffic = traffic_of(planes, kind);
	unsigned packets = batch == 1 ? ONE_PACKETS : REMOTE_PACKETS;
	struct nat_world world;
	char text[48];
	double ns;

	snprintf(remote.address, sizeof(remote.address), "%s", planes->server.address);
	nat_world_init_on(&world, &planes->bench, planes->pool, planes->flows, 0, &shoal_plane_remote, &remote);
	if (!planes->best_remote_ns)
		nat_world_fill(&world); /* the first: its flows lie there for the others */
	world.source.next_new = planes->flows;
	source_draw(&world.source, &traffic, planes->flows);
	remote_ns(&world, 64, 32, receiver_cpu); /* connected, and its code at hand */
	ns = remote_ns(&world, planes->bench.quick ? 64 : packets,
		planes->bench.quick || batch == 1 ? 32
		: batch                           ? 512
						  : 8192,
		receiver_cpu);
	nat_world_check(&world);
	snprintf(text, sizeof(text), batch ? "%u" : "\"adaptive\"", batch);
	strcat(text, pipe ? ", \"pipe\": true" : ", \"pipe\": false");
	print(planes, "remote", kind, text, 2, ns,
		kind == ZIPF ? "round trips: packets of one flow follow each other"
		: pipe       ? "the server: two commands a packet, and its core is the receiver's too"
			     : "the server: two commands a packet");
	if (!batch && kind == UNIFORM) {
		if (!pipe)
			planes->half_remote_ns = ns / LOAD;
		print_latency(planes, &world, "remote", planes->half_remote_ns, pipe);
	}
	nat_world_fini(&world);
	if (kind == UNIFORM && (!planes->best_remote_ns || ns < planes->best_remote_ns))
		planes->best_remote_ns = ns;
}

static void measure_latencies_here(struct planes *planes)
{
	struct nat_world *worlds[] = { &planes->local, &planes->shared };
	static const char *const names[] = { "local", "shared" };

	for (unsigned i = 0; i < 2; i++) {
		print_latency(
			planes, worlds[i], names[i], (i ? planes->shared_ns : planes->local_ns)[UNIFORM] / LOAD, false);
		print_latency(planes, worlds[i], names[i], planes->half_remote_ns, false);
	}
}

static void measure_server(struct planes *planes)
{
	static const unsigned batches[] = { 0, 1, 8, 32, 100 };

	if (made_server_start(&planes->server, false, planes->bench.other_cpu))
		bench_fail(&planes->bench, "there is no redis-server, or it does not start (Debian: redis-server)");
	for (unsigned i = 0; i < 5; i++)
		measure_remote(planes, batches[i], UNIFORM, false);
	for (enum kind kind = ZIPF; kind < KINDS; kind++)
		measure_remote(planes, 0, kind, false);
	for (unsigned i = 0; i < 5; i++)
		measure_remote(planes, batches[i], UNIFORM, true);
	for (unsigned i = 1; i < 5; i++) {
		unsigned packets = planes->bench.quick ? 100 : batches[i] == 1 ? ONE_PACKETS : REMOTE_PACKETS;
		char batch[16];

		snprintf(batch, sizeof(batch), "%u", batches[i]);
		print(planes, "get_set", UNIFORM, batch, 2,
			bare_client_ns(&planes->bench, planes->server.address + strlen("unix:"), planes->flows,
				batches[i], packets / batches[i] * batches[i]),
			"the server: a GET and a SET a packet, and nothing else");
	}
	made_server_end(&planes->server);
	print_ratio(planes, "shared_against_remote", planes->best_remote_ns / planes->shared_ns[UNIFORM]);
}

int main(int argc, char **argv)
{
	static struct planes planes;

	bench_start(&planes.bench, "planes", argc, argv);
	if (planes.bench.other_cpu < 0)
		bench_fail(&planes.bench, "a store needs a core of its own: --other-cpu N");
	bench_eal_start(&planes.bench, 256);
	planes.flows = planes.bench.quick ? QUICK_FLOWS : FLOWS;
	planes.pool = shoal_packet_pool_create("bench", 32767, 2048);
	if (!planes.pool)
		bench_fail(&planes.bench, "no packet pool");
	nat_world_init(&planes.shared, &planes.bench, planes.pool, planes.flows, 0);
	nat_world_init_on(&planes.local, &planes.bench, planes.pool, planes.flows, 0, &shoal_plane_local, NULL);
	nat_world_fill(&planes.shared);
	nat_world_fill(&planes.local);
	planes.shared.worker->nf = &shoal_nf;
	for (enum kind kind = UNIFORM; kind < SHORT_FLOWS; kind++)
		measure_planes_here(&planes, kind);
	measure_ring(&planes);
	measure_short_flows_here(&planes);
	measure_server(&planes);
	measure_latencies_here(&planes);
	nat_world_fini(&planes.local);
	nat_world_fini(&planes.shared);
	bench_finish(&planes.bench);
	return 0;
}
