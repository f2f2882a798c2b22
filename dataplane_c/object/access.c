/* SPDX-License-Identifier: BSD-3-Clause */
/* What NFs call: take, release, remove. The only place that asks "local or not" (and take_at_once.c before it, call.c for
 * methods). */
#include <errno.h>
#include <string.h>
#include "object/fetch.h"
#include "object/map_inline.h"
#include "object/wait.h"

static struct shoal_space *space_of(struct shoal_context *context)
{
	return ((struct shoal_space_context *)context)->space;
}

/* References that the running microthread holds, kept in its own word. NULL: not in a microthread. */
static uintptr_t *holding(struct shoal_space *space)
{
	return (uintptr_t *)shoal_microthread_word(space->scheduler);
}

static bool usable(struct shoal_space *space, const struct shoal_place *place)
{
	const struct shoal_entry *entry = place->entry;

	if (!entry || entry->handle != SHOAL_HANDLE_HELD)
		return false;
	if (SHOAL_LIKELY(!(entry->flags & (SHOAL_ENTRY_RECALLED | SHOAL_ENTRY_FRESH))))
		return true;
	if (entry->flags & SHOAL_ENTRY_FRESH || !place->lease->contention)
		return false;
	struct shoal_contention *contention = &space->contention.contentions[place->lease->contention];

	return contention->keep && contention->keep--;
}

static void use(struct shoal_space *space, struct shoal_request *request, const struct shoal_place *place)
{
	place->entry->references++;
	place->entry->used_ms = space->now_ms;
	request->object = shoal_place_object(place);
	request->created = place->entry->flags & SHOAL_ENTRY_FRESH;
	request->entry = place->index;
}

/* Here the key owner is asked without a message; `place` is what a look-up has just found. 1: the answer is in the request;
 * 0: somebody else has the object. */
static int take_as_owner(
	struct shoal_space *space, struct shoal_request *request, struct shoal_place *place, uint64_t hash)
{
	if ((!place->entry || place->entry->record == SHOAL_RECORD_NONE) && !request->create)
		return 1;
	if (!place->entry)
		*place = shoal_place_at(space, place->class, shoal_map_insert(place->map, request->key, hash));
	if (!place->entry) {
		space->counters.takes_no_room++;
		return -ENOSPC;
	}
	if (!shoal_record_grant_here(space, place, request->create))
		return 0;
	use(space, request, place);
	return 1;
}

static int outcome_of_wait(struct shoal_space *space, struct shoal_request *request, const struct shoal_wait *wait)
{
	struct shoal_place place = shoal_place_at(space, wait->class, wait->entry);

	switch (wait->outcome) {
	case SHOAL_WAIT_GRANTED:
		place.entry->references--; /* kept for it until now */
		use(space, request, &place);
		return 0;
	case SHOAL_WAIT_GONE:
		return 0;
	case SHOAL_WAIT_NO_ROOM:
		space->counters.takes_no_room++;
		return -ENOSPC;
	case SHOAL_WAIT_TIMED_OUT:
		return -ETIMEDOUT;
	default:
		return -EAGAIN;
	}
}

static int wait_for(
	struct shoal_space *space, struct shoal_request *request, struct shoal_place *place, uint64_t since_ns)
{
	struct shoal_wait wait = { .create = request->create, .since_ns = since_ns };

	shoal_wait_for_object(space, place, &wait);
	shoal_wait(space, &wait);
	return outcome_of_wait(space, request, &wait);
}

/* One call of shoal_take, of which an object is a part. */
struct take {
	uint64_t since_ns; /* its deadline counts from here */
	bool holding; /* has got references already */
};

/* The key owner is asked, and there is room in the window for it. 0 or -ENOSPC. */
static int ask(struct shoal_space *space, struct shoal_request *request, uint8_t class, uint64_t hash,
	struct shoal_place *place)
{
	if (!place->entry)
		*place = shoal_place_at(space, class, shoal_map_insert(&space->maps[class], request->key, hash));
	if (!place->entry) {
		space->counters.takes_no_room++;
		return -ENOSPC;
	}
	shoal_holder_ask(space, place, request->create);
	return 0;
}

/* What can be answered here and now. 1: answered; 0: not here; else -errno. */
static int take_here(struct shoal_space *space, struct shoal_request *request, uint8_t class, uint64_t hash,
	struct shoal_place *place)
{
	*place = shoal_place_find(space, class, request->key, hash);
	if (usable(space, place)) {
		use(space, request, place);
		return 1;
	}
	/* Its maker has not got it yet: for those who only look for it there is none. */
	if (place->entry && place->entry->handle == SHOAL_HANDLE_HELD && place->entry->flags & SHOAL_ENTRY_FRESH &&
		!request->create)
		return 1;
	if ((!place->entry || place->entry->handle == SHOAL_HANDLE_ABSENT) &&
		shoal_space_owner_here(
			space, class, request->key, hash, shoal_map_slot(&space->maps[class], request->key, hash)))
		return take_as_owner(space, request, place, hash);
	return 0;
}

/* Whatever it waited for, it looks again. */
static int take_one(struct shoal_space *space, struct shoal_request *request, uint8_t class, uint64_t hash,
	const struct take *whole)
{
	bool in_window = false, remote = false;
	struct shoal_place place;
	int answer;

	while ((answer = take_here(space, request, class, hash, &place)) == 0) {
		space->counters.takes_remote += !remote;
		remote = true;
		if (place.entry && place.entry->handle != SHOAL_HANDLE_ABSENT) {
			answer = wait_for(space, request, &place, whole->since_ns);
		} else if (shoal_space_owner_ended(space, shoal_map_slot(&space->maps[class], request->key, hash))) {
			space->counters.owner_ended++;
			answer = -ETIMEDOUT;
		} else if (!in_window && !shoal_window_try(space)) {
			in_window = shoal_window_enter(space, whole->since_ns, whole->holding);
			answer = in_window ? -EAGAIN : -ETIMEDOUT;
		} else if ((answer = ask(space, request, class, hash, &place)) == 0) {
			in_window = false; /* what was sent leaves it with its answer */
			answer = wait_for(space, request, &place, whole->since_ns);
		} else {
			in_window = true;
		}
		if (answer != -EAGAIN)
			break;
	}
	space->counters.takes_local += answer > 0 && !remote;
	if (in_window)
		shoal_window_leave(space);
	return answer > 0 ? 0 : answer;
}

/* The same object asked for twice in one take: the second reference comes with the first. It must not wait for those who
 * wait for the first to be given back. */
static bool take_again(
	struct shoal_space *space, struct shoal_request *request, const struct shoal_request *before, uint8_t class)
{
	struct shoal_place place;

	if (!before || !before->object || before->class != request->class ||
		memcmp(before->key, request->key, request->class->key_bytes) != 0)
		return false;
	place = shoal_place_at(space, class, before->entry);
	space->counters.takes_local++;
	use(space, request, &place);
	request->created = false;
	return true;
}

static __attribute__((noinline)) void after_release(struct shoal_space *space, uint8_t class, uint32_t index)
{
	struct shoal_place place = shoal_place_at(space, class, index);

	if (place.entry->flags & SHOAL_ENTRY_FRESH)
		shoal_holder_unmade(space, &place);
	else if (place.entry->flags & SHOAL_ENTRY_RECALLED)
		shoal_holder_settle_later(space, &place);
	else if (!place.entry->references)
		shoal_holder_return(space, &place); /* planted: does not keep the lease */
}

static inline void give_back(struct shoal_space *space, uint8_t class, uint32_t index)
{
	struct shoal_entry *entry = shoal_map_entry(&space->maps[class], index);

	entry->references--;
	if (SHOAL_UNLIKELY(entry->flags & (SHOAL_ENTRY_FRESH | SHOAL_ENTRY_RECALLED) || SHOAL_PLANT(10)))
		after_release(space, class, index);
}

void shoal_place_release(struct shoal_space *space, uint8_t class, uint32_t index)
{
	give_back(space, class, index);
}

static inline void release_one(struct shoal_space *space, struct shoal_request *request, uint8_t class)
{
	request->object = NULL;
	give_back(space, class, request->entry);
}

/* The take has all that it asked for: what it made is there for others from now on. */
static void show_made(struct shoal_space *space, const struct shoal_request *request, uint8_t class)
{
	struct shoal_place place = shoal_place_at(space, class, request->entry);

	shoal_holder_made(space, &place);
}

void shoal_space_release(struct shoal_context *context, struct shoal_request *requests, unsigned n)
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

/* The order in which all microthreads of all workers take: by class, then hash. With it no two can wait for each
 * other [m 12]. */
static void sort(struct shoal_space *space, struct shoal_request *requests, unsigned n, uint8_t *order,
	uint8_t *classes, uint64_t *hashes)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned at = i;

		classes[i] = shoal_space_class_index(space, requests[i].class);
		hashes[i] =
			classes[i] < SHOAL_CLASSES_MAX ? shoal_map_hash(&space->maps[classes[i]], requests[i].key) : 0;
		if (classes[i] < SHOAL_CLASSES_MAX)
			shoal_map_prefetch(&space->maps[classes[i]], hashes[i]);
		while (at && (classes[order[at - 1]] > classes[i] ||
				     (classes[order[at - 1]] == classes[i] && hashes[order[at - 1]] > hashes[i]))) {
			order[at] = order[at - 1];
			at--;
		}
		order[at] = (uint8_t)i;
	}
}

void shoal_space_expect(struct shoal_context *context, const struct shoal_class *class, const void *keys, unsigned n)
{
	struct shoal_space *space = space_of(context);
	uint8_t index = shoal_space_class_index(space, class);
	uint64_t hashes[SHOAL_BURST_MAX];
	uint32_t buckets[SHOAL_BURST_MAX];

	if (index == SHOAL_CLASSES_MAX || n > SHOAL_BURST_MAX)
		return;
	shoal_map_hash_burst(&space->maps[index], keys, n, hashes);
	shoal_map_bucket_burst(&space->maps[index], hashes, n, buckets);
}

/* Whether whoever runs may take at all: 0 or why not. */
static int refusal(struct shoal_space *space, const uintptr_t *held, unsigned n)
{
	if (!held || !n || n > SHOAL_TAKE_MAX)
		return -EINVAL;
	if (*held) {
		space->counters.takes_refused_deadlock++;
		return -EDEADLK;
	}
	return SHOAL_UNLIKELY(shoal_keyspace_left(&space->keyspace)) ? -ESHUTDOWN : 0;
}

static int take_long(struct shoal_space *space, struct shoal_request *requests, unsigned n, uintptr_t *held)
{
	uint8_t order[SHOAL_TAKE_MAX], classes[SHOAL_TAKE_MAX];
	uint64_t hashes[SHOAL_TAKE_MAX];
	struct take whole = { .since_ns = space->waited_since_ns ? space->waited_since_ns : space->now_ns };
	int error = 0;

	space->waited_since_ns = 0;
	sort(space, requests, n, order, classes, hashes);
	for (unsigned i = 0; i < n; i++) {
		if (classes[i] == SHOAL_CLASSES_MAX || requests[i].class->pattern != SHOAL_SINGLE_WRITER)
			return -EINVAL;
		requests[i].object = NULL;
		requests[i].created = false;
	}
	space->counters.takes += n;
	for (unsigned i = 0; i < n && !error; i++) {
		struct shoal_request *request = &requests[order[i]], *before = i ? &requests[order[i - 1]] : NULL;

		if (!take_again(space, request, before, classes[order[i]]))
			error = take_one(space, request, classes[order[i]], hashes[order[i]], &whole);
		whole.holding |= request->object != NULL;
	}
	for (unsigned i = 0; i < n; i++) {
		if (error && requests[i].object)
			release_one(space, &requests[i], classes[i]);
		else if (SHOAL_UNLIKELY(requests[i].created))
			show_made(space, &requests[i], classes[i]);
		*held += requests[i].object != NULL;
	}
	return error;
}

int shoal_space_take(struct shoal_context *context, struct shoal_request *requests, unsigned n)
{
	struct shoal_space *space = space_of(context);
	uintptr_t *held = holding(space);
	int error = refusal(space, held, n);

	if (SHOAL_UNLIKELY(error))
		return error;
	if (shoal_take_at_once(space, requests, n, held))
		return 0;
	return take_long(space, requests, n, held);
}

int shoal_space_take_long(struct shoal_context *context, struct shoal_request *requests, unsigned n)
{
	struct shoal_space *space = space_of(context);
	uintptr_t *held = holding(space);
	int error = refusal(space, held, n);

	return error ? error : take_long(space, requests, n, held);
}

int shoal_space_remove(struct shoal_context *context, struct shoal_request *request)
{
	struct shoal_space *space = space_of(context);
	struct shoal_place place =
		shoal_place_at(space, shoal_space_class_index(space, request->class), request->entry);

	if (!request->object)
		return -EINVAL;
	if (place.entry->references > 1)
		return -EBUSY;
	request->object = NULL;
	(*holding(space))--;
	place.entry->references = 0;
	space->counters.removes++;
	shoal_holder_remove(space, &place);
	return 0;
}
