/* SPDX-License-Identifier: BSD-3-Clause */
/* Ways for messages between two threads, each on a core of its own, behind one face. Sides share nothing but what carries. */
#ifndef SHOAL_BENCH_CARRIER_H
#define SHOAL_BENCH_CARRIER_H

#include "bench.h"

#define CARRIER_BYTES_MAX 4096u
#define CARRIER_BATCH_MAX 32u

struct carrier;

/* Side 0 measures, side 1 answers or sends without end. Messages of `bytes`, of which all are written and read. */
struct carrier_kind {
	const char *name;
	unsigned bytes_max; /* of a message */
	bool (*open)(struct carrier *carrier, unsigned bytes);
	void (*close)(struct carrier *carrier);
	/* Sends up to `batch`, pushed out together; how many. */
	unsigned (*send)(struct carrier *carrier, unsigned side, unsigned batch);
	/* Takes up to `batch`; how many. */
	unsigned (*receive)(struct carrier *carrier, unsigned side, unsigned batch);
};

struct carrier {
	const struct carrier_kind *kind;
	unsigned bytes;
	struct {
		_Alignas(128) void *state; /* views are private: they must not share a cache line */
		uint64_t sum; /* of what was read */
		uint8_t source[CARRIER_BYTES_MAX]; /* what is sent */
	} sides[2];
	void *shared; /* owns */
};

extern const struct carrier_kind carrier_ring; /* queue/ring.h */
extern const struct carrier_kind carrier_rte_pointers; /* rte_ring of pointers to records that lie elsewhere */
extern const struct carrier_kind carrier_rte_elements; /* rte_ring with 64-byte elements */
extern const struct carrier_kind carrier_ring_link; /* channel/ring_transport.h, frames of up to 4 KiB */
extern const struct carrier_kind carrier_tcp_link; /* channel/tcp_transport.h over loopback */

/* Reads a whole message. */
static inline uint64_t carrier_read(const void *bytes, unsigned count)
{
	typedef uint64_t half __attribute__((vector_size(32), aligned(8), may_alias));
	const half *halves = bytes;
	half sum = { 0 };

	if (count == 64) {
		sum = halves[0] + halves[1];
		return sum[0] + sum[1] + sum[2] + sum[3];
	}

	for (unsigned i = 0; i < count / sizeof(half); i++)
		sum += halves[i];
	return sum[0] + sum[1] + sum[2] + sum[3];
}

/* Writes one; short ones without a call. */
static inline void carrier_write(void *to, const void *from, unsigned count)
{
	if (count == 64) {
		/* Halves: a compiler may put a whole line on the stack in between, which costs up to half of the rate. */
		__builtin_memcpy(to, from, 32);
		__builtin_memcpy((uint8_t *)to + 32, (const uint8_t *)from + 32, 32);
	} else {
		__builtin_memcpy(to, from, count);
	}
}

#endif
