/* SPDX-License-Identifier: BSD-3-Clause */
/* The ring's cold half. States of a range of the ring's bytes, [position, position + bytes of one record):
 *
 *   who       from      to        by        why, and what orders it
 *   producer  FREE      RESERVED  reserve   enough room was seen: acquire of head in find_room
 *   producer  RESERVED  FREE      reserve   given up for another reservation
 *   producer  FREE      PUSHED    reserve   as a skip record: the rest up to the end is too short for this record
 *   producer  RESERVED  PUSHED    push      complete, seen by the producer alone
 *   producer  PUSHED    VISIBLE   flush     release of tail; pairs with the acquire in find_record
 *   consumer  VISIBLE   BORROWED  peek      acquire of tail in find_record; a skip record goes to POPPED at once
 *   consumer  BORROWED  POPPED    pop       its bytes may still be read
 *   consumer  POPPED    FREE      consumed  release of head; pairs with the acquire in find_room
 *
 * Forbidden: any other; PUSHED → FREE (a pushed record can't be taken back); a skip record where the longest
 * record would have fitted (so never at the start of the ring); tail or head going back, beyond one another by more
 * than the capacity, or to what is no multiple of 8. An end that sees one of these marks its view broken and stays
 * there.
 *
 *   either    WORKING   BROKEN    find_room, find_record, skip, reject    nothing is reserved or peeked any more
 * Forbidden: BROKEN → WORKING. */
#include "queue/ring.h"

#include <errno.h>
#include <string.h>

#define RING_MAGIC UINT64_C(0x31676e69724c4153) /* layout version 1 */

static bool capacity_valid(uint32_t capacity)
{
	return capacity >= SHOAL_RING_CAPACITY_MIN && capacity <= SHOAL_RING_CAPACITY_MAX &&
	       (capacity & (capacity - 1)) == 0;
}

size_t shoal_ring_mapping_bytes(uint32_t capacity)
{
	return sizeof(struct shoal_ring_shared) + capacity;
}

int shoal_ring_init(void *mapping, uint32_t capacity)
{
	struct shoal_ring_shared *shared = mapping;

	if (!capacity_valid(capacity) || (uintptr_t)mapping % SHOAL_CACHE_LINE)
		return -EINVAL;
	shared->magic = RING_MAGIC;
	shared->capacity = capacity;
	__atomic_store_n(&shared->tail, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&shared->head, 0, __ATOMIC_RELAXED);
	return 0;
}

int shoal_ring_open(struct shoal_ring *ring, void *mapping, uint32_t capacity, enum shoal_ring_end end)
{
	struct shoal_ring_shared *shared = mapping;

	if (!capacity_valid(capacity) || shared->magic != RING_MAGIC || shared->capacity != capacity)
		return -EPROTO;

	/* head first: tail may only be further then. Acquire: pairs with the releases in flush and consumed. */
	uint64_t head = __atomic_load_n(&shared->head, __ATOMIC_ACQUIRE);
	uint64_t tail = __atomic_load_n(&shared->tail, __ATOMIC_ACQUIRE);

	if (tail - head > capacity || head % 8 || tail % 8)
		return -EPROTO;
	memset(ring, 0, sizeof(*ring));
	ring->shared = shared;
	ring->bytes = shared->bytes;
	ring->capacity = capacity;
	ring->position = end == SHOAL_RING_PRODUCER ? tail : head;
	ring->other = end == SHOAL_RING_PRODUCER ? head : tail;
	ring->published = ring->position;
	return 0;
}

static bool consumer_broken(struct shoal_ring *ring, uint32_t *length)
{
	ring->broken = true;
	ring->other = ring->position; /* empty: peek always comes back to find_record */
	ring->reserved = 0;
	*length = UINT32_MAX;
	return false;
}

void shoal_ring_reject(struct shoal_ring *ring)
{
	uint32_t length;

	consumer_broken(ring, &length);
}

bool shoal_ring_find_record(struct shoal_ring *ring, uint32_t *length)
{
	*length = 0;
	if (SHOAL_UNLIKELY(ring->broken))
		return consumer_broken(ring, length);

	/* Acquire: pairs with the release in shoal_ring_flush; headers and bytes up to it can be read. */
	uint64_t tail = __atomic_load_n(&ring->shared->tail, __ATOMIC_ACQUIRE);

	/* Everything known was taken (position == other), so it may be ahead of what we published by the capacity. */
	if (SHOAL_UNLIKELY(
		    tail - ring->published > ring->capacity || tail - ring->position > ring->capacity || tail % 8))
		return consumer_broken(ring, length);
	ring->other = tail;
	return tail != ring->position;
}

bool shoal_ring_skip(struct shoal_ring *ring, uint64_t header, uint32_t *length)
{
	uint32_t offset = (uint32_t)ring->position & (ring->capacity - 1);
	uint32_t to_end = ring->capacity - offset;

	/* The producer skips only what the longest record would not fit into. */
	if (header != shoal_ring_header(SHOAL_RING_KIND_SKIP, to_end - SHOAL_RING_HEADER_BYTES) ||
		to_end >= shoal_ring_record_bytes(ring->capacity / 4) || to_end > ring->other - ring->position)
		return consumer_broken(ring, length);
	ring->position += to_end;
	return true;
}

uint32_t shoal_ring_depth(const struct shoal_ring *ring)
{
	/* head first, so that the difference is never negative. */
	uint64_t head = __atomic_load_n(&ring->shared->head, __ATOMIC_ACQUIRE);
	uint64_t tail = __atomic_load_n(&ring->shared->tail, __ATOMIC_ACQUIRE);

	return tail - head < ring->capacity ? (uint32_t)(tail - head) : ring->capacity;
}
