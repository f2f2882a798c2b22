/* SPDX-License-Identifier: BSD-3-Clause */
/* Where each call lies, and what becomes of it when a member dies. A call that has been issued and not been applied is in one
 * place, or the product has lost it. A death decides for each of them, and the ledger asserts it:
 *
 *     where the call lies                                               what becomes of it
 *     with its caller, who lives and waits for room in his window       is sent later, or ends with -ETIMEDOUT; never both
 *     with a survivor (outbox, kept, parked, held back, to himself)     applied, once
 *     between two survivors                                             applied, once
 *     in a ring from the dead to a survivor                             applied, once: the survivor takes it out
 *     sent by a survivor, beyond what the dead one's image has          applied, once: the survivor takes it back
 *     … and its image is lost: not taken from the ring, not             applied; once, unless the object that the dead one applied
 *     acknowledged                                                      it to is lost with it
 *     with the dead: its outbox, what it kept, parked, forwarded        never applied; an exact one ends with -ETIMEDOUT
 *     between two who are dead                                          never applied
 *     applied                                                           stays applied, unless the object is lost or goes back
 *
 * One class stays open for a while, and is decided before the view goes on:
 *     on a link that may lose, from the dead to a survivor              applied or never: what has come, in order and without a gap,
 *                                                                       by the time the survivor is told counts
 * and one for good, each of its calls either way:
 *     applied to an object that was lost with its slab                  never again, or once to what came after it: nobody has the
 *                                                                       image that would tell
 *
 * An exact call whose caller lives answers -ETIMEDOUT only if it was never sent, is gone, its answer is gone, or it had been sent to
 * one that died; then it may have been applied (docs/view-change.md, "Calls"). */
#ifndef SIM_CALLS_H
#define SIM_CALLS_H

#include <shoal/types.h>

struct sim_world;
struct sim_member;

struct sim_call {
	uint32_t sequence;
	uint16_t key;
	uint8_t member, strand;
};

/* What a strand that lives is calling just now. */
struct sim_calling {
	bool under_way, exact;
	bool excused; /* it may end with -ETIMEDOUT */
	struct sim_call call;
	const void *microthread;
};

/* A member has died: what lies nowhere is lost, what is on its way over a link that may lose stays open. */
void sim_calls_after_death(struct sim_world *world, uint8_t dead);
/* Somebody was told of a death, and takes nothing more from the dead. */
void sim_calls_after_telling(struct sim_world *world);
/* Before a death, between two polls: nothing may be missing. */
void sim_calls_check(struct sim_world *world);
/* A call has answered an error. */
void sim_call_failed(struct sim_world *world, const struct sim_calling *calling, int error);

#endif
