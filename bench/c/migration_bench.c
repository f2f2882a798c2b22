/* SPDX-License-Identifier: BSD-3-Clause */
/* Objects move between two members, each on its own core, over a ring: because the other one uses them (access), because their
 * slots change owners (sweep), because their holder leaves (leave). Nothing else happens meanwhile. GB/s beside a memcpy of the
 * same bytes, object by object, on one core, just before and after. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel/ring_transport.h"
#include "migration_member.h"
#include "worker/runner.h"

#define DEADLINE_NS (30 * SHOAL_NS_PER_S)
#define CYCLES 3

struct migration {
	struct bench *bench;
	const struct shoal_class *class;
	uint32_t objects;
	struct member *members[2]; /* owns; 0: always in, on the measuring thread */
	uint64_t life;
	uint64_t epoch;
	bool second_in;
	uint8_t *copy_from, *copy_to; /* owns; for memcpy */
	pthread_t thread;
	bool stop; /* atomic */
};

/* What one way of moving came to, over the cycles. */
struct way {
	const char *name;
	bool bytes; /* the objects' bytes move, and not their records alone */
	struct bench_samples ms, messages;
};

static void *run_second(void *argument)
{
	struct migration *migration = argument;

	bench_pin(migration->bench, migration->bench->other_cpu);
	while (!__atomic_load_n(&migration->stop, __ATOMIC_ACQUIRE))
		member_poll(migration->members[1]);
	return NULL;
}

/* Told to a member between two of its polls; both go on polling. */
static void tell(struct migration *migration, unsigned number, member_command command, const void *argument)
{
	struct member *member = migration->members[number];
	uint64_t deadline = shoal_clock_now() + DEADLINE_NS;

	member->mailbox.command = command;
	member->mailbox.argument = argument;
	__atomic_store_n(&member->mailbox.asked, member->mailbox.asked + 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&member->mailbox.answered, __ATOMIC_ACQUIRE) != member->mailbox.asked) {
		member_poll(migration->members[0]);
		if (shoal_clock_now() > deadline)
			bench_fail(migration->bench, "a member does not poll");
	}
	if (member->mailbox.answer)
		bench_fail(migration->bench, "a member refused a command");
}

static void tell_all(struct migration *migration, member_command command, const void *argument)
{
	for (unsigned i = 0; i < (migration->members[1] ? 2 : 1); i++)
		tell(migration, i, command, argument);
}

static int stage_of(const struct member *member)
{
	return __atomic_load_n(&member->space.keyspace.stage, __ATOMIC_ACQUIRE);
}

static bool done(const struct migration *migration)
{
	for (unsigned i = 0; i < (migration->members[1] ? 2 : 1); i++)
		if (stage_of(migration->members[i]) != SHOAL_STAGE_DONE)
			return false;
	return true;
}

/* Steering slots are redirected, and their markers come back, once the tokens have arrived. */
static bool tokens_sent(const struct migration *migration)
{
	for (unsigned i = 0; i < (migration->members[1] ? 2 : 1); i++) {
		const struct shoal_keyspace *keyspace = &migration->members[i]->space.keyspace;

		if (__atomic_load_n(&keyspace->tokens_to_send, __ATOMIC_ACQUIRE) ||
			__atomic_load_n(&keyspace->tokens_to_receive, __ATOMIC_ACQUIRE))
			return false;
	}
	return true;
}

static void poll_until(
	struct migration *migration, bool (*reached)(const struct migration *migration), uint64_t deadline)
{
	while (!reached(migration)) {
		member_poll(migration->members[0]);
		if (shoal_clock_now() > deadline)
			bench_fail(migration->bench, "a reorganisation does not end");
	}
}

static uint64_t messages(const struct migration *migration)
{
	return member_messages(migration->members[0]) +
	       (migration->members[1] ? member_messages(migration->members[1]) : 0);
}

static void add(struct migration *migration, struct way *way, uint64_t began_ns, uint64_t messages_before)
{
	uint64_t now = shoal_clock_now();

	if (!way)
		return;
	bench_sample(&way->ms, (double)(now - began_ns) / 1e6);
	bench_sample(&way->messages, (double)(messages(migration) - messages_before) / migration->objects);
}

/* A plan after which member `owner` has all slots, and the second member is in or not. What it took from the command to hand
 * over until both are done goes to `way`. */
static void plan(struct migration *migration, uint8_t owner, bool second_in, struct way *way)
{
	struct shoal_plan *plan = calloc(1, sizeof(*plan));
	uint64_t began, before, deadline;

	plan->term = 1;
	plan->epoch_now = migration->epoch;
	plan->epoch_next = ++migration->epoch;
	memset(plan->owner_now, migration->second_in && !second_in ? 1 : 0, sizeof(plan->owner_now));
	memset(plan->owner_next, owner, sizeof(plan->owner_next));
	plan->in_now[0] = plan->epoch_now != 0;
	plan->in_next[0] = 1;
	plan->in_now[1] = migration->second_in;
	plan->in_next[1] = second_in;
	for (unsigned i = 0; i < 2; i++)
		plan->life[i] = migration->members[i] ? migration->members[i]->space.config.life : 0;
	tell_all(migration, member_learn, plan);
	before = messages(migration);
	began = shoal_clock_now();
	deadline = began + DEADLINE_NS;
	tell_all(migration, member_hand_over, plan);
	poll_until(migration, tokens_sent, deadline);
	tell_all(migration, member_markers_back, plan);
	poll_until(migration, done, deadline);
	add(migration, way, began, before);
	tell_all(migration, member_forget, plan);
	migration->second_in = second_in;
	free(plan);
}

static void take_all(struct migration *migration, unsigned number, struct way *way)
{
	uint64_t before = messages(migration), began = shoal_clock_now(), deadline = began + DEADLINE_NS;
	const struct member *member = migration->members[number];

	tell(migration, number, member_take, &migration->objects);
	while (__atomic_load_n(&member->taken, __ATOMIC_ACQUIRE) != migration->objects) {
		member_poll(migration->members[0]);
		if (shoal_clock_now() > deadline)
			bench_fail(migration->bench, "objects were not taken in time");
	}
	add(migration, way, began, before);
}

static void second_start(struct migration *migration)
{
	int descriptor = shoal_ring_pair_create(SHOAL_RING_TRANSPORT_CAPACITY);

	migration->members[1] = aligned_alloc(128, (sizeof(struct member) + 127) / 128 * 128);
	member_init(migration->members[1], migration->bench, 1, ++migration->life, migration->class,
		migration->objects + 1024);
	for (unsigned i = 0; i < 2; i++) {
		const struct member *other = migration->members[!i];
		struct shoal_link *link = shoal_ring_transport_create(descriptor, i);

		if (!link || shoal_channel_attach(
				     migration->members[i]->space.channel, (uint8_t)!i, other->space.config.life, link))
			bench_fail(migration->bench, "no channel between the members");
	}
	close(descriptor);
	migration->stop = false;
	if (pthread_create(&migration->thread, NULL, run_second, migration))
		bench_fail(migration->bench, "no thread");
}

static void second_stop(struct migration *migration)
{
	__atomic_store_n(&migration->stop, true, __ATOMIC_RELEASE);
	pthread_join(migration->thread, NULL);
	shoal_channel_detach(migration->members[0]->space.channel, 1);
	member_fini(migration->members[1]);
	free(migration->members[1]);
	migration->members[1] = NULL;
}

static double copy_gigabytes(struct migration *migration)
{
	size_t bytes = migration->class->object_bytes;
	uint64_t began = shoal_clock_now();

	for (uint32_t i = 0; i < migration->objects; i++)
		memcpy(migration->copy_to + i * bytes, migration->copy_from + i * bytes, bytes);
	__asm__ volatile("" ::"r"(migration->copy_to) : "memory");
	return (double)migration->objects * (double)bytes / (double)(shoal_clock_now() - began);
}

static void print(
	struct migration *migration, struct way *way, const char *metric, double value, const char *unit, double ratio)
{
	const struct bench_figure figure = { value, unit, ratio,
		migration->class->object_bytes > 4096 ? "copying bytes, twice"
						      : "looking up and changing entries and records" };

	bench_row(migration->bench, &figure,
		"\"moved_by\": \"%s\", \"metric\": \"%s\", \"object_bytes\": %u, \"objects\": %u", way->name, metric,
		migration->class->object_bytes, migration->objects);
}

static void print_way(struct migration *migration, struct way *way, double copy)
{
	double ms = bench_median(&way->ms);
	double gigabytes = (double)migration->objects * migration->class->object_bytes / ms / 1e6;

	print(migration, way, "duration", ms, "ms", 0);
	print(migration, way, "objects_per_second", migration->objects / ms / 1000, "million objects/s", 0);
	if (way->bytes)
		print(migration, way, "bytes_per_second", gigabytes, "GB/s", gigabytes / copy);
	print(migration, way, "messages_per_object", bench_median(&way->messages), "messages", 0);
}

/* One cycle: the second joins and gets the slots, but the first holds the objects; the second takes them; it leaves and gives
 * them back. It joins again: now nobody holds them, and they go with their slots. It leaves, and the first takes them. */
static void cycle(struct migration *migration, struct way ways[4])
{
	second_start(migration);
	plan(migration, 1, true, &ways[0]);
	take_all(migration, 1, &ways[1]);
	plan(migration, 0, false, &ways[2]);
	second_stop(migration);
	second_start(migration);
	plan(migration, 1, true, &ways[3]);
	plan(migration, 0, false, NULL);
	second_stop(migration);
	take_all(migration, 0, NULL);
}

static void measure(struct bench *bench, uint16_t object_bytes, uint32_t objects)
{
	static struct way ways[4];
	static struct bench_samples copies;
	const struct shoal_class class = { .name = "bench.object", .key_bytes = 8, .object_bytes = object_bytes };
	struct migration migration = { .bench = bench, .class = &class, .objects = objects };
	char parameters[96];
	const char *const names[4] = { "record_sweep", "access", "leave", "sweep" };

	memset(ways, 0, sizeof(ways));
	copies.count = 0;
	migration.copy_from = calloc(objects, object_bytes);
	migration.copy_to = calloc(objects, object_bytes);
	migration.members[0] = aligned_alloc(128, (sizeof(struct member) + 127) / 128 * 128);
	if (!migration.copy_from || !migration.copy_to || !migration.members[0])
		bench_fail(bench, "no memory");
	memset(migration.copy_from, 1, (size_t)objects * object_bytes);
	snprintf(parameters, sizeof(parameters), "\"moved_by\": \"none\", \"object_bytes\": %u, \"objects\": %u",
		object_bytes, objects);
	bench_distance(bench, parameters);
	member_init(migration.members[0], bench, 0, ++migration.life, &class, objects + 1024);
	plan(&migration, 0, false, NULL);
	take_all(&migration, 0, NULL);
	copy_gigabytes(&migration);
	for (unsigned i = 0; i < (bench->quick ? 1 : CYCLES); i++) {
		bench_sample(&copies, copy_gigabytes(&migration));
		cycle(&migration, ways);
		bench_sample(&copies, copy_gigabytes(&migration));
	}
	for (unsigned i = 0; i < 4; i++) {
		ways[i].name = names[i];
		ways[i].bytes = i > 0;
		print_way(&migration, &ways[i], bench_median(&copies));
	}
	member_fini(migration.members[0]);
	free(migration.members[0]);
	free(migration.copy_from);
	free(migration.copy_to);
}

int main(int argc, char **argv)
{
	static const struct {
		uint16_t bytes;
		uint32_t objects;
	} sizes[] = { { 64, 8192 }, { 160, 8192 }, { 1024, 8192 }, { 16384, 2048 } };
	struct bench bench;

	bench_start(&bench, "migration", argc, argv);
	if (bench.other_cpu < 0)
		bench_fail(&bench, "needs a second core (--other-cpu)");
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		measure(&bench, sizes[i].bytes, bench.quick ? 256 : sizes[i].objects);
	bench_finish(&bench);
	return 0;
}
