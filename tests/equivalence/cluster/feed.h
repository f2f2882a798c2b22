/* SPDX-License-Identifier: BSD-3-Clause */
/* What is sent into the NAT's two ports, and when. Two input captures, merged by time, are one list. Packets of different
 * inside endpoints may overtake each other, at random; those of one endpoint never do.
 *
 * A destination among the inside addresses is a placeholder: it stands for the public endpoint that the NAT has given to that
 * inside endpoint, and is replaced when the packet is sent. In the inside capture such a packet is hairpinned.
 *
 * What the NAT keeps of a mapping (its TCP state) depends on the order of both directions, and only order within one direction
 * is promised. So a packet that may change it, and one with a placeholder, is sent while no other of its endpoint
 * is on its way; whatever the schedule, the NAT then sees the same.
 *
 * Identification numbers below FEED_NUMBERS name the packets (all fragments of one datagram have the same); an answer to one
 * has FEED_NUMBERS times 1, 2 or 3 added. A gap of more than a second between two times begins a new phase: the rest waits until
 * nothing moves any more, and made-up time leaps. */
#ifndef SHOAL_TESTS_FEED_H
#define SHOAL_TESTS_FEED_H

#include "pcap_file.h"
#include "wire.h"

#define FEED_NUMBERS 0x4000
#define FEED_KEYS_MAX 2 /* of one packet: it is between two inside endpoints */
#define FEED_NONE UINT32_MAX

struct feed_input {
	uint64_t time_ns;
	unsigned length;
	uint8_t *frame; /* borrows */
	uint32_t keys[FEED_KEYS_MAX]; /* index of an inside endpoint, or FEED_NONE */
	unsigned phase;
	uint8_t port;
	bool placeholder; /* for the last of its keys */
	bool alone;
	bool sent;
};

/* An inside endpoint. */
struct feed_key {
	struct wire_endpoint inside, public;
	bool public_known;
	bool alone; /* what is on its way is alone */
	unsigned on_its_way;
};

struct feed {
	struct pcap_file files[2]; /* owns */
	struct feed_input *inputs; /* owns */
	unsigned count, first_unsent;
	unsigned phase;
	struct feed_key *keys; /* owns */
	unsigned keys_count;
	uint32_t input_of_number[FEED_NUMBERS];
	unsigned sent, skipped;
};

/* Reads inside.pcap and outside.pcap. Ends the program where they can't be used. */
void feed_init(struct feed *feed, const char *folder);
void feed_fini(struct feed *feed);

/* The next packet for a port, as it is to be sent, in `frame` (PCAP_FRAME_MAX bytes); returns its length, 0: none may be sent
 * now. */
unsigned feed_next(struct feed *feed, uint8_t port, uint64_t random, uint8_t *frame);
/* A frame left the NAT by that port. Returns the input that it is, or is an answer to; NULL: none. */
const struct feed_input *feed_arrived(struct feed *feed, uint8_t port, const struct wire *wire);
/* An answer to that input is on its way. */
void feed_answered(struct feed *feed, const struct feed_input *input);

bool feed_phase_sent(const struct feed *feed);
bool feed_ended(const struct feed *feed);
/* When the next phase begins; 0: there is none. */
uint64_t feed_next_phase_ns(const struct feed *feed);
/* Nothing moves, and the phase is not sent: what is on its way was dropped. If that frees nothing, one packet is skipped. */
void feed_unblock(struct feed *feed);

#endif
