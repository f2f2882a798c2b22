/* SPDX-License-Identifier: BSD-3-Clause */
/* A take of one object that is elsewhere, for whoever has no stack to wait on. It goes the steps of take_one (access.c) as far
 * as these end in waiting; where a take would have its answer at once, the fetch is over, and a take will tell. */
#include "keyspace/record.h"
#include "object/fetch.h"
#include "object/map_inline.h"
#include "object/wait.h"

/* Whether a take would be served by what is here. */
static bool served_here(struct shoal_space *space, const struct shoal_place *place)
{
	const struct shoal_contention *contention = shoal_place_contended(space, place);

	if (!(place->entry->flags & SHOAL_ENTRY_RECALLED) || place->entry->flags & SHOAL_ENTRY_FRESH)
		return true;
	return contention && contention->keep;
}

/* Whether it is known that nobody has it, or that nobody will answer; or there is nobody to ask yet. */
static bool known_here(struct shoal_space *space, const struct shoal_fetch *fetch, const struct shoal_place *place)
{
	uint16_t slot = shoal_map_slot(place->map, fetch->key, fetch->hash);

	if (shoal_space_owner_here(space, place->class, fetch->key, fetch->hash, slot))
		return !shoal_record_leased(place);
	return shoal_keyspace_route(space, slot) == SHOAL_MEMBER_NONE || shoal_space_owner_ended(space, slot);
}

/* The key owner is asked. False: there is no room to do so. */
static bool ask(struct shoal_space *space, struct shoal_fetch *fetch, struct shoal_place *place)
{
	if (!place->entry)
		*place = shoal_place_at(space, place->class, shoal_map_insert(place->map, fetch->key, fetch->hash));
	if (!place->entry)
		return false;
	shoal_holder_ask(space, place, false);
	fetch->in_window = false; /* what was sent leaves it with its answer */
	return true;
}

/* Waits for a place in the window, or asks with it and waits for the object. False: neither. */
static bool ask_and_wait(struct shoal_space *space, struct shoal_fetch *fetch, struct shoal_place *place)
{
	if (!fetch->in_window && !shoal_window_try(space)) {
		shoal_wait_for_window(space, &fetch->wait);
		return true;
	}
	fetch->in_window = true;
	if (!ask(space, fetch, place))
		return false;
	shoal_wait_for_object(space, place, &fetch->wait);
	return true;
}

/* Waits for what a take would wait for. False: it would not wait, or fail. */
static inline bool pursue(struct shoal_space *space, struct shoal_fetch *fetch, struct shoal_place *place)
{
	enum shoal_handle handle = place->entry ? place->entry->handle : SHOAL_HANDLE_ABSENT;

	if (handle == SHOAL_HANDLE_ABSENT) {
		if (known_here(space, fetch, place) || !ask_and_wait(space, fetch, place))
			return false;
	} else {
		if (handle == SHOAL_HANDLE_HELD && served_here(space, place))
			return false;
		shoal_wait_for_object(space, place, &fetch->wait);
	}
	shoal_wait_begin(space, &fetch->wait);
	return true;
}

static void leave_window(struct shoal_space *space, struct shoal_fetch *fetch)
{
	if (fetch->in_window)
		shoal_window_leave(space);
	fetch->in_window = false;
}

bool shoal_fetch_begin(struct shoal_space *space, struct shoal_fetch *fetch, uint8_t class, uint32_t entry)
{
	struct shoal_place place = shoal_place_at(space, class, entry);

	if (SHOAL_UNLIKELY(shoal_keyspace_left(&space->keyspace)))
		return false;
	fetch->wait = (struct shoal_wait){ .class = class, .since_ns = space->now_ns };
	fetch->in_window = false;
	if (!pursue(space, fetch, &place)) {
		leave_window(space, fetch);
		return false;
	}
	space->fetches++;
	space->counters.takes++;
	space->counters.takes_remote++;
	return true;
}

/* Whether it waits again. */
static bool goes_on(struct shoal_space *space, struct shoal_fetch *fetch)
{
	struct shoal_wait *wait = &fetch->wait;
	struct shoal_place place;

	if (wait->in_window && wait->outcome == SHOAL_WAIT_GRANTED)
		fetch->in_window = true;
	else if (wait->outcome != SHOAL_WAIT_AGAIN)
		return false;
	wait->in_window = false;
	wait->outcome = SHOAL_WAIT_AGAIN;
	place = shoal_place_find(space, wait->class, fetch->key, fetch->hash);
	return !shoal_keyspace_left(&space->keyspace) && pursue(space, fetch, &place);
}

struct shoal_fetch *shoal_fetch_ended(struct shoal_space *space)
{
	struct shoal_wait *wait;

	while ((wait = space->fetched_first) != NULL) {
		struct shoal_fetch *fetch = (struct shoal_fetch *)wait;

		space->fetched_first = wait->next;
		if (!space->fetched_first)
			space->fetched_last = NULL;
		if (goes_on(space, fetch))
			continue;
		leave_window(space, fetch);
		space->fetches--;
		if (wait->outcome == SHOAL_WAIT_GRANTED)
			shoal_map_entry(&space->maps[wait->class], wait->entry)->used_ms = space->now_ms;
		return fetch;
	}
	return NULL;
}

void shoal_fetch_release(struct shoal_space *space, const struct shoal_fetch *fetch)
{
	shoal_place_release(space, fetch->wait.class, fetch->wait.entry);
}
