/* SPDX-License-Identifier: BSD-3-Clause */
#include "nat_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "object/map_inline.h"
#include "worker.h"
#include "worker/runner.h"

#define OWNED_POLLS 10 /* until the only worker owns all slots */
#define MICROTHREADS 4096
#define AWAY (MICROTHREADS * 2)
#define AHEAD 128 /* packets */

/* Mappings that are with another member, the first to come back first. */
static struct {
	struct nat_world *world;
	uint32_t entries[AWAY];
	uint64_t due_ns[AWAY];
	uint32_t head, tail;
	uint32_t next, near; /* in `blocking`: the next one, and the next to be brought near */
} away;

static struct shoal_place place_of(uint32_t entry)
{
	return shoal_place_at(&away.world->worker->space, 0, entry);
}

/* As if the object were elsewhere and had been asked for. One that is away already comes back when the first one said. */
static void send_away(struct shoal_space *space, uint32_t entry, uint64_t now_ns)
{
	struct shoal_place place = place_of(entry);

	if (place.entry->handle != SHOAL_HANDLE_HELD || place.entry->references)
		return;
	place.entry->handle = SHOAL_HANDLE_WAITING;
	space->held--;
	space->waiting++;
	away.entries[away.tail % AWAY] = entry;
	away.due_ns[away.tail++ % AWAY] = now_ns + NAT_WORLD_BLOCKED_NS;
}

/* What a grant does beyond its message. */
static void bring_back(struct shoal_space *space, uint64_t now_ns)
{
	while (away.head != away.tail && away.due_ns[away.head % AWAY] <= now_ns) {
		struct shoal_place place = place_of(away.entries[away.head++ % AWAY]);

		place.entry->handle = SHOAL_HANDLE_HELD;
		place.entry->flags |= SHOAL_ENTRY_FLOWS;
		space->held++;
		space->waiting--;
		shoal_holder_grant_to_waiting(space, &place);
		shoal_place_tidy(space, &place);
	}
}

/* The source, whose marked packets come when their mapping has just gone. That is no part of the figure, and so does not wait for
 * memory either: what it will write is on its way some bursts before. */
static unsigned receive_from_source(
	struct shoal_port *port, struct shoal_packet *packets[], unsigned n, uint64_t now_ns)
{
	struct nat_world *world = away.world;
	uint32_t end;

	n = source_receive(port, packets, n, now_ns);
	end = world->source.at % SOURCE_SEQUENCE;
	for (; world->blocking[away.near].at < end + AHEAD; away.near++)
		__builtin_prefetch(place_of(world->blocking[away.near].entry).entry, 1);
	for (; world->blocking[away.next].at < end; away.next++)
		send_away(&world->worker->space, world->blocking[away.next].entry, now_ns);
	return n;
}

/* The first packet of the sequence that blocks, from here on. */
static void find_next_blocking(struct nat_world *world)
{
	uint32_t at = world->source.at % SOURCE_SEQUENCE, low = 0, high = world->blocking_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (world->blocking[middle].at < at)
			low = middle + 1;
		else
			high = middle;
	}
	away.next = away.near = low;
}

static void *make_nat(const struct bench *bench)
{
	static const char *const settings[][2] = { { "public_addresses", "198.18.0.1-198.18.0.255" },
		{ "inside_prefixes", "16.0.0.0/8" } };
	void *state = shoal_nf.create();
	char error[256];

	for (unsigned i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (shoal_nf.configure(state, settings[i][0], settings[i][1], error, sizeof(error)))
			bench_fail(bench, error);
	if (shoal_nf.init(state, error, sizeof(error)))
		bench_fail(bench, error);
	return state;
}

static void open_space(const struct bench *bench, struct shoal_worker *worker)
{
	struct shoal_plan *plan = calloc(1, sizeof(*plan));

	plan->term = plan->epoch_next = 1;
	plan->in_next[0] = 1;
	plan->life[0] = 1;
	if (shoal_keyspace_learn(&worker->space, plan) || shoal_keyspace_hand_over(&worker->space, 1, 1))
		bench_fail(bench, "the first plan was refused");
	for (unsigned i = 0; i < OWNED_POLLS; i++)
		shoal_worker_poll(worker, shoal_clock_now());
	if (shoal_keyspace_forget(&worker->space, 1, 1))
		bench_fail(bench, "the first plan did not end");
	free(plan);
}

static void init(struct nat_world *world, struct bench *bench, struct rte_mempool *pool, uint32_t flows,
	uint32_t new_flows, const struct shoal_plane *plane, const struct shoal_remote_config *server)
{
	*world = (struct nat_world){ .bench = bench, .pool = pool, .flows = flows };
	world->nat = make_nat(bench);
	const struct shoal_worker_config config = { .space = { .life = 1,
							    .hash_seed = 42,
							    .classes = shoal_nf.classes,
							    .classes_count = shoal_nf.classes_count,
							    .objects_max = flows + new_flows + 65536,
							    .window = 256,
							    .microthreads_max = MICROTHREADS,
							    .members_max = 64,
							    .touch = true,
							    .deadline_ns = SHOAL_NS_PER_S },
		.nf = &shoal_nf,
		.nf_state = world->nat,
		.parked_max = 16384,
		.backlog_max = 512,
		.stack_bytes = 16384,
		.plane = plane,
		.remote = server ? *server : (struct shoal_remote_config){ .address = "" } };

	world->worker = aligned_alloc(SHOAL_CACHE_LINE, (sizeof(*world->worker) + 63) / 64 * 64);
	if (!world->worker || shoal_worker_init(world->worker, &config))
		bench_fail(bench, "no memory for a worker with so many flows");
	source_init(&world->source, pool);
	source_init(&world->sink, pool);
	world->worker->ports[0] = &world->source.port;
	world->worker->ports[1] = &world->sink.port;
	world->mappings = &world->worker->space.maps[0];
	open_space(bench, world->worker);
}

void nat_world_init(
	struct nat_world *world, struct bench *bench, struct rte_mempool *pool, uint32_t flows, uint32_t new_flows)
{
	init(world, bench, pool, flows, new_flows, &shoal_plane_shared, NULL);
}

void nat_world_init_on(struct nat_world *world, struct bench *bench, struct rte_mempool *pool, uint32_t flows,
	uint32_t new_flows, const struct shoal_plane *plane, const struct shoal_remote_config *server)
{
	init(world, bench, pool, flows, new_flows, plane, server);
}

void nat_world_fini(struct nat_world *world)
{
	shoal_worker_fini(world->worker);
	free(world->worker);
	free(world->blocking);
	shoal_nf.destroy(world->nat);
	source_fini(&world->source);
	source_fini(&world->sink);
	if (world->ideal_pools) {
		shoal_map_fini(&world->ideal_own[0]);
		shoal_map_fini(&world->ideal_own[1]);
		free(world->ideal_pools);
	}
}

/* Which packets of the sequence block, and entries of their mappings. It ends with one that never comes. */
static void find_blocking(struct nat_world *world)
{
	const struct shoal_map *map = &world->worker->space.maps[0];
	uint32_t *entries = calloc(world->flows, sizeof(*entries));

	world->blocking_count = 0;
	if (!world->blocking)
		world->blocking = malloc((SOURCE_SEQUENCE + 1) * sizeof(*world->blocking));
	if (!entries || !world->blocking)
		bench_fail(world->bench, "no memory for what blocks");
	for (uint32_t index = 1; index < map->high_water; index++) {
		struct nat_mapping_key key;
		uint32_t flow;

		memcpy(&key, shoal_map_entry(map, index)->bytes, sizeof(key));
		flow = source_flow_of(key.address, key.port);
		if (flow < world->flows)
			entries[flow] = index;
	}
	for (uint32_t at = 0; at < SOURCE_SEQUENCE; at++)
		if (world->source.sequence[at] & SOURCE_BLOCKED)
			world->blocking[world->blocking_count++] = (struct nat_world_blocking){ at,
				entries[world->source.sequence[at] % SOURCE_FLOW_MAX] };
	world->blocking[world->blocking_count].at = UINT32_MAX;
	free(entries);
}

void nat_world_block(struct nat_world *world, bool block)
{
	static struct shoal_port_operations operations;
	static struct shoal_plane plane;

	world->blocks = block;
	operations = *world->source.port.operations;
	operations.receive = block ? receive_from_source : source_receive;
	world->source.port.operations = &operations;
	if (!block)
		return;
	away.world = world;
	find_blocking(world);
	/* Where nothing is ever elsewhere, nothing is fetched. */
	if (!world->worker->plane->fetch) {
		plane = *world->worker->plane;
		plane.fetch = shoal_fetch_begin;
		world->worker->plane = &plane;
	}
}

double nat_world_worker_chunk(struct nat_world *world)
{
	struct shoal_worker *worker = world->worker;
	uint64_t begin, now;

	if (world->blocks)
		find_next_blocking(world);
	begin = now = shoal_clock_now();
	world->source.room = BENCH_CHUNK;
	/* What is still away comes back in the next chunk, and is part of its cost. */
	while (world->source.room) {
		bring_back(&worker->space, now);
		shoal_worker_poll(worker, now);
		now = shoal_clock_now(); /* as a runner does */
	}
	return (double)(shoal_clock_now() - begin) / BENCH_CHUNK;
}

double nat_world_ideal_chunk(struct nat_world *world)
{
	uint64_t begin = shoal_clock_now();

	world->source.room = BENCH_CHUNK;
	while (world->source.room)
		nat_ideal_burst(world);
	return (double)(shoal_clock_now() - begin) / BENCH_CHUNK;
}

double nat_world_ideal_new_chunk(struct nat_world *world, uint32_t *next_new)
{
	uint32_t of_worker = world->source.next_new;
	double ns;

	world->source.next_new = *next_new;
	ns = nat_world_ideal_chunk(world);
	*next_new = world->source.next_new;
	world->source.next_new = of_worker;
	return ns;
}

double nat_world_fill(struct nat_world *world)
{
	static struct bench_samples samples;

	samples.count = 0;
	source_in_order(&world->source, world->flows);
	for (uint32_t made = 0; made < world->flows; made += BENCH_CHUNK)
		bench_sample(&samples, nat_world_worker_chunk(world));
	world->source.next_new = world->flows;
	if (world->worker->plane->objects_here)
		return bench_median(&samples); /* they lie elsewhere */
	if (world->worker->space.maps[0].count != world->flows || world->worker->space.maps[1].count != world->flows)
		bench_fail(world->bench, "not every flow got its mapping");
	return bench_median(&samples);
}

void nat_world_check(const struct nat_world *world)
{
	while (away.head != away.tail) {
		bring_back(&world->worker->space, shoal_clock_now());
		shoal_worker_poll(world->worker, shoal_clock_now());
	}
	shoal_worker_poll(world->worker, shoal_clock_now());
	if (world->source.wrong || world->sink.wrong)
		bench_fail(world->bench, "a packet left by another port than the outside");
	if (rte_mempool_in_use_count(world->pool))
		bench_fail(world->bench, "packets were lost");
}
