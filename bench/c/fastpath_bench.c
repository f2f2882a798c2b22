/* SPDX-License-Identifier: BSD-3-Clause */
/* The NAT on one worker that owns all it needs, on the planes `shared` and `local`, around one point (64 k flows, Zipf, 64 bytes,
 * nothing blocked, no new flows) with one factor varied at a time; the same NAT on rte_hash, whole and bare; macswap. Each alternates chunk by chunk with the ideal on the same
 * traffic, which has no remote and so never blocks. */
#include <string.h>

#include "nat_world.h"
#include "table_nat.h"

#define CHUNKS 600
#define NEW_CHUNKS 250 /* of 10 % new flows: the tables grow by 51,200 */
#define NEW_FLOWS_MAX (NEW_CHUNKS * BENCH_CHUNK / 5)

enum variant { WORKER, RTE_HASH, RTE_HASH_BARE, MACSWAP };

struct test {
	struct source_traffic traffic;
	enum variant variant;
};

static const struct test tests_64k[] = {
	{ { .flows = 65536, .zipf = true }, WORKER },
	{ { .flows = 65536, .zipf = true }, RTE_HASH },
	{ { .flows = 65536, .zipf = true }, RTE_HASH_BARE },
	{ { .flows = 65536, .zipf = true }, MACSWAP },
	{ { .flows = 65536 }, WORKER },
	{ { .flows = 65536, .zipf = true, .imix = true }, WORKER },
	{ { .flows = 65536, .zipf = true, .blocked = 0.001 }, WORKER },
	{ { .flows = 65536, .zipf = true, .blocked = 0.01 }, WORKER },
	{ { .flows = 65536, .zipf = true, .blocked = 0.1 }, WORKER },
	{ { .flows = 65536, .zipf = true, .blocked = 0.5 }, WORKER },
	{ { .flows = 65536, .zipf = true, .new_flows = 0.01 }, WORKER },
	{ { .flows = 65536, .zipf = true, .new_flows = 0.1 }, WORKER },
};
static const struct test tests_1k[] = { { { .flows = 1024, .zipf = true }, WORKER } };
static const struct test tests_1m[] = {
	{ { .flows = 1048576, .zipf = true }, WORKER },
	{ { .flows = 1048576, .zipf = true }, RTE_HASH },
	{ { .flows = 1048576, .zipf = true }, RTE_HASH_BARE },
};

static const char *limit_of(const struct test *test)
{
	if (test->traffic.blocked >= 0.1)
		return "instructions of one core: waiting for what is elsewhere";
	if (test->traffic.new_flows >= 0.1)
		return "instructions of one core: making mappings";
	if (test->traffic.flows > 200000)
		return "memory latency: the table is larger than the cache";
	return "instructions of one core";
}

static void print(struct bench *bench, const struct test *test, const char *plane, double ns, double ratio)
{
	static const char *const nfs[] = { "nat", "nat", "bare_nat", "macswap" };
	const struct bench_figure figure = { 1000 / ns, "Mpps", ratio, limit_of(test) };
	const struct source_traffic *traffic = &test->traffic;

	bench_row(bench, &figure,
		"\"nf\": \"%s\", \"plane\": \"%s\", \"flows\": %u, \"distribution\": \"%s\", \"packet_bytes\": %s, "
		"\"blocked\": %g, \"new_flows\": %g",
		nfs[test->variant], plane, traffic->flows, source_distribution(traffic), source_packet_bytes(traffic),
		traffic->blocked, traffic->new_flows);
}

static double chunk(struct nat_world *world, const struct test *test, struct rte_nat *rte)
{
	if (test->variant == RTE_HASH)
		return table_nat_chunk(rte_nat_burst, rte, &world->source);
	if (test->variant == RTE_HASH_BARE)
		return table_nat_chunk(rte_nat_bare_burst, rte, &world->source);
	if (test->variant == MACSWAP)
		return table_nat_chunk(macswap_burst, NULL, &world->source);
	return nat_world_worker_chunk(world);
}

static void measure(struct nat_world *world, const struct test *test, struct rte_nat *rte)
{
	const char *const planes[] = { [WORKER] = world->worker->plane->name,
		[RTE_HASH] = "rte_hash",
		[RTE_HASH_BARE] = "rte_hash",
		[MACSWAP] = "none" };
	static struct bench_samples samples, ideal;
	unsigned chunks = world->bench->quick ? 4 : test->traffic.new_flows > 0 ? NEW_CHUNKS : CHUNKS;
	uint32_t next_new = world->source.next_new;
	double ns;

	source_draw(&world->source, &test->traffic, test->traffic.flows);
	nat_world_block(world, test->traffic.blocked > 0);
	samples.count = ideal.count = 0;
	for (unsigned i = 0; i < chunks; i++) {
		bench_sample(&ideal, nat_world_ideal_new_chunk(world, &next_new));
		bench_sample(&samples, chunk(world, test, rte));
	}
	nat_world_check(world);
	ns = bench_median(&samples);
	print(world->bench, test, planes[test->variant], ns, bench_median(&ideal) / ns);
	if (test->variant == WORKER && world->worker->plane == &shoal_plane_shared)
		print(world->bench, test, "ideal", bench_median(&ideal), 1);
}

/* Beside the worker's `ns` a flow what the ideal takes for as many from the same pools; from here on it has tables of its own. */
static void measure_new(struct nat_world *world, double ns)
{
	double ideal_ns = nat_world_own_ideal(world);
	const struct bench_figure figure = { 1000 / ns, "million flows/s", ideal_ns / ns,
		"instructions of one core: making mappings" };

	bench_row(world->bench, &figure,
		"\"nf\": \"nat\", \"plane\": \"%s\", \"metric\": \"new_flows_per_second\", \"flows\": %u, "
		"\"distribution\": "
		"\"uniform\", \"packet_bytes\": 64, \"blocked\": 0, \"new_flows\": 1",
		world->worker->plane->name, world->flows);
}

static void print_memory(struct nat_world *world)
{
	const struct shoal_map *map = &world->worker->space.maps[0];
	double beyond = ((double)map->slab_bytes + (double)map->buckets_bytes) / map->capacity - map->class->key_bytes -
	                map->class->object_bytes;
	const struct bench_figure figure = { beyond, "bytes", 0, "cache lines: an entry shares none with another" };

	bench_row(world->bench, &figure,
		"\"nf\": \"nat\", \"plane\": \"%s\", \"metric\": \"bytes_beyond_key_and_object\", \"class\": "
		"\"%s\", \"flows\": "
		"%u, \"distribution\": \"zipf\", \"packet_bytes\": 64, \"blocked\": 0, \"new_flows\": 0",
		world->worker->plane->name, map->class->name, world->flows);
}

/* On the plane `local` without what knows of no plane. */
static void measure_on(struct bench *bench, struct rte_mempool *pool, const struct test *tests, unsigned count,
	const struct shoal_plane *plane)
{
	uint32_t flows = tests[0].traffic.flows;
	bool shared = plane == &shoal_plane_shared, own = false;
	struct rte_nat *rte = NULL;
	struct nat_world world;
	double new_ns;

	nat_world_init_on(&world, bench, pool, flows, NEW_FLOWS_MAX, plane, NULL);
	if (shared && !(rte = rte_nat_create(flows, &world.worker->context.context)))
		bench_fail(bench, "no memory for rte_hash");
	new_ns = nat_world_fill(&world);
	print_memory(&world);
	for (unsigned i = 0; i < count; i++) {
		if (!shared && tests[i].variant != WORKER)
			continue;
		if (tests[i].traffic.new_flows > 0 && !own) {
			measure_new(&world, new_ns);
			own = true;
		}
		measure(&world, &tests[i], rte);
	}
	if (!own && flows >= 2 * BENCH_CHUNK) /* fewer are one cold chunk */
		measure_new(&world, new_ns);
	nat_world_fini(&world);
	if (rte)
		rte_nat_destroy(rte);
}

static void measure_all(struct bench *bench, struct rte_mempool *pool, const struct test *tests, unsigned count)
{
	measure_on(bench, pool, tests, count, &shoal_plane_shared);
	measure_on(bench, pool, tests, count, &shoal_plane_local);
}

int main(int argc, char **argv)
{
	struct rte_mempool *pool;
	struct bench bench;

	bench_start(&bench, "fastpath", argc, argv);
	bench_eal_start(&bench, 256);
	pool = shoal_packet_pool_create("bench", 8191, 2048);
	if (!pool)
		bench_fail(&bench, "no packet pool");
	measure_all(&bench, pool, tests_64k, sizeof(tests_64k) / sizeof(tests_64k[0]));
	if (!bench.quick) {
		measure_all(&bench, pool, tests_1k, sizeof(tests_1k) / sizeof(tests_1k[0]));
		measure_all(&bench, pool, tests_1m, sizeof(tests_1m) / sizeof(tests_1m[0]));
	}
	bench_finish(&bench);
	return 0;
}
