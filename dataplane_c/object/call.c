/* SPDX-License-Identifier: BSD-3-Clause */
/* Multi-writer objects: calls, and their application at the key owner (dso.md, "Multi-writer objects"). Calls of one
 * caller to one slot bear dense numbers; what the owner has received of each travels in the slot's token, and a call with
 * a gap before it is held back [m 5]. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "object/map_inline.h"
#include "object/space.h"

/* Exact calls under way. A number is index | generation << 16: an answer that comes after its caller gave up finds
 * another generation. */
struct pending_call {
	struct shoal_wait *wait; /* NULL: free */
	uint16_t generation;
	uint16_t free_next;
};

struct shoal_call_table {
	uint32_t room;
	uint16_t free_first; /* index + 1 */
	struct pending_call calls[];
};

struct shoal_call_table *shoal_call_table_create(uint32_t window)
{
	uint32_t room = window < 60000 ? window + 1 : 60000;
	struct shoal_call_table *table = calloc(1, sizeof(*table) + room * sizeof(table->calls[0]));

	if (!table)
		return NULL;
	table->room = room;
	for (uint32_t i = room; i; i--) {
		table->calls[i - 1].free_next = table->free_first;
		table->free_first = (uint16_t)i;
	}
	return table;
}

void shoal_call_table_destroy(struct shoal_call_table *table)
{
	free(table);
}

static uint32_t pending_add(struct shoal_call_table *table, struct shoal_wait *wait)
{
	uint16_t index = (uint16_t)(table->free_first - 1);

	table->free_first = table->calls[index].free_next;
	table->calls[index].wait = wait;
	return index | (uint32_t)table->calls[index].generation << 16;
}

static void pending_remove(struct shoal_call_table *table, uint32_t number)
{
	struct pending_call *call = &table->calls[number & 0xffff];

	call->wait = NULL;
	call->generation++;
	call->free_next = table->free_first;
	table->free_first = (uint16_t)((number & 0xffff) + 1);
}

/* --- At the owner --- */

bool shoal_call_make_object(struct shoal_space *space, struct shoal_place *place)
{
	const struct shoal_class *class = place->map->class;

	place->cold->incarnation = ++space->keyspace.incarnation[place->entry->slot];
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
	struct shoal_place place = shoal_place_make(space, class, key, hash);

	if (!place.entry)
		return -ENOSPC;
	if (place.entry->record == SHOAL_RECORD_NONE)
		shoal_call_make_object(space, &place);
	place.entry->used_ms = space->now_ms;
	place.map->class->methods[method].apply(&space->context->context, key, shoal_place_object(&place), argument, result);
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
		.request = message->request };
	int error = apply(space, message->class, key, shoal_map_hash(&space->maps[message->class], key), message->method,
		shoal_message_waiters(message), result);

	if (method->untethered) {
		space->applied[message->origin]++;
		space->applied_members |= UINT64_C(1) << message->origin;
		return;
	}
	head.flags = error ? SHOAL_MESSAGE_NO_ROOM : 0;
	shoal_space_send(space, message->origin, &head, NULL, NULL, 0, result, method->result_bytes);
}

static uint32_t *expected(struct shoal_space *space, uint16_t slot, uint8_t caller)
{
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
	uint32_t index = message->request & 0xffff;
	struct shoal_wait *wait;

	if (message->kind == SHOAL_CALL_APPLIED) {
		for (uint32_t i = 0; i < message->granted && space->outstanding; i++)
			shoal_window_leave(space);
		return;
	}
	shoal_window_leave(space);
	wait = index < table->room && table->calls[index].generation == message->request >> 16 ? table->calls[index].wait : NULL;
	if (!wait || wait->outcome != SHOAL_WAIT_PENDING) {
		space->counters.late_answers++;
		return;
	}
	if (message->bytes && wait->result)
		memcpy(wait->result, shoal_message_waiters(message), message->bytes);
	shoal_wait_end(space, wait, message->flags & SHOAL_MESSAGE_NO_ROOM ? SHOAL_WAIT_NO_ROOM : SHOAL_WAIT_GRANTED);
}

static int call_remote(struct shoal_space *space, uint8_t class, uint16_t slot, const void *key, unsigned method,
	const void *argument, void *result)
{
	const struct shoal_method *called = &space->config.classes[class]->methods[method];
	uint8_t answer[SHOAL_METHOD_BYTES_MAX];
	struct shoal_wait wait = { .class = class, .result = answer };
	enum shoal_wait_outcome outcome;
	struct shoal_message head = { .kind = SHOAL_CALL,
		.class = class,
		.flags = called->untethered ? SHOAL_MESSAGE_UNTETHERED : 0,
		.origin = space->config.self,
		.holder = SHOAL_MEMBER_NONE,
		.lease = ++space->keyspace.call_last[slot],
		.method = (uint16_t)method };

	if (!called->untethered)
		head.request = pending_add(space->calls, &wait);
	space->outstanding++;
	space->counters.calls_remote++;
	shoal_space_send_to_owner(space, slot, &head, key, argument, called->argument_bytes);
	if (called->untethered)
		return 0;
	outcome = shoal_wait(space, &wait);
	pending_remove(space->calls, head.request);
	if (outcome == SHOAL_WAIT_GRANTED)
		memcpy(result, answer, called->result_bytes);
	return outcome == SHOAL_WAIT_GRANTED ? 0 : outcome == SHOAL_WAIT_NO_ROOM ? -ENOSPC : -ETIMEDOUT;
}

int shoal_space_call(struct shoal_context *context, const struct shoal_class *class, const void *key, unsigned method,
	const void *argument, void *result)
{
	struct shoal_space *space = ((struct shoal_space_context *)context)->space;
	struct shoal_microthread *microthread = shoal_microthread_current(space->scheduler);
	uint8_t index = shoal_space_class_index(space, class);
	uint64_t hash;
	uint16_t slot;

	if (!microthread || index == SHOAL_CLASSES_MAX || class->pattern != SHOAL_MULTI_WRITER || method >= class->methods_count)
		return -EINVAL;
	if (*shoal_microthread_local(microthread)) {
		space->counters.takes_refused_deadlock++;
		return -EDEADLK;
	}
	hash = shoal_map_hash(&space->maps[index], key);
	slot = shoal_map_slot(&space->maps[index], key, hash);
	space->counters.calls++;
	for (;;) {
		uint32_t *last = expected(space, slot, space->config.self);

		/* At home, and nothing of mine to this slot is still under way. */
		if (shoal_slot_bit(space->keyspace.token, slot) && *last == space->keyspace.call_last[slot] &&
			shoal_record_here(space, index, key, hash, slot)) {
			int error = apply(space, index, key, hash, method, argument, result);

			if (!error)
				*last = ++space->keyspace.call_last[slot];
			return error;
		}
		if (shoal_space_owner_ended(space, slot)) {
			space->counters.owner_ended++;
			return -ETIMEDOUT;
		}
		if (shoal_window_open(space))
			return call_remote(space, index, slot, key, method, argument, result);
		if (!shoal_window_wait(space))
			return -ETIMEDOUT;
	}
}
