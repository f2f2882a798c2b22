/* SPDX-License-Identifier: BSD-3-Clause */
/* What a microthread costs, in nanoseconds, as JSON: a step that does not suspend, and one that does, with so many suspended
 * at once. Medians over chunks of 2,048 (performance.md, "How to measure here"): a preemption spoils one chunk.
 *
 *     microthread_bench [stack bytes] */
#include <stdio.h>
#include <stdlib.h>

#include "sched/microthread.h"
#include "worker/clock.h"
#include "worker/runner.h"

#define CHUNK 2048U
#define CHUNKS_MAX 4096U
#define BURST 32U
#define MEASURE_NS (400 * SHOAL_NS_PER_MS)

struct bench {
	struct shoal_scheduler *scheduler;
	unsigned steps; /* left in this run */
	bool suspends;
	bool forever; /* a step never returns */
	uint64_t order;
	struct shoal_microthread **suspended;
	unsigned count;
};

struct samples {
	double ns[CHUNKS_MAX];
	unsigned count;
};

static bool step(void *argument)
{
	struct bench *bench = argument;

	if (!bench->steps)
		return false;
	bench->steps--;
	if (bench->suspends) {
		bench->suspended[bench->count++] = shoal_microthread_current(bench->scheduler);
		do {
			shoal_microthread_suspend(bench->scheduler, bench->order++);
		} while (bench->forever);
	}
	return true;
}

static void add(struct samples *samples, uint64_t nanoseconds, unsigned operations)
{
	if (samples->count < CHUNKS_MAX && operations)
		samples->ns[samples->count++] = (double)nanoseconds / operations;
}

static int ascending(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return (a > b) - (a < b);
}

static double median(struct samples *samples)
{
	qsort(samples->ns, samples->count, sizeof(samples->ns[0]), ascending);
	return samples->count ? samples->ns[samples->count / 2] : 0;
}

static unsigned smaller(unsigned one, unsigned other)
{
	return one < other ? one : other;
}

/* Runs of `steps` steps without a suspension, a chunk's worth of steps for each sample. */
static double measure_plain(struct bench *bench, unsigned steps)
{
	static struct samples samples;
	uint64_t end = shoal_clock_now() + MEASURE_NS;

	samples.count = 0;
	bench->suspends = false;
	while (shoal_clock_now() < end) {
		uint64_t start = shoal_clock_now();

		for (unsigned done = 0; done < CHUNK; done += steps) {
			bench->steps = steps;
			shoal_scheduler_run(bench->scheduler, step, bench);
		}
		add(&samples, shoal_clock_now() - start, CHUNK);
	}
	return median(&samples);
}

/* Suspends `chunk` new ones. */
static void suspend_chunk(struct bench *bench, unsigned chunk)
{
	bench->steps = chunk;
	bench->suspends = true;
	shoal_scheduler_run(bench->scheduler, step, bench);
}

static void wake_chunk(struct bench *bench, unsigned from, unsigned chunk)
{
	for (unsigned i = from; i < from + chunk; i++)
		shoal_microthread_wake(bench->scheduler, bench->suspended[i]);
}

struct phases {
	struct samples suspend, wake, resume;
};

static void measure_small(struct bench *bench, unsigned n, struct phases *phases)
{
	uint64_t start = shoal_clock_now();
	unsigned operations = 0;

	for (; operations < CHUNK; operations += n) {
		bench->count = 0;
		suspend_chunk(bench, n);
		wake_chunk(bench, 0, n);
		shoal_scheduler_run_ready(bench->scheduler, n);
	}
	add(&phases->suspend, shoal_clock_now() - start, operations);
}

static void measure_large(struct bench *bench, unsigned n, struct phases *phases)
{
	bench->count = 0;
	for (unsigned done = 0; done < n; done += CHUNK) {
		uint64_t start = shoal_clock_now();

		suspend_chunk(bench, smaller(CHUNK, n - done));
		add(&phases->suspend, shoal_clock_now() - start, smaller(CHUNK, n - done));
	}
	for (unsigned done = 0; done < n; done += CHUNK) {
		uint64_t start = shoal_clock_now();

		wake_chunk(bench, done, smaller(CHUNK, n - done));
		add(&phases->wake, shoal_clock_now() - start, smaller(CHUNK, n - done));
	}
	while (shoal_scheduler_ready(bench->scheduler)) {
		uint64_t start = shoal_clock_now();
		unsigned resumed = shoal_scheduler_run_ready(bench->scheduler, CHUNK);

		add(&phases->resume, shoal_clock_now() - start, resumed);
	}
}

/* A new step suspends, is woken, resumes and returns; n are suspended at once. */
static double measure_suspending(struct bench *bench, unsigned n)
{
	static struct phases phases;
	uint64_t end = shoal_clock_now() + MEASURE_NS;

	phases.suspend.count = phases.wake.count = phases.resume.count = 0;
	do {
		if (n < CHUNK)
			measure_small(bench, n, &phases);
		else
			measure_large(bench, n, &phases);
	} while (shoal_clock_now() < end);
	return median(&phases.suspend) + median(&phases.wake) + median(&phases.resume);
}

/* n that suspend again and again: one wake, resumption and suspension, a burst at a time, the longest waiting first. */
static double measure_standing(struct bench *bench, unsigned n)
{
	static struct samples samples;
	uint64_t end = shoal_clock_now() + MEASURE_NS;
	unsigned next = 0, chunk = smaller(BURST, n);

	samples.count = 0;
	bench->count = 0;
	bench->forever = true;
	suspend_chunk(bench, n);
	while (shoal_clock_now() < end) {
		uint64_t start = shoal_clock_now();
		unsigned operations = 0;

		for (; operations < CHUNK; operations += chunk) {
			wake_chunk(bench, next, chunk);
			shoal_scheduler_run_ready(bench->scheduler, chunk);
			next = (next + chunk) % n;
		}
		add(&samples, shoal_clock_now() - start, operations);
	}
	bench->forever = false;
	wake_chunk(bench, 0, n);
	shoal_scheduler_run_ready(bench->scheduler, n);
	return median(&samples);
}

int main(int count, char **arguments)
{
	static const unsigned sizes[] = { 1, 64, 4096, 65536 };
	struct shoal_scheduler_config config = { .stacks = 65537, .stack_bytes = 16384 };
	struct bench bench = { 0 };

	if (count > 1)
		config.stack_bytes = strtoul(arguments[1], NULL, 0);
	shoal_clock_calibrate();
	bench.scheduler = shoal_scheduler_create(&config);
	bench.suspended = calloc(config.stacks, sizeof(*bench.suspended));
	if (!bench.scheduler || !bench.suspended) {
		perror("microthread_bench: no scheduler");
		return 1;
	}
	printf("{\"stack_bytes\": %zu,\n", config.stack_bytes);
	printf(" \"step_ns\": %.2f, \"run_of_one_step_ns\": %.2f,\n", measure_plain(&bench, CHUNK),
		measure_plain(&bench, 1));
	printf(" \"suspended\": [");
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		printf("%s\n  {\"count\": %u, \"suspend_wake_resume_return_ns\": %.1f", i ? "," : "", sizes[i],
			measure_suspending(&bench, sizes[i]));
		printf(", \"wake_resume_suspend_ns\": %.1f}", measure_standing(&bench, sizes[i]));
	}
	printf("]}\n");
	shoal_scheduler_destroy(bench.scheduler);
	free(bench.suspended);
	return 0;
}
