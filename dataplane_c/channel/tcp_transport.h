/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames over TCP: the transport between workers of different hosts. Non-blocking; system calls only in poll, a handful
 * for each. It connects again by itself as long as nobody says that the peer's life is over: frames that were under way
 * may then be lost or, if the layer above sends them again, repeated (`reliable` is false). BROKEN lasts at least
 * until the next poll, so that no loss goes unseen. A broken attempt's reason is in link->reason. */
#ifndef SHOAL_CHANNEL_TCP_TRANSPORT_H
#define SHOAL_CHANNEL_TCP_TRANSPORT_H

#include "channel/tcp_listener.h"
#include "channel/transport.h"

/* All in milliseconds. */
struct shoal_tcp_timing {
	uint32_t connect; /* from the attempt to the peer's hello */
	uint32_t heartbeat; /* sends one after so much silence of ours */
	uint32_t silent; /* BROKEN after so much silence of the peer's */
	uint32_t
		user_timeout; /* TCP_USER_TIMEOUT; above `silent`: it also ends a connection whose peer takes nothing */
	uint32_t backoff_first, backoff_most; /* between attempts; doubles */
	uint32_t idle_gap_us; /* after an empty receive the next comes no sooner: an idle link costs no system calls */
};
extern const struct shoal_tcp_timing shoal_tcp_timing_default;

struct shoal_tcp_peer {
	uint16_t member;
	uint64_t life;
};

/* The side that waits. Borrows the listener. NULL with errno; EBUSY: that member has a link already (an ended one does
 * not count). `timing` NULL: the default. */
struct shoal_link *shoal_tcp_link_listen(
	struct shoal_tcp_listener *listener, const struct shoal_tcp_peer *peer, const struct shoal_tcp_timing *timing);
/* The side that connects; the address is numeric. NULL with errno. */
struct shoal_link *shoal_tcp_link_connect(const struct shoal_tcp_identity *self, const struct shoal_tcp_peer *peer,
	const char *address, uint16_t port, const struct shoal_tcp_timing *timing);

/* The peer's life is over: ENDED; frames that had come before can still be taken. `reason` is static text. */
void shoal_tcp_link_ended(struct shoal_link *link, const char *reason);

/* How often it came UP. */
uint64_t shoal_tcp_link_connections(const struct shoal_link *link);

#endif
