/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "world.h"

#include <rte_mempool.h>
#include <shoal/dataplane.h>
#include <stdio.h>
#include <unistd.h>

#include "channel/ring_transport.h"
#include "forward.h"
#include "plane/remote.h"
#include "worker/pipe.h"
#include "worker/runner.h"

#define POOL_PACKETS 4095u
#define POLLS_MAX 1000

static struct rte_mempool *pool;
static unsigned worlds; /* that there are: their rings keep buffers */

int world_start(void **state)
{
	static char prefix[48];
	const char *arguments[] = { "nat-test", "--no-huge", "-m", "64", "--no-pci", "--no-telemetry", "--no-shconf",
		"--file-prefix", prefix };

	snprintf(prefix, sizeof(prefix), "nat-test-%d", (int)getpid());
	if (shoal_eal_start(sizeof(arguments) / sizeof(arguments[0]), arguments))
		return -1;
	pool = shoal_packet_pool_create("packets", POOL_PACKETS, 2048);
	return pool ? 0 : -1;
}

int world_stop(void **state)
{
	rte_mempool_free(pool);
	shoal_eal_stop();
	return 0;
}

static void configure(struct world_member *member, const char *const settings[])
{
	char error[512];

	member->nat = shoal_nf.create();
	assert_non_null(member->nat);
	for (; *settings; settings += 2)
		assert_int_equal(shoal_nf.configure(member->nat, settings[0], settings[1], error, sizeof(error)), 0);
	assert_int_equal(shoal_nf.init(member->nat, error, sizeof(error)), 0);
}

static void attach_ring(struct world_member *member)
{
	int descriptor = shoal_ring_pair_create(1 << 20);

	assert_true(descriptor >= 0);
	member->splitter = shoal_packet_ring_port(shoal_packet_ring_create(descriptor, 0, pool));
	member->ring = shoal_packet_ring_create(descriptor, 1, pool);
	assert_non_null(member->ring);
	close(descriptor);
	member->worker.ring = member->ring;
}

static void start_receiver(struct world_member *member)
{
	const struct shoal_runner_config config = { "receiver", -1, SHOAL_IDLE_YIELD, 4, 0 };

	member->pipe = shoal_pipe_create();
	member->receiver = shoal_runner_create(&config);
	assert_true(member->pipe && member->receiver);
	shoal_pipe_set_ring(member->pipe, member->ring);
	member->worker.pipe = member->pipe;
	assert_int_equal(shoal_runner_add(member->receiver, shoal_pipe_poll, member->pipe), 0);
	assert_int_equal(shoal_runner_start(member->receiver), 0);
}

static void begin_member(struct world *world, uint8_t number, const struct world_setup *setup)
{
	struct world_member *member = &world->members[number];
	struct shoal_worker_config config = {
		.space = { .self = number,
			.life = setup->first_life + number,
			.hash_seed = 0x5eed,
			.classes = shoal_nf.classes,
			.classes_count = shoal_nf.classes_count,
			.objects_max = setup->objects,
			.window = 256,
			.microthreads_max = 256,
			.members_max = WORLD_MEMBERS_MAX,
			.deadline_ns = SHOAL_NS_PER_S,
			.resend_ns = SHOAL_NS_PER_S },
		.nf = setup->nf ? setup->nf : &shoal_nf,
		.parked_max = 1024,
		.backlog_max = 256,
		.stack_bytes = 32768,
		.plane = setup->plane,
		.remote = { .name = "nat", .owner = setup->first_life + number },
	};

	snprintf(config.remote.address, sizeof(config.remote.address), "%s", setup->server ? setup->server : "");
	configure(member, setup->settings);
	config.nf_state = member->nat;
	assert_int_equal(shoal_worker_init(&member->worker, &config), 0);
	if (number || setup->overlapping)
		member->worker.ahead_from = 0;
	attach_ring(member);
	if (setup->pipe)
		start_receiver(member);
}

static void connect_members(struct world *world, uint64_t first_life)
{
	int descriptor;

	if (world->members_count < 2)
		return;
	descriptor = shoal_ring_pair_create(SHOAL_RING_TRANSPORT_CAPACITY);
	assert_true(descriptor >= 0);
	for (unsigned side = 0; side < 2; side++) {
		struct shoal_channel *channel = world->members[side].worker.space.channel;
		struct shoal_link *link = shoal_ring_transport_create(descriptor, side);

		assert_non_null(link);
		assert_int_equal(shoal_channel_attach(channel, (uint8_t)!side, first_life + !side, link), 0);
	}
	close(descriptor);
}

/* The first map: steering slots in turn. */
static void give_map(struct world *world, uint64_t first_life)
{
	struct shoal_plan *plan = calloc(1, sizeof(*plan));

	assert_non_null(plan);
	plan->term = plan->epoch_next = 1;
	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot++)
		plan->owner_next[slot] = (uint8_t)(slot / SHOAL_SLOTS_PER_STEERING % world->members_count);
	for (unsigned member = 0; member < world->members_count; member++) {
		plan->in_next[member] = 1;
		plan->life[member] = first_life + member;
	}
	for (unsigned member = 0; member < world->members_count; member++)
		assert_int_equal(shoal_keyspace_learn(&world->members[member].worker.space, plan), 0);
	for (unsigned member = 0; member < world->members_count; member++)
		assert_int_equal(shoal_keyspace_hand_over(&world->members[member].worker.space, 1, 1), 0);
	for (unsigned poll = 0; poll < POLLS_MAX; poll++)
		world_poll(world);
	for (unsigned member = 0; member < world->members_count; member++) {
		assert_int_equal(world->members[member].worker.space.keyspace.stage, SHOAL_STAGE_DONE);
		assert_int_equal(shoal_keyspace_forget(&world->members[member].worker.space, 1, 1), 0);
	}
	free(plan);
}

struct world *world_create(unsigned members, uint32_t objects, const char *const settings[])
{
	const struct world_setup setup = { .members = members, .objects = objects, .settings = settings };

	return world_create_on(&setup);
}

struct world *world_create_on(const struct world_setup *asked)
{
	struct world_setup setup = *asked;
	struct world *world = aligned_alloc(
		SHOAL_CACHE_LINE, (sizeof(struct world) + SHOAL_CACHE_LINE - 1) / SHOAL_CACHE_LINE * SHOAL_CACHE_LINE);

	assert_non_null(world);
	memset(world, 0, sizeof(*world));
	setup.first_life = setup.first_life ? setup.first_life : 100;
	world->members_count = setup.members;
	world->real = setup.server != NULL;
	world->packets_before = rte_mempool_in_use_count(pool);
	worlds++;
	world->now_ns = SHOAL_NS_PER_S;
	for (unsigned member = 0; member < setup.members; member++)
		begin_member(world, (uint8_t)member, &setup);
	connect_members(world, setup.first_life);
	give_map(world, setup.first_life);
	return world;
}

static void end_member(struct world_member *member)
{
	shoal_runner_destroy(member->receiver);
	shoal_worker_fini(&member->worker);
	shoal_pipe_destroy(member->pipe);
	member->splitter->operations->destroy(member->splitter);
	shoal_packet_ring_port(member->ring)->operations->destroy(shoal_packet_ring_port(member->ring));
	shoal_nf.destroy(member->nat);
}

void world_kill(struct world *world)
{
	for (unsigned number = 0; number < world->members_count; number++) {
		/* All that the server learns of it. */
		shoal_remote_connection_close(shoal_remote_of(&world->members[number].worker.space));
		end_member(&world->members[number]);
	}
	worlds--;
	free(world);
}

void world_destroy(struct world *world)
{
	uint64_t dropped = 0;

	for (unsigned number = 0; number < world->members_count; number++) {
		struct world_member *member = &world->members[number];

		for (unsigned drop = 0; drop < NAT_DROPS; drop++)
			dropped += member->worker.nf_drops[drop];
		for (unsigned drop = 0; drop < SHOAL_WORKER_DROPS; drop++)
			assert_int_equal(member->worker.drops[drop], 0);
		assert_int_equal(shoal_worker_inside(&member->worker), 0);
		end_member(member);
	}
	assert_int_equal(world->sent, world->received + dropped);
	if (!--worlds)
		assert_int_equal(rte_mempool_in_use_count(pool), world->packets_before);
	free(world);
}

struct shoal_packet *world_make_packet(const struct made_frame *frame, uint8_t port)
{
	struct shoal_packet *packet = shoal_packet_alloc(pool, frame->length);

	assert_non_null(packet);
	memcpy(packet->frame, frame->bytes, frame->length);
	packet->port = port;
	assert_int_equal(shoal_parse(packet), SHOAL_PARSE_OK);
	packet->steering_slot = shoal_nf.ports[port].steer(packet);
	return packet;
}

void world_send_packet(struct world *world, unsigned member, struct shoal_packet *packet)
{
	struct shoal_port *splitter = world->members[member].splitter;

	assert_int_equal(splitter->operations->transmit(splitter, &packet, 1), 1);
	splitter->operations->flush(splitter);
	world->sent++;
}

unsigned world_member_of(struct world *world, const struct made_frame *frame, uint8_t port)
{
	struct shoal_packet *packet = world_make_packet(frame, port);
	unsigned member = packet->steering_slot % world->members_count;

	shoal_packet_free(packet);
	return member;
}

void world_send_to(struct world *world, unsigned member, const struct made_frame *frame, uint8_t port)
{
	world_send_packet(world, member, world_make_packet(frame, port));
}

static void reenter(struct world *world, struct made_frame *frame, uint8_t port)
{
	struct shoal_packet *packet = world_make_packet(frame, port);

	world_send_packet(world, packet->steering_slot % world->members_count, packet);
	world->sent--; /* counted when it came first */
	world_run(world, 0);
}

bool world_receive(struct world *world, struct made_frame *frame, uint8_t *port)
{
	for (unsigned member = 0; member < world->members_count; member++) {
		struct shoal_port *splitter = world->members[member].splitter;
		struct shoal_packet *packet;
		bool again;

		while (splitter->operations->receive(splitter, &packet, 1, world->now_ns)) {
			frame->length = packet->length;
			memcpy(frame->bytes, packet->frame, packet->length);
			*port = packet->port;
			again = packet->verdict >> 8 == SHOAL_VERDICT_REENTER;
			shoal_packet_free(packet);
			if (!again) {
				world->received++;
				return true;
			}
			reenter(world, frame, *port);
			return world_receive(world, frame, port);
		}
	}
	return false;
}

int world_pass(struct world *world, struct made_frame *frame, uint8_t port)
{
	struct made_frame more;
	uint8_t left, other;

	world_send_to(world, world_member_of(world, frame, port), frame, port);
	world_run(world, 0);
	if (!world_receive(world, frame, &left))
		return -1;
	assert_false(world_receive(world, &more, &other));
	return left;
}

void world_task(struct world *world, unsigned member,
	int (*function)(struct shoal_context *context, const char *arguments, char *reply, size_t reply_bytes),
	const char *arguments, char *reply, size_t reply_bytes)
{
	static struct shoal_control_task control;
	const struct shoal_nf_task task = { .name = "test", .run = function };

	memset(&control, 0, sizeof(control));
	control.task = &task;
	snprintf(control.arguments, sizeof(control.arguments), "%s", arguments);
	world->members[member].worker.control_task = &control;
	world_run(world, 0);
	assert_true(control.finished);
	assert_int_equal(control.answer, 0);
	if (reply)
		snprintf(reply, reply_bytes, "%s", control.reply);
}

uint64_t world_drops(const struct world *world, enum nat_drop drop)
{
	uint64_t sum = 0;

	for (unsigned member = 0; member < world->members_count; member++)
		sum += world->members[member].worker.nf_drops[drop];
	return sum;
}

uint64_t world_count(const struct world *world, enum nat_counter counter)
{
	uint64_t sum = 0;

	for (unsigned member = 0; member < world->members_count; member++)
		sum += world->members[member].nat->counters[counter];
	return sum;
}

uint32_t world_objects(const struct world *world, const struct shoal_class *class)
{
	uint32_t sum = 0;

	for (unsigned member = 0; member < world->members_count; member++)
		sum += world->members[member]
		               .worker.space.maps[shoal_space_class_index(&world->members[member].worker.space, class)]
		               .count;
	return sum;
}
