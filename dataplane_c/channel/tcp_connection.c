/* SPDX-License-Identifier: BSD-3-Clause */
/* What the socket does (the phase):
 *
 *   WAITING      → CONNECTING   the backoff is over                          (connecting side)
 *   CONNECTING   → GREETING     connected; our hello is sent                 (connecting side)
 *   GREETING     → ESTABLISHED  the peer's hello is right                    (connecting side)
 *   WAITING      → ESTABLISHED  the listener offers a connection; answered   (listening side)
 *   any          → WAITING      close(): failure, refusal, deadline, ended */
#include "channel/tcp_connection.h"

#include <errno.h>
#include <unistd.h>

#define RECEIVE_BYTES_EACH_POLL (64u << 10)

void shoal_tcp_link_transition(struct shoal_tcp_link *tcp, enum shoal_link_state state, const char *reason)
{
	if (tcp->link.state == SHOAL_LINK_ENDED)
		return;
	tcp->link.reason = reason;
	tcp->link.state = state;
}

void shoal_tcp_connection_close(struct shoal_tcp_link *tcp)
{
	if (tcp->descriptor >= 0)
		close(tcp->descriptor);
	tcp->descriptor = -1;
	tcp->phase = SHOAL_TCP_WAITING;
	tcp->hello_received = 0;
	shoal_tcp_out_reset(&tcp->out);
	shoal_tcp_in_reset(&tcp->in);
}

static void fail(struct shoal_tcp_link *tcp, uint64_t now_ns, const char *reason)
{
	uint64_t most_ns = tcp->timing.backoff_most * SHOAL_NS_PER_MS;

	shoal_tcp_connection_close(tcp);
	tcp->deadline_ns = now_ns + tcp->backoff_ns;
	tcp->backoff_ns = 2 * tcp->backoff_ns < most_ns ? 2 * tcp->backoff_ns : most_ns;
	shoal_tcp_link_transition(tcp, SHOAL_LINK_BROKEN, reason);
}

static void established(struct shoal_tcp_link *tcp, uint64_t now_ns)
{
	tcp->phase = SHOAL_TCP_ESTABLISHED;
	tcp->backoff_ns = tcp->timing.backoff_first * SHOAL_NS_PER_MS;
	tcp->heard_ns = tcp->sent_ns = now_ns;
	tcp->receive_again_ns = now_ns;
	tcp->connections++;
	shoal_tcp_link_transition(tcp, SHOAL_LINK_UP, "");
}

/* Our hello into a fresh socket, which has room for it. */
static bool greet(struct shoal_tcp_link *tcp)
{
	struct shoal_tcp_hello hello = { .from = tcp->self,
		.to_member = tcp->peer.member,
		.to_life = tcp->peer.life,
		.version = SHOAL_TCP_VERSION,
		.refusal = SHOAL_TCP_ACCEPTED };
	uint8_t bytes[SHOAL_TCP_HELLO_BYTES];

	shoal_tcp_hello_write(&hello, bytes);
	return shoal_tcp_socket_send(tcp->descriptor, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes);
}

static void poll_listening(struct shoal_tcp_link *tcp, uint64_t now_ns)
{
	tcp->descriptor = shoal_tcp_listener_take(tcp->listener, tcp->peer.member);
	if (tcp->descriptor < 0) {
		if (tcp->link.state == SHOAL_LINK_CONNECTING && now_ns >= tcp->deadline_ns)
			shoal_tcp_link_transition(
				tcp, SHOAL_LINK_BROKEN, "no connection came within the connect deadline");
		return;
	}
	shoal_tcp_socket_prepare(tcp->descriptor, tcp->timing.user_timeout);
	if (greet(tcp))
		established(tcp, now_ns);
	else
		fail(tcp, now_ns, "the peer has closed the connection before our hello");
}

static void poll_waiting(struct shoal_tcp_link *tcp, uint64_t now_ns)
{
	if (now_ns < tcp->deadline_ns)
		return;

	int descriptor = shoal_tcp_socket_connect(&tcp->address, tcp->timing.user_timeout);

	if (descriptor < 0) {
		fail(tcp, now_ns, shoal_tcp_socket_error(descriptor));
		return;
	}
	tcp->descriptor = descriptor;
	tcp->phase = SHOAL_TCP_CONNECTING;
	tcp->deadline_ns = now_ns + tcp->timing.connect * SHOAL_NS_PER_MS;
}

static void poll_connecting(struct shoal_tcp_link *tcp, uint64_t now_ns)
{
	int result = shoal_tcp_socket_connected(tcp->descriptor);

	if (result == -EINPROGRESS) {
		if (now_ns >= tcp->deadline_ns)
			fail(tcp, now_ns, "no connection within the connect deadline");
	} else if (result < 0) {
		fail(tcp, now_ns, shoal_tcp_socket_error(result));
	} else if (greet(tcp)) {
		tcp->phase = SHOAL_TCP_GREETING;
	} else {
		fail(tcp, now_ns, "the peer has closed the connection before our hello");
	}
}

/* NULL: go on; else why not. */
static const char *judge_hello(const struct shoal_tcp_link *tcp)
{
	struct shoal_tcp_hello hello;

	if (!shoal_tcp_hello_read(&hello, tcp->hello))
		return shoal_tcp_refusal_text(SHOAL_TCP_NOT_SHOAL, false);
	if (hello.refusal)
		return shoal_tcp_refusal_text(hello.refusal, true);

	enum shoal_tcp_refusal refusal = shoal_tcp_hello_check(&hello, &tcp->self);

	if (!refusal && hello.from.member != tcp->peer.member)
		refusal = SHOAL_TCP_MEMBER_REFUSED;
	if (!refusal && hello.from.life != tcp->peer.life)
		refusal = SHOAL_TCP_PEER_LIFE_REFUSED;
	return refusal ? shoal_tcp_refusal_text(refusal, false) : NULL;
}

static void poll_greeting(struct shoal_tcp_link *tcp, uint64_t now_ns)
{
	/* Not a byte more than the hello: what follows are frames. */
	ssize_t received = shoal_tcp_socket_receive(
		tcp->descriptor, tcp->hello + tcp->hello_received, sizeof(tcp->hello) - tcp->hello_received);

	if (received < 0) {
		fail(tcp, now_ns, shoal_tcp_socket_error(received));
		return;
	}
	tcp->hello_received += (uint32_t)received;
	if (tcp->hello_received < sizeof(tcp->hello)) {
		if (now_ns >= tcp->deadline_ns)
			fail(tcp, now_ns, "no hello within the connect deadline");
		return;
	}

	const char *refusal = judge_hello(tcp);

	if (refusal)
		fail(tcp, now_ns, refusal);
	else
		established(tcp, now_ns);
}

/* NULL, or why the connection is of no use any more. */
static const char *receive(struct shoal_tcp_link *tcp, uint64_t now_ns)
{
	uint32_t length, room;
	uint8_t *bytes;
	ssize_t received;

	if (now_ns < tcp->receive_again_ns)
		return NULL;
	(void)shoal_tcp_in_peek(&tcp->in, &length); /* steps over heartbeats */
	bytes = shoal_tcp_in_room(&tcp->in, &room);
	if (!room) {
		tcp->heard_ns = now_ns; /* it is we who do not listen */
		return NULL;
	}
	received = shoal_tcp_socket_receive(
		tcp->descriptor, bytes, room < RECEIVE_BYTES_EACH_POLL ? room : RECEIVE_BYTES_EACH_POLL);
	if (received < 0)
		return shoal_tcp_socket_error(received);
	if (received > 0) {
		tcp->heard_ns = now_ns;
		return shoal_tcp_in_received(&tcp->in, (uint32_t)received);
	}
	tcp->receive_again_ns = now_ns + tcp->timing.idle_gap_us * UINT64_C(1000);
	return now_ns - tcp->heard_ns >= tcp->timing.silent * SHOAL_NS_PER_MS ? "the peer is silent" : NULL;
}

static const char *transmit(struct shoal_tcp_link *tcp, uint64_t now_ns)
{
	ssize_t sent;

	if (!shoal_tcp_out_waiting(&tcp->out)) {
		if (now_ns - tcp->sent_ns < tcp->timing.heartbeat * SHOAL_NS_PER_MS)
			return NULL;
		(void)shoal_tcp_out_heartbeat(&tcp->out); /* an empty buffer has room */
	}
	sent = shoal_tcp_socket_send(
		tcp->descriptor, tcp->out.bytes + tcp->out.start, shoal_tcp_out_waiting(&tcp->out));
	if (sent < 0)
		return shoal_tcp_socket_error(sent);
	if (sent > 0) {
		shoal_tcp_out_sent(&tcp->out, (uint32_t)sent);
		tcp->sent_ns = now_ns;
	}
	return NULL;
}

static void poll_established(struct shoal_tcp_link *tcp, uint64_t now_ns)
{
	const char *failure = NULL;

	/* The peer gave the old connection up before we noticed. The new one is taken in a later poll: BROKEN must be seen. */
	if (tcp->listener && shoal_tcp_listener_offers(tcp->listener, tcp->peer.member))
		failure = "the peer has connected anew";
	/* Receive first: a peer that sent its last and closed makes the send fail. */
	if (!failure)
		failure = receive(tcp, now_ns);
	if (!failure)
		failure = transmit(tcp, now_ns);
	if (failure)
		fail(tcp, now_ns, failure);
}

void shoal_tcp_connection_poll(struct shoal_tcp_link *tcp, uint64_t now_ns)
{
	switch (tcp->phase) {
	case SHOAL_TCP_WAITING:
		if (tcp->listener)
			poll_listening(tcp, now_ns);
		else
			poll_waiting(tcp, now_ns);
		break;
	case SHOAL_TCP_CONNECTING:
		poll_connecting(tcp, now_ns);
		break;
	case SHOAL_TCP_GREETING:
		poll_greeting(tcp, now_ns);
		break;
	case SHOAL_TCP_ESTABLISHED:
		poll_established(tcp, now_ns);
		break;
	}
}
