/* SPDX-License-Identifier: BSD-3-Clause */
/* The ring's cold half. States of a range of the ring's bytes, [position, position + bytes of one record):
 *
 *   who       from      to        by        why, and what orders it
 *   producer  FREE      RESERVED  reserve   enough room was seen: acquire of head in find_room
 *   producer  RESERVED  FREE      reserve   given up for another reservation
 *   producer  FREE      PUSHED    reserve   as a skip record: the rest up to the end is too short for this record
 *   producer  FREE      PUSHED    fold, find_room  as a skip record: a fold, or what lies beside one (below)
 *   producer  RESERVED  PUSHED    push      complete, seen by the producer alone
 *   producer  PUSHED    VISIBLE   flush     release of the word of its run; pairs with the acquire in find_run
 *   consumer  VISIBLE   BORROWED  peek      acquire of that word in find_run; a skip record goes to POPPED at once
 *   consumer  BORROWED  POPPED    pop       its bytes may still be read
 *   consumer  POPPED    FREE      consumed  release of head; pairs with the acquire in find_room
 *
 * Forbidden: any other; PUSHED → FREE (a pushed record can't be taken back); more than SKIPS_MAX
 * skip records behind each other, or one beyond the ring's end; a record that crosses its run's end; tail or head going
 * back, beyond one another by twice the capacity, or to what is no multiple of 8. An end that sees one of these marks
 * its view broken and stays there.
 *
 * The place of the next run's word:
 *   producer  PUSHED    ENDED     flush     0, before the word of the run that it ends: a consumer that follows finds it
 *   producer  ENDED     BEGUN     flush     the run's word, once all its records are complete
 * A producer that dies between flush's stores leaves a run that is not there, or one that tail does not count yet: who
 * opens an end looks behind tail (end_of).
 *
 * A fold: while the consumer is near, the producer turns back to the ring's start early, so that both go round in few
 * bytes, which stay in the first-level caches. A consumer that stalls then still leaves nearly all of the ring:
 *   producer  STRAIGHT  FOLDED    fold      a window is filled, and no more than a window waits
 *   producer  FOLDED    BESIDE    find_room  the room up to head is used up, and head has not passed the fold: skips to the
 *                                           place behind the fold, free up to the ring's end
 *   producer  either    STRAIGHT  look      head has passed the fold
 * Forbidden: a second fold before head has passed the first, so what is in use never reaches a position twice.
 *
 *   either    WORKING   BROKEN    find_room, find_rest, skip, reject    nothing is reserved or peeked any more
 * Forbidden: BROKEN → WORKING. */
#include "queue/ring.h"

#include <errno.h>
#include <string.h>

#define RING_MAGIC UINT64_C(0x33676e69724c4153) /* layout version 3 */

/* Behind each other; a producer that gives up reservations writes three or four. */
#define SKIPS_MAX 8u

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

/* Where the last visible run ends: at tail, or one run further if its producer was killed just before it said so. */
static uint64_t end_of(const struct shoal_ring *ring, uint64_t tail)
{
	/* Acquire: pairs with the release of the run's word in shoal_ring_flush. */
	uint64_t word = __atomic_load_n(shoal_ring_word(ring, tail), __ATOMIC_ACQUIRE);
	uint32_t bytes = (uint32_t)word;

	return word == shoal_ring_run(ring, tail, bytes) ? tail + bytes : tail;
}

int shoal_ring_open(struct shoal_ring *ring, void *mapping, uint32_t capacity, enum shoal_ring_end end)
{
	struct shoal_ring_shared *shared = mapping;

	if (!capacity_valid(capacity) || shared->magic != RING_MAGIC || shared->capacity != capacity)
		return -EPROTO;

	/* head first: tail may only be further then. Acquire: pairs with the releases in flush and consumed. */
	uint64_t head = __atomic_load_n(&shared->head, __ATOMIC_ACQUIRE);
	uint64_t tail = __atomic_load_n(&shared->tail, __ATOMIC_ACQUIRE);

	memset(ring, 0, sizeof(*ring));
	ring->shared = shared;
	ring->bytes = shared->bytes;
	ring->capacity = capacity;
	if (head % 8 || tail % 8)
		return -EPROTO;
	tail = end_of(ring, tail);
	if (tail - head >= 2 * (uint64_t)capacity) /* what a fold skips counts */
		return -EPROTO;
	if (end == SHOAL_RING_PRODUCER) {
		/* Whoever was killed may have left anything behind its last run, but for the word of the next. */
		if (__atomic_load_n(shoal_ring_word(ring, tail), __ATOMIC_RELAXED))
			return -EPROTO;
		ring->published = tail;
		ring->position = tail + SHOAL_RING_WORD_BYTES;
		ring->other = head;
		ring->limit = ring->position;
	} else {
		ring->published = ring->position = ring->other = head;
		ring->limit = tail;
	}
	return 0;
}

static bool consumer_broken(struct shoal_ring *ring, uint32_t *length)
{
	ring->broken = true;
	ring->other = ring->position; /* empty: peek always comes back to find_rest */
	ring->step = 0;
	*length = UINT32_MAX;
	return false;
}

void shoal_ring_reject(struct shoal_ring *ring)
{
	uint32_t length;

	consumer_broken(ring, &length);
}

/* A consumer that is opened may begin in the middle of a run, whose end is not written anywhere: record by record, then. */
bool shoal_ring_find_rest(struct shoal_ring *ring, uint64_t word, uint32_t *length)
{
	uint32_t bytes = shoal_ring_record_bytes((uint32_t)word);

	*length = 0;
	if (SHOAL_UNLIKELY(ring->broken))
		return consumer_broken(ring, length);
	if (!word)
		return false;
	if (ring->position >= ring->limit)
		return consumer_broken(ring, length);
	if (bytes > ring->capacity || (word >> 32 != SHOAL_RING_KIND_RECORD && word >> 32 != SHOAL_RING_KIND_SKIP))
		return consumer_broken(ring, length);
	ring->other = ring->position + bytes;
	return true;
}

bool shoal_ring_skip(struct shoal_ring *ring, uint64_t header, unsigned skips, uint32_t *length)
{
	uint32_t to_end = ring->capacity - ((uint32_t)ring->position & (ring->capacity - 1));
	uint32_t skipped = (uint32_t)header;

	if (header >> 32 != SHOAL_RING_KIND_SKIP || skips == SKIPS_MAX || skipped % 8 ||
		skipped > to_end - SHOAL_RING_WORD_BYTES ||
		skipped + SHOAL_RING_WORD_BYTES > ring->other - ring->position)
		return consumer_broken(ring, length);
	ring->position += skipped + SHOAL_RING_WORD_BYTES;
	return true;
}

/* Up to where the consumer stands there is room, but for a word; then behind the fold. */
struct shoal_ring_room shoal_ring_beside(
	uint32_t capacity, uint64_t position, uint64_t head, uint32_t folded, uint32_t bytes)
{
	uint64_t start = position & ~(uint64_t)(capacity - 1);
	uint64_t behind = start + folded + SHOAL_RING_WORD_BYTES;
	uint64_t before = head + capacity - SHOAL_RING_WORD_BYTES;

	if (position < behind && position + SHOAL_RING_WORD_BYTES + bytes <= before)
		return (struct shoal_ring_room){ .limit = before };
	/* Less than the lap, so that a position tells which lap it is. A fold in the first half leaves room for any record. */
	return (struct shoal_ring_room){ .limit = start + capacity - SHOAL_RING_WORD_BYTES,
		.skip = position < behind ? behind - position : 0 };
}

uint32_t shoal_ring_depth(const struct shoal_ring *ring)
{
	/* head first, so that the difference is never negative. */
	uint64_t head = __atomic_load_n(&ring->shared->head, __ATOMIC_ACQUIRE);
	uint64_t tail = __atomic_load_n(&ring->shared->tail, __ATOMIC_ACQUIRE);

	/* tail may lag behind a run that was taken already. */
	if ((int64_t)(tail - head) < 0)
		return 0;
	return tail - head < ring->capacity ? (uint32_t)(tail - head) : ring->capacity;
}
