/* SPDX-License-Identifier: BSD-3-Clause */
/* A NAT on one worker that owns the whole key space, fed from memory; and beside it the ideal: the same parser, hash and
 * rewriting over a private table, without owner, reference count, channel or microthread. */
#ifndef SHOAL_BENCH_NAT_WORLD_H
#define SHOAL_BENCH_NAT_WORLD_H

#include "nat.h"
#include "source.h"
#include "worker/worker.h"

#define NAT_WORLD_BLOCKED_NS 10000 /* how long a packet that blocks waits for its mapping */

/* A packet of the source's sequence whose mapping is elsewhere when it comes. */
struct nat_world_blocking {
	uint32_t at, entry;
};

struct nat_world {
	struct bench *bench; /* borrows */
	struct rte_mempool *pool; /* borrows */
	struct source source, sink; /* sink: where the worker sends, NF port 1 */
	struct shoal_worker *worker; /* owns */
	bool blocks;
	struct nat_world_blocking *blocking; /* owns; in order */
	uint32_t blocking_count;
	uint32_t flows, flows_made;
	struct shoal_map *mappings; /* where the ideal looks: the worker's own, or ideal_own */
	struct shoal_map ideal_own[2]; /* for new flows: mappings and reverses that the ideal makes */
	struct nat_pool *ideal_pools; /* owns; of each public address and steering slot */
	struct nat_worker *nat; /* borrows: the settings */
};

/* Room for `flows`, and `new_flows` more. */
void nat_world_init(
	struct nat_world *world, struct bench *bench, struct rte_mempool *pool, uint32_t flows, uint32_t new_flows);
/* The same on another plane than `shared`. */
void nat_world_init_on(struct nat_world *world, struct bench *bench, struct rte_mempool *pool, uint32_t flows,
	uint32_t new_flows, const struct shoal_plane *plane, const struct shoal_remote_config *server);
void nat_world_fini(struct nat_world *world);
/* Sends the first packet of each flow; ns a flow, the median over chunks. */
double nat_world_fill(struct nat_world *world);
/* The ideal gets a table and ports of its own, and sends the first packet of each flow: needed where traffic has new flows. ns a
 * flow, the median over chunks. */
double nat_world_own_ideal(struct nat_world *world);
/* Whether the mappings of packets that the source marks are elsewhere when these come, for NAT_WORLD_BLOCKED_NS. After source_draw. */
void nat_world_block(struct nat_world *world, bool block);
/* ns a packet of one chunk. */
double nat_world_ideal_chunk(struct nat_world *world);
double nat_world_worker_chunk(struct nat_world *world);
/* The ideal's chunk where traffic has new flows: the source numbers them, and both NATs must see each. *next_new: the ideal's own
 * next one. */
double nat_world_ideal_new_chunk(struct nat_world *world, uint32_t *next_new);
/* Ends the process if a packet was lost, or left by another port than the outside. */
void nat_world_check(const struct nat_world *world);

/* nat_ideal.c */
void nat_ideal_burst(struct nat_world *world);

#endif
