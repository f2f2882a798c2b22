/* SPDX-License-Identifier: BSD-3-Clause */
/* The NAT on a real redis-server: state that outlives every instance, a server that dies under traffic, two workers on one
 * store, and what is said where there is no server. One worker with a pipe too. */
#include <errno.h>
#include <sched.h>
#include <shoal/dataplane.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plane/made_server.h"
#include "plane/remote.h"
#include "world_flow.h"
#include "worker/runner.h"

#define FLOWS 60
#define KILLS 10
#define NEW_FLOWS 12 /* before each kill */
#define FLOWS_MAX (KILLS * NEW_FLOWS)
#define DEADLINE_NS (10 * SHOAL_NS_PER_S)

static const char *const plain[] = { "public_addresses", "198.51.100.1", NULL };

static bool pipe; /* receiving is another thread's */

static struct world *begin(const struct made_server *server, unsigned members, uint64_t first_life)
{
	const struct world_setup setup = { .members = members,
		.pipe = pipe,
		.objects = 1,
		.settings = plain,
		.plane = &shoal_plane_remote,
		.server = server->address,
		.first_life = first_life };

	return world_create_on(&setup);
}

static unsigned ports_taken(struct world *world)
{
	char reply[200];
	unsigned taken;

	world_task(world, 0, shoal_nf.tasks[0].run, "198.51.100.1 udp", reply, sizeof(reply));
	assert_int_equal(sscanf(reply, "%u of", &taken), 1);
	return taken;
}

/* Flow and number stand at the end of the payload. */
static void send_udp(struct world *world, unsigned member, uint16_t flow, uint16_t number)
{
	struct made_frame frame;

	make(&frame, NAT_UDP, inet_addr(HOST), flow, inet_addr(SERVER), 80, 0);
	made_store16(frame.bytes + frame.length - 4, flow);
	made_store16(frame.bytes + frame.length - 2, number);
	made_finish(&frame);
	world_send_to(world, member, &frame, NAT_INSIDE);
}

/* The only instance is killed, with packets under way; the next one finds what was there, and what was locked. */
static void state_outlives_all_instances(void **state)
{
	struct endpoint public[FLOWS];
	struct made_server server;

	assert_int_equal(made_server_start(&server, true, -1), 0);
	struct world *world = begin(&server, 1, 100);

	for (uint16_t flow = 0; flow < FLOWS; flow++)
	public[flow] = send_out(world, NAT_UDP, HOST, flow, 0);
	for (uint64_t life = 200; life < 203; life++) {
		for (uint16_t flow = 0; flow < FLOWS; flow++)
			send_udp(world, 0, flow, 0);
		/* Takes are said, some are answered; the locks stay in the server. */
		for (uint64_t poll = 0; poll < 60 * (life - 200); poll++)
			world_poll(world);
		world_kill(world);
		world = begin(&server, 1, life);
		for (uint16_t flow = 0; flow < FLOWS; flow++) {
			assert_true(send_in(world, NAT_UDP, public[flow], HOST, flow, 0));
			assert_true(same(send_out(world, NAT_UDP, HOST, flow, 0), public[flow]));
		}
		assert_int_equal(world_count(world, NAT_COUNT_CREATED), 0);
		assert_int_equal(ports_taken(world), FLOWS);
	}
	assert_int_equal(made_server_keys(&server, "nat/nat.mapping/*"), FLOWS);
	world_run(world, 11 * 60 * 1000);
	world_until(world, NAT_COUNT_EXPIRED, FLOWS);
	assert_int_equal(ports_taken(world), 0);
	assert_int_equal(made_server_keys(&server, "nat/nat.mapping/*"), 0);
	assert_int_equal(made_server_keys(&server, "nat/nat.reverse/*"), 0);
	world_destroy(world);
	made_server_end(&server);
}

/* What has come of each flow. */
struct book {
	struct endpoint public[FLOWS_MAX];
	bool known[FLOWS_MAX];
	uint16_t next[FLOWS_MAX]; /* number of the packet that comes next */
};

static void note(struct book *book, const struct made_frame *frame)
{
	uint16_t flow = shoal_frame_number16(frame->bytes + frame->length - 4);

	assert_sound(frame);
	assert_int_equal(shoal_frame_number16(frame->bytes + frame->length - 2), book->next[flow]++);
	if (!book->known[flow])
		book->public[flow] = source_of(frame);
	book->known[flow] = true;
	assert_true(same(source_of(frame), book->public[flow]));
}

/* Takes that many packets. Time passes, so that a connection is tried again; ten times slower than real time, so that no
 * packet has waited for too long before the deadline, whenever the server gets a core. */
static void take_packets(struct world *world, struct book *book, unsigned packets)
{
	uint64_t begin_ns = shoal_clock_now(), begin_world_ns = world->now_ns;

	while (packets) {
		uint64_t passed_ns = shoal_clock_now() - begin_ns;
		struct made_frame frame;
		uint8_t port;

		assert_true(passed_ns < DEADLINE_NS);
		world->now_ns = begin_world_ns + passed_ns / 10;
		world_poll(world);
		sched_yield(); /* the server may be on this core */
		while (packets && world_receive(world, &frame, &port)) {
			assert_int_equal(port, NAT_OUTSIDE);
			note(book, &frame);
			packets--;
		}
	}
	world_run(world, 0);
}

static void poll_times(struct world *world, unsigned polls)
{
	while (polls--)
		world_poll(world);
}

/* The server is killed at many points of the traffic and comes back: every packet leaves, in its flow's order, with its own
 * mapping; every new flow has taken one port, and one only. */
static void a_restart_loses_nothing(void **state)
{
	static struct book book;
	struct made_server server;
	uint16_t flows = 0;

	assert_int_equal(made_server_start(&server, true, -1), 0);
	struct world *world = begin(&server, 1, 100);

	memset(&book, 0, sizeof(book));
	for (unsigned kill = 0; kill < KILLS; kill++) {
		flows += NEW_FLOWS; /* the old ones, and new ones */
		for (uint16_t packet = 0; packet < 3; packet++)
			for (uint16_t flow = 0; flow < flows; flow++)
				send_udp(world, 0, flow, (uint16_t)(kill * 3 + packet - flow / NEW_FLOWS * 3));
		world_await_receivers(world);
		poll_times(world, 40 * kill);
		made_server_kill(&server);
		poll_times(world, 50);
		assert_int_equal(made_server_restart(&server), 0);
		take_packets(world, &book, 3 * flows);
		assert_int_equal(ports_taken(world), flows);
	}
	assert_int_equal(world_count(world, NAT_COUNT_CREATED), flows);
	assert_int_equal(made_server_keys(&server, "nat/nat.mapping/*"), flows);
	assert_int_equal(made_server_keys(&server, "nat/nat.reverse/*"), flows);
	const struct shoal_remote *remote = shoal_remote_of(&world->members[0].worker.space);

	assert_true(remote->counters.repeated > 0 && remote->counters.connections > KILLS / 2);
	world_destroy(world);
	made_server_end(&server);
}

/* Away for longer than a packet may wait: named drops, and no more than that. */
static void a_long_absence_is_a_named_drop(void **state)
{
	static struct book book;
	struct made_server server;

	assert_int_equal(made_server_start(&server, true, -1), 0);
	struct world *world = begin(&server, 1, 100);

	memset(&book, 0, sizeof(book));
	send_udp(world, 0, 1, 0);
	take_packets(world, &book, 1);
	made_server_kill(&server);
	for (unsigned packet = 0; packet < 3; packet++)
		send_udp(world, 0, 1, 0);
	world_await_receivers(world);
	for (unsigned step = 0; step < 400; step++) {
		world->now_ns += 10 * SHOAL_NS_PER_MS;
		world_poll(world);
	}
	assert_int_equal(world_drops(world, NAT_DROP_TIMED_OUT), 3);
	assert_int_equal(world->members[0].worker.space.counters.takes_timed_out, 3);
	assert_int_equal(world->members[0].worker.space.counters.calls_timed_out, 0);
	assert_int_equal(shoal_worker_inside(&world->members[0].worker), 0);
	assert_int_equal(made_server_restart(&server), 0);
	world->now_ns += SHOAL_NS_PER_S;
	send_udp(world, 0, 1, 1);
	take_packets(world, &book, 1);
	world_destroy(world);
	made_server_end(&server);
}

/* First packets of the same flows come to two workers at once: one mapping and one port for each. */
static void two_workers_on_one_store(void **state)
{
	struct endpoint first[FLOWS];
	struct made_server server;

	assert_int_equal(made_server_start(&server, false, -1), 0);
	struct world *world = begin(&server, 2, 100);

	for (uint16_t packet = 0; packet < 4; packet++)
		for (uint16_t flow = 0; flow < FLOWS; flow++)
			send_udp(world, packet % 2, flow, packet);
	world_run(world, 10);
	for (unsigned packet = 0; packet < 4 * FLOWS; packet++) {
		struct made_frame frame;
		uint16_t flow;
		uint8_t port;

		assert_true(world_receive(world, &frame, &port));
		assert_sound(&frame);
		flow = shoal_frame_number16(frame.bytes + frame.length - 4);
		if (packet < FLOWS)
			first[flow] = source_of(&frame); /* the first member's are received first, flow by flow */
		assert_true(same(source_of(&frame), first[flow]));
	}
	assert_int_equal(world_count(world, NAT_COUNT_CREATED), FLOWS);
	assert_true(world_count(world, NAT_COUNT_RACES) > 0);
	assert_int_equal(world_count(world, NAT_COUNT_CONFLICTS), 0);
	assert_int_equal(ports_taken(world), FLOWS);
	for (uint16_t flow = 0; flow < FLOWS; flow++)
		assert_true(send_in(world, NAT_UDP, first[flow], HOST, flow, 0));
	assert_int_equal(made_server_keys(&server, "nat/nat.mapping/*"), FLOWS);
	world_run(world, 11 * 60 * 1000);
	assert_int_equal(world_count(world, NAT_COUNT_EXPIRED), FLOWS);
	assert_int_equal(ports_taken(world), 0);
	world_destroy(world);
	made_server_end(&server);
}

static int open_plane(const char *address, const char *name)
{
	struct shoal_worker *worker = aligned_alloc(SHOAL_CACHE_LINE, (sizeof(*worker) + 63) / 64 * 64);
	struct shoal_worker_config config = { .space = { .life = 1,
						      .classes = shoal_nf.classes,
						      .classes_count = shoal_nf.classes_count - 1,
						      .objects_max = 1,
						      .window = 16,
						      .microthreads_max = 16,
						      .members_max = 1 },
		.nf = &shoal_nf,
		.plane = &shoal_plane_remote,
		.stack_bytes = 16384 };
	int error;

	snprintf(config.remote.address, sizeof(config.remote.address), "%s", address);
	snprintf(config.remote.name, sizeof(config.remote.name), "%s", name);
	error = shoal_worker_init(worker, &config);
	if (!error)
		shoal_worker_fini(worker);
	free(worker);
	return error;
}

static void what_is_wrong_is_said(void **state)
{
	struct made_server server;

	assert_int_equal(made_server_start(&server, false, -1), 0);
	struct world *world = begin(&server, 1, 100);

	assert_int_equal(open_plane(server.address, "other"), 0);
	/* Another version's classes lie under that name. */
	assert_int_equal(open_plane(server.address, "nat"), -EPROTO);
	assert_non_null(strstr(shoal_last_error(), "another version"));
	assert_int_equal(open_plane("unix:/nowhere/at/all", "nat"), -ECONNREFUSED);
	assert_non_null(strstr(shoal_last_error(), "no Redis or Valkey server answers at unix:/nowhere/at/all"));
	assert_non_null(strstr(shoal_last_error(), "start one there"));
	assert_int_equal(open_plane("127.0.0.1:1", "nat"), -ECONNREFUSED);
	assert_int_equal(open_plane("localhost:6379", "nat"), -EINVAL);
	assert_non_null(strstr(shoal_last_error(), "numeric host:port"));
	world_destroy(world);
	made_server_end(&server);
}

static int with_a_pipe(void **state)
{
	pipe = true;
	return 0;
}

static int without_a_pipe(void **state)
{
	pipe = false;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(state_outlives_all_instances, with_a_pipe, without_a_pipe),
		cmocka_unit_test_setup_teardown(a_restart_loses_nothing, with_a_pipe, without_a_pipe),
		cmocka_unit_test_setup_teardown(a_long_absence_is_a_named_drop, with_a_pipe, without_a_pipe),
		cmocka_unit_test(state_outlives_all_instances),
		cmocka_unit_test(a_restart_loses_nothing),
		cmocka_unit_test(a_long_absence_is_a_named_drop),
		cmocka_unit_test(two_workers_on_one_store),
		cmocka_unit_test(what_is_wrong_is_said),
	};

	return cmocka_run_group_tests_name("remote", tests, world_start, world_stop);
}
