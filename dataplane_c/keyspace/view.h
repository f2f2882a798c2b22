/* SPDX-License-Identifier: BSD-3-Clause */
/* What survivors do when members have died (dso.md, "A worker dies"): the key plane is frozen, everybody says which tokens,
 * leases and records it has, missing tokens are minted, and all go on from there. Local access to held leases never stops.
 *
 * Stages of one worker; all members that live go through them together, each step waiting for a message of all others:
 *     QUIET -> FLUSHING        command death: frozen; what the dead had sent is taken; STEP flush to all
 *     FLUSHING -> COUNTING     flush from all: nothing older is under way; TOKENS to all (an adopter's MARKs before)
 *     COUNTING -> READYING     tokens from all: every slot has an owner again, minted where nobody had it; STEP ready
 *     READYING -> REPORTING    ready from all: CLAIM and BYTES for what is here, each to its slot's owner
 *     REPORTING -> SETTLING    all reported: STEP end
 *     SETTLING -> ENTERING     end from all: what nobody claims is lost; STEP settled, which says whether anything was
 *     ENTERING -> FINISHING    settled from all: if so, registries are made anew (view_registry.c); STEP done
 *     FINISHING -> QUIET       done from all: requests are asked anew; after a loss objects are looked at (object/aftermath.c)
 *     any -> FLUSHING          command death with a higher view: another one died; reports of older views are ignored
 * Forbidden: anything else. A lower view than the present one is refused. */
#ifndef SHOAL_KEYSPACE_VIEW_H
#define SHOAL_KEYSPACE_VIEW_H

#include "object/image.h" /* and through it nf.h */
#include "shoal/dataplane.h"

struct shoal_space;
struct shoal_place;
struct shoal_message;
struct shoal_parked;

enum shoal_view_step {
	SHOAL_STEP_FLUSH = 1,
	SHOAL_STEP_READY,
	SHOAL_STEP_END,
	SHOAL_STEP_SETTLED,
	SHOAL_STEP_DONE,
	SHOAL_STEPS
};

/* A dead member's legacy that this worker adopts. */
struct shoal_adoption {
	bool open, adopted;
	bool counted; /* in an earlier try of the view */
	uint64_t told_in; /* the view that was the present one; it is for the next one */
	uint64_t taken[SHOAL_MEMBERS_MAX]; /* by member: messages of the dead one that it has handled */
	uint64_t life;
	char directory[256];
	struct shoal_legacy legacy;
};

#define SHOAL_FATES (SHOAL_FATE_LOST + 1)
#define SHOAL_FATES_KEPT 16384

/* The keys of objects that had one fate: a ring of the last ones. */
struct shoal_fates {
	struct shoal_fate_row *rows; /* owns */
	uint64_t count; /* since start */
};

struct shoal_view {
	int stage; /* enum shoal_view_stage */
	uint64_t number; /* of the view begun last */
	uint64_t resumed; /* of the view completed last */
	struct shoal_death *death; /* owns; the command of the present view */
	uint64_t dead, others; /* sets of members; others: survivors but me */
	uint64_t gone; /* were members of a map when the view began, and are not any more; leavers too */
	uint64_t step_view[SHOAL_STEPS][SHOAL_MEMBERS_MAX]; /* highest view for which a member has said a step */
	uint64_t tokens_view[SHOAL_MEMBERS_MAX];
	uint64_t mark[SHOAL_MEMBERS_MAX]; /* of my messages to a dead member; UINT64_MAX: nobody knows */
	uint8_t owner[SHOAL_SLOTS]; /* of the map that results; NONE: not known yet */
	uint64_t minted[SHOAL_SLOTS /
			64]; /* owner by minting since the last completed view: its records are not complete */
	uint64_t lossy; /* the last view in which somebody said that objects were lost */
	uint64_t cleared; /* the last view in which the registries here were cleared */
	uint64_t losses_before; /* lost, rejected and rolled back before this view, all classes */
	bool told_to_drop; /* somebody, in this view */
	struct shoal_adoption *adoptions[SHOAL_MEMBERS_MAX]; /* owns; by dead member */
	uint64_t adopted_life
		[SHOAL_MEMBERS_MAX]; /* by member: the last life whose legacy has become this worker's own */
	struct shoal_parked *returns_first,
		*returns_last; /* RETURNs that came while frozen, and whose token is not here */
	uint64_t calls_taken_back; /* dead members whose unhandled calls are in `after` already */
	struct shoal_parked *after_first, *after_last; /* calls, to be handled when the view is complete */
	/* From those who have gone on already, while I wait for somebody's done; handled when I go on too. */
	struct shoal_parked *early_first, *early_last;
	/* Cursor of adoption and report. */
	unsigned phase; /* 0: adopting; 1: mail; 2: own objects; 3: all reported */
	uint8_t class;
	uint32_t index;
	uint64_t adopted[SHOAL_CLASSES_MAX], checked[SHOAL_CLASSES_MAX], rejected[SHOAL_CLASSES_MAX];
	uint64_t lost[SHOAL_CLASSES_MAX], rolled_back[SHOAL_CLASSES_MAX];
	struct shoal_fates fates[SHOAL_FATES];
};

SHOAL_MUST_USE int shoal_view_init(struct shoal_view *view);
void shoal_view_fini(struct shoal_space *space);

/* Commands; see dataplane.h. */
int shoal_view_adopt(struct shoal_space *space, uint8_t member, uint64_t life, const char *directory);
int shoal_view_death(struct shoal_space *space, const struct shoal_death *death);
void shoal_view_progress(const struct shoal_space *space, struct shoal_view_progress *progress);

/* Once for each poll while a view changes. Returns work done. */
unsigned shoal_view_poll(struct shoal_space *space);
void shoal_view_handle(struct shoal_space *space, uint8_t from, const struct shoal_message *message);
/* A call is handled when the view is complete. */
void shoal_view_keep_call(struct shoal_space *space, const struct shoal_message *message);
/* A message of the ordinary protocol while frozen: true if it has been dealt with here. */
bool shoal_view_filter(struct shoal_space *space, uint8_t from, const struct shoal_message *message);
/* view_resume.c: the view is complete. */
void shoal_view_resume(struct shoal_space *space);
/* Hands up what came early. */
void shoal_view_release_early(struct shoal_space *space);

/* Says a step of the present view to all other survivors; `flags` go with it. */
void shoal_view_say(struct shoal_space *space, enum shoal_view_step step, uint8_t flags);
/* view_begin.c: keeps a copy of a message in a list. */
void shoal_view_keep(struct shoal_space *space, struct shoal_parked **first, struct shoal_parked **last,
	const struct shoal_message *message);
/* view_begin.c: nobody waits for anybody any more. */
void shoal_view_forget_waiting(struct shoal_space *space);
void shoal_view_close_adoption(struct shoal_view *view, uint8_t member);
/* view_report.c: takes the report on by a bounded step; true when all is reported. */
bool shoal_view_report(struct shoal_space *space);
void shoal_view_report_begin(struct shoal_space *space);
/* A dead member's objects become this worker's own; true when all are. (object/adopt.c) */
bool shoal_adopt_step(struct shoal_space *space, uint8_t member, unsigned budget);

/* view_claim.c: at a slot's owner. */
void shoal_view_unclaim(struct shoal_space *space);
/* Whether a dead member's lease counts against what is known of its key here by now. If so, that is superseded. */
bool shoal_view_may_adopt(
	struct shoal_space *space, struct shoal_place *place, const struct shoal_entry_lease *adopted);
void shoal_view_claim(struct shoal_space *space, const struct shoal_message *claim);
void shoal_view_bytes(struct shoal_space *space, const struct shoal_message *bytes);
void shoal_view_drop(struct shoal_space *space, const struct shoal_message *drop);
void shoal_view_settle(struct shoal_space *space);

/* view_fates.c */
SHOAL_MUST_USE int shoal_view_fates_init(struct shoal_view *view);
void shoal_view_fates_fini(struct shoal_view *view);
void shoal_view_fate(struct shoal_space *space, enum shoal_fate fate, uint8_t class, const void *key);
/* As shoal_instance_fates. */
long shoal_view_fates_read(
	const struct shoal_view *view, enum shoal_fate fate, uint64_t *cursor, struct shoal_fate_row *rows, long n);

/* view_registry.c. Whether the deaths of this view have cost objects, as far as is known here. */
bool shoal_view_lossy(const struct shoal_space *space);
/* Enters what lives and lies here by a bounded step, from view.class and view.index on; true when all is entered. */
bool shoal_view_enter_step(struct shoal_space *space);
void shoal_view_enter(struct shoal_space *space, const struct shoal_message *enter);
uint64_t shoal_view_losses(const struct shoal_view *view);

/* To the owner of the slot in the map that results; myself included. */
void shoal_view_send(struct shoal_space *space, uint16_t slot, struct shoal_message *head, const void *key,
	const void *bytes, unsigned bytes_count);

#endif
