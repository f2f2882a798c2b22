/* SPDX-License-Identifier: BSD-3-Clause */
#include "scaling_cores.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nat_world.h"
#include "worker/clock.h"
#include "worker/runner.h"

#define ROUNDS 5
#define CHUNKS 200
#define LOOP_TURNS 20000u
#define WHOLE_CORES 0.97 /* below this, bare loops are disturbed by more than a clock's noise */
#define DEADLINE_NS (30 * SHOAL_NS_PER_S)

/* LOOP: arithmetic in registers and nothing else, to tell what the machine gives. */
enum order { ORDER_REST, ORDER_RUN, ORDER_LOOP, ORDER_END };

/* Between the first process and one of the others. */
struct line {
	uint32_t flows;
	int cpu;
	_Alignas(128) int order; /* atomic; writer: the first */
	_Alignas(128) int doing; /* atomic; writer: the other */
	double ns; /* a packet, or a turn of the loop; set by the other when it goes to REST */
};

struct other {
	struct line *line; /* shared */
	pid_t process;
};

/* --- Cores --- */

/* Whether it is the first thread of its core; also where the kernel does not tell. */
static bool first_of_core(int cpu)
{
	char path[96];
	int first = cpu;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
	file = fopen(path, "r");
	if (!file)
		return true;
	if (fscanf(file, "%d", &first) != 1)
		first = cpu;
	fclose(file);
	return first == cpu;
}

void scaling_cores_find(struct scaling_cores *cores)
{
	cpu_set_t set;

	cores->count = 0;
	if (sched_getaffinity(0, sizeof(set), &set))
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE && cores->count < SCALING_CORES_MOST; cpu++)
		if (CPU_ISSET(cpu, &set) && first_of_core(cpu))
			cores->cpus[cores->count++] = cpu;
}

void scaling_cores_order(struct scaling_cores *cores, const struct bench *bench)
{
	struct scaling_cores ordered = { .cpus = { bench->cpu, bench->other_cpu }, .count = 2 };

	for (unsigned i = 0; i < cores->count && ordered.count < SCALING_CORES_MOST; i++)
		if (cores->cpus[i] != bench->cpu && cores->cpus[i] != bench->other_cpu)
			ordered.cpus[ordered.count++] = cores->cpus[i];
	*cores = ordered;
}

/* --- One instance --- */

/* ns a turn. Four chains at once, so that whoever else runs on the same core is felt. */
static double loop_chunk(void)
{
	uint64_t begin = shoal_clock_now(), a = begin, b = begin + 1, c = begin + 2, d = begin + 3;

	for (unsigned i = 0; i < LOOP_TURNS; i++) {
		a = (a ^ a >> 7) + i;
		b = (b ^ b >> 9) + i;
		c = (c ^ c >> 11) + i;
		d = (d ^ d >> 13) + i;
		__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
	}
	return (double)(shoal_clock_now() - begin) / LOOP_TURNS;
}

/* At least so many, and then until the order changes. */
static double run_chunks(struct nat_world *world, enum order what, const int *order, unsigned chunks)
{
	static struct bench_samples samples;

	samples.count = 0;
	for (unsigned i = 0; i < chunks || (order && __atomic_load_n(order, __ATOMIC_ACQUIRE) == (int)what); i++)
		bench_sample(&samples, what == ORDER_LOOP ? loop_chunk() : nat_world_worker_chunk(world));
	return bench_median(&samples);
}

static struct line *map_line(const struct bench *bench, int descriptor)
{
	void *memory = mmap(NULL, sizeof(struct line), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);

	if (memory == MAP_FAILED)
		bench_fail(bench, "no shared memory");
	return memory;
}

void scaling_cores_serve(int descriptor)
{
	struct bench bench = { .name = "scaling" };
	struct line *line = map_line(&bench, descriptor);
	struct nat_world world;
	int order;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bench.cpu = line->cpu;
	bench_pin(&bench, bench.cpu);
	shoal_clock_calibrate();
	bench_eal_start(&bench, 64);
	scaling_make_world(&world, &bench, scaling_pool(&bench), line->flows);
	__atomic_store_n(&line->doing, ORDER_REST, __ATOMIC_RELEASE);
	while ((order = __atomic_load_n(&line->order, __ATOMIC_ACQUIRE)) != ORDER_END) {
		if (order == ORDER_REST) {
			usleep(100);
			continue;
		}
		__atomic_store_n(&line->doing, order, __ATOMIC_RELEASE);
		line->ns = run_chunks(&world, (enum order)order, &line->order, 1);
		__atomic_store_n(&line->doing, ORDER_REST, __ATOMIC_RELEASE);
	}
	nat_world_check(&world);
	exit(0);
}

/* --- All of them --- */

static struct other start_other(const struct bench *bench, int cpu, uint32_t flows)
{
	int descriptor = memfd_create("bench", MFD_CLOEXEC);
	char text[16];
	char *arguments[] = { "scaling_bench", "--instance", text, NULL };
	struct other other;

	if (descriptor < 0 || ftruncate(descriptor, sizeof(struct line)))
		bench_fail(bench, "no shared memory");
	other.line = map_line(bench, descriptor);
	*other.line = (struct line){ .flows = flows, .cpu = cpu, .doing = ORDER_END };
	snprintf(text, sizeof(text), "%d", descriptor);
	fflush(NULL);
	other.process = fork();
	if (other.process < 0)
		bench_fail(bench, "no process for another instance");
	if (other.process) {
		close(descriptor);
		return other;
	}
	fcntl(descriptor, F_SETFD, 0);
	execv("/proc/self/exe", arguments);
	_exit(127);
}

static void wait_until(const struct bench *bench, const struct other *others, unsigned count, int doing)
{
	uint64_t deadline = shoal_clock_now() + DEADLINE_NS;

	for (unsigned i = 0; i < count; i++)
		while (__atomic_load_n(&others[i].line->doing, __ATOMIC_ACQUIRE) != doing)
			if (shoal_clock_now() > deadline)
				bench_fail(bench, "another instance does not answer");
}

static void order(const struct other *others, unsigned count, int what)
{
	for (unsigned i = 0; i < count; i++)
		__atomic_store_n(&others[i].line->order, what, __ATOMIC_RELEASE);
}

static void end(const struct bench *bench, const struct other *others, unsigned count)
{
	order(others, count, ORDER_END);
	for (unsigned i = 0; i < count; i++) {
		if (waitpid(others[i].process, NULL, 0) != others[i].process)
			bench_fail(bench, "another instance does not end");
		munmap(others[i].line, sizeof(struct line));
	}
}

/* Packets, or turns, in a microsecond: of one alone, and of all. */
static void run_round(const struct bench *bench, struct nat_world *world, const struct other *others, unsigned count,
	enum order what, double *one, double *all)
{
	unsigned chunks = bench->quick ? 4 : CHUNKS;

	*one = 1000 / run_chunks(world, what, NULL, chunks);
	order(others, count, what);
	wait_until(bench, others, count, what);
	*all = 1000 / run_chunks(world, what, NULL, chunks);
	order(others, count, ORDER_REST);
	wait_until(bench, others, count, ORDER_REST);
	for (unsigned i = 0; i < count; i++)
		*all += 1000 / others[i].line->ns;
}

static void tell_distance(struct bench *bench, uint32_t flows, unsigned instances)
{
	char parameters[192];

	snprintf(parameters, sizeof(parameters),
		"\"nf\": \"nat\", \"plane\": \"shared\", \"how\": \"measured\", \"instances\": %u, \"flows\": %u, "
		"\"distribution\": \"zipf\", \"packet_bytes\": 64, \"blocked\": 0, \"new_flows\": 0",
		instances, flows);
	bench_distance(bench, parameters);
}

/* Loops that share nothing are as fast together as alone, if each has a core. */
static void print_loops(struct bench *bench, unsigned instances, uint32_t flows, double ratio)
{
	const struct bench_figure figure = { ratio, "of so many times one", 0,
		"whether the machine gives whole cores" };

	scaling_print(bench, "measured", instances, flows, "bare_loop", &figure);
}

double scaling_cores_measure(struct bench *bench, struct rte_mempool *pool, const struct scaling_cores *cores,
	uint32_t flows, unsigned instances, double *ratio)
{
	static struct bench_samples alone, together, ratios, loops;
	struct other others[SCALING_CORES_MOST];
	unsigned count = instances - 1;
	struct nat_world world;

	tell_distance(bench, flows, instances);
	for (unsigned i = 0; i < count; i++)
		others[i] = start_other(bench, cores->cpus[i + 1], flows);
	scaling_make_world(&world, bench, pool, flows);
	wait_until(bench, others, count, ORDER_REST);
	alone.count = together.count = ratios.count = loops.count = 0;
	for (unsigned round = 0; round < (bench->quick ? 1 : ROUNDS); round++) {
		double one, all;

		run_round(bench, &world, others, count, ORDER_LOOP, &one, &all);
		bench_sample(&loops, all / (instances * one));
		run_round(bench, &world, others, count, ORDER_RUN, &one, &all);
		bench_sample(&alone, one);
		bench_sample(&together, all);
		bench_sample(&ratios, all / (instances * one));
	}
	end(bench, others, count);
	nat_world_check(&world);
	nat_world_fini(&world);
	*ratio = bench_median(&ratios);
	print_loops(bench, instances, flows, bench_median(&loops));
	const struct bench_figure one = { bench_median(&alone), "Mpps", 0, "one core" };
	const struct bench_figure all = { bench_median(&together), "Mpps", *ratio,
		bench_median(&loops) < WHOLE_CORES ? "the machine, which does not give whole cores: see bare_loop"
						   : "caches and memory that the cores share" };

	if (instances == 2)
		scaling_print(bench, "measured", 1, flows, "aggregate", &one);
	scaling_print(bench, "measured", instances, flows, "aggregate", &all);
	return 1000 / bench_median(&alone);
}
