/* SPDX-License-Identifier: BSD-3-Clause */
#include "keyspace/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "object/map_inline.h"
#include "object/space.h"
#include "worker/error.h"

int shoal_view_init(struct shoal_view *view)
{
	memset(view, 0, sizeof(*view));
	view->death = calloc(1, sizeof(*view->death));
	return view->death ? 0 : -ENOMEM;
}

static void close_adoption(struct shoal_view *view, uint8_t member)
{
	struct shoal_adoption *adoption = view->adoptions[member];

	if (!adoption)
		return;
	if (adoption->open)
		shoal_legacy_close(&adoption->legacy, adoption->directory, adoption->adopted);
	free(adoption);
	view->adoptions[member] = NULL;
}

void shoal_view_fini(struct shoal_space *space)
{
	for (uint8_t member = 0; member < SHOAL_MEMBERS_MAX; member++)
		close_adoption(&space->view, member);
	free(space->view.death);
	space->view.death = NULL;
}

static void transition(struct shoal_view *view, int to)
{
	view->stage = to;
}

/* --- Sending to all others --- */

static void send_step(struct shoal_space *space, enum shoal_view_step step)
{
	for (uint64_t members = space->view.others; members; members &= members - 1) {
		struct shoal_message head = { .kind = SHOAL_VIEW_STEP,
			.origin = space->config.self,
			.holder = SHOAL_MEMBER_NONE,
			.incarnation = space->view.number,
			.method = (uint16_t)step };

		shoal_space_send(space, (uint8_t)__builtin_ctzll(members), &head, NULL, NULL, 0, NULL, 0);
	}
}

/* What a dead member had received of each survivor, as its image says. */
static void send_marks(struct shoal_space *space, uint8_t dead)
{
	const struct shoal_adoption *adoption = space->view.adoptions[dead];

	if (!adoption || !adoption->open)
		return;
	space->view.mark[dead] = adoption->legacy.image->received[space->config.self];
	for (uint64_t members = space->view.others; members; members &= members - 1) {
		uint8_t member = (uint8_t)__builtin_ctzll(members);
		struct shoal_message head = { .kind = SHOAL_VIEW_MARK,
			.origin = space->config.self,
			.holder = dead,
			.request = (uint32_t)space->view.number,
			.incarnation = adoption->legacy.image->received[member] };

		shoal_space_send(space, member, &head, NULL, NULL, 0, NULL, 0);
	}
}

static void send_tokens(struct shoal_space *space)
{
	for (uint64_t dead = space->view.dead; dead; dead &= dead - 1)
		send_marks(space, (uint8_t)__builtin_ctzll(dead));
	for (uint64_t members = space->view.others; members; members &= members - 1) {
		struct shoal_message head = { .kind = SHOAL_VIEW_TOKENS,
			.origin = space->config.self,
			.holder = SHOAL_MEMBER_NONE,
			.incarnation = space->view.number };

		shoal_space_send(space, (uint8_t)__builtin_ctzll(members), &head, NULL, NULL, 0, space->keyspace.token,
			SHOAL_VIEW_TOKENS_BYTES);
	}
}

/* --- Beginning --- */

static void keep(struct shoal_space *space, struct shoal_parked **first, struct shoal_parked **last,
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
		if (parked->message.kind == SHOAL_CALL)
			keep(space, &space->view.after_first, &space->view.after_last, &parked->message);
		else if (parked->message.kind == SHOAL_RETURN)
			keep(space, &space->view.returns_first, &space->view.returns_last, &parked->message);
		shoal_parked_put(&space->contention, parked);
		space->contention.parked--;
	}
}

/* Nobody waits for anybody any more: who still wants something asks again when the view is complete. */
static void forget_waiting(struct shoal_space *space)
{
	for (uint8_t class = 0; class < space->config.classes_count; class++) {
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
			keep(space, &space->view.after_first, &space->view.after_last, &parked->message);
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
	memset(view->owner, SHOAL_MEMBER_NONE, sizeof(view->owner));
	memset(view->minted, 0, sizeof(view->minted));
	transition(view, SHOAL_VIEW_FLUSHING);
	forget_waiting(space);
	forget_held_back(space);
	send_step(space, SHOAL_STEP_FLUSH);
}

int shoal_view_death(struct shoal_space *space, const struct shoal_death *death)
{
	struct shoal_view *view = &space->view;
	uint8_t self = space->config.self;

	if (death->term < space->keyspace.term)
		return shoal_error(ESTALE, "term %lu is older than %lu", death->term, space->keyspace.term);
	if (death->view == view->number && view->number)
		return 0;
	if (death->view < view->number)
		return shoal_error(ESTALE, "view %lu is older than %lu", death->view, view->number);
	if (!death->survivor[self] || death->dead[self])
		return shoal_error(EINVAL, "member %u is not among the survivors of view %lu", self, death->view);
	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot++)
		if (death->mint[slot] >= SHOAL_MEMBERS_MAX || !death->survivor[death->mint[slot]])
			return shoal_error(EINVAL, "slot %u would be minted at member %u, which is no survivor", slot, death->mint[slot]);
	for (uint8_t member = 0; member < SHOAL_MEMBERS_MAX; member++) {
		if (death->survivor[member] && member != self && !shoal_channel_attached(space->channel, member))
			return shoal_error(ENOTCONN, "member %u has no channel to survivor %u", self, member);
		if (death->dead[member] && death->adopter[member] == self && !view->adoptions[member])
			return shoal_error(EINVAL, "member %u is to adopt member %u, but was not told where", self, member);
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
		return 0;
	close_adoption(&space->view, member);
	adoption = calloc(1, sizeof(*adoption));
	if (!adoption)
		return shoal_error(ENOMEM, "no memory to adopt member %u", member);
	adoption->life = life;
	snprintf(adoption->directory, sizeof(adoption->directory), "%s", directory);
	error = shoal_legacy_open(&adoption->legacy, directory, life, space->config.classes, space->config.classes_count, &reason);
	if (error) {
		free(adoption);
		return shoal_error(-error, "what member %u left in %s can't be adopted: %s", member, directory, reason);
	}
	adoption->open = true;
	space->view.adoptions[member] = adoption;
	return 0;
}

/* --- While frozen --- */

bool shoal_view_filter(struct shoal_space *space, const struct shoal_message *message)
{
	struct shoal_view *view = &space->view;

	switch (message->kind) {
	case SHOAL_CALL:
		keep(space, &view->after_first, &view->after_last, message);
		return true;
	case SHOAL_RETURN:
		/* The bytes count; who holds what is reported anew. */
		keep(space, &view->returns_first, &view->returns_last, message);
		return true;
	case SHOAL_LEASE_REQUEST:
	case SHOAL_PASSED:
	case SHOAL_REMOVE:
	case SHOAL_RECALL:
	case SHOAL_RECORD_REQUEST:
	case SHOAL_SWEPT:
	case SHOAL_FLUSH1:
	case SHOAL_FLUSH2:
		return true;
	default:
		return false; /* installs state, or answers */
	}
}

void shoal_view_keep_call(struct shoal_space *space, const struct shoal_message *message)
{
	keep(space, &space->view.after_first, &space->view.after_last, message);
}

static bool all_said(const struct shoal_view *view, const uint64_t *said)
{
	for (uint64_t members = view->others; members; members &= members - 1)
		if (said[__builtin_ctzll(members)] < view->number)
			return false;
	return true;
}

static void take_tokens(struct shoal_space *space, uint8_t from, const struct shoal_message *message)
{
	uint64_t tokens[SHOAL_SLOT_WORDS];

	if (message->incarnation != space->view.number) {
		space->counters.stale_messages++;
		return;
	}
	memcpy(tokens, shoal_message_waiters(message), sizeof(tokens));
	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot++)
		if (shoal_slot_bit(tokens, (uint16_t)slot))
			space->view.owner[slot] = from;
	space->view.tokens_view[from] = message->incarnation;
}

void shoal_view_handle(struct shoal_space *space, uint8_t from, const struct shoal_message *message)
{
	struct shoal_view *view = &space->view;

	/* A peer may be told of the death before me: its steps are remembered. */
	if (message->kind == SHOAL_VIEW_STEP) {
		if (message->method < SHOAL_STEPS && message->incarnation > view->step_view[message->method][from])
			view->step_view[message->method][from] = message->incarnation;
		return;
	}
	if (message->kind == SHOAL_VIEW_TOKENS) {
		take_tokens(space, from, message);
		return;
	}
	if (message->request != (uint32_t)view->number || view->stage == SHOAL_VIEW_QUIET) {
		space->counters.stale_messages++;
		return;
	}
	switch (message->kind) {
	case SHOAL_VIEW_MARK:
		view->mark[message->holder] = message->incarnation;
		break;
	case SHOAL_VIEW_CLAIM:
		shoal_view_claim(space, message);
		break;
	case SHOAL_VIEW_BYTES:
		shoal_view_bytes(space, message);
		break;
	default:
		shoal_view_drop(space, message);
	}
}

/* --- From step to step --- */

/* Every slot has exactly one owner: who said that it has the token, or the one that the controller named for minting. */
static void mint(struct shoal_space *space)
{
	struct shoal_view *view = &space->view;
	struct shoal_keyspace *keyspace = &space->keyspace;

	for (unsigned i = 0; i < SHOAL_SLOTS; i++) {
		uint16_t slot = (uint16_t)i;

		if (shoal_slot_bit(keyspace->token, slot))
			view->owner[slot] = space->config.self;
		if (view->owner[slot] != SHOAL_MEMBER_NONE)
			continue;
		view->owner[slot] = view->death->mint[slot];
		shoal_slot_set(view->minted, slot, true);
		if (view->owner[slot] != space->config.self)
			continue;
		shoal_slot_set(keyspace->token, slot, true);
		keyspace->tokens++;
		if (keyspace->incarnation[slot] < view->number << 40)
			keyspace->incarnation[slot] = view->number << 40; /* above all that the dead can have drawn [m 4] */
		for (unsigned caller = 0; caller < SHOAL_MEMBERS_MAX; caller++)
			keyspace->call_expected[i * SHOAL_MEMBERS_MAX + caller] = SHOAL_CALLS_ANY;
	}
}

/* The map of the view is what the tokens say; a plan is over, its leavers stay members. */
static void adopt_map(struct shoal_space *space)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	struct shoal_view *view = &space->view;

	memcpy(keyspace->owner, view->owner, SHOAL_SLOTS);
	memcpy(keyspace->owner_next, view->owner, SHOAL_SLOTS);
	keyspace->in_now = keyspace->in_next = view->others | UINT64_C(1) << space->config.self;
	keyspace->epoch = view->death->epoch;
	keyspace->epoch_next = 0;
	memset(keyspace->unswept, 0, sizeof(keyspace->unswept));
	memset(keyspace->handed, 0, sizeof(keyspace->handed));
	keyspace->tokens_to_send = keyspace->tokens_to_receive = keyspace->slots_unswept = 0;
	keyspace->sweeping = keyspace->leaving = keyspace->markers_back = false;
	keyspace->stage = SHOAL_STAGE_NORMAL;
}

static void ask_again(struct shoal_space *space)
{
	for (uint8_t class = 0; class < space->config.classes_count; class++) {
		for (uint32_t index = 1; index < space->maps[class].high_water; index++) {
			struct shoal_place place = shoal_place_at(space, class, index);

			if (place.entry->handle == SHOAL_HANDLE_WAITING || place.entry->handle == SHOAL_HANDLE_REMOVING)
				shoal_holder_ask_again(space, &place);
		}
	}
}

static void resume(struct shoal_space *space)
{
	struct shoal_view *view = &space->view;
	struct shoal_parked *parked = view->after_first, *next;

	transition(view, SHOAL_VIEW_QUIET);
	view->resumed = view->number;
	for (uint64_t dead = view->dead; dead; dead &= dead - 1) {
		uint8_t member = (uint8_t)__builtin_ctzll(dead);

		if (view->adoptions[member] && view->adoptions[member]->open)
			view->adoptions[member]->legacy.image->resumed_view = view->number;
		close_adoption(view, member);
		shoal_channel_detach(space->channel, member);
	}
	shoal_calls_after_view(space, view->dead);
	view->after_first = view->after_last = NULL;
	view->calls_taken_back = 0;
	for (; parked; parked = next) {
		next = parked->next;
		shoal_space_handle(space, space->config.self, &parked->message);
		shoal_parked_put(&space->contention, parked);
	}
	for (parked = view->returns_first; parked; parked = next) {
		next = parked->next;
		shoal_parked_put(&space->contention, parked);
	}
	view->returns_first = view->returns_last = NULL;
	space->owner_gone = false;
	ask_again(space);
	shoal_window_reopen(space);
}

unsigned shoal_view_poll(struct shoal_space *space)
{
	struct shoal_view *view = &space->view;

	switch (view->stage) {
	case SHOAL_VIEW_FLUSHING:
		if (!all_said(view, view->step_view[SHOAL_STEP_FLUSH]))
			return 0;
		send_tokens(space);
		transition(view, SHOAL_VIEW_COUNTING);
		return 1;
	case SHOAL_VIEW_COUNTING:
		if (!all_said(view, view->tokens_view))
			return 0;
		mint(space);
		shoal_view_unclaim(space);
		shoal_view_report_begin(space);
		send_step(space, SHOAL_STEP_READY);
		transition(view, SHOAL_VIEW_READYING);
		return 1;
	case SHOAL_VIEW_READYING:
		if (!all_said(view, view->step_view[SHOAL_STEP_READY]))
			return 0;
		transition(view, SHOAL_VIEW_REPORTING);
		return 1;
	case SHOAL_VIEW_REPORTING:
		if (!shoal_view_report(space))
			return 1;
		send_step(space, SHOAL_STEP_END);
		transition(view, SHOAL_VIEW_SETTLING);
		return 1;
	case SHOAL_VIEW_SETTLING:
		if (!all_said(view, view->step_view[SHOAL_STEP_END]))
			return 0;
		shoal_view_settle(space);
		adopt_map(space);
		send_step(space, SHOAL_STEP_DONE);
		transition(view, SHOAL_VIEW_FINISHING);
		return 1;
	case SHOAL_VIEW_FINISHING:
		if (!all_said(view, view->step_view[SHOAL_STEP_DONE]))
			return 0;
		resume(space);
		return 1;
	default:
		return 0;
	}
}

void shoal_view_progress(const struct shoal_space *space, struct shoal_view_progress *progress)
{
	static const char *const waits[] = {
		[SHOAL_VIEW_QUIET] = "",
		[SHOAL_VIEW_FLUSHING] = "flush of other members",
		[SHOAL_VIEW_COUNTING] = "tokens of other members",
		[SHOAL_VIEW_READYING] = "other members to be ready",
		[SHOAL_VIEW_REPORTING] = "its own report",
		[SHOAL_VIEW_SETTLING] = "reports of other members",
		[SHOAL_VIEW_FINISHING] = "other members to be done",
	};
	const struct shoal_view *view = &space->view;

	memset(progress, 0, sizeof(*progress));
	progress->stage = view->stage;
	progress->view = view->number;
	progress->resumed = view->resumed;
	progress->epoch = space->keyspace.epoch;
	memcpy(progress->tokens, space->keyspace.token, sizeof(progress->tokens));
	memcpy(progress->adopted, view->adopted, sizeof(progress->adopted));
	memcpy(progress->checked, view->checked, sizeof(progress->checked));
	memcpy(progress->rejected, view->rejected, sizeof(progress->rejected));
	memcpy(progress->lost, view->lost, sizeof(progress->lost));
	memcpy(progress->rolled_back, view->rolled_back, sizeof(progress->rolled_back));
	snprintf(progress->waiting_for, sizeof(progress->waiting_for), "%s", waits[view->stage]);
}
