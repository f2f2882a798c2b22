/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include "object/map_inline.h"
#include "object/space.h"

#define TASKS_ROOM (sizeof(((struct shoal_space *)0)->idle_tasks) / sizeof(struct shoal_idle_task))
/* An object that its task left alone is looked at again after a sixteenth of its idle time, at least a tick. */
#define AGAIN_FRACTION 16

static uint32_t idle_ms(const struct shoal_space *space, const struct shoal_place *place)
{
	const struct shoal_class *class = place->map->class;

	return class->idle_ms ? class->idle_ms(&space->context->context, shoal_place_object(place)) : 0;
}

void shoal_idle_disarm(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_idle_wheel *wheel = &space->wheels[place->class];
	struct shoal_entry_timer *timer = &place->map->timers[place->index];

	if (!timer->bucket)
		return;
	if (timer->previous)
		place->map->timers[timer->previous].next = timer->next;
	else
		wheel->heads[timer->bucket - 1] = timer->next;
	if (timer->next)
		place->map->timers[timer->next].previous = timer->previous;
	timer->bucket = timer->next = timer->previous = 0;
	/* It lies here: what was sent of it before has come back. */
	place->entry->flags &= (uint8_t)~SHOAL_ENTRY_MAILED;
}

void shoal_idle_arm(struct shoal_space *space, struct shoal_place *place, uint32_t after_ms)
{
	struct shoal_idle_wheel *wheel = &space->wheels[place->class];
	struct shoal_entry_timer *timer = &place->map->timers[place->index];
	uint32_t ticks, bucket;

	if (!place->map->class->idle_ms)
		return;
	if (!after_ms) {
		uint32_t idle = idle_ms(space, place), used = space->now_ms - place->entry->used_ms;

		if (!idle)
			return;
		after_ms = idle > used ? idle - used : 0;
	}
	shoal_idle_disarm(space, place);
	/* Beyond the wheel's turn it is looked at earlier, and armed again. The wheel may be behind the time: counted from where it
	 * stands, or an object could come back to the bucket that is just being emptied, for ever. */
	ticks = space->now_ms / SHOAL_IDLE_TICK_MS - wheel->tick + after_ms / SHOAL_IDLE_TICK_MS + 1;
	if (ticks > SHOAL_IDLE_BUCKETS - 1)
		ticks = SHOAL_IDLE_BUCKETS - 1;
	bucket = (wheel->tick + ticks) % SHOAL_IDLE_BUCKETS;
	timer->next = wheel->heads[bucket];
	timer->previous = 0;
	if (timer->next)
		place->map->timers[timer->next].previous = place->index;
	wheel->heads[bucket] = place->index;
	timer->bucket = bucket + 1;
}

bool shoal_space_idle_task_add(struct shoal_space *space, const struct shoal_place *place, bool after_loss)
{
	struct shoal_idle_task *task;

	if (space->idle_tasks_tail - space->idle_tasks_head == TASKS_ROOM)
		return false;
	task = &space->idle_tasks[space->idle_tasks_tail++ % TASKS_ROOM];
	task->class = place->class;
	task->after_loss = after_loss;
	memcpy(task->key, shoal_place_key(place), place->map->class->key_bytes);
	return true;
}

/* False: no room for another task now. */
static bool look(struct shoal_space *space, struct shoal_place *place)
{
	uint32_t idle = idle_ms(space, place), used = space->now_ms - place->entry->used_ms;

	if (!idle || used < idle) {
		shoal_idle_arm(space, place, 0);
		if (!idle)
			shoal_idle_disarm(space, place);
		return true;
	}
	if (!shoal_space_idle_task_add(space, place, false))
		return false;
	idle /= AGAIN_FRACTION;
	shoal_idle_arm(space, place, idle > SHOAL_IDLE_TICK_MS ? idle : SHOAL_IDLE_TICK_MS);
	return true;
}

static unsigned poll_wheel(struct shoal_space *space, uint8_t class, unsigned budget)
{
	struct shoal_idle_wheel *wheel = &space->wheels[class];
	uint32_t now = space->now_ms / SHOAL_IDLE_TICK_MS;
	unsigned looked = 0;

	/* A wheel that stood still for more than a turn has every bucket due. */
	if (now - wheel->tick > SHOAL_IDLE_BUCKETS)
		wheel->tick = now - SHOAL_IDLE_BUCKETS;
	while (wheel->tick != now) {
		uint32_t index = wheel->heads[wheel->tick % SHOAL_IDLE_BUCKETS];

		if (!index) {
			wheel->tick++;
			continue;
		}
		if (looked == budget)
			break;
		struct shoal_place place = shoal_place_at(space, class, index);

		if (!look(space, &place))
			break;
		looked++;
	}
	return looked;
}

unsigned shoal_idle_poll(struct shoal_space *space, unsigned budget)
{
	uint32_t now = space->now_ms / SHOAL_IDLE_TICK_MS;
	unsigned looked = 0, behind = 0;

	if (SHOAL_LIKELY(space->idle_tick == now))
		return 0;
	for (uint8_t class = 0; class < space->config.classes_count; class ++) {
		if (!space->config.classes[class]->idle_ms)
			continue;
		looked += poll_wheel(space, class, budget);
		behind |= space->wheels[class].tick != now;
	}
	if (!behind)
		space->idle_tick = now;
	return looked;
}

bool shoal_space_idle_task(struct shoal_space *space, struct shoal_idle_task *task)
{
	if (space->idle_tasks_head == space->idle_tasks_tail)
		return false;
	*task = space->idle_tasks[space->idle_tasks_head++ % TASKS_ROOM];
	return true;
}

/* Held, and nobody waits for it; or free at me, its key owner. */
static bool lies_here(const struct shoal_space *space, const struct shoal_place *place)
{
	const struct shoal_entry *entry = place->entry;

	if (!entry)
		return false;
	if (entry->handle == SHOAL_HANDLE_HELD)
		return !(entry->flags & (SHOAL_ENTRY_RECALLED | SHOAL_ENTRY_FRESH));
	return entry->handle == SHOAL_HANDLE_ABSENT && entry->record == SHOAL_RECORD_FREE &&
	       shoal_slot_bit(space->keyspace.token, entry->slot);
}

void shoal_space_run_idle_task(struct shoal_space *space, const struct shoal_idle_task *task)
{
	const struct shoal_class *class = space->config.classes[task->class];
	struct shoal_context *context = &space->context->context;
	struct shoal_request request = { .class = class, .key = task->key };
	struct shoal_place place;
	uint32_t idle;

	if (task->after_loss) {
		shoal_aftermath_run(space, task);
		return;
	}
	space->counters.idle_tasks++;
	if (class->on_idle) {
		class->on_idle(context, task->key);
		return;
	}
	place = shoal_place_find(space, task->class, task->key, shoal_map_hash(&space->maps[task->class], task->key));
	if (!lies_here(space, &place))
		return; /* it is not mine to end */
	idle = idle_ms(space, &place);
	if (!idle || space->now_ms - place.entry->used_ms < idle)
		return; /* used again meanwhile, or such that it never ends */
	/* What lies here is taken without a wait. */
	if (shoal_take(context, &request, 1) || !request.object)
		return;
	if (shoal_remove(context, &request))
		shoal_release(context, &request, 1);
}
