/* SPDX-License-Identifier: BSD-3-Clause */
/* The holder's side of a lease (dso.md, "Single-writer objects"). A message older than what is known here, by (incarnation,
 * lease), is ignored and counted. */
#include <string.h>
#include "keyspace/record.h"
#include "object/map_inline.h"

/* Local uses that a recalled object still serves: packets that were queued here when the RECALL came go first, and
 * contenders do not ping-pong for each packet. */
#define KEEP_FOR_QUEUED 16

/* Handle → WAITING, under a new number. */
static void await_lease(struct shoal_space *space, struct shoal_place *place)
{
	space->waiting += place->entry->handle == SHOAL_HANDLE_ABSENT;
	place->entry->handle = SHOAL_HANDLE_WAITING;
	place->lease->request = shoal_space_next_request(space);
	shoal_place_contention(space, place)->asked_ns = space->now_ns;
}

void shoal_holder_request(struct shoal_space *space, struct shoal_place *place, bool create)
{
	struct shoal_message head = { .kind = SHOAL_LEASE_REQUEST,
		.class = place->class,
		.flags = create ? SHOAL_MESSAGE_CREATE : 0,
		.origin = space->config.self,
		.holder = SHOAL_MEMBER_NONE };

	await_lease(space, place);
	head.request = place->lease->request;
	if (shoal_space_frozen(space))
		return; /* asked when the view is complete */
	shoal_space_send_to_owner(space, place->entry->slot, &head, shoal_place_key(place), NULL, 0);
}

void shoal_holder_ask(struct shoal_space *space, struct shoal_place *place, bool create)
{
	if (!shoal_record_leased(place) || space->loopback_first || shoal_space_frozen(space) ||
		!shoal_slot_bit(space->keyspace.token, place->entry->slot)) {
		shoal_holder_request(space, place, create);
		return;
	}
	await_lease(space, place);
	shoal_record_wait_here(space, place, create);
}

/* Whose waits end. To one that began after the object had been asked for, an answer that there is none may be out of date. */
enum ended { ALL, FINDERS, FINDERS_IN_TIME };

static bool ends(const struct shoal_wait *wait, const struct shoal_contention *contention, enum ended who)
{
	return who == ALL || (!wait->create && (who == FINDERS || wait->since_ns <= contention->asked_ns));
}

static void wake_waiting(
	struct shoal_space *space, struct shoal_contention *contention, enum ended who, enum shoal_wait_outcome outcome)
{
	struct shoal_wait *kept_first = NULL, *kept_last = NULL, *next;

	for (struct shoal_wait *wait = contention->local_first; wait; wait = next) {
		next = wait->next;
		if (ends(wait, contention, who)) {
			shoal_wait_end(space, wait, outcome);
			continue;
		}
		wait->next = NULL;
		if (kept_last)
			kept_last->next = wait;
		else
			kept_first = wait;
		kept_last = wait;
	}
	contention->local_first = kept_first;
	contention->local_last = kept_last;
}

/* Every microthread that waits here gets its reference now, so that none is overtaken by a RECALL. */
void shoal_holder_grant_to_waiting(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_contention *contention = shoal_place_contended(space, place);

	while (contention && contention->local_first) {
		struct shoal_wait *wait = contention->local_first;

		contention->local_first = wait->next;
		if (!contention->local_first)
			contention->local_last = NULL;
		place->entry->references++;
		shoal_wait_end(space, wait, SHOAL_WAIT_GRANTED);
		/* A new object goes to its maker alone, until the maker's take has all that it asked for. */
		if (place->entry->flags & SHOAL_ENTRY_FRESH)
			return;
	}
}

void shoal_holder_made(struct shoal_space *space, struct shoal_place *place)
{
	place->entry->flags &= (uint8_t)~SHOAL_ENTRY_FRESH;
	if (SHOAL_LIKELY(!place->lease->contention))
		return; /* nobody waits, and what is held stays */
	shoal_holder_grant_to_waiting(space, place);
	shoal_place_tidy(space, place);
}

void shoal_holder_unmade(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_contention *contention = shoal_place_contended(space, place);

	if (place->entry->references)
		return;
	if (contention && contention->local_first && !(place->entry->flags & SHOAL_ENTRY_RECALLED))
		shoal_holder_grant_to_waiting(space, place);
	else
		shoal_holder_remove(space, place);
}

void shoal_holder_install(
	struct shoal_space *space, struct shoal_place *place, uint64_t incarnation, uint32_t lease, bool construct)
{
	struct shoal_entry *entry = place->entry;
	const struct shoal_class *class = place->map->class;

	entry->flags &= (uint8_t) ~(SHOAL_ENTRY_RECALLED | SHOAL_ENTRY_FRESH);
	entry->flags |= SHOAL_ENTRY_FLOWS;
	if (construct) {
		entry->flags |= SHOAL_ENTRY_FRESH;
		memset(shoal_place_object(place), 0, class->object_bytes);
		if (class->construct)
			class->construct(&space->context->context, shoal_place_key(place), shoal_place_object(place));
		entry->used_ms = space->now_ms;
	}
	if (entry->handle == SHOAL_HANDLE_WAITING)
		space->waiting--;
	entry->handle = SHOAL_HANDLE_HELD;
	place->lease->incarnation = incarnation;
	place->lease->number = lease;
	space->held++;
	if (SHOAL_UNLIKELY(place->lease->contention))
		shoal_holder_grant_to_waiting(space, place);
	shoal_idle_arm(space, place, 0);
}

void shoal_holder_let_go(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_contention *contention = shoal_place_contended(space, place);
	bool create = false;

	space->held -= place->entry->handle == SHOAL_HANDLE_HELD;
	space->waiting -= place->entry->handle == SHOAL_HANDLE_WAITING || place->entry->handle == SHOAL_HANDLE_REMOVING;
	place->entry->handle = SHOAL_HANDLE_ABSENT;
	place->entry->flags &= (uint8_t)~SHOAL_ENTRY_RECALLED;
	if (contention) {
		shoal_waiters_clear(&space->contention, &contention->successors);
		contention->recall_lease = 0;
	}
	if (place->entry->record != SHOAL_RECORD_FREE)
		shoal_idle_disarm(space, place);
	if (!contention || !contention->local_first)
		return;
	/* Where the window is closed, those who wait here queue for it themselves. */
	if (!shoal_window_try(space)) {
		wake_waiting(space, contention, ALL, SHOAL_WAIT_AGAIN);
		return;
	}
	for (struct shoal_wait *wait = contention->local_first; wait; wait = wait->next)
		create |= wait->create;
	shoal_holder_request(space, place, create);
}

void shoal_holder_forget_waiters(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_contention *contention = shoal_place_contended(space, place);

	if (contention) {
		shoal_waiters_clear(&space->contention, &contention->successors);
		contention->recall_lease = 0;
	}
	if (place->entry->handle != SHOAL_HANDLE_HELD || place->entry->flags & SHOAL_ENTRY_ADOPTED)
		return;
	place->entry->flags &= (uint8_t)~SHOAL_ENTRY_RECALLED;
	if (!(place->entry->flags & SHOAL_ENTRY_FRESH))
		shoal_holder_grant_to_waiting(space, place);
}

void shoal_holder_ask_again(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_contention *contention = shoal_place_contended(space, place);
	bool removing = place->entry->handle == SHOAL_HANDLE_REMOVING;
	struct shoal_message head = { .kind = removing ? SHOAL_REMOVE : SHOAL_LEASE_REQUEST,
		.class = place->class,
		.origin = space->config.self,
		.holder = SHOAL_MEMBER_NONE,
		.lease = place->lease->number,
		.request = place->lease->request,
		.incarnation = place->lease->incarnation };

	for (const struct shoal_wait *wait = contention && !removing ? contention->local_first : NULL; wait;
		wait = wait->next)
		head.flags |= wait->create ? SHOAL_MESSAGE_CREATE : 0;
	shoal_space_send_to_owner(space, place->entry->slot, &head, shoal_place_key(place), NULL, 0);
}

/* HELD or WAITING → REMOVING. */
static void send_remove(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_message head = { .kind = SHOAL_REMOVE,
		.class = place->class,
		.origin = space->config.self,
		.holder = SHOAL_MEMBER_NONE,
		.lease = place->lease->number,
		.request = place->lease->request,
		.incarnation = place->lease->incarnation };

	space->held -= place->entry->handle == SHOAL_HANDLE_HELD;
	space->waiting += place->entry->handle == SHOAL_HANDLE_HELD;
	place->entry->handle = SHOAL_HANDLE_REMOVING;
	place->entry->flags &= (uint8_t)~SHOAL_ENTRY_RECALLED;
	if (place->lease->contention)
		shoal_waiters_clear(&space->contention, &shoal_place_contention(space, place)->successors);
	if (!shoal_space_frozen(space)) /* else asked when the view is complete */
		shoal_space_send_to_owner(space, place->entry->slot, &head, shoal_place_key(place), NULL, 0);
}

void shoal_holder_remove(struct shoal_space *space, struct shoal_place *place)
{
	const struct shoal_entry *entry = place->entry;

	shoal_idle_disarm(space, place);
	if (!shoal_space_frozen(space) && shoal_slot_bit(space->keyspace.token, entry->slot) &&
		entry->record == SHOAL_RECORD_LEASED && entry->holder == space->config.self &&
		!place->lease->contention) {
		place->entry->record = SHOAL_RECORD_NONE;
		shoal_holder_let_go(space, place);
		shoal_place_tidy(space, place);
	} else {
		send_remove(space, place);
	}
}

/* --- Messages --- */

static void recalled(struct shoal_space *space, struct shoal_place *place)
{
	place->entry->flags |= SHOAL_ENTRY_RECALLED;
	shoal_place_contention(space, place)->keep = KEEP_FOR_QUEUED;
	shoal_holder_settle_later(space, place);
}

static void add_successors(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	struct shoal_contention *contention = shoal_place_contention(space, place);
	const struct shoal_waiter *waiters = shoal_message_waiters(message);

	for (unsigned i = 0; i < message->waiters; i++)
		shoal_waiters_add(&space->contention, &contention->successors, waiters[i]);
}

static void handle_recall(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	struct shoal_contention *contention;

	if (place->entry && place->entry->handle == SHOAL_HANDLE_HELD &&
		place->lease->incarnation == message->incarnation && place->lease->number == message->lease) {
		add_successors(space, place, message);
		recalled(space, place);
	} else if (place->entry && place->entry->handle == SHOAL_HANDLE_WAITING && !SHOAL_PLANT(4)) {
		/* It overtook the GRANT that it recalls [m 2]. */
		contention = shoal_place_contention(space, place);
		shoal_waiters_clear(&space->contention, &contention->successors);
		contention->recall_incarnation = message->incarnation;
		contention->recall_lease = message->lease;
		add_successors(space, place, message);
	} else {
		space->counters.stale_messages++;
	}
}

/* A GRANT to the key owner says PASSED as well. */
static void passed_too(struct shoal_space *space, const struct shoal_message *message)
{
	struct shoal_message *passed;
	uint32_t length = shoal_message_length(message->key_bytes, 0, 0);
	struct shoal_parked *parked = shoal_parked_get(&space->contention, length);

	passed = &parked->message;
	*passed = *message;
	passed->kind = SHOAL_PASSED;
	passed->length = (uint16_t)length;
	passed->flags = 0;
	passed->request = message->granted;
	passed->granted = message->request;
	passed->waiters = 0;
	passed->bytes = 0;
	memcpy(passed->body, message->body, shoal_message_pad(message->key_bytes));
	shoal_space_handle(space, space->config.self, passed);
	shoal_parked_put(&space->contention, parked);
}

/* Those who only wanted to find it learn that there was none. Whether somebody is left for whom to make it. */
static bool wanted(struct shoal_space *space, struct shoal_contention *contention)
{
	wake_waiting(space, contention, FINDERS, SHOAL_WAIT_GONE);
	return contention->local_first != NULL;
}

/* All who wanted the object made have given up. It is not made, and its life ends before anybody has seen it: who found it
 * later would find what its maker has not filled in. */
static void decline(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	place->lease->incarnation = message->incarnation;
	place->lease->number = message->lease;
	send_remove(space, place);
}

static void handle_grant(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	struct shoal_contention *contention;
	bool kept_recall, construct = message->flags & SHOAL_MESSAGE_CONSTRUCT;
	uint32_t lease_before = place->lease->number;

	if (!place->entry || place->entry->handle != SHOAL_HANDLE_WAITING) {
		space->counters.stale_messages++;
		return;
	}
	contention = shoal_place_contention(space, place);
	shoal_window_leave(space);
	if (construct && !wanted(space, contention)) {
		decline(space, place, message);
		return;
	}
	kept_recall =
		contention->recall_lease == message->lease && contention->recall_incarnation == message->incarnation;
	contention->recall_lease = 0;
	if (!kept_recall)
		shoal_waiters_clear(&space->contention, &contention->successors);
	if (!construct) {
		memcpy(shoal_place_object(place), shoal_message_waiters(message) + message->waiters, message->bytes);
		place->entry->used_ms = space->now_ms - message->age_ms;
	}
	add_successors(space, place, message);
	shoal_holder_install(space, place, message->incarnation, message->lease, construct);
	space->counters.leases_in += message->origin != space->config.self;
	if (kept_recall || message->waiters)
		recalled(space, place);
	if (place->entry->record == SHOAL_RECORD_LEASED || place->entry->record == SHOAL_RECORD_RECALLED)
		shoal_record_adopt_own_lease(space, place, lease_before, message->flags & SHOAL_MESSAGE_PASSED_TOO);
	else if (message->flags & SHOAL_MESSAGE_PASSED_TOO)
		passed_too(space, message);
	shoal_place_tidy(space, place);
}

static void handle_absent(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	const struct shoal_entry *entry = place->entry;
	bool no_room = message->flags & SHOAL_MESSAGE_NO_ROOM;

	if (!entry || entry->handle != SHOAL_HANDLE_WAITING || place->lease->request != message->request) {
		space->counters.stale_messages++;
		return;
	}
	shoal_window_leave(space);
	struct shoal_contention *contention = shoal_place_contention(space, place);
	/* Others may want it made, or have joined too late for this answer: let_go asks again for them. */
	wake_waiting(
		space, contention, no_room ? ALL : FINDERS_IN_TIME, no_room ? SHOAL_WAIT_NO_ROOM : SHOAL_WAIT_GONE);
	shoal_holder_let_go(space, place);
	shoal_place_tidy(space, place);
}

static void handle_removed(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	if (!place->entry || place->entry->handle != SHOAL_HANDLE_REMOVING ||
		place->lease->incarnation != message->incarnation) {
		space->counters.stale_messages++;
		return;
	}
	shoal_holder_let_go(space, place);
	shoal_place_tidy(space, place);
}

void shoal_holder_handle(struct shoal_space *space, const struct shoal_message *message)
{
	const void *key = shoal_message_key(message);
	struct shoal_place place =
		shoal_place_find(space, message->class, key, shoal_map_hash(&space->maps[message->class], key));

	switch (message->kind) {
	case SHOAL_RECALL:
		handle_recall(space, &place, message);
		break;
	case SHOAL_GRANT:
		handle_grant(space, &place, message);
		break;
	case SHOAL_ABSENT:
		handle_absent(space, &place, message);
		break;
	default:
		handle_removed(space, &place, message);
	}
}
