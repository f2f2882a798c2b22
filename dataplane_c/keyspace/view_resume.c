/* SPDX-License-Identifier: BSD-3-Clause */
/* What a survivor does when all have said done: it uses what it adopted, asks anew, and handles what came early. */
#include <string.h>
#include "keyspace/view.h"
#include "object/map_inline.h"
#include "object/space.h"

void shoal_view_release_early(struct shoal_space *space)
{
	struct shoal_parked *parked = space->view.early_first, *next;

	space->view.early_first = space->view.early_last = NULL;
	for (; parked; parked = next) {
		next = parked->next;
		shoal_space_handle(space, space->config.self, &parked->message);
		shoal_parked_put(&space->contention, parked);
	}
}

/* Adopted objects are used from here on: whoever had a newer lease has said so before it said done. */
static void go_on_with(struct shoal_space *space, struct shoal_place *place)
{
	if (place->entry->flags & SHOAL_ENTRY_ADOPTED) {
		place->entry->flags &= (uint8_t) ~(SHOAL_ENTRY_ADOPTED | SHOAL_ENTRY_RECALLED);
		if (place->entry->handle == SHOAL_HANDLE_HELD) {
			shoal_holder_grant_to_waiting(space, place);
			shoal_idle_arm(space, place, 0);
		}
	}
	if (place->entry->handle == SHOAL_HANDLE_WAITING || place->entry->handle == SHOAL_HANDLE_REMOVING)
		shoal_holder_ask_again(space, place);
	shoal_place_tidy(space, place);
}

static void ask_again(struct shoal_space *space)
{
	for (uint8_t class = 0; class < space->config.classes_count; class ++) {
		for (uint32_t index = 1; index < space->maps[class].high_water; index++) {
			struct shoal_place place = shoal_place_at(space, class, index);

			if (place.entry->handle != SHOAL_HANDLE_ABSENT)
				go_on_with(space, &place);
		}
	}
}

/* All have handled what was reported: what the dead had is with live members, and is used from here on. Should one of them
 * die, it is their slabs that count. */
static void void_legacies(struct shoal_space *space)
{
	struct shoal_view *view = &space->view;

	for (uint64_t dead = view->dead; dead; dead &= dead - 1) {
		struct shoal_adoption *adoption = view->adoptions[__builtin_ctzll(dead)];

		if (!adoption || !adoption->open || !adoption->adopted || SHOAL_PLANT(SHOAL_PLANT_LEGACY_NOT_VOID))
			continue;
		__atomic_store_n(&adoption->legacy.image->resumed_view, view->number, __ATOMIC_RELEASE);
		view->adopted_life[__builtin_ctzll(dead)] = adoption->life;
	}
}

void shoal_view_resume(struct shoal_space *space)
{
	struct shoal_view *view = &space->view;
	struct shoal_parked *parked, *next;

	void_legacies(space);
	space->owner_gone = false; /* before what was kept is handled: it is no longer frozen */
	view->resumed = view->number;
	for (uint64_t dead = view->dead; dead; dead &= dead - 1) {
		uint8_t member = (uint8_t)__builtin_ctzll(dead);

		/* One of which this worker was told meanwhile is for the next view, which may begin already. */
		if (view->adoptions[member] && view->adoptions[member]->told_in < view->number)
			shoal_view_close_adoption(view, member);
		shoal_channel_detach(space->channel, member);
	}
	shoal_calls_after_view(space);
	view->gone = 0;
	view->calls_taken_back = 0;
	for (parked = view->returns_first; parked; parked = next) {
		next = parked->next;
		shoal_parked_put(&space->contention, parked);
	}
	view->returns_first = view->returns_last = NULL;
	memset(view->minted, 0, sizeof(view->minted));
	view->losses_before = shoal_view_losses(view);
	view->told_to_drop = false;
	if (view->lossy == view->number)
		shoal_aftermath_begin(space);
	ask_again(space);
	shoal_view_release_early(space);
	shoal_window_reopen(space);
}
