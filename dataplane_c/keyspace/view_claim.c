/* SPDX-License-Identifier: BSD-3-Clause */
/* How a slot's owner puts its records together from what survivors report. For each key the highest (incarnation, lease)
 * counts; at the same lease a live holder, or a record with its object, beats mail. Whoever claimed in vain is told to drop. */
#include <string.h>
#include "keyspace/view.h"
#include "object/map_inline.h"
#include "object/space.h"

static bool here(const struct shoal_place *place)
{
	return place->entry->handle == SHOAL_HANDLE_HELD || place->entry->handle == SHOAL_HANDLE_REMOVING;
}

static bool leased(const struct shoal_place *place)
{
	return place->entry->record == SHOAL_RECORD_LEASED || place->entry->record == SHOAL_RECORD_RECALLED;
}

/* Its holder is the last one known; NONE: known to have had no object yet. */
static bool unclaimed(const struct shoal_place *place)
{
	return leased(place) && place->entry->flags & SHOAL_ENTRY_UNCLAIMED;
}

/* Every record of the slot was known here before the death: one that is not has been removed. */
static bool complete(const struct shoal_space *space, uint16_t slot)
{
	return !shoal_slot_bit(space->view.minted, slot) && !shoal_slot_bit(space->keyspace.unswept, slot);
}

/* < 0: older than what the entry says, 0: the same, > 0: newer. */
static int compare_lease(uint64_t incarnation, uint32_t lease, const struct shoal_place *place)
{
	if (incarnation != place->lease->incarnation)
		return incarnation > place->lease->incarnation ? 1 : -1;
	if (lease == place->lease->number)
		return 0;
	return shoal_request_after(lease, place->lease->number) ? 1 : -1;
}

static int compare(const struct shoal_message *message, const struct shoal_place *place)
{
	return compare_lease(message->incarnation, message->lease, place);
}

static void set(struct shoal_place *place, const struct shoal_message *message, unsigned record, uint8_t holder)
{
	place->entry->record = (uint8_t)record;
	place->entry->holder = holder;
	place->entry->flags &= (uint8_t) ~(SHOAL_ENTRY_MAIL | SHOAL_ENTRY_BACK | SHOAL_ENTRY_UNCLAIMED);
	place->lease->incarnation = message->incarnation;
	place->lease->number = message->lease;
}

/* What the record knew to be newer may still be claimed; else it is rolled back. */
static void went_back(struct shoal_place *place, int order)
{
	if (order < 0)
		place->entry->flags |= SHOAL_ENTRY_BACK;
}

static void tell_to_drop(struct shoal_space *space, const struct shoal_place *place, uint8_t member,
	uint64_t incarnation, uint32_t lease)
{
	struct shoal_message head = { .kind = SHOAL_VIEW_DROP,
		.class = place->class,
		.origin = space->config.self,
		.holder = SHOAL_MEMBER_NONE,
		.lease = lease,
		.request = (uint32_t)space->view.number,
		.incarnation = incarnation };

	space->view.told_to_drop = true;
	shoal_space_send(space, member, &head, shoal_place_key(place), NULL, 0, NULL, 0);
}

static struct shoal_place place_of(struct shoal_space *space, const struct shoal_message *message)
{
	const void *key = shoal_message_key(message);

	return shoal_place_make(space, message->class, key, shoal_map_hash(&space->maps[message->class], key));
}

/* The last known holder has been beaten: somebody has a newer lease, so that nothing is lost with what it had. */
static void supersede(struct shoal_space *space, struct shoal_place *place)
{
	if (here(place))
		shoal_holder_let_go(space, place);
	else if (leased(place) && !unclaimed(place))
		tell_to_drop(space, place, place->entry->holder, place->lease->incarnation, place->lease->number);
}

/* Others may have reported before the adopter's turn came: what they said for the key counts as it would against a claim. */
static bool beats_reports(const struct shoal_space *space, const struct shoal_place *place, bool same_life, int order)
{
	if (here(place))
		return order > 0; /* it came to me from the dead, or another one of them had it later */
	if (place->entry->record == SHOAL_RECORD_NONE)
		return !shoal_slot_bit(space->keyspace.token, place->entry->slot) ||
		       !complete(space, place->entry->slot);
	if (unclaimed(place))
		return order > 0 || same_life;
	return order > 0 || (order == 0 && (place->entry->flags & SHOAL_ENTRY_MAIL));
}

bool shoal_view_may_adopt(struct shoal_space *space, struct shoal_place *place, const struct shoal_entry_lease *adopted)
{
	int order = compare_lease(adopted->incarnation, adopted->number, place);

	if (!beats_reports(space, place, adopted->incarnation == place->lease->incarnation, order) &&
		!SHOAL_PLANT(SHOAL_PLANT_LOWER_LEASE_ADOPTED)) {
		space->view.told_to_drop = true;
		return false;
	}
	if (here(place))
		return true;
	supersede(space, place);
	place->entry->flags &= (uint8_t) ~(SHOAL_ENTRY_MAIL | SHOAL_ENTRY_BACK);
	if (place->entry->record == SHOAL_RECORD_NONE)
		return true;
	if (leased(place))
		went_back(place, order);
	/* Its bytes, if they are here, do not count any more before others are written over them. */
	place->entry->flags |= SHOAL_ENTRY_UNCLAIMED;
	place->entry->holder = space->config.self;
	__atomic_store_n(&place->entry->record, SHOAL_RECORD_LEASED, __ATOMIC_RELEASE);
	return true;
}

void shoal_view_unclaim(struct shoal_space *space)
{
	for (uint8_t class = 0; class < space->config.classes_count; class ++) {
		for (uint32_t index = 1; index < space->maps[class].high_water; index++) {
			struct shoal_place place = shoal_place_at(space, class, index);

			if (!leased(&place))
				continue;
			place.entry->record = SHOAL_RECORD_LEASED;
			place.entry->flags |= SHOAL_ENTRY_UNCLAIMED;
		}
	}
}

void shoal_view_claim(struct shoal_space *space, const struct shoal_message *claim)
{
	struct shoal_place place = place_of(space, claim);
	uint8_t claimer = claim->holder;
	bool mine = claimer == space->config.self;
	int order;

	if (!place.entry)
		return; /* no room: the holder keeps what it has, and asks for room when it gives it back */
	order = compare(claim, &place);
	if (mine && here(&place)) {
		/* What was adopted may be older than what the record knew. */
		uint8_t back = place.entry->flags & SHOAL_ENTRY_BACK;

		if (order == 0)
			set(&place, claim, SHOAL_RECORD_LEASED, claimer);
		place.entry->flags |= back;
	} else if (place.entry->record == SHOAL_RECORD_NONE && !here(&place)) {
		if (complete(space, place.entry->slot))
			tell_to_drop(space, &place, claimer, claim->incarnation, claim->lease);
		else
			set(&place, claim, SHOAL_RECORD_LEASED, claimer);
	} else if (unclaimed(&place) && !here(&place) && claim->incarnation == place.lease->incarnation) {
		set(&place, claim, SHOAL_RECORD_LEASED, claimer);
		went_back(&place, order);
	} else if (order > 0 || (order == 0 && (place.entry->flags & SHOAL_ENTRY_MAIL))) {
		supersede(space, &place);
		set(&place, claim, SHOAL_RECORD_LEASED, claimer);
	} else if (!(order == 0 && !unclaimed(&place) && place.entry->holder == claimer)) {
		tell_to_drop(space, &place, claimer, claim->incarnation, claim->lease);
	}
	shoal_place_tidy(space, &place);
}

static void take_bytes(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	set(place, message, message->method, SHOAL_MEMBER_NONE);
	memcpy(shoal_place_object(place), shoal_message_waiters(message), message->bytes);
	place->entry->used_ms = space->now_ms - message->age_ms;
	if (message->flags & SHOAL_MESSAGE_MAIL)
		place->entry->flags |= SHOAL_ENTRY_MAIL;
}

/* A life of which nothing is left, or that never began: its record ends, and nothing counts as lost. */
static void end_life(struct shoal_space *space, struct shoal_place *place, const struct shoal_message *message)
{
	if (!unclaimed(place) || here(place))
		return;
	if (message->holder == SHOAL_MEMBER_NONE && compare(message, place) >= 0)
		place->entry->record = SHOAL_RECORD_NONE;
	/* Who was to make it was still waiting. Somebody may have had it from him, and then waited again. */
	if (message->holder == place->entry->holder && place->lease->number == 1)
		place->entry->holder = SHOAL_MEMBER_NONE;
}

void shoal_view_bytes(struct shoal_space *space, const struct shoal_message *bytes)
{
	struct shoal_place place = place_of(space, bytes);
	int order;

	if (!place.entry) {
		space->view.lost[bytes->class]++;
		shoal_view_fate(space, SHOAL_FATE_LOST, bytes->class, shoal_message_key(bytes));
		return;
	}
	order = compare(bytes, &place);
	if (bytes->flags & SHOAL_MESSAGE_CONSTRUCT) {
		end_life(space, &place, bytes);
	} else if (place.entry->record == SHOAL_RECORD_NONE && !here(&place)) {
		if (!complete(space, place.entry->slot))
			take_bytes(space, &place, bytes);
	} else if (bytes->method == SHOAL_RECORD_SHARED) {
		/* The object is here already. */
	} else if (unclaimed(&place) && !here(&place) && bytes->incarnation == place.lease->incarnation) {
		take_bytes(space, &place, bytes);
		went_back(&place, order);
	} else if (order > 0 || (order == 0 && (place.entry->flags & SHOAL_ENTRY_MAIL))) {
		if (!complete(space, place.entry->slot) || bytes->incarnation == place.lease->incarnation) {
			supersede(space, &place);
			take_bytes(space, &place, bytes);
		}
	}
	shoal_place_tidy(space, &place);
}

void shoal_view_drop(struct shoal_space *space, const struct shoal_message *drop)
{
	const void *key = shoal_message_key(drop);
	struct shoal_place place =
		shoal_place_find(space, drop->class, key, shoal_map_hash(&space->maps[drop->class], key));

	if (!place.entry || !here(&place) || compare(drop, &place) != 0 || place.entry->references ||
		SHOAL_PLANT(SHOAL_PLANT_DROP_IGNORED))
		return;
	shoal_idle_disarm(space, &place);
	shoal_holder_let_go(space, &place);
	shoal_place_tidy(space, &place);
}

static void settle_one(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_entry *entry = place->entry;

	space->view.rolled_back[place->class] += entry->flags & SHOAL_ENTRY_BACK ? 1 : 0;
	if (unclaimed(place) && !SHOAL_PLANT(SHOAL_PLANT_NOTHING_LOST)) {
		if (entry->holder != SHOAL_MEMBER_NONE) {
			space->view.lost[place->class]++;
			shoal_view_fate(space, SHOAL_FATE_LOST, place->class, shoal_place_key(place));
		}
		entry->record = SHOAL_RECORD_NONE;
	}
	entry->flags &= (uint8_t) ~(SHOAL_ENTRY_MAIL | SHOAL_ENTRY_BACK | SHOAL_ENTRY_UNCLAIMED);
	if (place->lease->contention)
		shoal_holder_forget_waiters(space, place);
	if (entry->record == SHOAL_RECORD_FREE)
		shoal_idle_arm(space, place, 0);
	shoal_place_tidy(space, place);
}

void shoal_view_settle(struct shoal_space *space)
{
	for (uint8_t class = 0; class < space->config.classes_count; class ++) {
		for (uint32_t index = 1; index < space->maps[class].high_water; index++) {
			struct shoal_place place = shoal_place_at(space, class, index);

			if (place.entry->handle != SHOAL_HANDLE_ABSENT || place.entry->record != SHOAL_RECORD_NONE ||
				place.lease->contention)
				settle_one(space, &place);
		}
	}
}
