/* SPDX-License-Identifier: BSD-3-Clause */
/* The key layer of one worker: who owns which slot, the tokens held here, and the reorganisation from one slot map to the
 * next (S6 §4.4; dso.md, "Slots have tokens").
 *
 * Stages of one worker, and who moves it:
 *     ALONE | NORMAL -> LEARNT        command learn: both maps known; no token moves
 *     LEARNT -> NORMAL | ALONE        command abandon: the epoch is never used again
 *     LEARNT -> HANDING_OVER          command hand_over, given when all have learnt
 *     HANDING_OVER -> DONE            by itself, when nothing is pending
 *     DONE -> NORMAL | LEFT           command forget, given when all are done
 * Forbidden: anything else. Only HANDING_OVER moves tokens out; tokens may come in from LEARNT on. */
#ifndef SHOAL_KEYSPACE_KEYSPACE_H
#define SHOAL_KEYSPACE_KEYSPACE_H

#include <shoal/dataplane.h>
#include <shoal/types.h>

struct shoal_space;
struct shoal_message;

#define SHOAL_SLOT_WORDS (SHOAL_SLOTS / 64)
/* For packets that have not gone elsewhere by then the sweep does not wait, nor their marker for records: objects follow one by
 * one. */
#define SHOAL_PACKETS_GO_NS (100 * SHOAL_NS_PER_MS)

struct shoal_keyspace {
	int stage; /* enum shoal_stage */
	uint64_t term;
	uint64_t epoch; /* of the map in force */
	uint64_t epoch_next; /* of the map learnt; 0: none */
	uint64_t epoch_abandoned; /* highest that was abandoned; never used again */
	uint8_t owner[SHOAL_SLOTS];
	uint8_t owner_next[SHOAL_SLOTS];
	uint64_t in_now, in_next; /* bit for each member */
	uint64_t life[SHOAL_MEMBERS_MAX];
	uint64_t token[SHOAL_SLOT_WORDS];
	uint64_t unswept[SHOAL_SLOT_WORDS]; /* token here, but records may still lie at owner[slot] */
	uint64_t handed[SHOAL_SLOT_WORDS]; /* token sent in this plan; its records are still to be swept */
	uint64_t incarnation[SHOAL_SLOTS]; /* last one drawn; goes with the token */
	uint32_t *call_expected; /* [slot][member]: number of the next call; owns */
	uint64_t
		called[SHOAL_SLOT_WORDS]; /* slots in which one of these may differ from 0; the rest is never touched */
	uint32_t *call_last; /* [slot]: number of my own last call; owns */
	/* [slot]: my next call says that none of mine before it is under way: some may have gone with one that died. */
	uint64_t call_first[SHOAL_SLOT_WORDS];
	struct shoal_parked **held_back; /* [slot]: calls with a gap before them; owns */
	uint32_t held_back_count;
	uint32_t pulling; /* records asked of previous owners, not answered yet */
	uint32_t tokens; /* held now */
	uint32_t tokens_to_send, tokens_to_receive, slots_unswept;
	uint32_t send_cursor; /* slots below have been looked at for sending */
	/* Where packets come from a splitter: when those of each steering slot had all gone elsewhere in this plan; 0: not yet. Its
	 * records follow at once, in a sweep of their own. */
	bool markers_come;
	uint64_t packets_gone_ns[SHOAL_STEERING_SLOTS];
	uint32_t steering_gone; /* steering slots whose packets have gone and whose sweep has not begun */
	struct shoal_steering_sweep {
		bool on;
		uint8_t steering, class;
		uint32_t index;
		uint32_t record_ns; /* while packets come */
		uint64_t due_ns; /* records have gone as they were due up to then */
	} steering_sweep;
	/* The sweep of what is left: one pass over all maps, when the last token has been sent, and markers have stayed away for
	 * a while. */
	uint64_t quiet_since_ns; /* the last token was sent, or the last packets went; 0: not yet */
	bool sweeping;
	uint8_t sweep_class;
	uint32_t sweep_index;
	bool swept; /* SWEPT has been sent, or there was nothing to sweep */
	bool settled; /* the leavers know that all records of my slots have come */
	/* Who has all records of its slots: a leaver may give objects back to it before others' sweeps. */
	uint64_t settled_from;
	/* A leaver's push of the objects that it holds. */
	bool leaving, markers_back;
	uint8_t push_class;
	uint32_t push_index;
	uint64_t flush1_from, flush2_from;
	bool flush1_sent, flush2_sent;
};

static inline bool shoal_slot_bit(const uint64_t *bits, uint16_t slot)
{
	return bits[slot / 64] >> slot % 64 & 1;
}

static inline void shoal_slot_set(uint64_t *bits, uint16_t slot, bool value)
{
	uint64_t bit = UINT64_C(1) << slot % 64;

	bits[slot / 64] = value ? bits[slot / 64] | bit : bits[slot / 64] & ~bit;
}

/* A leaver that has said FLUSH1 holds nothing and has nothing open; it begins nothing any more (timers may still run). */
static inline bool shoal_keyspace_left(const struct shoal_keyspace *keyspace)
{
	return keyspace->leaving && keyspace->flush1_sent;
}

/* `touch`: the numbers of calls are touched now; each call to a slot that has had none would pay for a page later. */
SHOAL_MUST_USE int shoal_keyspace_init(struct shoal_keyspace *keyspace, bool touch);
void shoal_keyspace_fini(struct shoal_keyspace *keyspace);

/* Where a message for the slot's key owner goes from here: myself with the token, else as dso.md says. MEMBER_NONE: I know
 * no map. */
uint8_t shoal_keyspace_route(const struct shoal_space *space, uint16_t slot);

/* Commands (dso.md stages 1 to 4); 0 or -errno, see dataplane.h. Idempotent. */
int shoal_keyspace_learn(struct shoal_space *space, const struct shoal_plan *plan);
int shoal_keyspace_abandon(struct shoal_space *space, uint64_t term, uint64_t epoch);
int shoal_keyspace_hand_over(struct shoal_space *space, uint64_t term, uint64_t epoch);
int shoal_keyspace_markers_back(struct shoal_space *space, uint64_t term, uint64_t epoch);
int shoal_keyspace_forget(struct shoal_space *space, uint64_t term, uint64_t epoch);
void shoal_keyspace_progress(const struct shoal_space *space, struct shoal_progress *progress);

/* No packet of that steering slot is inside, and none will come: its marker is here. Whether its records have gone too, so that
 * the marker may be given back: the packets that wait for it then find all they need at the new owner. For records that can't
 * go for long it does not wait. */
bool shoal_keyspace_packets_gone(struct shoal_space *space, uint8_t steering_slot);

/* All calls of those members have been applied; should a number come back, in another life, its calls begin anew. */
void shoal_keyspace_forget_callers(struct shoal_keyspace *keyspace, uint64_t gone);

/* Within a budget for each poll: tokens, sweep, push, flushes. Returns work done. */
unsigned shoal_keyspace_poll(struct shoal_space *space);
/* What may wait while there are packets; at the end of a poll. */
void shoal_keyspace_background(struct shoal_space *space);
void shoal_keyspace_handle(struct shoal_space *space, uint8_t from, const struct shoal_message *message);

#endif
