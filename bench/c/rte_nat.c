/* SPDX-License-Identifier: BSD-3-Clause */
/* The NAT on rte_hash: parser, keys, burst handler and objects are the product's, and the objects, one cache line each, lie in an
 * array beside DPDK's table. And a bare one, as DPDK's own examples build it: of the product it has parser and rewriting alone. */
#include <arpa/inet.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "io/parse_inline.h"
#include "nat.h"
#include "table_nat.h"
#include "tcp_state.h"
#include "translate.h"

struct rte_object {
	struct nat_mapping mapping;
} SHOAL_CACHE_ALIGNED;

struct rte_nat {
	struct rte_hash *table;
	struct rte_object *objects; /* by position in the table */
	struct shoal_context *context; /* borrows: the NAT's settings and its time */
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

	source_write_frame(frame, 0, flow);
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
			.state = nat_state_initial(key.protocol, 0),
			.protocol = key.protocol,
			.ready = 1 };
	return 0;
}

struct rte_nat *rte_nat_create(uint32_t flows, struct shoal_context *context)
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
	nat->context = context;
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

static unsigned receive(struct source *source, struct shoal_packet *packets[])
{
	unsigned n = source_receive(&source->port, packets, SHOAL_BURST_MAX, 0);

	for (unsigned i = 0; i < n; i++)
		if (shoal_parse(packets[i]) != SHOAL_PARSE_OK)
			abort();
	return n;
}

/* The objects of known flows, prefetched; all packets are of such. The burst's hashes come first: left to the table, which calls a
 * function for each key, the whole is 5 % slower. */
static void look_up(
	const struct rte_nat *nat, const struct nat_mapping_key keys[], unsigned n, struct nat_mapping *mappings[])
{
	const void *pointers[SHOAL_BURST_MAX];
	int32_t positions[SHOAL_BURST_MAX];

	hash_sig_t signatures[SHOAL_BURST_MAX];

	for (unsigned i = 0; i < n; i++) {
		pointers[i] = &keys[i];
		signatures[i] = rte_hash_crc(&keys[i], sizeof(keys[i]), 0);
	}
	if (n && rte_hash_lookup_with_hash_bulk(nat->table, pointers, signatures, n, positions))
		abort();
	for (unsigned i = 0; i < n; i++) {
		if (SHOAL_UNLIKELY(positions[i] < 0))
			abort();
		mappings[i] = &nat->objects[positions[i]].mapping;
		__builtin_prefetch(mappings[i], 1);
	}
}

void rte_nat_burst(void *of, struct source *source)
{
	struct rte_nat *nat = of;
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	struct nat_mapping_key keys[SHOAL_BURST_MAX];
	struct nat_mapping *mappings[SHOAL_BURST_MAX];
	void *objects[SHOAL_BURST_MAX];
	unsigned n = receive(source, packets);

	shoal_nf.ports[NAT_INSIDE].keys(nat->context, packets, n, keys);
	look_up(nat, keys, n, mappings);
	for (unsigned i = 0; i < n; i++)
		objects[i] = mappings[i];
	shoal_nf.process(nat->context, packets, objects, n);
	for (unsigned i = 0; i < n; i++)
		packets[i]->port = packets[i]->verdict & 0xff;
	source_transmit(&source->port, packets, n);
}

void rte_nat_bare_burst(void *of, struct source *source)
{
	struct rte_nat *nat = of;
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	struct nat_mapping_key keys[SHOAL_BURST_MAX];
	struct nat_mapping *mappings[SHOAL_BURST_MAX];
	unsigned n = receive(source, packets);

	for (unsigned i = 0; i < n; i++)
		keys[i] = key_of(packets[i]);
	look_up(nat, keys, n, mappings);
	for (unsigned i = 0; i < n; i++) {
		mappings[i]->last_seen++;
		packets[i]->port = NAT_OUTSIDE;
		nat_translate_plain(packets[i], &mappings[i]->translation, NAT_SOURCE);
	}
	source_transmit(&source->port, packets, n);
}
