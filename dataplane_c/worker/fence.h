/* SPDX-License-Identifier: BSD-3-Clause */
/* The fence between a worker and its packets (dso.md, "A worker dies"; docs/between-hosts.md). Where members are on several
 * hosts, a worker works only while a majority of the members has heard it within the lease; for an even number of members
 * the controller has a voice, too. Who is cut off therefore stops by itself, before others take over what it had.
 *
 *     OPEN -> HOLDING      no majority within the lease: packets wait where they are
 *     HOLDING -> OPEN      a majority again: nobody has been declared dead, work goes on
 *     OPEN | HOLDING -> FENCED   told that it was declared dead: this life never works again
 * Forbidden: FENCED -> anything. Pure: time and what was heard come in. */
#ifndef SHOAL_WORKER_FENCE_H
#define SHOAL_WORKER_FENCE_H

#include <shoal/dataplane.h>

struct shoal_fence {
	uint8_t self;
	uint64_t lease_ns; /* 0: never holds */
	int state; /* enum shoal_fence_state; read by control */
	uint64_t until_ns; /* OPEN: need not be looked at before */
	uint64_t in_now, in_next; /* the members for which until_ns was found */
	uint64_t remote; /* members that are reached by TCP: on other hosts */
	uint64_t gone; /* members of which it is known that they can't work any more; they have no vote */
	uint64_t voice_ns; /* when the controller was asked what it has answered last */
	uint64_t holds, held_ns; /* before the present one */
	uint64_t holding_since_ns;
};

/* What the fence looks at. */
struct shoal_fence_members {
	uint64_t in_now, in_next; /* sets of members of the present and the next map; 0: there is none */
	uint64_t gone; /* besides those in the fence itself */
	const uint64_t *heard_ns; /* by member: when we asked what it has answered last; 0: never */
};

/* Until when the worker may work, as far as known now; UINT64_MAX: there is no member on another host, and on this one nobody
 * is declared dead whose process lives. */
uint64_t shoal_fence_lease(const struct shoal_fence *fence, const struct shoal_fence_members *members, uint64_t now_ns);
/* Once for each poll while OPEN and past until_ns, or HOLDING, or when the members have changed: whether it may work. */
bool shoal_fence_look(struct shoal_fence *fence, const struct shoal_fence_members *members, uint64_t now_ns);
/* Declared dead. */
void shoal_fence_shut(struct shoal_fence *fence, uint64_t now_ns);
/* The controller has answered a question of that time. false: never asked. */
bool shoal_fence_voice(struct shoal_fence *fence, uint64_t asked_ns, uint64_t now_ns);
uint64_t shoal_fence_held_ns(const struct shoal_fence *fence, uint64_t now_ns);

#endif
