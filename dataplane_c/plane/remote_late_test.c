/* SPDX-License-Identifier: BSD-3-Clause */
/* Two workers and a real redis-server, reached by TCP: what one writes comes after the other one has taken its lock for that of a
 * worker that has ended. */
#include "plane/made_worker.h"

#include <arpa/inet.h>
#include <sched.h>

#define DEADLINE_NS (20 * SHOAL_NS_PER_S)

/* --- An NF that counts its packets in one object --- */

static const struct shoal_class counter_class = {
	.name = "late.counter", .key_bytes = 8, .object_bytes = sizeof(uint64_t)
};
static const struct shoal_class *const classes[] = { &counter_class };
static uint16_t handle(struct shoal_context *context, struct shoal_packet *packet, const void *key)
{
	const uint64_t counter = 0;
	struct shoal_request request = { .class = &counter_class, .key = &counter, .create = true };

	if (shoal_take(context, &request, 1))
		return SHOAL_DROP(0);
	(*(uint64_t *)request.object)++;
	shoal_release(context, &request, 1);
	return SHOAL_TRANSMIT(0);
}

static const char *const drops[] = { "not_taken" };
static const struct shoal_nf_port ports[] = {
	{ .name = "only", .steer = made_steer, .declared = &counter_class, .keys = made_keys }
};
static const struct shoal_nf nf = { .abi = SHOAL_NF_ABI,
	.name = "late",
	.classes = classes,
	.classes_count = 1,
	.ports = ports,
	.ports_count = 1,
	.drops = drops,
	.drops_count = 1,
	.packet = handle };

/* --- Its world --- */

static struct made_server server;

/* The server listens at a TCP port too from now on. */
static int open_tcp_port(void)
{
	redisContext *context = made_server_connect(&server);
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(any);
	int probe = socket(AF_INET, SOCK_STREAM, 0), port;
	redisReply *reply;

	assert_int_equal(bind(probe, (struct sockaddr *)&any, length), 0);
	assert_int_equal(getsockname(probe, (struct sockaddr *)&any, &length), 0);
	port = ntohs(any.sin_port);
	close(probe);
	reply = redisCommand(context, "CONFIG SET port %d", port);
	assert_true(reply && reply->type == REDIS_REPLY_STATUS);
	freeReplyObject(reply);
	redisFree(context);
	return port;
}

static uint64_t count_in_server(void)
{
	redisContext *context = made_server_connect(&server);
	const uint64_t key = 0;
	uint64_t count;
	redisReply *reply;

	reply = redisCommand(context, "GET late/late.counter/%b", &key, sizeof(key));
	assert_true(reply && reply->type == REDIS_REPLY_STRING);
	assert_int_equal(reply->len, SHOAL_REMOTE_HEAD_BYTES + sizeof(count));
	memcpy(&count, reply->str + SHOAL_REMOTE_HEAD_BYTES, sizeof(count));
	freeReplyObject(reply);
	redisFree(context);
	return count;
}

static struct shoal_worker *make_worker(uint64_t life, int port)
{
	char address[32];

	snprintf(address, sizeof(address), "127.0.0.1:%d", port);
	return made_worker(&nf, life, address, DEADLINE_NS);
}

/* With its clock standing still at `now_ns`, or 0: as it is. */
static void poll_until_empty(struct shoal_worker *worker, uint64_t now_ns)
{
	uint64_t begin = shoal_clock_now();

	do {
		assert_true(shoal_clock_now() - begin < DEADLINE_NS);
		shoal_worker_poll(worker, now_ns ? now_ns++ : shoal_clock_now());
		sched_yield(); /* the server may be on this core */
	} while (shoal_worker_inside(worker) || shoal_remote_of(&worker->space)->state != SHOAL_REMOTE_UP);
}

static void what_comes_late_is_not_written(void **state)
{
	struct shoal_worker *slow, *other;
	uint64_t before;
	int port;

	assert_int_equal(made_server_start(&server, false, -1), 0);
	port = open_tcp_port();
	slow = make_worker(1, port);
	other = make_worker(2, port);
	poll_until_empty(slow, 0);
	poll_until_empty(other, 0);
	made_worker_packet(slow);
	before = shoal_clock_now();
	shoal_worker_poll(slow, before); /* asks for the object, and stands still */
	made_worker_packet(other);
	poll_until_empty(other, 0);
	assert_int_equal(made_transmitted, 1);
	poll_until_empty(slow, before + SHOAL_NS_PER_MS);
	assert_int_equal(made_transmitted + slow->drops[SHOAL_WORKER_DROP_NOT_WRITTEN], 2);
	assert_int_equal(count_in_server(), made_transmitted);
	shoal_worker_fini(slow);
	shoal_worker_fini(other);
	free(slow);
	free(other);
	made_server_end(&server);
}

static int set_up(void **state)
{
	return made_worker_set_up("remote-late");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_late_is_not_written),
	};

	return cmocka_run_group_tests_name("remote_late", tests, set_up, made_pool_tear_down);
}
