/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: a splitter with two ports of the test's own and real packet rings, at whose other ends instances live that
 * the test steps. Each packet carries a number; the sink checks the order of each flow, and the books are compared with what
 * the test itself counted. */
#ifndef SHOAL_IO_SPLITTER_WORLD_H
#define SHOAL_IO_SPLITTER_WORLD_H

#include "io/splitter.h"

#define WORLD_INSIDE 0
#define WORLD_OUTSIDE 1
#define WORLD_PORTS 2
#define WORLD_MEMBERS 6
#define WORLD_FLOWS 64
#define WORLD_PACKETS 16384 /* of one world, over its life */
#define WORLD_QUEUE 4096 /* of one instance; of one port's input */

/* A flow's packets leave in the order of `position`. */
struct world_packet {
	uint16_t flow;
	uint32_t position;
	bool left;
};

struct world_datagram {
	bool first_fed;
	unsigned early; /* later fragments fed before the first one */
	uint32_t early_numbers[4];
};

/* The splitter's port, and both ends of what lies behind it. */
struct world_port {
	struct shoal_port port;
	struct world *world;
	struct shoal_packet *input[WORLD_QUEUE];
	unsigned head, tail;
	unsigned room; /* packets that transmit still takes */
};

/* What lies inside an instance, in order: a packet, or a marker (packet is NULL). */
struct world_item {
	struct shoal_packet *packet;
	uint8_t slot;
	uint32_t marker;
	bool done;
};

struct world_instance {
	struct shoal_packet_ring *ring; /* NULL: not there */
	struct shoal_port *port;
	struct world_item items[WORLD_QUEUE];
	unsigned head, tail;
	uint64_t dropped; /* by this life */
};

struct world {
	struct shoal_splitter *splitter;
	uint64_t random;
	uint64_t now_ns;
	struct world_port ports[WORLD_PORTS];
	struct world_instance instances[WORLD_MEMBERS];
	unsigned drop_one_in; /* by the instances; 0: none */
	struct world_packet *packets;
	uint32_t packets_count;
	uint32_t flow_length[WORLD_FLOWS]; /* packets with a position */
	uint32_t flow_next[WORLD_FLOWS]; /* no position below it may leave any more */
	uint64_t fed, left, left_by[WORLD_PORTS];
	uint64_t instance_drops; /* of all lives */
	uint64_t lost_inside; /* was inside instances that were killed */
	uint64_t disorder; /* packets that left out of order */
	uint32_t ring_bytes;
};

extern struct rte_mempool *world_pool;
extern const struct shoal_nf world_nf;

int world_start(void **state);
int world_stop(void **state);

void world_create(struct world *world, uint64_t seed, uint32_t parked_max, uint32_t fragments_max);
void world_destroy(struct world *world);
uint64_t world_random(struct world *world, uint64_t below);

void world_attach(struct world *world, uint16_t member);
/* The instance ends as it stands; what it holds is gone with it. The splitter is told. */
void world_kill(struct world *world, uint16_t member);
/* Frees what lies inside it, counted in lost_inside, and closes its end of the ring. */
void world_instance_end(struct world *world, struct world_instance *instance);
/* Slots to members in turn. */
void world_table(struct world *world, const uint8_t *members, unsigned n);
int world_redirect(struct world *world, unsigned first_slot, unsigned n, uint16_t member);

/* Flow f enters at the inside, or, if odd, at the outside; its steering slot is slot_of(f). Every fourth inside flow is
 * sent back by the instance to enter again at the outside, where its slot is another one. */
uint8_t world_slot_of(unsigned flow);
bool world_flow_reenters(unsigned flow);
/* Puts a packet into the port's input; returns its number. */
uint32_t world_feed(struct world *world, unsigned flow);
enum world_fragment { WORLD_FIRST, WORLD_MIDDLE, WORLD_LAST };
uint32_t world_feed_fragment(struct world *world, unsigned flow, uint16_t identification,
	struct world_datagram *datagram, enum world_fragment fragment);
void world_feed_raw(struct world *world, unsigned port, const uint8_t *frame, uint16_t length);

void world_poll(struct world *world);
/* An instance takes up to n records from its ring, and then finishes up to n of its items: the oldest first, or, where
 * `shuffled`, of a random steering slot (oldest of that slot first). */
void world_step(struct world *world, uint16_t member, unsigned n, bool shuffled);
/* Polls and steps until nothing moves any more. */
void world_settle(struct world *world);
/* Asserts the books, between any two polls. */
void world_check(struct world *world);
/* Packets inside instances and their rings (held or under way), by the test's own count. */
uint64_t world_at_instances(const struct world *world);

#endif
