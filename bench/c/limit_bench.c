/* SPDX-License-Identifier: BSD-3-Clause */
/* What this machine can do: stages of a packet's way, one after the other added, with 64-byte packets made in memory, burst 32,
 * one core. Each stage alternates chunk by chunk with the ideal NAT. */
#include <stdlib.h>
#include <string.h>

#include "nat_world.h"
#include "object/map_inline.h"
#include "table_nat.h"

#define CHUNKS 600

/* A burst that ends after a stage. */
enum stage { STAGE_GENERATOR, STAGE_PARSE, STAGE_HASH, STAGE_LOOK_UP, STAGES };

static const char *const names[STAGES] = { "generator", "parse", "parse_hash", "table_lookup" };

struct stage_nat {
	struct nat_world *world;
	enum stage stage;
	uint64_t found, hashed; /* so that the compiler leaves nothing out */
};

static void look_up(struct stage_nat *nat, const uint64_t hashes[], const uint8_t *keys, unsigned n)
{
	struct shoal_map *map = nat->world->mappings;
	uint32_t buckets[SHOAL_BURST_MAX], candidates[SHOAL_BURST_MAX];

	shoal_map_bucket_burst(map, hashes, n, buckets);
	shoal_map_candidate_burst(map, hashes, buckets, n, candidates);
	for (unsigned i = 0; i < n; i++)
		nat->found +=
			shoal_map_verify(map, candidates[i], keys + i * sizeof(struct nat_mapping_key), hashes[i]) != 0;
}

static inline __attribute__((always_inline)) void run(struct stage_nat *nat, struct source *source, enum stage stage)
{
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	uint8_t keys[SHOAL_BURST_MAX * sizeof(struct nat_mapping_key)];
	uint64_t hashes[SHOAL_BURST_MAX];
	unsigned n = source_receive(&source->port, packets, SHOAL_BURST_MAX, 0);

	if (!n)
		bench_fail(nat->world->bench, "the pool is empty");
	for (unsigned i = 0; i < n && stage >= STAGE_PARSE; i++)
		if (shoal_parse(packets[i]) != SHOAL_PARSE_OK)
			abort();
	if (stage >= STAGE_HASH) {
		shoal_nf.ports[NAT_INSIDE].keys(&nat->world->worker->context.context, packets, n, keys);
		shoal_map_hash_burst(nat->world->mappings, keys, n, hashes);
		nat->hashed += hashes[n - 1];
	}
	if (stage >= STAGE_LOOK_UP)
		look_up(nat, hashes, keys, n);
	for (unsigned i = 0; i < n; i++)
		packets[i]->port = 1;
	source_transmit(&source->port, packets, n);
}

static void burst(void *of, struct source *source)
{
	struct stage_nat *nat = of;

	switch (nat->stage) {
	case STAGE_GENERATOR:
		run(nat, source, STAGE_GENERATOR);
		break;
	case STAGE_PARSE:
		run(nat, source, STAGE_PARSE);
		break;
	case STAGE_HASH:
		run(nat, source, STAGE_HASH);
		break;
	default:
		run(nat, source, STAGE_LOOK_UP);
	}
}

static const char *limit_of(uint32_t flows)
{
	return flows > 200000 ? "memory latency: the table is larger than the cache" : "instructions of one core";
}

static void print(struct bench *bench, const char *stage, uint32_t flows, double ns, double ratio)
{
	const struct bench_figure figure = { 1000 / ns, "Mpps", ratio, limit_of(flows) };

	bench_row(bench, &figure,
		"\"nf\": \"%s\", \"plane\": \"%s\", \"stage\": \"%s\", \"flows\": %u, \"distribution\": \"zipf\", "
		"\"packet_bytes\": 64, \"blocked\": 0, \"new_flows\": 0",
		strstr(stage, "nat") ? "nat" : "none", strcmp(stage, "ideal_nat") ? "none" : "ideal", stage, flows);
}

/* The stage beside the ideal, chunk by chunk; the ideal's chunks are added to those that it has. */
static void measure(
	struct nat_world *world, const char *name, table_nat_burst stage, void *of, struct bench_samples *ideal)
{
	static struct bench_samples samples, beside;
	double ns;

	samples.count = beside.count = 0;
	for (unsigned i = 0; i < (world->bench->quick ? 4 : CHUNKS); i++) {
		double chunk = nat_world_ideal_chunk(world);

		bench_sample(&beside, chunk);
		bench_sample(ideal, chunk);
		bench_sample(&samples, table_nat_chunk(stage, of, &world->source));
	}
	ns = bench_median(&samples);
	print(world->bench, name, world->flows, ns, bench_median(&beside) / ns);
}

static void measure_flows(struct bench *bench, struct rte_mempool *pool, uint32_t flows)
{
	static struct bench_samples ideal;
	const struct source_traffic traffic = { .flows = flows, .zipf = true };
	struct nat_world world;
	struct bare_nat *bare;

	nat_world_init(&world, bench, pool, flows, 0);
	nat_world_fill(&world);
	bare = bare_nat_create(flows);
	if (!bare)
		bench_fail(bench, "no memory for the bare NAT");
	source_draw(&world.source, &traffic, flows);
	ideal.count = 0;
	for (enum stage stage = 0; stage < STAGES; stage++) {
		struct stage_nat nat = { .world = &world, .stage = stage };

		measure(&world, names[stage], burst, &nat, &ideal);
		if (stage == STAGE_LOOK_UP && !nat.found)
			bench_fail(bench, "no flow was found");
	}
	measure(&world, "bare_nat", bare_nat_burst, bare, &ideal);
	print(bench, "ideal_nat", flows, bench_median(&ideal), 1);
	nat_world_check(&world);
	bare_nat_destroy(bare);
	nat_world_fini(&world);
}

int main(int argc, char **argv)
{
	static const uint32_t flows[] = { 1024, 65536, 1048576 };
	struct rte_mempool *pool;
	struct bench bench;

	bench_start(&bench, "limit", argc, argv);
	bench_eal_start(&bench, 64);
	pool = shoal_packet_pool_create("bench", 8191, 2048);
	if (!pool)
		bench_fail(&bench, "no packet pool");
	for (unsigned i = 0; i < (bench.quick ? 1 : sizeof(flows) / sizeof(flows[0])); i++)
		measure_flows(&bench, pool, flows[i]);
	bench_finish(&bench);
	return 0;
}
