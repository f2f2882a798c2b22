/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands that begin a view change: what is to be adopted, and who died. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "keyspace/view.h"
#include "object/map_inline.h"
#include "object/space.h"
#include "worker/error.h"

void shoal_view_close_adoption(struct shoal_view *view, uint8_t member)
{
	struct shoal_adoption *adoption = view->adoptions[member];

	if (!adoption)
		return;
	if (adoption->open)
		shoal_legacy_close(&adoption->legacy, adoption->directory, adoption->adopted);
	free(adoption);
	view->adoptions[member] = NULL;
}

void shoal_view_keep(struct shoal_space *space, struct shoal_parked **first, struct shoal_parked **last,
	const struct shoal_message *message)
{
	struct shoal_parked *parked = shoal_parked_get(&space->contention, message->length);

	memcpy(&parked->message, message, message->length);
	if (*last)
		(*last)->next = parked;
	else
		*first = parked;
	*last = parked;
}

/* Messages that waited for a record: calls and returned objects count, the rest is asked anew. */
static void take_over_parked(struct shoal_space *space, struct shoal_contention *contention)
{
	struct shoal_parked *parked = contention->parked_first, *next;

	contention->parked_first = contention->parked_last = NULL;
	for (; parked; parked = next) {
		next = parked->next;
		parked->message.flags |= parked->message.kind == SHOAL_CALL ? SHOAL_MESSAGE_COUNTED : 0;
		if (parked->message.kind == SHOAL_CALL)
			shoal_view_keep(space, &space->view.after_first, &space->view.after_last, &parked->message);
		else if (parked->message.kind == SHOAL_RETURN &&
			 !shoal_record_returned_while_frozen(space, &parked->message))
			shoal_view_keep(space, &space->view.returns_first, &space->view.returns_last, &parked->message);
		shoal_parked_put(&space->contention, parked);
		space->contention.parked--;
	}
}

/* Nobody waits for anybody any more: who still wants something asks again when the view is complete. */
void shoal_view_forget_waiting(struct shoal_space *space)
{
	for (uint8_t class = 0; class < space->config.classes_count; class ++) {
		for (uint32_t index = 1; index < space->maps[class].high_water; index++) {
			struct shoal_place place = shoal_place_at(space, class, index);
			struct shoal_contention *contention = shoal_place_contended(space, &place);

			if (place.entry->record == SHOAL_RECORD_PULLING)
				place.entry->record = SHOAL_RECORD_NONE;
			if (!contention)
				continue;
			take_over_parked(space, contention);
			shoal_waiters_clear(&space->contention, &contention->waiters);
			contention->missing = 0;
			shoal_holder_forget_waiters(space, &place);
			shoal_place_tidy(space, &place);
		}
	}
	space->keyspace.pulling = 0;
	space->settle_count = 0;
}

static void forget_held_back(struct shoal_space *space)
{
	for (unsigned slot = 0; slot < SHOAL_SLOTS && space->keyspace.held_back_count; slot++) {
		struct shoal_parked *parked = space->keyspace.held_back[slot], *next;

		space->keyspace.held_back[slot] = NULL;
		for (; parked; parked = next) {
			next = parked->next;
			shoal_view_keep(space, &space->view.after_first, &space->view.after_last, &parked->message);
			shoal_parked_put(&space->contention, parked);
			space->keyspace.held_back_count--;
		}
	}
}

static uint64_t set_of(const uint8_t *members)
{
	uint64_t set = 0;

	for (unsigned member = 0; member < SHOAL_MEMBERS_MAX; member++)
		set |= (uint64_t)(members[member] != 0) << member;
	return set;
}

static void begin(struct shoal_space *space, const struct shoal_death *death)
{
	struct shoal_view *view = &space->view;

	*view->death = *death;
	view->number = death->view;
	space->keyspace.term = death->term;
	view->dead = set_of(death->dead);
	view->others = set_of(death->survivor) & ~(UINT64_C(1) << space->config.self);
	/* All that the dead had sent is taken, then nothing more. */
	for (uint64_t dead = view->dead; dead; dead &= dead - 1)
		shoal_channel_drain(space->channel, (uint8_t)__builtin_ctzll(dead), shoal_space_handle, space);
	shoal_space_drain(space);
	memset(view->mark, 0xff, sizeof(view->mark));
	/* Whoever had been told may have died: all is reported again. */
	for (unsigned member = 0; member < SHOAL_MEMBERS_MAX; member++)
		if (view->adoptions[member])
			view->adoptions[member]->adopted = false;
	memset(view->owner, SHOAL_MEMBER_NONE, sizeof(view->owner));
	view->stage = SHOAL_VIEW_FLUSHING; /* the one transition outside of view.c: any -> FLUSHING */
	shoal_view_release_early(space);
	shoal_view_forget_waiting(space);
	forget_held_back(space);
	shoal_view_say(space, SHOAL_STEP_FLUSH, 0);
}

int shoal_view_death(struct shoal_space *space, const struct shoal_death *death)
{
	struct shoal_view *view = &space->view;
	uint8_t self = space->config.self;

	if (death->term < space->keyspace.term && !SHOAL_PLANT(SHOAL_PLANT_OLD_TERM))
		return shoal_error(ESTALE, "term %lu is older than %lu", death->term, space->keyspace.term);
	if (death->view == view->number && view->number) {
		space->keyspace.term = death->term;
		return 0;
	}
	if (death->view < view->number)
		return shoal_error(ESTALE, "view %lu is older than %lu", death->view, view->number);
	if (!death->survivor[self] || death->dead[self])
		return shoal_error(EINVAL, "member %u is not among the survivors of view %lu", self, death->view);
	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot++)
		if (death->mint[slot] >= SHOAL_MEMBERS_MAX || !death->survivor[death->mint[slot]])
			return shoal_error(EINVAL, "slot %u would be minted at member %u, which is no survivor", slot,
				death->mint[slot]);
	for (uint8_t member = 0; member < SHOAL_MEMBERS_MAX; member++) {
		if (death->survivor[member] && member != self && !shoal_channel_attached(space->channel, member))
			return shoal_error(ENOTCONN, "member %u has no channel to survivor %u", self, member);
		if (death->dead[member] && death->adopter[member] == self && !view->adoptions[member] &&
			view->adopted_life[member] != death->life[member])
			return shoal_error(
				EINVAL, "member %u is to adopt member %u, but was not told where", self, member);
	}
	begin(space, death);
	return 0;
}

int shoal_view_adopt(struct shoal_space *space, uint8_t member, uint64_t life, const char *directory)
{
	struct shoal_adoption *adoption = space->view.adoptions[member];
	const char *reason = "";
	int error;

	if (adoption && adoption->life == life)
		adoption->told_in = space->view.number;
	/* It may have become my own while others have not completed that view: then there is nothing left to adopt. */
	if ((adoption && adoption->life == life) || space->view.adopted_life[member] == life)
		return 0;
	shoal_view_close_adoption(&space->view, member);
	adoption = calloc(1, sizeof(*adoption));
	if (!adoption)
		return shoal_error(ENOMEM, "no memory to adopt member %u", member);
	adoption->life = life;
	adoption->told_in = space->view.number;
	snprintf(adoption->directory, sizeof(adoption->directory), "%s", directory);
	error = shoal_legacy_open(
		&adoption->legacy, directory, life, space->config.classes, space->config.classes_count, &reason);
	if (error) {
		free(adoption);
		return shoal_error(-error, "what member %u left in %s can't be adopted: %s", member, directory, reason);
	}
	adoption->open = true;
	space->view.adoptions[member] = adoption;
	return 0;
}
