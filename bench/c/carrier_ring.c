/* SPDX-License-Identifier: BSD-3-Clause */
/* Our ring, and DPDK's in two ways. */
#include <rte_ring.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carrier.h"
#include "queue/ring.h"

#define RING_BYTES (64u << 10) /* as much as rte_ring below holds in 64-byte records */
#define ELEMENTS 1024u
#define RECORDS (2 * ELEMENTS) /* a producer is never so far ahead that it writes what is still read */

/* --- queue/ring.h --- */

static bool ring_open(struct carrier *carrier, unsigned bytes)
{
	int descriptor = shoal_ring_pair_create(RING_BYTES);
	bool opened = descriptor >= 0;

	for (unsigned side = 0; side < 2 && opened; side++) {
		struct shoal_ring_pair *pair = aligned_alloc(128, (sizeof(*pair) + 127) / 128 * 128);

		carrier->sides[side].state = pair;
		opened = pair && !shoal_ring_pair_open(pair, descriptor, side);
	}
	if (descriptor >= 0)
		close(descriptor);
	return opened;
}

static void ring_close(struct carrier *carrier)
{
	for (unsigned side = 0; side < 2; side++) {
		shoal_ring_pair_close(carrier->sides[side].state);
		free(carrier->sides[side].state);
	}
}

/* As the channel's transport does, whose frames come one by one. */
static unsigned send_one(struct carrier *carrier, unsigned side)
{
	struct shoal_ring *ring = &((struct shoal_ring_pair *)carrier->sides[side].state)->out;
	void *record = shoal_ring_reserve(ring, carrier->bytes);

	if (!record)
		return 0;
	carrier_write(record, carrier->sides[side].source, carrier->bytes);
	shoal_ring_push(ring, carrier->bytes);
	shoal_ring_flush(ring);
	return 1;
}

static unsigned send_many(struct carrier *carrier, unsigned side, unsigned batch)
{
	struct shoal_ring_pair *pair = carrier->sides[side].state;
	struct shoal_ring local = pair->out;
	unsigned bytes = carrier->bytes, sent = 0;

	for (; sent < batch; sent++) {
		void *record = shoal_ring_reserve(&local, bytes);

		if (!record)
			break;
		carrier_write(record, carrier->sides[side].source, bytes);
		shoal_ring_push(&local, bytes);
	}
	shoal_ring_flush(&local);
	pair->out = local;
	return sent;
}

static unsigned ring_send(struct carrier *carrier, unsigned side, unsigned batch)
{
	return batch == 1 ? send_one(carrier, side) : send_many(carrier, side, batch);
}

static unsigned ring_receive(struct carrier *carrier, unsigned side, unsigned batch)
{
	struct shoal_ring *ring = &((struct shoal_ring_pair *)carrier->sides[side].state)->in;
	unsigned received = 0;
	uint64_t sum = 0;
	uint32_t length;
	const void *record;

	for (; received < batch && (record = shoal_ring_peek(ring, &length)); received++) {
		sum += carrier_read(record, length);
		shoal_ring_pop(ring);
	}
	shoal_ring_consumed(ring);
	carrier->sides[side].sum += sum;
	return received;
}

const struct carrier_kind carrier_ring = { "ring", 4096, ring_open, ring_close, ring_send, ring_receive };

/* --- rte_ring --- */

struct rte_side {
	struct rte_ring *out, *in;
	uint8_t *records; /* what this side has sent */
	uint32_t next;
};

static struct rte_ring *rte_ring_made(unsigned element)
{
	size_t bytes = ((size_t)rte_ring_get_memsize_elem(element, ELEMENTS) + 4095) / 4096 * 4096;
	struct rte_ring *ring = aligned_alloc(4096, bytes);

	if (!ring)
		return NULL;
	memset(ring, 0, bytes);
	if (!rte_ring_init(ring, "bench", ELEMENTS, RING_F_SP_ENQ | RING_F_SC_DEQ))
		return ring;
	free(ring);
	return NULL;
}

static bool rte_open(struct carrier *carrier, unsigned element)
{
	struct rte_side *sides = aligned_alloc(128, 2 * 128);
	struct rte_ring *there = rte_ring_made(element), *back = rte_ring_made(element);

	if (!sides || !there || !back)
		return false;
	for (unsigned side = 0; side < 2; side++) {
		struct rte_side *state = (struct rte_side *)((uint8_t *)sides + side * 128);

		state->out = side ? back : there;
		state->in = side ? there : back;
		state->next = 0;
		state->records = aligned_alloc(64, (size_t)RECORDS * carrier->bytes);
		if (!state->records)
			return false;
		memset(state->records, 0, (size_t)RECORDS * carrier->bytes);
		carrier->sides[side].state = state;
	}
	carrier->shared = sides;
	return true;
}

static void rte_close(struct carrier *carrier)
{
	for (unsigned side = 0; side < 2; side++) {
		struct rte_side *state = carrier->sides[side].state;

		free(state->records);
		free(state->out);
	}
	free(carrier->shared);
}

static bool pointers_open(struct carrier *carrier, unsigned bytes)
{
	return rte_open(carrier, sizeof(void *));
}

static unsigned pointers_send(struct carrier *carrier, unsigned side, unsigned batch)
{
	struct rte_side *state = carrier->sides[side].state;
	void *pointers[CARRIER_BATCH_MAX];
	unsigned sent;

	if (rte_ring_free_count(state->out) < batch)
		return 0;
	for (unsigned i = 0; i < batch; i++) {
		pointers[i] = state->records + (size_t)((state->next + i) % RECORDS) * carrier->bytes;
		carrier_write(pointers[i], carrier->sides[side].source, carrier->bytes);
	}
	sent = rte_ring_sp_enqueue_burst(state->out, pointers, batch, NULL);
	state->next += sent;
	return sent;
}

static unsigned pointers_receive(struct carrier *carrier, unsigned side, unsigned batch)
{
	struct rte_side *state = carrier->sides[side].state;
	void *pointers[CARRIER_BATCH_MAX];
	unsigned received = rte_ring_sc_dequeue_burst(state->in, pointers, batch, NULL);
	uint64_t sum = 0;

	for (unsigned i = 0; i < received; i++)
		sum += carrier_read(pointers[i], carrier->bytes);
	carrier->sides[side].sum += sum;
	return received;
}

const struct carrier_kind carrier_rte_pointers = { "rte_ring_pointers", 4096, pointers_open, rte_close, pointers_send,
	pointers_receive };

static bool elements_open(struct carrier *carrier, unsigned bytes)
{
	return rte_open(carrier, bytes);
}

static unsigned elements_send(struct carrier *carrier, unsigned side, unsigned batch)
{
	struct rte_side *state = carrier->sides[side].state;
	uint8_t records[CARRIER_BATCH_MAX][64];

	for (unsigned i = 0; i < batch; i++)
		carrier_write(records[i], carrier->sides[side].source, 64);
	return rte_ring_sp_enqueue_burst_elem(state->out, records, 64, batch, NULL);
}

static unsigned elements_receive(struct carrier *carrier, unsigned side, unsigned batch)
{
	struct rte_side *state = carrier->sides[side].state;
	uint8_t records[CARRIER_BATCH_MAX][64] __attribute__((aligned(64)));
	unsigned received = rte_ring_sc_dequeue_burst_elem(state->in, records, 64, batch, NULL);
	uint64_t sum = 0;

	for (unsigned i = 0; i < received; i++)
		sum += carrier_read(records[i], 64);
	carrier->sides[side].sum += sum;
	return received;
}

const struct carrier_kind carrier_rte_elements = { "rte_ring_elements", 64, elements_open, rte_close, elements_send,
	elements_receive };
