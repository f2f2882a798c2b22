/* SPDX-License-Identifier: BSD-3-Clause */
/* The few system calls of the TCP transport; none of them blocks. */
#ifndef SHOAL_CHANNEL_TCP_SOCKET_H
#define SHOAL_CHANNEL_TCP_SOCKET_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <shoal/types.h>

struct shoal_tcp_address {
	union {
		struct sockaddr any;
		struct sockaddr_in ipv4;
		struct sockaddr_in6 ipv6;
	};
	socklen_t bytes;
};

/* "192.0.2.1" or "2001:db8::1"; never asks a name server. 0 or -EINVAL. */
SHOAL_MUST_USE int shoal_tcp_address_parse(struct shoal_tcp_address *address, const char *text, uint16_t port);
/* A listening socket, or -errno. */
SHOAL_MUST_USE int shoal_tcp_socket_listen(const struct shoal_tcp_address *address);
/* A socket that has begun to connect, or -errno. */
SHOAL_MUST_USE int shoal_tcp_socket_connect(const struct shoal_tcp_address *address, uint32_t user_timeout_ms);
/* A socket whose connection was accepted, or -errno (-EAGAIN: there is none). */
SHOAL_MUST_USE int shoal_tcp_socket_accept(int listening);
/* 0: connected; -EINPROGRESS: not yet; -errno: it failed. */
SHOAL_MUST_USE int shoal_tcp_socket_connected(int descriptor);
/* What an accepted or connecting socket needs. */
void shoal_tcp_socket_prepare(int descriptor, uint32_t user_timeout_ms);
/* Bytes sent or received (at least 1); 0: nothing now; -errno, -ECONNABORTED where the peer has closed. */
SHOAL_MUST_USE ssize_t shoal_tcp_socket_send(int descriptor, const void *bytes, size_t length);
SHOAL_MUST_USE ssize_t shoal_tcp_socket_receive(int descriptor, void *bytes, size_t length);
/* A negative errno as a sentence (static text). */
const char *shoal_tcp_socket_error(ssize_t error);

#endif
