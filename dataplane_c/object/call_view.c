/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls when members have died (keyspace/view.h): all that are under way are collected at the owners of their slots before
 * anybody goes on, and handled in the order of their numbers; what is missing then has gone with the dead. */
#include <string.h>
#include "object/call.h"
#include "object/map_inline.h"

/* It is somebody else who will answer this call. */
static void note_callee(struct shoal_space *space, const struct shoal_message *message, uint8_t callee)
{
	struct shoal_call_table *table = space->calls;

	if (message->origin == space->config.self && !(message->flags & SHOAL_MESSAGE_UNTETHERED) &&
		message->granted < table->room && table->calls[message->granted].request == message->request)
		table->calls[message->granted].member = callee;
}

void shoal_calls_to_owners(struct shoal_space *space)
{
	struct shoal_view *view = &space->view;
	struct shoal_parked *parked = view->after_first, *next;

	view->after_first = view->after_last = NULL;
	for (; parked; parked = next) {
		const void *key = shoal_message_key(&parked->message);
		const struct shoal_map *map = &space->maps[parked->message.class];
		uint8_t owner = view->owner[shoal_map_slot(map, key, shoal_map_hash(map, key))];

		next = parked->next;
		note_callee(space, &parked->message, owner);
		if (owner == space->config.self)
			shoal_view_keep_call(space, &parked->message);
		else
			shoal_space_forward(space, owner, &parked->message);
		shoal_parked_put(&space->contention, parked);
	}
}

/* Of each caller the one with the lowest number first. */
static struct shoal_parked *take_first(struct shoal_view *view)
{
	struct shoal_parked **first = &view->after_first, *taken;

	for (struct shoal_parked **link = &view->after_first; *link; link = &(*link)->next)
		if ((*link)->message.origin == (*first)->message.origin &&
			shoal_request_after((*first)->message.lease, (*link)->message.lease))
			first = link;
	taken = *first;
	if (taken)
		*first = taken->next;
	return taken;
}

void shoal_calls_after_view(struct shoal_space *space)
{
	struct shoal_call_table *table = space->calls;
	uint64_t dead = space->view.dead;
	struct shoal_parked *parked;

	for (uint32_t i = 0; i < table->room; i++) {
		struct shoal_pending_call *call = &table->calls[i];

		/* Where the caller has given up, nobody needs to know whether it went on from there to one that died. */
		if (!call->under_way ||
			(call->wait && (call->member >= SHOAL_MEMBERS_MAX || !(dead >> call->member & 1)) &&
				!SHOAL_PLANT(SHOAL_PLANT_CALLS_ALL_END)))
			continue;
		if (call->wait && call->wait->outcome == SHOAL_WAIT_PENDING)
			shoal_wait_end(space, call->wait, SHOAL_WAIT_TIMED_OUT);
		shoal_call_forget(table, i);
		shoal_window_leave(space);
	}
	while (space->outstanding_untethered) {
		space->outstanding_untethered--;
		shoal_window_leave(space);
	}
	while ((parked = take_first(&space->view)) != NULL) {
		parked->message.flags |= SHOAL_MESSAGE_FIRST;
		if (parked->message.flags & SHOAL_MESSAGE_COUNTED)
			shoal_call_apply(space, &parked->message); /* every record is here by now */
		else
			shoal_call_handle(space, &parked->message);
		shoal_parked_put(&space->contention, parked);
	}
	space->view.after_last = NULL;
	memset(space->keyspace.call_first, 0xff, sizeof(space->keyspace.call_first));
	/* Another life of that number begins to count anew. */
	shoal_keyspace_forget_callers(&space->keyspace, space->view.gone);
}
