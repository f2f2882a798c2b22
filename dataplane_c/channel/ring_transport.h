/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames over a pair of rings in a shared mapping: the transport between workers of one host. It is UP from the start
 * (frames wait in the ring until the peer opens its side), reliable, and never ends by itself: who watches the peer's
 * process says so. */
#ifndef SHOAL_CHANNEL_RING_TRANSPORT_H
#define SHOAL_CHANNEL_RING_TRANSPORT_H

#include "channel/transport.h"

/* Capacity of each ring unless there is a reason for another; the least is 128 KiB. */
#define SHOAL_RING_TRANSPORT_CAPACITY (1u << 20)

/* `descriptor` as from shoal_ring_pair_create, borrowed during the call. NULL with errno; EMSGSIZE: the rings are too
 * small for the longest frame; EPROTO: no sealed ring pair. */
struct shoal_link *shoal_ring_transport_create(int descriptor, unsigned side);

/* The peer's life is over: ENDED. Nothing can be reserved any more; frames that had come before can still be taken.
 * `reason` is static text. */
void shoal_ring_transport_ended(struct shoal_link *link, const char *reason);

#endif
