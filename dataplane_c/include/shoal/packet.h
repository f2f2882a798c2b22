/* SPDX-License-Identifier: BSD-3-Clause */
/* One packet as the worker, the splitter and the NF see it. It lies in the private area of its mbuf, so that one
 * pointer carries both; frames are always one segment. */
#ifndef SHOAL_PACKET_H
#define SHOAL_PACKET_H

#include <shoal/types.h>

struct rte_mbuf;

enum shoal_packet_flag {
	SHOAL_PACKET_IPV4 = 1 << 0,
	SHOAL_PACKET_IPV6 = 1 << 1,
	/* A transport header (or ICMP query header) can be read at transport_offset. */
	SHOAL_PACKET_TRANSPORT = 1 << 2,
	SHOAL_PACKET_ICMP_QUERY = 1 << 3,
	/* ICMP or ICMPv6 error: the inner_* offsets are set, and the tuple is that of the inner packet, reversed. Its own
	 * header (eight bytes) stands at transport_offset, but SHOAL_PACKET_TRANSPORT is unset: it has no ports. */
	SHOAL_PACKET_ICMP_ERROR = 1 << 4,
	SHOAL_PACKET_FRAGMENT_FIRST = 1 << 5,
	/* Has no transport header; its ports (or ICMP identifier) are given by the splitter's fragment table. */
	SHOAL_PACKET_FRAGMENT_LATER = 1 << 6,
	/* The fragment's ports are known (set for every later fragment that leaves the fragment table). */
	SHOAL_PACKET_PORTS_KNOWN = 1 << 7,
	SHOAL_PACKET_VLAN = 1 << 8,
	/* The inner packet of an ICMP error has no ports that can be read: it is itself a later fragment, is cut before
	 * them (fewer than eight bytes), or has none. inner_transport_offset is 0 then, and so are the tuple's ports. */
	SHOAL_PACKET_INNER_NO_PORTS = 1 << 9,
};

/* Verdicts: what becomes of a packet. Encoded as kind in the high byte, argument in the low one. */
enum shoal_verdict_kind {
	SHOAL_VERDICT_NONE = 0,
	SHOAL_VERDICT_TRANSMIT = 1, /* argument: NF port */
	SHOAL_VERDICT_DROP = 2, /* argument: index into the NF's list of drop reasons */
	SHOAL_VERDICT_REENTER = 3, /* argument: NF port at which the packet enters again, as if received there */
	SHOAL_VERDICT_HOLD = 4, /* the NF owns the packet until it calls shoal_packet_release */
	SHOAL_VERDICT_PACKET_HANDLER = 5, /* burst handler only, before it has written anything */
	SHOAL_VERDICT_INVALID = 6, /* what a handler that gave none is taken to have said: a counted drop */
	SHOAL_VERDICT_NOT_WRITTEN =
		7, /* the runtime's: what the packet changed is not known to be kept; a counted drop */
};

#define SHOAL_VERDICT(kind, argument) ((uint16_t)((kind) << 8 | (argument)))
#define SHOAL_TRANSMIT(port) SHOAL_VERDICT(SHOAL_VERDICT_TRANSMIT, port)
#define SHOAL_DROP(reason) SHOAL_VERDICT(SHOAL_VERDICT_DROP, reason)
#define SHOAL_REENTER(port) SHOAL_VERDICT(SHOAL_VERDICT_REENTER, port)
#define SHOAL_HOLD SHOAL_VERDICT(SHOAL_VERDICT_HOLD, 0)
#define SHOAL_TO_PACKET_HANDLER SHOAL_VERDICT(SHOAL_VERDICT_PACKET_HANDLER, 0)

/* The flow that a packet belongs to, all fields in network byte order. For an ICMP query both ports are its
 * identifier; for an ICMP error it is the inner packet's tuple reversed. IPv6 addresses do not fit: read them in the
 * frame (shoal_packet_source6), the four bytes here are then an XOR fold of them. */
struct shoal_tuple {
	uint32_t source_address;
	uint32_t destination_address;
	uint16_t source_port;
	uint16_t destination_port;
	uint8_t protocol; /* of the flow: for an ICMP error the inner packet's */
	uint8_t tcp_flags; /* of a TCP packet's own header, else 0 */
};

/* writer: whoever owns the packet at the moment (port, splitter, worker or, when held, the NF). */
struct shoal_packet {
	struct rte_mbuf *mbuf; /* borrows: the packet lies inside it */
	uint8_t *frame; /* first byte of the Ethernet header */
	uint16_t length; /* bytes of the frame, FCS excluded */
	uint16_t flags; /* enum shoal_packet_flag */
	uint16_t verdict;
	uint8_t port; /* NF port of entry */
	uint8_t steering_slot;
	uint16_t network_offset; /* offsets in bytes from frame; 0 where absent */
	uint16_t transport_offset;
	uint16_t inner_network_offset;
	uint16_t inner_transport_offset;
	struct shoal_tuple tuple;
	uint64_t hash; /* of the declared key; set by the worker for a packet that leaves the burst */
	uint32_t entry; /* the declared object's entry, worker only */
	uint32_t traffic; /* generator's flow number, for the sink; else 0 */
	/* --- second cache line: only touched off the fast path --- */
	struct shoal_packet *next; /* in whatever queue owns it */
	uint64_t arrived_ns;
	uint64_t arrival; /* which of the worker's packets it is, by arrival; only off the fast path */
	uint8_t key[SHOAL_KEY_BYTES_MAX]
		__attribute__((aligned(8))); /* the declared key of a packet that left the burst */
	uint32_t candidate; /* what the burst took for the declared object's entry; 0: it found none */
};

_Static_assert(offsetof(struct shoal_packet, next) == SHOAL_CACHE_LINE, "fast path fields fill the first cache line");

/* Bytes of private area that a packet pool's mbufs need. */
#define SHOAL_PACKET_PRIVATE_BYTES ((sizeof(struct shoal_packet) + 63) / 64 * 64)

static inline const uint8_t *shoal_packet_network(const struct shoal_packet *packet)
{
	return packet->frame + packet->network_offset;
}

#endif
