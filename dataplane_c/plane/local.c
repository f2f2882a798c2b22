/* SPDX-License-Identifier: BSD-3-Clause */
/* The plane `local`: every object lies in this worker's own tables. No key owner, no lease, no message, so nothing ever
 * suspends: what a microthread takes is nobody else's till it is done. For one instance alone.
 *
 * The space's key space goes on beside it, without objects in it: the controller's plans find an instance as any other. */
#include <errno.h>
#include <string.h>
#include "object/map_inline.h"
#include "plane/plane.h"

#define IDLE_BUDGET 64

static struct shoal_space *space_of(struct shoal_context *context)
{
	return ((struct shoal_space_context *)context)->space;
}

/* References that the running microthread holds. NULL: not in a microthread. */
static uintptr_t *holding(struct shoal_space *space)
{
	struct shoal_microthread *microthread = shoal_microthread_current(space->scheduler);

	return microthread ? (uintptr_t *)shoal_microthread_local(microthread) : NULL;
}

static void construct(struct shoal_space *space, struct shoal_place *place)
{
	const struct shoal_class *class = place->map->class;

	memset(shoal_place_object(place), 0, class->object_bytes);
	if (class->construct)
		class->construct(&space->context->context, shoal_place_key(place), shoal_place_object(place));
	place->entry->used_ms = space->now_ms;
}

static struct shoal_place make(struct shoal_space *space, uint8_t class, const void *key, uint64_t hash)
{
	struct shoal_place place = shoal_place_at(space, class, shoal_map_insert(&space->maps[class], key, hash));

	if (!place.entry)
		return place;
	place.entry->handle = SHOAL_HANDLE_HELD;
	construct(space, &place);
	shoal_idle_arm(space, &place, 0);
	space->held++;
	return place;
}

static void end(struct shoal_space *space, struct shoal_place *place)
{
	shoal_idle_disarm(space, place);
	shoal_map_remove(place->map, place->index);
	space->held--;
}

/* 0 or -ENOSPC. */
static int take_one(struct shoal_space *space, struct shoal_request *request, uint8_t class, uint64_t hash)
{
	struct shoal_place place = shoal_place_find(space, class, request->key, hash);

	if (!place.entry && request->create) {
		place = make(space, class, request->key, hash);
		if (!place.entry) {
			space->counters.takes_no_room++;
			return -ENOSPC;
		}
		request->created = true;
	}
	if (!place.entry)
		return 0;
	place.entry->references++;
	place.entry->used_ms = space->now_ms;
	request->object = shoal_place_object(&place);
	request->entry = place.index;
	return 0;
}

static void release_one(struct shoal_space *space, struct shoal_request *request, uint8_t class)
{
	struct shoal_place place = shoal_place_at(space, class, request->entry);

	request->object = NULL;
	place.entry->references--;
}

/* What a take has made that failed afterwards, is not there. */
static void undo(struct shoal_space *space, struct shoal_request *requests, unsigned n, const uint8_t *classes)
{
	for (unsigned i = 0; i < n; i++) {
		struct shoal_place place = shoal_place_at(space, classes[i], requests[i].entry);

		if (!requests[i].object)
			continue;
		release_one(space, &requests[i], classes[i]);
		if (requests[i].created)
			end(space, &place);
		requests[i].created = false;
	}
}

static int take(struct shoal_context *context, struct shoal_request *requests, unsigned n)
{
	struct shoal_space *space = space_of(context);
	uintptr_t *held = holding(space);
	uint8_t classes[SHOAL_TAKE_MAX];
	uint64_t hashes[SHOAL_TAKE_MAX];
	int error = 0;

	if (!held || !n || n > SHOAL_TAKE_MAX)
		return -EINVAL;
	if (*held) {
		space->counters.takes_refused_deadlock++;
		return -EDEADLK;
	}
	for (unsigned i = 0; i < n; i++) {
		classes[i] = shoal_space_class_index(space, requests[i].class);
		if (classes[i] == SHOAL_CLASSES_MAX || requests[i].class->pattern != SHOAL_SINGLE_WRITER)
			return -EINVAL;
		hashes[i] = shoal_map_hash(&space->maps[classes[i]], requests[i].key);
		shoal_map_prefetch(&space->maps[classes[i]], hashes[i]);
		requests[i].object = NULL;
		requests[i].created = false;
	}
	space->counters.takes += n;
	for (unsigned i = 0; i < n && !error; i++)
		error = take_one(space, &requests[i], classes[i], hashes[i]);
	if (error)
		undo(space, requests, n, classes);
	for (unsigned i = 0; i < n; i++)
		*held += requests[i].object != NULL;
	space->counters.takes_local += *held;
	return error;
}

static void release(struct shoal_context *context, struct shoal_request *requests, unsigned n)
{
	struct shoal_space *space = space_of(context);
	uintptr_t *held = holding(space);

	for (unsigned i = 0; i < n; i++) {
		if (!requests[i].object)
			continue;
		release_one(space, &requests[i], shoal_space_class_index(space, requests[i].class));
		(*held)--;
	}
}

static int remove_object(struct shoal_context *context, struct shoal_request *request)
{
	struct shoal_space *space = space_of(context);
	struct shoal_place place =
		shoal_place_at(space, shoal_space_class_index(space, request->class), request->entry);

	if (!request->object)
		return -EINVAL;
	if (place.entry->references > 1) /* asked for twice in one take */
		return -EBUSY;
	request->object = NULL;
	(*holding(space))--;
	space->counters.removes++;
	end(space, &place);
	return 0;
}

static int call(struct shoal_context *context, const struct shoal_class *class, const void *key, unsigned method,
	const void *argument, void *result)
{
	struct shoal_space *space = space_of(context);
	uint8_t index = shoal_space_class_index(space, class);
	uintptr_t *held = holding(space);
	struct shoal_place place;

	if (!held || index == SHOAL_CLASSES_MAX || class->pattern != SHOAL_MULTI_WRITER ||
		method >= class->methods_count)
		return -EINVAL;
	if (*held) {
		space->counters.takes_refused_deadlock++;
		return -EDEADLK;
	}
	space->counters.calls++;
	place = shoal_place_make(space, index, key, shoal_map_hash(&space->maps[index], key));
	if (!place.entry) {
		if (class->methods[method].untethered)
			space->counters.calls_untethered_no_room++;
		else
			space->counters.calls_no_room++;
		return -ENOSPC;
	}
	if (place.entry->record == SHOAL_RECORD_NONE) {
		place.entry->record = SHOAL_RECORD_SHARED;
		construct(space, &place);
	}
	place.entry->used_ms = space->now_ms;
	class->methods[method].apply(context, key, shoal_place_object(&place), argument, result);
	return 0;
}

/* A plan that is at work has messages to itself; else there is no channel to look at. */
static bool plans_at_work(const struct shoal_space *space)
{
	return space->keyspace.stage != SHOAL_STAGE_NORMAL || space->view.stage != SHOAL_VIEW_QUIET;
}

static unsigned poll(struct shoal_space *space, uint64_t now_ns)
{
	if (SHOAL_UNLIKELY(plans_at_work(space)))
		return shoal_space_poll(space, now_ns);
	space->now_ns = now_ns;
	space->now_ms = (uint32_t)(now_ns / SHOAL_NS_PER_MS);
	space->context->context.now_ns = now_ns;
	return shoal_idle_poll(space, IDLE_BUDGET);
}

static void flush(struct shoal_space *space)
{
	if (SHOAL_UNLIKELY(plans_at_work(space)))
		shoal_space_flush(space);
}

const struct shoal_plane shoal_plane_local = {
	.name = "local",
	.runtime = { .take = take,
		.expect = shoal_space_expect,
		.release = release,
		.remove = remove_object,
		.call = call },
	.poll = poll,
	.flush = flush,
	.run_idle_task = shoal_space_run_idle_task,
};
