/* SPDX-License-Identifier: BSD-3-Clause */
/* The key owner's side: one record for each key of a slot whose token is here (dso.md, "Single-writer objects"). Requests
 * on one key are served one after the other; a message older than the record, by (incarnation, lease), changes nothing. */
#include <string.h>
#include "keyspace/record.h"
#include "object/map_inline.h"

/* --- Granting --- */

/* Draws a new incarnation; the record is LEASED to `member`, nothing is sent. */
static void begin_life(struct shoal_space *space, struct shoal_place *place, uint8_t member)
{
	place->lease->incarnation = ++space->keyspace.incarnation[place->entry->slot];
	place->lease->number = 1;
	place->entry->record = SHOAL_RECORD_LEASED;
	place->entry->holder = member;
}

/* All who wait are told to the holder, in order; returns how many. */
static unsigned tell_waiters(struct shoal_space *space, struct shoal_place *place, struct shoal_waiter *told)
{
	struct shoal_contention *contention = shoal_place_contended(space, place);
	unsigned count =
		contention ? shoal_waiters_copy(&space->contention, contention->waiters, told, SHOAL_MEMBERS_MAX) : 0;

	if (!count)
		return 0;
	for (uint32_t node = contention->waiters; node; node = space->contention.nodes[node].next)
		space->contention.nodes[node].waiter.flags |= SHOAL_WAITER_TOLD;
	place->entry->record = SHOAL_RECORD_RECALLED;
	return count;
}

/* Sends the GRANT for the lease that the record now says `to` has. */
static void grant(struct shoal_space *space, struct shoal_place *place, struct shoal_waiter to, bool construct)
{
	struct shoal_message head = shoal_record_about(space, place, SHOAL_GRANT);
	struct shoal_waiter after[SHOAL_MEMBERS_MAX];
	unsigned count = tell_waiters(space, place, after);

	head.flags = construct ? SHOAL_MESSAGE_CONSTRUCT : 0;
	head.holder = to.member;
	head.request = to.request;
	head.age_ms = construct ? 0 : space->now_ms - place->entry->used_ms;
	if (!construct && to.member != space->config.self) {
		space->counters.leases_out++;
		space->counters.bytes_out += place->map->class->object_bytes;
	}
	shoal_space_send(space, to.member, &head, shoal_place_key(place), after, count,
		construct ? NULL : shoal_place_object(place), construct ? 0 : place->map->class->object_bytes);
	if (!construct)
		shoal_place_mailed(space, place, to.member);
	if (place->entry->handle != SHOAL_HANDLE_HELD)
		shoal_idle_disarm(space, place);
}

/* FREE → LEASED to `to`. */
static void grant_free(struct shoal_space *space, struct shoal_place *place, struct shoal_waiter to)
{
	place->lease->number++;
	place->entry->record = SHOAL_RECORD_LEASED;
	place->entry->holder = to.member;
	grant(space, place, to, false);
}

static void answer_absent(
	struct shoal_space *space, uint8_t class, const void *key, struct shoal_waiter to, uint8_t flags)
{
	struct shoal_message head = { .kind = SHOAL_ABSENT,
		.class = class,
		.flags = flags,
		.origin = space->config.self,
		.holder = SHOAL_MEMBER_NONE,
		.request = to.request };

	shoal_space_send(space, to.member, &head, key, NULL, 0, NULL, 0);
}

bool shoal_record_grant_here(struct shoal_space *space, struct shoal_place *place, bool create)
{
	switch (place->entry->record) {
	case SHOAL_RECORD_NONE:
		if (!create)
			return false;
		begin_life(space, place, space->config.self);
		shoal_holder_install(space, place, place->lease->incarnation, 1, true);
		return true;
	case SHOAL_RECORD_FREE:
		place->entry->record = SHOAL_RECORD_LEASED;
		place->entry->holder = space->config.self;
		shoal_holder_install(space, place, place->lease->incarnation, place->lease->number + 1, false);
		return true;
	default:
		return false;
	}
}

/* --- Messages to the key owner --- */

static void recall(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_message head = shoal_record_about(space, place, SHOAL_RECALL);
	struct shoal_waiter told[SHOAL_MEMBERS_MAX];
	unsigned count = tell_waiters(space, place, told);

	shoal_space_send(space, place->entry->holder, &head, shoal_place_key(place), told, count, NULL, 0);
}

/* After any change of the holder or of those who wait. As long as the holder, or who comes after it, knows of one of them, a
 * PASSED of theirs will come and this is looked at again; a waiter that has been served and not been struck yet is among
 * those, for the message that strikes it is on its way. */
static void settle_waiters(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_contention *contention = shoal_place_contended(space, place);

	place->entry->record = SHOAL_RECORD_LEASED;
	if (!contention || !contention->waiters)
		return;
	for (uint32_t node = contention->waiters; node; node = space->contention.nodes[node].next) {
		if (space->contention.nodes[node].waiter.flags & SHOAL_WAITER_TOLD) {
			place->entry->record = SHOAL_RECORD_RECALLED;
			return;
		}
	}
	recall(space, place);
}

/* Somebody else has the object. */
static void wait_in_line(struct shoal_space *space, struct shoal_place *place, struct shoal_waiter waiter)
{
	struct shoal_contention *contention = shoal_place_contention(space, place);

	shoal_waiters_add(&space->contention, &contention->waiters, waiter);
	settle_waiters(space, place);
}

static void handle_request(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	bool create = message->flags & SHOAL_MESSAGE_CREATE;
	struct shoal_waiter from = {
		.member = message->origin, .flags = create ? SHOAL_WAITER_CREATE : 0, .request = message->request
	};

	if (!place->entry || place->entry->record == SHOAL_RECORD_NONE) {
		if (create && !place->entry)
			*place = shoal_place_make(space, message->class, shoal_message_key(message),
				shoal_map_hash(&space->maps[message->class], shoal_message_key(message)));
		if (!create || !place->entry) {
			answer_absent(space, message->class, shoal_message_key(message), from,
				create ? SHOAL_MESSAGE_NO_ROOM : 0);
			return;
		}
		begin_life(space, place, from.member);
		grant(space, place, from, true);
	} else if (place->entry->record == SHOAL_RECORD_FREE) {
		grant_free(space, place, from);
	} else {
		wait_in_line(space, place, from);
	}
}

void shoal_record_wait_here(struct shoal_space *space, struct shoal_place *place, bool create)
{
	const struct shoal_waiter from = { .member = space->config.self,
		.flags = create ? SHOAL_WAITER_CREATE : 0,
		.request = place->lease->request };

	wait_in_line(space, place, from);
}

/* Whoever has had the lease has been served up to that request [m 7]; also where the message itself is out of date. */
static void strike(struct shoal_space *space, struct shoal_place *place, uint8_t member, uint32_t request)
{
	struct shoal_contention *contention = place->entry ? shoal_place_contended(space, place) : NULL;

	if (contention)
		shoal_waiters_strike(&space->contention, &contention->waiters, member, request);
}

/* Whether the message speaks of the record's present life. */
static bool same_life(const struct shoal_place *place, const struct shoal_message *message)
{
	return shoal_record_leased(place) && place->lease->incarnation == message->incarnation;
}

/* The record hears of a lease. The PASSED of those in between, and of this one where `accounted` is unset, are still to
 * come. */
static void advance(struct shoal_space *space, struct shoal_place *place, uint32_t lease, bool accounted)
{
	uint32_t missing = lease - place->lease->number - accounted;

	if (missing)
		shoal_place_contention(space, place)->missing += missing;
	place->lease->number = lease;
}

static uint32_t missing(struct shoal_space *space, const struct shoal_place *place)
{
	struct shoal_contention *contention = shoal_place_contended(space, place);

	return contention ? contention->missing : 0;
}

static void copy_returned(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	memcpy(shoal_place_object(place), shoal_message_waiters(message) + message->waiters, message->bytes);
	place->entry->used_ms = space->now_ms - message->age_ms;
}

/* The object is here, and nobody's. */
static void become_free(struct shoal_place *place)
{
	__atomic_store_n(&place->entry->record, SHOAL_RECORD_FREE, __ATOMIC_RELEASE);
	place->entry->holder = SHOAL_MEMBER_NONE;
	place->entry->flags &= (uint8_t)~SHOAL_ENTRY_MAIL;
}

/* The holder gives the lease up. Until every PASSED before it has come, some of those who wait here may have been served
 * already, and would be granted twice: then the message waits. Returns whether it may be applied now. */
static bool ends_lease(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	if (shoal_request_after(message->lease, place->lease->number)) {
		advance(space, place, message->lease, false);
		place->entry->holder = message->origin;
	}
	if (!missing(space, place))
		return true;
	shoal_record_keep(space, place, message);
	/* Its sender counts it as delivered: should this worker die now, the object is found in the slab. */
	if (message->kind == SHOAL_RETURN && !SHOAL_PLANT(SHOAL_PLANT_RETURN_NOT_KEPT)) {
		copy_returned(space, place, message);
		__atomic_store_n(&place->entry->flags, place->entry->flags | SHOAL_ENTRY_MAIL, __ATOMIC_RELEASE);
	}
	return false;
}

/* A GRANT told me of a lease of my own: does a PASSED say the same later? */
void shoal_record_adopt_own_lease(
	struct shoal_space *space, struct shoal_place *place, uint32_t lease_before, bool passed_too)
{
	uint32_t lease = place->lease->number;

	if (!shoal_record_leased(place))
		return;
	strike(space, place, space->config.self, place->lease->request);
	place->entry->holder = space->config.self;
	if (shoal_request_after(lease, lease_before)) {
		place->lease->number = lease_before;
		advance(space, place, lease, passed_too);
	}
	settle_waiters(space, place);
}

static void handle_passed(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	strike(space, place, message->origin, message->request);
	strike(space, place, message->holder, message->granted);
	if (!same_life(place, message)) {
		space->counters.stale_messages++;
		shoal_place_tidy(space, place);
		return;
	}
	if (shoal_request_after(message->lease, place->lease->number)) {
		advance(space, place, message->lease, true);
		place->entry->holder = message->holder;
	} else {
		space->counters.stale_messages++;
		shoal_place_contention(space, place)->missing--;
	}
	settle_waiters(space, place);
	if (missing(space, place))
		return;
	shoal_record_replay(space, place);
}

static void handle_return(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	struct shoal_contention *contention;
	struct shoal_waiter next;

	strike(space, place, message->origin, message->request);
	if (!same_life(place, message) || shoal_request_after(place->lease->number, message->lease) ||
		!message->bytes) {
		space->counters.stale_messages++;
		return;
	}
	if (!ends_lease(space, place, message))
		return;
	copy_returned(space, place, message);
	become_free(place);
	contention = shoal_place_contended(space, place);
	if (contention && shoal_waiters_pop(&space->contention, &contention->waiters, &next))
		grant_free(space, place, next);
	else
		shoal_idle_arm(space, place, 0);
	shoal_place_tidy(space, place);
}

bool shoal_record_returned_while_frozen(struct shoal_space *space, const struct shoal_message *message)
{
	const void *key = shoal_message_key(message);
	struct shoal_place place =
		shoal_place_find(space, message->class, key, shoal_map_hash(&space->maps[message->class], key));

	if (!same_life(&place, message) || shoal_request_after(place.lease->number, message->lease) ||
		!message->bytes || !shoal_slot_bit(space->keyspace.token, place.entry->slot) ||
		place.entry->handle == SHOAL_HANDLE_HELD || place.entry->handle == SHOAL_HANDLE_REMOVING ||
		SHOAL_PLANT(SHOAL_PLANT_RETURN_NOT_KEPT))
		return false;
	copy_returned(space, &place, message);
	place.lease->number = message->lease;
	become_free(&place);
	return true;
}

/* The life has ended: those who would make it anew go on, the others learn that it is gone. */
static void serve_after_end(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_contention *contention = shoal_place_contended(space, place);
	struct shoal_waiter first = { .member = SHOAL_MEMBER_NONE }, waiter;
	uint32_t creators = 0;

	while (contention && shoal_waiters_pop(&space->contention, &contention->waiters, &waiter)) {
		waiter.flags &= (uint8_t)~SHOAL_WAITER_TOLD;
		if (!(waiter.flags & SHOAL_WAITER_CREATE))
			answer_absent(space, place->class, shoal_place_key(place), waiter, 0);
		else if (first.member == SHOAL_MEMBER_NONE)
			first = waiter;
		else
			shoal_waiters_add(&space->contention, &creators, waiter);
	}
	if (first.member == SHOAL_MEMBER_NONE)
		return;
	contention->waiters = creators;
	begin_life(space, place, first.member);
	grant(space, place, first, true);
}

static void handle_remove(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	struct shoal_message head = { .kind = SHOAL_REMOVED,
		.class = message->class,
		.origin = space->config.self,
		.holder = SHOAL_MEMBER_NONE,
		.incarnation = message->incarnation };

	strike(space, place, message->origin, message->request);
	if (!same_life(place, message) || shoal_request_after(place->lease->number, message->lease)) {
		space->counters.stale_messages++;
		shoal_space_send(space, message->origin, &head, shoal_message_key(message), NULL, 0, NULL, 0);
		return;
	}
	if (!ends_lease(space, place, message))
		return;
	place->entry->record = SHOAL_RECORD_NONE;
	place->entry->holder = SHOAL_MEMBER_NONE;
	/* My own handle is in the same entry, which is about to begin another life: it lets go at once. */
	if (message->origin == space->config.self)
		shoal_holder_let_go(space, place);
	else
		shoal_space_send(space, message->origin, &head, shoal_message_key(message), NULL, 0, NULL, 0);
	serve_after_end(space, place);
	shoal_place_tidy(space, place);
}

void shoal_record_handle(struct shoal_space *space, const struct shoal_message *message)
{
	const void *key = shoal_message_key(message);
	struct shoal_place place =
		shoal_place_find(space, message->class, key, shoal_map_hash(&space->maps[message->class], key));

	switch (message->kind) {
	case SHOAL_LEASE_REQUEST:
		handle_request(space, &place, message);
		break;
	case SHOAL_PASSED:
		handle_passed(space, &place, message);
		break;
	case SHOAL_RETURN:
		handle_return(space, &place, message);
		break;
	default:
		handle_remove(space, &place, message);
	}
}
