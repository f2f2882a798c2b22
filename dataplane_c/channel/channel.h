/* SPDX-License-Identifier: BSD-3-Clause */
/* One worker's channel: messages to and from every peer, exactly once and in order between two workers, whatever the
 * transport below loses, repeats or reorders. Frames are numbered and acknowledged; on links that are not reliable what is
 * not acknowledged is kept and sent again. Sending never fails: what does not fit waits in the peer's outbox, whose
 * room is reserved for all that the windows allow (dso.md, "Memory and credit"). */
#ifndef SHOAL_CHANNEL_CHANNEL_H
#define SHOAL_CHANNEL_CHANNEL_H

#include "channel/message.h"
#include "channel/transport.h"
#include "worker/statistics.h"

struct shoal_channel;

#define SHOAL_CHANNEL_AHEAD 32u

struct shoal_channel_config {
	uint8_t self;
	uint64_t life;
	const struct shoal_class *const *classes; /* borrows */
	unsigned classes_count;
	size_t outbox_bytes; /* reserved address space for each peer; touched only when a peer is slow */
	uint64_t resend_ns; /* on links that are not reliable */
	uint64_t heartbeat_ns; /* between two questions whether a peer hears us; 0: none is asked */
	/* By member, may be NULL: number of the frame being taken << 16 | messages of it that have been handled. Stored when a
	 * message has been handled: what lies beyond has not been, should this worker die. */
	uint64_t *received;
	uint64_t *taken; /* by member, may be NULL: messages handled, in all */
	/* May be NULL. Told of a frame's messages before they are handed up, up to SHOAL_CHANNEL_AHEAD at a time, to fetch what they
	 * will need. Nothing of them has been checked but that they lie in the frame, with a key as long as their class's. */
	void (*ahead)(void *owner, const struct shoal_message *const *messages, unsigned count);
};

/* What the channel hands upwards. Messages are valid and borrowed for the call. */
typedef void (*shoal_channel_receive)(void *owner, uint8_t from, const struct shoal_message *message);

struct shoal_channel *shoal_channel_create(const struct shoal_channel_config *config); /* NULL with errno */
void shoal_channel_destroy(struct shoal_channel *channel); /* and its links */

/* Owns the link from here on, also where it fails. -EEXIST: the member has a link already. */
SHOAL_MUST_USE int shoal_channel_attach(
	struct shoal_channel *channel, uint8_t member, uint64_t life, struct shoal_link *link);
/* Forgets a peer and whatever waits for it. */
void shoal_channel_detach(struct shoal_channel *channel, uint8_t member);
/* The link of that life of a member, or NULL; borrowed. */
struct shoal_link *shoal_channel_link(const struct shoal_channel *channel, uint8_t member, uint64_t life);
bool shoal_channel_attached(const struct shoal_channel *channel, uint8_t member);
bool shoal_channel_ended(const struct shoal_channel *channel, uint8_t member);
bool shoal_channel_up(const struct shoal_channel *channel, uint8_t member);
/* Why a peer's link is BROKEN or ENDED; "" if it is not. */
const char *shoal_channel_reason(const struct shoal_channel *channel, uint8_t member);

/* Sends head, key, waiters and bytes; head->length, key_bytes (of its class; 0 where key is NULL), waiters and bytes are set
 * here. To a member without a link: counted and dropped. What is sent to one whose life has ended is kept, to be taken back. */
void shoal_channel_send(struct shoal_channel *channel, uint8_t member, struct shoal_message *head, const void *key,
	const struct shoal_waiter *waiters, unsigned waiters_count, const void *bytes, unsigned bytes_count);
/* Sends on a received message as it is. */
void shoal_channel_forward(struct shoal_channel *channel, uint8_t member, const struct shoal_message *message);

/* Hands up to `budget` messages of each peer to `receive`. Returns how many. */
unsigned shoal_channel_receive_all(
	struct shoal_channel *channel, unsigned budget, shoal_channel_receive receive, void *owner);
/* While a message is handed up: it counts as handled from here on, also if this worker dies before it has been. */
void shoal_channel_mark_in_hand(struct shoal_channel *channel);
/* Hands up all that a peer whose life has ended had sent. */
void shoal_channel_drain(struct shoal_channel *channel, uint8_t member, shoal_channel_receive receive, void *owner);
/* Messages sent to a member so far, and how many of them it has handled, as far as is known. */
uint64_t shoal_channel_sent(const struct shoal_channel *channel, uint8_t member);
uint64_t shoal_channel_taken(const struct shoal_channel *channel, uint8_t member);
/* Messages of a member that have been handled here. */
uint64_t shoal_channel_handled(const struct shoal_channel *channel, uint8_t member);
/* Calls `take` for every message to a member whose life has ended that it never handled, in order; may be repeated. `mark`
 * is what its own `received` said of us; UINT64_MAX: not known, then what it had not taken from the transport. */
void shoal_channel_take_back(
	struct shoal_channel *channel, uint8_t member, uint64_t mark, shoal_channel_receive take, void *owner);
/* When we asked what the peer has answered last (heartbeat.h); 0: never. And for how long it has not been heard. */
uint64_t shoal_channel_heard(const struct shoal_channel *channel, uint8_t member);
uint64_t shoal_channel_silent_ns(const struct shoal_channel *channel, uint8_t member, uint64_t now_ns);
/* End of a poll: closes frames, empties outboxes as far as links take them, acknowledges, sends again what is overdue. */
void shoal_channel_flush(struct shoal_channel *channel, uint64_t now_ns);

/* Bytes that wait for a peer on this side (outbox, and what is not acknowledged), and the most ever. */
size_t shoal_channel_waiting(const struct shoal_channel *channel, uint8_t member);
/* Bytes that have gone to the link, and that the peer has not taken yet as far as the link can tell. */
uint32_t shoal_channel_under_way(const struct shoal_channel *channel, uint8_t member);
/* Whether what is sent now goes to the link without waiting here first: objects are not to be copied twice. */
bool shoal_channel_takes(const struct shoal_channel *channel, uint8_t member);
/* Number of the peer's last frame taken in order. */
uint64_t shoal_channel_received_up_to(const struct shoal_channel *channel, uint8_t member);
/* Calls `visit` for each message that lies here for the peer: those of frames that it has not acknowledged (links that are
 * not reliable), those of the frame that is being filled, then those that no frame had room for (frame: 0). What the peer has received all the same is told by its
 * received_up_to. */
typedef void (*shoal_channel_visit)(void *owner, uint64_t frame, const struct shoal_message *message);
void shoal_channel_visit_waiting(
	const struct shoal_channel *channel, uint8_t member, shoal_channel_visit visit, void *owner);
/* True when nothing at all waits to be taken by any peer. */
bool shoal_channel_idle(const struct shoal_channel *channel);

struct shoal_channel_counters {
	uint64_t sent[SHOAL_MESSAGE_KINDS];
	uint64_t received[SHOAL_MESSAGE_KINDS];
	uint64_t frames_sent, frames_received, frames_repeated, frames_resent, frames_out_of_order;
	uint64_t frames_other_life, frames_malformed, messages_malformed, no_link;
	uint64_t heartbeats_sent, heartbeats_malformed;
	uint64_t outbox_most;
};
const struct shoal_channel_counters *shoal_channel_counters(const struct shoal_channel *channel);
void shoal_channel_statistics(const struct shoal_channel *channel, struct shoal_statistics *statistics);

#endif
