/* SPDX-License-Identifier: BSD-3-Clause */
/* S6 figure 8: what n instances carry. One and two on cores of their own: measured, in turn. 4, 8 and 16: what a packet costs where
 * so many instances share one core chunk by chunk, and its caches with each other. More: modelled and simulated from these costs
 * (scaling_model.h); no wall-clock figure is claimed for more than two.
 * Every instance has its own flows: the work of one does not change with their number. */
#include <fcntl.h>
#include <rte_cycles.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nat_world.h"
#include "scaling_model.h"
#include "worker/clock.h"
#include "worker/runner.h"

#define ROUNDS 5
#define CHUNKS 200
#define DEADLINE_NS (30 * SHOAL_NS_PER_S)
#define SHARED_MOST 16
#define SHARED_FLOWS 65536

enum order { ORDER_REST, ORDER_RUN, ORDER_END };

/* Between the two processes. */
struct pair {
	uint32_t flows;
	int cpu;
	_Alignas(128) int order; /* atomic; writer: the first */
	_Alignas(128) int doing; /* atomic; writer: the second */
	double ns; /* a packet; set by the second when it goes from RUN to REST */
};

static void print(struct bench *bench, const char *how, unsigned instances, uint32_t flows, const char *metric,
	const struct bench_figure *figure)
{
	bench_row(bench, figure,
		"\"nf\": \"nat\", \"plane\": \"shared\", \"how\": \"%s\", \"instances\": %u, \"metric\": \"%s\", "
		"\"flows\": %u, "
		"\"distribution\": \"zipf\", \"packet_bytes\": 64, \"blocked\": 0, \"new_flows\": 0",
		how, instances, metric, flows);
}

static struct rte_mempool *pool_of(const struct bench *bench)
{
	struct rte_mempool *pool = shoal_packet_pool_create("bench", 8191, 2048);

	if (!pool)
		bench_fail(bench, "no packet pool");
	return pool;
}

static void make_world(struct nat_world *world, struct bench *bench, struct rte_mempool *pool, uint32_t flows)
{
	const struct source_traffic traffic = { .flows = flows, .zipf = true };

	nat_world_init(world, bench, pool, flows, 0);
	nat_world_fill(world);
	source_draw(&world->source, &traffic, flows);
}

/* --- Two, on cores of their own --- */

static double run_chunks(struct nat_world *world, const int *until_order, unsigned chunks)
{
	static struct bench_samples samples;

	samples.count = 0;
	for (unsigned i = 0; i < chunks || (until_order && __atomic_load_n(until_order, __ATOMIC_ACQUIRE) == ORDER_RUN);
		i++)
		bench_sample(&samples, nat_world_worker_chunk(world));
	return bench_median(&samples);
}

static struct pair *map_pair(const struct bench *bench, int descriptor)
{
	void *memory = mmap(NULL, sizeof(struct pair), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);

	if (memory == MAP_FAILED)
		bench_fail(bench, "no shared memory");
	return memory;
}

static void run_second(int descriptor)
{
	struct bench bench = { .name = "scaling" };
	struct pair *pair = map_pair(&bench, descriptor);
	struct nat_world world;
	int order;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bench.cpu = pair->cpu;
	bench_pin(&bench, bench.cpu);
	shoal_clock_calibrate();
	bench_eal_start(&bench, 64);
	make_world(&world, &bench, pool_of(&bench), pair->flows);
	__atomic_store_n(&pair->doing, ORDER_REST, __ATOMIC_RELEASE);
	while ((order = __atomic_load_n(&pair->order, __ATOMIC_ACQUIRE)) != ORDER_END) {
		if (order != ORDER_RUN) {
			usleep(100);
			continue;
		}
		__atomic_store_n(&pair->doing, ORDER_RUN, __ATOMIC_RELEASE);
		pair->ns = run_chunks(&world, &pair->order, 1);
		__atomic_store_n(&pair->doing, ORDER_REST, __ATOMIC_RELEASE);
	}
	nat_world_check(&world);
	exit(0);
}

static pid_t start_second(const struct bench *bench, int descriptor)
{
	char text[16];
	char *arguments[] = { "scaling_bench", "--instance", text, NULL };
	pid_t child;

	snprintf(text, sizeof(text), "%d", descriptor);
	fflush(NULL);
	child = fork();
	if (child < 0)
		bench_fail(bench, "no process for the second instance");
	if (child)
		return child;
	fcntl(descriptor, F_SETFD, 0);
	execv("/proc/self/exe", arguments);
	_exit(127);
}

static void wait_until(const struct bench *bench, const struct pair *pair, int doing)
{
	uint64_t deadline = shoal_clock_now() + DEADLINE_NS;

	while (__atomic_load_n(&pair->doing, __ATOMIC_ACQUIRE) != doing)
		if (shoal_clock_now() > deadline)
			bench_fail(bench, "the second instance does not answer");
}

static void order(struct pair *pair, int what)
{
	__atomic_store_n(&pair->order, what, __ATOMIC_RELEASE);
}

/* One alone and both together, in turn. Returns one's cost of a packet in ns. */
static double measure_two(struct bench *bench, struct rte_mempool *pool, uint32_t flows, double *ratio)
{
	static struct bench_samples alone, together, ratios;
	int descriptor = memfd_create("bench", MFD_CLOEXEC);
	unsigned chunks = bench->quick ? 4 : CHUNKS;
	struct nat_world world;
	char parameters[192];
	struct pair *pair;
	pid_t child;

	if (descriptor < 0 || ftruncate(descriptor, sizeof(struct pair)))
		bench_fail(bench, "no shared memory");
	pair = map_pair(bench, descriptor);
	*pair = (struct pair){ .flows = flows, .cpu = bench->other_cpu, .doing = ORDER_END };
	snprintf(parameters, sizeof(parameters),
		"\"nf\": \"nat\", \"plane\": \"shared\", \"how\": \"measured\", \"instances\": 2, \"flows\": %u, "
		"\"distribution\": \"zipf\", \"packet_bytes\": 64, \"blocked\": 0, \"new_flows\": 0",
		flows);
	bench_distance(bench, parameters);
	child = start_second(bench, descriptor);
	make_world(&world, bench, pool, flows);
	wait_until(bench, pair, ORDER_REST);
	alone.count = together.count = ratios.count = 0;
	for (unsigned round = 0; round < (bench->quick ? 1 : ROUNDS); round++) {
		double one = run_chunks(&world, NULL, chunks), first;

		order(pair, ORDER_RUN);
		wait_until(bench, pair, ORDER_RUN);
		first = run_chunks(&world, NULL, chunks);
		order(pair, ORDER_REST);
		wait_until(bench, pair, ORDER_REST);
		bench_sample(&alone, 1000 / one);
		bench_sample(&together, 1000 / first + 1000 / pair->ns);
		bench_sample(&ratios, (1 / first + 1 / pair->ns) / (2 / one));
	}
	order(pair, ORDER_END);
	if (waitpid(child, NULL, 0) != child)
		bench_fail(bench, "the second instance does not end");
	nat_world_check(&world);
	nat_world_fini(&world);
	munmap(pair, sizeof(*pair));
	close(descriptor);
	*ratio = bench_median(&ratios);
	const struct bench_figure one = { bench_median(&alone), "Mpps", 0, "one core" };
	const struct bench_figure two = { bench_median(&together), "Mpps", *ratio, "the cache that two cores share" };

	print(bench, "measured", 1, flows, "aggregate", &one);
	print(bench, "measured", 2, flows, "aggregate", &two);
	return 1000 / bench_median(&alone);
}

/* --- Many on one core --- */

static double measure_shared(struct bench *bench, struct rte_mempool *pool, unsigned instances)
{
	static struct bench_samples samples;
	struct nat_world *worlds = calloc(instances, sizeof(*worlds));
	uint32_t flows = bench->quick ? 1024 : SHARED_FLOWS;
	double ns;

	if (!worlds)
		bench_fail(bench, "no memory");
	for (unsigned i = 0; i < instances; i++)
		make_world(&worlds[i], bench, pool, flows);
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

	print(bench, "measured, time-shared on one core", instances, flows, "cost", &figure);
	return ns;
}

int main(int argc, char **argv)
{
	static const uint32_t flows[] = { 1024, 1048576, SHARED_FLOWS };
	double alone = 0, ratio = 0, of_shared[3];
	struct rte_mempool *pool;
	struct bench bench;

	if (argc == 3 && !strcmp(argv[1], "--instance"))
		run_second(atoi(argv[2]));
	bench_start(&bench, "scaling", argc, argv);
	if (bench.other_cpu < 0)
		bench_fail(&bench, "needs a second core (--other-cpu)");
	bench_eal_start(&bench, 64);
	pool = pool_of(&bench);
	for (unsigned i = 0; i < (bench.quick ? 1 : sizeof(flows) / sizeof(flows[0])); i++)
		alone = measure_two(&bench, pool, flows[i], &ratio);
	for (unsigned i = 0; i < 3; i++)
		of_shared[i] = measure_shared(&bench, pool, 4u << i);
	scaling_model(&bench, SHARED_FLOWS,
		&(struct scaling_costs){ alone, { of_shared[0], of_shared[1], of_shared[2] }, ratio });
	bench_finish(&bench);
	return 0;
}
