/* SPDX-License-Identifier: BSD-3-Clause */
/* Single-writer objects: a take reads and locks all that it asks for at one go, or is told who has it, and asks again; a
 * release writes and unlocks in one command. Locks bear the worker's name and end with its life, so that nothing waits for
 * the dead. */
#include <errno.h>
#include "object/map_inline.h"
#include "plane/remote.h"

/* Until a locked object is asked for again; until a write is that the server refused. */
#define BUSY_NS 20000
#define REFUSED_NS (5 * SHOAL_NS_PER_MS)
/* After which a lock of this worker's own is looked up among those that it knows. */
#define FORGOTTEN_NS (50 * SHOAL_NS_PER_MS)

static struct shoal_remote *remote_of(struct shoal_context *context)
{
	return ((struct shoal_space_context *)context)->plane;
}

static void hold_free(struct shoal_remote *remote, uint32_t index)
{
	remote->holds[index].number = 0;
	remote->holds[index].next = remote->holds_free;
	remote->holds_free = index;
	remote->holds_used--;
	if (SHOAL_UNLIKELY(remote->starved_first))
		shoal_remote_feed(remote);
}

static void take_free(struct shoal_remote *remote, struct shoal_remote_take *take)
{
	take->wait = NULL;
	take->next = remote->takes_free;
	remote->takes_free = (uint32_t)(take - remote->takes);
	if (SHOAL_UNLIKELY(remote->starved_first))
		shoal_remote_feed(remote);
}

/* --- Take --- */

/* A hold for each object; one that is asked for twice shares it. */
static void make_holds(struct shoal_remote *remote, struct shoal_remote_take *take, struct shoal_request *requests,
	unsigned n, uint64_t number)
{
	take->count = 0;
	for (unsigned i = 0; i < n; i++) {
		const struct shoal_class *class = requests[i].class;
		struct shoal_remote_hold *hold = NULL;

		for (unsigned j = 0; j < i && !hold; j++)
			if (requests[j].class == class && !memcmp(requests[j].key, requests[i].key, class->key_bytes))
				hold = &remote->holds[requests[i].entry = requests[j].entry];
		if (hold) {
			hold->create |= requests[i].create;
			hold->references++;
			continue;
		}
		requests[i].entry = remote->holds_free;
		hold = &remote->holds[requests[i].entry];
		remote->holds_free = hold->next;
		remote->holds_used++;
		take->holds[take->count++] = requests[i].entry;
		*hold = (struct shoal_remote_hold){ .class = shoal_space_class_index(remote->space, class),
			.create = requests[i].create,
			.references = 1,
			.number = number };
		memcpy(hold->key, requests[i].key, class->key_bytes);
	}
}

static struct shoal_remote_take *begin_take(
	struct shoal_remote *remote, struct shoal_request *requests, unsigned n, struct shoal_wait *wait)
{
	struct shoal_remote_take *take = &remote->takes[remote->takes_free];

	remote->takes_free = take->next;
	take->wait = wait;
	take->number = ++remote->numbers;
	take->stale = 0;
	take->since_ns = remote->space->now_ns;
	make_holds(remote, take, requests, n, take->number);
	shoal_remote_ask(remote, SHOAL_REQUEST_TAKE, (uint32_t)(take - remote->takes));
	return take;
}

/* What the server said is in the holds. */
static void fill(
	struct shoal_remote *remote, struct shoal_remote_thread *thread, struct shoal_request *requests, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct shoal_remote_hold *hold = &remote->holds[requests[i].entry];
		const struct shoal_class *class = requests[i].class;
		void *object = shoal_remote_object(remote, requests[i].entry);

		if (!hold->present && requests[i].create) {
			hold->present = requests[i].created = true;
			memset(object, 0, class->object_bytes);
			if (class->construct)
				class->construct(&remote->space->context->context, hold->key, object);
		}
		if (hold->present) {
			requests[i].object = object;
			hold->thread = (uint32_t)(thread - remote->threads);
			thread->held++;
		} else if (!--hold->references) {
			hold_free(remote, requests[i].entry);
		}
	}
}

static int check(struct shoal_remote *remote, struct shoal_request *requests, unsigned n)
{
	struct shoal_remote_thread *thread = shoal_remote_thread(remote);

	if (!thread || !n || n > SHOAL_TAKE_MAX)
		return -EINVAL;
	if (thread->held) {
		remote->space->counters.takes_refused_deadlock++;
		return -EDEADLK;
	}
	for (unsigned i = 0; i < n; i++) {
		if (requests[i].class->pattern != SHOAL_SINGLE_WRITER ||
			shoal_space_class_index(remote->space, requests[i].class) == SHOAL_CLASSES_MAX)
			return -EINVAL;
		requests[i].object = NULL;
		requests[i].created = false;
	}
	return shoal_keyspace_left(&remote->space->keyspace) ? -ESHUTDOWN : 0;
}

int shoal_remote_take(struct shoal_context *context, struct shoal_request *requests, unsigned n)
{
	struct shoal_remote *remote = remote_of(context);
	struct shoal_wait wait = { .since_ns = remote->space->now_ns };
	struct shoal_remote_take *take;
	int error = check(remote, requests, n);

	if (error)
		return error;
	remote->space->counters.takes += n;
	remote->space->counters.takes_remote += n;
	while (remote->holds_used + n > remote->holds_count || !remote->takes_free)
		if (shoal_remote_starve(remote, wait.since_ns)) {
			remote->space->counters.takes_timed_out++;
			return -ETIMEDOUT;
		}
	take = begin_take(remote, requests, n, &wait);
	shoal_wait(remote->space, &wait);
	/* The answer has freed it, or will; by then it may be another's. */
	if (take->wait == &wait)
		take->wait = NULL;
	if (wait.outcome == SHOAL_WAIT_GRANTED)
		fill(remote, shoal_remote_thread(remote), requests, n);
	else
		remote->space->counters.takes_timed_out += wait.outcome == SHOAL_WAIT_TIMED_OUT;
	return wait.outcome == SHOAL_WAIT_GRANTED ? 0 : wait.outcome == SHOAL_WAIT_NO_ROOM ? -ENOSPC : -ETIMEDOUT;
}

/* --- Its answer --- */

static bool is_waited_for(const struct shoal_remote_take *take)
{
	return take->wait && take->wait->outcome == SHOAL_WAIT_PENDING;
}

/* The take ends without its objects. */
static void refuse(struct shoal_remote *remote, struct shoal_remote_take *take, enum shoal_wait_outcome outcome)
{
	for (unsigned i = 0; i < take->count; i++)
		hold_free(remote, take->holds[i]);
	if (is_waited_for(take))
		shoal_wait_end(remote->space, take->wait, outcome);
	take_free(remote, take);
}

/* All is locked, but nobody waits for it any more: it is given back as it was. */
static void give_back(struct shoal_remote *remote, struct shoal_remote_take *take)
{
	for (unsigned i = 0; i < take->count; i++) {
		struct shoal_remote_hold *hold = &remote->holds[take->holds[i]];

		hold->ends = !hold->present;
		if (hold->present || hold->create)
			shoal_remote_hold_put(remote, take->holds[i]);
		else
			hold_free(remote, take->holds[i]);
	}
	take_free(remote, take);
}

static void read_hold(struct shoal_remote *remote, uint32_t index, const struct shoal_reply *node)
{
	struct shoal_remote_hold *hold = &remote->holds[index];

	hold->present = node->kind == SHOAL_REPLY_BULK;
	if (!hold->present)
		return;
	memcpy(&hold->used_ms, node->bytes + SHOAL_REMOTE_LOCK_BYTES, sizeof(hold->used_ms));
	memcpy(shoal_remote_object(remote, index), node->bytes + SHOAL_REMOTE_HEAD_BYTES,
		remote->space->config.classes[hold->class]->object_bytes);
}

/* Whether the reply is what was asked for: a value of the right length, or nil, for each object. */
static bool is_complete(
	const struct shoal_remote *remote, const struct shoal_remote_take *take, const struct shoal_reply *nodes)
{
	if (nodes[0].kind != SHOAL_REPLY_ARRAY || nodes[0].length != take->count)
		return false;
	for (unsigned i = 0; i < take->count; i++) {
		const struct shoal_remote_hold *hold = &remote->holds[take->holds[i]];
		uint32_t bytes = SHOAL_REMOTE_HEAD_BYTES + remote->space->config.classes[hold->class]->object_bytes;

		if (nodes[1 + i].kind != SHOAL_REPLY_NIL &&
			(nodes[1 + i].kind != SHOAL_REPLY_BULK || nodes[1 + i].length != bytes))
			return false;
	}
	return true;
}

/* A lock of this worker's own that no hold has: the server has come back without the write that had ended it. */
static void look_for_forgotten(
	struct shoal_remote *remote, struct shoal_remote_take *take, const struct shoal_remote_lock *lock)
{
	if (lock->owner != remote->config.owner || remote->space->now_ns - take->since_ns < FORGOTTEN_NS)
		return;
	for (uint32_t i = 1; i <= remote->holds_count; i++)
		if (remote->holds[i].number == lock->number)
			return;
	take->stale = lock->number;
	remote->counters.locks_forgotten++;
}

void shoal_remote_take_answered(
	struct shoal_remote *remote, const struct shoal_remote_request *request, const struct shoal_reply *nodes)
{
	struct shoal_remote_take *take = &remote->takes[request->index];
	bool busy = nodes[0].kind == SHOAL_REPLY_BULK && nodes[0].length == SHOAL_REMOTE_LOCK_BYTES;
	struct shoal_remote_lock lock;

	if (is_complete(remote, take, nodes)) {
		for (unsigned i = 0; i < take->count; i++)
			read_hold(remote, take->holds[i], &nodes[1 + i]);
		if (!is_waited_for(take)) {
			give_back(remote, take);
			return;
		}
		shoal_wait_end(remote->space, take->wait, SHOAL_WAIT_GRANTED);
		take_free(remote, take);
		return;
	}
	remote->counters.busy += busy;
	remote->counters.errors += !busy;
	if (nodes[0].kind == SHOAL_REPLY_ERROR && nodes[0].length >= 3 && !memcmp(nodes[0].bytes, "OOM", 3)) {
		remote->space->counters.takes_no_room++;
		refuse(remote, take, SHOAL_WAIT_NO_ROOM);
	} else if (!is_waited_for(take)) {
		refuse(remote, take, SHOAL_WAIT_TIMED_OUT);
	} else {
		if (busy) {
			memcpy(&lock, nodes[0].bytes, sizeof(lock));
			look_for_forgotten(remote, take, &lock);
		}
		shoal_remote_ask_later(remote, request, busy ? BUSY_NS : REFUSED_NS);
	}
}

/* --- Release --- */

void shoal_remote_hold_put(struct shoal_remote *remote, uint32_t index)
{
	remote->threads[remote->holds[index].thread].writes++;
	shoal_remote_ask(remote, SHOAL_REQUEST_PUT, index);
}

static void let_go(struct shoal_remote *remote, struct shoal_request *request, bool ends)
{
	struct shoal_remote_hold *hold = &remote->holds[request->entry];

	request->object = NULL;
	remote->threads[hold->thread].held--;
	hold->ends = ends;
	if (!--hold->references)
		shoal_remote_hold_put(remote, request->entry);
}

void shoal_remote_release(struct shoal_context *context, struct shoal_request *requests, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (requests[i].object)
			let_go(remote_of(context), &requests[i], false);
}

int shoal_remote_remove(struct shoal_context *context, struct shoal_request *request)
{
	struct shoal_remote *remote = remote_of(context);

	if (!request->object)
		return -EINVAL;
	if (remote->holds[request->entry].references > 1) /* asked for twice in one take */
		return -EBUSY;
	remote->space->counters.removes++;
	let_go(remote, request, true);
	return 0;
}

void shoal_remote_put_answered(
	struct shoal_remote *remote, const struct shoal_remote_request *request, const struct shoal_reply *nodes)
{
	struct shoal_remote_hold *hold = &remote->holds[request->index];
	uint32_t thread = hold->thread;
	bool lost = false;

	if (nodes[0].kind != SHOAL_REPLY_STATUS && nodes[0].kind != SHOAL_REPLY_INTEGER) {
		remote->counters.errors++;
		shoal_remote_ask_later(remote, request, REFUSED_NS);
		return;
	}
	/* The lock is not there. Said again: it was done the first time, unless others may have taken it since. */
	if (!request->plain && !nodes[0].integer)
		lost = !request->again || remote->doubt;
	remote->counters.writes_lost += lost;
	hold_free(remote, request->index);
	shoal_remote_thread_wrote(remote, thread, lost);
}
