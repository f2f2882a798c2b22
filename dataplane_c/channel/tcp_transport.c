/* SPDX-License-Identifier: BSD-3-Clause */
/* What the layer above sees (shoal_tcp_link_transition alone writes it); the socket's own states are in tcp_connection.c:
 *
 *   from              to      by      why
 *   CONNECTING        UP      poll    both hellos are right
 *   CONNECTING        BROKEN  poll    the first attempt failed, or nobody came within the connect deadline
 *   UP                BROKEN  poll    connection lost, silent or anew; bytes that are no frames
 *   BROKEN            UP      poll    both hellos are right; a later poll than the one that broke
 *   BROKEN            BROKEN  poll    another reason
 *   all but ENDED     ENDED   ended   told so
 * Forbidden: any other, above all ENDED → anything. */
#include "channel/tcp_transport.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "channel/tcp_connection.h"

const struct shoal_tcp_timing shoal_tcp_timing_default = {
	.connect = 2000,
	.heartbeat = 200,
	.silent = 2000,
	.user_timeout = 10000,
	.backoff_first = 20,
	.backoff_most = 1000,
	.idle_gap_us = 4,
};

static struct shoal_tcp_link *tcp_of(struct shoal_link *link)
{
	return (struct shoal_tcp_link *)link;
}

static void tcp_link_poll(struct shoal_link *link, uint64_t now_ns)
{
	struct shoal_tcp_link *tcp = tcp_of(link);

	if (tcp->leftover >= 0) {
		close(tcp->leftover);
		tcp->leftover = -1;
	}
	if (link->state == SHOAL_LINK_ENDED) {
		if (tcp->descriptor >= 0)
			shoal_tcp_connection_close(tcp);
		return;
	}
	if (!tcp->polled) {
		tcp->polled = true;
		tcp->deadline_ns = now_ns + (tcp->listener ? tcp->timing.connect * SHOAL_NS_PER_MS : 0);
	}
	if (tcp->listener)
		shoal_tcp_listener_poll(tcp->listener, now_ns);
	shoal_tcp_connection_poll(tcp, now_ns);
}

static void *tcp_link_reserve(struct shoal_link *link, uint32_t length)
{
	return link->state == SHOAL_LINK_UP ? shoal_tcp_out_reserve(&tcp_of(link)->out, length) : NULL;
}

static void tcp_link_commit(struct shoal_link *link, uint32_t length)
{
	shoal_tcp_out_commit(&tcp_of(link)->out, length);
}

static const void *tcp_link_peek(struct shoal_link *link, uint32_t *length)
{
	return shoal_tcp_in_peek(&tcp_of(link)->in, length);
}

static void tcp_link_consume(struct shoal_link *link)
{
	shoal_tcp_in_consume(&tcp_of(link)->in);
}

static uint32_t tcp_link_depth(const struct shoal_link *link)
{
	return shoal_tcp_out_waiting(&((const struct shoal_tcp_link *)link)->out);
}

/* ended() makes no system call: what has to be closed waits for the next poll. */
static void leave_listener(struct shoal_tcp_link *tcp)
{
	if (tcp->listener)
		tcp->leftover = shoal_tcp_listener_close_door(tcp->listener, tcp->peer.member);
	tcp->listener = NULL;
}

static void tcp_link_destroy(struct shoal_link *link)
{
	struct shoal_tcp_link *tcp = tcp_of(link);

	leave_listener(tcp);
	if (tcp->leftover >= 0)
		close(tcp->leftover);
	shoal_tcp_connection_close(tcp);
	shoal_tcp_in_fini(&tcp->in);
	shoal_tcp_out_fini(&tcp->out);
	free(tcp);
}

static struct shoal_tcp_link *tcp_link_create(
	const struct shoal_tcp_identity *self, const struct shoal_tcp_peer *peer, const struct shoal_tcp_timing *timing)
{
	static const struct shoal_link_operations operations = {
		.reserve = tcp_link_reserve,
		.commit = tcp_link_commit,
		.peek = tcp_link_peek,
		.consume = tcp_link_consume,
		.poll = tcp_link_poll,
		.depth = tcp_link_depth,
		.destroy = tcp_link_destroy,
	};
	struct shoal_tcp_link *tcp = calloc(1, sizeof(*tcp));

	if (!tcp)
		return NULL;
	tcp->link = (struct shoal_link){ &operations, SHOAL_LINK_CONNECTING, .reliable = false, .reason = "" };
	tcp->self = *self;
	tcp->peer = *peer;
	tcp->timing = timing ? *timing : shoal_tcp_timing_default;
	tcp->backoff_ns = tcp->timing.backoff_first * SHOAL_NS_PER_MS;
	tcp->descriptor = tcp->leftover = -1;
	if (shoal_tcp_out_init(&tcp->out) || shoal_tcp_in_init(&tcp->in)) {
		tcp_link_destroy(&tcp->link);
		errno = ENOMEM;
		return NULL;
	}
	return tcp;
}

struct shoal_link *shoal_tcp_link_listen(
	struct shoal_tcp_listener *listener, const struct shoal_tcp_peer *peer, const struct shoal_tcp_timing *timing)
{
	struct shoal_tcp_link *tcp = tcp_link_create(shoal_tcp_listener_identity(listener), peer, timing);
	int result;

	if (!tcp)
		return NULL;
	result = shoal_tcp_listener_open_door(listener, peer->member, peer->life);
	if (result) {
		tcp_link_destroy(&tcp->link);
		errno = -result;
		return NULL;
	}
	tcp->listener = listener;
	return &tcp->link;
}

struct shoal_link *shoal_tcp_link_connect(const struct shoal_tcp_identity *self, const struct shoal_tcp_peer *peer,
	const char *address, uint16_t port, const struct shoal_tcp_timing *timing)
{
	struct shoal_tcp_link *tcp = tcp_link_create(self, peer, timing);

	if (!tcp)
		return NULL;
	if (shoal_tcp_address_parse(&tcp->address, address, port)) {
		tcp_link_destroy(&tcp->link);
		errno = EINVAL;
		return NULL;
	}
	return &tcp->link;
}

void shoal_tcp_link_ended(struct shoal_link *link, const char *reason)
{
	struct shoal_tcp_link *tcp = tcp_of(link);

	if (link->state == SHOAL_LINK_ENDED)
		return;
	shoal_tcp_link_transition(tcp, SHOAL_LINK_ENDED, reason);
	leave_listener(tcp);
}

uint64_t shoal_tcp_link_connections(const struct shoal_link *link)
{
	return ((const struct shoal_tcp_link *)link)->connections;
}
