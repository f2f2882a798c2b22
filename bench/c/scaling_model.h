/* SPDX-License-Identifier: BSD-3-Clause */
/* More instances than cores, from costs that were measured. Two ways, side by side:
 * - a formula, n / (c + p * (c_request + c_serve)), with c a packet's cost, p the share of packets with a remote access, and both
 *   sides' cost of one as a pair on two cores has it;
 * - a simulation in virtual time of n instances with these costs: each serves what has come before it takes a burst; requests go
 *   to others drawn at random, take a cache line's way there, and no more than a window are under way. Where some are asked more
 *   than others, the formula does not know, and the simulation does.
 * Both leave out the caches and memory that many cores share. */
#ifndef SHOAL_BENCH_SCALING_MODEL_H
#define SHOAL_BENCH_SCALING_MODEL_H

#include "bench.h"

struct scaling_costs {
	double alone_ns; /* a packet, one instance on a core of its own */
	double shared_ns[3]; /* 4, 8 and 16 instances that share a core */
	double measured_ratio; /* two on two cores against twice one */
};

void scaling_model(struct bench *bench, uint32_t flows, const struct scaling_costs *costs);

#endif
