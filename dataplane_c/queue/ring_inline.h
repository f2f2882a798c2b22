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
	/* writer: producer, readers: control, and a producer that is opened; no consumer waits for it */
	_Alignas(2 * SHOAL_CACHE_LINE) uint64_t tail;
	/* writer: consumer, readers: producer, control */
	_Alignas(2 * SHOAL_CACHE_LINE) uint64_t head;
	_Alignas(2 * SHOAL_CACHE_LINE) uint8_t bytes[];
};

/* What one flush makes visible is a run: a run word, then its records. It ends where the next run's word will be, which
 * is 0 until then. So the consumer waits for the very line in which the next record begins, and knows then how much it may
 * fetch ahead. A record is a header word, then its bytes, padded to 8. Each word is read once, by one load, so that what was
 * checked is what is used. */
#define SHOAL_RING_WORD_BYTES 8u
#define SHOAL_RING_KIND_RUN                                                                                            \
	UINT64_C(0x7a11) /* in the top 16 bits; then 16 of the lap, and the run's bytes, this word's too */
#define SHOAL_RING_KIND_RECORD UINT64_C(0x5ec0) /* above the record's length */
#define SHOAL_RING_KIND_SKIP                                                                                           \
	UINT64_C(0x5c1b) /* above the bytes that follow it and hold nothing, at most up to the ring's end */

/* How far the consumer fetches ahead: a line takes 50 to 500 ns from core to core, many at once take no longer. */
#define SHOAL_RING_AHEAD_BYTES (8u * SHOAL_CACHE_LINE)
/* What a producer fills while the consumer is near: a quarter of a first-level cache. */
#define SHOAL_RING_WINDOW_BYTES (8u << 10)

static inline uint64_t shoal_ring_header(uint64_t kind, uint32_t length)
{
	return kind << 32 | length;
}

static inline uint32_t shoal_ring_record_bytes(uint32_t length)
{
	return SHOAL_RING_WORD_BYTES + ((length + 7u) & ~7u);
}

static inline uint64_t *shoal_ring_word(const struct shoal_ring *ring, uint64_t position)
{
	return (uint64_t *)(void *)(ring->bytes + (position & (ring->capacity - 1)));
}

/* The word of the run that begins at `position`. The lap tells it from one that was there before. */
static inline uint64_t shoal_ring_run(const struct shoal_ring *ring, uint64_t position, uint32_t bytes)
{
	uint64_t lap = position >> __builtin_ctz(ring->capacity) & UINT16_MAX;

	return SHOAL_RING_KIND_RUN << 48 | lap << 32 | bytes;
}

/* Off the hot path. What is at the consumer's position is no run: nothing, a record of a run whose word an earlier consumer
 * took, or what no peer writes. */
bool shoal_ring_find_rest(struct shoal_ring *ring, uint64_t word, uint32_t *length);
/* Steps over a skip record, `skips` of which came before it; false: it is none, the ring is broken. */
bool shoal_ring_skip(struct shoal_ring *ring, uint64_t header, unsigned skips, uint32_t *length);

/* Beside a fold: how far a producer may go, and what it skips before (0, or a skip record's bytes). Off the hot path. */
struct shoal_ring_room {
	uint64_t limit;
	uint64_t skip;
};
struct shoal_ring_room shoal_ring_beside(
	uint32_t capacity, uint64_t position, uint64_t head, uint32_t folded, uint32_t bytes);

/* The producer's half must inline as a whole: only then can a loop keep a local copy of the view in registers. A store to
 * the view between two records keeps the processor from joining the stores to one cache line, which halves the rate between
 * two cores; so does a header that is written after its record. */
#define SHOAL_RING_PRODUCER_INLINE static inline __attribute__((always_inline))

SHOAL_RING_PRODUCER_INLINE void shoal_ring_write_header(struct shoal_ring *ring, uint64_t kind, uint32_t length)
{
	__atomic_store_n(shoal_ring_word(ring, ring->position), kind << 32 | length, __ATOMIC_RELAXED);
}

SHOAL_RING_PRODUCER_INLINE uint32_t shoal_ring_to_end(const struct shoal_ring *ring)
{
	return ring->capacity - ((uint32_t)ring->position & (ring->capacity - 1));
}

/* Looks at head again, and checks it. */
SHOAL_RING_PRODUCER_INLINE bool shoal_ring_look(struct shoal_ring *ring)
{
	/* Acquire: pairs with the release in shoal_ring_consumed; what we write into the room comes after its reads. */
	uint64_t head = __atomic_load_n(&ring->shared->head, __ATOMIC_ACQUIRE);

	/* It may have moved from what we saw last up to what we published. */
	if (SHOAL_UNLIKELY(ring->broken || head - ring->other > ring->published - ring->other || head % 8)) {
		ring->broken = true;
		ring->limit = ring->position; /* no room: reserve always comes back here */
		return false;
	}
	ring->other = head;
	if (ring->folded && head > (ring->position & ~(uint64_t)(ring->capacity - 1)) - ring->capacity + ring->folded)
		ring->folded = 0;
	return true;
}

SHOAL_RING_PRODUCER_INLINE void shoal_ring_skip_bytes(struct shoal_ring *ring, uint32_t bytes)
{
	shoal_ring_write_header(ring, SHOAL_RING_KIND_SKIP, bytes - SHOAL_RING_WORD_BYTES);
	ring->position += bytes;
}

/* For a record of `bytes`. */
SHOAL_RING_PRODUCER_INLINE bool shoal_ring_find_room(struct shoal_ring *ring, uint32_t bytes)
{
	if (!shoal_ring_look(ring))
		return false;
	ring->limit = ring->other + ring->capacity;
	if (ring->folded) {
		/* By value: who takes the view's address keeps it out of registers. */
		struct shoal_ring_room room =
			shoal_ring_beside(ring->capacity, ring->position, ring->other, ring->folded, bytes);

		if (room.skip)
			shoal_ring_skip_bytes(ring, (uint32_t)room.skip);
		ring->limit = room.limit;
	}
	/* Opened in front of another producer's fold: nothing is free before the consumer came by that. */
	if ((int64_t)(ring->limit - ring->position) < 0)
		ring->limit = ring->position;

	uint32_t to_end = shoal_ring_to_end(ring);

	return SHOAL_RING_WORD_BYTES + (bytes <= to_end ? bytes : to_end + bytes) <= ring->limit - ring->position;
}

/* Turns back to the start early if the consumer is near. After a flush of `run` bytes, where nobody waits. */
SHOAL_RING_PRODUCER_INLINE void shoal_ring_fold(struct shoal_ring *ring, uint32_t run)
{
	uint32_t window = ring->capacity / 4 < SHOAL_RING_WINDOW_BYTES ? ring->capacity / 4 : SHOAL_RING_WINDOW_BYTES;
	uint32_t to_end = shoal_ring_to_end(ring), offset = ring->capacity - to_end;

	ring->step = (uint32_t)ring->position + window;
	if (offset < window / 2 || offset > ring->capacity / 2 || run > window || !shoal_ring_look(ring) ||
		ring->folded || ring->position - ring->other > window ||
		ring->position + to_end + window / 2 > ring->other + ring->capacity)
		return;
	ring->folded = offset;
	shoal_ring_skip_bytes(ring, to_end);
	ring->limit = ring->other + ring->capacity - SHOAL_RING_WORD_BYTES;
	ring->step = (uint32_t)ring->position + window;
}

SHOAL_RING_PRODUCER_INLINE void *shoal_ring_reserve(struct shoal_ring *ring, uint32_t length)
{
	if (SHOAL_UNLIKELY(length > ring->capacity / 4))
		return NULL;

	uint32_t to_end = shoal_ring_to_end(ring);
	uint32_t bytes = shoal_ring_record_bytes(length);
	/* The word of the next run must have its place too. */
	uint32_t needed = SHOAL_RING_WORD_BYTES + (SHOAL_LIKELY(bytes <= to_end) ? bytes : to_end + bytes);

	if (SHOAL_UNLIKELY(needed > ring->limit - ring->position)) {
		if (!shoal_ring_find_room(ring, bytes))
			return NULL;
		to_end = shoal_ring_to_end(ring);
	}
	if (SHOAL_UNLIKELY(bytes > to_end))
		shoal_ring_skip_bytes(ring, to_end);
	shoal_ring_write_header(ring, SHOAL_RING_KIND_RECORD, length);
	return shoal_ring_word(ring, ring->position) + 1;
}

/* The header tells what was reserved: a field of the view for it is a store between two records, which the processor pays for. */
SHOAL_RING_PRODUCER_INLINE void shoal_ring_push(struct shoal_ring *ring, uint32_t length)
{
	uint32_t bytes = shoal_ring_record_bytes(length);

	assert(bytes <= ring->limit - ring->position);
	if (__atomic_load_n(shoal_ring_word(ring, ring->position), __ATOMIC_RELAXED) !=
		shoal_ring_header(SHOAL_RING_KIND_RECORD, length))
		shoal_ring_write_header(ring, SHOAL_RING_KIND_RECORD, length);
	ring->position += bytes;
}

/* A line that the consumer has read is shared, and a store to it waits until it is taken back. Done before the next run is
 * there to be written, it keeps nobody waiting: two lines, a short record's. (A prefetch for writing leaves a shared line as it
 * is on Zen.) */
SHOAL_RING_PRODUCER_INLINE void shoal_ring_take_back(struct shoal_ring *ring)
{
	uint64_t line = (ring->position & ~(uint64_t)(SHOAL_CACHE_LINE - 1)) + SHOAL_CACHE_LINE;

	if (SHOAL_UNLIKELY((int64_t)(ring->limit - line) < 2 * SHOAL_CACHE_LINE))
		return;
	__atomic_store_n(shoal_ring_word(ring, line), 0, __ATOMIC_RELAXED);
	__atomic_store_n(shoal_ring_word(ring, line + SHOAL_CACHE_LINE), 0, __ATOMIC_RELAXED);
}

SHOAL_RING_PRODUCER_INLINE void shoal_ring_flush(struct shoal_ring *ring)
{
	uint32_t bytes = (uint32_t)(ring->position - ring->published);

	/* An idle poll must not take the line away from the consumer. */
	if (bytes == SHOAL_RING_WORD_BYTES)
		return;
	__atomic_store_n(shoal_ring_word(ring, ring->position), 0, __ATOMIC_RELAXED);
	/* Release: pairs with the acquire in shoal_ring_find_run; orders headers, bytes and the 0 before it. */
	__atomic_store_n(
		shoal_ring_word(ring, ring->published), shoal_ring_run(ring, ring->published, bytes), __ATOMIC_RELEASE);
	/* Release: who opens an end reads what was published before. It may lag behind by this run. */
	__atomic_store_n(&ring->shared->tail, ring->position, __ATOMIC_RELEASE);
	ring->published = ring->position;
	ring->position += SHOAL_RING_WORD_BYTES;
	if (SHOAL_UNLIKELY((int32_t)((uint32_t)ring->position - ring->step) >= 0))
		shoal_ring_fold(ring, bytes);
	shoal_ring_take_back(ring);
}

/* At the end of a run: whether the next one is there. */
static inline bool shoal_ring_find_run(struct shoal_ring *ring, uint32_t *length)
{
	/* Acquire: pairs with the release in shoal_ring_flush; headers and bytes of the run can be read. */
	uint64_t word = __atomic_load_n(shoal_ring_word(ring, ring->position), __ATOMIC_ACQUIRE);
	uint32_t bytes = (uint32_t)word;

	/* Idle, which is asked again and again: the shorter, the sooner a run is seen. */
	if (!word && SHOAL_LIKELY(!ring->broken)) {
		*length = 0;
		return false;
	}
	if (SHOAL_UNLIKELY((word ^ shoal_ring_run(ring, ring->position, 0)) >> 32 || bytes % 8 ||
			   bytes - 2 * SHOAL_RING_WORD_BYTES > 2 * ring->capacity - 3 * SHOAL_RING_WORD_BYTES ||
			   ring->broken))
		return shoal_ring_find_rest(ring, word, length);
	ring->other = ring->position + bytes;
	ring->position += SHOAL_RING_WORD_BYTES;
	ring->limit = 0;
	/* Not the next line: its record's own reads are as soon. */
	for (uint32_t ahead = 2 * SHOAL_CACHE_LINE; ahead < SHOAL_RING_AHEAD_BYTES && ahead < bytes;
		ahead += SHOAL_CACHE_LINE)
		__builtin_prefetch(shoal_ring_word(ring, ring->position + ahead));
	return true;
}

static inline const void *shoal_ring_peek(struct shoal_ring *ring, uint32_t *length)
{
	/* A few times at most: shoal_ring_skip counts. */
	for (unsigned skips = 0;; skips++) {
		if (ring->position == ring->other && !shoal_ring_find_run(ring, length))
			return NULL;

		uint32_t offset = (uint32_t)ring->position & (ring->capacity - 1);
		uint64_t header = __atomic_load_n(shoal_ring_word(ring, ring->position), __ATOMIC_RELAXED);
		uint32_t record_length = (uint32_t)header;
		uint32_t bytes = shoal_ring_record_bytes(record_length);

		if (ring->other - ring->position > SHOAL_RING_AHEAD_BYTES)
			__builtin_prefetch(shoal_ring_word(ring, ring->position + SHOAL_RING_AHEAD_BYTES));
		if (SHOAL_LIKELY(header >> 32 == SHOAL_RING_KIND_RECORD && record_length <= ring->capacity / 4 &&
				 bytes <= ring->other - ring->position && bytes <= ring->capacity - offset)) {
			ring->step = bytes;
			*length = record_length;
			return shoal_ring_word(ring, ring->position) + 1;
		}
		if (!shoal_ring_skip(ring, header, skips, length))
			return NULL;
	}
}

static inline void shoal_ring_pop(struct shoal_ring *ring)
{
	ring->position += ring->step;
	ring->step = 0;
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
