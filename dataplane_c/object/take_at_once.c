/* SPDX-License-Identifier: BSD-3-Clause */
/* The short way of a take. Nearly every take is of one or two objects of different classes, and each of them is here at rest, or
 * is known here not to be anywhere: then it is answered without an order, a window, or anybody who waits. Its twin is the long
 * way (access.c), which gives the same answers. */
#include <string.h>
#include "object/map_inline.h"
#include "object/space.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

struct found {
	struct shoal_map *map;
	uint64_t hash;
	uint32_t index; /* 0: there is none */
	uint16_t slot; /* where there is none */
	uint8_t class;
};

/* Whether it is here at rest; or it is known here that there is none, and there is room to make it. */
static ALWAYS_INLINE bool look(struct shoal_space *space, const struct shoal_request *request, struct found *found)
{
	struct shoal_map *map;
	const struct shoal_entry *entry;

	found->class = shoal_space_class_index(space, request->class);
	if (found->class == SHOAL_CLASSES_MAX || request->class->pattern != SHOAL_SINGLE_WRITER)
		return false;
	map = found->map = &space->maps[found->class];
	found->hash = shoal_map_hash(map, request->key);
	found->index = shoal_map_look(map, request->key, found->hash);
	if (found->index) {
		entry = shoal_map_entry(map, found->index);
		return entry->handle == SHOAL_HANDLE_HELD &&
		       !(entry->flags & (SHOAL_ENTRY_RECALLED | SHOAL_ENTRY_FRESH));
	}
	found->slot = shoal_map_slot(map, request->key, found->hash);
	return (!request->create || map->count < map->capacity) &&
	       shoal_space_owner_here(space, found->class, request->key, found->hash, found->slot);
}

/* What begins a record's life and installs its lease, in one go: there is no record yet, and nobody waits. FRESH till the take
 * has all. */
static struct shoal_entry *make(struct shoal_space *space, struct shoal_request *request, const struct found *found)
{
	const struct shoal_class *class = found->map->class;
	uint32_t index = shoal_map_insert_at(found->map, request->key, found->hash, found->slot);
	struct shoal_place place = shoal_place_at(space, found->class, index);
	struct shoal_entry *entry = place.entry;

	request->entry = index;
	request->created = true;
	entry->flags = SHOAL_ENTRY_FLOWS | SHOAL_ENTRY_FRESH;
	entry->holder = space->config.self;
	entry->record = SHOAL_RECORD_LEASED;
	place.lease->incarnation = ++space->keyspace.incarnation[found->slot];
	place.lease->number = 1;
	memset(shoal_place_object(&place), 0, class->object_bytes);
	if (class->construct)
		class->construct(&space->context->context, request->key, shoal_place_object(&place));
	entry->used_ms = space->now_ms;
	entry->handle = SHOAL_HANDLE_HELD;
	space->held++;
	if (class->idle_ms)
		shoal_idle_arm(space, &place, 0);
	return entry;
}

static ALWAYS_INLINE void answer(
	struct shoal_space *space, struct shoal_request *request, const struct found *found, uintptr_t *held)
{
	struct shoal_entry *entry;

	request->object = NULL;
	request->created = false;
	if (found->index) {
		entry = shoal_map_entry(found->map, found->index);
		request->entry = found->index;
		entry->used_ms = space->now_ms;
	} else if (request->create) {
		entry = make(space, request, found);
	} else {
		return;
	}
	entry->references++;
	request->object = shoal_map_object(found->map, entry);
	++*held;
}

/* The take has all: others may see what it has made. Nobody can have asked for it meanwhile. */
static ALWAYS_INLINE void show(const struct shoal_request *request, const struct found *found)
{
	if (request->created)
		shoal_map_entry(found->map, request->entry)->flags &= (uint8_t)~SHOAL_ENTRY_FRESH;
}

static bool take_one(struct shoal_space *space, struct shoal_request *request, uintptr_t *held)
{
	struct found found;

	if (!look(space, request, &found))
		return false;
	answer(space, request, &found, held);
	show(request, &found);
	space->counters.takes++;
	space->counters.takes_local++;
	return true;
}

static bool take_two(struct shoal_space *space, struct shoal_request *requests, uintptr_t *held)
{
	struct found first, second;

	if (requests[0].class == requests[1].class)
		return false; /* it may be one object */
	if (!look(space, &requests[0], &first) || !look(space, &requests[1], &second))
		return false;
	answer(space, &requests[0], &first, held);
	answer(space, &requests[1], &second, held);
	show(&requests[0], &first);
	show(&requests[1], &second);
	space->counters.takes += 2;
	space->counters.takes_local += 2;
	return true;
}

bool shoal_take_at_once(struct shoal_space *space, struct shoal_request *requests, unsigned n, uintptr_t *held)
{
	if (n == 1)
		return take_one(space, requests, held);
	return n == 2 && take_two(space, requests, held);
}
