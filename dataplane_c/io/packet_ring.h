/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets between splitter and instance: a pair of rings, one each way, by copy (architecture.md). Beside the frame cross
 * the NF port, the steering slot and, for a later fragment, the first one's ports or ICMP identifier. */
#ifndef SHOAL_IO_PACKET_RING_H
#define SHOAL_IO_PACKET_RING_H

#include "io/port.h"
#include "queue/ring.h"

enum shoal_packet_record_kind {
	SHOAL_RECORD_PACKET = 1,
	/* Splitter → instance: the last packet of a steering slot has been sent; instance → splitter: every packet of the
	 * steering slot before it has left. `marker` tells markers apart. */
	SHOAL_RECORD_MARKER = 2,
};

enum shoal_packet_record_flag {
	SHOAL_RECORD_REENTER = 1 << 0, /* instance → splitter: enters again at `port` */
	SHOAL_RECORD_FRAGMENT_PORTS = 1 << 1, /* source_port and destination_port are set */
};

/* Head of each record; the frame follows. */
struct shoal_packet_record {
	uint8_t kind;
	uint8_t port;
	uint8_t steering_slot;
	uint8_t flags;
	union {
		struct {
			uint16_t source_port, destination_port; /* network order */
		};
		uint32_t marker;
	};
};

struct shoal_packet_ring; /* a struct shoal_port first */

/* The instance's end: a port. `descriptor` as from shoal_ring_pair_create; side 1. Packets of verdict re-enter leave by
 * it with SHOAL_VERDICT_REENTER still in packet->verdict. */
struct shoal_packet_ring *shoal_packet_ring_create(int descriptor, unsigned side, struct rte_mempool *pool);
struct shoal_port *shoal_packet_ring_port(struct shoal_packet_ring *ring);

/* Markers seen by receive are not packets; they wait here in order behind the packets that came before them.
 * Take one (true: *steering_slot and *marker set), and, once every packet of its steering slot has left, return it.
 * false from return: ring full, try again at the next poll; a marker is never dropped. */
bool shoal_packet_ring_take_marker(struct shoal_packet_ring *ring, uint8_t *steering_slot, uint32_t *marker);
bool shoal_packet_ring_return_marker(struct shoal_packet_ring *ring, uint8_t steering_slot, uint32_t marker);
/* Sends a marker (splitter's end). Same contract as return_marker. */
bool shoal_packet_ring_send_marker(struct shoal_packet_ring *ring, uint8_t steering_slot, uint32_t marker);
/* Packets (not markers) that lie in the two rings: sent and not yet taken by the other end, or not yet received here. Walks
 * them: for the end of a peer, not for metrics. What a broken ring holds can't be told, and counts as 0. */
uint32_t shoal_packet_ring_inside(const struct shoal_packet_ring *ring);
/* The mapping holds what no peer of ours writes: stop using it. */
bool shoal_packet_ring_broken(const struct shoal_packet_ring *ring);

#endif
