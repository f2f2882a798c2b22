/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames in a stream of bytes, and the two buffers of a TCP link: private memory of fixed size, no system calls. On the
 * wire a frame is {length, number}, 4 bytes each, little-endian, then its bytes, padded with zeros to a multiple of 8.
 * Numbers count from 0 in each connection, so that a stream that went astray is noticed; length 0 is a heartbeat. */
#ifndef SHOAL_CHANNEL_TCP_FRAME_H
#define SHOAL_CHANNEL_TCP_FRAME_H

#include "channel/transport.h"

#define SHOAL_TCP_FRAME_HEADER_BYTES 8u
#define SHOAL_TCP_BUFFER_BYTES (128u << 10)

/* Bytes that wait to be sent. */
struct shoal_tcp_out {
	uint8_t *bytes; /* owns */
	uint32_t start, end; /* bytes not sent yet */
	uint32_t reserved; /* length of the open reservation; 0: none */
	uint32_t number; /* of the next frame */
};

SHOAL_MUST_USE int shoal_tcp_out_init(struct shoal_tcp_out *out); /* 0 or -ENOMEM */
void shoal_tcp_out_fini(struct shoal_tcp_out *out);
/* Room for a frame of 1 to SHOAL_CHANNEL_FRAME_BYTES_MAX bytes, 8-aligned; NULL: no such length, or no room. */
void *shoal_tcp_out_reserve(struct shoal_tcp_out *out, uint32_t length);
void shoal_tcp_out_commit(struct shoal_tcp_out *out, uint32_t length);
/* false: no room. */
bool shoal_tcp_out_heartbeat(struct shoal_tcp_out *out);
static inline uint32_t shoal_tcp_out_waiting(const struct shoal_tcp_out *out)
{
	return out->end - out->start;
}
/* The first `bytes` that waited have been sent. */
void shoal_tcp_out_sent(struct shoal_tcp_out *out, uint32_t bytes);
/* For a new connection: forgets what waits, numbers from 0. */
void shoal_tcp_out_reset(struct shoal_tcp_out *out);

/* Bytes that came. */
struct shoal_tcp_in {
	uint8_t *bytes; /* owns */
	uint32_t start; /* of the oldest frame not consumed */
	uint32_t checked; /* whole, checked frames end here */
	uint32_t end;
	uint32_t number; /* that the next frame must have */
};

SHOAL_MUST_USE int shoal_tcp_in_init(struct shoal_tcp_in *in);
void shoal_tcp_in_fini(struct shoal_tcp_in *in);
/* Where to receive, and how much at most; 0: full until frames are consumed. Frames borrowed by peek are dead after it. */
uint8_t *shoal_tcp_in_room(struct shoal_tcp_in *in, uint32_t *bytes);
/* `bytes` were received there. NULL, or what is wrong with them (static text); whole frames before it stay. */
const char *shoal_tcp_in_received(struct shoal_tcp_in *in, uint32_t bytes);
const void *shoal_tcp_in_peek(struct shoal_tcp_in *in, uint32_t *length);
void shoal_tcp_in_consume(struct shoal_tcp_in *in);
/* For a new connection: whole frames stay, the part of one is forgotten, numbers from 0. */
void shoal_tcp_in_reset(struct shoal_tcp_in *in);

#endif
