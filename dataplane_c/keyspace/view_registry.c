/* SPDX-License-Identifier: BSD-3-Clause */
/* Registries (nf.h) after a loss. When all have settled it is certain what lives, and nothing moves: each owner clears the
 * registries of its slots, whether they are old or were lost and will be made by the first entry, and everybody enters what
 * lies with him. All entries have come when all have said done; calls are applied only after that. */
#include <string.h>
#include "keyspace/view.h"
#include "object/map_inline.h"
#include "object/space.h"

#define BUDGET 1024
/* Bytes that may wait for a receiver before the entries wait for it. */
#define UNTAKEN_BYTES ((size_t)1 << 20)

uint64_t shoal_view_losses(const struct shoal_view *view)
{
	uint64_t total = 0;

	for (unsigned class = 0; class < SHOAL_CLASSES_MAX; class ++)
		total += view->lost[class] + view->rejected[class] + view->rolled_back[class];
	return total;
}

bool shoal_view_lossy(const struct shoal_space *space)
{
	const struct shoal_view *view = &space->view;

	for (uint64_t dead = view->dead; dead; dead &= dead - 1) {
		unsigned member = (unsigned)__builtin_ctzll(dead);
		const struct shoal_adoption *adoption = view->adoptions[member];

		/* Nobody adopts what it had; or it died before all was looked at after an earlier loss. */
		if (view->death->adopter[member] == SHOAL_MEMBER_NONE ||
			(adoption && adoption->open && adoption->legacy.image->checking))
			return true;
	}
	return view->told_to_drop || space->aftermath.open || shoal_view_losses(view) != view->losses_before;
}

static void clear_class(struct shoal_space *space, uint8_t class)
{
	for (uint32_t index = 1; index < space->maps[class].high_water; index++) {
		struct shoal_place place = shoal_place_at(space, class, index);

		if (place.entry->record == SHOAL_RECORD_SHARED)
			place.map->class->clear(shoal_place_key(&place), shoal_place_object(&place));
	}
}

/* Once in a view: before the first entry. */
static void clear_mine(struct shoal_space *space)
{
	if (space->view.cleared == space->view.number)
		return;
	space->view.cleared = space->view.number;
	for (uint8_t class = 0; class < space->config.classes_count; class ++)
		if (space->config.classes[class]->clear)
			clear_class(space, class);
}

void shoal_view_enter(struct shoal_space *space, const struct shoal_message *enter)
{
	const struct shoal_class *class = space->config.classes[enter->class];
	const void *key = shoal_message_key(enter);
	const struct shoal_map *map = &space->maps[enter->class];

	if (!class->clear || !class->methods[enter->method].untethered ||
		!shoal_slot_bit(space->keyspace.token, shoal_map_slot(map, key, shoal_map_hash(map, key)))) {
		space->counters.stale_messages++;
		return;
	}
	clear_mine(space);
	shoal_call_enter(space, enter);
}

static void enter_one(struct shoal_space *space, const struct shoal_place *place, const struct shoal_registry *registry)
{
	uint8_t key[SHOAL_KEY_BYTES_MAX] __attribute__((aligned(8))) = { 0 };
	uint8_t argument[SHOAL_METHOD_BYTES_MAX] __attribute__((aligned(8))) = { 0 };
	uint8_t class = shoal_space_class_index(space, registry->class);
	const struct shoal_map *map = &space->maps[class];
	struct shoal_message head = {
		.kind = SHOAL_VIEW_ENTER, .class = class, .holder = SHOAL_MEMBER_NONE, .method = registry->method
	};

	if (registry->enter(shoal_place_key(place), shoal_place_object(place), key, argument))
		shoal_view_send(space, shoal_map_slot(map, key, shoal_map_hash(map, key)), &head, key, argument,
			registry->class->methods[registry->method].argument_bytes);
}

/* Its bytes are here, and it lives. What is being removed is as good as gone. */
static bool lives_here(const struct shoal_space *space, const struct shoal_place *place)
{
	return place->entry->handle == SHOAL_HANDLE_HELD ||
	       (place->entry->handle == SHOAL_HANDLE_ABSENT && place->entry->record == SHOAL_RECORD_FREE &&
		       shoal_slot_bit(space->keyspace.token, place->entry->slot));
}

static bool somebody_slow(const struct shoal_space *space)
{
	for (uint64_t members = space->view.others; members; members &= members - 1)
		if (shoal_channel_waiting(space->channel, (uint8_t)__builtin_ctzll(members)) > UNTAKEN_BYTES)
			return true;
	return false;
}

bool shoal_view_enter_step(struct shoal_space *space)
{
	struct shoal_view *view = &space->view;

	clear_mine(space);
	for (unsigned looked = 0; looked < BUDGET && !somebody_slow(space); looked++) {
		const struct shoal_registry *registry;
		struct shoal_place place;

		if (view->class == space->config.classes_count)
			return true;
		registry = space->config.classes[view->class]->registry;
		if (!registry || view->index >= space->maps[view->class].high_water) {
			view->class ++;
			view->index = 1;
			continue;
		}
		place = shoal_place_at(space, view->class, view->index++);
		if (lives_here(space, &place))
			enter_one(space, &place, registry);
	}
	shoal_space_drain(space);
	return false;
}
