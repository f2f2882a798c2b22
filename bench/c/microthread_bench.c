/* SPDX-License-Identifier: BSD-3-Clause */
/* What a microthread costs: a packet's step that does not suspend, and one that does, with so many suspended at once; beside a call
 * through a pointer, and beside Boost.Context's fibers where they are installed. Medians over chunks. ratio_to_ideal: how fast an
 * ideal NAT would be that pays this for every packet, against one that does not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boost_fiber.h"
#include "nat_world.h"
#include "sched/microthread.h"
#include "worker/runner.h"

#define STACK_BYTES 16384u
#define SUSPENDED_MOST 65536u
#define SUSPENDED_QUICK 4096u /* 65,536 stacks are a gibibyte */
#define MEASURE_NS (100 * SHOAL_NS_PER_MS)
#define IDEAL_CHUNKS 400

struct microthreads {
	struct bench *bench;
	struct shoal_scheduler *scheduler;
	double ideal_ns;
	double step_ns[2]; /* that does not suspend: shoal's, Boost's */
	unsigned steps; /* left in this run */
	bool suspends;
	uint64_t order;
	struct shoal_microthread **suspended;
	unsigned count;
	unsigned most; /* suspended at once */
};

static bool step(void *argument)
{
	struct microthreads *of = argument;

	if (!of->steps)
		return false;
	of->steps--;
	if (of->suspends) {
		of->suspended[of->count++] = shoal_microthread_current(of->scheduler);
		shoal_microthread_suspend(of->scheduler, of->order++);
		return shoal_microthread_finish(of->scheduler);
	}
	return true;
}

static void print(
	const struct microthreads *of, const char *implementation, const char *metric, unsigned suspended, double ns)
{
	const struct bench_figure figure = { ns, "ns", of->ideal_ns / (of->ideal_ns + ns),
		suspended >= 4096 ? "memory latency: each stack's top lies in lines of its own"
				  : "instructions of one core" };

	bench_row(of->bench, &figure,
		"\"implementation\": \"%s\", \"metric\": \"%s\", \"suspended\": %u, \"stack_bytes\": %u",
		implementation, metric, suspended, STACK_BYTES);
}

/* One chunk of an implementation; ns an operation. */
typedef double (*chunk_function)(struct microthreads *of, void *other, unsigned suspended);

static uint64_t length(const struct microthreads *of)
{
	return of->bench->quick ? MEASURE_NS / 50 : MEASURE_NS;
}

static double call_chunk(struct microthreads *of, void *other, unsigned suspended)
{
	bool (*volatile function)(void *argument) = step;
	uint64_t start = shoal_clock_now();

	of->suspends = false;
	of->steps = BENCH_CHUNK;
	while (function(of))
		;
	return (double)(shoal_clock_now() - start) / BENCH_CHUNK;
}

static double plain_chunk(struct microthreads *of, void *other, unsigned suspended)
{
	uint64_t start = shoal_clock_now();

	of->suspends = false;
	of->steps = BENCH_CHUNK;
	shoal_scheduler_run(of->scheduler, step, of);
	return (double)(shoal_clock_now() - start) / BENCH_CHUNK;
}

/* Packets come one at a time: each is a run of the scheduler. */
static double single_chunk(struct microthreads *of, void *other, unsigned suspended)
{
	uint64_t start = shoal_clock_now();

	of->suspends = false;
	for (unsigned i = 0; i < BENCH_CHUNK; i++) {
		of->steps = 1;
		shoal_scheduler_run(of->scheduler, step, of);
	}
	return (double)(shoal_clock_now() - start) / BENCH_CHUNK;
}

/* `suspended` new steps suspend, are woken, resumed, and return. */
static void suspend_all(struct microthreads *of, unsigned suspended)
{
	of->suspends = true;
	of->count = 0;
	of->steps = suspended;
	shoal_scheduler_run(of->scheduler, step, of);
	for (unsigned i = 0; i < suspended; i++)
		shoal_microthread_wake(of->scheduler, of->suspended[i]);
	while (shoal_scheduler_ready(of->scheduler))
		shoal_scheduler_run_ready(of->scheduler, BENCH_CHUNK);
}

static double suspending_chunk(struct microthreads *of, void *other, unsigned suspended)
{
	unsigned rounds = suspended < BENCH_CHUNK ? BENCH_CHUNK / suspended : 1;
	uint64_t start = shoal_clock_now();

	for (unsigned i = 0; i < rounds; i++)
		suspend_all(of, suspended);
	return (double)(shoal_clock_now() - start) / (rounds * suspended);
}

#ifdef BENCH_WITH_BOOST
static double boost_plain_chunk(struct microthreads *of, void *other, unsigned suspended)
{
	uint64_t start = shoal_clock_now();

	boost_fibers_step(other, BENCH_CHUNK);
	return (double)(shoal_clock_now() - start) / BENCH_CHUNK;
}

static double boost_suspending_chunk(struct microthreads *of, void *other, unsigned suspended)
{
	unsigned rounds = suspended < BENCH_CHUNK ? BENCH_CHUNK / suspended : 1;
	uint64_t start = shoal_clock_now();

	for (unsigned i = 0; i < rounds; i++) {
		boost_fibers_suspend(other, 0, suspended);
		boost_fibers_resume(other, 0, suspended);
	}
	return (double)(shoal_clock_now() - start) / (rounds * suspended);
}
#endif

struct variant {
	const char *implementation;
	chunk_function chunk;
};

/* Variants in turn, chunk by chunk. */
static void measure(struct microthreads *of, void *other, const char *metric, unsigned suspended,
	const struct variant *variants, unsigned count)
{
	static struct bench_samples samples[3];
	uint64_t end = shoal_clock_now() + length(of);

	for (unsigned i = 0; i < count; i++)
		samples[i].count = 0;
	do {
		for (unsigned i = 0; i < count; i++)
			bench_sample(&samples[i], variants[i].chunk(of, other, suspended));
	} while (shoal_clock_now() < end);
	for (unsigned i = 0; i < count; i++) {
		double ns = bench_median(&samples[i]);
		double *step_ns = &of->step_ns[!strcmp(variants[i].implementation, "boost_fiber")];

		print(of, variants[i].implementation, metric, suspended, ns);
		/* Beyond a step that runs through: one switch away, one back, and what is kept meanwhile. */
		if (suspended)
			print(of, variants[i].implementation, "suspension", suspended, ns - *step_ns);
		else if (variants[i].chunk != call_chunk && variants[i].chunk != single_chunk)
			*step_ns = ns;
	}
}

static void measure_ideal(struct microthreads *of)
{
	static struct bench_samples samples;
	struct nat_world world;
	struct rte_mempool *pool = shoal_packet_pool_create("bench", 8191, 2048);
	const struct source_traffic traffic = { .flows = 65536, .zipf = true };

	if (!pool)
		bench_fail(of->bench, "no packet pool");
	nat_world_init(&world, of->bench, pool, traffic.flows, 0);
	nat_world_fill(&world);
	source_draw(&world.source, &traffic, 1);
	for (unsigned i = 0; i < IDEAL_CHUNKS; i++)
		bench_sample(&samples, nat_world_ideal_chunk(&world));
	nat_world_check(&world);
	nat_world_fini(&world);
	of->ideal_ns = bench_median(&samples);
}

static long resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (file && fscanf(file, "%*d %ld", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * sysconf(_SC_PAGESIZE);
}

static void make_scheduler(struct microthreads *of)
{
	struct shoal_scheduler_config config = { .stacks = of->most + 1, .stack_bytes = STACK_BYTES };
	long before = resident_bytes();

	of->scheduler = shoal_scheduler_create(&config);
	of->suspended = calloc(config.stacks, sizeof(*of->suspended));
	if (!of->scheduler || !of->suspended)
		bench_fail(of->bench, "no memory for 65,536 stacks");
	suspend_all(of, of->most);
	const struct bench_figure figure = { (double)(resident_bytes() - before) / of->most, "bytes", 0,
		"stacks are touched when they are made" };

	bench_row(of->bench, &figure,
		"\"implementation\": \"shoal\", \"metric\": \"resident_bytes\", \"suspended\": %u, \"stack_bytes\": %u",
		of->most, STACK_BYTES);
}

int main(int argc, char **argv)
{
	static const unsigned sizes[] = { 1, 64, 4096, SUSPENDED_MOST };
	static const struct variant plain[] = {
		{ "call", call_chunk },
		{ "shoal", plain_chunk },
#ifdef BENCH_WITH_BOOST
		{ "boost_fiber", boost_plain_chunk },
#endif
	};
	static const struct variant single[] = { { "shoal", single_chunk } };
	static const struct variant suspending[] = {
		{ "shoal", suspending_chunk },
#ifdef BENCH_WITH_BOOST
		{ "boost_fiber", boost_suspending_chunk },
#endif
	};
	struct microthreads of = { 0 };
	struct bench bench;
	void *other = NULL;

	bench_start(&bench, "microthread", argc, argv);
	bench_eal_start(&bench, 64);
	of.bench = &bench;
	of.most = bench.quick ? SUSPENDED_QUICK : SUSPENDED_MOST;
	measure_ideal(&of);
	make_scheduler(&of);
#ifdef BENCH_WITH_BOOST
	other = boost_fibers_create(of.most, STACK_BYTES);
	if (!other)
		bench_fail(&bench, "no memory for Boost's stacks");
#endif
	measure(&of, other, "step", 0, plain, sizeof(plain) / sizeof(plain[0]));
	measure(&of, other, "run_of_one_step", 0, single, 1);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && sizes[i] <= of.most; i++)
		measure(&of, other, "suspend_and_resume", sizes[i], suspending,
			sizeof(suspending) / sizeof(suspending[0]));
#ifdef BENCH_WITH_BOOST
	boost_fibers_destroy(other);
#endif
	shoal_scheduler_destroy(of.scheduler);
	free(of.suspended);
	bench_finish(&bench);
	return 0;
}
