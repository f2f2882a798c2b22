/* SPDX-License-Identifier: BSD-3-Clause */
/* An ideal remote store: a thread on another core that keeps the mappings in the product's own table, behind a ring pair in shared
 * memory. A burst's keys are one message, its objects another, its changed objects a third. No protocol, no locks, no copy but
 * those into the rings; what a store costs at least. */
#ifndef SHOAL_BENCH_RING_STORE_H
#define SHOAL_BENCH_RING_STORE_H

#include "nat_world.h"

#define RING_STORE_DEPTH 8 /* bursts under way at most */

struct ring_store;
/* With what the world has; its thread runs on other_cpu. */
struct ring_store *ring_store_create(struct bench *bench, const struct nat_world *world);
void ring_store_destroy(struct ring_store *store);
/* ns a packet of one chunk of the world's source, with the NAT's burst handler on objects that are read from the store and written
 * there; `depth` bursts under way. */
double ring_store_chunk(struct ring_store *store, struct nat_world *world, unsigned depth);

#endif
