/* SPDX-License-Identifier: BSD-3-Clause */
/* NATs that are measured beside ours: a bare one, as small as a NAT can be (performance.md's measure of what a machine can do),
 * and ours on DPDK's own hash table with bulk look-ups, whole and bare. All know their flows from the start. */
#ifndef SHOAL_BENCH_TABLE_NAT_H
#define SHOAL_BENCH_TABLE_NAT_H

#include "source.h"

/* What a burst costs: receives one, translates it, gives it back. */
typedef void (*table_nat_burst)(void *nat, struct source *source);

struct bare_nat;
struct bare_nat *bare_nat_create(uint32_t flows); /* NULL: no memory */
void bare_nat_destroy(struct bare_nat *nat);
void bare_nat_burst(void *nat, struct source *source);

struct rte_nat;
struct shoal_context;
/* After EAL's and the source's start; the context is one of a configured NAT. NULL: no memory. */
struct rte_nat *rte_nat_create(uint32_t flows, struct shoal_context *context);
void rte_nat_destroy(struct rte_nat *nat);
void rte_nat_burst(void *nat, struct source *source);
void rte_nat_bare_burst(void *nat, struct source *source);

/* Swaps source and destination MAC. */
void macswap_burst(void *unused, struct source *source);

/* ns a packet of one chunk. */
double table_nat_chunk(table_nat_burst burst, void *nat, struct source *source);

#endif
