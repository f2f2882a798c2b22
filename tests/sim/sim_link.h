/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated transport: frames between two members take their pair's own time, in order; in a lossy world they may also
 * be lost, repeated, and overtake each other. A directed schedule can hold a pair back. */
#ifndef SIM_LINK_H
#define SIM_LINK_H

#include "channel/transport.h"
#include "channel/frame.h"
#include "channel/message.h"
#include "keyspace/keyspace.h"
#include "sim_random.h"

struct sim_world;

struct sim_frame {
	struct sim_frame *next;
	uint64_t due_ns;
	uint32_t length;
	bool taken; /* and its room not given back yet */
	uint8_t bytes[] __attribute__((aligned(8)));
};

/* Frames from one member to another. */
struct sim_pair {
	struct sim_frame *first; /* by time of arrival */
	uint64_t delay_min_ns, delay_max_ns;
	uint64_t last_due_ns;
	uint64_t bytes; /* that have not been taken */
	bool held; /* a directed schedule lets nothing arrive */
};

struct sim_network {
	struct sim_world *world;
	struct sim_random random;
	uint64_t dead; /* bit for each member whose process has ended; nothing arrives there */
	struct sim_pair pairs[SHOAL_MEMBERS_MAX][SHOAL_MEMBERS_MAX];
	bool reliable;
	unsigned loss_percent, repeat_percent, overtake_percent; /* of frames; links that are not reliable */
	uint64_t capacity_bytes; /* of a pair */
	uint32_t frames; /* that have not been taken */
	uint64_t messages; /* ever sent */
	uint64_t digest; /* of all bytes ever sent, in their order */
	uint64_t of_kind[SHOAL_MESSAGE_KINDS];
	/* Reliable worlds: tokens in frames under way. */
	uint64_t tokens[SHOAL_SLOT_WORDS];
	uint32_t tokens_count;
	bool token_twice; /* a second token of one slot was sent */
};

void sim_network_init(struct sim_network *network, struct sim_world *world);
/* Frees all frames. */
void sim_network_fini(struct sim_network *network);
/* One end of a link. Aborts where memory is out. */
struct shoal_link *sim_link_create(struct sim_network *network, uint8_t self, uint8_t peer);
/* What has not been taken yet from `from` to `to` is gone. */
void sim_pair_clear(struct sim_network *network, uint8_t from, uint8_t to);

/* A member's process has ended. What it had put into rings lies there; on links that are not reliable what is under way
 * to it is gone, and what comes from it may still come until the link is told that it has ended. */
void sim_network_died(struct sim_network *network, uint8_t member);
void sim_network_buried(struct sim_network *network, uint8_t member);
/* This end is told that its peer's life is over. */
void sim_link_end(struct shoal_link *link);

/* Calls `visit` for each message of a frame. */
void sim_frame_visit(const void *bytes, uint32_t length,
	void (*visit)(void *owner, const struct shoal_message *message), void *owner);

#endif
