/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose turn it is to move. One steering slot at a time is under way between QUEUED and STEADY: its packets, one in 256, are all
 * that wait at any moment, and so are not seen in the 99th percentile. Where the splitter shares its core packets wait for
 * milliseconds anyway, and each marker would: then it is some more. One that takes for ever keeps nobody from his turn; but a marker
 * waits for the slot's records, 20 ms of them where flows are many, behind those of all others that have begun. */
#include "io/steering.h"

#define MOVING_CROWDED 4u
#define MOVING_NS (100 * SHOAL_NS_PER_MS)
/* A gap between two polls in which somebody else had the core, and for how long it counts. */
#define GAP_NS (SHOAL_NS_PER_MS / 2)
#define CROWDED_NS (5 * SHOAL_NS_PER_MS)

/* Slots on their way; not those that are stuck there. */
static unsigned moving(const struct shoal_steering *steering, uint64_t now_ns)
{
	unsigned count = 0;

	for (unsigned word = 0; word < SHOAL_STEERING_WORDS; word++) {
		uint64_t begun = steering->pending.words[word] & ~steering->queued.words[word];

		for (; begun; begun &= begun - 1) {
			const struct shoal_steering_slot *slot =
				&steering->slots[word * 64 + (unsigned)__builtin_ctzll(begun)];

			count += slot->state != SHOAL_STEERING_STRANDED && now_ns - slot->begun_ns < MOVING_NS;
		}
	}
	return count;
}

static unsigned moving_max(struct shoal_steering *steering, uint64_t now_ns)
{
	if (now_ns - steering->polled_ns > GAP_NS)
		steering->crowded_until_ns = now_ns + CROWDED_NS;
	steering->polled_ns = now_ns;
	return now_ns < steering->crowded_until_ns ? MOVING_CROWDED : 1;
}

void shoal_steering_move(struct shoal_steering *steering, uint64_t now_ns)
{
	unsigned next = shoal_steering_set_next(&steering->queued, 0), max = moving_max(steering, now_ns), count;

	if (next == SHOAL_STEERING_SLOTS)
		return;
	for (count = moving(steering, now_ns); count < max && next < SHOAL_STEERING_SLOTS; count++) {
		shoal_steering_begin(steering, next, now_ns);
		next = shoal_steering_set_next(&steering->queued, next + 1);
	}
}
