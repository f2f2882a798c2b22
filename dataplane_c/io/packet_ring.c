/* SPDX-License-Identifier: BSD-3-Clause */
/* A port over a pair of rings. Markers travel in the same rings as packets, so that the ring's order is theirs:
 *
 *   marker's place   → next           by                  why
 *   (nowhere)        → out ring       send, return        behind every packet that transmit took before
 *   in ring          → marker queue   receive             every packet before it has been handed out by now
 *   marker queue     → (the caller)   take                in the order of the ring
 * Forbidden: leaving the ring while the marker queue is full (receive stops there instead), and being dropped.
 *
 * REENTER is written by the instance's side alone, so that a packet that was re-entered does not come back as such. */
#include "io/packet_ring.h"

#include <errno.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>
#include <stdlib.h>
#include <string.h>

#define MARKERS_MAX SHOAL_STEERING_SLOTS
#define SIDE_INSTANCE 1

_Static_assert(sizeof(struct shoal_packet_record) == 8, "the frame follows at once");
_Static_assert((MARKERS_MAX & (MARKERS_MAX - 1)) == 0, "indexed by mask");

struct marker {
	uint32_t marker;
	uint8_t steering_slot;
};

struct shoal_packet_ring {
	struct shoal_port port;
	struct shoal_ring_pair pair;
	struct rte_mempool *pool; /* borrows */
	unsigned side;
	unsigned spare_count; /* empty mbufs, taken from the pool a burst at a time */
	struct rte_mbuf *spare[SHOAL_BURST_MAX];
	unsigned markers_taken, markers_seen; /* only grow */
	struct marker markers[MARKERS_MAX];
};

/* Receiving and transmitting may be two threads' (worker/pipe.h). */
static void count_malformed(struct shoal_port *port)
{
	__atomic_fetch_add(&port->dropped_malformed, 1, __ATOMIC_RELAXED);
}

static struct rte_mbuf *mbuf_get(struct shoal_packet_ring *ring, unsigned burst)
{
	if (SHOAL_UNLIKELY(!ring->spare_count)) {
		unsigned wanted = burst < SHOAL_BURST_MAX ? burst : SHOAL_BURST_MAX;

		/* All or nothing, so a pool that is nearly empty is asked for one. */
		if (rte_pktmbuf_alloc_bulk(ring->pool, ring->spare, wanted) == 0)
			ring->spare_count = wanted;
		else if (rte_pktmbuf_alloc_bulk(ring->pool, ring->spare, 1) == 0)
			ring->spare_count = 1;
		else
			return NULL;
	}
	return ring->spare[--ring->spare_count];
}

static bool packet_record_valid(
	const struct shoal_packet_ring *ring, const struct shoal_packet_record *record, uint32_t frame_bytes)
{
	return record->port < SHOAL_NF_PORTS_MAX && frame_bytes > 0 && frame_bytes <= UINT16_MAX &&
	       !(record->flags & ~(SHOAL_RECORD_REENTER | SHOAL_RECORD_FRAGMENT_PORTS)) &&
	       !(record->flags & SHOAL_RECORD_REENTER && ring->side == SIDE_INSTANCE);
}

static struct shoal_packet *packet_from_record(
	struct rte_mbuf *mbuf, const struct shoal_packet_record *record, const uint8_t *frame, uint16_t frame_bytes)
{
	rte_memcpy(rte_pktmbuf_mtod(mbuf, uint8_t *), frame, frame_bytes);
	mbuf->data_len = frame_bytes;
	mbuf->pkt_len = frame_bytes;

	struct shoal_packet *packet = shoal_packet_from_mbuf(mbuf);

	packet->flags = 0;
	packet->verdict = record->flags & SHOAL_RECORD_REENTER ? SHOAL_REENTER(record->port) : SHOAL_VERDICT_NONE;
	packet->port = record->port;
	packet->steering_slot = record->steering_slot;
	if (SHOAL_UNLIKELY(record->flags & SHOAL_RECORD_FRAGMENT_PORTS)) {
		packet->flags = SHOAL_PACKET_PORTS_KNOWN;
		packet->tuple.source_port = record->source_port;
		packet->tuple.destination_port = record->destination_port;
	}
	return packet;
}

/* false: the queue is full, the record must stay in the ring. */
static bool marker_accept(struct shoal_packet_ring *ring, const struct shoal_packet_record *record)
{
	if (ring->markers_seen - ring->markers_taken == MARKERS_MAX)
		return false;
	ring->markers[ring->markers_seen++ % MARKERS_MAX] = (struct marker){ record->marker, record->steering_slot };
	return true;
}

enum acceptance {
	ACCEPTED_PACKET,
	ACCEPTED_MARKER,
	MALFORMED,
	STAYS /* in the ring for now: back-pressure, no drop */
};

static enum acceptance record_accept(struct shoal_packet_ring *ring, const uint8_t *bytes, uint32_t length,
	unsigned burst, struct shoal_packet **packet)
{
	struct shoal_packet_record record;

	if (SHOAL_UNLIKELY(length < sizeof(record)))
		return MALFORMED;
	memcpy(&record, bytes, sizeof(record)); /* what is checked is the copy: the peer may write on */

	uint32_t frame_bytes = length - (uint32_t)sizeof(record);

	if (SHOAL_UNLIKELY(record.kind == SHOAL_RECORD_MARKER && frame_bytes == 0))
		return marker_accept(ring, &record) ? ACCEPTED_MARKER : STAYS;
	if (SHOAL_UNLIKELY(record.kind != SHOAL_RECORD_PACKET || !packet_record_valid(ring, &record, frame_bytes)))
		return MALFORMED;

	struct rte_mbuf *mbuf = mbuf_get(ring, burst);

	if (SHOAL_UNLIKELY(!mbuf))
		return STAYS;
	if (SHOAL_UNLIKELY(frame_bytes > rte_pktmbuf_tailroom(mbuf))) {
		ring->spare[ring->spare_count++] = mbuf;
		return MALFORMED;
	}
	*packet = packet_from_record(mbuf, &record, bytes + sizeof(record), (uint16_t)frame_bytes);
	return ACCEPTED_PACKET;
}

static unsigned packet_ring_receive(
	struct shoal_port *port, struct shoal_packet *packets[], unsigned n, uint64_t now_ns)
{
	struct shoal_packet_ring *ring = (struct shoal_packet_ring *)port;
	unsigned received = 0;
	uint32_t length;
	const uint8_t *bytes;

	(void)now_ns;
	/* Malformed records and markers count too: a call's work is bounded whatever the peer sends. */
	for (unsigned records = 0; records < n && (bytes = shoal_ring_peek(&ring->pair.in, &length)); records++) {
		enum acceptance acceptance = record_accept(ring, bytes, length, n - records, &packets[received]);

		if (SHOAL_LIKELY(acceptance == ACCEPTED_PACKET))
			port->received_bytes += packets[received++]->length;
		else if (acceptance == MALFORMED)
			count_malformed(port);
		else if (acceptance == STAYS)
			break;
		shoal_ring_pop(&ring->pair.in);
	}
	shoal_ring_consumed(&ring->pair.in);
	port->received_packets += received;
	return received;
}

static struct shoal_packet_record record_of(const struct shoal_packet *packet, unsigned side)
{
	struct shoal_packet_record record = {
		.kind = SHOAL_RECORD_PACKET, .port = packet->port, .steering_slot = packet->steering_slot
	};

	if (SHOAL_UNLIKELY(packet->verdict >> 8 == SHOAL_VERDICT_REENTER && side == SIDE_INSTANCE)) {
		record.flags |= SHOAL_RECORD_REENTER;
		record.port = (uint8_t)packet->verdict;
	}
	if (SHOAL_UNLIKELY(packet->flags & SHOAL_PACKET_PORTS_KNOWN)) {
		record.flags |= SHOAL_RECORD_FRAGMENT_PORTS;
		record.source_port = packet->tuple.source_port;
		record.destination_port = packet->tuple.destination_port;
	}
	return record;
}

/* Copies frames and nothing else, on a local view: see SHOAL_RING_PRODUCER_INLINE. */
static unsigned packets_push(struct shoal_packet_ring *ring, struct shoal_packet *const packets[], unsigned n)
{
	struct shoal_ring out = ring->pair.out;
	unsigned pushed = 0;

	for (; pushed < n; pushed++) {
		const struct shoal_packet *packet = packets[pushed];
		uint32_t length = (uint32_t)sizeof(struct shoal_packet_record) + packet->length;
		uint8_t *bytes = shoal_ring_reserve(&out, length);

		if (SHOAL_UNLIKELY(!bytes))
			break;

		struct shoal_packet_record record = record_of(packet, ring->side);

		memcpy(bytes, &record, sizeof(record));
		rte_memcpy(bytes + sizeof(record), packet->frame, packet->length);
		shoal_ring_push(&out, length);
	}
	ring->pair.out = out;
	return pushed;
}

static unsigned packet_ring_transmit(struct shoal_port *port, struct shoal_packet *const packets[], unsigned n)
{
	struct shoal_packet_ring *ring = (struct shoal_packet_ring *)port;
	uint32_t longest = ring->pair.out.capacity / 4 - (uint32_t)sizeof(struct shoal_packet_record);
	unsigned taken = packets_push(ring, packets, n);
	uint64_t bytes = 0;

	for (unsigned i = 0; i < taken; i++) {
		bytes += packets[i]->length;
		shoal_packet_free(packets[i]);
	}
	port->transmitted_packets += taken;
	port->transmitted_bytes += bytes;
	/* Would wait for ever: can only come from another, larger pool than create was shown. */
	if (SHOAL_UNLIKELY(taken < n && packets[taken]->length > longest)) {
		count_malformed(port);
		shoal_packet_free(packets[taken++]);
	}
	return taken;
}

static void packet_ring_flush(struct shoal_port *port)
{
	shoal_ring_flush(&((struct shoal_packet_ring *)port)->pair.out);
}

static void packet_ring_destroy(struct shoal_port *port)
{
	struct shoal_packet_ring *ring = (struct shoal_packet_ring *)port;

	rte_pktmbuf_free_bulk(ring->spare, ring->spare_count);
	shoal_ring_pair_close(&ring->pair);
	free(ring);
}

struct shoal_packet_ring *shoal_packet_ring_create(int descriptor, unsigned side, struct rte_mempool *pool)
{
	static const struct shoal_port_operations operations = {
		.receive = packet_ring_receive,
		.transmit = packet_ring_transmit,
		.flush = packet_ring_flush,
		.destroy = packet_ring_destroy,
	};
	struct shoal_packet_ring *ring = calloc(1, sizeof(*ring));

	if (!ring)
		return NULL;

	int result = shoal_ring_pair_open(&ring->pair, descriptor, side);

	if (!result &&
		sizeof(struct shoal_packet_record) + rte_pktmbuf_data_room_size(pool) > ring->pair.out.capacity / 4) {
		shoal_ring_pair_close(&ring->pair);
		result = -EMSGSIZE;
	}
	if (result) {
		free(ring);
		errno = -result;
		return NULL;
	}
	ring->port.operations = &operations;
	strcpy(ring->port.name, "packet_ring");
	ring->pool = pool;
	ring->side = side;
	return ring;
}

struct shoal_port *shoal_packet_ring_port(struct shoal_packet_ring *ring)
{
	return &ring->port;
}

bool shoal_packet_ring_take_marker(struct shoal_packet_ring *ring, uint8_t *steering_slot, uint32_t *marker)
{
	if (ring->markers_taken == ring->markers_seen)
		return false;

	const struct marker *oldest = &ring->markers[ring->markers_taken++ % MARKERS_MAX];

	*steering_slot = oldest->steering_slot;
	*marker = oldest->marker;
	return true;
}

bool shoal_packet_ring_send_marker(struct shoal_packet_ring *ring, uint8_t steering_slot, uint32_t marker)
{
	struct shoal_packet_record record = {
		.kind = SHOAL_RECORD_MARKER, .steering_slot = steering_slot, .marker = marker
	};
	void *bytes = shoal_ring_reserve(&ring->pair.out, sizeof(record));

	if (!bytes)
		return false;
	memcpy(bytes, &record, sizeof(record));
	shoal_ring_push(&ring->pair.out, sizeof(record));
	return true;
}

bool shoal_packet_ring_return_marker(struct shoal_packet_ring *ring, uint8_t steering_slot, uint32_t marker)
{
	return shoal_packet_ring_send_marker(ring, steering_slot, marker);
}

/* A view of its own: what it reads it neither takes away nor publishes. */
static uint32_t packets_in(const struct shoal_ring *ring)
{
	struct shoal_packet_record record;
	struct shoal_ring view;
	const uint8_t *bytes;
	uint32_t length, packets = 0;

	if (shoal_ring_open(&view, ring->shared, ring->capacity, SHOAL_RING_CONSUMER))
		return 0;
	for (; (bytes = shoal_ring_peek(&view, &length)); shoal_ring_pop(&view)) {
		if (length < sizeof(record))
			continue;
		memcpy(&record, bytes, sizeof(record));
		packets += record.kind == SHOAL_RECORD_PACKET;
	}
	return packets;
}

uint32_t shoal_packet_ring_inside(const struct shoal_packet_ring *ring)
{
	return packets_in(&ring->pair.out) + packets_in(&ring->pair.in);
}

bool shoal_packet_ring_broken(const struct shoal_packet_ring *ring)
{
	return shoal_ring_broken(&ring->pair.in) || shoal_ring_broken(&ring->pair.out);
}
