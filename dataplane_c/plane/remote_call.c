/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods of multi-writer objects. They are C functions, which the server can't run: so the object is read, all calls that wait
 * for it are applied here in their order, and a script writes the result if the object is still as it was read (its stamp
 * says so); else it gives what there is now, and the calls are applied to that. Whoever calls while this is under way is in
 * the next write. Between workers the order is that of the writes; one worker's calls keep their own.
 *
 * A target:  free -> READ asked -> (applied here) APPLY asked -> written: next calls APPLY asked …, or free
 *                                          ^------- somebody else was faster: applied anew */
#include <errno.h>
#include "object/map_inline.h"
#include "plane/remote.h"

#define REFUSED_NS (5 * SHOAL_NS_PER_MS)

/* --- Queues of calls --- */

static void push(struct shoal_remote *remote, struct shoal_remote_queue *queue, uint32_t call)
{
	remote->calls[call].next = 0;
	if (queue->last)
		remote->calls[queue->last].next = call;
	else
		queue->first = call;
	queue->last = call;
}

static uint32_t pop(struct shoal_remote *remote, struct shoal_remote_queue *queue)
{
	uint32_t call = queue->first;

	queue->first = call ? remote->calls[call].next : 0;
	if (!queue->first)
		queue->last = 0;
	return call;
}

static void call_ends(struct shoal_remote *remote, uint32_t index, enum shoal_wait_outcome outcome)
{
	struct shoal_remote_call *call = &remote->calls[index];
	uint32_t thread = call->thread;

	if (call->wait && call->wait->outcome == SHOAL_WAIT_PENDING) {
		if (call->wait->result)
			memcpy(call->wait->result, call->result, SHOAL_METHOD_BYTES_MAX);
		shoal_wait_end(remote->space, call->wait, outcome);
	}
	call->wait = NULL;
	call->next = remote->calls_free;
	remote->calls_free = index;
	if (SHOAL_UNLIKELY(remote->starved_first))
		shoal_remote_feed(remote);
	if (thread)
		shoal_remote_thread_wrote(remote, thread, outcome != SHOAL_WAIT_GRANTED);
}

/* --- Targets --- */

static uint32_t *bucket_of(struct shoal_remote *remote, uint8_t class, const void *key)
{
	uint64_t hash = shoal_map_hash(&remote->space->maps[class], key);

	return &remote->target_buckets[(hash + class) % SHOAL_REMOTE_TARGETS];
}

static uint32_t find_target(struct shoal_remote *remote, uint8_t class, const void *key)
{
	uint32_t index = *bucket_of(remote, class, key);

	while (index &&
		(remote->targets[index].class != class ||
			memcmp(remote->targets[index].key, key, remote->space->config.classes[class]->key_bytes) != 0))
		index = remote->targets[index].next;
	return index;
}

static uint32_t make_target(struct shoal_remote *remote, uint8_t class, const void *key)
{
	uint32_t index = remote->targets_free, *bucket = bucket_of(remote, class, key);
	struct shoal_remote_target *target = &remote->targets[index];

	remote->targets_free = target->next;
	*target = (struct shoal_remote_target){ .class = class, .next = *bucket };
	memcpy(target->key, key, remote->space->config.classes[class]->key_bytes);
	*bucket = index;
	shoal_remote_ask(remote, SHOAL_REQUEST_READ, index);
	return index;
}

static void free_target(struct shoal_remote *remote, uint32_t index)
{
	struct shoal_remote_target *target = &remote->targets[index];
	uint32_t *link = bucket_of(remote, target->class, target->key);

	while (*link != index)
		link = &remote->targets[*link].next;
	*link = target->next;
	target->next = remote->targets_free;
	remote->targets_free = index;
	if (SHOAL_UNLIKELY(remote->starved_first))
		shoal_remote_feed(remote);
}

/* The server has refused: nobody's call has been done. */
static void target_ends(struct shoal_remote *remote, uint32_t index, enum shoal_wait_outcome outcome)
{
	struct shoal_remote_target *target = &remote->targets[index];
	uint32_t call;

	while ((call = pop(remote, &target->applied)) != 0 || (call = pop(remote, &target->waiting)) != 0)
		call_ends(remote, call, outcome);
	free_target(remote, index);
}

/* What the server has, as the object on which calls are applied. False: that is no value of this class. */
static bool read_value(struct shoal_remote *remote, uint32_t index, const struct shoal_reply *node)
{
	struct shoal_remote_target *target = &remote->targets[index];
	const struct shoal_class *class = remote->space->config.classes[target->class];
	void *object = shoal_remote_target_object(remote, index);

	target->there = node->kind == SHOAL_REPLY_BULK;
	if (target->there) {
		if (node->length != SHOAL_REMOTE_HEAD_BYTES + class->object_bytes)
			return false;
		memcpy(&target->expected, node->bytes, sizeof(target->expected));
		memcpy(object, node->bytes + SHOAL_REMOTE_HEAD_BYTES, class->object_bytes);
		return true;
	}
	memset(object, 0, class->object_bytes);
	if (class->construct)
		class->construct(&remote->space->context->context, target->key, object);
	return node->kind == SHOAL_REPLY_NIL || node->kind == SHOAL_REPLY_INTEGER;
}

/* Applies the calls and asks for the result to be written. */
static void apply(struct shoal_remote *remote, uint32_t index)
{
	struct shoal_remote_target *target = &remote->targets[index];
	const struct shoal_class *class = remote->space->config.classes[target->class];

	for (uint32_t at = target->applied.first; at; at = remote->calls[at].next) {
		struct shoal_remote_call *call = &remote->calls[at];

		memset(call->result, 0, sizeof(call->result));
		class->methods[call->method].apply(&remote->space->context->context, target->key,
			shoal_remote_target_object(remote, index), call->argument, call->result);
	}
	target->number = ++remote->numbers;
	shoal_remote_ask(remote, SHOAL_REQUEST_APPLY, index);
}

static void apply_waiting(struct shoal_remote *remote, uint32_t index)
{
	struct shoal_remote_target *target = &remote->targets[index];

	target->applied = target->waiting;
	target->waiting = (struct shoal_remote_queue){ 0 };
	apply(remote, index);
}

/* True: the reply was an error, and is dealt with. */
static bool refused(
	struct shoal_remote *remote, const struct shoal_remote_request *request, const struct shoal_reply *nodes)
{
	if (nodes[0].kind != SHOAL_REPLY_ERROR)
		return false;
	remote->counters.errors++;
	if (nodes[0].length >= 3 && !memcmp(nodes[0].bytes, "OOM", 3)) {
		remote->space->counters.calls_no_room++;
		target_ends(remote, request->index, SHOAL_WAIT_NO_ROOM);
	} else {
		shoal_remote_ask_later(remote, request, REFUSED_NS);
	}
	return true;
}

static void not_a_value(struct shoal_remote *remote, uint32_t index)
{
	remote->counters.errors++;
	target_ends(remote, index, SHOAL_WAIT_TIMED_OUT);
}

void shoal_remote_read_answered(
	struct shoal_remote *remote, const struct shoal_remote_request *request, const struct shoal_reply *nodes)
{
	if (refused(remote, request, nodes))
		return;
	if (read_value(remote, request->index, &nodes[0]))
		apply_waiting(remote, request->index);
	else
		not_a_value(remote, request->index);
}

void shoal_remote_apply_answered(
	struct shoal_remote *remote, const struct shoal_remote_request *request, const struct shoal_reply *nodes)
{
	struct shoal_remote_target *target = &remote->targets[request->index];
	uint32_t call;

	if (refused(remote, request, nodes))
		return;
	if (nodes[0].kind != SHOAL_REPLY_INTEGER || nodes[0].integer == 0) {
		remote->counters.conflicts++;
		if (read_value(remote, request->index, &nodes[0]))
			apply(remote, request->index);
		else
			not_a_value(remote, request->index);
		return;
	}
	target->there = true;
	target->expected = (struct shoal_remote_lock){ remote->config.owner, target->number };
	while ((call = pop(remote, &target->applied)) != 0)
		call_ends(remote, call, SHOAL_WAIT_GRANTED);
	if (target->waiting.first)
		apply_waiting(remote, request->index);
	else
		free_target(remote, request->index);
}

/* --- The caller --- */

/* The call in its target's queue. */
static struct shoal_remote_call *begin_call(
	struct shoal_remote *remote, uint8_t class, const void *key, unsigned method, const void *argument)
{
	const struct shoal_method *called = &remote->space->config.classes[class]->methods[method];
	uint32_t target = find_target(remote, class, key), index = remote->calls_free;
	struct shoal_remote_call *call = &remote->calls[index];

	remote->calls_free = call->next;
	call->method = (uint16_t)method;
	call->wait = NULL;
	call->thread = 0;
	if (called->argument_bytes)
		memcpy(call->argument, argument, called->argument_bytes);
	if (!target)
		target = make_target(remote, class, key);
	push(remote, &remote->targets[target].waiting, index);
	return call;
}

static int check(struct shoal_remote *remote, const struct shoal_class *class, unsigned method)
{
	struct shoal_remote_thread *thread = shoal_remote_thread(remote);

	if (!thread || class->pattern != SHOAL_MULTI_WRITER || method >= class->methods_count ||
		shoal_space_class_index(remote->space, class) == SHOAL_CLASSES_MAX)
		return -EINVAL;
	if (thread->held) {
		remote->space->counters.takes_refused_deadlock++;
		return -EDEADLK;
	}
	return shoal_keyspace_left(&remote->space->keyspace) ? -ESHUTDOWN : 0;
}

static int call_exact(struct shoal_remote *remote, struct shoal_remote_call *call, const struct shoal_method *called,
	void *result, uint64_t since_ns)
{
	uint8_t answer[SHOAL_METHOD_BYTES_MAX];
	struct shoal_wait wait = { .result = answer, .since_ns = since_ns };

	call->wait = &wait;
	shoal_wait(remote->space, &wait);
	if (call->wait == &wait) /* it goes on without us; else it has ended, and may be another's */
		call->wait = NULL;
	if (wait.outcome == SHOAL_WAIT_GRANTED)
		memcpy(result, answer, called->result_bytes);
	return wait.outcome == SHOAL_WAIT_GRANTED ? 0 : wait.outcome == SHOAL_WAIT_NO_ROOM ? -ENOSPC : -ETIMEDOUT;
}

int shoal_remote_call(struct shoal_context *context, const struct shoal_class *class, const void *key, unsigned method,
	const void *argument, void *result)
{
	struct shoal_remote *remote = ((struct shoal_space_context *)context)->plane;
	uint64_t since_ns = remote->space->now_ns;
	int error = check(remote, class, method);
	struct shoal_remote_call *call;
	struct shoal_remote_thread *thread;

	if (error)
		return error;
	remote->space->counters.calls++;
	remote->space->counters.calls_remote++;
	while (!remote->calls_free || !remote->targets_free)
		if (shoal_remote_starve(remote, since_ns)) {
			remote->space->counters.calls_timed_out++;
			return -ETIMEDOUT;
		}
	call = begin_call(remote, shoal_space_class_index(remote->space, class), key, method, argument);
	if (!class->methods[method].untethered)
		return call_exact(remote, call, &class->methods[method], result, since_ns);
	thread = shoal_remote_thread(remote);
	thread->writes++;
	call->thread = (uint32_t)(thread - remote->threads);
	return 0;
}
