/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include "worker/flow.h"

int shoal_flow_table_init(struct shoal_flow_table *table, uint32_t capacity)
{
	uint32_t buckets = 64;

	while (buckets < capacity)
		buckets *= 2;
	*table = (struct shoal_flow_table){ .capacity = capacity, .high = 1, .buckets_mask = buckets - 1 };
	table->flows = calloc(capacity + 1, sizeof(*table->flows));
	table->buckets = calloc(buckets, sizeof(*table->buckets));
	if (table->flows && table->buckets)
		return 0;
	shoal_flow_table_fini(table);
	return -ENOMEM;
}

void shoal_flow_table_fini(struct shoal_flow_table *table)
{
	free(table->flows);
	free(table->buckets);
	table->flows = NULL;
	table->buckets = NULL;
}

static uint32_t *link_of(struct shoal_flow_table *table, uint64_t identity)
{
	uint32_t *link = &table->buckets[identity & table->buckets_mask];

	while (*link && table->flows[*link].identity != identity)
		link = &table->flows[*link].next;
	return link;
}

struct shoal_flow *shoal_flow_find_at(struct shoal_flow_table *table, uint64_t hash, unsigned port)
{
	uint32_t index = *link_of(table, shoal_flow_identity(hash, port));

	return index ? &table->flows[index] : NULL;
}

struct shoal_flow *shoal_flow_begin(struct shoal_flow_table *table, const struct shoal_packet *packet, uint32_t *link)
{
	uint64_t identity = shoal_flow_identity(packet->hash, packet->port);
	uint32_t index = table->free;

	if (index)
		table->free = table->flows[index].next;
	else if (table->high <= table->capacity)
		index = table->high++;
	else
		return NULL;
	table->flows[index] = (struct shoal_flow){ .identity = identity };
	*link = index;
	table->busy++;
	return &table->flows[index];
}

void shoal_flow_insert(struct shoal_flow *flow, struct shoal_packet *packet)
{
	struct shoal_packet **link = &flow->first;

	if (flow->last && flow->last->arrival < packet->arrival)
		link = &flow->last->next;
	while (*link && (*link)->arrival < packet->arrival)
		link = &(*link)->next;
	packet->next = *link;
	*link = packet;
	if (!packet->next)
		flow->last = packet;
}

uint32_t *shoal_flow_link(struct shoal_flow_table *table, const struct shoal_packet *packet)
{
	return link_of(table, shoal_flow_identity(packet->hash, packet->port));
}

void shoal_flow_end(struct shoal_flow_table *table, uint32_t *link)
{
	uint32_t index = *link;

	*link = table->flows[index].next;
	table->flows[index].next = table->free;
	table->free = index;
	table->busy--;
}
