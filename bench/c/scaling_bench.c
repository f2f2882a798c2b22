/* SPDX-License-Identifier: BSD-3-Clause */
/* S6 figure 8: what n instances carry. On cores of their own, one, two, and 4, 8 and 16 where there are so many cores: measured, in
 * turn. 4, 8 and 16: what a packet costs where so many instances share one core chunk by chunk, and its caches with each other.
 * More: modelled and simulated from these costs (scaling_model.h); no wall-clock figure is claimed for more instances than cores. */
#include <rte_cycles.h>
#include <stdlib.h>
#include <string.h>

#include "nat_world.h"
#include "scaling_cores.h"
#include "scaling_model.h"
#include "worker/runner.h"

#define CHUNKS 200
#define SHARED_FLOWS 65536

void scaling_print(struct bench *bench, const char *how, unsigned instances, uint32_t flows, const char *metric,
	const struct bench_figure *figure)
{
	bench_row(bench, figure,
		"\"nf\": \"nat\", \"plane\": \"shared\", \"how\": \"%s\", \"instances\": %u, \"metric\": \"%s\", "
		"\"flows\": %u, "
		"\"distribution\": \"zipf\", \"packet_bytes\": 64, \"blocked\": 0, \"new_flows\": 0",
		how, instances, metric, flows);
}

struct rte_mempool *scaling_pool(const struct bench *bench)
{
	struct rte_mempool *pool = shoal_packet_pool_create("bench", 8191, 2048);

	if (!pool)
		bench_fail(bench, "no packet pool");
	return pool;
}

void scaling_make_world(struct nat_world *world, struct bench *bench, struct rte_mempool *pool, uint32_t flows)
{
	const struct source_traffic traffic = { .flows = flows, .zipf = true };

	nat_world_init(world, bench, pool, flows, 0);
	nat_world_fill(world);
	source_draw(&world->source, &traffic, flows);
}

/* Many on one core. */
static double measure_shared(struct bench *bench, struct rte_mempool *pool, unsigned instances)
{
	static struct bench_samples samples;
	struct nat_world *worlds = calloc(instances, sizeof(*worlds));
	uint32_t flows = bench->quick ? 1024 : SHARED_FLOWS;
	double ns;

	if (!worlds)
		bench_fail(bench, "no memory");
	for (unsigned i = 0; i < instances; i++)
		scaling_make_world(&worlds[i], bench, pool, flows);
	samples.count = 0;
	for (unsigned chunk = 0; chunk < (bench->quick ? 2 : CHUNKS); chunk++)
		for (unsigned i = 0; i < instances; i++)
			bench_sample(&samples, nat_world_worker_chunk(&worlds[i]));
	ns = bench_median(&samples);
	for (unsigned i = 0; i < instances; i++) {
		nat_world_check(&worlds[i]);
		nat_world_fini(&worlds[i]);
	}
	free(worlds);
	const struct bench_figure figure = { ns * (double)rte_get_tsc_hz() / 1e9, "cycles/packet", 0,
		"caches: one core's, shared by all of them in turn" };

	scaling_print(bench, "measured, time-shared on one core", instances, flows, "cost", &figure);
	return ns;
}

int main(int argc, char **argv)
{
	static const uint32_t flows[] = { 1024, 1048576, SHARED_FLOWS };
	double alone = 0, ratio = 0, others, of_shared[3];
	struct scaling_cores cores;
	struct rte_mempool *pool;
	struct bench bench;

	if (argc == 3 && !strcmp(argv[1], "--instance"))
		scaling_cores_serve(atoi(argv[2]));
	scaling_cores_find(&cores);
	bench_start(&bench, "scaling", argc, argv);
	if (bench.other_cpu < 0)
		bench_fail(&bench, "needs a second core (--other-cpu)");
	scaling_cores_order(&cores, &bench);
	bench_eal_start(&bench, 64);
	pool = scaling_pool(&bench);
	for (unsigned i = 0; i < (bench.quick ? 1 : sizeof(flows) / sizeof(flows[0])); i++) {
		alone = scaling_cores_measure(&bench, pool, &cores, flows[i], 2, &ratio);
		for (unsigned instances = 4; instances <= cores.count; instances *= 2)
			scaling_cores_measure(&bench, pool, &cores, flows[i], instances, &others);
	}
	for (unsigned i = 0; i < 3; i++)
		of_shared[i] = measure_shared(&bench, pool, 4u << i);
	scaling_model(&bench, SHARED_FLOWS,
		&(struct scaling_costs){ alone, { of_shared[0], of_shared[1], of_shared[2] }, ratio });
	bench_finish(&bench);
	return 0;
}
