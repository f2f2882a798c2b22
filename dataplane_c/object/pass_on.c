/* SPDX-License-Identifier: BSD-3-Clause */
/* How an object leaves its holder: passed on to whom the key owner named, or given back (dso.md, "Single-writer
 * objects"). */
#include "object/map_inline.h"
#include "object/space.h"

/* Bytes of objects that one poll passes on: the receiver takes them while the next ones are copied. */
#define SETTLE_BYTES ((size_t)128 << 10)

static void send_passed(
	struct shoal_space *space, struct shoal_place *place, uint32_t lease, const struct shoal_waiter *next)
{
	struct shoal_message head = { .kind = SHOAL_PASSED,
		.class = place->class,
		.origin = space->config.self,
		.holder = next->member,
		.lease = lease,
		.request = place->lease->request,
		.granted = next->request,
		.incarnation = place->lease->incarnation };

	shoal_space_send_to_owner(space, place->entry->slot, &head, shoal_place_key(place), NULL, 0);
}

static void pass_on(struct shoal_space *space, struct shoal_place *place, const struct shoal_waiter *next,
	struct shoal_contention *contention)
{
	struct shoal_waiter after[SHOAL_MEMBERS_MAX];
	unsigned count = shoal_waiters_copy(&space->contention, contention->successors, after, SHOAL_MEMBERS_MAX);
	const struct shoal_class *class = place->map->class;
	struct shoal_message head = { .kind = SHOAL_GRANT,
		.class = place->class,
		.origin = space->config.self,
		.holder = next->member,
		.lease = place->lease->number + 1,
		.request = next->request,
		.granted = place->lease->request,
		.age_ms = space->now_ms - place->entry->used_ms,
		.incarnation = place->lease->incarnation };
	/* What the key owner grants itself needs no second message. */
	bool owner =
		shoal_keyspace_route(space, place->entry->slot) == next->member && next->member != space->config.self;

	if (owner)
		head.flags = SHOAL_MESSAGE_PASSED_TOO;
	shoal_space_send(space, next->member, &head, shoal_place_key(place), after, count, shoal_place_object(place),
		class->object_bytes);
	if (!owner)
		send_passed(space, place, head.lease, next);
	space->counters.leases_out++;
	space->counters.bytes_out += class->object_bytes;
	if (SHOAL_PLANT(1))
		return; /* goes on writing what it gave away */
	shoal_place_mailed(space, place, next->member);
	shoal_holder_let_go(space, place);
	shoal_place_tidy(space, place);
}

/* First who waits for the object, or NULL; my own requests that this very lease has answered are struck. */
static const struct shoal_waiter *first_successor(
	struct shoal_space *space, const struct shoal_place *place, struct shoal_contention *contention)
{
	struct shoal_waiter answered;

	while (contention && contention->successors) {
		const struct shoal_waiter *first = &space->contention.nodes[contention->successors].waiter;

		if (first->member != space->config.self || shoal_request_after(first->request, place->lease->request))
			return first;
		shoal_waiters_pop(&space->contention, &contention->successors, &answered);
	}
	return NULL;
}

/* Passes the object on if somebody waits for it and nobody here uses it. False: who is to get it is slow, and it stays here
 * meanwhile, rather than in the outbox. */
static bool settle(struct shoal_space *space, struct shoal_place *place, bool now)
{
	struct shoal_contention *contention = shoal_place_contended(space, place);
	struct shoal_entry *entry = place->entry;
	const struct shoal_waiter *first;
	struct shoal_waiter next;

	if (entry->handle != SHOAL_HANDLE_HELD || !(entry->flags & SHOAL_ENTRY_RECALLED) || entry->references)
		return true;
	first = first_successor(space, place, contention);
	if (first && !now && first->member != space->config.self && !shoal_channel_takes(space->channel, first->member))
		return false;
	if (first) {
		shoal_waiters_pop(&space->contention, &contention->successors, &next);
		pass_on(space, place, &next, contention);
		return true;
	}
	entry->flags &= (uint8_t)~SHOAL_ENTRY_RECALLED;
	shoal_holder_grant_to_waiting(space, place);
	shoal_place_tidy(space, place);
	return true;
}

void shoal_holder_settle_later(struct shoal_space *space, struct shoal_place *place)
{
	if (!(place->entry->flags & SHOAL_ENTRY_RECALLED) || place->entry->references || shoal_space_frozen(space))
		return; /* a view change forgets who waits; they ask again */
	if (space->settle_count == sizeof(space->settle) / sizeof(space->settle[0])) {
		settle(space, place, true);
		return;
	}
	space->settle[space->settle_count].class = place->class;
	space->settle[space->settle_count++].entry = place->index;
}

void shoal_holder_settle_all(struct shoal_space *space)
{
	size_t bytes = 0;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < space->settle_count; i++) {
		struct shoal_place place = shoal_place_at(space, space->settle[i].class, space->settle[i].entry);

		if (bytes > SETTLE_BYTES || !settle(space, &place, false))
			space->settle[kept++] = space->settle[i];
		else
			bytes += place.map->class->object_bytes;
	}
	space->settle_count = kept;
}

void shoal_holder_return(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_message head = { .kind = SHOAL_RETURN,
		.class = place->class,
		.origin = space->config.self,
		.holder = SHOAL_MEMBER_NONE,
		.lease = place->lease->number,
		.request = place->lease->request,
		.age_ms = space->now_ms - place->entry->used_ms,
		.incarnation = place->lease->incarnation };

	shoal_space_send_to_owner(space, place->entry->slot, &head, shoal_place_key(place), shoal_place_object(place),
		place->map->class->object_bytes);
	space->counters.leases_out++;
	space->counters.bytes_out += place->map->class->object_bytes;
	shoal_place_mailed(space, place, shoal_keyspace_route(space, place->entry->slot));
	shoal_holder_let_go(space, place);
	shoal_place_tidy(space, place);
}
