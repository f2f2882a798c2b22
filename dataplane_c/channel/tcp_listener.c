/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection on its way to a link:
 *
 *   from      to        by                   why
 *   backlog   PENDING   poll, accept         there is a place
 *   PENDING   OFFERED   poll, identify       hello complete and right, and its door open; replaces an older offer
 *   PENDING   closed    poll, identify       refused, with the reason as the answer; or cut, or past its deadline
 *   OFFERED   link's    take, close_door     the link answers the hello
 * Forbidden: any other; an OFFERED one is never read from here. */
#include "channel/tcp_listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel/tcp_socket.h"

#define PENDING_MAX SHOAL_MEMBERS_MAX
#define ACCEPTS_EACH_POLL 4
#define POLL_GAP_NS (100 * UINT64_C(1000))
#define HELLO_DEADLINE_NS (2 * SHOAL_NS_PER_S)

struct pending {
	int descriptor; /* owns */
	uint32_t received;
	uint64_t deadline_ns;
	uint8_t hello[SHOAL_TCP_HELLO_BYTES];
};

struct door {
	bool open;
	uint64_t life;
	int offered; /* owns; -1: none */
};

struct shoal_tcp_listener {
	struct shoal_tcp_identity self;
	int descriptor; /* owns */
	uint16_t port;
	uint64_t next_poll_ns;
	unsigned pending_count;
	struct pending pending[PENDING_MAX];
	struct door doors[SHOAL_MEMBERS_MAX];
	uint64_t refused[SHOAL_TCP_REFUSALS]; // writer: worker, readers: control
};

static int port_of(int descriptor, uint16_t *port)
{
	struct shoal_tcp_address address = { .bytes = sizeof(address) };

	if (getsockname(descriptor, &address.any, &address.bytes) < 0)
		return -errno;
	*port = ntohs(address.any.sa_family == AF_INET ? address.ipv4.sin_port : address.ipv6.sin6_port);
	return 0;
}

struct shoal_tcp_listener *shoal_tcp_listener_create(
	const char *address, uint16_t port, const struct shoal_tcp_identity *self)
{
	struct shoal_tcp_listener *listener = calloc(1, sizeof(*listener));
	struct shoal_tcp_address parsed;
	int result;

	if (!listener)
		return NULL;
	listener->self = *self;
	for (unsigned member = 0; member < SHOAL_MEMBERS_MAX; member++)
		listener->doors[member].offered = -1;
	result = shoal_tcp_address_parse(&parsed, address, port);
	if (result)
		goto free_listener;
	result = listener->descriptor = shoal_tcp_socket_listen(&parsed);
	if (result < 0)
		goto free_listener;
	result = port_of(listener->descriptor, &listener->port);
	if (result)
		goto close_descriptor;
	return listener;

close_descriptor:
	close(listener->descriptor);
free_listener:
	free(listener);
	errno = -result;
	return NULL;
}

void shoal_tcp_listener_destroy(struct shoal_tcp_listener *listener)
{
	if (!listener)
		return;
	for (unsigned i = 0; i < listener->pending_count; i++)
		close(listener->pending[i].descriptor);
	for (unsigned member = 0; member < SHOAL_MEMBERS_MAX; member++)
		if (listener->doors[member].offered >= 0)
			close(listener->doors[member].offered);
	close(listener->descriptor);
	free(listener);
}

uint16_t shoal_tcp_listener_port(const struct shoal_tcp_listener *listener)
{
	return listener->port;
}

uint64_t shoal_tcp_listener_refused(const struct shoal_tcp_listener *listener, enum shoal_tcp_refusal refusal)
{
	return refusal < SHOAL_TCP_REFUSALS ? listener->refused[refusal] : 0;
}

const struct shoal_tcp_identity *shoal_tcp_listener_identity(const struct shoal_tcp_listener *listener)
{
	return &listener->self;
}

static enum shoal_tcp_refusal judge(struct shoal_tcp_listener *listener, const struct shoal_tcp_hello *hello)
{
	enum shoal_tcp_refusal refusal = shoal_tcp_hello_check(hello, &listener->self);

	if (refusal)
		return refusal; /* hello->from.member may be no index before this */

	const struct door *door = &listener->doors[hello->from.member];

	if (!door->open)
		return SHOAL_TCP_PEER_UNKNOWN;
	return door->life == hello->from.life ? SHOAL_TCP_ACCEPTED : SHOAL_TCP_PEER_LIFE_REFUSED;
}

/* The hello is complete: offers the connection or refuses it; it is no longer pending either way. */
static void identify(struct shoal_tcp_listener *listener, struct pending *pending)
{
	struct shoal_tcp_hello hello;

	if (!shoal_tcp_hello_read(&hello, pending->hello)) {
		listener->refused[SHOAL_TCP_NOT_SHOAL]++;
		close(pending->descriptor);
		return;
	}

	enum shoal_tcp_refusal refusal = judge(listener, &hello);

	if (refusal) {
		struct shoal_tcp_hello answer = { .from = listener->self,
			.to_member = hello.from.member,
			.to_life = hello.from.life,
			.version = SHOAL_TCP_VERSION,
			.refusal = refusal };
		uint8_t bytes[SHOAL_TCP_HELLO_BYTES];

		listener->refused[refusal]++;
		shoal_tcp_hello_write(&answer, bytes);
		/* Best effort: the reason is for the operator of the other side. */
		ssize_t sent = shoal_tcp_socket_send(pending->descriptor, bytes, sizeof(bytes));

		(void)sent;
		close(pending->descriptor);
		return;
	}

	struct door *door = &listener->doors[hello.from.member];

	if (door->offered >= 0)
		close(door->offered);
	door->offered = pending->descriptor;
}

/* false: no longer pending. */
static bool pending_poll(struct shoal_tcp_listener *listener, struct pending *pending, uint64_t now_ns)
{
	ssize_t received = shoal_tcp_socket_receive(
		pending->descriptor, pending->hello + pending->received, sizeof(pending->hello) - pending->received);

	if (received < 0 || (received == 0 && now_ns >= pending->deadline_ns)) {
		close(pending->descriptor);
		return false;
	}
	pending->received += (uint32_t)received;
	if (pending->received < sizeof(pending->hello))
		return true;
	identify(listener, pending);
	return false;
}

void shoal_tcp_listener_poll(struct shoal_tcp_listener *listener, uint64_t now_ns)
{
	if (now_ns < listener->next_poll_ns)
		return;
	listener->next_poll_ns = now_ns + POLL_GAP_NS;

	for (int i = 0; i < ACCEPTS_EACH_POLL && listener->pending_count < PENDING_MAX; i++) {
		int descriptor = shoal_tcp_socket_accept(listener->descriptor);

		if (descriptor < 0)
			break;
		listener->pending[listener->pending_count++] =
			(struct pending){ .descriptor = descriptor, .deadline_ns = now_ns + HELLO_DEADLINE_NS };
	}
	for (unsigned i = 0; i < listener->pending_count;) {
		if (pending_poll(listener, &listener->pending[i], now_ns))
			i++;
		else
			listener->pending[i] = listener->pending[--listener->pending_count];
	}
}

int shoal_tcp_listener_open_door(struct shoal_tcp_listener *listener, uint16_t member, uint64_t life)
{
	if (member >= SHOAL_MEMBERS_MAX)
		return -EINVAL;
	if (listener->doors[member].open)
		return -EBUSY;
	listener->doors[member] = (struct door){ .open = true, .life = life, .offered = -1 };
	return 0;
}

bool shoal_tcp_listener_offers(const struct shoal_tcp_listener *listener, uint16_t member)
{
	return listener->doors[member].offered >= 0;
}

int shoal_tcp_listener_take(struct shoal_tcp_listener *listener, uint16_t member)
{
	int descriptor = listener->doors[member].offered;

	listener->doors[member].offered = -1;
	return descriptor;
}

int shoal_tcp_listener_close_door(struct shoal_tcp_listener *listener, uint16_t member)
{
	listener->doors[member].open = false;
	return shoal_tcp_listener_take(listener, member);
}
