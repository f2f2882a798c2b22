/* SPDX-License-Identifier: BSD-3-Clause */
/* One link against a plain socket that does as it likes: cut and joined frames, wrong hellos, garbage, silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "channel/tcp_connection.h"
#include "channel/tcp_test.h"

static const struct shoal_tcp_identity self = { .cluster = CLUSTER, .life = 100, .member = 1 };
static const struct shoal_tcp_peer peer = { .member = 2, .life = 200 };

/* The raw peer's hello, right in everything. */
static struct shoal_tcp_hello raw_hello(void)
{
	return (struct shoal_tcp_hello){ .from = { .cluster = CLUSTER, .life = 200, .member = 2 },
		.to_member = 1,
		.to_life = 100,
		.version = SHOAL_TCP_VERSION };
}

struct raw {
	struct tcp_test test; /* links[0]: ours */
	struct shoal_tcp_listener *listener; /* NULL: ours connects, the raw one listens */
	int listening;
	int socket;
};

/* Ours listens; the raw peer has connected. */
static void raw_connect(struct raw *raw)
{
	struct shoal_tcp_address address;
	int yes = 1;

	assert_int_equal(shoal_tcp_address_parse(&address, "127.0.0.1", shoal_tcp_listener_port(raw->listener)), 0);
	raw->socket = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(raw->socket >= 0);
	assert_int_equal(connect(raw->socket, &address.any, address.bytes), 0); /* the backlog takes it */
	setsockopt(raw->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

static void raw_create(struct raw *raw, const struct shoal_tcp_timing *timing)
{
	memset(raw, 0, sizeof(*raw));
	raw->listening = -1;
	raw->test.now_ns = SHOAL_NS_PER_S;
	raw->listener = shoal_tcp_listener_create("127.0.0.1", 0, &self);
	assert_non_null(raw->listener);
	raw->test.links[0] = shoal_tcp_link_listen(raw->listener, &peer, timing);
	assert_non_null(raw->test.links[0]);
	raw_connect(raw);
}

/* Ours connects to a raw listener. */
static void raw_create_listening(struct raw *raw, const struct shoal_tcp_timing *timing)
{
	struct shoal_tcp_address address;

	memset(raw, 0, sizeof(*raw));
	raw->socket = -1;
	raw->test.now_ns = SHOAL_NS_PER_S;
	assert_int_equal(shoal_tcp_address_parse(&address, "127.0.0.1", 0), 0);
	raw->listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(raw->listening, &address.any, address.bytes), 0);
	assert_int_equal(listen(raw->listening, 8), 0);
	assert_int_equal(getsockname(raw->listening, &address.any, &address.bytes), 0);
	raw->test.links[0] = shoal_tcp_link_connect(&self, &peer, "127.0.0.1", ntohs(address.ipv4.sin_port), timing);
	assert_non_null(raw->test.links[0]);
}

static void raw_accept(struct raw *raw)
{
	tcp_test_until(&raw->test, (raw->socket = accept4(raw->listening, NULL, NULL, 0)) >= 0);
}

static void raw_destroy(struct raw *raw)
{
	raw->test.links[0]->operations->destroy(raw->test.links[0]);
	if (raw->listener)
		shoal_tcp_listener_destroy(raw->listener);
	if (raw->listening >= 0)
		close(raw->listening);
	if (raw->socket >= 0)
		close(raw->socket);
}

static void raw_send(struct raw *raw, const void *bytes, size_t length)
{
	assert_int_equal(send(raw->socket, bytes, length, MSG_NOSIGNAL), length);
}

static void raw_send_hello(struct raw *raw, const struct shoal_tcp_hello *hello)
{
	uint8_t bytes[SHOAL_TCP_HELLO_BYTES];

	shoal_tcp_hello_write(hello, bytes);
	raw_send(raw, bytes, sizeof(bytes));
}

static struct shoal_tcp_hello raw_receive_hello(struct raw *raw)
{
	uint8_t bytes[SHOAL_TCP_HELLO_BYTES];
	struct shoal_tcp_hello hello;
	size_t received = 0;

	tcp_test_until(&raw->test, ({
		ssize_t more = recv(raw->socket, bytes + received, sizeof(bytes) - received, MSG_DONTWAIT);

		assert_int_not_equal(more, 0);
		received += more > 0 ? (size_t)more : 0;
		received == sizeof(bytes);
	}));
	assert_true(shoal_tcp_hello_read(&hello, bytes));
	return hello;
}

static void raw_until_closed(struct raw *raw)
{
	uint8_t byte;

	tcp_test_until(&raw->test, ({
		ssize_t more = recv(raw->socket, &byte, 1, MSG_DONTWAIT);

		assert_true(more <= 0); /* not a byte for a stranger */
		more == 0 || (more < 0 && errno == ECONNRESET);
	}));
}

static void raw_up(struct raw *raw)
{
	struct shoal_tcp_hello hello = raw_hello();

	raw_send_hello(raw, &hello);
	assert_int_equal(raw_receive_hello(raw).refusal, SHOAL_TCP_ACCEPTED);
	tcp_test_until(&raw->test, raw->test.links[0]->state == SHOAL_LINK_UP);
}

/* Writes one frame as it lies on the wire; returns its bytes. */
static size_t wire_frame(uint8_t *bytes, uint32_t length, uint32_t number, uint8_t fill)
{
	uint32_t words[2] = { htole32(length), htole32(number) };
	size_t padded = (length + 7u) & ~7u;

	memcpy(bytes, words, 8);
	memset(bytes + 8, 0, padded);
	memset(bytes + 8, fill, length);
	return 8 + padded;
}

static void test_byte_by_byte_and_coalesced(void **state)
{
	static uint8_t bytes[64 * 1024];
	struct shoal_tcp_hello hello = raw_hello();
	struct raw raw;
	size_t length;

	(void)state;
	raw_create(&raw, &patient);
	/* The hello too comes byte by byte. */
	shoal_tcp_hello_write(&hello, bytes);
	for (unsigned i = 0; i < SHOAL_TCP_HELLO_BYTES; i++) {
		assert_int_equal(raw.test.links[0]->state, SHOAL_LINK_CONNECTING);
		raw_send(&raw, bytes + i, 1);
		tcp_test_step(&raw.test);
	}
	assert_int_equal(raw_receive_hello(&raw).refusal, SHOAL_TCP_ACCEPTED);
	for (uint32_t number = 0; number < 20; number++) {
		length = wire_frame(bytes, 1 + number, number, (uint8_t)(number + 1));
		for (size_t i = 0; i < length; i++) {
			raw_send(&raw, bytes + i, 1);
			tcp_test_step(&raw.test);
		}
		tcp_test_until(&raw.test, tcp_test_take(raw.test.links[0], 1 + number, (uint8_t)(number + 1)));
	}
	length = 0;
	for (uint32_t number = 20; number < 120; number++) /* with heartbeats among them */
		length += wire_frame(bytes + length, number % 10 ? 3 * number : 0, number, (uint8_t)number);
	raw_send(&raw, bytes, length);
	for (uint32_t number = 20; number < 120; number++)
		if (number % 10)
			tcp_test_until(&raw.test, tcp_test_take(raw.test.links[0], 3 * number, (uint8_t)number));
	assert_int_equal(raw.test.links[0]->state, SHOAL_LINK_UP);
	raw_destroy(&raw);
}

static void test_bad_streams(void **state)
{
	static const struct {
		uint32_t words[4];
		const char *reason;
	} bad[] = {
		{ { SHOAL_CHANNEL_FRAME_BYTES_MAX + 1, 1 }, "a frame's length is out of bounds" },
		{ { UINT32_MAX, UINT32_MAX, UINT32_MAX }, "a frame's length is out of bounds" },
		{ { 16, 7 }, "a frame's number is not the next" },
		{ { 0x20544547, 0x2f312e31, 0x0a0d0a0d }, "a frame's length is out of bounds" } /* an HTTP request */,
	};
	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t bytes[64];
		struct raw raw;

		raw_create(&raw, &patient);
		raw_up(&raw);
		raw_send(&raw, bytes, wire_frame(bytes, 9, 0, 5));
		raw_send(&raw, bad[i].words, sizeof(bad[i].words));
		tcp_test_until(&raw.test, raw.test.links[0]->state == SHOAL_LINK_BROKEN);
		assert_string_equal(raw.test.links[0]->reason, bad[i].reason);
		assert_true(tcp_test_take(raw.test.links[0], 9, 5)); /* what came before was right */
		assert_false(tcp_test_take(raw.test.links[0], 0, 0));
		raw_until_closed(&raw);
		close(raw.socket);
		raw_connect(&raw); /* and in again */
		raw_up(&raw);
		raw_destroy(&raw);
	}
}

static void test_wrong_hellos_are_refused(void **state)
{
	(void)state;
	for (int wrong = 0; wrong < 7; wrong++) {
		struct shoal_tcp_hello hello = raw_hello();
		enum shoal_tcp_refusal expected = SHOAL_TCP_ACCEPTED;
		struct raw raw;

		raw_create(&raw, &patient);
		switch (wrong) {
		case 0:
			hello.version = 9, expected = SHOAL_TCP_VERSION_REFUSED;
			break;
		case 1:
			hello.from.cluster++, expected = SHOAL_TCP_CLUSTER_REFUSED;
			break;
		case 2:
			hello.to_member = 5, expected = SHOAL_TCP_MEMBER_REFUSED;
			break;
		case 3:
			hello.to_life = 99, expected = SHOAL_TCP_LIFE_REFUSED;
			break;
		case 4:
			hello.from.member = 6, expected = SHOAL_TCP_PEER_UNKNOWN;
			break;
		case 5:
			hello.from.life = 199, expected = SHOAL_TCP_PEER_LIFE_REFUSED;
			break;
		case 6:
			hello.from.member = UINT16_MAX, expected = SHOAL_TCP_MEMBER_REFUSED;
			break;
		}
		raw_send_hello(&raw, &hello);
		assert_int_equal(raw_receive_hello(&raw).refusal, expected);
		raw_until_closed(&raw);
		assert_int_equal(shoal_tcp_listener_refused(raw.listener, expected), 1);
		assert_int_equal(raw.test.links[0]->state, SHOAL_LINK_CONNECTING);
		raw_destroy(&raw);
	}
}

static void test_garbage_instead_of_a_hello(void **state)
{
	uint8_t garbage[SHOAL_TCP_HELLO_BYTES];
	struct raw raw;

	(void)state;
	raw_create(&raw, &patient);
	memset(garbage, 'x', sizeof(garbage));
	raw_send(&raw, garbage, sizeof(garbage));
	raw_until_closed(&raw);
	assert_int_equal(shoal_tcp_listener_refused(raw.listener, SHOAL_TCP_NOT_SHOAL), 1);

	/* One that says nothing is shown the door after 2 s, and keeps nobody out meanwhile. */
	close(raw.socket);
	raw_connect(&raw);
	int silent = raw.socket;

	tcp_test_step(&raw.test);
	raw_connect(&raw);
	raw_up(&raw);
	raw.test.now_ns += 3 * SHOAL_NS_PER_S;
	close(raw.socket);
	raw.socket = silent;
	raw_until_closed(&raw);
	raw_destroy(&raw);
}

/* Ours connects; what it makes of the answers. */
static void test_answers(void **state)
{
	static const char *const reasons[] = { "refused by the peer: other cluster", "the peer speaks another version",
		"the peer belongs to another cluster", "the peer is another member", "the peer has another life",
		"the peer does not speak Shoal's protocol", "the peer has closed the connection",
		"refused by the peer, it does not say why" };
	(void)state;
	for (unsigned i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		struct shoal_tcp_hello answer = raw_hello();
		struct raw raw;

		raw_create_listening(&raw, &patient);
		raw_accept(&raw);

		struct shoal_tcp_hello asked = raw_receive_hello(&raw);

		assert_int_equal(asked.from.member, self.member);
		assert_int_equal(asked.to_life, peer.life);
		answer.refusal = i == 0 ? SHOAL_TCP_CLUSTER_REFUSED : i == 7 ? 77 : SHOAL_TCP_ACCEPTED;
		answer.version += i == 1;
		answer.from.cluster += i == 2;
		answer.from.member += i == 3;
		answer.from.life += i == 4;
		if (i == 5)
			raw_send(&raw, "HTTP/1.1 400 Bad Request, and then some more bytes", 48);
		else if (i != 6)
			raw_send_hello(&raw, &answer);
		if (i == 6)
			shutdown(raw.socket, SHUT_RDWR);
		tcp_test_until(&raw.test, raw.test.links[0]->state == SHOAL_LINK_BROKEN);
		assert_string_equal(raw.test.links[0]->reason, reasons[i]);
		assert_int_equal(shoal_tcp_link_connections(raw.test.links[0]), 0);
		raw_destroy(&raw);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_byte_by_byte_and_coalesced),
		cmocka_unit_test(test_bad_streams),
		cmocka_unit_test(test_wrong_hellos_are_refused),
		cmocka_unit_test(test_garbage_instead_of_a_hello),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
