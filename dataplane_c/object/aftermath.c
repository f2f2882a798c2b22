/* SPDX-License-Identifier: BSD-3-Clause */
/* After a death that has cost objects the NF looks at every object that is left: its class's `after_loss` runs once for each,
 * while packets go on. The worker that has an object's record does it, and no plan begins before all are done: records stay
 * where they are, and none is missed. */
#include "object/map_inline.h"
#include "object/space.h"

#define BUDGET 1024
/* Tasks at a time: idle tasks need room too. */
#define TASKS_MAX 128

void shoal_aftermath_begin(struct shoal_space *space)
{
	for (uint8_t class = 0; class < space->config.classes_count; class ++)
		space->aftermath.open |= space->config.classes[class]->after_loss != NULL;
	space->aftermath.class = 0;
	space->aftermath.index = 1;
	space->image->checking = space->aftermath.open;
}

static bool has_record(const struct shoal_space *space, const struct shoal_place *place)
{
	unsigned record = place->entry->record;

	return (record == SHOAL_RECORD_FREE || record == SHOAL_RECORD_LEASED || record == SHOAL_RECORD_RECALLED) &&
	       shoal_slot_bit(space->keyspace.token, place->entry->slot);
}

unsigned shoal_aftermath_poll(struct shoal_space *space)
{
	struct shoal_aftermath *aftermath = &space->aftermath;
	unsigned looked;

	for (looked = 0; looked < BUDGET && aftermath->class < space->config.classes_count; looked++) {
		struct shoal_place place;

		if (!space->config.classes[aftermath->class]->after_loss ||
			aftermath->index >= space->maps[aftermath->class].high_water) {
			aftermath->class ++;
			aftermath->index = 1;
			continue;
		}
		place = shoal_place_at(space, aftermath->class, aftermath->index);
		if (has_record(space, &place)) {
			if (aftermath->tasks >= TASKS_MAX || !shoal_space_idle_task_add(space, &place, true))
				return looked;
			aftermath->tasks++;
		}
		aftermath->index++;
	}
	if (aftermath->class == space->config.classes_count && !aftermath->tasks) {
		aftermath->open = false;
		space->image->checking = 0;
	}
	return looked;
}

void shoal_aftermath_run(struct shoal_space *space, const struct shoal_idle_task *task)
{
	const struct shoal_class *class = space->config.classes[task->class];
	int error = class->after_loss(&space->context->context, task->key);
	struct shoal_place place;

	space->aftermath.tasks--;
	space->counters.looked_at_after_loss++;
	if (!error)
		return;
	/* Once more, in a pass of its own: those of other objects are done twice then, which changes nothing. */
	place = shoal_place_find(space, task->class, task->key, shoal_map_hash(&space->maps[task->class], task->key));
	if (!place.entry || !has_record(space, &place))
		return;
	if (shoal_space_idle_task_add(space, &place, true))
		space->aftermath.tasks++;
	else
		shoal_aftermath_begin(space);
}
