/* SPDX-License-Identifier: BSD-3-Clause */
/* The short way of a take. Nearly every take is of one or two objects of different classes, and each of them is here at rest, or
 * is known here not to be anywhere: then it is answered without an order, a window, or anybody who waits. Its twin is the long
 * way (access.c), which gives the same answers. */
#include "object/map_inline.h"
#include "object/space.h"

struct found {
	uint64_t hash;
	uint32_t index; /* 0: there is none */
	uint8_t class;
};

/* Whether it is here at rest; or it is known here that there is none, and there is room to make it. */
static inline bool look(struct shoal_space *space, const struct shoal_request *request, struct found *found)
{
	struct shoal_map *map;
	struct shoal_entry *entry;

	found->class = shoal_space_class_index(space, request->class);
	if (found->class == SHOAL_CLASSES_MAX || request->class->pattern != SHOAL_SINGLE_WRITER)
		return false;
	map = &space->maps[found->class];
	found->hash = shoal_map_hash(map, request->key);
	found->index = shoal_map_find(map, request->key, found->hash);
	entry = shoal_map_entry(map, found->index);
	if (SHOAL_LIKELY(entry->handle == SHOAL_HANDLE_HELD)) /* entry 0 never is */
		return !(entry->flags & (SHOAL_ENTRY_RECALLED | SHOAL_ENTRY_FRESH));
	return !found->index && (!request->create || map->count < map->capacity) &&
	       shoal_space_owner_here(
		       space, found->class, request->key, found->hash, shoal_map_slot(map, request->key, found->hash));
}

/* FRESH till the take has all. */
static uint32_t make(struct shoal_space *space, const struct shoal_request *request, const struct found *found)
{
	uint32_t index = shoal_map_insert(&space->maps[found->class], request->key, found->hash);
	struct shoal_place place = shoal_place_at(space, found->class, index);

	(void)shoal_record_grant_here(space, &place, true); /* there is no record: it can't refuse */
	return index;
}

static inline void answer(struct shoal_space *space, struct shoal_request *request, const struct found *found)
{
	struct shoal_map *map = &space->maps[found->class];
	struct shoal_entry *entry;

	request->entry = found->index;
	request->object = NULL;
	request->created = !found->index && request->create;
	if (request->created)
		request->entry = make(space, request, found);
	if (!request->entry)
		return;
	entry = shoal_map_entry(map, request->entry);
	entry->references++;
	entry->used_ms = space->now_ms;
	request->object = shoal_map_object(map, entry);
}

static void show(struct shoal_space *space, const struct shoal_request *request, const struct found *found)
{
	struct shoal_place place = shoal_place_at(space, found->class, request->entry);

	shoal_holder_made(space, &place);
}

/* `n` is constant. */
static inline __attribute__((always_inline)) bool take(
	struct shoal_space *space, struct shoal_request *requests, unsigned n, uintptr_t *held)
{
	struct found found[2];

	for (unsigned i = 0; i < n; i++)
		if (!look(space, &requests[i], &found[i]))
			return false;
	if (n == 2 && found[0].class == found[1].class)
		return false; /* it may be one object */
	for (unsigned i = 0; i < n; i++) {
		answer(space, &requests[i], &found[i]);
		*held += requests[i].object != NULL;
	}
	for (unsigned i = 0; i < n; i++)
		if (SHOAL_UNLIKELY(requests[i].created))
			show(space, &requests[i], &found[i]);
	space->counters.takes += n;
	space->counters.takes_local += n;
	return true;
}

bool shoal_take_at_once(struct shoal_space *space, struct shoal_request *requests, unsigned n, uintptr_t *held)
{
	if (n == 1)
		return take(space, requests, 1, held);
	return n == 2 && take(space, requests, 2, held);
}
