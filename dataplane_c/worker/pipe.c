/* SPDX-License-Identifier: BSD-3-Clause */
/* A record of the queue is a burst of packets or a marker. The ring is this process's alone, so its records may hold pointers. A
 * burst is received right into its record: what an input gives has its place before it is asked for. */
#include "worker/pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room for SHOAL_PIPE_PACKETS in bursts of one, and all markers that a packet ring lets out at once. */
#define QUEUE_BYTES (64u << 10)

struct record {
	uint32_t marker;
	uint8_t steering_slot;
	bool is_marker;
	struct shoal_packet *packets[]; /* as many as the record is long */
};

_Static_assert(sizeof(struct record) == 8, "pointers are aligned");

struct shoal_pipe {
	void *mapping; /* owns */
	/* writer: receiver */
	SHOAL_CACHE_ALIGNED struct shoal_ring in;
	uint64_t pushed; /* packets; atomic; readers: worker, control */
	uint64_t full; /* polls that found no room; atomic; reader: control */
	struct shoal_packet_ring *ring; /* borrows */
	struct shoal_port *ports[SHOAL_NF_PORTS_MAX]; /* borrows */
	bool draining;
	/* writer: worker */
	SHOAL_CACHE_ALIGNED struct shoal_ring out;
	uint64_t popped; /* packets; atomic; readers: receiver, control */
	uint32_t taken; /* packets of the oldest record that were received */
};

struct shoal_pipe *shoal_pipe_create(void)
{
	struct shoal_pipe *pipe = aligned_alloc(SHOAL_CACHE_LINE, sizeof(*pipe));
	size_t bytes = shoal_ring_mapping_bytes(QUEUE_BYTES);
	void *mapping = aligned_alloc(2 * SHOAL_CACHE_LINE, bytes);

	if (!pipe || !mapping) {
		free(pipe);
		free(mapping);
		errno = ENOMEM;
		return NULL;
	}
	memset(pipe, 0, sizeof(*pipe));
	memset(mapping, 0, bytes);
	pipe->mapping = mapping;
	/* Sizes and memory are our own: these can't fail. */
	if (shoal_ring_init(mapping, QUEUE_BYTES) ||
		shoal_ring_open(&pipe->in, mapping, QUEUE_BYTES, SHOAL_RING_PRODUCER) ||
		shoal_ring_open(&pipe->out, mapping, QUEUE_BYTES, SHOAL_RING_CONSUMER))
		abort();
	return pipe;
}

void shoal_pipe_destroy(struct shoal_pipe *pipe)
{
	if (!pipe)
		return;
	free(pipe->mapping);
	free(pipe);
}

/* --- Receiver --- */

void shoal_pipe_set_ring(struct shoal_pipe *pipe, struct shoal_packet_ring *ring)
{
	pipe->ring = ring;
}

void shoal_pipe_set_port(struct shoal_pipe *pipe, uint8_t nf_port, struct shoal_port *port)
{
	pipe->ports[nf_port] = port;
}

void shoal_pipe_set_draining(struct shoal_pipe *pipe, bool draining)
{
	pipe->draining = draining;
}

/* Packets that it may receive now. */
static unsigned room(const struct shoal_pipe *pipe)
{
	/* Acquire: pairs with the release in shoal_pipe_receive. */
	uint64_t waiting = pipe->pushed - __atomic_load_n(&pipe->popped, __ATOMIC_ACQUIRE);

	return waiting + SHOAL_BURST_MAX <= SHOAL_PIPE_PACKETS ? SHOAL_BURST_MAX
	                                                       : SHOAL_PIPE_PACKETS - (unsigned)waiting;
}

static void count_full(struct shoal_pipe *pipe)
{
	__atomic_store_n(&pipe->full, pipe->full + 1, __ATOMIC_RELAXED);
}

static unsigned read_port(struct shoal_pipe *pipe, struct shoal_port *port, uint64_t now_ns)
{
	unsigned most = room(pipe), n;
	struct record *record =
		shoal_ring_reserve(&pipe->in, (uint32_t)(sizeof(*record) + most * sizeof(record->packets[0])));

	if (SHOAL_UNLIKELY(!most || !record)) {
		count_full(pipe);
		return 0;
	}
	n = port->operations->receive(port, record->packets, most, now_ns);
	if (!n)
		return 0;
	record->is_marker = false;
	/* Before they can be seen: nobody has popped more than was pushed. */
	__atomic_store_n(&pipe->pushed, pipe->pushed + n, __ATOMIC_RELAXED);
	shoal_ring_push(&pipe->in, (uint32_t)(sizeof(*record) + n * sizeof(record->packets[0])));
	return n;
}

/* One that finds no room stays in its packet ring. */
static unsigned read_markers(struct shoal_pipe *pipe)
{
	unsigned markers = 0;
	struct record *record;

	while ((record = shoal_ring_reserve(&pipe->in, sizeof(*record))) != NULL) {
		uint8_t steering_slot;
		uint32_t marker;

		if (!shoal_packet_ring_take_marker(pipe->ring, &steering_slot, &marker))
			return markers;
		*record = (struct record){ .marker = marker, .steering_slot = steering_slot, .is_marker = true };
		shoal_ring_push(&pipe->in, sizeof(*record));
		markers++;
	}
	count_full(pipe);
	return markers;
}

unsigned shoal_pipe_poll(void *component, uint64_t now_ns)
{
	struct shoal_pipe *pipe = component;
	unsigned work = 0;

	if (pipe->ring) {
		work += read_port(pipe, shoal_packet_ring_port(pipe->ring), now_ns);
		work += read_markers(pipe);
	}
	for (unsigned port = 0; port < SHOAL_NF_PORTS_MAX && !pipe->draining; port++)
		if (pipe->ports[port])
			work += read_port(pipe, pipe->ports[port], now_ns);
	shoal_ring_flush(&pipe->in);
	return work;
}

/* --- Worker --- */

unsigned shoal_pipe_receive(struct shoal_pipe *pipe, struct shoal_packet *packets[], unsigned n)
{
	const struct record *record;
	unsigned count = 0;
	uint32_t length;

	while (count < n && (record = shoal_ring_peek(&pipe->out, &length)) != NULL && !record->is_marker) {
		unsigned held = (unsigned)((length - sizeof(*record)) / sizeof(record->packets[0]));
		unsigned part = held - pipe->taken < n - count ? held - pipe->taken : n - count;

		memcpy(packets + count, record->packets + pipe->taken, part * sizeof(packets[0]));
		count += part;
		pipe->taken += part;
		if (pipe->taken < held)
			break;
		pipe->taken = 0;
		shoal_ring_pop(&pipe->out);
	}
	if (!count)
		return 0;
	shoal_ring_consumed(&pipe->out);
	/* Release: pairs with the acquire in room. */
	__atomic_store_n(&pipe->popped, pipe->popped + count, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < count; i++)
		__builtin_prefetch(packets[i]);
	return count;
}

bool shoal_pipe_take_marker(struct shoal_pipe *pipe, uint8_t *steering_slot, uint32_t *marker)
{
	uint32_t length;
	const struct record *record = shoal_ring_peek(&pipe->out, &length);

	if (!record || !record->is_marker)
		return false;
	*steering_slot = record->steering_slot;
	*marker = record->marker;
	shoal_ring_pop(&pipe->out);
	shoal_ring_consumed(&pipe->out);
	return true;
}

/* --- Any thread --- */

uint32_t shoal_pipe_waiting(const struct shoal_pipe *pipe)
{
	/* Acquire: what was popped was pushed before, and is seen so. */
	uint64_t popped = __atomic_load_n(&pipe->popped, __ATOMIC_ACQUIRE);

	return (uint32_t)(__atomic_load_n(&pipe->pushed, __ATOMIC_RELAXED) - popped);
}

void shoal_pipe_statistics(const struct shoal_pipe *pipe, struct shoal_statistics *statistics)
{
	shoal_statistics_gauge(statistics, "pipe_packets", NULL, NULL, shoal_pipe_waiting(pipe));
	shoal_statistics_counter(
		statistics, "pipe_full_total", NULL, NULL, __atomic_load_n(&pipe->full, __ATOMIC_RELAXED));
}
