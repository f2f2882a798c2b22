/* SPDX-License-Identifier: BSD-3-Clause */
/* Flows that have a suspended packet: later packets of the same flow wait behind it, so that they leave in order. For
 * waiting, a flow is the packets of one port with one declared key; it is known here by the key's hash alone (two flows
 * of one hash merely wait for each other). */
#ifndef SHOAL_WORKER_FLOW_H
#define SHOAL_WORKER_FLOW_H

#include <shoal/packet.h>
#include "object/fetch.h"

struct SHOAL_CACHE_ALIGNED shoal_flow {
	uint64_t identity;
	struct shoal_packet *first, *last; /* waiting, in order of arrival */
	uint64_t arrival; /* of the packet that is suspended */
	uint32_t next; /* in its bucket, or among the free */
	bool waited_in_vain; /* it has a packet handler now, since its fetch has timed out */
	struct shoal_packet
		*fetching; /* the suspended one, while it has no microthread: it waits for what is fetched; else NULL */
	struct shoal_fetch fetch;
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

/* Where the flow hangs, 0 there: it has none. Good until a flow begins or ends. */
static inline uint32_t *shoal_flow_link_of(struct shoal_flow_table *table, uint64_t identity)
{
	uint32_t *link = &table->buckets[identity & table->buckets_mask];

	while (*link && table->flows[*link].identity != identity)
		link = &table->flows[*link].next;
	return link;
}

static inline void shoal_flow_prefetch(const struct shoal_flow_table *table, uint64_t hash, unsigned port)
{
	__builtin_prefetch(&table->buckets[shoal_flow_identity(hash, port) & table->buckets_mask], 1);
}

static inline uint32_t *shoal_flow_link(struct shoal_flow_table *table, const struct shoal_packet *packet)
{
	return shoal_flow_link_of(table, shoal_flow_identity(packet->hash, packet->port));
}

/* The flow of the port's packets with that hash if it has a suspended packet. */
static inline struct shoal_flow *shoal_flow_find_at(struct shoal_flow_table *table, uint64_t hash, unsigned port)
{
	uint32_t index = *shoal_flow_link_of(table, shoal_flow_identity(hash, port));

	return index ? &table->flows[index] : NULL;
}

/* The one that begins next, to be written to before. NULL: table full (never, with room for every microthread and every
 * fetch). */
static inline struct shoal_flow *shoal_flow_spare(struct shoal_flow_table *table)
{
	if (SHOAL_LIKELY(table->free))
		return &table->flows[table->free];
	return table->high <= table->capacity ? &table->flows[table->high] : NULL;
}

/* The packet is suspended: its flow has none yet, and hangs at `link`. NULL: as above. */
static inline struct shoal_flow *shoal_flow_begin(
	struct shoal_flow_table *table, const struct shoal_packet *packet, uint32_t *link)
{
	struct shoal_flow *flow = shoal_flow_spare(table);

	if (!flow)
		return NULL;
	*link = (uint32_t)(flow - table->flows);
	if (SHOAL_LIKELY(table->free))
		table->free = flow->next;
	else
		table->high++;
	flow->identity = shoal_flow_identity(packet->hash, packet->port);
	flow->first = flow->last = flow->fetching = NULL;
	flow->arrival = packet->arrival;
	flow->next = 0;
	flow->waited_in_vain = false;
	table->busy++;
	return flow;
}

/* Adds a waiting packet in order of arrival. (In a burst those whose handler is still to begin are parked first, then those
 * that the burst handler was done with.) */
void shoal_flow_insert(struct shoal_flow *flow, struct shoal_packet *packet);

/* The flow has no suspended packet any more. `link`: where it hangs. */
static inline void shoal_flow_end(struct shoal_flow_table *table, uint32_t *link)
{
	uint32_t index = *link;

	table->flows[index].fetching = NULL;
	*link = table->flows[index].next;
	table->flows[index].next = table->free;
	table->free = index;
	table->busy--;
}

#endif
