/* SPDX-License-Identifier: BSD-3-Clause */
/* What every benchmark program shares: its arguments, EAL on hugepages where there are any, chunks, medians, and rows of JSON.
 *
 *     NAME_bench [--quick] [--no-hugepages] [--cpu N] [--other-cpu N]
 *
 * A program is one run: it prints one document, {"machine": {…}, "rows": [{parameters…, "value", "unit", "ratio_to_ideal",
 * "limited_by"}, …]}. `shoal bench` starts it several times, and gives medians and quartiles over these runs. */
#ifndef SHOAL_BENCH_H
#define SHOAL_BENCH_H

#include <shoal/types.h>
#include <stdio.h>

#define BENCH_CHUNK 2048u /* operations: 30 to 100 µs, so that a preemption spoils few chunks */

struct bench {
	const char *name;
	bool quick; /* whether it works at all; figures mean nothing then */
	bool ordinary_pages; /* asked for */
	int cpu, other_cpu;
	bool eal, hugepages; /* set by bench_eal_start */
	unsigned rows;
	FILE *series; /* owns; what bench_finish adds */
	char *series_text;
	size_t series_bytes;
};

/* Reads arguments, pins this thread, measures the clock, begins the document. Ends the process with a sentence if it can't. */
void bench_start(struct bench *bench, const char *name, int argc, char **argv);
/* EAL with `megabytes` of memory: hugepages if there are enough, else ordinary pages (slower, and said in the document). */
void bench_eal_start(struct bench *bench, unsigned megabytes);
/* How far the two cores are from each other now: a cache line there and back, ns, the median of some milliseconds; it changes
 * within a minute on a virtual machine. Printed as a row with these parameters (JSON members), in front of a figure of both. */
double bench_distance(struct bench *bench, const char *parameters);
/* Ends the document. */
void bench_finish(struct bench *bench);
void bench_pin(const struct bench *bench, int cpu); /* the calling thread */
void bench_fail(const struct bench *bench, const char *what) __attribute__((noreturn));

/* --- Rows --- */

struct bench_figure {
	double value;
	const char *unit;
	double ratio_to_ideal; /* of speeds: the ideal is 1; 0: there is none */
	const char *limited_by;
};

/* `parameters`: JSON members without braces, printf-like. */
void bench_row(struct bench *bench, const struct bench_figure *figure, const char *parameters, ...)
	__attribute__((format(printf, 3, 4)));

/* A line of a picture. */
struct bench_line {
	const char *panel, *name;
	const double *x, *y;
	unsigned count;
	const double *marked; /* the x of points that do not count: somebody else had a core */
	unsigned marked_count;
};
void bench_series(struct bench *bench, const struct bench_line *line);

/* --- Samples --- */

#define BENCH_SAMPLES_MAX 8192u

struct bench_samples {
	double values[BENCH_SAMPLES_MAX];
	unsigned count;
};

static inline void bench_sample(struct bench_samples *samples, double value)
{
	if (samples->count < BENCH_SAMPLES_MAX)
		samples->values[samples->count++] = value;
}

double bench_percentile(struct bench_samples *samples, unsigned percent); /* sorts them; 0 where there are none */
static inline double bench_median(struct bench_samples *samples)
{
	return bench_percentile(samples, 50);
}

/* Pseudo random numbers from a seed (xorshift64*). */
static inline uint64_t bench_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

/* Evenly in [0, 1). */
static inline double bench_random_unit(uint64_t *state)
{
	return (double)(bench_random(state) >> 11) / (double)(UINT64_C(1) << 53);
}

#endif
