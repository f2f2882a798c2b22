/* SPDX-License-Identifier: BSD-3-Clause */
/* A server's replies (RESP 2), read where they lie in the receive buffer: nothing is copied, nothing allocated. */
#ifndef SHOAL_PLANE_REMOTE_REPLY_H
#define SHOAL_PLANE_REMOTE_REPLY_H

#include <shoal/types.h>

enum shoal_reply_kind {
	SHOAL_REPLY_NIL,
	SHOAL_REPLY_STATUS,
	SHOAL_REPLY_ERROR,
	SHOAL_REPLY_INTEGER,
	SHOAL_REPLY_BULK,
	SHOAL_REPLY_ARRAY, /* its elements follow it */
};

/* Borrows the receive buffer. */
struct shoal_reply {
	enum shoal_reply_kind kind;
	uint32_t length; /* of the bytes; of an array: elements */
	int64_t integer;
	const uint8_t *bytes;
};

/* Reads one whole reply into `nodes`, in order, an array before its elements. Bytes that it takes up; 0: not all of it is
 * here yet; -EPROTO: this is no reply; -E2BIG: more nodes than `room`, or deeper than four arrays. */
long shoal_reply_parse(const uint8_t *bytes, size_t have, struct shoal_reply *nodes, unsigned room);

#endif
