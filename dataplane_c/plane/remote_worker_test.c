/* SPDX-License-Identifier: BSD-3-Clause */
/* A worker on the plane `remote` and a real redis-server, with an NF that holds packets, and a class that is idle without a task
 * of its own. */
#include "plane/made_worker.h"

#include <sched.h>

#define DEADLINE_NS (20 * SHOAL_NS_PER_S)

struct counted {
	uint64_t count;
};

static void count_up(struct shoal_context *context, const void *key, void *object, const void *argument, void *result)
{
	((struct counted *)object)->count++;
}

static uint32_t idle_now_ms; /* 0: never */

static uint32_t idle_ms(const struct shoal_context *context, const void *object)
{
	return idle_now_ms;
}

static const struct shoal_method methods[] = { { .name = "count", .untethered = true, .apply = count_up } };
static const struct shoal_class counter_class = { .name = "hold.counter",
	.pattern = SHOAL_MULTI_WRITER,
	.key_bytes = 8,
	.object_bytes = sizeof(struct counted),
	.methods = methods,
	.methods_count = 1 };
static const struct shoal_class flow_class = {
	.name = "hold.flow", .key_bytes = 8, .object_bytes = sizeof(struct counted), .idle_ms = idle_ms
};
static const struct shoal_class *const classes[] = { &flow_class, &counter_class };

/* --- The NF: writes, and holds the packet --- */

static struct shoal_packet *held;

static uint16_t handle(struct shoal_context *context, struct shoal_packet *packet, const void *key)
{
	const uint64_t counter = 1;

	assert_int_equal(shoal_call(context, &counter_class, &counter, 0, NULL, NULL), 0);
	held = packet;
	return SHOAL_HOLD;
}

static void release(struct shoal_context *context, uint8_t steering_slot)
{
	struct shoal_packet *packet = held;

	held = NULL;
	if (packet)
		shoal_packet_release(context, packet, SHOAL_TRANSMIT(0));
}

static const struct shoal_nf_port ports[] = {
	{ .name = "only", .steer = made_steer, .declared = &flow_class, .keys = made_keys }
};
static const struct shoal_nf nf = { .abi = SHOAL_NF_ABI,
	.name = "hold",
	.classes = classes,
	.classes_count = 2,
	.ports = ports,
	.ports_count = 1,
	.packet = handle,
	.release = release };

/* --- Its world --- */

static struct made_server server;
static struct shoal_worker *worker;
static uint64_t now_ns;

static void poll_worker(void)
{
	now_ns += 100000;
	shoal_worker_poll(worker, now_ns);
	sched_yield(); /* the server may be on this core */
}

static bool up(void)
{
	return shoal_remote_of(&worker->space)->state == SHOAL_REMOTE_UP;
}

static bool nothing_inside(void)
{
	return !shoal_worker_inside(worker);
}

static bool idle_task_over(void)
{
	return worker->space.counters.idle_tasks == 1 && !shoal_scheduler_suspended(worker->scheduler) &&
	       shoal_remote_of(&worker->space)->holds_used == 0;
}

static void poll_until(bool (*over)(void))
{
	uint64_t begin = shoal_clock_now();

	while (!over()) {
		assert_true(shoal_clock_now() - begin < DEADLINE_NS);
		poll_worker();
	}
}

static int begin(void **state)
{
	assert_int_equal(made_server_start(&server, false, -1), 0);
	worker = made_worker(&nf, 1, server.address, SHOAL_NS_PER_S);
	now_ns = SHOAL_NS_PER_S;
	made_transmitted = 0;
	held = NULL;
	poll_until(up);
	return 0;
}

static int end(void **state)
{
	shoal_worker_fini(worker);
	free(worker);
	made_server_end(&server);
	return rte_mempool_in_use_count(made_pool) ? -1 : 0;
}

/* A packet comes in, and its handler waits for the server. */
static void packet_comes(void)
{
	struct shoal_packet *packet = made_worker_packet(worker);

	poll_worker();
	assert_ptr_equal(held, packet);
	assert_int_equal(shoal_worker_inside(worker), 1);
}

/* The NF lets a packet go before what it has written is confirmed: it leaves then, and is not held for ever. */
static void one_let_go_early_leaves_when_it_is_written(void **state)
{
	packet_comes();
	release(&worker->context.context, 0);
	assert_int_equal(made_transmitted, 0);
	poll_until(nothing_inside);
	assert_int_equal(worker->held, 0);
	assert_int_equal(made_transmitted, 1);
}

/* The server goes, and what a held packet has written is not known: the NF gives it up, and it is a named drop. */
static void one_that_is_not_written_is_not_held(void **state)
{
	made_server_kill(&server);
	packet_comes();
	now_ns += 2 * SHOAL_NS_PER_S;
	poll_until(nothing_inside);
	assert_null(held);
	assert_int_equal(made_transmitted, 0);
	assert_int_equal(worker->held, 0);
	assert_int_equal(worker->drops[SHOAL_WORKER_DROP_NOT_WRITTEN], 1);
}

/* An object in the server, last used so long after this worker's now, is looked at as one that was found idle. Objects that
 * are left. */
static long left_by_idle_task(int64_t used_after_ms)
{
	struct shoal_space *space = &worker->space;
	const unsigned room = sizeof(space->idle_tasks) / sizeof(space->idle_tasks[0]);
	struct shoal_idle_task task = { .class = 0 };
	int64_t value[4] = { 0, 0, (int64_t)shoal_remote_now_ms(shoal_remote_of(space)) + used_after_ms, 42 };
	redisContext *context = made_server_connect(&server);
	redisReply *reply;

	reply = redisCommand(
		context, "SET hold/hold.flow/%b %b", task.key, (size_t)flow_class.key_bytes, value, sizeof(value));
	assert_non_null(reply);
	freeReplyObject(reply);
	redisFree(context);
	space->counters.idle_tasks = 0;
	space->idle_tasks[space->idle_tasks_tail++ % room] = task;
	poll_until(idle_task_over);
	return made_server_keys(&server, "hold/hold.flow/*");
}

static void what_is_idle_ends(void **state)
{
	idle_now_ms = 1000;
	assert_int_equal(left_by_idle_task(-2000), 0);
	assert_int_equal(left_by_idle_task(-10), 1);
	/* Somebody has used it since, by a clock that is ahead. */
	assert_int_equal(left_by_idle_task(1000), 1);
	idle_now_ms = 0;
	assert_int_equal(left_by_idle_task(-2000), 1);
}

static int set_up(void **state)
{
	return made_worker_set_up("remote-worker");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_let_go_early_leaves_when_it_is_written, begin, end),
		cmocka_unit_test_setup_teardown(one_that_is_not_written_is_not_held, begin, end),
		cmocka_unit_test_setup_teardown(what_is_idle_ends, begin, end),
	};

	return cmocka_run_group_tests_name("remote_worker", tests, set_up, made_pool_tear_down);
}
