/* SPDX-License-Identifier: BSD-3-Clause */
/* Instances on cores of their own, each a process: one alone and all together, in turn. Every instance has its own flows: the work
 * of one does not change with their number. */
#ifndef SHOAL_BENCH_SCALING_CORES_H
#define SHOAL_BENCH_SCALING_CORES_H

#include <rte_mempool.h>

#include "bench.h"

#define SCALING_CORES_MOST 16u

/* Cores that this process may use: the benchmark's own two first, then one thread of each further core. */
struct scaling_cores {
	int cpus[SCALING_CORES_MOST];
	unsigned count;
};

/* In a process that measure has started: runs an instance as told through this descriptor, and ends the process. */
void scaling_cores_serve(int descriptor) __attribute__((noreturn));
/* Before the benchmark pins itself. */
void scaling_cores_find(struct scaling_cores *cores);
/* The benchmark's own two come first. */
void scaling_cores_order(struct scaling_cores *cores, const struct bench *bench);
/* Prints the aggregate of one and of `instances` of them, at most cores->count. Returns the cost of a packet of one alone in ns;
 * *ratio: all together against as many times one. */
double scaling_cores_measure(struct bench *bench, struct rte_mempool *pool, const struct scaling_cores *cores,
	uint32_t flows, unsigned instances, double *ratio);

/* --- Of both ways to measure --- */

struct nat_world;
void scaling_make_world(struct nat_world *world, struct bench *bench, struct rte_mempool *pool, uint32_t flows);
struct rte_mempool *scaling_pool(const struct bench *bench);
void scaling_print(struct bench *bench, const char *how, unsigned instances, uint32_t flows, const char *metric,
	const struct bench_figure *figure);

#endif
