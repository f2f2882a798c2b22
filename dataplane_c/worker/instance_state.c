/* SPDX-License-Identifier: BSD-3-Clause */
/* What an operator may look at: statistics, classes, single objects, lists of them; and control tasks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "io/ethdev_port.h"
#include "object/map_inline.h"
#include "worker/error.h"
#include "worker/instance.h"
#include "worker/runner.h"

/* Entries looked at between two packets while a list is made. */
#define LIST_BUDGET 4096

/* What a port of its own lost before the worker could see it, and after it had let it go. */
static void port_rows(const struct shoal_port *port, const char *name, struct shoal_statistics *statistics)
{
	uint64_t missed, no_buffer, received, sent;

	shoal_ethdev_port_missed(port, &missed, &no_buffer);
	shoal_ethdev_port_errors(port, &received, &sent);
	shoal_statistics_counter(statistics, "port_missed_total", "port", name, missed);
	shoal_statistics_counter(statistics, "port_device_no_buffer_total", "port", name, no_buffer);
	shoal_statistics_counter(statistics, "port_receive_errors_total", "port", name, received);
	shoal_statistics_counter(statistics, "port_transmit_errors_total", "port", name, sent);
	shoal_statistics_counter(statistics, "port_no_buffer_total", "port", name, port->dropped_no_buffer);
	shoal_statistics_counter(statistics, "port_too_long_total", "port", name, port->dropped_too_long);
}

long shoal_instance_statistics(struct shoal_instance *instance, struct shoal_statistic *rows, long n)
{
	struct shoal_statistics statistics = { .rows = rows, .room = n };

	shoal_worker_statistics(&instance->worker, &statistics);
	if (instance->worker.ring) {
		const struct shoal_port *port = shoal_packet_ring_port(instance->worker.ring);

		shoal_statistics_counter(
			&statistics, "drops_total", "reason", "ring_malformed", port->dropped_malformed);
	}
	/* An instance's own ports are always Ethernet devices. */
	for (unsigned i = 0; i < instance->worker.nf->ports_count; i++)
		if (instance->worker.ports[i])
			port_rows(instance->worker.ports[i], instance->worker.nf->ports[i].name, &statistics);
	return statistics.count;
}

int shoal_instance_class_information(
	struct shoal_instance *instance, unsigned index, struct shoal_class_information *information)
{
	const struct shoal_space *space = &instance->worker.space;

	if (index >= space->config.classes_count)
		return shoal_error(
			ENOENT, "NF %s has %u classes", instance->worker.nf->name, space->config.classes_count);
	memset(information, 0, sizeof(*information));
	snprintf(information->name, sizeof(information->name), "%s", space->config.classes[index]->name);
	information->multi_writer = space->config.classes[index]->pattern == SHOAL_MULTI_WRITER;
	information->key_bytes = space->config.classes[index]->key_bytes;
	information->object_bytes = space->config.classes[index]->object_bytes;
	information->objects = space->maps[index].count;
	information->capacity = space->maps[index].capacity;
	return 0;
}

struct lookup {
	uint8_t class;
	const void *key;
	struct shoal_state_row *rows;
	long room, count;
	uint64_t cursor;
};

static void fill_row(struct shoal_space *space, const struct shoal_place *place, struct shoal_state_row *row)
{
	const struct shoal_entry *entry = place->entry;
	const struct shoal_class *class = place->map->class;
	bool bytes = entry->handle == SHOAL_HANDLE_HELD || entry->record == SHOAL_RECORD_FREE ||
	             entry->record == SHOAL_RECORD_SHARED;

	memset(row, 0, offsetof(struct shoal_state_row, key));
	row->place = entry->handle == SHOAL_HANDLE_HELD     ? SHOAL_STATE_HELD
	             : entry->record == SHOAL_RECORD_FREE   ? SHOAL_STATE_FREE
	             : entry->record == SHOAL_RECORD_SHARED ? SHOAL_STATE_MULTI_WRITER
	                                                    : SHOAL_STATE_RECORD_ONLY;
	row->holder = bytes ? space->config.self : entry->holder;
	row->incarnation = place->lease->incarnation;
	row->lease = place->lease->number;
	row->idle_ms = space->now_ms - entry->used_ms;
	row->key_bytes = class->key_bytes;
	row->object_bytes = bytes ? class->object_bytes : 0;
	memcpy(row->key, shoal_place_key(place), class->key_bytes);
	if (bytes)
		memcpy(row->object, shoal_place_object(place), class->object_bytes);
}

static int get_row(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_space *space = &((struct shoal_instance *)component)->worker.space;
	struct lookup *lookup = argument;
	struct shoal_place place = shoal_place_find(
		space, lookup->class, lookup->key, shoal_map_hash(&space->maps[lookup->class], lookup->key));

	if (!place.entry)
		return -ENOENT;
	fill_row(space, &place, lookup->rows);
	return 0;
}

static int check_class(const struct shoal_instance *instance, unsigned class_index)
{
	if (class_index >= instance->worker.space.config.classes_count)
		return shoal_error(ENOENT, "NF %s has %u classes", instance->worker.nf->name,
			instance->worker.space.config.classes_count);
	return 0;
}

int shoal_instance_state_get(struct shoal_instance *instance, unsigned class_index, const void *key, uint32_t key_bytes,
	struct shoal_state_row *row)
{
	struct lookup lookup = { .class = (uint8_t)class_index, .key = key, .rows = row };
	int error = check_class(instance, class_index);

	if (error)
		return error;
	if (key_bytes != instance->worker.space.config.classes[class_index]->key_bytes)
		return shoal_error(EINVAL, "a key of class %s has %u bytes, not %u",
			instance->worker.space.config.classes[class_index]->name,
			instance->worker.space.config.classes[class_index]->key_bytes, key_bytes);
	if (instance->worker.plane->state_get)
		error = instance->worker.plane->state_get(&instance->worker.space, lookup.class, key, row);
	else
		error = shoal_instance_command(instance, get_row, &lookup);
	if (error == -ENOENT)
		return shoal_error(ENOENT, "no such object at instance %s", instance->config.name);
	if (instance->worker.plane->state_get)
		return error; /* its own sentence */
	return error ? shoal_error(-error, "instance %s: its worker did not answer", instance->config.name) : 0;
}

static int list_rows(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_space *space = &((struct shoal_instance *)component)->worker.space;
	struct lookup *lookup = argument;
	const struct shoal_map *map = &space->maps[lookup->class];

	for (unsigned looked = 0; looked < LIST_BUDGET && lookup->count < lookup->room; looked++) {
		struct shoal_place place;

		if (lookup->cursor + 1 >= map->high_water) {
			lookup->cursor = UINT64_MAX;
			break;
		}
		place = shoal_place_at(space, lookup->class, (uint32_t)++lookup->cursor);
		if (place.entry->handle == SHOAL_HANDLE_ABSENT && place.entry->record == SHOAL_RECORD_NONE)
			continue;
		fill_row(space, &place, &lookup->rows[lookup->count++]);
	}
	return 0;
}

long shoal_instance_state_list(
	struct shoal_instance *instance, unsigned class_index, uint64_t *cursor, struct shoal_state_row *rows, long n)
{
	struct lookup lookup = { .class = (uint8_t)class_index, .rows = rows, .room = n, .cursor = *cursor };
	int error = check_class(instance, class_index);

	if (error)
		return error;
	if (instance->worker.plane->state_list)
		return *cursor == UINT64_MAX ? 0
		                             : instance->worker.plane->state_list(
						       &instance->worker.space, lookup.class, cursor, rows, n);
	while (!error && lookup.count < n && lookup.cursor != UINT64_MAX)
		error = shoal_instance_command(instance, list_rows, &lookup);
	if (error)
		return error == -ENOENT
		               ? error
		               : shoal_error(-error, "instance %s: its worker did not answer", instance->config.name);
	*cursor = lookup.cursor;
	return lookup.count;
}

int shoal_instance_state_count(struct shoal_instance *instance, uint64_t *cursor, uint64_t *counts, unsigned n)
{
	const struct shoal_worker *worker = &instance->worker;

	if (n != worker->space.config.classes_count)
		return shoal_error(EINVAL, "NF %s has %u classes, not %u", worker->nf->name,
			worker->space.config.classes_count, n);
	if (!worker->plane->state_count)
		return shoal_error(EOPNOTSUPP, "plane %s: objects lie in the instances' tables", worker->plane->name);
	return *cursor == UINT64_MAX ? 0 : worker->plane->state_count(&worker->space, cursor, counts);
}

/* --- Control tasks --- */

static int ask_task(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_instance *instance = component;

	if (instance->worker.control_task)
		return -EBUSY;
	instance->worker.control_task = argument;
	return 0;
}

static uint64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool wait_for_task(struct shoal_instance *instance, uint32_t deadline_ms)
{
	const struct timespec nap = { .tv_nsec = 200000 };
	uint64_t begin = monotonic_ms();

	/* Pairs with the release in handler.c. */
	while (!__atomic_load_n(&instance->task->finished, __ATOMIC_ACQUIRE)) {
		if (monotonic_ms() - begin > deadline_ms)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

static const struct shoal_nf_task *find_task(const struct shoal_nf *nf, const char *name)
{
	for (unsigned i = 0; i < nf->tasks_count; i++)
		if (!strcmp(nf->tasks[i].name, name))
			return &nf->tasks[i];
	return NULL;
}

int shoal_instance_run_task(struct shoal_instance *instance, const char *task, const char *arguments, char *reply,
	size_t reply_bytes, uint32_t deadline_ms)
{
	const struct shoal_nf_task *found = find_task(instance->worker.nf, task);
	int error;

	if (!found)
		return shoal_error(ENOENT, "NF %s has no control task %s", instance->worker.nf->name, task);
	if (strlen(arguments) >= sizeof(instance->task->arguments))
		return shoal_error(E2BIG, "arguments of a control task are at most %zu bytes",
			sizeof(instance->task->arguments) - 1);
	if (!instance->runner || !shoal_runner_running(instance->runner))
		return shoal_error(EAGAIN, "instance %s is not running", instance->config.name);
	/* One that was given up is still the worker's until it ends. */
	if (instance->task && !__atomic_load_n(&instance->task->finished, __ATOMIC_ACQUIRE))
		return shoal_error(EBUSY, "an earlier control task is still running");
	free(instance->task);
	instance->task = calloc(1, sizeof(*instance->task));
	if (!instance->task)
		return shoal_error(ENOMEM, "no memory for a control task");
	instance->task->task = found;
	strcpy(instance->task->arguments, arguments);
	error = shoal_instance_command(instance, ask_task, instance->task);
	if (error) {
		free(instance->task);
		instance->task = NULL;
		return shoal_error(-error, "instance %s: its worker did not take the task", instance->config.name);
	}
	if (!wait_for_task(instance, deadline_ms))
		return shoal_error(
			ETIMEDOUT, "control task %s did not end within %u ms; it goes on", task, deadline_ms);
	snprintf(reply, reply_bytes, "%s", instance->task->reply);
	return instance->task->answer < 0 ? shoal_error(-instance->task->answer, "%s", instance->task->reply) : 0;
}
