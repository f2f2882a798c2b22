/* SPDX-License-Identifier: BSD-3-Clause */
/* The local map's per-packet steps, in the order of the burst's stages: hash, prefetch the bucket, match the tag and
 * prefetch the candidate, verify. */
#ifndef SHOAL_OBJECT_MAP_INLINE_H
#define SHOAL_OBJECT_MAP_INLINE_H

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif
#include "object/map.h"

static inline uint64_t shoal_rotate_left(uint64_t value, unsigned bits)
{
	return value << bits | value >> (64 - bits);
}

/* XXH3_64bits_withSeed of eight bytes (a word in memory's order, on a little-endian machine), without its choice by length:
 * so short that a compiler does eight keys at once. */
static inline uint64_t shoal_hash_word(uint64_t key, uint64_t seed)
{
	const uint64_t secret = UINT64_C(0x1cad21f72c81017c) ^ UINT64_C(0xdb979083e96dd4de);
	const uint64_t factor = UINT64_C(0x9fb21c651e98df25);

	seed ^= (uint64_t)__builtin_bswap32((uint32_t)seed) << 32;
	key = shoal_rotate_left(key, 32) ^ (secret - seed);
	key ^= shoal_rotate_left(key, 49) ^ shoal_rotate_left(key, 24);
	key *= factor;
	key ^= (key >> 35) + sizeof(key);
	key *= factor;
	return key ^ key >> 28;
}

#define SHOAL_MAP_WORD_BYTES                                                                                           \
	(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 8 : 0) /* length of a key that is hashed as a word */

/* Any length; out of line. */
uint64_t shoal_map_hash_bytes(const struct shoal_map *map, const void *key);

static inline uint64_t shoal_map_hash(const struct shoal_map *map, const void *key)
{
	uint64_t word;

	if (map->class->key_bytes != SHOAL_MAP_WORD_BYTES)
		return shoal_map_hash_bytes(map, key);
	memcpy(&word, key, sizeof(word));
	return shoal_hash_word(word, map->seed);
}

static inline uint16_t shoal_map_slot(const struct shoal_map *map, const void *key, uint64_t hash)
{
	if (map->class->steering)
		return (uint16_t)(map->class->steering(key) * SHOAL_SLOTS_PER_STEERING + (hash >> 58));
	return (uint16_t)(hash >> 50);
}

/* Tags use other bits than bucket numbers do. */
static inline uint16_t shoal_map_tag(uint64_t hash)
{
	return (uint16_t)(hash >> 32) | 1;
}

static inline uint32_t shoal_map_bucket(const struct shoal_map *map, uint64_t hash)
{
	return (uint32_t)((uint64_t)(uint32_t)hash * map->buckets_count >> 32);
}

static inline struct shoal_entry *shoal_map_entry(const struct shoal_map *map, uint32_t index)
{
	return (struct shoal_entry *)(map->slab + (size_t)index * map->stride);
}

static inline void *shoal_map_object(const struct shoal_map *map, struct shoal_entry *entry)
{
	return (uint8_t *)entry + map->object_offset;
}

static inline void shoal_map_prefetch(const struct shoal_map *map, uint64_t hash)
{
	__builtin_prefetch(&map->buckets[shoal_map_bucket(map, hash)]);
}

/* Bit i: way i bears the tag. */
static inline unsigned shoal_bucket_match(const struct shoal_bucket *bucket, uint16_t tag)
{
#if defined(__AVX512BW__) && defined(__AVX512VL__)
	return _mm_cmpeq_epi16_mask(_mm_load_si128((const __m128i *)bucket->tags), _mm_set1_epi16((short)tag));
#elif defined(__SSE2__)
	__m128i equal = _mm_cmpeq_epi16(_mm_load_si128((const __m128i *)bucket->tags), _mm_set1_epi16((short)tag));

	return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
#else
	unsigned mask = 0;

	for (unsigned way = 0; way < SHOAL_BUCKET_WAYS; way++)
		mask |= (unsigned)(bucket->tags[way] == tag) << way;
	return mask;
#endif
}

/* No entry of the home bucket bears the hash's tag, and none lies in another bucket: there is no such key. */
static inline bool shoal_map_surely_absent(const struct shoal_map *map, uint32_t number, uint64_t hash)
{
	const struct shoal_bucket *bucket = &map->buckets[number];

	return !shoal_bucket_match(bucket, shoal_map_tag(hash)) && !bucket->passed;
}

/* First entry of the home bucket with the hash's tag, or 0; prefetches it. */
static inline uint32_t shoal_map_candidate(const struct shoal_map *map, uint64_t hash)
{
	const struct shoal_bucket *bucket = &map->buckets[shoal_map_bucket(map, hash)];
	unsigned mask = shoal_bucket_match(bucket, shoal_map_tag(hash));

	if (!mask)
		return 0;
	uint32_t index = bucket->entries[__builtin_ctz(mask)];

	__builtin_prefetch(shoal_map_entry(map, index), 1);
	return index;
}

/* --- The same for a burst's keys. `keys` lie class->key_bytes apart; SHOAL_BURST_MAX at most. --- */

static inline void shoal_map_hash_burst(const struct shoal_map *map, const void *keys, unsigned n, uint64_t hashes[])
{
	uint64_t seed = map->seed, word;
	uint16_t bytes = map->class->key_bytes;

	if (bytes != SHOAL_MAP_WORD_BYTES) {
		for (unsigned i = 0; i < n; i++)
			hashes[i] = XXH3_64bits_withSeed((const uint8_t *)keys + i * bytes, bytes, seed);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		memcpy(&word, (const uint8_t *)keys + i * sizeof(word), sizeof(word));
		hashes[i] = shoal_hash_word(word, seed);
	}
}

/* Home buckets, prefetched. */
static inline void shoal_map_bucket_burst(
	const struct shoal_map *map, const uint64_t hashes[], unsigned n, uint32_t numbers[])
{
	const struct shoal_bucket *buckets = map->buckets;
	uint64_t count = map->buckets_count;

	for (unsigned i = 0; i < n; i++)
		numbers[i] = (uint32_t)((uint32_t)hashes[i] * count >> 32);
	for (unsigned i = 0; i < n; i++)
		__builtin_prefetch(&buckets[numbers[i]]);
}

static inline void shoal_map_candidate_burst(const struct shoal_map *map, const uint64_t hashes[],
	const uint32_t numbers[], unsigned n, uint32_t candidates[])
{
	const struct shoal_bucket *buckets = map->buckets;
	const uint8_t *slab = map->slab;
	size_t stride = map->stride;

	for (unsigned i = 0; i < n; i++) {
		const struct shoal_bucket *bucket = &buckets[numbers[i]];
		unsigned mask = shoal_bucket_match(bucket, shoal_map_tag(hashes[i]));
		uint32_t index = mask ? bucket->entries[__builtin_ctz(mask)] : 0;

		candidates[i] = index;
		__builtin_prefetch(slab + index * stride, 1);
	}
}

/* Keys of up to 16 bytes are compared without a call. */
static inline bool shoal_map_key_equal(const struct shoal_map *map, const struct shoal_entry *entry, const void *key)
{
	uint16_t bytes = map->class->key_bytes;

	if (bytes == 8) {
		uint64_t left, right;

		memcpy(&left, entry->bytes, 8);
		memcpy(&right, key, 8);
		return left == right;
	}
	return memcmp(entry->bytes, key, bytes) == 0;
}

/* The candidate if it is the key's; else the long way round. */
static inline uint32_t shoal_map_verify(const struct shoal_map *map, uint32_t candidate, const void *key, uint64_t hash)
{
	if (SHOAL_LIKELY(candidate && shoal_map_key_equal(map, shoal_map_entry(map, candidate), key)))
		return candidate;
	return shoal_map_find(map, key, hash);
}

/* shoal_map_find with its first steps here: a key that is there is its bucket's first with that tag, nearly always. */
static inline uint32_t shoal_map_look(const struct shoal_map *map, const void *key, uint64_t hash)
{
	const struct shoal_bucket *bucket = &map->buckets[shoal_map_bucket(map, hash)];
	unsigned mask = shoal_bucket_match(bucket, shoal_map_tag(hash));

	if (!mask && !bucket->passed)
		return 0;
	return shoal_map_verify(map, mask ? bucket->entries[__builtin_ctz(mask)] : 0, key, hash);
}

#endif
