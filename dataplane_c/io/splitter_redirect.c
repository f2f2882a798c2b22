/* SPDX-License-Identifier: BSD-3-Clause */
/* Carries out what steering.c has decided: markers into the old members' rings, parked packets into the new ones'. */
#include "io/splitter_stages.h"

/* Parked packets sent on in one poll, over all slots: bounds the poll's length. More than the ports may bring in. */
#define FORWARD_BUDGET 1024

static unsigned markers_send(struct shoal_splitter *splitter)
{
	struct shoal_steering *steering = &splitter->steering;
	unsigned work = 0;

	for (unsigned i = shoal_steering_set_next(&steering->due, 0); i < SHOAL_STEERING_SLOTS;
		i = shoal_steering_set_next(&steering->due, i + 1)) {
		const struct shoal_steering_slot *slot = &steering->slots[i];

		/* The slot's last packet is in the ring: its batch was sent before the redirect could begin. Where the ring is
		 * full the marker stays due, and is tried again at the next poll. */
		if (!shoal_packet_ring_send_marker(splitter->members[slot->member].ring, (uint8_t)i, slot->marker))
			continue;
		splitter->touched |= UINT64_C(1) << slot->member;
		shoal_steering_marker_sent(steering, i);
		work++;
	}
	return work;
}

static unsigned send_parked(void *context, uint8_t member, struct shoal_packet *const packets[], unsigned n)
{
	return shoal_splitter_member_send(context, member, packets, n);
}

unsigned shoal_splitter_redirections(struct shoal_splitter *splitter, uint64_t now_ns)
{
	struct shoal_steering *steering = &splitter->steering;
	unsigned work = 0, sent = 0;

	if (SHOAL_LIKELY(steering->pending_count == 0))
		return 0;
	work = markers_send(splitter);
	for (unsigned i = shoal_steering_set_next(&steering->forwarding, 0);
		i < SHOAL_STEERING_SLOTS && sent < FORWARD_BUDGET;
		i = shoal_steering_set_next(&steering->forwarding, i + 1))
		sent += shoal_steering_forward(steering, i, FORWARD_BUDGET - sent, send_parked, splitter, now_ns);
	return work + sent;
}
