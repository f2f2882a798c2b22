/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring_store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "object/map_inline.h"
#include "queue/ring.h"
#include "worker/runner.h"

#define CAPACITY (1u << 20)
#define DEADLINE_NS (20 * SHOAL_NS_PER_S) /* another process may have the core for a while */

/* To the store: n keys, and for a write n objects behind them. From it: n objects. */
struct message {
	uint32_t n;
	uint32_t write;
	uint64_t keys[];
};

/* A burst that waits for its objects. */
struct pending {
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	uint64_t keys[SHOAL_BURST_MAX];
	unsigned n;
};

struct ring_store {
	struct bench *bench; /* borrows */
	struct shoal_map map; /* the thread's, once it runs */
	struct shoal_ring_pair sides[2]; /* ours; the thread's */
	pthread_t thread;
	bool stop; /* atomic; release by us pairs with acquire by the thread */
	struct pending pending[RING_STORE_DEPTH];
};

static const unsigned object_bytes = sizeof(struct nat_mapping);

/* --- The store's thread --- */

static void serve(struct ring_store *store, const struct message *message)
{
	struct shoal_map *map = &store->map;
	uint64_t hashes[SHOAL_BURST_MAX];
	uint32_t buckets[SHOAL_BURST_MAX], candidates[SHOAL_BURST_MAX];
	const uint8_t *objects = (const uint8_t *)(message->keys + message->n);
	uint8_t *answer = NULL;

	shoal_map_hash_burst(map, message->keys, message->n, hashes);
	shoal_map_bucket_burst(map, hashes, message->n, buckets);
	shoal_map_candidate_burst(map, hashes, buckets, message->n, candidates);
	while (!message->write && !answer && !__atomic_load_n(&store->stop, __ATOMIC_RELAXED))
		answer = shoal_ring_reserve(&store->sides[1].out, message->n * object_bytes);
	for (unsigned i = 0; i < message->n; i++) {
		uint32_t index = shoal_map_verify(map, candidates[i], &message->keys[i], hashes[i]);
		void *object = shoal_map_object(map, shoal_map_entry(map, index));

		if (message->write)
			memcpy(object, objects + i * object_bytes, object_bytes);
		else if (answer)
			memcpy(answer + i * object_bytes, object, object_bytes);
	}
	if (answer)
		shoal_ring_push(&store->sides[1].out, message->n * object_bytes);
}

static void *run_store(void *argument)
{
	struct ring_store *store = argument;
	const struct message *message;
	uint32_t length;

	bench_pin(store->bench, store->bench->other_cpu);
	while (!__atomic_load_n(&store->stop, __ATOMIC_ACQUIRE)) {
		while ((message = shoal_ring_peek(&store->sides[1].in, &length)) != NULL) {
			serve(store, message);
			shoal_ring_pop(&store->sides[1].in);
			shoal_ring_consumed(&store->sides[1].in); /* it may always have another one */
			shoal_ring_flush(&store->sides[1].out);
		}
	}
	return NULL;
}

/* --- The NAT's side --- */

static struct message *begin_message(struct ring_store *store, unsigned n, bool write)
{
	uint32_t bytes = (uint32_t)(sizeof(struct message) + n * (sizeof(uint64_t) + (write ? object_bytes : 0)));
	struct message *message = shoal_ring_reserve(&store->sides[0].out, bytes);
	uint64_t since = message ? 0 : shoal_clock_now();

	while (!message) { /* the store's core is away, or behind */
		shoal_ring_flush(&store->sides[0].out);
		if (shoal_clock_now() - since > DEADLINE_NS)
			bench_fail(store->bench, "the store's ring stays full");
		message = shoal_ring_reserve(&store->sides[0].out, bytes);
	}
	message->n = n;
	message->write = write;
	return message;
}

static void ask(struct ring_store *store, struct nat_world *world, struct pending *burst)
{
	struct message *message;

	burst->n = source_receive(&world->source.port, burst->packets, SHOAL_BURST_MAX, 0);
	if (!burst->n)
		bench_fail(store->bench, "the pool is empty");
	for (unsigned i = 0; i < burst->n; i++)
		if (shoal_parse(burst->packets[i]) != SHOAL_PARSE_OK)
			abort();
	shoal_nf.ports[NAT_INSIDE].keys(&world->worker->context.context, burst->packets, burst->n, burst->keys);
	message = begin_message(store, burst->n, false);
	memcpy(message->keys, burst->keys, burst->n * sizeof(uint64_t));
	shoal_ring_push(&store->sides[0].out, (uint32_t)(sizeof(*message) + burst->n * sizeof(uint64_t)));
}

/* False: its objects are not here yet. */
static bool answer(struct ring_store *store, struct nat_world *world, struct pending *burst)
{
	void *objects[SHOAL_BURST_MAX];
	struct message *message;
	uint8_t *values;
	uint32_t length;
	const void *read = shoal_ring_peek(&store->sides[0].in, &length);

	if (!read)
		return false;
	message = begin_message(store, burst->n, true);
	memcpy(message->keys, burst->keys, burst->n * sizeof(uint64_t));
	values = (uint8_t *)(message->keys + burst->n);
	memcpy(values, read, burst->n * object_bytes);
	for (unsigned i = 0; i < burst->n; i++)
		objects[i] = values + i * object_bytes;
	shoal_nf.process(&world->worker->context.context, burst->packets, objects, burst->n);
	shoal_ring_push(
		&store->sides[0].out, (uint32_t)(sizeof(*message) + burst->n * (sizeof(uint64_t) + object_bytes)));
	shoal_ring_pop(&store->sides[0].in);
	shoal_ring_consumed(&store->sides[0].in);
	for (unsigned i = 0; i < burst->n; i++)
		burst->packets[i]->port = burst->packets[i]->verdict & 0xff;
	source_transmit(&world->source.port, burst->packets, burst->n);
	return true;
}

double ring_store_chunk(struct ring_store *store, struct nat_world *world, unsigned depth)
{
	uint64_t begin = shoal_clock_now();
	unsigned asked = 0, answered = 0, bursts = BENCH_CHUNK / SHOAL_BURST_MAX;

	world->source.room = BENCH_CHUNK;
	while (answered < bursts) {
		bool worked = false;

		if (asked < bursts && asked - answered < depth) {
			ask(store, world, &store->pending[asked++ % RING_STORE_DEPTH]);
			worked = true;
		}
		while (answered < asked && answer(store, world, &store->pending[answered % RING_STORE_DEPTH])) {
			answered++;
			worked = true;
		}
		shoal_ring_flush(&store->sides[0].out);
		if (!worked && shoal_clock_now() - begin > DEADLINE_NS)
			bench_fail(store->bench, "the store does not answer");
	}
	return (double)(shoal_clock_now() - begin) / BENCH_CHUNK;
}

/* --- Its life --- */

static void fill(struct ring_store *store, const struct nat_world *world)
{
	const struct shoal_map *from = &world->worker->space.maps[0];

	for (uint32_t i = 1; i < from->high_water; i++) {
		struct shoal_entry *entry = shoal_map_entry(from, i);
		uint32_t index = shoal_map_insert(&store->map, entry->bytes, shoal_map_hash(from, entry->bytes));

		if (!index)
			bench_fail(store->bench, "the store's table is full");
		memcpy(shoal_map_object(&store->map, shoal_map_entry(&store->map, index)),
			shoal_map_object(from, entry), object_bytes);
	}
}

struct ring_store *ring_store_create(struct bench *bench, const struct nat_world *world)
{
	struct ring_store *store = calloc(1, sizeof(*store));
	int descriptor = shoal_ring_pair_create(CAPACITY);

	if (!store || descriptor < 0 ||
		shoal_map_init(
			&store->map, &nat_mapping_class, world->worker->space.maps[0].capacity, 42, NULL, true) ||
		shoal_ring_pair_open(&store->sides[0], descriptor, 0) ||
		shoal_ring_pair_open(&store->sides[1], descriptor, 1))
		bench_fail(bench, "no memory for the store behind a ring");
	close(descriptor);
	store->bench = bench;
	fill(store, world);
	if (pthread_create(&store->thread, NULL, run_store, store))
		bench_fail(bench, "no thread for the store behind a ring");
	return store;
}

void ring_store_destroy(struct ring_store *store)
{
	__atomic_store_n(&store->stop, true, __ATOMIC_RELEASE);
	pthread_join(store->thread, NULL);
	shoal_map_fini(&store->map);
	shoal_ring_pair_close(&store->sides[0]);
	shoal_ring_pair_close(&store->sides[1]);
	free(store);
}
