/* SPDX-License-Identifier: BSD-3-Clause */
#include "nat_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker.h"
#include "worker/runner.h"

#define OWNED_POLLS 10 /* until the only worker owns all slots */
#define MICROTHREADS 4096
#define WAITS (MICROTHREADS * 2)

/* Packets that wait for their remote, oldest first. */
static struct {
	struct shoal_wait *waits[WAITS];
	uint64_t due_ns[WAITS];
	uint32_t head, tail;
} remote;

/* What the source marks goes to the packet handler, as a packet does whose object is not here. */
static void blocking_process(
	struct shoal_context *context, struct shoal_packet *const packets[], void *const objects[], unsigned n)
{
	struct shoal_packet *left[SHOAL_BURST_MAX];
	void *left_objects[SHOAL_BURST_MAX];
	unsigned count = 0;

	/* A look at each packet would be part of the figure, where the product's own look-up tells local from remote at no cost. */
	if (SHOAL_LIKELY(!((const struct source *)((struct shoal_worker *)context)->ports[0])->blocked)) {
		shoal_nf.process(context, packets, objects, n);
		return;
	}
	for (unsigned i = 0; i < n; i++) { /* without a branch that would be guessed wrong */
		packets[i]->verdict = SHOAL_TO_PACKET_HANDLER;
		left[count] = packets[i];
		left_objects[count] = objects[i];
		count += !source_packet_blocks(packets[i]);
	}
	if (count)
		shoal_nf.process(context, left, left_objects, count);
}

static uint16_t blocking_packet(struct shoal_context *context, struct shoal_packet *packet, const void *key)
{
	struct shoal_worker *worker = (struct shoal_worker *)context;
	struct shoal_wait wait = { .since_ns = context->now_ns };

	if (source_packet_blocks(packet)) {
		remote.waits[remote.tail % WAITS] = &wait;
		remote.due_ns[remote.tail++ % WAITS] = context->now_ns + NAT_WORLD_BLOCKED_NS;
		shoal_wait(&worker->space, &wait);
		if (wait.outcome != SHOAL_WAIT_GRANTED)
			abort();
	}
	return shoal_nf.packet(context, packet, key);
}

static void answer_remote(struct shoal_space *space, uint64_t now_ns)
{
	while (remote.head != remote.tail && remote.due_ns[remote.head % WAITS] <= now_ns)
		shoal_wait_end(space, remote.waits[remote.head++ % WAITS], SHOAL_WAIT_GRANTED);
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
	*world = (struct nat_world){ .bench = bench, .pool = pool, .flows = flows, .nf = shoal_nf };
	world->nf.process = blocking_process;
	world->nf.packet = blocking_packet;
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
	world->worker->nf = &shoal_nf;
}

void nat_world_fini(struct nat_world *world)
{
	shoal_worker_fini(world->worker);
	free(world->worker);
	shoal_nf.destroy(world->nat);
	source_fini(&world->source);
	source_fini(&world->sink);
	if (world->ideal_pools) {
		shoal_map_fini(&world->ideal_own[0]);
		shoal_map_fini(&world->ideal_own[1]);
		free(world->ideal_pools);
	}
}

void nat_world_block(struct nat_world *world, bool block)
{
	world->worker->nf = block ? &world->nf : &shoal_nf;
	if (block)
		world->worker->ahead_from = UINT32_MAX;
}

double nat_world_worker_chunk(struct nat_world *world)
{
	struct shoal_worker *worker = world->worker;
	uint64_t begin = shoal_clock_now(), now = begin;

	world->source.room = BENCH_CHUNK;
	/* Packets that still wait for their remote are answered in the next chunk, and are part of its cost. */
	while (world->source.room) {
		answer_remote(&worker->space, now);
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
	while (remote.head != remote.tail) {
		answer_remote(&world->worker->space, shoal_clock_now());
		shoal_worker_poll(world->worker, shoal_clock_now());
	}
	shoal_worker_poll(world->worker, shoal_clock_now());
	if (world->source.wrong || world->sink.wrong)
		bench_fail(world->bench, "a packet left by another port than the outside");
	if (rte_mempool_in_use_count(world->pool))
		bench_fail(world->bench, "packets were lost");
}
