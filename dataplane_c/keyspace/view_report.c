/* SPDX-License-Identifier: BSD-3-Clause */
/* What a survivor reports in a view change, each piece to the owner of its slot: what it adopted, mail that a dead member
 * never handled, the leases that it holds, and records that were still to be swept. */
#include <string.h>
#include "keyspace/view.h"
#include "object/map_inline.h"
#include "object/space.h"

#define BUDGET 4096
/* Bytes that may wait for a receiver before the report waits for it. */
#define UNTAKEN_BYTES ((size_t)1 << 20)

enum phase { ADOPTING, MAIL, OWN, REPORTED };

void shoal_view_send(struct shoal_space *space, uint16_t slot, struct shoal_message *head, const void *key,
	const void *bytes, unsigned bytes_count)
{
	head->request = (uint32_t)space->view.number;
	head->origin = space->config.self;
	shoal_space_send(space, space->view.owner[slot], head, key, NULL, 0, bytes, bytes_count);
}

void shoal_view_report_begin(struct shoal_space *space)
{
	space->view.phase = ADOPTING;
	space->view.class = 0;
	space->view.index = 1;
}

static bool adopt(struct shoal_space *space)
{
	for (uint64_t dead = space->view.dead; dead; dead &= dead - 1)
		if (!shoal_adopt_step(space, (uint8_t)__builtin_ctzll(dead), BUDGET))
			return false;
	return true;
}

/* --- Mail --- */

static void report_mail(struct shoal_space *space, const struct shoal_message *message, unsigned state, uint8_t flags)
{
	const void *key = shoal_message_key(message);
	struct shoal_map *map = &space->maps[message->class];
	struct shoal_message head = { .kind = SHOAL_VIEW_BYTES,
		.class = message->class,
		.flags = flags,
		.holder = SHOAL_MEMBER_NONE,
		.lease = message->lease,
		.age_ms = message->age_ms,
		.incarnation = message->incarnation,
		.method = (uint16_t)state };

	shoal_view_send(space, shoal_map_slot(map, key, shoal_map_hash(map, key)), &head, key,
		shoal_message_waiters(message) + message->waiters, message->bytes);
}

static bool forgotten(const struct shoal_space *space, uint8_t to, const struct shoal_message *call)
{
	return SHOAL_PLANT(SHOAL_PLANT_CALLS_FORGOTTEN) && call->flags & SHOAL_MESSAGE_UNTETHERED &&
	       !shoal_channel_link(space->channel, to, space->view.death->life[to])->reliable;
}

/* One message that a dead member never handled. */
static void take_back(void *owner, uint8_t to, const struct shoal_message *message)
{
	struct shoal_space *space = owner;

	switch (message->kind) {
	case SHOAL_GRANT:
		report_mail(space, message, SHOAL_RECORD_FREE,
			SHOAL_MESSAGE_MAIL | (message->flags & SHOAL_MESSAGE_CONSTRUCT));
		break;
	case SHOAL_RETURN:
		report_mail(space, message, SHOAL_RECORD_FREE, SHOAL_MESSAGE_MAIL);
		break;
	case SHOAL_RECORD_MOVED:
		if (message->bytes)
			report_mail(space, message, message->method, 0);
		break;
	case SHOAL_VIEW_BYTES:
		/* A record of mine, told in a view that its death ended. What was mail then is taken back again. */
		if (!(message->flags & (SHOAL_MESSAGE_MAIL | SHOAL_MESSAGE_CONSTRUCT)))
			report_mail(space, message, message->method, 0);
		break;
	case SHOAL_CALL:
		/* Calls go on when the view is complete; those of an earlier try of this view are kept already. */
		if (!(space->view.calls_taken_back >> to & 1) && !forgotten(space, to, message))
			shoal_view_keep_call(space, message);
		break;
	default:
		break; /* is asked anew, or means nothing any more */
	}
}

static void report_all_mail(struct shoal_space *space)
{
	struct shoal_view *view = &space->view;

	for (uint64_t dead = view->dead; dead; dead &= dead - 1) {
		uint8_t member = (uint8_t)__builtin_ctzll(dead);

		shoal_channel_take_back(space->channel, member,
			SHOAL_PLANT(SHOAL_PLANT_MAIL_REPLAYED) ? 0 : view->mark[member], take_back, space);
		view->calls_taken_back |= UINT64_C(1) << member;
	}
	shoal_calls_to_owners(space);
	for (struct shoal_parked *parked = view->returns_first; parked; parked = parked->next)
		report_mail(space, &parked->message, SHOAL_RECORD_FREE, SHOAL_MESSAGE_MAIL);
}

/* --- What is here --- */

static void report_lease(struct shoal_space *space, const struct shoal_place *place)
{
	struct shoal_message head = { .kind = SHOAL_VIEW_CLAIM,
		.class = place->class,
		.holder = space->config.self,
		.lease = place->lease->number,
		.incarnation = place->lease->incarnation };

	shoal_view_send(space, place->entry->slot, &head, shoal_place_key(place), NULL, 0);
}

/* A record whose slot belongs to somebody else: its object goes there, the rest is told by the holders. */
static void report_record(struct shoal_space *space, struct shoal_place *place)
{
	bool bytes = place->entry->record == SHOAL_RECORD_FREE || place->entry->record == SHOAL_RECORD_SHARED;
	struct shoal_message head = { .kind = SHOAL_VIEW_BYTES,
		.class = place->class,
		.holder = SHOAL_MEMBER_NONE,
		.lease = place->lease->number,
		.age_ms = space->now_ms - place->entry->used_ms,
		.incarnation = place->lease->incarnation,
		.method = place->entry->record };

	if (bytes) {
		shoal_view_send(space, place->entry->slot, &head, shoal_place_key(place), shoal_place_object(place),
			place->map->class->object_bytes);
		shoal_place_mailed(space, place, space->view.owner[place->entry->slot]);
		shoal_idle_disarm(space, place);
	}
	place->entry->record = SHOAL_RECORD_NONE;
	place->entry->holder = SHOAL_MEMBER_NONE;
}

static bool receiver_slow(const struct shoal_space *space, uint8_t member)
{
	return member != space->config.self && shoal_channel_waiting(space->channel, member) > UNTAKEN_BYTES;
}

static bool report_own(struct shoal_space *space)
{
	struct shoal_view *view = &space->view;

	for (unsigned looked = 0; looked < BUDGET; looked++) {
		struct shoal_place place;

		if (view->index >= space->maps[view->class].high_water) {
			view->index = 1;
			if (++view->class == space->config.classes_count)
				return true;
			continue;
		}
		place = shoal_place_at(space, view->class, view->index);
		if (receiver_slow(space, view->owner[place.entry->slot]))
			return false;
		view->index++;
		if (place.entry->handle == SHOAL_HANDLE_HELD || place.entry->handle == SHOAL_HANDLE_REMOVING)
			report_lease(space, &place);
		if (place.entry->record != SHOAL_RECORD_NONE &&
			!shoal_slot_bit(space->keyspace.token, place.entry->slot)) {
			report_record(space, &place);
			shoal_place_tidy(space, &place);
		}
	}
	return false;
}

bool shoal_view_report(struct shoal_space *space)
{
	struct shoal_view *view = &space->view;

	switch (view->phase) {
	case ADOPTING:
		if (adopt(space))
			view->phase = MAIL;
		break;
	case MAIL:
		report_all_mail(space);
		view->phase = OWN;
		break;
	case OWN:
		if (report_own(space))
			view->phase = REPORTED;
		break;
	default:
		break;
	}
	shoal_space_drain(space);
	return view->phase == REPORTED;
}
