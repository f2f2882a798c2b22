/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/traffic_flows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "io/frame_inline.h"
#include "io/hash_index.h"

#define SWEEPS_PER_IDLE 4 /* the whole table so often in idle_ns */
#define SWEEP_MAX 1024u /* flows in one call */
#define NUMBER_BITS 31 /* of a flow's number; the rest is SHOAL_FLOW_BACK */

static struct shoal_endpoint endpoint(const struct shoal_packet *packet, bool source)
{
	struct shoal_endpoint made = { .protocol = packet->tuple.protocol,
		.port = source ? packet->tuple.source_port : packet->tuple.destination_port };

	if (packet->flags & SHOAL_PACKET_IPV4) {
		made.version = 4;
		made.address = source ? packet->tuple.source_address : packet->tuple.destination_address;
	} else {
		made.version = 6;
		made.address = XXH3_64bits(shoal_packet_network(packet) + (source ? 8 : 24), 16);
	}
	return made;
}

void shoal_traffic_endpoints(
	const struct shoal_packet *packet, struct shoal_endpoint *source, struct shoal_endpoint *destination)
{
	*source = endpoint(packet, true);
	*destination = endpoint(packet, false);
}

static uint32_t hash_of(const struct shoal_traffic_flow_key *key)
{
	return (uint32_t)XXH3_64bits(key, sizeof(*key));
}

int shoal_traffic_flows_init(struct shoal_traffic_flows *table, uint32_t most, uint64_t idle_ns)
{
	*table = (struct shoal_traffic_flows){ .most = most, .index_bits = 1, .generation = 1 };
	if (most == 0 || most > SHOAL_FLOWS_MAX)
		return -EINVAL;
	while (most > 1u << table->index_bits)
		table->index_bits++;
	table->flows = calloc(most, sizeof(*table->flows));
	table->index = calloc(1, sizeof(*table->index));
	table->mappings = shoal_mapping_check_create(most);
	if (!table->flows || !table->index || !table->mappings || shoal_hash_index_init(table->index, most)) {
		shoal_traffic_flows_fini(table);
		return -ENOMEM;
	}
	shoal_traffic_flows_reset(table, idle_ns);
	return 0;
}

void shoal_traffic_flows_fini(struct shoal_traffic_flows *table)
{
	if (table->index)
		shoal_hash_index_fini(table->index);
	shoal_mapping_check_destroy(table->mappings);
	free(table->index);
	free(table->flows);
	*table = (struct shoal_traffic_flows){ 0 };
}

void shoal_traffic_flows_reset(struct shoal_traffic_flows *table, uint64_t idle_ns)
{
	table->idle_ns = idle_ns;
	for (uint32_t i = 0; i < table->used; i++)
		table->flows[i].number = 0;
	table->used = table->sweep_at = 0;
	table->first_free = SHOAL_HASH_INDEX_NONE;
	table->started = table->ended = table->swept_ns = 0;
	shoal_hash_index_clear(table->index);
	shoal_mapping_check_reset(table->mappings);
}

static uint32_t place_take(struct shoal_traffic_flows *table)
{
	uint32_t at = table->first_free;

	if (at != SHOAL_HASH_INDEX_NONE)
		table->first_free = table->flows[at].next_free;
	else if (table->used < table->most)
		at = table->used++;
	return at;
}

/* Generation in the upper bits, never 0, so that no number is 0 and a place's numbers differ for long. */
static uint32_t number_make(struct shoal_traffic_flows *table, uint32_t at)
{
	uint32_t generations = 1u << (NUMBER_BITS - table->index_bits);
	uint32_t number = table->generation << table->index_bits | at;

	table->generation = table->generation + 1 < generations ? table->generation + 1 : 1;
	return number;
}

static void flow_end(struct shoal_traffic_flows *table, uint32_t at)
{
	struct shoal_traffic_flow *flow = &table->flows[at];

	shoal_hash_index_remove(table->index, hash_of(&flow->key), at);
	shoal_mapping_check_put(table->mappings, flow->source);
	flow->number = 0;
	flow->next_free = table->first_free;
	table->first_free = at;
	table->ended++;
}

struct shoal_traffic_flow *shoal_traffic_flows_get(
	struct shoal_traffic_flows *table, const struct shoal_traffic_flow_key *key, uint64_t now_ns)
{
	uint32_t hash = hash_of(key), cursor = hash, at;
	struct shoal_traffic_flow *flow;

	while ((at = shoal_hash_index_next(table->index, hash, &cursor)) != SHOAL_HASH_INDEX_NONE) {
		flow = &table->flows[at];
		if (memcmp(&flow->key, key, sizeof(*key)))
			continue;
		if (now_ns > flow->last_ns + table->idle_ns) { /* it ended before it was swept */
			flow_end(table, at);
			break;
		}
		flow->last_ns = now_ns;
		return flow;
	}
	at = place_take(table);
	if (at == SHOAL_HASH_INDEX_NONE)
		return NULL;
	flow = &table->flows[at];
	*flow = (struct shoal_traffic_flow){ .key = *key,
		.last_ns = now_ns,
		.number = number_make(table, at),
		.source = shoal_mapping_check_get(table->mappings, &key->source) };
	shoal_hash_index_insert(table->index, hash, at);
	table->started++;
	return flow;
}

struct shoal_traffic_flow *shoal_traffic_flows_find(struct shoal_traffic_flows *table, uint32_t number)
{
	uint32_t at = number & ((1u << table->index_bits) - 1);

	number &= ~SHOAL_FLOW_BACK;
	return number && at < table->used && table->flows[at].number == number ? &table->flows[at] : NULL;
}

void shoal_traffic_flows_sweep(struct shoal_traffic_flows *table, uint64_t now_ns)
{
	double passed = table->swept_ns ? (double)(now_ns - table->swept_ns) : 0;
	double share = passed * SWEEPS_PER_IDLE / (double)(table->idle_ns + 1) * table->used;
	uint32_t n = share < SWEEP_MAX ? (uint32_t)share : SWEEP_MAX;

	if (n > table->used)
		n = table->used;
	if (!n && table->swept_ns && table->used) /* too early for one: time adds up */
		return;
	table->swept_ns = now_ns;
	for (; n; n--) {
		struct shoal_traffic_flow *flow = &table->flows[table->sweep_at];

		if (flow->number && now_ns > flow->last_ns + table->idle_ns)
			flow_end(table, table->sweep_at);
		table->sweep_at = table->sweep_at + 1 < table->used ? table->sweep_at + 1 : 0;
	}
}
