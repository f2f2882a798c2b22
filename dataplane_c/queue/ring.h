/* SPDX-License-Identifier: BSD-3-Clause */
/* Single-producer single-consumer ring of variable-length records in a shared mapping (a memfd). Carries messages and
 * packets, between threads and between processes. Positions are bytes and only grow; nothing in the mapping is a
 * pointer, and neither end trusts anything that it reads there. The states are tabled in ring.c. */
#ifndef SHOAL_QUEUE_RING_H
#define SHOAL_QUEUE_RING_H

#include <shoal/types.h>

#define SHOAL_RING_CAPACITY_MIN 4096u
#define SHOAL_RING_CAPACITY_MAX (1u << 30)

/* The shared part: lies in the mapping, followed by `capacity` bytes. */
struct shoal_ring_shared;

enum shoal_ring_end { SHOAL_RING_PRODUCER, SHOAL_RING_CONSUMER };

/* One end's private view; an end calls its own functions only. No longer than a cache line and without unions, so that
 * compilers take a loop's local copy field by field: a wide load of what was just stored narrow waits for all stores
 * before it. */
struct shoal_ring {
	struct shoal_ring_shared *shared; /* borrows the mapping */
	uint8_t *bytes;
	uint32_t capacity; /* a power of two */
	uint32_t
		step; /* consumer: bytes of the peeked record; producer: where it next asks whether to fold (lowest bits) */
	uint64_t position; /* own position, private copy */
	uint64_t other; /* producer: the consumer's position as last seen; consumer: where the run that it takes ends */
	uint64_t published; /* own position as the other end may see it; the producer's next run begins there */
	/* Producer: how far it may go before it looks at the consumer's position again. Consumer: before this, a record may
	 * come without its run's word (find_rest). */
	uint64_t limit;
	uint32_t folded; /* producer: where in the lap before it turned back early; 0: the consumer came by that */
	bool broken; /* the mapping holds what no peer of ours writes */
};

_Static_assert(sizeof(struct shoal_ring) <= SHOAL_CACHE_LINE, "see above");

/* Bytes of mapping for a ring of `capacity` bytes (a power of two, at least 4096). */
size_t shoal_ring_mapping_bytes(uint32_t capacity);
/* Makes an empty ring in zeroed shared memory, aligned to a cache line. 0 or -EINVAL. */
SHOAL_MUST_USE int shoal_ring_init(void *mapping, uint32_t capacity);
/* Opens one end; what waits in the ring stays. -EPROTO: the mapping holds no ring of that size, or positions that
 * cannot be. */
SHOAL_MUST_USE int shoal_ring_open(struct shoal_ring *ring, void *mapping, uint32_t capacity, enum shoal_ring_end end);

/* Producer. Reserve room for one record of up to `length` bytes (8-aligned, contiguous); NULL: full, broken, or longer
 * than a quarter of the capacity. A reservation that is not pushed is forgotten by the next one. Push publishes it with
 * its true length (at most what was reserved) to the private tail; flush makes all pushed records visible, all or, if the
 * producer dies in it, none (one release store of a run word before them; pairs with the acquire in peek). A loop over many short records is twice as fast on a local copy of the view, put back
 * at its end. */
static inline void *shoal_ring_reserve(struct shoal_ring *ring, uint32_t length);
static inline void shoal_ring_push(struct shoal_ring *ring, uint32_t length);
static inline void shoal_ring_flush(struct shoal_ring *ring);

/* Consumer. Peek borrows the oldest record (NULL: empty; length is set); pop drops it from view, but its bytes stay
 * until consumed, which makes the freed room visible to the producer (one release store). A record whose header cannot
 * be true sets length to UINT32_MAX and returns NULL, then and ever after: the ring is broken and must be closed. A
 * hostile peer may still change a record's bytes while they are borrowed: check a copy. */
static inline const void *shoal_ring_peek(struct shoal_ring *ring, uint32_t *length);
static inline void shoal_ring_pop(struct shoal_ring *ring);
static inline void shoal_ring_consumed(struct shoal_ring *ring);

/* Consumer: what was peeked is no record that our peer writes; the ring is broken from here on. */
void shoal_ring_reject(struct shoal_ring *ring);

/* Either end has read what cannot be; nothing more comes out, and nothing goes in. */
static inline bool shoal_ring_broken(const struct shoal_ring *ring)
{
	return ring->broken;
}

/* Bytes that wait in the ring, headers and what is skipped included, seen from either end. */
uint32_t shoal_ring_depth(const struct shoal_ring *ring);

/* A pair of rings in one memfd: side 0 produces into the first and consumes the second, side 1 the other way round. */
struct shoal_ring_pair {
	struct shoal_ring out;
	struct shoal_ring in;
	void *mapping; /* owns */
	size_t mapping_bytes;
};

/* Creates a sealed memfd with two empty rings, all its pages present; returns the descriptor (owned by the caller) or
 * -errno. */
SHOAL_MUST_USE int shoal_ring_pair_create(uint32_t capacity);
/* Maps one side. Checks size and seals, so that a peer can't make an access fault (-EPROTO otherwise). The descriptor
 * stays the caller's. */
SHOAL_MUST_USE int shoal_ring_pair_open(struct shoal_ring_pair *pair, int descriptor, unsigned side);
/* Unmaps; may be repeated. Nobody else unmaps a side. */
void shoal_ring_pair_close(struct shoal_ring_pair *pair);

#include "queue/ring_inline.h"

#endif
