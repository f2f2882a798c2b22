/* SPDX-License-Identifier: BSD-3-Clause */
/* The local map's per-packet steps, in the order of the burst's stages: hash, prefetch the bucket, match the tag and
 * prefetch the candidate, verify. */
#ifndef SHOAL_OBJECT_MAP_INLINE_H
#define SHOAL_OBJECT_MAP_INLINE_H

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include "object/map.h"

static inline uint64_t shoal_map_hash(const struct shoal_map *map, const void *key)
{
	return XXH3_64bits_withSeed(key, map->class->key_bytes, map->seed);
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
#ifdef __SSE2__
	__m128i equal = _mm_cmpeq_epi16(_mm_load_si128((const __m128i *)bucket->tags), _mm_set1_epi16((short)tag));

	return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
#else
	unsigned mask = 0;

	for (unsigned way = 0; way < SHOAL_BUCKET_WAYS; way++)
		mask |= (unsigned)(bucket->tags[way] == tag) << way;
	return mask;
#endif
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

#endif
