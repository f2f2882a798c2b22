/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SHOAL_OBJECT_FETCH_H
#define SHOAL_OBJECT_FETCH_H

#include "object/space.h"

/* A fetch: a take of one object that is elsewhere, which makes none, for somebody without a stack. It holds no other
 * reference, and whoever asked for it looks for fetches that have ended. Its answers, deadline and place in the window are a
 * take's. */
struct shoal_fetch {
	struct shoal_wait wait; /* first */
	const void *key; /* borrows, until it has ended */
	uint64_t hash;
	bool in_window; /* has a place there, and nothing was sent for it */
};
/* Asks for the object of `key` if it is elsewhere; `entry` is what a look-up has just found. False: whoever takes it now gets his
 * answer without waiting for the object, or only a take can be told what is wrong; nothing is done. */
bool shoal_fetch_begin(struct shoal_space *space, struct shoal_fetch *fetch, uint8_t class, uint32_t entry);
/* One that has ended, or NULL. GRANTED: it has its reference, until shoal_fetch_release. TIMED_OUT: a take would give up as well.
 * Else there is none, or somebody who takes has to find out. */
struct shoal_fetch *shoal_fetch_ended(struct shoal_space *space);
static inline void *shoal_fetch_object(struct shoal_space *space, const struct shoal_fetch *fetch)
{
	struct shoal_map *map = &space->maps[fetch->wait.class];

	return map->slab + (size_t)fetch->wait.entry * map->stride + map->object_offset;
}
void shoal_fetch_release(struct shoal_space *space, const struct shoal_fetch *fetch);

/* A reference is given back. */
void shoal_place_release(struct shoal_space *space, uint8_t class, uint32_t index);

#endif
