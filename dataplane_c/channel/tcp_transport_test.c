/* SPDX-License-Identifier: BSD-3-Clause */
/* Two links over loopback. The test moves time; only the kernel's work is waited for, with a deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <unistd.h>

#include "channel/tcp_connection.h"
#include "channel/tcp_test.h"

static const struct shoal_tcp_identity low = { .cluster = CLUSTER, .life = 100, .member = 1 };
static const struct shoal_tcp_identity high = { .cluster = CLUSTER, .life = 200, .member = 2 };
static const struct shoal_tcp_peer low_peer = { .member = 1, .life = 100 };
static const struct shoal_tcp_peer high_peer = { .member = 2, .life = 200 };

struct pair {
	struct tcp_test test; /* link 0 listens, link 1 connects */
	struct shoal_tcp_listener *listener;
};

static void pair_create(struct pair *pair, const char *address, const struct shoal_tcp_timing *timing)
{
	memset(pair, 0, sizeof(*pair));
	pair->test.now_ns = SHOAL_NS_PER_S;
	pair->listener = shoal_tcp_listener_create(address, 0, &low);
	assert_non_null(pair->listener);
	pair->test.links[0] = shoal_tcp_link_listen(pair->listener, &high_peer, timing);
	assert_non_null(pair->test.links[0]);
	pair->test.links[1] =
		shoal_tcp_link_connect(&high, &low_peer, address, shoal_tcp_listener_port(pair->listener), timing);
	assert_non_null(pair->test.links[1]);
	assert_int_equal(pair->test.links[0]->state, SHOAL_LINK_CONNECTING);
	assert_false(pair->test.links[0]->reliable);
	assert_null(pair->test.links[1]->operations->reserve(pair->test.links[1], 8)); /* not UP yet */
}

static bool pair_up(const struct pair *pair)
{
	return pair->test.links[0]->state == SHOAL_LINK_UP && pair->test.links[1]->state == SHOAL_LINK_UP;
}

static void pair_destroy(struct pair *pair)
{
	for (int i = 0; i < 2; i++)
		if (pair->test.links[i])
			pair->test.links[i]->operations->destroy(pair->test.links[i]);
	shoal_tcp_listener_destroy(pair->listener);
}

static uint32_t length_of(unsigned number)
{
	return 1 + number * 7919 % SHOAL_CHANNEL_FRAME_BYTES_MAX;
}

static void exchange(struct pair *pair, unsigned frames)
{
	unsigned sent[2] = { 0 }, taken[2] = { 0 };
	time_t deadline = tcp_test_seconds() + WAIT_S;

	while (taken[0] < frames || taken[1] < frames) {
		for (int i = 0; i < 2; i++) {
			while (sent[i] < frames &&
				tcp_test_send(pair->test.links[i], length_of(sent[i]), (uint8_t)sent[i]))
				sent[i]++;
			while (taken[i] < frames &&
				tcp_test_take(pair->test.links[i], length_of(taken[i]), (uint8_t)taken[i]))
				taken[i]++;
		}
		tcp_test_step(&pair->test);
		assert_true(pair_up(pair));
		assert_true(tcp_test_seconds() < deadline);
	}
}

static void loopback(const char *address)
{
	struct pair pair;

	pair_create(&pair, address, &patient);
	tcp_test_until(&pair.test, pair_up(&pair));
	exchange(&pair, 2000);
	tcp_test_until(&pair.test, pair.test.links[0]->operations->depth(pair.test.links[0]) == 0);
	assert_int_equal(shoal_tcp_link_connections(pair.test.links[0]), 1);
	assert_int_equal(shoal_tcp_link_connections(pair.test.links[1]), 1);
	pair_destroy(&pair);
}

static void test_ipv4(void **state)
{
	(void)state;
	loopback("127.0.0.1");
}

static void test_ipv6(void **state)
{
	struct shoal_tcp_address address;
	int descriptor;

	(void)state;
	assert_int_equal(shoal_tcp_address_parse(&address, "::1", 0), 0);
	descriptor = shoal_tcp_socket_listen(&address);
	if (descriptor == -EADDRNOTAVAIL || descriptor == -EAFNOSUPPORT)
		return; /* this kernel has no IPv6 */
	assert_true(descriptor >= 0);
	close(descriptor);
	loopback("::1");
}

static void test_reconnects(void **state)
{
	(void)state;
	for (int killed = 0; killed < 2; killed++) {
		struct pair pair;

		pair_create(&pair, "127.0.0.1", &patient);
		for (unsigned round = 1; round <= 5; round++) {
			struct shoal_link *here = pair.test.links[killed], *there = pair.test.links[1 - killed];
			bool seen_broken = false;

			tcp_test_until(&pair.test, pair_up(&pair));
			assert_true(shoal_tcp_link_connections(here) >= round);
			exchange(&pair, 50);
			assert_true(tcp_test_send(
				here, 1000, 1)); /* may be lost: never half of it, never what follows it */
			shutdown(((struct shoal_tcp_link *)here)->descriptor, SHUT_RDWR);
			tcp_test_step(&pair.test);
			assert_int_equal(here->state, SHOAL_LINK_BROKEN);
			assert_null(here->operations->reserve(here, 8));
			assert_true(strlen(here->reason) > 0);
			tcp_test_until(&pair.test, (seen_broken |= there->state == SHOAL_LINK_BROKEN, pair_up(&pair)));
			assert_true(seen_broken); /* a poll lay between, in which the other side could see it */
			while (tcp_test_take(there, 1000, 1))
				;
		}
		pair_destroy(&pair);
	}
}

/* The connecting side starts anew while the listening side still believes in the old connection. */
static void test_connects_anew(void **state)
{
	struct pair pair;
	struct shoal_link *listening;

	(void)state;
	pair_create(&pair, "127.0.0.1", &patient);
	tcp_test_until(&pair.test, pair_up(&pair));
	struct shoal_link *old = pair.test.links[1];

	listening = pair.test.links[0];
	pair.test.links[1] =
		shoal_tcp_link_connect(&high, &low_peer, "127.0.0.1", shoal_tcp_listener_port(pair.listener), &patient);
	assert_non_null(pair.test.links[1]);
	tcp_test_until(&pair.test, listening->state == SHOAL_LINK_BROKEN);
	assert_string_equal(listening->reason, "the peer has connected anew");
	tcp_test_until(&pair.test, pair_up(&pair));
	exchange(&pair, 20);
	old->operations->destroy(old);
	exchange(&pair, 20);
	pair_destroy(&pair);
}

/* Later attach of the listening side: refused as unknown, then let in. */
static void test_unknown_at_first(void **state)
{
	struct pair pair;

	(void)state;
	pair_create(&pair, "127.0.0.1", &patient);
	pair.test.links[0]->operations->destroy(pair.test.links[0]);
	const struct shoal_tcp_peer third = { .member = 3, .life = 7 };

	pair.test.links[0] = shoal_tcp_link_listen(pair.listener, &third, &patient); /* polls the listener */
	tcp_test_until(&pair.test, pair.test.links[1]->state == SHOAL_LINK_BROKEN);
	assert_string_equal(pair.test.links[1]->reason, "refused by the peer: it does not know us");
	assert_true(shoal_tcp_listener_refused(pair.listener, SHOAL_TCP_PEER_UNKNOWN) >= 1);
	pair.test.links[0]->operations->destroy(pair.test.links[0]);
	pair.test.links[0] = shoal_tcp_link_listen(pair.listener, &high_peer, &patient);
	errno = 0;
	assert_null(shoal_tcp_link_listen(pair.listener, &high_peer, &patient));
	assert_int_equal(errno, EBUSY);
	tcp_test_until(&pair.test, pair_up(&pair));
	exchange(&pair, 20);
	pair_destroy(&pair);
}

/* A peer that takes nothing: bounded memory here, no break, and all of it arrives in the end. */
static void test_back_pressure(void **state)
{
	struct pair pair;
	unsigned sent = 0, taken = 0, idle = 0;

	(void)state;
	pair_create(&pair, "127.0.0.1", &patient);
	tcp_test_until(&pair.test, pair_up(&pair));
	while (idle < 2000) { /* until nothing has gone for 2,000 polls */
		bool went = tcp_test_send(pair.test.links[0], 16000, (uint8_t)sent);

		sent += went;
		idle = went ? 0 : idle + 1;
		tcp_test_step(&pair.test);
		assert_true(sent < 4000); /* 64 MB: more than any socket buffers here */
		assert_true(pair.test.links[0]->operations->depth(pair.test.links[0]) <= SHOAL_TCP_BUFFER_BYTES);
	}
	assert_true(sent > 10);
	assert_true(pair_up(&pair));
	tcp_test_until(&pair.test, (taken += tcp_test_take(pair.test.links[1], 16000, (uint8_t)taken)) == sent);
	exchange(&pair, 20);
	pair_destroy(&pair);
}

static void test_silence_and_heartbeats(void **state)
{
	struct shoal_tcp_timing timing = patient;
	struct pair pair;

	(void)state;
	timing.heartbeat = 100;
	timing.silent = 1000;
	pair_create(&pair, "127.0.0.1", &timing);
	tcp_test_until(&pair.test, pair_up(&pair));
	for (int i = 0; i < 60; i++) { /* 6 s with heartbeats alone: the kernel has all the time that it needs */
		pair.test.now_ns += 100 * SHOAL_NS_PER_MS;
		for (int side = 0; side < 2; side++) {
			struct shoal_tcp_link *tcp = (struct shoal_tcp_link *)pair.test.links[side];

			tcp_test_until(&pair.test, tcp->heard_ns + 90 * SHOAL_NS_PER_MS > pair.test.now_ns);
		}
		assert_true(pair_up(&pair));
	}
	/* Now the connecting side is not polled any more. */
	struct shoal_link *frozen = pair.test.links[1];

	pair.test.links[1] = NULL;
	tcp_test_step(&pair.test);
	for (int i = 0; i < 9; i++) {
		pair.test.now_ns += 100 * SHOAL_NS_PER_MS;
		tcp_test_step(&pair.test);
		assert_int_equal(pair.test.links[0]->state, SHOAL_LINK_UP);
	}
	pair.test.now_ns += 500 * SHOAL_NS_PER_MS;
	tcp_test_step(&pair.test);
	assert_int_equal(pair.test.links[0]->state, SHOAL_LINK_BROKEN);
	assert_string_equal(pair.test.links[0]->reason, "the peer is silent");
	pair.test.links[1] = frozen; /* it wakes up: both find each other again */
	tcp_test_until(&pair.test, frozen->state == SHOAL_LINK_BROKEN);
	tcp_test_until(&pair.test, pair_up(&pair));
	exchange(&pair, 20);
	pair_destroy(&pair);
}

static void test_ended(void **state)
{
	struct pair pair;

	(void)state;
	pair_create(&pair, "127.0.0.1", &patient);
	tcp_test_until(&pair.test, pair_up(&pair));
	assert_true(tcp_test_send(pair.test.links[1], 100, 7));
	tcp_test_until(&pair.test, ((struct shoal_tcp_link *)pair.test.links[0])->in.checked > 0);
	shoal_tcp_link_ended(pair.test.links[0], "process ended");
	assert_int_equal(pair.test.links[0]->state, SHOAL_LINK_ENDED);
	assert_null(pair.test.links[0]->operations->reserve(pair.test.links[0], 8));
	tcp_test_until(&pair.test, pair.test.links[1]->state == SHOAL_LINK_BROKEN);
	for (int i = 0; i < 300; i++)
		tcp_test_step(&pair.test); /* the other tries on; nothing revives it */
	assert_int_equal(pair.test.links[0]->state, SHOAL_LINK_ENDED);
	assert_string_equal(pair.test.links[0]->reason, "process ended");
	assert_true(tcp_test_take(pair.test.links[0], 100, 7));
	shoal_tcp_link_ended(pair.test.links[1], "left");
	tcp_test_step(&pair.test);
	assert_int_equal(pair.test.links[1]->state, SHOAL_LINK_ENDED);
	/* The member comes back as another life, while the ended link is still there. */
	const struct shoal_tcp_peer next_life = { .member = 2, .life = 201 };
	struct shoal_link *next = shoal_tcp_link_listen(pair.listener, &next_life, &patient);

	assert_non_null(next);
	next->operations->destroy(next);
	pair_destroy(&pair);
}

static void test_create_refuses(void **state)
{
	const struct shoal_tcp_peer nobody = { .member = SHOAL_MEMBERS_MAX, .life = 1 };
	struct shoal_tcp_listener *listener;

	(void)state;
	assert_null(shoal_tcp_listener_create("localhost", 0, &low)); /* no names: a resolver could block */
	assert_int_equal(errno, EINVAL);
	listener = shoal_tcp_listener_create("127.0.0.1", 0, &low);
	assert_non_null(listener);
	assert_null(shoal_tcp_listener_create("127.0.0.1", shoal_tcp_listener_port(listener), &low));
	assert_int_equal(errno, EADDRINUSE);
	assert_null(shoal_tcp_link_listen(listener, &nobody, NULL));
	assert_int_equal(errno, EINVAL);
	assert_null(shoal_tcp_link_connect(&high, &low_peer, "nowhere", 1, NULL));
	assert_int_equal(errno, EINVAL);
	shoal_tcp_listener_destroy(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv4),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_reconnects),
		cmocka_unit_test(test_connects_anew),
		cmocka_unit_test(test_unknown_at_first),
		cmocka_unit_test(test_back_pressure),
		cmocka_unit_test(test_silence_and_heartbeats),
		cmocka_unit_test(test_ended),
		cmocka_unit_test(test_create_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
