/* SPDX-License-Identifier: BSD-3-Clause */
/* What an operator sees of objects in a real redis-server: rows by pages, single objects, how many there are; and that a server which
 * hangs or drips holds nobody for longer than the deadline. */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <shoal/dataplane.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plane/made_server.h"
#include "plane/remote.h"
#include "world_flow.h"
#include "worker/runner.h"

#define FLOWS 60
#define MANY 3000 /* more than one answer of the server */

static const char *const plain[] = { "public_addresses", "198.51.100.1", NULL };

static struct world *begin(const struct made_server *server)
{
	const struct world_setup setup = { .members = 1,
		.objects = 1,
		.settings = plain,
		.plane = &shoal_plane_remote,
		.server = server->address,
		.first_life = 100 };

	return world_create_on(&setup);
}

#define ROWS 256

/* Distinct rows of a class by pages of n; each is found by its key too, with the same object. */
static unsigned rows_listed(struct world *world, uint8_t class, long n)
{
	const struct shoal_space *space = &world->members[0].worker.space;
	static struct shoal_state_row page[ROWS], seen[ROWS], one;
	unsigned count = 0, pages = 0;

	for (uint64_t cursor = 0; cursor != UINT64_MAX; pages++) {
		long rows = shoal_plane_remote.state_list(space, class, &cursor, page, n);

		assert_in_range(rows, 0, n);
		assert_in_range(pages, 0, 100000);
		for (long i = 0; i < rows; i++) {
			bool known = false;

			for (unsigned j = 0; j < count && !known; j++)
				known = !memcmp(seen[j].key, page[i].key, page[i].key_bytes);
			if (known)
				continue;
			assert_true(count < ROWS);
			assert_int_equal(shoal_plane_remote.state_get(space, class, page[i].key, &one), 0);
			assert_int_equal(one.place, SHOAL_STATE_STORE);
			assert_int_equal(one.object_bytes, shoal_nf.classes[class]->object_bytes);
			assert_memory_equal(one.object, page[i].object, one.object_bytes);
			assert_memory_equal(one.key, page[i].key, one.key_bytes);
			seen[count++] = one;
		}
	}
	return count;
}

static uint8_t class_index(const struct shoal_class *class)
{
	uint8_t index = 0;

	while (shoal_nf.classes[index] != class)
		index++;
	return index;
}

/* All objects of a class and no others', whatever the pages; what is not there, and a server that is not there. */
static void an_operator_sees_the_store(void **state)
{
	static const long pages[] = { 1, 2, 7, 64, ROWS };
	uint8_t key[SHOAL_KEY_BYTES_MAX] = { 0 };
	static struct shoal_state_row row;
	struct made_server server;
	uint64_t cursor = 0;

	assert_int_equal(made_server_start(&server, false, -1), 0);
	struct world *world = begin(&server);
	const struct shoal_space *space = &world->members[0].worker.space;

	assert_int_equal(rows_listed(world, class_index(&nat_mapping_class), 7), 0);
	for (uint16_t flow = 0; flow < FLOWS; flow++)
		send_out(world, NAT_UDP, HOST, flow, 0);
	for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		assert_int_equal(rows_listed(world, class_index(&nat_mapping_class), pages[i]), FLOWS);
		assert_int_equal(rows_listed(world, class_index(&nat_reverse_class), pages[i]), FLOWS);
	}
	assert_true(rows_listed(world, class_index(&nat_pool_class), 3) > 0);
	assert_int_equal(shoal_plane_remote.state_get(space, class_index(&nat_mapping_class), key, &row), -ENOENT);
	made_server_kill(&server);
	assert_int_equal(shoal_plane_remote.state_get(space, class_index(&nat_mapping_class), key, &row), -ENOTCONN);
	assert_non_null(strstr(shoal_last_error(), "where the objects lie, does not tell"));
	assert_int_equal(
		shoal_plane_remote.state_list(space, class_index(&nat_mapping_class), &cursor, &row, 1), -ENOTCONN);
	world_destroy(world);
	made_server_end(&server);
}

/* --- How many --- */

static uint64_t counted(struct world *world, const struct shoal_class *class)
{
	uint64_t counts[SHOAL_CLASSES_MAX] = { 0 };

	for (uint64_t cursor = 0; cursor != UINT64_MAX;)
		assert_int_equal(shoal_plane_remote.state_count(&world->members[0].worker.space, &cursor, counts), 0);
	return counts[class_index(class)];
}

static void set(const struct made_server *server, const char *prefix, const void *key, uint32_t key_bytes, size_t bytes)
{
	static const uint8_t value[SHOAL_REMOTE_HEAD_BYTES + 16384];
	redisContext *context = redisConnectUnix(server->address + strlen("unix:"));
	redisReply *reply;

	assert_true(context && !context->err && bytes <= sizeof(value));
	reply = redisCommand(context, "SET %s%b %b", prefix, key, (size_t)key_bytes, value, bytes);
	assert_true(reply && reply->type == REDIS_REPLY_STATUS);
	freeReplyObject(reply);
	redisFree(context);
}

/* All objects and nothing else: what is only locked is none, nor are another deployment's, or what has another length. */
static void objects_are_counted(void **state)
{
	static const uint8_t key[SHOAL_KEY_BYTES_MAX] = { 1 };
	const uint32_t bytes = nat_mapping_class.key_bytes;
	const size_t whole = SHOAL_REMOTE_HEAD_BYTES + nat_mapping_class.object_bytes;
	uint64_t cursor = 0, counts[SHOAL_CLASSES_MAX] = { 0 };
	struct made_server server;

	assert_int_equal(made_server_start(&server, false, -1), 0);
	struct world *world = begin(&server);

	assert_int_equal(counted(world, &nat_mapping_class), 0);
	for (uint16_t flow = 0; flow < FLOWS; flow++)
		send_out(world, NAT_UDP, HOST, flow, 0);
	set(&server, "nat/nat.mapping/", key, bytes, SHOAL_REMOTE_HEAD_BYTES);
	set(&server, "other/nat.mapping/", key, bytes, whole);
	set(&server, "nat/nat.mapping/", key, bytes - 1, whole);
	assert_int_equal(made_server_keys(&server, "nat/nat.mapping/*"), FLOWS + 2);
	assert_int_equal(counted(world, &nat_mapping_class), FLOWS);
	assert_int_equal(counted(world, &nat_reverse_class), FLOWS);
	assert_int_equal(counted(world, &nat_pool_class), made_server_keys(&server, "nat/nat.pool/*"));
	for (uint32_t i = 0; i < MANY; i++) {
		uint8_t another[SHOAL_KEY_BYTES_MAX] = { 2 };

		memcpy(another + 1, &i, sizeof(i));
		set(&server, "nat/nat.mapping/", another, bytes, whole);
	}
	assert_int_equal(counted(world, &nat_mapping_class), FLOWS + MANY);
	made_server_kill(&server);
	assert_int_equal(shoal_plane_remote.state_count(&world->members[0].worker.space, &cursor, counts), -ENOTCONN);
	assert_int_equal(cursor, 0);
	world_destroy(world);
	made_server_end(&server);
}

/* --- A server that does not answer --- */

/* In a process of its own, in place of the server that was killed: accepts, and gives a byte of an answer that never ends every now and
 * then. */
static pid_t drip(const struct made_server *server)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	pid_t process;

	strncpy(address.sun_path, server->address + strlen("unix:"), sizeof(address.sun_path) - 1);
	unlink(address.sun_path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 8), 0);
	process = fork();
	if (!process) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			struct pollfd accepted = { .fd = accept(listener, NULL, NULL) };

			while (send(accepted.fd, "*", 1, MSG_NOSIGNAL) == 1 &&
				send(accepted.fd, "1", 1, MSG_NOSIGNAL) == 1)
				while (send(accepted.fd, "0", 1, MSG_NOSIGNAL) == 1)
					poll(&accepted, 0, 20);
			close(accepted.fd);
		}
	}
	close(listener);
	return process;
}

static void nobody_tells(const struct shoal_space *space)
{
	uint8_t key[SHOAL_KEY_BYTES_MAX] = { 0 }, class = class_index(&nat_mapping_class);
	uint64_t cursor = 0, counts[SHOAL_CLASSES_MAX] = { 0 };
	static struct shoal_state_row row;

	assert_int_equal(shoal_plane_remote.state_get(space, class, key, &row), -ENOTCONN);
	assert_non_null(strstr(shoal_last_error(), "does not tell: no answer within 1000 ms"));
	assert_int_equal(shoal_plane_remote.state_list(space, class, &cursor, &row, 1), -ENOTCONN);
	assert_int_equal(shoal_plane_remote.state_count(space, &cursor, counts), -ENOTCONN);
	assert_int_equal(cursor, 0);
}

static void a_server_that_hangs_or_drips_holds_nobody(void **state)
{
	struct made_server server;
	pid_t dripping;

	assert_int_equal(made_server_start(&server, false, -1), 0);
	struct world *world = begin(&server);

	assert_int_equal(kill(server.process, SIGSTOP), 0);
	nobody_tells(&world->members[0].worker.space);
	made_server_kill(&server);
	dripping = drip(&server);
	nobody_tells(&world->members[0].worker.space);
	assert_int_equal(kill(dripping, SIGKILL), 0);
	assert_int_equal(waitpid(dripping, NULL, 0), dripping);
	world_destroy(world);
	made_server_end(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_operator_sees_the_store),
		cmocka_unit_test(objects_are_counted),
		cmocka_unit_test(a_server_that_hangs_or_drips_holds_nobody),
	};

	return cmocka_run_group_tests_name("remote_state", tests, world_start, world_stop);
}
