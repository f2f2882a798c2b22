/* SPDX-License-Identifier: BSD-3-Clause */
/* A dead worker's objects, read from the slabs that outlived it, become this worker's own. What it was writing when it died
 * is known exactly: such an object counts only if its class's check accepts it. Adopted objects are not used before the
 * view is settled, for somebody else may have a newer lease. */
#include <string.h>
#include "keyspace/view.h"
#include "object/map_inline.h"
#include "object/space.h"

static bool in_doubt(const struct shoal_legacy *legacy, uint8_t class, uint32_t index, const struct shoal_entry *entry)
{
	const struct shoal_image *image = legacy->image;
	uint32_t count = image->writing_count < SHOAL_BURST_MAX ? image->writing_count : SHOAL_BURST_MAX;

	const uint32_t *writing = image->writing[image->writing_list % SHOAL_WRITING_LISTS];

	if (entry->references || (image->applying_class == class && image->applying_entry == index))
		return true;
	for (uint32_t i = 0; i < count && image->writing_class == class; i++)
		if (writing[i] == index)
			return true;
	return false;
}

/* Tells the owner of the slot about a life that this worker can't or won't go on with; `waiting`: that this dead member was
 * waiting for one, so that the one that it was to begin never began. */
static void report_ended(struct shoal_space *space, uint8_t class, uint16_t slot, const struct shoal_entry *entry,
	const struct shoal_entry_lease *lease, uint8_t waiting)
{
	struct shoal_message head = { .kind = SHOAL_VIEW_BYTES,
		.class = class,
		.flags = SHOAL_MESSAGE_MAIL | SHOAL_MESSAGE_CONSTRUCT,
		.holder = waiting,
		.lease = lease->number,
		.incarnation = lease->incarnation };

	shoal_view_send(space, slot, &head, entry->bytes, NULL, 0);
}

static void report_bytes(struct shoal_space *space, const struct shoal_map *map, uint8_t class, uint16_t slot,
	struct shoal_entry *entry, const struct shoal_entry_lease *lease, unsigned state, uint8_t flags)
{
	bool record = entry->record == SHOAL_RECORD_LEASED || entry->record == SHOAL_RECORD_RECALLED;
	struct shoal_message head = { .kind = SHOAL_VIEW_BYTES,
		.class = class,
		.flags = flags,
		.holder = SHOAL_MEMBER_NONE,
		/* What was under way bore the next lease, which a record in the same entry knows already. */
		.lease = lease->number + (flags && !record),
		.age_ms = space->now_ms - entry->used_ms,
		.incarnation = lease->incarnation,
		.method = (uint16_t)state };

	shoal_view_send(space, slot, &head, entry->bytes, shoal_map_object(map, entry), map->class->object_bytes);
}

static void adopt_lease(struct shoal_space *space, const struct shoal_map *map, uint8_t class, uint64_t hash,
	struct shoal_entry *entry, const struct shoal_entry_lease *lease)
{
	struct shoal_place place = shoal_place_make(space, class, entry->bytes, hash);

	if (!place.entry) {
		space->view.lost[class]++;
		shoal_view_fate(space, SHOAL_FATE_LOST, class, entry->bytes);
		return;
	}
	if (!shoal_view_may_adopt(space, &place, lease)) {
		shoal_place_tidy(space, &place);
		return;
	}
	space->held -= place.entry->handle == SHOAL_HANDLE_HELD;
	/* A higher incarnation ends REMOVING; a WAITING handle becomes HELD and does not ask [a 4]. */
	space->waiting -= place.entry->handle == SHOAL_HANDLE_REMOVING || place.entry->handle == SHOAL_HANDLE_WAITING;
	if (place.entry->handle == SHOAL_HANDLE_WAITING)
		shoal_window_leave(space);
	/* Should this worker die now, what it has of the object does not count before all of it is here. */
	__atomic_store_n(&place.entry->handle, SHOAL_HANDLE_ABSENT, __ATOMIC_RELEASE);
	memcpy(shoal_place_object(&place), shoal_map_object(map, entry), map->class->object_bytes);
	place.entry->flags |= SHOAL_ENTRY_ADOPTED | SHOAL_ENTRY_RECALLED | SHOAL_ENTRY_FLOWS;
	if (SHOAL_PLANT(SHOAL_PLANT_ADOPTED_USED_AT_ONCE))
		place.entry->flags &= (uint8_t) ~(SHOAL_ENTRY_ADOPTED | SHOAL_ENTRY_RECALLED);
	place.entry->used_ms = entry->used_ms;
	place.lease->incarnation = lease->incarnation;
	place.lease->number = lease->number;
	place.lease->request = 0;
	__atomic_store_n(&place.entry->handle, entry->handle, __ATOMIC_RELEASE);
	space->held += entry->handle == SHOAL_HANDLE_HELD;
	space->waiting += entry->handle == SHOAL_HANDLE_REMOVING;
	space->view.adopted[class]++;
	shoal_view_fate(space, SHOAL_FATE_ADOPTED, class, entry->bytes);
}

/* It had been returned to the dead worker, whose record did not count it yet. */
static bool returned(const struct shoal_entry *entry)
{
	return entry->flags & SHOAL_ENTRY_MAIL &&
	       (entry->record == SHOAL_RECORD_LEASED || entry->record == SHOAL_RECORD_RECALLED);
}

/* Whether the receiver of what was sent is known to have had it: what became of it is for the receiver to say. */
static bool delivered(
	const struct shoal_space *space, const struct shoal_legacy *legacy, const struct shoal_entry_timer *timer)
{
	const struct shoal_adoption *adoption = space->view.adoptions[legacy->image->member];

	return timer->previous < SHOAL_MEMBERS_MAX && !SHOAL_PLANT(SHOAL_PLANT_MAIL_COUNTED_TWICE) &&
	       !shoal_request_after(timer->next, (uint32_t)adoption->taken[timer->previous]);
}

static void adopt_entry(struct shoal_space *space, struct shoal_legacy *legacy, uint8_t class, uint32_t index)
{
	struct shoal_map *map = &legacy->maps[class];
	struct shoal_entry *entry = shoal_map_entry(map, index);
	const struct shoal_entry_lease *lease = shoal_map_lease(map, index);
	bool leased = entry->handle == SHOAL_HANDLE_HELD || entry->handle == SHOAL_HANDLE_REMOVING;
	bool record = entry->record == SHOAL_RECORD_FREE || entry->record == SHOAL_RECORD_SHARED;
	uint64_t hash = shoal_map_hash(&space->maps[class], entry->bytes);
	uint16_t slot = shoal_map_slot(&space->maps[class], entry->bytes, hash);
	bool counted = space->view.adoptions[legacy->image->member]->counted;

	if (entry->handle == SHOAL_HANDLE_WAITING && map->class->pattern == SHOAL_SINGLE_WRITER)
		report_ended(space, class, slot, entry, lease, (uint8_t)legacy->image->member);
	if (!leased && !record && !returned(entry) &&
		(!(entry->flags & SHOAL_ENTRY_MAILED) || delivered(space, legacy, &map->timers[index])))
		return;
	/* Its maker had not got it yet: nobody has seen it, and nobody will. */
	if (leased && entry->flags & SHOAL_ENTRY_FRESH) {
		report_ended(space, class, slot, entry, lease, SHOAL_MEMBER_NONE);
		return;
	}
	if ((leased || record) && !SHOAL_PLANT(SHOAL_PLANT_HALF_WRITTEN_ADOPTED) &&
		in_doubt(legacy, class, index, entry)) {
		const struct shoal_class *declared = map->class;

		space->view.checked[class] += !counted;
		if (!declared->check || !declared->check(entry->bytes, shoal_map_object(map, entry))) {
			space->view.rejected[class] += !counted;
			if (!counted)
				shoal_view_fate(space, SHOAL_FATE_REJECTED, class, entry->bytes);
			report_ended(space, class, slot, entry, lease, SHOAL_MEMBER_NONE);
			return;
		}
	}
	if (leased) {
		adopt_lease(space, map, class, hash, entry, lease);
	} else if (record) {
		space->view.adopted[class] += !counted;
		if (!counted)
			shoal_view_fate(space, SHOAL_FATE_ADOPTED, class, entry->bytes);
		report_bytes(space, map, class, slot, entry, lease, entry->record, 0);
	} else {
		report_bytes(space, map, class, slot, entry, lease,
			map->class->pattern == SHOAL_MULTI_WRITER ? SHOAL_RECORD_SHARED : SHOAL_RECORD_FREE,
			map->class->pattern == SHOAL_MULTI_WRITER ? 0 : SHOAL_MESSAGE_MAIL);
	}
}

bool shoal_adopt_step(struct shoal_space *space, uint8_t member, unsigned budget)
{
	struct shoal_adoption *adoption = space->view.adoptions[member];

	if (!adoption || !adoption->open || adoption->adopted ||
		space->view.death->adopter[member] != space->config.self)
		return true;
	/* Another one adopted it already, and died: what it adopted is in its own slab. */
	if (adoption->legacy.image->resumed_view) {
		adoption->adopted = true;
		return true;
	}
	for (; budget; budget--) {
		if (space->view.index > adoption->legacy.image->objects_max) {
			space->view.index = 1;
			if (++space->view.class == adoption->legacy.classes_count) {
				space->view.class = 0;
				adoption->adopted = adoption->counted = true;
				return true;
			}
			continue;
		}
		adopt_entry(space, &adoption->legacy, space->view.class, space->view.index++);
	}
	return false;
}
