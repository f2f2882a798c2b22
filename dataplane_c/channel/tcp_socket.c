/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel/tcp_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG (2 * SHOAL_MEMBERS_MAX)

int shoal_tcp_address_parse(struct shoal_tcp_address *address, const char *text, uint16_t port)
{
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, &address->ipv4.sin_addr) == 1) {
		address->ipv4.sin_family = AF_INET;
		address->ipv4.sin_port = htons(port);
		address->bytes = sizeof(address->ipv4);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &address->ipv6.sin6_addr) == 1) {
		address->ipv6.sin6_family = AF_INET6;
		address->ipv6.sin6_port = htons(port);
		address->bytes = sizeof(address->ipv6);
		return 0;
	}
	return -EINVAL;
}

static int socket_open(const struct shoal_tcp_address *address)
{
	int descriptor = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

	return descriptor < 0 ? -errno : descriptor;
}

int shoal_tcp_socket_listen(const struct shoal_tcp_address *address)
{
	int descriptor = socket_open(address), yes = 1;

	if (descriptor < 0)
		return descriptor;
	setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(descriptor, &address->any, address->bytes) < 0 || listen(descriptor, BACKLOG) < 0) {
		int result = -errno;

		close(descriptor);
		return result;
	}
	return descriptor;
}

void shoal_tcp_socket_prepare(int descriptor, uint32_t user_timeout_ms)
{
	int yes = 1;

	setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
}

int shoal_tcp_socket_connect(const struct shoal_tcp_address *address, uint32_t user_timeout_ms)
{
	int descriptor = socket_open(address);

	if (descriptor < 0)
		return descriptor;
	shoal_tcp_socket_prepare(descriptor, user_timeout_ms);
	if (connect(descriptor, &address->any, address->bytes) < 0 && errno != EINPROGRESS) {
		int result = -errno;

		close(descriptor);
		return result;
	}
	return descriptor;
}

int shoal_tcp_socket_accept(int listening)
{
	int descriptor = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	return descriptor < 0 ? -errno : descriptor;
}

int shoal_tcp_socket_connected(int descriptor)
{
	struct pollfd ready = { .fd = descriptor, .events = POLLOUT };
	int error = 0;
	socklen_t bytes = sizeof(error);

	if (poll(&ready, 1, 0) <= 0)
		return -EINPROGRESS;
	if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
		return -errno;
	return -error;
}

static ssize_t result_of(ssize_t moved)
{
	if (moved > 0)
		return moved;
	if (moved == 0)
		return -ECONNABORTED;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -errno;
}

ssize_t shoal_tcp_socket_send(int descriptor, const void *bytes, size_t length)
{
	return result_of(send(descriptor, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT));
}

ssize_t shoal_tcp_socket_receive(int descriptor, void *bytes, size_t length)
{
	return result_of(recv(descriptor, bytes, length, MSG_DONTWAIT));
}

const char *shoal_tcp_socket_error(ssize_t error)
{
	switch (-error) {
	case ECONNABORTED:
	case EPIPE:
		return "the peer has closed the connection";
	case ECONNRESET:
		return "connection reset";
	case ECONNREFUSED:
		return "connection refused";
	case ETIMEDOUT:
		return "connection timed out";
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EHOSTDOWN:
		return "no route to the peer";
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return "no socket or memory left for a connection";
	case EADDRNOTAVAIL:
		return "no local address for a connection";
	case EACCES:
	case EPERM:
		return "the connection is not permitted";
	default:
		return "the connection failed";
	}
}
