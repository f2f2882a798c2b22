/* SPDX-License-Identifier: BSD-3-Clause */
/* Two channels over TCP whose connection is lost and reset again and again while messages go both ways: each arrives once, and
 * in order. The test moves time; only the kernel's work is waited for, with a deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/socket.h>

#include "channel/channel.h"
#include "channel/tcp_connection.h"
#include "channel/tcp_test.h"

#define MESSAGES 20000u
#define LOSSES 40u
#define PERIOD (20 * SHOAL_NS_PER_MS)

struct side {
	struct shoal_channel *channel;
	struct shoal_link *link;
	uint8_t peer;
	uint32_t sent, received;
};

struct world {
	uint64_t now_ns;
	struct shoal_tcp_listener *listener;
	struct side sides[2];
};

static const struct shoal_tcp_identity identities[2] = {
	{ .cluster = CLUSTER, .life = 100, .member = 1 },
	{ .cluster = CLUSTER, .life = 200, .member = 2 },
};

static struct side make_side(const struct shoal_tcp_identity *self, uint8_t peer, struct shoal_link *link)
{
	const struct shoal_channel_config config = { .self = (uint8_t)self->member,
		.life = self->life,
		.outbox_bytes = (size_t)128 << 20,
		.resend_ns = 5 * SHOAL_NS_PER_MS,
		.heartbeat_ns = PERIOD };
	struct side side = { .channel = shoal_channel_create(&config), .link = link, .peer = peer };

	assert_non_null(side.channel);
	assert_non_null(link);
	assert_int_equal(shoal_channel_attach(side.channel, peer, identities[peer - 1].life, link), 0);
	return side;
}

static void create(struct world *world)
{
	const struct shoal_tcp_peer peers[2] = { { .member = 1, .life = 100 }, { .member = 2, .life = 200 } };
	const char *here = "127.0.0.1";

	*world = (struct world){ .now_ns = SHOAL_NS_PER_S };
	world->listener = shoal_tcp_listener_create(here, 0, &identities[0]);
	assert_non_null(world->listener);
	world->sides[0] = make_side(&identities[0], 2, shoal_tcp_link_listen(world->listener, &peers[1], &patient));
	world->sides[1] = make_side(&identities[1], 1,
		shoal_tcp_link_connect(
			&identities[1], &peers[0], here, shoal_tcp_listener_port(world->listener), &patient));
}

static void destroy(struct world *world)
{
	for (int i = 0; i < 2; i++)
		shoal_channel_destroy(world->sides[i].channel);
	shoal_tcp_listener_destroy(world->listener);
}

static void take(void *owner, uint8_t from, const struct shoal_message *message)
{
	struct side *side = owner;

	assert_int_equal(from, side->peer);
	if (message->request != side->received)
		fail_msg("message %u came, %u was due", message->request, side->received);
	side->received++;
}

/* Short ones, and now and then one of half a frame. */
static void send_one(struct side *side)
{
	static const uint8_t tokens[SHOAL_VIEW_TOKENS_BYTES];
	bool is_long = side->sent % 7 == 3;
	struct shoal_message head = {
		.kind = is_long ? SHOAL_VIEW_TOKENS : SHOAL_FLUSH1, .holder = SHOAL_MEMBER_NONE, .request = side->sent++
	};

	shoal_channel_send(side->channel, side->peer, &head, NULL, NULL, 0, tokens, is_long ? sizeof(tokens) : 0);
}

static void step(struct world *world)
{
	world->now_ns += 100 * UINT64_C(1000);
	for (int i = 0; i < 2; i++) {
		struct side *side = &world->sides[i];

		(void)shoal_channel_receive_all(side->channel, 64, take, side);
		for (unsigned n = 0; n < 8 && side->sent < MESSAGES; n++)
			send_one(side);
		shoal_channel_flush(side->channel, world->now_ns);
	}
	sched_yield();
}

/* The kernel ends the connection: with all that it has taken, or with a reset, which throws it away. */
static void lose(struct side *side, bool reset)
{
	struct shoal_tcp_link *tcp = (struct shoal_tcp_link *)side->link;
	const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	if (tcp->descriptor < 0)
		return;
	if (reset)
		assert_int_equal(connect(tcp->descriptor, &nowhere, sizeof(nowhere)), 0);
	else
		(void)shutdown(tcp->descriptor, SHUT_RDWR);
}

static void each_message_arrives_once_and_in_order(void **state)
{
	struct world world;
	unsigned losses = 0;

	(void)state;
	create(&world);
	time_t deadline = tcp_test_seconds() + 3 * WAIT_S;

	while (world.sides[0].received < MESSAGES || world.sides[1].received < MESSAGES) {
		struct side *side = &world.sides[losses % 2];

		step(&world);
		if (losses < LOSSES && side->received > (losses + 1) * MESSAGES / (LOSSES + 1)) {
			lose(side, losses % 4 < 2);
			losses++;
		}
		assert_true(tcp_test_seconds() < deadline);
	}
	assert_int_equal(losses, LOSSES);
	assert_true(shoal_tcp_link_connections(world.sides[0].link) > LOSSES / 2);
	for (int i = 0; i < 2; i++) {
		struct side *side = &world.sides[i];

		while (shoal_channel_waiting(side->channel, side->peer)) {
			step(&world);
			assert_true(tcp_test_seconds() < deadline);
		}
		assert_int_equal(side->received, MESSAGES);
		assert_true(shoal_channel_counters(side->channel)->frames_resent > 0);
		assert_int_equal(shoal_channel_counters(side->channel)->frames_malformed, 0);
	}
	destroy(&world);
}

static void peers_hear_each_other_again_after_a_loss(void **state)
{
	struct world world;
	time_t deadline = tcp_test_seconds() + WAIT_S;

	(void)state;
	create(&world);
	for (unsigned round = 0; round < 5; round++) {
		uint64_t lost_ns = world.now_ns;

		for (int i = 0; i < 2; i++)
			while (shoal_channel_heard(world.sides[i].channel, world.sides[i].peer) <= lost_ns) {
				step(&world);
				assert_true(tcp_test_seconds() < deadline);
			}
		lose(&world.sides[round % 2], round % 3 == 0);
	}
	assert_int_equal(shoal_channel_counters(world.sides[0].channel)->heartbeats_malformed, 0);
	destroy(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_message_arrives_once_and_in_order),
		cmocka_unit_test(peers_hear_each_other_again_after_a_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
