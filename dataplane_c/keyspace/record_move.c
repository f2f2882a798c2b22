/* SPDX-License-Identifier: BSD-3-Clause */
/* Records on their way to a slot's new owner, pulled one by one or swept, and messages that wait for them. */
#include <string.h>
#include "keyspace/record.h"
#include "object/map_inline.h"

struct shoal_message shoal_record_about(const struct shoal_space *space, const struct shoal_place *place, uint8_t kind)
{
	return (struct shoal_message){ .kind = kind,
		.class = place->class,
		.origin = space->config.self,
		.holder = SHOAL_MEMBER_NONE,
		.lease = place->lease->number,
		.incarnation = place->lease->incarnation };
}

bool shoal_record_here_while_moving(
	struct shoal_space *space, uint8_t class, const void *key, uint64_t hash, uint16_t slot)
{
	bool unswept = shoal_slot_bit(space->keyspace.unswept, slot);
	struct shoal_place place = shoal_place_find(space, class, key, hash);
	uint8_t record = place.entry ? place.entry->record : SHOAL_RECORD_NONE;

	/* SWEPT may overtake the answer to what was asked for after it had been sent: that is still waited for. */
	return record != SHOAL_RECORD_PULLING && (record != SHOAL_RECORD_NONE || !unswept);
}

void shoal_record_keep(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	struct shoal_contention *contention = shoal_place_contention(space, place);
	struct shoal_parked *parked = shoal_parked_get(&space->contention, message->length);

	memcpy(&parked->message, message, message->length);
	if (contention->parked_last)
		contention->parked_last->next = parked;
	else
		contention->parked_first = parked;
	contention->parked_last = parked;
	space->contention.parked++;
}

void shoal_record_pull(struct shoal_space *space, const struct shoal_message *message, uint64_t hash)
{
	const void *key = shoal_message_key(message);
	struct shoal_place place = shoal_place_make(space, message->class, key, hash);

	if (!place.entry) {
		shoal_space_forward(
			space, space->config.self, message); /* no room at the moment: again at the next poll */
		return;
	}
	if (place.entry->record == SHOAL_RECORD_NONE) {
		struct shoal_message head = shoal_record_about(space, &place, SHOAL_RECORD_REQUEST);

		place.entry->record = SHOAL_RECORD_PULLING;
		space->keyspace.pulling++;
		space->counters.pulls++;
		shoal_space_send(space, space->keyspace.owner[place.entry->slot], &head, key, NULL, 0, NULL, 0);
	}
	shoal_record_keep(space, &place, message);
}

/* What was parked is handled now, in order. */
void shoal_record_replay(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_contention *contention = shoal_place_contended(space, place);
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

void shoal_record_hand_over(struct shoal_space *space, struct shoal_place *place, uint8_t member)
{
	struct shoal_entry *entry = place->entry;
	struct shoal_message head = shoal_record_about(space, place, SHOAL_RECORD_MOVED);
	struct shoal_contention *contention = shoal_place_contended(space, place);
	struct shoal_waiter waiters[SHOAL_MEMBERS_MAX];
	unsigned count =
		contention ? shoal_waiters_copy(&space->contention, contention->waiters, waiters, SHOAL_MEMBERS_MAX)
			   : 0;
	bool bytes = entry->record == SHOAL_RECORD_FREE || entry->record == SHOAL_RECORD_SHARED;

	head.holder = entry->holder;
	head.method = entry->record;
	head.age_ms = space->now_ms - entry->used_ms;
	if (contention) {
		head.granted = contention->missing;
		contention->missing = 0;
		shoal_waiters_clear(&space->contention, &contention->waiters);
	}
	shoal_space_send(space, member, &head, shoal_place_key(place), waiters, count,
		bytes ? shoal_place_object(place) : NULL, bytes ? place->map->class->object_bytes : 0);
	space->counters.records_out++;
	entry->record = SHOAL_RECORD_NONE;
	entry->holder = SHOAL_MEMBER_NONE;
	entry->flags &= (uint8_t)~SHOAL_ENTRY_MAIL;
	if (bytes) {
		space->counters.bytes_out += place->map->class->object_bytes;
		shoal_idle_disarm(space, place);
		shoal_place_mailed(space, place, member);
	}
	/* A message that waited for a PASSED goes after the record. */
	for (struct shoal_parked *parked = contention ? contention->parked_first : NULL, *next; parked; parked = next) {
		next = parked->next;
		shoal_space_forward(space, member, &parked->message);
		shoal_parked_put(&space->contention, parked);
		space->contention.parked--;
	}
	if (contention)
		contention->parked_first = contention->parked_last = NULL;
	shoal_place_tidy(space, place);
}

/* Its packets come here next, so its first use need not ask: it might find the token gone again. Nobody else waits for it. */
static bool used_here(const struct shoal_space *space, const struct shoal_place *place)
{
	return space->keyspace.markers_come && place->map->class->steering &&
	       place->entry->record == SHOAL_RECORD_FREE && place->entry->handle == SHOAL_HANDLE_ABSENT &&
	       !place->lease->contention && shoal_slot_bit(space->keyspace.token, place->entry->slot);
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
	space->keyspace.pulling -= place.entry->record == SHOAL_RECORD_PULLING;
	place.entry->record = (uint8_t)message->method;
	place.entry->holder = message->holder;
	held = place.entry->handle == SHOAL_HANDLE_HELD || place.entry->handle == SHOAL_HANDLE_REMOVING;
	if (!held) {
		place.lease->incarnation = message->incarnation;
		place.lease->number = message->lease;
	}
	if (message->bytes && !(SHOAL_PLANT(3) && message->method == SHOAL_RECORD_SHARED)) {
		memcpy(shoal_place_object(&place), waiters + message->waiters, message->bytes);
		place.entry->used_ms = space->now_ms - message->age_ms;
		if (place.entry->record == SHOAL_RECORD_FREE)
			shoal_idle_arm(space, &place, 0);
	}
	for (unsigned i = 0; i < message->waiters; i++)
		shoal_waiters_add(&space->contention, &shoal_place_contention(space, &place)->waiters, waiters[i]);
	if (message->granted)
		shoal_place_contention(space, &place)->missing += message->granted;
	if (held)
		shoal_record_adopt_own_lease(space, &place, message->lease, false);
	else if (used_here(space, &place))
		(void)shoal_record_grant_here(space, &place, false);
	shoal_record_replay(space, &place);
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
	space->keyspace.pulling--;
	shoal_record_replay(space, &place);
}
