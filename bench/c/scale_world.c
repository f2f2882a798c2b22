/* SPDX-License-Identifier: BSD-3-Clause */
#include "scale_world.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nat.h"
#include "worker/runner.h"

#define HOST_PORTS 64 /* flows of one inside host */
#define RING_BYTES (4u << 20)
#define CHANNEL_BYTES (4u << 20) /* between the instances */
#define PARKED_MAX 65536
#define SETTLE_NS (2 * SHOAL_NS_PER_S)

static const uint8_t frame[60] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 46, 0, 1, 0, 0, 64, 17, 0, 0,
	16, 0, 0, 1, 48, 0, 0, 1, 4, 0, 19, 136, 0, 26, 1, 1 };

static uint8_t round_robin_steer(const struct shoal_packet *packet)
{
	static uint8_t next;

	return next++;
}

/* --- What is made --- */

static void add_stream(struct scale_world *world)
{
	const struct shoal_instruction program[] = {
		{ .kind = SHOAL_INSTRUCTION_TUPLE_FLOW_VAR,
			.name = "t",
			.ip_min = 0x10000001,
			.ip_max = 0x10000000 + world->traffic.flows / HOST_PORTS,
			.port_min = 1024,
			.port_max = 1023 + HOST_PORTS },
		{ .kind = SHOAL_INSTRUCTION_WRITE_FLOW_VAR, .name = "t.ip", .packet_offset = 26, .big_endian = 1 },
		{ .kind = SHOAL_INSTRUCTION_WRITE_FLOW_VAR, .name = "t.port", .packet_offset = 34, .big_endian = 1 },
		{ .kind = SHOAL_INSTRUCTION_FIX_CHECKSUM_HW,
			.l2_bytes = 14,
			.l3_bytes = 20,
			.l4_type = SHOAL_CHECKSUM_UDP },
	};
	const struct shoal_stream_config stream = { .name = "event",
		.enabled = 1,
		.self_start = 1,
		.next = -1,
		.rate = world->traffic.rate,
		.packet = frame,
		.packet_bytes = sizeof(frame),
		.instructions = program,
		.instructions_count = 4 };

	if (shoal_generator_add_stream(world->generator, 0, &stream))
		bench_fail(world->bench, shoal_last_error());
}

static void make_generator(struct scale_world *world)
{
	const struct shoal_generator_config config = { .name = "event",
		.seed = 1,
		.packets = 65535,
		.catch_up_us = 20000,
		.flows_max = world->traffic.flows * 2 + 1024,
		.responses_max = 16384,
		.row_ms = 1,
		.rows_max = 4096 };
	world->generator = shoal_generator_create(&config);
	if (!world->generator)
		bench_fail(world->bench, shoal_last_error());
	add_stream(world);
}

static void start_generator(struct scale_world *world)
{
	const struct shoal_generator_run run = { .multiplier = 1,
		.stamp = 1,
		.check_mappings = !world->traffic.round_robin,
		.flow_idle_ms = 60000,
		.respond_every = 10 };

	if (shoal_generator_start(world->generator, &run))
		bench_fail(world->bench, shoal_last_error());
}

static void make_splitter(struct scale_world *world)
{
	static struct shoal_nf_port ports[2];
	const struct shoal_splitter_setup setup = {
		.nf = &world->nf, .parked_max = PARKED_MAX, .fragments_max = 256, .hash_seed = 5
	};

	memcpy(ports, shoal_nf.ports, sizeof(ports));
	for (unsigned port = 0; port < 2 && world->traffic.round_robin; port++)
		ports[port].steer = round_robin_steer;
	world->nf = shoal_nf;
	world->nf.ports = ports;
	if (shoal_splitter_init(&world->splitter, &setup))
		bench_fail(world->bench, "no splitter");
	for (uint8_t port = 0; port < 2; port++)
		if (shoal_splitter_port_add(&world->splitter, port, shoal_generator_port(world->generator, port)))
			bench_fail(world->bench, "the generator is no port of the splitter");
}

/* The splitter's end of the member's packet rings; the descriptor is for the member. */
static int make_rings(struct scale_world *world, uint16_t number)
{
	int descriptor = shoal_ring_pair_create(RING_BYTES);
	struct shoal_packet_ring *ring = descriptor < 0 ? NULL : shoal_packet_ring_create(descriptor, 0, world->pool);

	if (!ring || shoal_splitter_member_add(&world->splitter, number, ring))
		bench_fail(world->bench, "no packet rings");
	return descriptor;
}

static void configure(struct scale_world *world, uint8_t number, int cpu)
{
	world->shared[number] = scale_shared_map(world->bench, &world->shared_descriptors[number], true);
	world->shared[number]->config = (struct scale_member_config){ .number = number,
		.cpu = cpu,
		.life = ++world->life,
		.other_life = world->life - 1,
		.objects = world->traffic.flows + world->traffic.flows / 8 + 65536 };
}

static void forget(struct scale_world *world, unsigned number)
{
	munmap(world->shared[number], sizeof(struct scale_shared));
	close(world->shared_descriptors[number]);
	world->shared[number] = NULL;
}

/* --- Commands --- */

static void child_must_live(const struct scale_world *world)
{
	if (world->child && waitpid(world->child, NULL, WNOHANG))
		bench_fail(world->bench, "instance 1 has died");
}

void scale_world_poll_round(struct scale_world *world)
{
	world->now_ns = shoal_clock_now();
	shoal_generator_poll(world->generator, world->now_ns); /* what comes back in this round is timed by it */
	shoal_splitter_poll(&world->splitter, world->now_ns);
	scale_member_poll(&world->member, world->now_ns);
	if (world->rows_count < SCALE_ROWS)
		world->rows_count += (uint32_t)shoal_generator_drain(
			world->generator, world->rows + world->rows_count, SCALE_ROWS - world->rows_count);
}

void scale_world_tell(struct scale_world *world, unsigned number, enum scale_command command)
{
	struct scale_shared *shared = world->shared[number];
	uint64_t deadline = shoal_clock_now() + SCALE_DEADLINE_NS;

	shared->command = command;
	__atomic_store_n(&shared->asked, shared->asked + 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&shared->answered, __ATOMIC_ACQUIRE) != shared->asked) {
		scale_world_poll_round(world);
		if (world->now_ns < deadline)
			continue;
		child_must_live(world);
		bench_fail(world->bench, "an instance does not take commands");
	}
	if (shared->answer)
		bench_fail(world->bench, "an instance refused a command");
}

void scale_world_tell_all(struct scale_world *world, enum scale_command command)
{
	for (unsigned number = 0; number < (world->child ? 2 : 1); number++)
		scale_world_tell(world, number, command);
}

/* --- Instance 1 --- */

/* This program anew, as an instance: EAL's threads do not survive a fork. */
static void start_process(struct scale_world *world, int shared, int packets, int peer)
{
	int descriptors[3] = { shared, packets, peer };
	char texts[3][16];
	char *arguments[] = { "scale_event_bench", "--instance", texts[0], texts[1], texts[2], NULL };

	for (unsigned i = 0; i < 3; i++)
		snprintf(texts[i], sizeof(texts[i]), "%d", descriptors[i]);
	fflush(NULL);
	world->child = fork();
	if (world->child < 0)
		bench_fail(world->bench, "no process for instance 1");
	if (world->child)
		return;
	for (unsigned i = 0; i < 3; i++)
		fcntl(descriptors[i], F_SETFD, 0);
	execv("/proc/self/exe", arguments);
	_exit(127);
}

void scale_world_instance_start(struct scale_world *world)
{
	int packets, peer = shoal_ring_pair_create(CHANNEL_BYTES);
	uint64_t deadline = shoal_clock_now() + SCALE_DEADLINE_NS;

	if (peer < 0)
		bench_fail(world->bench, "no rings between the instances");
	configure(world, 1, world->bench->other_cpu);
	packets = make_rings(world, 1);
	start_process(world, world->shared_descriptors[1], packets, peer);
	scale_member_connect(&world->member, peer, world->shared[1]->config.life);
	close(packets);
	close(peer);
	while (!__atomic_load_n(&world->shared[1]->begun, __ATOMIC_ACQUIRE)) {
		scale_world_poll_round(world);
		if (world->now_ns > deadline)
			bench_fail(world->bench, "instance 1 does not begin");
		if (!(world->now_ns & 0xfff))
			child_must_live(world);
	}
}

void scale_world_instance_end(struct scale_world *world)
{
	struct shoal_packet_ring *ring = NULL;

	scale_world_tell(world, 1, SCALE_END);
	if (waitpid(world->child, NULL, 0) != world->child)
		bench_fail(world->bench, "instance 1 does not end");
	world->child = 0;
	if (shoal_splitter_member_remove(&world->splitter, 1, world->now_ns, &ring))
		bench_fail(world->bench, "instance 1 can't be removed from the splitter");
	shoal_packet_ring_port(ring)->operations->destroy(shoal_packet_ring_port(ring));
	shoal_channel_detach(world->member.worker.space.channel, 1);
	forget(world, 1);
}

/* --- The world --- */

void scale_world_poll(struct scale_world *world)
{
	scale_world_poll_round(world);
	if (world->step != SCALE_REST)
		scale_plan_step(world);
}

void scale_world_poll_for(struct scale_world *world, uint64_t nanoseconds)
{
	uint64_t until = shoal_clock_now() + nanoseconds;

	do {
		scale_world_poll(world);
	} while (world->now_ns < until);
}

void scale_world_init(
	struct scale_world *world, struct bench *bench, struct rte_mempool *pool, const struct scale_traffic *traffic)
{
	int packets;

	memset(world, 0, sizeof(*world));
	world->bench = bench;
	world->traffic = *traffic;
	world->pool = pool;
	world->rows = calloc(SCALE_ROWS, sizeof(*world->rows));
	if (!world->rows)
		bench_fail(bench, "no memory for rows");
	make_generator(world);
	make_splitter(world);
	configure(world, 0, bench->cpu);
	packets = make_rings(world, 0);
	scale_member_init(&world->member, bench, world->shared[0], packets, pool);
	close(packets);
	scale_plan_first(world);
	start_generator(world);
	world->began_ns = shoal_clock_now();
}

void scale_world_fini(struct scale_world *world)
{
	shoal_generator_stop(world->generator);
	shoal_splitter_fini(&world->splitter);
	scale_member_fini(&world->member);
	shoal_generator_destroy(world->generator);
	forget(world, 0);
	free(world->rows);
}

uint64_t scale_world_forwarded(const struct scale_world *world)
{
	return world->shared[0]->forwarded + (world->shared[1] ? world->shared[1]->forwarded : 0);
}

uint64_t scale_world_bytes_out(const struct scale_world *world)
{
	return world->shared[0]->bytes_out + (world->shared[1] ? world->shared[1]->bytes_out : 0);
}

uint64_t scale_world_splitter_drops(const struct scale_world *world)
{
	uint64_t drops = 0;

	for (unsigned i = 0; i < SHOAL_SPLITTER_DROPS; i++)
		drops += world->splitter.drops[i];
	return drops;
}

uint64_t scale_world_instance_drops(const struct scale_world *world)
{
	return world->shared[0]->drops + (world->shared[1] ? world->shared[1]->drops : 0);
}

static uint64_t on_the_way(const struct scale_world *world)
{
	struct shoal_generator_totals totals;

	shoal_generator_totals(world->generator, &totals);
	return totals.sent_packets[0] + totals.sent_packets[1] - totals.arrived_packets[0] - totals.arrived_packets[1];
}

uint64_t scale_world_settle(struct scale_world *world)
{
	uint64_t until = shoal_clock_now() + SETTLE_NS;

	shoal_generator_pause(world->generator, 0, 0, 1);
	do {
		scale_world_poll(world);
	} while (world->now_ns < until &&
		 on_the_way(world) != scale_world_splitter_drops(world) + scale_world_instance_drops(world));
	shoal_generator_pause(world->generator, 0, 0, 0);
	return on_the_way(world);
}

bool scale_world_preempted(const struct scale_world *world, uint64_t at_ns)
{
	uint64_t ms = at_ns / SHOAL_NS_PER_MS % SCALE_MARKS;

	return world->shared[0]->marks[ms] || (world->shared[1] && world->shared[1]->marks[ms]);
}
