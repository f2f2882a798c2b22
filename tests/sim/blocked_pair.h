/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: a worker with packets of the test's own, and a peer that owns the upper half of the slots, so that a packet's flow
 * is blocked as long as the peer is not polled. Each polling is 10 us later than the one before. */
#ifndef TESTS_SIM_BLOCKED_PAIR_H
#define TESTS_SIM_BLOCKED_PAIR_H

#include "worker/worker.h"

#define LOCAL_FLOWS 1024u

/* A port that hands out what lies ready, and frees what leaves. */
struct source {
	struct shoal_port port; /* first */
	struct shoal_packet *ready[SHOAL_BURST_MAX];
	unsigned count;
	bool full; /* takes nothing */
	uintptr_t stack; /* the test's; 0: it does not ask */
	unsigned elsewhere; /* times that packets were transmitted from another one */
	uint64_t left;
};

struct pair {
	struct shoal_worker *worker, *peer;
	struct source source, peer_source;
	uint64_t local[LOCAL_FLOWS]; /* keys that the worker owns */
	unsigned next;
};

extern uint64_t pair_now_ns;

/* Of both workers. */
extern struct pair_nf {
	unsigned declines; /* packets that the burst handler still sends to the packet handler */
	unsigned waits_for_test; /* packets whose handler still waits for the test to end its wait */
	struct shoal_wait *waits[2]; /* theirs */
	unsigned waiting;
	uint64_t in_bursts, in_handlers; /* packets that either has finished */
} pair_nf;

/* Starts EAL and makes so many packets; 0, or -1. */
int pair_set_up(unsigned packets);
/* With room for so many suspended packets and flows. All local flows have had a packet. */
void pair_start(struct pair *pair, uint32_t microthreads, uint32_t flows);
void pair_end(struct pair *pair);
void pair_poll(struct pair *pair); /* both */
/* The next key at or after `from` that the worker owns, or does not. */
uint64_t pair_find_key(const struct pair *pair, uint64_t from, bool own);
struct shoal_packet *pair_feed(struct pair *pair, uint64_t key); /* a packet, for the next poll */
void pair_feed_peer(struct pair *pair, uint64_t key);
unsigned pair_packets(void); /* that are anywhere, in all pairs */
void pair_feed_local(struct pair *pair); /* a burst of the local flows in turn */

#endif
