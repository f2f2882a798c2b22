/* SPDX-License-Identifier: BSD-3-Clause */
/* Objects that nobody uses. No worker has a timer for what lies in the server, and the worker that used an object last may be
 * gone: so one of the workers (the server says which, as long as it lives) goes round all keys, a few at a time, and looks at
 * when each was used last. What is idle becomes a task, as on the other planes. */
#include <stdio.h>
#include "plane/remote.h"

/* Between two steps; a step looks at SHOAL_REMOTE_LOOK_MAX objects: 32,000 a second. */
#define STEP_NS (2 * SHOAL_NS_PER_MS)
/* After a whole round. */
#define ROUND_NS (200 * SHOAL_NS_PER_MS)
#define TASKS_ROOM (sizeof(((struct shoal_space *)0)->idle_tasks) / sizeof(struct shoal_idle_task))

/* The class whose object has this key, of those that can be idle. */
static const struct shoal_class *class_of(struct shoal_remote *remote, const struct shoal_reply *node, uint8_t *index)
{
	for (*index = 0; *index < remote->space->config.classes_count; (*index)++) {
		const struct shoal_class *class = remote->space->config.classes[*index];

		if (class->idle_ms && node->length == remote->prefix_bytes[*index] + class->key_bytes &&
			!memcmp(node->bytes, remote->prefix[*index], remote->prefix_bytes[*index]))
			return class;
	}
	return NULL;
}

void shoal_remote_scan_answered(struct shoal_remote *remote, const struct shoal_reply *nodes)
{
	remote->scanning = false;
	remote->scanned_count = remote->scanned_at = 0;
	if (nodes[0].kind != SHOAL_REPLY_ARRAY || nodes[0].length != 2 || nodes[1].kind != SHOAL_REPLY_BULK ||
		nodes[1].length > sizeof(remote->cursor) || nodes[2].kind != SHOAL_REPLY_ARRAY) {
		remote->counters.errors++;
		return;
	}
	remote->cursor_bytes = nodes[1].length;
	memcpy(remote->cursor, nodes[1].bytes, nodes[1].length);
	if (nodes[1].length == 1 && nodes[1].bytes[0] == '0')
		remote->scan_due_ns = remote->space->now_ns + ROUND_NS;
	for (uint32_t i = 0; i < nodes[2].length; i++) {
		struct shoal_idle_task *found = &remote->scanned[remote->scanned_count];
		const struct shoal_reply *node = &nodes[3 + i];
		const struct shoal_class *class = class_of(remote, node, &found->class);

		if (!class || remote->scanned_count == SHOAL_REMOTE_NODES - 1)
			continue;
		memcpy(found->key, node->bytes + node->length - class->key_bytes, class->key_bytes);
		found->after_loss = false;
		remote->scanned_count++;
	}
}

/* Whether the value's object has not been used for longer than its idle time. */
static bool is_idle(struct shoal_remote *remote, const struct shoal_class *class, const struct shoal_reply *node)
{
	uint8_t object[SHOAL_OBJECT_BYTES_MAX] __attribute__((aligned(16)));
	uint64_t used_ms, now_ms = shoal_remote_now_ms(remote);
	uint32_t idle_ms;

	/* Only locked: perhaps by somebody who ended before it was made. The task's take cleans it up. */
	if (node->kind == SHOAL_REPLY_BULK && node->length == SHOAL_REMOTE_HEAD_BYTES)
		return true;
	if (node->kind != SHOAL_REPLY_BULK || node->length != SHOAL_REMOTE_HEAD_BYTES + class->object_bytes)
		return false;
	remote->counters.looked_at++;
	memcpy(&used_ms, node->bytes + SHOAL_REMOTE_LOCK_BYTES, sizeof(used_ms));
	memcpy(object, node->bytes + SHOAL_REMOTE_HEAD_BYTES, class->object_bytes);
	idle_ms = class->idle_ms(&remote->space->context->context, object);
	return idle_ms && now_ms > used_ms && now_ms - used_ms >= idle_ms;
}

void shoal_remote_look_answered(struct shoal_remote *remote, const struct shoal_reply *nodes)
{
	struct shoal_space *space = remote->space;

	remote->scanning = false;
	if (nodes[0].kind != SHOAL_REPLY_ARRAY || nodes[0].length != remote->scanned_asked) {
		remote->counters.errors++;
		return;
	}
	for (uint32_t i = 0; i < remote->scanned_asked; i++) {
		const struct shoal_idle_task *found = &remote->scanned[remote->scanned_at + i];

		if (is_idle(remote, space->config.classes[found->class], &nodes[1 + i]) &&
			space->idle_tasks_tail - space->idle_tasks_head < TASKS_ROOM)
			space->idle_tasks[space->idle_tasks_tail++ % TASKS_ROOM] = *found;
	}
	remote->scanned_at += remote->scanned_asked;
}

unsigned shoal_remote_idle_poll(struct shoal_remote *remote)
{
	struct shoal_space *space = remote->space;
	uint32_t left = remote->scanned_count - remote->scanned_at;
	uint32_t room = (uint32_t)TASKS_ROOM - (space->idle_tasks_tail - space->idle_tasks_head);

	if (SHOAL_LIKELY(space->now_ns < remote->scan_due_ns) || remote->scanning || !remote->clock_known ||
		!remote->scanner || room < SHOAL_REMOTE_LOOK_MAX)
		return 0;
	remote->scanning = true;
	remote->scan_due_ns = space->now_ns + STEP_NS;
	remote->scanned_asked = left < SHOAL_REMOTE_LOOK_MAX ? left : SHOAL_REMOTE_LOOK_MAX;
	shoal_remote_ask(remote, left ? SHOAL_REQUEST_LOOK : SHOAL_REQUEST_SCAN, 0);
	return 1;
}

void shoal_remote_run_idle_task(struct shoal_space *space, const struct shoal_idle_task *task)
{
	const struct shoal_class *class = space->config.classes[task->class];
	struct shoal_context *context = &space->context->context;
	struct shoal_request request = { .class = class, .key = task->key };
	struct shoal_remote *remote = shoal_remote_of(space);
	uint64_t used_ms, now_ms;
	uint32_t idle_ms;

	space->counters.idle_tasks++;
	if (class->on_idle) {
		class->on_idle(context, task->key);
		return;
	}
	if (shoal_take(context, &request, 1) || !request.object)
		return;
	/* Whoever has used it since may have a clock that is a little ahead. */
	used_ms = remote->holds[request.entry].used_ms;
	now_ms = shoal_remote_now_ms(remote);
	idle_ms = class->idle_ms(context, request.object);
	if (!idle_ms || now_ms < used_ms || now_ms - used_ms < idle_ms || shoal_remove(context, &request))
		shoal_release(context, &request, 1);
}
