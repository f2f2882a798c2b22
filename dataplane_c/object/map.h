/* SPDX-License-Identifier: BSD-3-Clause */
/* The local map of one class: a flat table of 64-byte buckets (8 tags, 8 indices) over a slab of entries. Never moves an
 * entry, never allocates after creation; index 0 is no entry. The slab is a file, mapped shared, so that it outlives the
 * process (architecture.md, "Object space"). */
#ifndef SHOAL_OBJECT_MAP_H
#define SHOAL_OBJECT_MAP_H

#include <shoal/nf.h>
#include "object/entry.h"

#define SHOAL_BUCKET_WAYS 8

/* Entries whose bucket is full lie in one of the next ones; `passed` counts how many passed over this bucket, so that a
 * look-up knows where to end. */
struct shoal_bucket {
	uint16_t tags[SHOAL_BUCKET_WAYS]; /* 0: free */
	uint32_t entries[SHOAL_BUCKET_WAYS];
	uint32_t passed;
	uint32_t unused[3];
} SHOAL_CACHE_ALIGNED;

/* writer: worker; readers: control (count). */
struct shoal_map {
	const struct shoal_class *class; /* borrows */
	struct shoal_bucket *buckets; /* owns */
	uint8_t *slab; /* owns the mapping; entry i lies at i * stride */
	uint8_t *leases; /* that of entry i lies at i * lease_stride: in the entry, or in an array behind all entries */
	struct shoal_entry_timer *timers;
	uint8_t *steering; /* behind the buckets: the steering slot of each entry, to find all entries of one */
	uint32_t stride, lease_stride;
	uint32_t object_offset; /* within the entry */
	uint32_t buckets_count;
	uint32_t capacity;
	uint32_t count;
	uint32_t free_head;
	uint32_t high_water; /* entries 1 … high_water - 1 have been used */
	uint64_t seed;
	size_t slab_bytes, buckets_bytes;
	size_t leases_offset, timers_offset; /* in the slab */
	char path[392]; /* of the slab's file; "" where it is anonymous */
};

_Static_assert(sizeof(struct shoal_map) == 512, "a class's map is found with a shift");

/* Makes an empty map for `capacity` objects. directory NULL: no file. `touch`: every page is touched now (about 5 µs for
 * 4 KiB, which packets would pay for later). 0 or -errno. */
SHOAL_MUST_USE int shoal_map_init(struct shoal_map *map, const struct shoal_class *class, uint32_t capacity,
	uint64_t seed, const char *directory, bool touch);
/* Gives a slab's new file its size, and on tmpfs its pages: that there is no room shows here, not as SIGBUS in a poll. 0 or
 * -1 with errno. */
SHOAL_MUST_USE int shoal_slab_file_resize(int descriptor, size_t bytes);
/* The layout alone: strides and sizes of such a map, nothing mapped. Also for a slab that somebody else has made. */
void shoal_map_describe(struct shoal_map *map, const struct shoal_class *class, uint32_t capacity, uint64_t seed);
/* A described map's slab is mapped there. */
void shoal_map_attach(struct shoal_map *map, uint8_t *slab);
/* Unmaps, and removes the file. */
void shoal_map_fini(struct shoal_map *map);

/* The key's entry or 0. `hash` as from shoal_map_hash. */
uint32_t shoal_map_find(const struct shoal_map *map, const void *key, uint64_t hash);
/* Makes an entry for a key that has none: ABSENT, NONE. 0: full. */
uint32_t shoal_map_insert(struct shoal_map *map, const void *key, uint64_t hash);
/* The same where the key's slot is known. */
uint32_t shoal_map_insert_at(struct shoal_map *map, const void *key, uint64_t hash, uint16_t slot);
/* Forgets an entry. Its index may be given out again at once. */
void shoal_map_remove(struct shoal_map *map, uint32_t index);

static inline struct shoal_entry_lease *shoal_map_lease(const struct shoal_map *map, uint32_t index)
{
	return (struct shoal_entry_lease *)(map->leases + (size_t)index * map->lease_stride);
}

#endif
