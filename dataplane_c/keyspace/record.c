/* SPDX-License-Identifier: BSD-3-Clause */
/* The key owner's side: one record for each key of a slot whose token is here (dso.md, "Single-writer objects"). Requests
 * on one key are served one after the other; a message older than the record, by (incarnation, lease), changes nothing. */
#include <string.h>
#include "object/map_inline.h"
#include "object/space.h"

static struct shoal_contention *contention_of(struct shoal_space *space, const struct shoal_place *place)
{
	return place->cold->contention ? &space->contention.contentions[place->cold->contention] : NULL;
}

static struct shoal_message about(const struct shoal_space *space, const struct shoal_place *place, uint8_t kind)
{
	return (struct shoal_message){ .kind = kind,
		.class = place->class,
		.origin = space->config.self,
		.holder = SHOAL_MEMBER_NONE,
		.lease = place->cold->lease,
		.incarnation = place->cold->incarnation };
}

bool shoal_record_here(struct shoal_space *space, uint8_t class, const void *key, uint64_t hash, uint16_t slot)
{
	if (SHOAL_LIKELY(!shoal_slot_bit(space->keyspace.unswept, slot)) || SHOAL_PLANT(3))
		return true;
	struct shoal_place place = shoal_place_find(space, class, key, hash);

	return place.entry && place.entry->record != SHOAL_RECORD_NONE && place.entry->record != SHOAL_RECORD_PULLING;
}

void shoal_record_pull(struct shoal_space *space, const struct shoal_message *message, uint64_t hash)
{
	const void *key = shoal_message_key(message);
	struct shoal_place place = shoal_place_make(space, message->class, key, hash);
	struct shoal_contention *contention;
	struct shoal_parked *parked;

	if (!place.entry) {
		shoal_space_forward(space, space->config.self, message); /* no room at the moment: again at the next poll */
		return;
	}
	if (place.entry->record == SHOAL_RECORD_NONE) {
		struct shoal_message head = about(space, &place, SHOAL_RECORD_REQUEST);

		place.entry->record = SHOAL_RECORD_PULLING;
		space->counters.pulls++;
		shoal_space_send(space, space->keyspace.owner[place.entry->slot], &head, key, NULL, 0, NULL, 0);
	}
	contention = shoal_place_contention(space, &place);
	parked = shoal_parked_get(&space->contention, message->length);
	memcpy(&parked->message, message, message->length);
	if (contention->parked_last)
		contention->parked_last->next = parked;
	else
		contention->parked_first = parked;
	contention->parked_last = parked;
	space->contention.parked++;
}

/* --- Granting --- */

/* Draws a new incarnation; the record is LEASED to `member`, nothing is sent. */
static void begin_life(struct shoal_space *space, struct shoal_place *place, uint8_t member)
{
	place->cold->incarnation = ++space->keyspace.incarnation[place->entry->slot];
	place->cold->lease = 1;
	place->entry->record = SHOAL_RECORD_LEASED;
	place->entry->holder = member;
}

/* All who wait are told to the holder, in order; returns how many. */
static unsigned tell_waiters(struct shoal_space *space, struct shoal_place *place, struct shoal_waiter *told)
{
	struct shoal_contention *contention = contention_of(space, place);
	unsigned count = contention ? shoal_waiters_copy(&space->contention, contention->waiters, told, SHOAL_MEMBERS_MAX) : 0;

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
	struct shoal_message head = about(space, place, SHOAL_GRANT);
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
	if (place->entry->handle != SHOAL_HANDLE_HELD)
		shoal_idle_disarm(space, place);
}

/* FREE → LEASED to `to`. */
static void grant_free(struct shoal_space *space, struct shoal_place *place, struct shoal_waiter to)
{
	place->cold->lease++;
	place->entry->record = SHOAL_RECORD_LEASED;
	place->entry->holder = to.member;
	grant(space, place, to, false);
}

static void answer_absent(struct shoal_space *space, uint8_t class, const void *key, struct shoal_waiter to, uint8_t flags)
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
		shoal_holder_install(space, place, place->cold->incarnation, 1, true);
		return true;
	case SHOAL_RECORD_FREE:
		place->entry->record = SHOAL_RECORD_LEASED;
		place->entry->holder = space->config.self;
		shoal_holder_install(space, place, place->cold->incarnation, place->cold->lease + 1, false);
		return true;
	default:
		return false;
	}
}

/* --- Messages to the key owner --- */

static void recall(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_message head = about(space, place, SHOAL_RECALL);
	struct shoal_waiter told[SHOAL_MEMBERS_MAX];
	unsigned count = tell_waiters(space, place, told);

	shoal_space_send(space, place->entry->holder, &head, shoal_place_key(place), told, count, NULL, 0);
}

static void handle_request(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	bool create = message->flags & SHOAL_MESSAGE_CREATE;
	struct shoal_waiter from = { .member = message->origin,
		.flags = create ? SHOAL_WAITER_CREATE : 0,
		.request = message->request };

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
		struct shoal_contention *contention = shoal_place_contention(space, place);

		shoal_waiters_add(&space->contention, &contention->waiters, from);
		if (place->entry->record == SHOAL_RECORD_LEASED)
			recall(space, place);
	}
}

/* Whoever has had the lease has been served up to that request [m 7]; also where the message itself is out of date. */
static void strike(struct shoal_space *space, struct shoal_place *place, uint8_t member, uint32_t request)
{
	struct shoal_contention *contention = place->entry ? contention_of(space, place) : NULL;

	if (contention && !SHOAL_PLANT(8))
		shoal_waiters_strike(&space->contention, &contention->waiters, member, request);
}

/* Whether the message speaks of the record's present life and of no older lease than the record. */
static bool current(const struct shoal_place *place, const struct shoal_message *message, uint32_t at_least)
{
	return place->entry &&
		(place->entry->record == SHOAL_RECORD_LEASED || place->entry->record == SHOAL_RECORD_RECALLED) &&
		place->cold->incarnation == message->incarnation && (int32_t)(message->lease - at_least) >= 0;
}

/* After a change of holder: who still waits, and does the holder know? */
static void settle_waiters(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_contention *contention = contention_of(space, place);

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

void shoal_record_adopt_own_lease(struct shoal_space *space, struct shoal_place *place, uint8_t before, uint32_t before_request)
{
	if (place->entry->record != SHOAL_RECORD_LEASED && place->entry->record != SHOAL_RECORD_RECALLED)
		return;
	if (before != SHOAL_MEMBER_NONE)
		strike(space, place, before, before_request);
	strike(space, place, space->config.self, place->cold->request);
	place->entry->holder = space->config.self;
	settle_waiters(space, place);
}

static void handle_passed(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	strike(space, place, message->origin, message->request);
	strike(space, place, message->holder, message->granted);
	if (!current(place, message, place->entry ? place->cold->lease + 1 : 0) && !(SHOAL_PLANT(6) && place->entry)) {
		space->counters.stale_messages++;
		return;
	}
	place->cold->lease = message->lease;
	place->entry->holder = message->holder;
	settle_waiters(space, place);
	shoal_place_tidy(space, place);
}

static void handle_return(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	struct shoal_contention *contention;
	struct shoal_waiter next;

	strike(space, place, message->origin, message->request);
	if (!current(place, message, place->entry ? place->cold->lease : 0) || !message->bytes) {
		space->counters.stale_messages++;
		return;
	}
	place->cold->lease = message->lease;
	place->entry->record = SHOAL_RECORD_FREE;
	place->entry->holder = SHOAL_MEMBER_NONE;
	place->entry->used_ms = space->now_ms - message->age_ms;
	memcpy(shoal_place_object(place), shoal_message_waiters(message) + message->waiters, message->bytes);
	contention = contention_of(space, place);
	if (contention && shoal_waiters_pop(&space->contention, &contention->waiters, &next)) {
		grant_free(space, place, next);
	} else {
		shoal_idle_arm(space, place, 0);
	}
	shoal_place_tidy(space, place);
}

/* The life has ended: those who would make it anew go on, the others learn that it is gone. */
static void serve_after_end(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_contention *contention = contention_of(space, place);
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
	if (current(place, message, place->entry ? place->cold->lease : 0)) {
		place->entry->record = SHOAL_RECORD_NONE;
		place->entry->holder = SHOAL_MEMBER_NONE;
		/* My own handle is in the same entry, which is about to begin another life: it lets go at once. */
		if (message->origin == space->config.self)
			shoal_holder_let_go(space, place);
		else
			shoal_space_send(space, message->origin, &head, shoal_message_key(message), NULL, 0, NULL, 0);
		serve_after_end(space, place);
		shoal_place_tidy(space, place);
		return;
	}
	space->counters.stale_messages++;
	shoal_space_send(space, message->origin, &head, shoal_message_key(message), NULL, 0, NULL, 0);
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

/* --- Records on their way to a slot's new owner --- */

void shoal_record_hand_over(struct shoal_space *space, struct shoal_place *place, uint8_t member)
{
	struct shoal_entry *entry = place->entry;
	struct shoal_message head = about(space, place, SHOAL_RECORD_MOVED);
	struct shoal_contention *contention = contention_of(space, place);
	struct shoal_waiter waiters[SHOAL_MEMBERS_MAX];
	unsigned count = contention ? shoal_waiters_copy(&space->contention, contention->waiters, waiters, SHOAL_MEMBERS_MAX) : 0;
	bool bytes = entry->record == SHOAL_RECORD_FREE || entry->record == SHOAL_RECORD_SHARED;

	head.holder = entry->holder;
	head.method = entry->record;
	head.age_ms = space->now_ms - entry->used_ms;
	if (contention)
		shoal_waiters_clear(&space->contention, &contention->waiters);
	shoal_space_send(space, member, &head, shoal_place_key(place), waiters, count,
		bytes ? shoal_place_object(place) : NULL, bytes ? place->map->class->object_bytes : 0);
	space->counters.records_out++;
	entry->record = SHOAL_RECORD_NONE;
	entry->holder = SHOAL_MEMBER_NONE;
	if (bytes)
		shoal_idle_disarm(space, place);
	shoal_place_tidy(space, place);
}

/* What was parked until the record came is handled now, in order, whether there is a record or not. */
static void replay(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_contention *contention = contention_of(space, place);
	struct shoal_parked *parked = contention ? contention->parked_first : NULL;

	if (contention)
		contention->parked_first = contention->parked_last = NULL;
	shoal_place_tidy(space, place);
	while (parked) {
		struct shoal_parked *next = parked->next;

		if (parked->message.kind == SHOAL_CALL)
			shoal_call_apply(space, &parked->message);
		else
			shoal_record_handle(space, &parked->message);
		shoal_parked_put(&space->contention, parked);
		space->contention.parked--;
		parked = next;
	}
}

void shoal_record_moved(struct shoal_space *space, uint8_t from, const struct shoal_message *message)
{
	const void *key = shoal_message_key(message);
	const struct shoal_waiter *waiters = shoal_message_waiters(message);
	struct shoal_place place =
		shoal_place_make(space, message->class, key, shoal_map_hash(&space->maps[message->class], key));
	bool held;

	if (!place.entry) {
		shoal_space_forward(space, space->config.self, message); /* room was promised: wait for it */
		return;
	}
	if (place.entry->record != SHOAL_RECORD_NONE && place.entry->record != SHOAL_RECORD_PULLING) {
		space->counters.stale_messages++;
		return;
	}
	space->counters.records_in++;
	place.entry->record = (uint8_t)message->method;
	place.entry->holder = message->holder;
	held = place.entry->handle == SHOAL_HANDLE_HELD || place.entry->handle == SHOAL_HANDLE_REMOVING;
	if (!held) {
		place.cold->incarnation = message->incarnation;
		place.cold->lease = message->lease;
	}
	if (message->bytes) {
		memcpy(shoal_place_object(&place), waiters + message->waiters, message->bytes);
		place.entry->used_ms = space->now_ms - message->age_ms;
		if (place.entry->record == SHOAL_RECORD_FREE)
			shoal_idle_arm(space, &place, 0);
	}
	for (unsigned i = 0; i < message->waiters; i++)
		shoal_waiters_add(&space->contention, &shoal_place_contention(space, &place)->waiters, waiters[i]);
	if (held)
		shoal_record_adopt_own_lease(space, &place, SHOAL_MEMBER_NONE, 0);
	replay(space, &place);
}

void shoal_record_absent(struct shoal_space *space, const struct shoal_message *message)
{
	const void *key = shoal_message_key(message);
	struct shoal_place place =
		shoal_place_find(space, message->class, key, shoal_map_hash(&space->maps[message->class], key));

	/* A record may have come in between, by the sweep; it is then known, and this answer says nothing new. */
	if (!place.entry || place.entry->record != SHOAL_RECORD_PULLING)
		return;
	place.entry->record = SHOAL_RECORD_NONE;
	replay(space, &place);
}
