/* SPDX-License-Identifier: BSD-3-Clause */
/* The first bytes of a connection, both ways: who speaks, to whom, in which cluster. Little-endian on the wire. */
#ifndef SHOAL_CHANNEL_TCP_HELLO_H
#define SHOAL_CHANNEL_TCP_HELLO_H

#include <shoal/types.h>

#define SHOAL_TCP_HELLO_BYTES 48u
#define SHOAL_TCP_VERSION 1u

/* A worker's name in its cluster. */
struct shoal_tcp_identity {
	uint64_t cluster;
	uint64_t life;
	uint16_t member;
};

/* Why a hello is refused. On the wire in the answer to it: values never change. */
enum shoal_tcp_refusal {
	SHOAL_TCP_ACCEPTED = 0,
	SHOAL_TCP_NOT_SHOAL = 1, /* never sent: such a peer gets no answer */
	SHOAL_TCP_VERSION_REFUSED = 2,
	SHOAL_TCP_CLUSTER_REFUSED = 3,
	SHOAL_TCP_MEMBER_REFUSED = 4, /* meant for another member, or from another than expected */
	SHOAL_TCP_LIFE_REFUSED = 5, /* meant for another life of this member */
	SHOAL_TCP_PEER_UNKNOWN = 6, /* not attached here, not yet or no more */
	SHOAL_TCP_PEER_LIFE_REFUSED = 7, /* the peer is attached here with another life */
	SHOAL_TCP_REFUSALS,
};

struct shoal_tcp_hello {
	struct shoal_tcp_identity from;
	uint16_t to_member;
	uint64_t to_life;
	uint32_t version;
	uint32_t refusal; /* enum shoal_tcp_refusal; ACCEPTED in the connecting side's */
};

void shoal_tcp_hello_write(const struct shoal_tcp_hello *hello, uint8_t bytes[SHOAL_TCP_HELLO_BYTES]);
/* false: these are not Shoal's bytes. */
SHOAL_MUST_USE bool shoal_tcp_hello_read(struct shoal_tcp_hello *hello, const uint8_t bytes[SHOAL_TCP_HELLO_BYTES]);
/* Whether `self` may go on with the sender of a hello that was read; who the sender should be is not looked at. */
enum shoal_tcp_refusal shoal_tcp_hello_check(
	const struct shoal_tcp_hello *hello, const struct shoal_tcp_identity *self);

/* As a sentence: what we found (theirs false), or what the peer told us. */
const char *shoal_tcp_refusal_text(uint32_t refusal, bool theirs);

#endif
