/* SPDX-License-Identifier: BSD-3-Clause */
/* One TCP link inside: shared by tcp_transport.c (what the layer above calls) and tcp_connection.c (the socket's life). */
#ifndef SHOAL_CHANNEL_TCP_CONNECTION_H
#define SHOAL_CHANNEL_TCP_CONNECTION_H

#include "channel/tcp_frame.h"
#include "channel/tcp_socket.h"
#include "channel/tcp_transport.h"

/* Tabled in tcp_connection.c. */
enum shoal_tcp_phase { SHOAL_TCP_WAITING, SHOAL_TCP_CONNECTING, SHOAL_TCP_GREETING, SHOAL_TCP_ESTABLISHED };

struct shoal_tcp_link {
	struct shoal_link link;
	struct shoal_tcp_listener *listener; /* borrows; NULL: this side connects */
	struct shoal_tcp_identity self;
	struct shoal_tcp_peer peer;
	struct shoal_tcp_address address;
	struct shoal_tcp_timing timing;
	enum shoal_tcp_phase phase;
	bool polled; /* deadline_ns is set */
	int descriptor; /* owns; -1: none */
	int leftover; /* owns; to be closed in the next poll */
	uint64_t deadline_ns; /* of the phase; WAITING: when to connect, or until when the first should have come */
	uint64_t backoff_ns;
	uint64_t heard_ns, sent_ns, receive_again_ns;
	uint64_t connections; // writer: worker, readers: control
	uint32_t hello_received;
	uint8_t hello[SHOAL_TCP_HELLO_BYTES];
	struct shoal_tcp_out out;
	struct shoal_tcp_in in;
};

/* The only writer of link.state and link.reason. */
void shoal_tcp_link_transition(struct shoal_tcp_link *tcp, enum shoal_link_state state, const char *reason);
/* Closes the socket, forgets what was to be sent; whole received frames stay. */
void shoal_tcp_connection_close(struct shoal_tcp_link *tcp);
/* One step of the phase that it is in. */
void shoal_tcp_connection_poll(struct shoal_tcp_link *tcp, uint64_t now_ns);

#endif
