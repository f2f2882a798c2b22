/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "plane/remote.h"

/* Nothing lies in the local maps, so no packet ever finds its object there: all go to the packet handler. */
#define OBJECTS_HERE 64
/* Microthreads that are not for packets: idle tasks, timers, control tasks. */
#define TASKS_MOST 32
#define OUT_BYTES (1u << 20)
#define IN_BYTES (2u << 20)

static uint32_t object_stride(const struct shoal_space_config *config)
{
	uint32_t bytes = 0;

	for (unsigned i = 0; i < config->classes_count; i++)
		bytes = config->classes[i]->object_bytes > bytes ? config->classes[i]->object_bytes : bytes;
	return (bytes + SHOAL_CACHE_LINE - 1) / SHOAL_CACHE_LINE * SHOAL_CACHE_LINE;
}

/* Free ones are linked through `next`; index 0 is none. */
#define LINK_FREE(array, count, head)                                                                                  \
	do {                                                                                                           \
		for (uint32_t i_ = 1; i_ < (count); i_++)                                                              \
			(array)[i_].next = i_ + 1;                                                                     \
		(head) = 1;                                                                                            \
	} while (0)

static int allocate(struct shoal_remote *remote)
{
	const struct shoal_space_config *config = &remote->space->config;
	uint32_t takes = config->microthreads_max + 64, calls = config->microthreads_max + 64, room = 64;
	uint32_t holds = 2 * config->microthreads_max + SHOAL_TAKE_MAX;
	uint32_t threads = config->microthreads_max + holds + calls + 8;

	while (room < takes + holds + SHOAL_REMOTE_TARGETS + 8)
		room *= 2;
	remote->requests_mask = room - 1;
	remote->holds_count = holds;
	remote->object_stride = object_stride(config);
	remote->threads = calloc(threads + 1, sizeof(*remote->threads));
	remote->holds = calloc(holds + 1, sizeof(*remote->holds));
	remote->takes = calloc(takes + 1, sizeof(*remote->takes));
	remote->calls = calloc(calls + 1, sizeof(*remote->calls));
	remote->targets = calloc(SHOAL_REMOTE_TARGETS + 1, sizeof(*remote->targets));
	remote->objects =
		aligned_alloc(SHOAL_CACHE_LINE, (size_t)remote->object_stride * (holds + 2 + SHOAL_REMOTE_TARGETS));
	remote->requests = calloc(room, sizeof(*remote->requests));
	remote->later = calloc(room, sizeof(*remote->later));
	remote->scanned = calloc(SHOAL_REMOTE_NODES, sizeof(*remote->scanned));
	remote->out.room = OUT_BYTES + 2 * shoal_remote_command_bytes_max(remote);
	remote->out.bytes = malloc(remote->out.room);
	remote->in.room = IN_BYTES + SHOAL_REMOTE_LOOK_MAX * remote->object_stride;
	remote->in.bytes = malloc(remote->in.room);
	if (!remote->threads || !remote->holds || !remote->takes || !remote->calls || !remote->targets ||
		!remote->objects || !remote->requests || !remote->later || !remote->scanned || !remote->out.bytes ||
		!remote->in.bytes)
		return -ENOMEM;
	LINK_FREE(remote->threads, threads, remote->threads_free);
	LINK_FREE(remote->holds, holds, remote->holds_free);
	LINK_FREE(remote->takes, takes, remote->takes_free);
	LINK_FREE(remote->calls, calls, remote->calls_free);
	LINK_FREE(remote->targets, SHOAL_REMOTE_TARGETS, remote->targets_free);
	return 0;
}

static void free_all(struct shoal_remote *remote)
{
	free(remote->threads);
	free(remote->holds);
	free(remote->takes);
	free(remote->calls);
	free(remote->targets);
	free(remote->objects);
	free(remote->requests);
	free(remote->later);
	free(remote->scanned);
	free(remote->out.bytes);
	free(remote->in.bytes);
	free(remote);
}

static int open_remote(struct shoal_space *space, const struct shoal_remote_config *config)
{
	struct shoal_remote *remote = calloc(1, sizeof(*remote));
	int error;

	if (!remote)
		return -ENOMEM;
	remote->space = space;
	remote->config = *config;
	remote->near = !strncmp(config->address, "unix:", 5);
	for (unsigned i = 0; i < space->config.classes_count; i++)
		remote->prefix_bytes[i] = (uint32_t)snprintf(remote->prefix[i], sizeof(remote->prefix[i]), "%s/%s/",
			config->name, space->config.classes[i]->name);
	remote->cursor[0] = '0';
	remote->cursor_bytes = 1;
	error = allocate(remote);
	if (!error)
		error = shoal_remote_connection_check(remote);
	if (error) {
		free_all(remote);
		return error;
	}
	space->context->plane = remote;
	return 0;
}

/* What this worker had locked, others need not wait for. */
static void end_life(struct shoal_remote *remote)
{
	if (remote->state != SHOAL_REMOTE_UP || remote->out.head != remote->out.tail)
		return;
	shoal_remote_write_end_of_life(remote);
	shoal_remote_connection_flush(remote);
}

static void close_remote(struct shoal_space *space)
{
	struct shoal_remote *remote = shoal_remote_of(space);

	end_life(remote);
	shoal_remote_connection_close(remote);
	free_all(remote);
	space->context->plane = NULL;
}

static unsigned poll(struct shoal_space *space, uint64_t now_ns)
{
	struct shoal_remote *remote = shoal_remote_of(space);
	unsigned work = shoal_space_poll(space, now_ns);

	work += shoal_remote_connection_poll(remote);
	if (remote->later_head != remote->later_tail)
		work += shoal_remote_ask_due(remote);
	if (SHOAL_UNLIKELY(now_ns >= remote->beat_due_ns) && remote->state == SHOAL_REMOTE_UP && !remote->beating) {
		remote->beating = true;
		remote->beat_due_ns = now_ns + SHOAL_REMOTE_BEAT_NS;
		shoal_remote_ask(remote, SHOAL_REQUEST_BEAT, 0);
	}
	return work + shoal_remote_idle_poll(remote);
}

static void flush(struct shoal_space *space)
{
	shoal_space_flush(space);
	shoal_remote_connection_flush(shoal_remote_of(space));
}

static unsigned room(const struct shoal_space *space)
{
	const struct shoal_remote *remote = shoal_remote_of(space);
	unsigned most = space->config.microthreads_max, busy = shoal_scheduler_suspended(space->scheduler);

	most = most > 2 * TASKS_MOST ? most - TASKS_MOST : most / 2;
	if (remote->config.batch_max && remote->config.batch_max < most)
		most = remote->config.batch_max;
	return busy < most ? most - busy : 0;
}

static void statistics(const struct shoal_space *space, struct shoal_statistics *rows)
{
	const struct shoal_remote *remote = shoal_remote_of(space);
	const struct shoal_remote_counters *counters = &remote->counters;

	shoal_statistics_gauge(rows, "store_connected", NULL, NULL, remote->state == SHOAL_REMOTE_UP);
	shoal_statistics_gauge(rows, "store_requests_under_way", NULL, NULL, shoal_remote_under_way(remote));
	shoal_statistics_counter(rows, "store_connections_total", NULL, NULL, counters->connections);
	shoal_statistics_counter(rows, "store_requests_total", NULL, NULL, counters->requests);
	shoal_statistics_counter(rows, "store_requests_repeated_total", NULL, NULL, counters->repeated);
	shoal_statistics_counter(rows, "store_sends_total", NULL, NULL, counters->sends);
	shoal_statistics_counter(rows, "store_takes_busy_total", NULL, NULL, counters->busy);
	shoal_statistics_counter(rows, "store_call_conflicts_total", NULL, NULL, counters->conflicts);
	shoal_statistics_counter(rows, "store_errors_total", NULL, NULL, counters->errors);
	shoal_statistics_counter(rows, "store_writes_lost_total", NULL, NULL, counters->writes_lost);
	shoal_statistics_counter(rows, "store_locks_forgotten_total", NULL, NULL, counters->locks_forgotten);
	shoal_statistics_counter(rows, "store_objects_looked_at_total", NULL, NULL, counters->looked_at);
	shoal_statistics_counter(rows, "store_waits_for_room_total", NULL, NULL, counters->starved);
}

const struct shoal_plane shoal_plane_remote = {
	.name = "remote",
	.objects_here = OBJECTS_HERE,
	.open = open_remote,
	.close = close_remote,
	.runtime = { .take = shoal_remote_take,
		.release = shoal_remote_release,
		.remove = shoal_remote_remove,
		.call = shoal_remote_call },
	.poll = poll,
	.flush = flush,
	.room = room,
	.settle = shoal_remote_settle,
	.run_idle_task = shoal_remote_run_idle_task,
	.state_get = shoal_remote_state_get,
	.state_list = shoal_remote_state_list,
	.state_count = shoal_remote_state_count,
	.statistics = statistics,
};
