/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "object/map_inline.h"

/* Share of ways in use when the map is full: what keeps a look-up to one bucket nearly always. */
#define LOAD_PERCENT 70
#define HUGE_PAGE ((size_t)2 << 20)

static size_t round_up(size_t value, size_t unit)
{
	return (value + unit - 1) / unit * unit;
}

/* An entry begins a cache line of its own where that wastes little. */
static uint32_t entry_stride(const struct shoal_class *class, uint32_t *object_offset)
{
	*object_offset = (uint32_t)(sizeof(struct shoal_entry) + round_up(class->key_bytes, 8));
	size_t bytes = round_up(*object_offset + class->object_bytes, 8);
	size_t lines = round_up(bytes, SHOAL_CACHE_LINE);

	return (uint32_t)(lines - bytes <= 4 || lines == SHOAL_CACHE_LINE ? lines : bytes);
}

int shoal_slab_file_resize(int descriptor, size_t bytes)
{
	struct statfs filesystem;

	/* Of hugetlbfs the mapping reserves the pages. */
	if (fstatfs(descriptor, &filesystem) == 0 && filesystem.f_type == TMPFS_MAGIC)
		return fallocate(descriptor, 0, 0, (off_t)bytes);
	return ftruncate(descriptor, (off_t)bytes);
}

static void *map_file(struct shoal_map *map, const char *directory, size_t *bytes, bool touch)
{
	struct statfs filesystem;
	int descriptor;
	void *memory;

	snprintf(map->path, sizeof(map->path), "%s/%s.slab", directory, map->class->name);
	descriptor = open(map->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (descriptor < 0)
		return MAP_FAILED;
	if (fstatfs(descriptor, &filesystem) == 0 && filesystem.f_type == HUGETLBFS_MAGIC)
		*bytes = round_up(*bytes, HUGE_PAGE);
	memory = shoal_slab_file_resize(descriptor, *bytes)
	                 ? MAP_FAILED
	                 : mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED | (touch ? MAP_POPULATE : 0),
				   descriptor, 0);
	if (memory == MAP_FAILED) {
		int error = errno;

		unlink(map->path);
		errno = error;
	}
	close(descriptor);
	return memory;
}

static void *map_anonymous(size_t *bytes, bool touch)
{
	if (*bytes >= HUGE_PAGE)
		*bytes = round_up(*bytes, HUGE_PAGE);
	void *memory = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory != MAP_FAILED && *bytes >= HUGE_PAGE)
		madvise(memory, *bytes, MADV_HUGEPAGE);
	if (memory != MAP_FAILED && touch)
		memset(memory, 0, *bytes);
	return memory;
}

/* An array behind what lies in the slab already; its offset. */
static size_t place_array(struct shoal_map *map, size_t element_bytes)
{
	size_t offset = round_up(map->slab_bytes, SHOAL_CACHE_LINE);

	map->slab_bytes = offset + ((size_t)map->capacity + 1) * element_bytes;
	return offset;
}

void shoal_map_describe(struct shoal_map *map, const struct shoal_class *class, uint32_t capacity, uint64_t seed)
{
	const uint32_t lease_bytes = sizeof(struct shoal_entry_lease);

	memset(map, 0, sizeof(*map));
	map->class = class;
	map->capacity = capacity;
	map->seed = seed;
	map->stride = entry_stride(class, &map->object_offset);
	map->high_water = 1;
	map->slab_bytes = ((size_t)capacity + 1) * map->stride;
	/* What would only fill the entry's cache line holds its lease: no memory, and no line, of its own. */
	if (map->stride - map->object_offset - class->object_bytes >= lease_bytes) {
		map->leases_offset = map->stride - lease_bytes;
		map->lease_stride = map->stride;
	} else {
		map->leases_offset = place_array(map, lease_bytes);
		map->lease_stride = lease_bytes;
	}
	map->timers_offset = place_array(map, sizeof(struct shoal_entry_timer));
}

void shoal_map_attach(struct shoal_map *map, uint8_t *slab)
{
	map->slab = slab;
	map->leases = slab + map->leases_offset;
	map->timers = (struct shoal_entry_timer *)(slab + map->timers_offset);
}

int shoal_map_init(struct shoal_map *map, const struct shoal_class *class, uint32_t capacity, uint64_t seed,
	const char *directory, bool touch)
{
	void *memory;

	if (!capacity || capacity > UINT32_MAX / 2)
		return -EINVAL;
	shoal_map_describe(map, class, capacity, seed);
	map->buckets_count = (uint32_t)((uint64_t)capacity * 100 / LOAD_PERCENT / SHOAL_BUCKET_WAYS + 2);
	map->buckets_bytes = (size_t)map->buckets_count * sizeof(struct shoal_bucket) + capacity + 1;
	map->buckets = map_anonymous(&map->buckets_bytes, touch);
	if (map->buckets == MAP_FAILED)
		return -errno;
	memory = directory ? map_file(map, directory, &map->slab_bytes, touch) : map_anonymous(&map->slab_bytes, touch);
	if (memory == MAP_FAILED) {
		int error = errno;

		munmap(map->buckets, map->buckets_bytes);
		return -error;
	}
	map->steering = (uint8_t *)(map->buckets + map->buckets_count);
	shoal_map_attach(map, memory);
	return 0;
}

void shoal_map_fini(struct shoal_map *map)
{
	if (!map->slab)
		return;
	munmap(map->slab, map->slab_bytes);
	munmap(map->buckets, map->buckets_bytes);
	if (map->path[0])
		unlink(map->path);
	map->slab = NULL;
}

uint64_t shoal_map_hash_bytes(const struct shoal_map *map, const void *key)
{
	return XXH3_64bits_withSeed(key, map->class->key_bytes, map->seed);
}

static uint32_t next_bucket(const struct shoal_map *map, uint32_t bucket)
{
	return bucket + 1 == map->buckets_count ? 0 : bucket + 1;
}

uint32_t shoal_map_find(const struct shoal_map *map, const void *key, uint64_t hash)
{
	uint32_t number = shoal_map_bucket(map, hash);
	uint16_t tag = shoal_map_tag(hash);

	for (;;) {
		const struct shoal_bucket *bucket = &map->buckets[number];

		for (unsigned mask = shoal_bucket_match(bucket, tag); mask; mask &= mask - 1) {
			uint32_t index = bucket->entries[__builtin_ctz(mask)];

			if (shoal_map_key_equal(map, shoal_map_entry(map, index), key))
				return index;
		}
		if (SHOAL_LIKELY(!bucket->passed))
			return 0;
		number = next_bucket(map, number);
	}
}

static uint32_t take_index(struct shoal_map *map)
{
	uint32_t index = map->free_head;

	if (map->count == map->capacity)
		return 0;
	if (index)
		map->free_head = map->timers[index].next;
	else
		index = map->high_water++;
	map->count++;
	/* The next new object's place is in the cache by then. */
	uint32_t next = map->free_head ? map->free_head : map->high_water;

	__builtin_prefetch(shoal_map_entry(map, next), 1);
	__builtin_prefetch(&map->timers[next], 1);
	return index;
}

uint32_t shoal_map_insert(struct shoal_map *map, const void *key, uint64_t hash)
{
	return shoal_map_insert_at(map, key, hash, shoal_map_slot(map, key, hash));
}

uint32_t shoal_map_insert_at(struct shoal_map *map, const void *key, uint64_t hash, uint16_t slot)
{
	uint32_t index = take_index(map), number = shoal_map_bucket(map, hash);
	unsigned mask;

	if (!index)
		return 0;
	while (!(mask = shoal_bucket_match(&map->buckets[number], 0))) {
		map->buckets[number].passed++;
		number = next_bucket(map, number);
	}
	unsigned way = (unsigned)__builtin_ctz(mask);
	struct shoal_entry *entry = shoal_map_entry(map, index);

	map->buckets[number].entries[way] = index;
	map->buckets[number].tags[way] = shoal_map_tag(hash);
	*entry = (struct shoal_entry){ .hash = (uint32_t)hash, .slot = slot, .holder = SHOAL_MEMBER_NONE };
	*shoal_map_lease(map, index) = (struct shoal_entry_lease){ 0 };
	map->timers[index] = (struct shoal_entry_timer){ 0 };
	map->steering[index] = (uint8_t)(slot / SHOAL_SLOTS_PER_STEERING);
	if (map->class->key_bytes == 8) {
		memcpy(entry->bytes, key, 8);
		return index;
	}
	memset(entry->bytes, 0, map->object_offset - sizeof(*entry));
	memcpy(entry->bytes, key, map->class->key_bytes);
	return index;
}

void shoal_map_remove(struct shoal_map *map, uint32_t index)
{
	struct shoal_entry *entry = shoal_map_entry(map, index);
	uint32_t number = shoal_map_bucket(map, entry->hash);

	for (;; number = next_bucket(map, number)) {
		struct shoal_bucket *bucket = &map->buckets[number];

		for (unsigned way = 0; way < SHOAL_BUCKET_WAYS; way++) {
			if (bucket->tags[way] && bucket->entries[way] == index) {
				bucket->tags[way] = 0;
				map->timers[index].next = map->free_head;
				map->free_head = index;
				map->count--;
				return;
			}
		}
		bucket->passed--;
	}
}
