/* SPDX-License-Identifier: BSD-3-Clause */
/* The bare NAT: a parser that knows TCP and UDP over plain IPv4 alone, a CRC as hash (which anyone can build collisions for),
 * 64-byte buckets of tags and indices, and an object of one cache line. What it lacks of a NAT: fragments, ICMP, expiry, states,
 * checks of addresses, hairpins, seeds. */
#include <arpa/inet.h>
#include <rte_hash_crc.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "io/frame_inline.h"
#include "object/map_inline.h"
#include "table_nat.h"
#include "worker/runner.h"

struct bare_object {
	uint64_t key;
	uint32_t address;
	uint16_t port;
	uint16_t network_delta, transport_delta;
	uint32_t last_seen;
} SHOAL_CACHE_ALIGNED;

struct bare_nat {
	struct shoal_bucket *buckets;
	struct bare_object *objects; /* index 0 is none */
	uint32_t buckets_mask;
};

static inline uint64_t key_of(const uint8_t *frame)
{
	return (uint64_t)shoal_frame_load32(frame + 26) << 32 | (uint64_t)shoal_frame_load16(frame + 34) << 16 |
	       frame[23];
}

static inline uint32_t hash_of(uint64_t key)
{
	return rte_hash_crc_8byte(key, 0);
}

static inline uint16_t tag_of(uint32_t hash)
{
	return (uint16_t)(hash >> 16) | 1;
}

static void insert(struct bare_nat *nat, uint32_t index)
{
	uint32_t hash = hash_of(nat->objects[index].key), number = hash & nat->buckets_mask;

	for (;; number = (number + 1) & nat->buckets_mask) {
		struct shoal_bucket *bucket = &nat->buckets[number];

		for (unsigned way = 0; way < SHOAL_BUCKET_WAYS; way++) {
			if (bucket->tags[way])
				continue;
			bucket->tags[way] = tag_of(hash);
			bucket->entries[way] = index;
			return;
		}
		bucket->passed++;
	}
}

static struct bare_object *find(const struct bare_nat *nat, uint64_t key, uint32_t hash)
{
	for (uint32_t number = hash & nat->buckets_mask;; number = (number + 1) & nat->buckets_mask) {
		const struct shoal_bucket *bucket = &nat->buckets[number];

		for (unsigned mask = shoal_bucket_match(bucket, tag_of(hash)); mask; mask &= mask - 1) {
			struct bare_object *object = &nat->objects[bucket->entries[__builtin_ctz(mask)]];

			if (object->key == key)
				return object;
		}
		if (!bucket->passed)
			return &nat->objects[0];
	}
}

static void *zeroed(size_t bytes)
{
	size_t rounded = (bytes + (2u << 20) - 1) & ~(size_t)((2u << 20) - 1);
	void *memory = aligned_alloc(2u << 20, rounded);

	if (memory) {
		madvise(memory, rounded, MADV_HUGEPAGE);
		memset(memory, 0, rounded);
	}
	return memory;
}

struct bare_nat *bare_nat_create(uint32_t flows)
{
	struct bare_nat *nat = calloc(1, sizeof(*nat));
	uint32_t buckets = 1;

	while (buckets * (uint64_t)SHOAL_BUCKET_WAYS * 7 / 10 < flows)
		buckets *= 2;
	if (!nat)
		return NULL;
	nat->buckets_mask = buckets - 1;
	nat->buckets = zeroed(buckets * sizeof(*nat->buckets));
	nat->objects = zeroed(((size_t)flows + 1) * sizeof(*nat->objects));
	if (!nat->buckets || !nat->objects) {
		bare_nat_destroy(nat);
		return NULL;
	}
	for (uint32_t flow = 0; flow < flows; flow++) {
		uint8_t frame[64];

		source_write_frame(frame, 0, flow);
		nat->objects[flow + 1] = (struct bare_object){ .key = key_of(frame),
			.address = htonl(0xc6120001 + flow / 64000),
			.port = htons((uint16_t)(1024 + flow % 64000)),
			.network_delta = (uint16_t)flow,
			.transport_delta = (uint16_t)(flow * 3) };
		insert(nat, flow + 1);
	}
	return nat;
}

void bare_nat_destroy(struct bare_nat *nat)
{
	if (!nat)
		return;
	free(nat->buckets);
	free(nat->objects);
	free(nat);
}

static inline uint16_t apply(uint16_t checksum, uint16_t delta)
{
	uint32_t sum = (uint32_t)(uint16_t)~checksum + delta;

	return (uint16_t) ~(sum + (sum >> 16));
}

static inline void translate(uint8_t *frame, struct bare_object *object)
{
	uint8_t *checksum = frame + 34 + (frame[23] == 6 ? 16 : 6);
	uint16_t old = shoal_frame_load16(checksum);

	if (old)
		shoal_frame_store16(checksum, apply(old, object->transport_delta));
	shoal_frame_store16(frame + 24, apply(shoal_frame_load16(frame + 24), object->network_delta));
	shoal_frame_store32(frame + 26, object->address);
	shoal_frame_store16(frame + 34, object->port);
	object->last_seen++;
}

static inline bool plain(const uint8_t *frame)
{
	return shoal_frame_load16(frame + 12) == htons(0x0800) && frame[14] == 0x45 &&
	       (frame[23] == 17 || frame[23] == 6);
}

void bare_nat_burst(void *of, struct source *source)
{
	struct bare_nat *nat = of;
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	struct bare_object *objects[SHOAL_BURST_MAX];
	uint64_t keys[SHOAL_BURST_MAX];
	uint32_t hashes[SHOAL_BURST_MAX];
	unsigned n = source_receive(&source->port, packets, SHOAL_BURST_MAX, 0);

	for (unsigned i = 0; i < n; i++) {
		if (!plain(packets[i]->frame))
			abort();
		keys[i] = key_of(packets[i]->frame);
		hashes[i] = hash_of(keys[i]);
		rte_prefetch0(&nat->buckets[hashes[i] & nat->buckets_mask]);
	}
	for (unsigned i = 0; i < n; i++) {
		const struct shoal_bucket *bucket = &nat->buckets[hashes[i] & nat->buckets_mask];
		unsigned mask = shoal_bucket_match(bucket, tag_of(hashes[i]));

		objects[i] = &nat->objects[mask ? bucket->entries[__builtin_ctz(mask)] : 0];
		rte_prefetch0(objects[i]);
	}
	for (unsigned i = 0; i < n; i++) {
		if (SHOAL_UNLIKELY(objects[i]->key != keys[i]))
			objects[i] = find(nat, keys[i], hashes[i]);
		translate(packets[i]->frame, objects[i]);
		packets[i]->port = objects[i]->key == keys[i];
	}
	source_transmit(&source->port, packets, n);
}

void macswap_burst(void *unused, struct source *source)
{
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	unsigned n = source_receive(&source->port, packets, SHOAL_BURST_MAX, 0);

	for (unsigned i = 0; i < n; i++) {
		uint8_t destination[6];

		memcpy(destination, packets[i]->frame, 6);
		memmove(packets[i]->frame, packets[i]->frame + 6, 6);
		memcpy(packets[i]->frame + 6, destination, 6);
		packets[i]->port = 1;
	}
	source_transmit(&source->port, packets, n);
}

double table_nat_chunk(table_nat_burst burst, void *nat, struct source *source)
{
	uint64_t begin = shoal_clock_now();

	source->room = BENCH_CHUNK;
	while (source->room)
		burst(nat, source);
	return (double)(shoal_clock_now() - begin) / BENCH_CHUNK;
}
