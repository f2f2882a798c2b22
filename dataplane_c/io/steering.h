/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of 256 steering slots, and what happens to each while it is redirected from one member to another. Pure: it
 * decides and keeps the parked packets, the splitter moves packets and markers. The state machine is in steering.c. */
#ifndef SHOAL_IO_STEERING_H
#define SHOAL_IO_STEERING_H

#include <shoal/packet.h>

#include "worker/statistics.h"

enum shoal_steering_state {
	SHOAL_STEERING_EMPTY, /* never had a member */
	SHOAL_STEERING_STEADY, /* packets go to `member` */
	SHOAL_STEERING_LOST, /* its member was detached */
	SHOAL_STEERING_QUEUED, /* packets go to `member` until it is the slot's turn to move to `next` */
	SHOAL_STEERING_MARKER_DUE, /* packets are parked; the marker has to go into the ring of `member` */
	SHOAL_STEERING_MARKER_OUT, /* packets are parked; `member` has the marker */
	SHOAL_STEERING_FORWARDING, /* the parked packets leave, in order, for `next`; new ones queue behind them */
	SHOAL_STEERING_STRANDED, /* packets are parked, and `next` was detached: waits for another redirect */
};

#define SHOAL_STEERING_WORDS (SHOAL_STEERING_SLOTS / 64)

/* A set of steering slots. */
struct shoal_steering_set {
	uint64_t words[SHOAL_STEERING_WORDS];
};

struct shoal_steering_slot {
	uint8_t state; /* enum shoal_steering_state */
	uint8_t member; /* who has it, or had it last; SHOAL_MEMBER_NONE: nobody */
	uint8_t next; /* who gets it, while it is redirected */
	uint32_t marker;
	uint32_t parked;
	struct shoal_packet *first, *last; /* owns: parked packets, linked by next */
	uint64_t since_ns; /* of the redirect */
	uint64_t begun_ns; /* packets are parked from then on */
};

/* writer: splitter, readers: control (counters) */
struct shoal_steering {
	/* The fast path's view: the member of a STEADY or QUEUED slot, SHOAL_MEMBER_NONE for all others. */
	uint8_t members[SHOAL_STEERING_SLOTS];
	struct shoal_steering_slot slots[SHOAL_STEERING_SLOTS];
	struct shoal_steering_set pending; /* all but EMPTY, STEADY and LOST */
	struct shoal_steering_set queued; /* QUEUED */
	struct shoal_steering_set due; /* MARKER_DUE */
	struct shoal_steering_set forwarding; /* FORWARDING */
	uint32_t pending_count;
	uint32_t marker; /* last one drawn */
	uint32_t parked, parked_max;
	uint32_t parked_most; /* since the last reset */
	uint32_t parked_for[SHOAL_MEMBERS_MAX + 1]; /* by the member that is waited for; the last: by nobody */
	uint64_t polled_ns, crowded_until_ns; /* last poll; somebody else has had the core a short while before */
	uint64_t redirects; /* completed */
	uint64_t markers_void; /* their member was detached */
	uint64_t markers_stale; /* came back, but nobody waited for them */
	struct shoal_histogram park_time; /* of each packet */
	struct shoal_histogram redirect_time; /* of each steering slot */
};

/* Why a packet can't be steered. */
enum shoal_steering_answer {
	SHOAL_STEERING_PARKED, /* the table owns the packet */
	SHOAL_STEERING_NO_TABLE,
	SHOAL_STEERING_MEMBER_GONE,
	SHOAL_STEERING_PARKED_OVERFLOW,
};

void shoal_steering_init(struct shoal_steering *steering, uint32_t parked_max);
/* Frees the parked packets. */
void shoal_steering_fini(struct shoal_steering *steering);

static inline bool shoal_steering_set_has(const struct shoal_steering_set *set, unsigned slot)
{
	return set->words[slot / 64] >> slot % 64 & 1;
}
/* The first slot of the set at or after `slot`; SHOAL_STEERING_SLOTS: none. */
unsigned shoal_steering_set_next(const struct shoal_steering_set *set, unsigned slot);

/* Gives members to slots that have none; SHOAL_MEMBER_NONE leaves a slot as it is, and so does the member that it has.
 * -EEXIST: a slot has another one already (or is under redirection); nothing is changed then, and *slot says which. */
SHOAL_MUST_USE int shoal_steering_assign(struct shoal_steering *steering, const uint8_t *members, unsigned *slot);
/* The member of each slot: the old one until its redirection is over. */
void shoal_steering_read(const struct shoal_steering *steering, uint8_t *members);

/* Redirects all slots of the set, as many at a time as may move. -EBUSY: one of them is under redirection to a living member;
 * nothing is changed then, and *slot says which. A slot that is at `member` already is left alone. */
SHOAL_MUST_USE int shoal_steering_redirect(struct shoal_steering *steering, const struct shoal_steering_set *slots,
	uint8_t member, uint64_t now_ns, unsigned *slot);
/* Before each poll: begins to move QUEUED slots, if it is their turn (steering_move.c). Every packet of theirs must be in a ring. */
void shoal_steering_move(struct shoal_steering *steering, uint64_t now_ns);
/* It is this QUEUED slot's turn. */
void shoal_steering_begin(struct shoal_steering *steering, unsigned slot, uint64_t now_ns);

/* A packet whose slot has no entry in `members`: parks it, or says why not. */
enum shoal_steering_answer shoal_steering_park(
	struct shoal_steering *steering, struct shoal_packet *packet, uint64_t now_ns);

/* The marker of a slot in `due` has gone into its member's ring. */
void shoal_steering_marker_sent(struct shoal_steering *steering, unsigned slot);
/* A marker has come out of the ring of `member`. One that nobody waits for is counted. */
void shoal_steering_marker_returned(
	struct shoal_steering *steering, unsigned slot, uint32_t marker, uint8_t member, uint64_t now_ns);
/* Sends parked packets of a slot in `forwarding` to its new member, at most `budget`, in order, until none is left (the slot
 * is STEADY then) or `send` takes no more. `send` owns the first k packets, and returns k. Returns how many left. */
typedef unsigned (*shoal_steering_send)(
	void *context, uint8_t member, struct shoal_packet *const packets[], unsigned n);
unsigned shoal_steering_forward(struct shoal_steering *steering, unsigned slot, unsigned budget,
	shoal_steering_send send, void *context, uint64_t now_ns);

/* The member's rings are gone: its markers are void, its slots lost, redirections to it stranded. */
void shoal_steering_member_gone(struct shoal_steering *steering, uint8_t member, uint64_t now_ns);

const char *shoal_steering_state_name(enum shoal_steering_state state);

#endif
