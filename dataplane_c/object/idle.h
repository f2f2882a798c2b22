/* SPDX-License-Identifier: BSD-3-Clause */
/* Idle expiry of one class: a timer wheel that is looked at, not exact. An object is armed for when it would be idle if
 * nobody used it; when that bucket comes round it is looked at again, so that use costs no timer work at all. */
#ifndef SHOAL_OBJECT_IDLE_H
#define SHOAL_OBJECT_IDLE_H

#include "object/map.h"

#define SHOAL_IDLE_BUCKETS 1024
#define SHOAL_IDLE_TICK_MS 128

struct shoal_space;
struct shoal_place;

struct shoal_idle_wheel {
	uint32_t heads[SHOAL_IDLE_BUCKETS]; /* entries, linked by their timers */
	uint32_t tick; /* buckets before this one have been looked at */
};

/* Arms an object that lies here (held, or free at its key owner); disarms one that goes. */
void shoal_idle_arm(struct shoal_space *space, struct shoal_place *place, uint32_t after_ms);
void shoal_idle_disarm(struct shoal_space *space, struct shoal_place *place);
/* Looks at what is due, at most `budget` objects; queues tasks for those that are idle. */
unsigned shoal_idle_poll(struct shoal_space *space, unsigned budget);

#endif
