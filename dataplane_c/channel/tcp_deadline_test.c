/* SPDX-License-Identifier: BSD-3-Clause */
/* The connecting side when nobody answers: deadlines, backoff, reasons. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <unistd.h>

#include "channel/tcp_connection.h"
#include "channel/tcp_test.h"

static const struct shoal_tcp_identity self = { .cluster = CLUSTER, .life = 100, .member = 1 };
static const struct shoal_tcp_peer peer = { .member = 2, .life = 200 };

static int listening_create(int backlog, struct shoal_tcp_address *address)
{
	int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(descriptor >= 0);
	assert_int_equal(shoal_tcp_address_parse(address, "127.0.0.1", 0), 0);
	assert_int_equal(bind(descriptor, &address->any, address->bytes), 0);
	assert_int_equal(listen(descriptor, backlog), 0);
	assert_int_equal(getsockname(descriptor, &address->any, &address->bytes), 0);
	return descriptor;
}

static struct tcp_test link_to(const struct shoal_tcp_address *address, const struct shoal_tcp_timing *timing)
{
	struct tcp_test test = { .now_ns = SHOAL_NS_PER_S };

	test.links[0] = shoal_tcp_link_connect(&self, &peer, "127.0.0.1", ntohs(address->ipv4.sin_port), timing);
	assert_non_null(test.links[0]);
	return test;
}

static enum shoal_tcp_phase phase_of(const struct tcp_test *test)
{
	return ((const struct shoal_tcp_link *)test->links[0])->phase;
}

static void poll_at(struct tcp_test *test, uint64_t now_ns)
{
	test->now_ns = now_ns;
	test->links[0]->operations->poll(test->links[0], now_ns);
}

/* A listener whose backlog is full drops every SYN: the connection hangs as it does into a black hole. */
static void test_no_connection(void **state)
{
	struct shoal_tcp_timing timing = patient;
	struct shoal_tcp_address address;
	int listening = listening_create(0, &address), fillers[4], filled = 0;

	(void)state;
	timing.connect = 500;
	for (; filled < 4; filled++) {
		fillers[filled] = shoal_tcp_socket_connect(&address, 1000);
		assert_true(fillers[filled] >= 0);
	}
	struct tcp_test test = link_to(&address, &timing);
	uint64_t started_ns = test.now_ns;

	poll_at(&test, started_ns);
	assert_int_equal(phase_of(&test), SHOAL_TCP_CONNECTING);
	for (uint64_t passed_ms = 1; passed_ms < 500; passed_ms++) {
		poll_at(&test, started_ns + passed_ms * SHOAL_NS_PER_MS);
		assert_int_equal(phase_of(&test), SHOAL_TCP_CONNECTING);
		assert_int_equal(test.links[0]->state, SHOAL_LINK_CONNECTING);
	}
	poll_at(&test, started_ns + 500 * SHOAL_NS_PER_MS);
	assert_int_equal(test.links[0]->state, SHOAL_LINK_BROKEN);
	assert_string_equal(test.links[0]->reason, "no connection within the connect deadline");
	assert_int_equal(((struct shoal_tcp_link *)test.links[0])->descriptor, -1);
	test.links[0]->operations->destroy(test.links[0]);
	while (filled)
		close(fillers[--filled]);
	close(listening);
}

/* Connected, but nobody says hello. */
static void test_no_hello(void **state)
{
	struct shoal_tcp_timing timing = patient;
	struct shoal_tcp_address address;
	int listening = listening_create(8, &address);

	(void)state;
	timing.connect = 500;
	struct tcp_test test = link_to(&address, &timing);
	uint64_t started_ns = test.now_ns;
	time_t deadline = tcp_test_seconds() + WAIT_S;

	while (phase_of(&test) != SHOAL_TCP_GREETING) {
		poll_at(&test, started_ns); /* time stands still while the kernel connects */
		assert_true(tcp_test_seconds() < deadline);
	}
	poll_at(&test, started_ns + 499 * SHOAL_NS_PER_MS);
	assert_int_equal(phase_of(&test), SHOAL_TCP_GREETING);
	poll_at(&test, started_ns + 500 * SHOAL_NS_PER_MS);
	assert_int_equal(test.links[0]->state, SHOAL_LINK_BROKEN);
	assert_string_equal(test.links[0]->reason, "no hello within the connect deadline");
	test.links[0]->operations->destroy(test.links[0]);
	close(listening);
}

static void test_refused_and_backoff(void **state)
{
	static const uint64_t pauses_ms[] = { 10, 20, 40, 40, 40 };
	struct shoal_tcp_timing timing = patient;
	struct shoal_tcp_address address;

	(void)state;
	close(listening_create(8, &address)); /* nobody listens there now */
	timing.backoff_first = 10;
	timing.backoff_most = 40;
	struct tcp_test test = link_to(&address, &timing);

	for (unsigned i = 0; i < sizeof(pauses_ms) / sizeof(pauses_ms[0]); i++) {
		uint64_t now_ns = test.now_ns;
		time_t deadline = tcp_test_seconds() + WAIT_S;

		do {
			poll_at(&test, now_ns);
			assert_true(tcp_test_seconds() < deadline);
		} while (phase_of(&test) != SHOAL_TCP_WAITING);
		assert_int_equal(test.links[0]->state, SHOAL_LINK_BROKEN);
		assert_string_equal(test.links[0]->reason, "connection refused");
		poll_at(&test, now_ns + pauses_ms[i] * SHOAL_NS_PER_MS - 1);
		assert_int_equal(phase_of(&test), SHOAL_TCP_WAITING);
		test.now_ns = now_ns + pauses_ms[i] * SHOAL_NS_PER_MS; /* the next attempt is due */
	}
	test.links[0]->operations->destroy(test.links[0]);
}

static void test_nobody_comes(void **state)
{
	struct shoal_tcp_timing timing = patient;
	struct shoal_tcp_listener *listener = shoal_tcp_listener_create("127.0.0.1", 0, &self);
	struct tcp_test test = { .now_ns = SHOAL_NS_PER_S };

	(void)state;
	assert_non_null(listener);
	timing.connect = 500;
	test.links[0] = shoal_tcp_link_listen(listener, &peer, &timing);
	assert_non_null(test.links[0]);
	poll_at(&test, SHOAL_NS_PER_S);
	poll_at(&test, SHOAL_NS_PER_S + 499 * SHOAL_NS_PER_MS);
	assert_int_equal(test.links[0]->state, SHOAL_LINK_CONNECTING);
	poll_at(&test, SHOAL_NS_PER_S + 500 * SHOAL_NS_PER_MS);
	assert_int_equal(test.links[0]->state, SHOAL_LINK_BROKEN);
	assert_string_equal(test.links[0]->reason, "no connection came within the connect deadline");
	test.links[0]->operations->destroy(test.links[0]);
	shoal_tcp_listener_destroy(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_connection),
		cmocka_unit_test(test_no_hello),
		cmocka_unit_test(test_refused_and_backoff),
		cmocka_unit_test(test_nobody_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
