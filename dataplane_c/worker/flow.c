/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "worker/flow.h"

int shoal_flow_table_init(struct shoal_flow_table *table, uint32_t capacity)
{
	uint32_t buckets = 64;

	while (buckets < capacity)
		buckets *= 2;
	*table = (struct shoal_flow_table){ .capacity = capacity, .high = 1, .buckets_mask = buckets - 1 };
	table->flows = aligned_alloc(SHOAL_CACHE_LINE, ((size_t)capacity + 1) * sizeof(*table->flows));
	if (table->flows)
		memset(table->flows, 0, ((size_t)capacity + 1) * sizeof(*table->flows));
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
