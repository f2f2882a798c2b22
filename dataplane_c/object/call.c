/* SPDX-License-Identifier: BSD-3-Clause */
/* Multi-writer objects: calls, and their application at the key owner (dso.md, "Multi-writer objects"). Calls of one
 * caller to one slot bear dense numbers; what the owner has received of each travels in the slot's token, and a call with
 * a gap before it is held back [m 5]. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "object/call.h"
#include "object/map_inline.h"
#include "object/space.h"

struct shoal_call_table *shoal_call_table_create(uint32_t room)
{
	struct shoal_call_table *table = calloc(1, sizeof(*table) + room * sizeof(table->calls[0]));

	if (!table)
		return NULL;
	table->room = room;
	for (uint32_t i = room; i; i--) {
		table->calls[i - 1].free_next = table->free_first;
		table->free_first = i;
	}
	return table;
}

void shoal_call_table_destroy(struct shoal_call_table *table)
{
	free(table);
}

static uint32_t pending_add(struct shoal_call_table *table, struct shoal_wait *wait, uint32_t request)
{
	uint32_t index = table->free_first - 1;

	table->free_first = table->calls[index].free_next;
	table->calls[index].wait = wait;
	table->calls[index].under_way = true;
	table->calls[index].request = request;
	return index;
}

/* --- At the owner --- */

bool shoal_call_make_object(struct shoal_space *space, struct shoal_place *place)
{
	const struct shoal_class *class = place->map->class;

	place->lease->incarnation = ++space->keyspace.incarnation[place->entry->slot];
	place->entry->record = SHOAL_RECORD_SHARED;
	memset(shoal_place_object(place), 0, class->object_bytes);
	if (class->construct)
		class->construct(&space->context->context, shoal_place_key(place), shoal_place_object(place));
	return true;
}

/* 0 or -ENOSPC. */
static int apply(struct shoal_space *space, uint8_t class, const void *key, uint64_t hash, unsigned method,
	const void *argument, void *result)
{
	uint32_t index = shoal_map_look(&space->maps[class], key, hash);
	struct shoal_place place =
		index ? shoal_place_at(space, class, index) : shoal_place_make(space, class, key, hash);

	if (!place.entry) {
		if (space->config.classes[class]->methods[method].untethered)
			space->counters.calls_untethered_no_room++;
		else
			space->counters.calls_no_room++;
		return -ENOSPC;
	}
	if (place.entry->record == SHOAL_RECORD_NONE)
		shoal_call_make_object(space, &place);
	place.entry->used_ms = space->now_ms;
	/* Should this worker die now, the object is in doubt. */
	space->image->applying_class = class;
	__atomic_store_n(&space->image->applying_entry, place.index, __ATOMIC_RELEASE);
	/* And the call is not sent again: nobody could tell whether it has been applied. */
	shoal_channel_mark_in_hand(space->channel);
	place.map->class->methods[method].apply(
		&space->context->context, key, shoal_place_object(&place), argument, result);
	__atomic_store_n(&space->image->applying_entry, 0, __ATOMIC_RELEASE);
	return 0;
}

void shoal_call_apply(struct shoal_space *space, const struct shoal_message *message)
{
	const void *key = shoal_message_key(message);
	const struct shoal_method *method = &space->config.classes[message->class]->methods[message->method];
	uint8_t result[SHOAL_METHOD_BYTES_MAX] = { 0 };
	struct shoal_message head = { .kind = SHOAL_REPLY,
		.class = message->class,
		.origin = space->config.self,
		.holder = SHOAL_MEMBER_NONE,
		.request = message->request,
		.granted = message->granted };
	int error = apply(space, message->class, key, shoal_map_hash(&space->maps[message->class], key),
		message->method, shoal_message_waiters(message), result);

	if (method->untethered) {
		space->applied[message->origin]++;
		space->applied_members |= UINT64_C(1) << message->origin;
		return;
	}
	head.flags = error ? SHOAL_MESSAGE_NO_ROOM : 0;
	shoal_space_send(space, message->origin, &head, NULL, NULL, 0, result, method->result_bytes);
}

void shoal_call_enter(struct shoal_space *space, const struct shoal_message *message)
{
	const void *key = shoal_message_key(message);

	(void)apply(space, message->class, key, shoal_map_hash(&space->maps[message->class], key), message->method,
		shoal_message_waiters(message), NULL);
}

static uint32_t *expected(struct shoal_space *space, uint16_t slot, uint8_t caller)
{
	shoal_slot_set(space->keyspace.called, slot, true);
	return &space->keyspace.call_expected[(size_t)slot * SHOAL_MEMBERS_MAX + caller];
}

static void apply_or_pull(struct shoal_space *space, const struct shoal_message *message, uint64_t hash, uint16_t slot)
{
	if (shoal_record_here(space, message->class, shoal_message_key(message), hash, slot))
		shoal_call_apply(space, message);
	else
		shoal_record_pull(space, message, hash);
}

static void hold_back(struct shoal_space *space, const struct shoal_message *message, uint16_t slot)
{
	struct shoal_parked *parked = shoal_parked_get(&space->contention, message->length);

	memcpy(&parked->message, message, message->length);
	parked->next = space->keyspace.held_back[slot];
	space->keyspace.held_back[slot] = parked;
	space->keyspace.held_back_count++;
}

/* A held-back call of `caller` whose turn has come, taken out; NULL: none. */
static struct shoal_parked *next_held_back(struct shoal_space *space, uint16_t slot, uint8_t caller)
{
	uint32_t number = *expected(space, slot, caller) + 1;

	for (struct shoal_parked **link = &space->keyspace.held_back[slot]; *link; link = &(*link)->next) {
		struct shoal_parked *parked = *link;

		if (parked->message.origin != caller || parked->message.lease != number)
			continue;
		*link = parked->next;
		space->keyspace.held_back_count--;
		return parked;
	}
	return NULL;
}

void shoal_call_handle(struct shoal_space *space, const struct shoal_message *message)
{
	const void *key = shoal_message_key(message);
	uint64_t hash = shoal_map_hash(&space->maps[message->class], key);
	uint16_t slot = shoal_map_slot(&space->maps[message->class], key, hash);
	uint32_t *last = expected(space, slot, message->origin);
	struct shoal_parked *parked;

	/* What is missing before it has gone with somebody who died [a 5]. */
	if (message->flags & SHOAL_MESSAGE_FIRST && !SHOAL_PLANT(SHOAL_PLANT_GAP_AFTER_DEATH) &&
		shoal_request_after(message->lease, *last))
		*last = message->lease - 1;
	if (!shoal_request_after(message->lease, *last)) {
		space->counters.stale_messages++;
		return;
	}
	if (message->lease != *last + 1 && !SHOAL_PLANT(9)) {
		hold_back(space, message, slot);
		return;
	}
	*last = message->lease;
	apply_or_pull(space, message, hash, slot);
	while (space->keyspace.held_back[slot] && (parked = next_held_back(space, slot, message->origin)) != NULL) {
		++*last;
		apply_or_pull(space, &parked->message,
			shoal_map_hash(&space->maps[parked->message.class], shoal_message_key(&parked->message)), slot);
		shoal_parked_put(&space->contention, parked);
	}
}

void shoal_call_forward_held_back(struct shoal_space *space, uint16_t slot, uint8_t member)
{
	struct shoal_parked *parked = space->keyspace.held_back[slot];

	space->keyspace.held_back[slot] = NULL;
	while (parked) {
		struct shoal_parked *next = parked->next;

		shoal_space_forward(space, member, &parked->message);
		shoal_parked_put(&space->contention, parked);
		space->keyspace.held_back_count--;
		parked = next;
	}
}

/* --- At the caller --- */

void shoal_call_answered(struct shoal_space *space, const struct shoal_message *message)
{
	struct shoal_call_table *table = space->calls;
	uint32_t index = message->granted;
	struct shoal_wait *wait;

	if (message->kind == SHOAL_CALL_APPLIED) {
		for (uint32_t i = 0; i < message->granted && space->outstanding_untethered; i++) {
			space->outstanding_untethered--;
			shoal_window_leave(space);
		}
		return;
	}
	if (index >= table->room || !table->calls[index].under_way || table->calls[index].request != message->request) {
		space->counters.late_answers++;
		return;
	}
	wait = table->calls[index].wait;
	shoal_call_forget(table, index);
	shoal_window_leave(space);
	if (!wait || wait->outcome != SHOAL_WAIT_PENDING) {
		space->counters.late_answers++;
		return;
	}
	if (message->bytes && wait->result)
		memcpy(wait->result, shoal_message_waiters(message), message->bytes);
	shoal_wait_end(space, wait, message->flags & SHOAL_MESSAGE_NO_ROOM ? SHOAL_WAIT_NO_ROOM : SHOAL_WAIT_GRANTED);
}

/* Where no answer has come: it will, unless somebody has died meanwhile, who may have had the call from another one. */
static void give_up(struct shoal_space *space, uint32_t index, const struct shoal_wait *wait, uint64_t view)
{
	struct shoal_pending_call *call = &space->calls->calls[index];

	if (!call->under_way || call->wait != wait)
		return;
	call->wait = NULL;
	if (space->view.resumed == view)
		return;
	shoal_call_forget(space->calls, index);
	shoal_window_leave(space);
}

/* The caller has entered the window. */
static int call_remote(struct shoal_space *space, uint8_t class, uint16_t slot, const void *key, unsigned method,
	const void *argument, void *result, uint64_t since_ns)
{
	const struct shoal_method *called = &space->config.classes[class]->methods[method];
	uint8_t answer[SHOAL_METHOD_BYTES_MAX];
	struct shoal_wait wait = { .class = class, .result = answer, .since_ns = since_ns };
	uint64_t view = space->view.resumed;
	struct shoal_message head = { .kind = SHOAL_CALL,
		.class = class,
		.flags = called->untethered ? SHOAL_MESSAGE_UNTETHERED : 0,
		.origin = space->config.self,
		.holder = SHOAL_MEMBER_NONE,
		.lease = ++space->keyspace.call_last[slot],
		.method = (uint16_t)method };

	if (SHOAL_UNLIKELY(shoal_slot_bit(space->keyspace.call_first, slot))) {
		head.flags |= SHOAL_MESSAGE_FIRST;
		shoal_slot_set(space->keyspace.call_first, slot, false);
	}
	if (!called->untethered) {
		head.request = shoal_space_next_request(space);
		head.granted = pending_add(space->calls, &wait, head.request);
		space->calls->calls[head.granted].member = shoal_keyspace_route(space, slot);
	} else {
		space->outstanding_untethered++;
	}
	space->counters.calls_remote++;
	shoal_space_send_to_owner(space, slot, &head, key, argument, called->argument_bytes);
	if (called->untethered)
		return 0;
	shoal_wait(space, &wait);
	give_up(space, head.granted, &wait, view);
	if (wait.outcome == SHOAL_WAIT_GRANTED)
		memcpy(result, answer, called->result_bytes);
	return wait.outcome == SHOAL_WAIT_GRANTED ? 0 : wait.outcome == SHOAL_WAIT_NO_ROOM ? -ENOSPC : -ETIMEDOUT;
}

/* The object is here, and nothing of mine to this slot is still under way: `last` of my calls to it has been applied. */
static inline bool at_home(
	struct shoal_space *space, uint8_t class, const void *key, uint64_t hash, uint16_t slot, uint32_t *last)
{
	if (!shoal_slot_bit(space->keyspace.token, slot) || shoal_space_frozen(space))
		return false;
	/* After a view change my own first call sets what is expected, as anybody's does. */
	if (SHOAL_UNLIKELY(shoal_slot_bit(space->keyspace.call_first, slot))) {
		*last = space->keyspace.call_last[slot];
		shoal_slot_set(space->keyspace.call_first, slot, false);
	}
	return *last == space->keyspace.call_last[slot] && shoal_record_here(space, class, key, hash, slot);
}

/* Asks the key owner, unless the object has come here meanwhile. */
static __attribute__((noinline)) int call_elsewhere(struct shoal_space *space, uint8_t class, const void *key,
	uint64_t hash, unsigned method, const void *argument, void *result)
{
	uint16_t slot = shoal_map_slot(&space->maps[class], key, hash);
	uint64_t since_ns = space->now_ns;
	bool in_window = false;
	int error;

	while (!at_home(space, class, key, hash, slot, expected(space, slot, space->config.self))) {
		if (shoal_space_owner_ended(space, slot)) {
			space->counters.owner_ended++;
			if (in_window)
				shoal_window_leave(space);
			return -ETIMEDOUT;
		}
		if (in_window && (!shoal_space_frozen(space) || SHOAL_PLANT(SHOAL_PLANT_CALLS_WHILE_FROZEN)))
			return call_remote(space, class, slot, key, method, argument, result, since_ns);
		if (in_window)
			shoal_window_leave(space); /* a view change has begun since: again when it is complete */
		in_window = shoal_window_enter(space, since_ns, false);
		if (!in_window)
			return -ETIMEDOUT;
	}
	if (in_window)
		shoal_window_leave(space);
	error = apply(space, class, key, hash, method, argument, result);
	if (!error)
		*expected(space, slot, space->config.self) = ++space->keyspace.call_last[slot];
	return error;
}

/* Whether whoever runs may call at all: 0 or why not. */
static int refusal(struct shoal_space *space, uint8_t class, unsigned method)
{
	const uintptr_t *held = (const uintptr_t *)shoal_microthread_word(space->scheduler);

	if (!held || class == SHOAL_CLASSES_MAX || space->config.classes[class]->pattern != SHOAL_MULTI_WRITER ||
		method >= space->config.classes[class]->methods_count)
		return -EINVAL;
	if (*held) {
		space->counters.takes_refused_deadlock++;
		return -EDEADLK;
	}
	return SHOAL_UNLIKELY(shoal_keyspace_left(&space->keyspace)) ? -ESHUTDOWN : 0;
}

int shoal_space_call(struct shoal_context *context, const struct shoal_class *class, const void *key, unsigned method,
	const void *argument, void *result)
{
	struct shoal_space *space = ((struct shoal_space_context *)context)->space;
	uint8_t index = shoal_space_class_index(space, class);
	int error = refusal(space, index, method);
	uint32_t *last;
	uint64_t hash;
	uint16_t slot;

	if (SHOAL_UNLIKELY(error))
		return error;
	hash = shoal_map_hash(&space->maps[index], key);
	slot = shoal_map_slot(&space->maps[index], key, hash);
	last = expected(space, slot, space->config.self);
	space->counters.calls++;
	if (SHOAL_UNLIKELY(!at_home(space, index, key, hash, slot, last)))
		return call_elsewhere(space, index, key, hash, method, argument, result);
	error = apply(space, index, key, hash, method, argument, result);
	if (!error)
		*last = ++space->keyspace.call_last[slot];
	return error;
}
