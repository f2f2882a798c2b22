/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether one peer hears us, and we it. Each side asks now and then, with its own clock's time as the question; the answer is
 * that time again. A peer is therefore heard as of the moment at which we asked, not of the one at which the answer came:
 * whatever the answer has waited for on its way (a buffer, a stopped process), it says nothing newer. Loss in
 * one direction looks to both sides like loss in both. Pure: time comes in, bytes go out. */
#ifndef SHOAL_CHANNEL_HEARTBEAT_H
#define SHOAL_CHANNEL_HEARTBEAT_H

#include <shoal/types.h>

/* Behind the head of a frame that has no number. */
struct shoal_heartbeat_body {
	uint64_t question; /* the sender's time; 0: none asked */
	uint64_t answer; /* the last question of the receiver that came, if it has not been answered; else 0 */
};

struct shoal_heartbeat {
	uint64_t since_ns; /* when we began to ask; 0: not yet */
	uint64_t ask_at_ns;
	uint64_t asked_ns; /* the last question */
	uint64_t to_answer; /* the peer's question; 0: all are answered */
	uint64_t heard_ns; /* the latest of our questions that was answered; 0: none */
	bool answered; /* its answer has come since shoal_heartbeat_round_trip was asked last */
};

/* Whether there is something to say to the peer. `period_ns` between two questions. */
bool shoal_heartbeat_due(struct shoal_heartbeat *heartbeat, uint64_t now_ns, uint64_t period_ns);
/* What to say. Counts as said. */
struct shoal_heartbeat_body shoal_heartbeat_say(struct shoal_heartbeat *heartbeat, uint64_t now_ns, uint64_t period_ns);
/* The peer has said so. false: it answers what was never asked. */
bool shoal_heartbeat_take(struct shoal_heartbeat *heartbeat, const struct shoal_heartbeat_body *body);
/* The link has come up: asks at once. */
void shoal_heartbeat_hurry(struct shoal_heartbeat *heartbeat);
/* In the poll in which an answer has come, once: how long the way there and back took, with what either side does in a poll.
 * false: none has come. */
bool shoal_heartbeat_round_trip(struct shoal_heartbeat *heartbeat, uint64_t now_ns, uint64_t *round_trip_ns);
/* For how long it has not been heard. 0 before we asked. */
uint64_t shoal_heartbeat_silent_ns(const struct shoal_heartbeat *heartbeat, uint64_t now_ns);

#endif
