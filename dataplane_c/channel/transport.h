/* SPDX-License-Identifier: BSD-3-Clause */
/* The seam below the channel: carries frames between this worker and one peer. Implementations: ring_transport (one
 * host), tcp_transport (between hosts), and the simulator's. The channel above numbers and acknowledges frames; a
 * transport that may lose, repeat or reorder them says so with `reliable` false. */
#ifndef SHOAL_CHANNEL_TRANSPORT_H
#define SHOAL_CHANNEL_TRANSPORT_H

#include <shoal/types.h>

/* Largest frame. Frames pack what one poll has for a peer up to SHOAL_CHANNEL_FRAME_BYTES; a single message may be longer. */
#define SHOAL_CHANNEL_FRAME_BYTES 4096
#define SHOAL_CHANNEL_FRAME_BYTES_MAX 20480

enum shoal_link_state {
	SHOAL_LINK_CONNECTING,
	SHOAL_LINK_UP,
	SHOAL_LINK_BROKEN, /* frames may be lost from here on; may come UP again by itself */
	SHOAL_LINK_ENDED, /* the peer's life is over; never comes back */
};

struct shoal_link;

struct shoal_link_operations {
	/* Room for one frame of up to `length` bytes, or NULL (no room now, or not UP). Borrowed until commit. */
	void *(*reserve)(struct shoal_link *link, uint32_t length);
	void (*commit)(struct shoal_link *link, uint32_t length);
	/* Oldest received frame, or NULL; borrowed until consume. */
	const void *(*peek)(struct shoal_link *link, uint32_t *length);
	void (*consume)(struct shoal_link *link);
	/* Once for each worker poll, after all commits and consumes: pushes bytes out, publishes positions, keeps
	 * heartbeats and deadlines. The only place where a transport may make system calls (bounded in number). */
	void (*poll)(struct shoal_link *link, uint64_t now_ns);
	/* Bytes that wait to leave, for metrics. */
	uint32_t (*depth)(const struct shoal_link *link);
	/* Frames that were committed and that the peer never took, oldest first; after ENDED. `first` begins anew. NULL: no more.
	 * The operation is NULL for a transport that keeps none (the channel does, where a link is not reliable). */
	const void *(*untaken)(struct shoal_link *link, bool first, uint32_t *length);
	void (*destroy)(struct shoal_link *link);
};

/* First member of every transport's own structure. writer: worker, readers: control (state, reason). */
struct shoal_link {
	const struct shoal_link_operations *operations;
	enum shoal_link_state state;
	bool reliable; /* in order, exactly once, while it stays UP */
	const char *reason; /* why it is BROKEN or ENDED; static text */
};

#endif
