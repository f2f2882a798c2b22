/* SPDX-License-Identifier: BSD-3-Clause */
/* One worker's TCP listener: accepts connections, reads their hellos, and offers each to the link that it is for. Polled
 * by the links. */
#ifndef SHOAL_CHANNEL_TCP_LISTENER_H
#define SHOAL_CHANNEL_TCP_LISTENER_H

#include "channel/tcp_hello.h"

struct shoal_tcp_listener;

/* NULL with errno. Address is numeric; port 0: any. */
struct shoal_tcp_listener *shoal_tcp_listener_create(
	const char *address, uint16_t port, const struct shoal_tcp_identity *self);
/* After its links. */
void shoal_tcp_listener_destroy(struct shoal_tcp_listener *listener);
/* The port that it listens at. */
uint16_t shoal_tcp_listener_port(const struct shoal_tcp_listener *listener);
/* Hellos refused since start, by reason. */
uint64_t shoal_tcp_listener_refused(const struct shoal_tcp_listener *listener, enum shoal_tcp_refusal refusal);

/* --- for links --- */

const struct shoal_tcp_identity *shoal_tcp_listener_identity(const struct shoal_tcp_listener *listener);
/* Accepts and reads hellos, boundedly; may be called by every link in a worker's poll. */
void shoal_tcp_listener_poll(struct shoal_tcp_listener *listener, uint64_t now_ns);
/* From now on connections of that member's life are wanted. -EBUSY: another link wants that member. */
SHOAL_MUST_USE int shoal_tcp_listener_open_door(struct shoal_tcp_listener *listener, uint16_t member, uint64_t life);
/* The newest connection of that member whose hello was right (owned by the caller, its answer not yet sent), or -1. */
int shoal_tcp_listener_take(struct shoal_tcp_listener *listener, uint16_t member);
bool shoal_tcp_listener_offers(const struct shoal_tcp_listener *listener, uint16_t member);
/* No more; returns as take does. */
int shoal_tcp_listener_close_door(struct shoal_tcp_listener *listener, uint16_t member);

#endif
