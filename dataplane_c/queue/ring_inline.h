/* SPDX-License-Identifier: BSD-3-Clause */
/* The ring's hot half; included by ring.h alone. */
#ifndef SHOAL_QUEUE_RING_INLINE_H
#define SHOAL_QUEUE_RING_INLINE_H

#include <assert.h>

#include "queue/ring.h"

/* Each position has two lines of its own: the prefetcher of x86 fetches lines in pairs. */
struct shoal_ring_shared {
	/* writer: init; readers: open */
	uint64_t magic;
	uint64_t capacity;
	/* writer: producer, readers: consumer, control */
	_Alignas(2 * SHOAL_CACHE_LINE) uint64_t tail;
	/* writer: consumer, readers: producer, control */
	_Alignas(2 * SHOAL_CACHE_LINE) uint64_t head;
	_Alignas(2 * SHOAL_CACHE_LINE) uint8_t bytes[];
};

/* A record is a header word, then its bytes, padded to 8. The word is read once, by one load, so that what was checked
 * is what is used. */
#define SHOAL_RING_HEADER_BYTES 8u
#define SHOAL_RING_KIND_RECORD UINT64_C(0x5ec0)
#define SHOAL_RING_KIND_SKIP                                                                                           \
	UINT64_C(0x5c1b) /* the rest of the ring up to its end; the next record is at its start   \
	                                       */

static inline uint64_t shoal_ring_header(uint64_t kind, uint32_t length)
{
	return kind << 32 | length;
}

static inline uint32_t shoal_ring_record_bytes(uint32_t length)
{
	return SHOAL_RING_HEADER_BYTES + ((length + 7u) & ~7u);
}

/* Off the hot path. Looks at tail again, and checks it. */
bool shoal_ring_find_record(struct shoal_ring *ring, uint32_t *length);
/* Steps over a skip record; false: it is none, the ring is broken. */
bool shoal_ring_skip(struct shoal_ring *ring, uint64_t header, uint32_t *length);

/* The producer's half must inline as a whole: only then can a loop keep a local copy of the view in registers. A store to
 * the view between two records keeps the processor from joining the stores to one cache line, which halves the rate between
 * two cores; so does a header that is written after its record. */
#define SHOAL_RING_PRODUCER_INLINE static inline __attribute__((always_inline))

/* Looks at head again, and checks it. */
SHOAL_RING_PRODUCER_INLINE bool shoal_ring_find_room(struct shoal_ring *ring, uint32_t needed)
{
	if (ring->broken)
		return false;

	/* Acquire: pairs with the release in shoal_ring_consumed; what we write into the room comes after its reads. */
	uint64_t head = __atomic_load_n(&ring->shared->head, __ATOMIC_ACQUIRE);

	/* It may have moved from what we saw last up to what we published. */
	if (SHOAL_UNLIKELY(head - ring->other > ring->published - ring->other || head % 8)) {
		ring->broken = true;
		ring->other = ring->position - ring->capacity; /* no room: reserve always comes back here */
		return false;
	}
	ring->other = head;
	return needed <= ring->capacity - (ring->position - head);
}

SHOAL_RING_PRODUCER_INLINE void shoal_ring_write_header(struct shoal_ring *ring, uint64_t kind, uint32_t length)
{
	uint8_t *header = ring->bytes + (ring->position & (ring->capacity - 1));

	__atomic_store_n((uint64_t *)(void *)header, kind << 32 | length, __ATOMIC_RELAXED);
}

SHOAL_RING_PRODUCER_INLINE void *shoal_ring_reserve(struct shoal_ring *ring, uint32_t length)
{
	if (SHOAL_UNLIKELY(length > ring->capacity / 4))
		return NULL;

	uint32_t to_end = ring->capacity - ((uint32_t)ring->position & (ring->capacity - 1));
	uint32_t bytes = shoal_ring_record_bytes(length);
	uint32_t needed = SHOAL_LIKELY(bytes <= to_end) ? bytes : to_end + bytes;

	if (SHOAL_UNLIKELY(needed > ring->capacity - (ring->position - ring->other)) &&
		!shoal_ring_find_room(ring, needed))
		return NULL;
	if (SHOAL_UNLIKELY(bytes > to_end)) {
		shoal_ring_write_header(ring, SHOAL_RING_KIND_SKIP, to_end - SHOAL_RING_HEADER_BYTES);
		ring->position += to_end;
	}
	shoal_ring_write_header(ring, SHOAL_RING_KIND_RECORD, length);
	ring->reserved = length;
	return ring->bytes + (ring->position & (ring->capacity - 1)) + SHOAL_RING_HEADER_BYTES;
}

SHOAL_RING_PRODUCER_INLINE void shoal_ring_push(struct shoal_ring *ring, uint32_t length)
{
	assert(length <= ring->reserved);
	if (length != ring->reserved)
		shoal_ring_write_header(ring, SHOAL_RING_KIND_RECORD, length);
	ring->position += shoal_ring_record_bytes(length);
	ring->reserved = 0;
}

SHOAL_RING_PRODUCER_INLINE void shoal_ring_flush(struct shoal_ring *ring)
{
	/* An idle poll must not take the line away from the consumer. */
	if (ring->published == ring->position)
		return;
	/* Release: pairs with the acquire of tail in shoal_ring_find_record; orders headers and bytes before it. */
	__atomic_store_n(&ring->shared->tail, ring->position, __ATOMIC_RELEASE);
	ring->published = ring->position;
}

static inline const void *shoal_ring_peek(struct shoal_ring *ring, uint32_t *length)
{
	/* At most twice: a skip record leads to the start of the ring, where none may be. */
	for (;;) {
		if (ring->position == ring->other && !shoal_ring_find_record(ring, length))
			return NULL;

		uint32_t offset = (uint32_t)ring->position & (ring->capacity - 1);
		uint64_t header =
			__atomic_load_n((const uint64_t *)(const void *)(ring->bytes + offset), __ATOMIC_RELAXED);
		uint32_t record_length = (uint32_t)header;
		uint32_t bytes = shoal_ring_record_bytes(record_length);

		if (SHOAL_LIKELY(header >> 32 == SHOAL_RING_KIND_RECORD && record_length <= ring->capacity / 4 &&
				 bytes <= ring->other - ring->position && bytes <= ring->capacity - offset)) {
			ring->reserved = bytes;
			*length = record_length;
			return ring->bytes + offset + SHOAL_RING_HEADER_BYTES;
		}
		if (!shoal_ring_skip(ring, header, length))
			return NULL;
	}
}

static inline void shoal_ring_pop(struct shoal_ring *ring)
{
	ring->position += ring->reserved;
	ring->reserved = 0;
}

static inline void shoal_ring_consumed(struct shoal_ring *ring)
{
	if (ring->published == ring->position)
		return;
	/* Release: pairs with the acquire of head in shoal_ring_find_room; orders our reads of the bytes before it. */
	__atomic_store_n(&ring->shared->head, ring->position, __ATOMIC_RELEASE);
	ring->published = ring->position;
}

#endif
