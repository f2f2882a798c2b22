/* SPDX-License-Identifier: BSD-3-Clause */
/* Single-producer single-consumer ring of variable-length records in a shared mapping (a memfd). Carries messages and
 * packets, between threads and between processes. Positions are bytes and only grow; nothing in the mapping is a
 * pointer, and the consumer trusts nothing that it reads there. */
#ifndef SHOAL_QUEUE_RING_H
#define SHOAL_QUEUE_RING_H

#include <shoal/types.h>

/* The shared part: lies in the mapping, followed by `capacity` bytes. */
struct shoal_ring_shared;

/* One end's private view. The same type serves both ends; each end uses its own half only. */
struct shoal_ring {
	struct shoal_ring_shared *shared; /* borrows the mapping */
	uint8_t *bytes;
	uint32_t capacity; /* a power of two */
	uint32_t reserved; /* producer: length of the open reservation */
	uint64_t position; /* own position, private copy */
	uint64_t other; /* the other end's position as last seen */
};

/* Bytes of mapping for a ring of `capacity` bytes (a power of two, at least 4096). */
size_t shoal_ring_mapping_bytes(uint32_t capacity);
/* Makes an empty ring in zeroed shared memory. 0 or -EINVAL. */
SHOAL_MUST_USE int shoal_ring_init(void *mapping, uint32_t capacity);
/* Opens one end. -EPROTO: the mapping holds no ring of that size, or positions that cannot be. */
SHOAL_MUST_USE int shoal_ring_open(struct shoal_ring *ring, void *mapping, uint32_t capacity);

/* Producer. Reserve room for one record of up to `length` bytes (8-aligned, contiguous); NULL: full, or longer than a
 * quarter of the capacity. Push publishes it with its true length (at most what was reserved) to the private tail;
 * flush makes all pushed records visible (one release store; pairs with the acquire in peek). */
void *shoal_ring_reserve(struct shoal_ring *ring, uint32_t length);
void shoal_ring_push(struct shoal_ring *ring, uint32_t length);
void shoal_ring_flush(struct shoal_ring *ring);

/* Consumer. Peek borrows the oldest record (NULL: empty; length is set); pop drops it from view; consumed makes the
 * freed room visible to the producer (one release store). A record whose header cannot be true sets length to
 * UINT32_MAX and returns NULL: the ring is broken and must be closed. */
const void *shoal_ring_peek(struct shoal_ring *ring, uint32_t *length);
void shoal_ring_pop(struct shoal_ring *ring);
void shoal_ring_consumed(struct shoal_ring *ring);

/* Bytes that wait in the ring, seen from either end. */
uint32_t shoal_ring_depth(const struct shoal_ring *ring);

/* A pair of rings in one memfd: side 0 produces into the first and consumes the second, side 1 the other way round. */
struct shoal_ring_pair {
	struct shoal_ring out;
	struct shoal_ring in;
	void *mapping; /* owns */
	size_t mapping_bytes;
};

/* Creates a sealed memfd with two empty rings; returns the descriptor (owned by the caller) or -errno. */
SHOAL_MUST_USE int shoal_ring_pair_create(uint32_t capacity);
/* Maps one side. Checks size and seals, so that a peer can't make an access fault. The descriptor stays the caller's. */
SHOAL_MUST_USE int shoal_ring_pair_open(struct shoal_ring_pair *pair, int descriptor, unsigned side);
void shoal_ring_pair_close(struct shoal_ring_pair *pair);

#endif
