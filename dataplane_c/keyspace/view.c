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
	return view->death ? shoal_view_fates_init(view) : -ENOMEM;
}

void shoal_view_fini(struct shoal_space *space)
{
	for (uint8_t member = 0; member < SHOAL_MEMBERS_MAX; member++)
		shoal_view_close_adoption(&space->view, member);
	shoal_view_fates_fini(&space->view);
	free(space->view.death);
	space->view.death = NULL;
}

static void transition(struct shoal_view *view, int to)
{
	view->stage = to;
}

/* --- Sending to all others --- */

void shoal_view_say(struct shoal_space *space, enum shoal_view_step step, uint8_t flags)
{
	for (uint64_t members = space->view.others; members; members &= members - 1) {
		struct shoal_message head = { .kind = SHOAL_VIEW_STEP,
			.flags = flags,
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

/* How many messages of `dead` a member has handled, to whoever adopts what that one had sent and was not acknowledged. */
static void send_taken(struct shoal_space *space, uint8_t dead, uint8_t member, uint64_t taken)
{
	uint8_t adopter = space->view.death->adopter[dead];
	struct shoal_message head = { .kind = SHOAL_VIEW_MARK,
		.origin = space->config.self,
		.holder = dead,
		.request = (uint32_t)space->view.number,
		.granted = member,
		.incarnation = taken,
		.method = SHOAL_MARK_TAKEN };

	if (adopter == space->config.self && space->view.adoptions[dead])
		space->view.adoptions[dead]->taken[member] = taken;
	else if (adopter < SHOAL_MEMBERS_MAX && adopter != space->config.self)
		shoal_space_send(space, adopter, &head, NULL, NULL, 0, NULL, 0);
}

/* What I have handled of the dead, and what others of the dead had, whose images lie here. */
static void send_all_taken(struct shoal_space *space, uint8_t dead)
{
	const struct shoal_adoption *adoption;

	send_taken(space, dead, space->config.self, shoal_channel_handled(space->channel, dead));
	for (uint64_t others = space->view.dead & ~(UINT64_C(1) << dead); others; others &= others - 1) {
		uint8_t other = (uint8_t)__builtin_ctzll(others);

		adoption = space->view.adoptions[other];
		if (adoption && adoption->open && space->view.death->adopter[other] == space->config.self)
			send_taken(space, dead, other, adoption->legacy.image->taken[dead]);
	}
}

static void send_tokens(struct shoal_space *space)
{
	for (uint64_t dead = space->view.dead; dead; dead &= dead - 1) {
		send_marks(space, (uint8_t)__builtin_ctzll(dead));
		send_all_taken(space, (uint8_t)__builtin_ctzll(dead));
	}
	for (uint64_t members = space->view.others; members; members &= members - 1) {
		struct shoal_message head = { .kind = SHOAL_VIEW_TOKENS,
			.origin = space->config.self,
			.holder = SHOAL_MEMBER_NONE,
			.incarnation = space->view.number };

		shoal_space_send(space, (uint8_t)__builtin_ctzll(members), &head, NULL, NULL, 0, space->keyspace.token,
			SHOAL_VIEW_TOKENS_BYTES);
	}
}

/* --- While frozen --- */

/* Everybody's records are settled for one who has said done, and it may have gone on: what it says belongs to the new view. */
static bool early(const struct shoal_view *view, uint8_t from, const struct shoal_message *message)
{
	return view->stage == SHOAL_VIEW_FINISHING && message->kind < SHOAL_VIEW_STEP &&
	       view->step_view[SHOAL_STEP_DONE][from] >= view->number;
}

bool shoal_view_filter(struct shoal_space *space, uint8_t from, const struct shoal_message *message)
{
	struct shoal_view *view = &space->view;

	if (early(view, from, message)) {
		shoal_view_keep(space, &view->early_first, &view->early_last, message);
		return true;
	}
	switch (message->kind) {
	case SHOAL_CALL:
		shoal_view_keep(space, &view->after_first, &view->after_last, message);
		return true;
	case SHOAL_RETURN:
		/* The bytes count; who holds what is reported anew. Where the record is here the object lies in the slab at once:
		 * its sender counts it as delivered. */
		if (!shoal_record_returned_while_frozen(space, message))
			shoal_view_keep(space, &view->returns_first, &view->returns_last, message);
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
	shoal_view_keep(space, &space->view.after_first, &space->view.after_last, message);
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

static void take_mark(struct shoal_view *view, const struct shoal_message *message)
{
	struct shoal_adoption *adoption = view->adoptions[message->holder];

	if (message->method != SHOAL_MARK_TAKEN)
		view->mark[message->holder] = message->incarnation;
	else if (adoption && message->granted < SHOAL_MEMBERS_MAX)
		adoption->taken[message->granted] = message->incarnation;
}

/* A record that was reported in a view which another death ended before it came: its sender has it no more, and says it once.
 * It comes before the sender's FLUSH of this view. */
static bool reported_before(struct shoal_space *space, const struct shoal_message *message)
{
	struct shoal_place place;
	const void *key = shoal_message_key(message);

	if (message->kind != SHOAL_VIEW_BYTES || message->flags & (SHOAL_MESSAGE_MAIL | SHOAL_MESSAGE_CONSTRUCT) ||
		space->view.stage != SHOAL_VIEW_FLUSHING ||
		!shoal_request_after(message->request, (uint32_t)space->view.resumed))
		return false;
	place = shoal_place_find(space, message->class, key, shoal_map_hash(&space->maps[message->class], key));
	return !place.entry || (place.entry->record == SHOAL_RECORD_NONE && place.entry->handle != SHOAL_HANDLE_HELD &&
				       place.entry->handle != SHOAL_HANDLE_REMOVING);
}

void shoal_view_handle(struct shoal_space *space, uint8_t from, const struct shoal_message *message)
{
	struct shoal_view *view = &space->view;

	/* A peer may be told of the death before me: its steps are remembered. */
	if (message->kind == SHOAL_VIEW_STEP) {
		if (message->method < SHOAL_STEPS && message->incarnation > view->step_view[message->method][from])
			view->step_view[message->method][from] = message->incarnation;
		if (message->flags & SHOAL_MESSAGE_LOSSY && message->incarnation > view->lossy)
			view->lossy = message->incarnation;
		return;
	}
	if (message->kind == SHOAL_VIEW_TOKENS) {
		take_tokens(space, from, message);
		return;
	}
	if ((message->request != (uint32_t)view->number && !reported_before(space, message)) ||
		view->stage == SHOAL_VIEW_QUIET) {
		space->counters.stale_messages++;
		return;
	}
	switch (message->kind) {
	case SHOAL_VIEW_MARK:
		take_mark(view, message);
		break;
	case SHOAL_VIEW_CLAIM:
		shoal_view_claim(space, message);
		break;
	case SHOAL_VIEW_BYTES:
		shoal_view_bytes(space, message);
		break;
	case SHOAL_VIEW_ENTER:
		shoal_view_enter(space, message);
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
		if (view->owner[slot] != SHOAL_MEMBER_NONE && !SHOAL_PLANT(SHOAL_PLANT_TOKENS_NOT_COUNTED))
			continue;
		view->owner[slot] = view->death->mint[slot];
		shoal_slot_set(view->minted, slot, true);
		if (view->owner[slot] != space->config.self)
			continue;
		shoal_slot_set(keyspace->token, slot, true);
		keyspace->tokens++;
		if (keyspace->incarnation[slot] < view->number << 40)
			keyspace->incarnation[slot] = view->number
			                              << 40; /* above all that the dead can have drawn [m 4] */
		/* Each caller's first call tells what to expect [a 5]. */
		if (shoal_slot_bit(keyspace->called, slot))
			memset(&keyspace->call_expected[i * SHOAL_MEMBERS_MAX], 0,
				SHOAL_MEMBERS_MAX * sizeof(keyspace->call_expected[0]));
		shoal_slot_set(keyspace->called, slot, false);
	}
}

/* The map of the view is what the tokens say; a plan is over, its leavers stay members. */
static void adopt_map(struct shoal_space *space)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	struct shoal_view *view = &space->view;

	memcpy(keyspace->owner, view->owner, SHOAL_SLOTS);
	memcpy(keyspace->owner_next, view->owner, SHOAL_SLOTS);
	view->gone |= view->dead | keyspace->in_now | keyspace->in_next;
	keyspace->in_now = keyspace->in_next = view->others | UINT64_C(1) << space->config.self;
	view->gone &= ~keyspace->in_now;
	keyspace->epoch = view->death->epoch;
	keyspace->epoch_next = 0;
	memset(keyspace->unswept, 0, sizeof(keyspace->unswept));
	memset(keyspace->handed, 0, sizeof(keyspace->handed));
	keyspace->tokens_to_send = keyspace->tokens_to_receive = keyspace->slots_unswept = 0;
	keyspace->sweeping = keyspace->steering_sweep.on = keyspace->leaving = keyspace->markers_back = false;
	keyspace->stage = SHOAL_STAGE_NORMAL;
}

unsigned shoal_view_poll(struct shoal_space *space)
{
	struct shoal_view *view = &space->view;

	switch (view->stage) {
	case SHOAL_VIEW_FLUSHING:
		if (!all_said(view, view->step_view[SHOAL_STEP_FLUSH]) && !SHOAL_PLANT(SHOAL_PLANT_NO_FLUSH))
			return 0;
		send_tokens(space);
		transition(view, SHOAL_VIEW_COUNTING);
		return 1;
	case SHOAL_VIEW_COUNTING:
		if (!all_said(view, view->tokens_view))
			return 0;
		/* Records and grants that came before the flushes brought waiters with them. */
		if (!SHOAL_PLANT(SHOAL_PLANT_WAITERS_COME_BACK))
			shoal_view_forget_waiting(space);
		mint(space);
		if (!SHOAL_PLANT(SHOAL_PLANT_CLAIMS_KEPT) || view->number == view->resumed + 1)
			shoal_view_unclaim(space);
		shoal_view_report_begin(space);
		shoal_view_say(space, SHOAL_STEP_READY, 0);
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
		shoal_view_say(space, SHOAL_STEP_END, 0);
		transition(view, SHOAL_VIEW_SETTLING);
		return 1;
	case SHOAL_VIEW_SETTLING:
		if (!all_said(view, view->step_view[SHOAL_STEP_END]))
			return 0;
		shoal_view_settle(space);
		adopt_map(space);
		if (shoal_view_lossy(space))
			view->lossy = view->number;
		shoal_view_say(space, SHOAL_STEP_SETTLED, view->lossy == view->number ? SHOAL_MESSAGE_LOSSY : 0);
		view->class = 0;
		view->index = 1;
		transition(view, SHOAL_VIEW_ENTERING);
		return 1;
	case SHOAL_VIEW_ENTERING:
		if (!all_said(view, view->step_view[SHOAL_STEP_SETTLED]))
			return 0;
		if (view->lossy == view->number && !shoal_view_enter_step(space))
			return 1;
		shoal_view_say(space, SHOAL_STEP_DONE, 0);
		transition(view, SHOAL_VIEW_FINISHING);
		return 1;
	case SHOAL_VIEW_FINISHING:
		if (!all_said(view, view->step_view[SHOAL_STEP_DONE]))
			return 0;
		transition(view, SHOAL_VIEW_QUIET);
		shoal_view_resume(space);
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
		[SHOAL_VIEW_ENTERING] = "other members to settle",
		[SHOAL_VIEW_FINISHING] = "other members to be done",
		[SHOAL_VIEW_CHECKING] = "objects to be looked at after the loss",
	};
	const struct shoal_view *view = &space->view;

	memset(progress, 0, sizeof(*progress));
	progress->stage = view->stage == SHOAL_VIEW_QUIET && space->aftermath.open ? SHOAL_VIEW_CHECKING : view->stage;
	progress->view = view->number;
	progress->resumed = view->resumed;
	progress->epoch = space->keyspace.epoch;
	memcpy(progress->tokens, space->keyspace.token, sizeof(progress->tokens));
	memcpy(progress->adopted, view->adopted, sizeof(progress->adopted));
	memcpy(progress->checked, view->checked, sizeof(progress->checked));
	memcpy(progress->rejected, view->rejected, sizeof(progress->rejected));
	memcpy(progress->lost, view->lost, sizeof(progress->lost));
	memcpy(progress->rolled_back, view->rolled_back, sizeof(progress->rolled_back));
	snprintf(progress->waiting_for, sizeof(progress->waiting_for), "%s", waits[progress->stage]);
}
