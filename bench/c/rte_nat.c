/* SPDX-License-Identifier: BSD-3-Clause */
/* A NAT on rte_hash, as DPDK's own examples build one: the same parser and rewriting as nfs/nat, and the objects, one cache line
 * each, in an array beside the table. */
#include <arpa/inet.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "io/parse_inline.h"
#include "nat.h"
#include "table_nat.h"
#include "translate.h"

struct rte_object {
	struct nat_mapping mapping;
} SHOAL_CACHE_ALIGNED;

struct rte_nat {
	struct rte_hash *table;
	struct rte_object *objects; /* by position in the table */
};

static struct nat_mapping_key key_of(const struct shoal_packet *packet)
{
	return (struct nat_mapping_key){ .address = packet->tuple.source_address,
		.port = packet->tuple.source_port,
		.protocol = packet->tuple.protocol };
}

static int add(struct rte_nat *nat, uint32_t flow)
{
	uint8_t frame[64];
	struct shoal_packet packet = { .frame = frame, .length = 60 };
	struct nat_mapping_key key;
	int position;

	source_write_frame(frame, 0, flow, false);
	if (shoal_parse(&packet) != SHOAL_PARSE_OK)
		abort();
	key = key_of(&packet);
	position = rte_hash_add_key(nat->table, &key);
	if (position < 0)
		return position;
	struct nat_endpoint inside = { key.address, key.port };
	struct nat_endpoint outside = { htonl(0xc6120001 + flow / 64000), htons((uint16_t)(1024 + flow % 64000)) };

	nat->objects[position].mapping =
		(struct nat_mapping){ .translation = nat_translation_make(inside, outside, key.protocol, NAT_SOURCE),
			.ready = 1 };
	return 0;
}

struct rte_nat *rte_nat_create(uint32_t flows)
{
	struct rte_nat *nat = calloc(1, sizeof(*nat));
	const struct rte_hash_parameters parameters = { .name = "rte_nat",
		.entries = flows + flows / 4 + 64,
		.key_len = sizeof(struct nat_mapping_key),
		.hash_func = rte_hash_crc,
		.socket_id = SOCKET_ID_ANY };
	size_t bytes = ((size_t)parameters.entries + 1) * sizeof(struct rte_object);

	if (!nat)
		return NULL;
	bytes = (bytes + (2u << 20) - 1) & ~(size_t)((2u << 20) - 1);
	nat->table = rte_hash_create(&parameters);
	nat->objects = aligned_alloc(2u << 20, bytes);
	if (nat->objects)
		madvise(nat->objects, bytes, MADV_HUGEPAGE);
	for (uint32_t flow = 0; flow < flows; flow++) {
		if (nat->table && nat->objects && !add(nat, flow))
			continue;
		rte_nat_destroy(nat);
		return NULL;
	}
	return nat;
}

void rte_nat_destroy(struct rte_nat *nat)
{
	if (!nat)
		return;
	rte_hash_free(nat->table);
	free(nat->objects);
	free(nat);
}

void rte_nat_burst(void *of, struct source *source)
{
	struct rte_nat *nat = of;
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	struct nat_mapping_key keys[SHOAL_BURST_MAX];
	const void *pointers[SHOAL_BURST_MAX];
	int32_t positions[SHOAL_BURST_MAX];
	unsigned n = source_receive(&source->port, packets, SHOAL_BURST_MAX, 0);

	for (unsigned i = 0; i < n; i++) {
		if (shoal_parse(packets[i]) != SHOAL_PARSE_OK)
			abort();
		keys[i] = key_of(packets[i]);
		pointers[i] = &keys[i];
	}
	if (n && rte_hash_lookup_bulk(nat->table, pointers, n, positions))
		abort();
	for (unsigned i = 0; i < n; i++)
		__builtin_prefetch(&nat->objects[positions[i] < 0 ? 0 : positions[i]], 1);
	for (unsigned i = 0; i < n; i++) {
		struct nat_mapping *mapping = &nat->objects[positions[i] < 0 ? 0 : positions[i]].mapping;

		mapping->last_seen++;
		packets[i]->port = positions[i] >= 0;
		nat_translate_plain(packets[i], &mapping->translation, NAT_SOURCE);
	}
	source_transmit(&source->port, packets, n);
}
