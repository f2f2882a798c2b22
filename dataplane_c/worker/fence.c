/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/fence.h"

static void transition(struct shoal_fence *fence, int to, uint64_t now_ns)
{
	if (to == fence->state || fence->state == SHOAL_FENCE_FENCED)
		return;
	if (fence->state == SHOAL_FENCE_HOLDING)
		fence->held_ns += now_ns - fence->holding_since_ns;
	if (to == SHOAL_FENCE_HOLDING) {
		fence->holds++;
		fence->holding_since_ns = now_ns;
	}
	fence->state = to;
}

/* Since when a majority of `set` has not been heard: the time of the voice that makes it one. */
static uint64_t majority_heard(const struct shoal_fence *fence, uint64_t set, const uint64_t *heard_ns, uint64_t now_ns)
{
	uint64_t voices[SHOAL_MEMBERS_MAX + 1]; /* the latest first */
	unsigned count = 0;

	for (uint64_t members = set; members; members &= members - 1) {
		unsigned member = (unsigned)__builtin_ctzll(members), at = count++;
		uint64_t voice = member == fence->self ? now_ns : heard_ns[member];

		for (; at && voices[at - 1] < voice; at--)
			voices[at] = voices[at - 1];
		voices[at] = voice;
	}
	if (count % 2)
		return voices[count / 2];
	/* Exactly half of them need the controller's voice beside; one more than half do not. */
	uint64_t half = voices[count / 2 - 1], more = voices[count / 2];
	uint64_t with_controller = half < fence->voice_ns ? half : fence->voice_ns;

	return more > with_controller ? more : with_controller;
}

uint64_t shoal_fence_lease(const struct shoal_fence *fence, const struct shoal_fence_members *members, uint64_t now_ns)
{
	uint64_t gone = (fence->gone | members->gone) & ~(UINT64_C(1) << fence->self);
	uint64_t sets[] = { members->in_now & ~gone, members->in_next & ~gone };
	uint64_t lease = UINT64_MAX;

	if (!(fence->lease_ns && (fence->remote & (sets[0] | sets[1]))))
		return UINT64_MAX;
	/* Both maps' members, so that whoever counts by either of them finds one of ours among his. */
	for (unsigned i = 0; i < 2; i++) {
		uint64_t heard = sets[i] ? majority_heard(fence, sets[i], members->heard_ns, now_ns) : now_ns;

		if (!heard)
			return 0;
		if (heard + fence->lease_ns < lease)
			lease = heard + fence->lease_ns;
	}
	return lease;
}

bool shoal_fence_look(struct shoal_fence *fence, const struct shoal_fence_members *members, uint64_t now_ns)
{
	if (fence->state == SHOAL_FENCE_FENCED)
		return false;
	fence->in_now = members->in_now;
	fence->in_next = members->in_next;
	fence->until_ns = shoal_fence_lease(fence, members, now_ns);
	transition(fence, now_ns < fence->until_ns ? SHOAL_FENCE_OPEN : SHOAL_FENCE_HOLDING, now_ns);
	return fence->state == SHOAL_FENCE_OPEN;
}

void shoal_fence_shut(struct shoal_fence *fence, uint64_t now_ns)
{
	transition(fence, SHOAL_FENCE_FENCED, now_ns);
}

bool shoal_fence_voice(struct shoal_fence *fence, uint64_t asked_ns, uint64_t now_ns)
{
	if (asked_ns > now_ns)
		return false;
	if (asked_ns > fence->voice_ns)
		fence->voice_ns = asked_ns;
	return true;
}

uint64_t shoal_fence_held_ns(const struct shoal_fence *fence, uint64_t now_ns)
{
	bool holding = fence->state == SHOAL_FENCE_HOLDING;

	return fence->held_ns + (holding && now_ns > fence->holding_since_ns ? now_ns - fence->holding_since_ns : 0);
}
