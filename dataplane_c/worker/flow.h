/* SPDX-License-Identifier: BSD-3-Clause */
/* Flows that have a suspended packet: later packets of the same flow wait behind it, so that they leave in order. For
 * waiting, a flow is the packets of one port with one declared key; it is known here by the key's hash alone (two flows
 * of one hash merely wait for each other). */
#ifndef SHOAL_WORKER_FLOW_H
#define SHOAL_WORKER_FLOW_H

#include <shoal/packet.h>

struct shoal_flow {
	uint64_t identity;
	struct shoal_packet *first, *last; /* waiting, in order of arrival */
	uint64_t arrival; /* of the packet that is suspended */
	uint32_t next; /* in its bucket, or among the free */
};

struct shoal_flow_table {
	struct shoal_flow *flows; /* owns; index 0 unused */
	uint32_t *buckets; /* owns */
	uint32_t buckets_mask;
	uint32_t capacity;
	uint32_t high;
	uint32_t free;
	uint32_t busy; /* flows with a suspended packet; 0: nothing to look up */
};

SHOAL_MUST_USE int shoal_flow_table_init(struct shoal_flow_table *table, uint32_t capacity);
void shoal_flow_table_fini(struct shoal_flow_table *table);

static inline uint64_t shoal_flow_identity(uint64_t hash, unsigned port)
{
	return hash ^ (uint64_t)(port + 1) << 56;
}

/* The flow of the port's packets with that hash if it has a suspended packet. */
struct shoal_flow *shoal_flow_find_at(struct shoal_flow_table *table, uint64_t hash, unsigned port);
/* The packet is suspended: its flow has none yet, and hangs at `link`. NULL: table full (never, with room for every
 * microthread). */
struct shoal_flow *shoal_flow_begin(struct shoal_flow_table *table, const struct shoal_packet *packet, uint32_t *link);
/* Adds a waiting packet in order of arrival. (In a burst those whose handler is still to begin are parked first, then those
 * that the burst handler was done with.) */
void shoal_flow_insert(struct shoal_flow *flow, struct shoal_packet *packet);
/* The flow has no suspended packet any more. `link`: where it hangs. */
void shoal_flow_end(struct shoal_flow_table *table, uint32_t *link);
/* Where the packet's flow hangs; 0 there: it has none. Good until a flow begins or ends. */
uint32_t *shoal_flow_link(struct shoal_flow_table *table, const struct shoal_packet *packet);

#endif
