/* SPDX-License-Identifier: BSD-3-Clause */
/* How long packets are inside a NAT on any plane, offered at a steady rate; and the pipe's thread, which receives for its worker. */
#ifndef SHOAL_BENCH_PLANES_LATENCY_H
#define SHOAL_BENCH_PLANES_LATENCY_H

#include "io/latency.h"
#include "nat_world.h"

/* Offers a packet each `interval_ns` for that long, and waits for the last one. Each is measured from when it was due: one that
 * nobody fetched in time waits too. `cpu`: of a pipe's thread; -1: no pipe. */
void planes_latency_measure(
	struct nat_world *world, double interval_ns, uint64_t duration_ns, int cpu, struct shoal_latency *latency);

/* Between these the world's packets are received by a thread on that core; its source is that thread's. */
struct planes_pipe;
struct planes_pipe *planes_pipe_start(struct nat_world *world, int cpu);
void planes_pipe_stop(struct planes_pipe *pipe);

#endif
