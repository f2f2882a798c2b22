/* SPDX-License-Identifier: BSD-3-Clause */
#include "object/space.h"

static void count(struct shoal_statistics *statistics, const char *name, uint64_t value)
{
	shoal_statistics_counter(statistics, name, NULL, NULL, value);
}

static void gauge(struct shoal_statistics *statistics, const char *name, uint64_t value)
{
	shoal_statistics_gauge(statistics, name, NULL, NULL, value);
}

uint32_t shoal_space_entries(const struct shoal_space *space)
{
	uint32_t entries = 0;

	for (unsigned i = 0; i < space->config.classes_count; i++)
		entries += space->maps[i].count;
	return entries;
}

void shoal_space_statistics(const struct shoal_space *space, struct shoal_statistics *statistics)
{
	const struct shoal_space_counters *counters = &space->counters;

	for (unsigned i = 0; i < space->config.classes_count; i++) {
		const char *name = space->config.classes[i]->name;

		shoal_statistics_gauge(statistics, "objects", "class", name, space->maps[i].count);
		shoal_statistics_gauge(statistics, "objects_capacity", "class", name, space->maps[i].capacity);
	}
	gauge(statistics, "objects_held", space->held);
	gauge(statistics, "leases_waiting", space->waiting);
	gauge(statistics, "origin_messages_outstanding", space->outstanding);
	gauge(statistics, "messages_parked", space->contention.parked + space->keyspace.held_back_count);
	gauge(statistics, "slots_tokens", space->keyspace.tokens);
	gauge(statistics, "slots_pending",
		space->keyspace.tokens_to_send + space->keyspace.tokens_to_receive + space->keyspace.slots_unswept);
	count(statistics, "takes_total", counters->takes);
	count(statistics, "takes_remote_total", counters->takes_remote);
	count(statistics, "takes_timed_out_total", counters->takes_timed_out);
	count(statistics, "takes_no_room_total", counters->takes_no_room);
	count(statistics, "takes_refused_deadlock_total", counters->takes_refused_deadlock);
	count(statistics, "accesses_owner_ended_total", counters->owner_ended);
	count(statistics, "calls_total", counters->calls);
	count(statistics, "calls_remote_total", counters->calls_remote);
	count(statistics, "calls_timed_out_total", counters->calls_timed_out);
	shoal_statistics_counter(statistics, "calls_no_room_total", "kind", "exact", counters->calls_no_room);
	shoal_statistics_counter(
		statistics, "calls_no_room_total", "kind", "untethered", counters->calls_untethered_no_room);
	count(statistics, "removes_total", counters->removes);
	count(statistics, "leases_moved_in_total", counters->leases_in);
	count(statistics, "leases_moved_out_total", counters->leases_out);
	count(statistics, "records_moved_in_total", counters->records_in);
	count(statistics, "records_moved_out_total", counters->records_out);
	count(statistics, "object_bytes_moved_total", counters->bytes_out);
	count(statistics, "messages_stale_total", counters->stale_messages);
	count(statistics, "messages_forwarded_total", counters->forwarded);
	count(statistics, "answers_late_total", counters->late_answers);
	count(statistics, "records_pulled_total", counters->pulls);
	count(statistics, "idle_tasks_total", counters->idle_tasks);
	count(statistics, "objects_looked_at_after_loss_total", counters->looked_at_after_loss);
	shoal_statistics_histogram(statistics, "remote_wait_seconds", &space->wait_times);
	shoal_channel_statistics(space->channel, statistics);
}
