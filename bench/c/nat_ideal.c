/* SPDX-License-Identifier: BSD-3-Clause */
/* The ideal: what a NAT costs whose state is this process's alone. Parser, keys, hash, rewriting and pools are the product's. */
#include <stdlib.h>
#include <string.h>

#include "nat_world.h"
#include "object/map_inline.h"
#include "steering.h"
#include "worker.h"

static uint32_t insert(const struct nat_world *world, unsigned class, const void *key, void **object)
{
	struct shoal_map *map = (struct shoal_map *)&world->ideal_own[class];
	uint32_t index = shoal_map_insert(map, key, shoal_map_hash(map, key));

	if (!index)
		bench_fail(world->bench, "the ideal's table is full");
	*object = shoal_map_object(map, shoal_map_entry(map, index));
	return index;
}

/* From the pool of the host's own steering slot, else from the next ones, as the NAT does. */
static struct nat_reverse_key take_port(const struct nat_world *world, const struct nat_mapping_key *key)
{
	const struct nat_configuration *configuration = &world->nat->configuration;
	uint32_t index = nat_host_address_index(key->address, (uint32_t)configuration->public_addresses.count);
	struct nat_pool_key pool = { .address = nat_address_set_at(&configuration->public_addresses, index),
		.protocol = key->protocol,
		.steering_slot = nat_host_steering_slot(key->address) };
	struct nat_pool_taken taken;

	for (unsigned pools = 0; pools < SHOAL_STEERING_SLOTS; pools++, pool.steering_slot++) {
		nat_pool_class.methods[NAT_POOL_TAKE].apply(&world->worker->context.context, &pool,
			&world->ideal_pools[index * SHOAL_STEERING_SLOTS + pool.steering_slot],
			&configuration->port_range, &taken);
		if (taken.found)
			return (struct nat_reverse_key){
				.address = pool.address, .port = htons(taken.port), .protocol = key->protocol
			};
	}
	bench_fail(world->bench, "the ideal has no port left");
}

/* A new flow's mapping and its reverse; the mapping's entry. */
static uint32_t make(const struct nat_world *world, const void *mapping_key)
{
	struct nat_mapping_key key;

	memcpy(&key, mapping_key, sizeof(key));
	struct nat_reverse_key reverse_key = take_port(world, &key);
	struct nat_endpoint inside = { key.address, key.port }, outside = { reverse_key.address, reverse_key.port };
	void *mapping, *reverse;
	uint32_t index = insert(world, 0, &key, &mapping);

	insert(world, 1, &reverse_key, &reverse);
	*(struct nat_mapping *)mapping =
		(struct nat_mapping){ .translation = nat_translation_make(inside, outside, key.protocol, NAT_SOURCE),
			.state = nat_state_initial(key.protocol, 0),
			.protocol = key.protocol,
			.ready = 1 };
	*(struct nat_reverse *)reverse = (struct nat_reverse){ .translation = nat_translation_make(
								       outside, inside, key.protocol, NAT_DESTINATION),
		.protocol = key.protocol,
		.ready = 1 };
	return index;
}

void nat_ideal_burst(struct nat_world *world)
{
	const struct shoal_nf_port *declared = &shoal_nf.ports[NAT_INSIDE];
	struct shoal_context *context = &world->worker->context.context;
	struct shoal_map *map = world->mappings;
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	uint8_t keys[SHOAL_BURST_MAX * sizeof(struct nat_mapping_key)];
	uint64_t hashes[SHOAL_BURST_MAX];
	uint32_t buckets[SHOAL_BURST_MAX], candidates[SHOAL_BURST_MAX];
	void *objects[SHOAL_BURST_MAX];
	unsigned n = source_receive(&world->source.port, packets, SHOAL_BURST_MAX, 0);

	if (!n)
		bench_fail(world->bench, "the pool is empty");
	for (unsigned i = 0; i < n; i++)
		if (shoal_parse(packets[i]) != SHOAL_PARSE_OK)
			abort();
	declared->keys(context, packets, n, keys);
	shoal_map_hash_burst(map, keys, n, hashes);
	shoal_map_bucket_burst(map, hashes, n, buckets);
	shoal_map_candidate_burst(map, hashes, buckets, n, candidates);
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *key = keys + i * sizeof(struct nat_mapping_key);
		uint32_t index = shoal_map_verify(map, candidates[i], key, hashes[i]);

		if (SHOAL_UNLIKELY(!index))
			index = make(world, key);
		objects[i] = shoal_map_object(map, shoal_map_entry(map, index));
	}
	shoal_nf.process(context, packets, objects, n);
	for (unsigned i = 0; i < n; i++)
		packets[i]->port = packets[i]->verdict & 0xff;
	source_transmit(&world->source.port, packets, n);
}

double nat_world_own_ideal(struct nat_world *world)
{
	static struct bench_samples samples;
	uint32_t capacity = world->worker->config.space.objects_max;
	size_t pools = world->nat->configuration.public_addresses.count * SHOAL_STEERING_SLOTS;

	for (unsigned class = 0; class < 2; class ++)
		if (shoal_map_init(&world->ideal_own[class], shoal_nf.classes[class], capacity, 42, NULL, true))
			bench_fail(world->bench, "no memory for the ideal's table");
	world->ideal_pools = calloc(pools, sizeof(*world->ideal_pools));
	if (!world->ideal_pools)
		bench_fail(world->bench, "no memory for the ideal's ports");
	world->mappings = &world->ideal_own[0];
	source_in_order(&world->source, world->flows);
	samples.count = 0;
	for (uint32_t made = 0; made < world->flows; made += BENCH_CHUNK)
		bench_sample(&samples, nat_world_ideal_chunk(world));
	return bench_median(&samples);
}
