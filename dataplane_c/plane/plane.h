/* SPDX-License-Identifier: BSD-3-Clause */
/* Where an NF's objects live, chosen once for each worker. The NF's binary is the same on each: it calls what
 * struct shoal_runtime holds. The worker asks its plane once in a poll and once for a packet that goes to the packet handler;
 * the fast path, which finds declared objects in the local maps, is the same code on all of them: a plane on which nothing is
 * local leaves the maps empty.
 *     shared.c    the distributed object space: objects live where they are used; the default
 *     local.c     tables of this worker alone: what speed is compared with; wrong for state that instances share
 *     remote.c    a Redis or Valkey server: every access of the packet path reads and writes there */
#ifndef SHOAL_PLANE_PLANE_H
#define SHOAL_PLANE_PLANE_H

#include "object/fetch.h"

/* Where the remote plane's server is, and under which name the objects lie there. */
struct shoal_remote_config {
	char address[SHOAL_REMOTE_ADDRESS_BYTES]; /* unix:/path, or a numeric host:port */
	char name[SHOAL_NAME_BYTES]; /* keys begin with it: deployments of one name share their objects */
	uint64_t owner; /* of locks; never the same for two lives */
	uint32_t batch_max; /* packets whose state is asked for at once; 0: as many as may be suspended */
};

struct shoal_plane {
	const char *name;
	uint32_t objects_here; /* of each class, in the local maps; 0: as many as are asked for */
	/* After the space's init, in the control thread; may block for as long as its deadlines say, and gives a sentence
	 * (worker/error.h) where it fails. 0 or -errno. NULL: nothing to do. */
	int (*open)(struct shoal_space *space, const struct shoal_remote_config *remote);
	/* When nobody polls any more. NULL: nothing to do. */
	void (*close)(struct shoal_space *space);
	/* For the NF; without packet_release, which is the worker's. */
	struct shoal_runtime runtime;
	unsigned (*poll)(
		struct shoal_space *space, uint64_t now_ns); /* begin of a poll: sets the time; returns work done */
	void (*flush)(struct shoal_space *space); /* end of a poll: what is to be sent leaves */
	/* Whether a packet's declared object is elsewhere, and has been asked for; as shoal_fetch_begin. NULL: nothing is fetched, and
	 * packets go to their packet handler. */
	bool (*fetch)(struct shoal_space *space, struct shoal_fetch *fetch, uint8_t class, uint32_t entry);
	/* Packets that may begin now; the others stay in their ports. NULL: as many as come. */
	unsigned (*room)(const struct shoal_space *space);
	/* Waits until all that the running microthread has written is where it survives this worker. 0 or -errno: it is not
	 * known to be there, so the packet must not leave. NULL: a release is all that it takes. */
	int (*settle)(struct shoal_context *context) SHOAL_MAY_SUSPEND;
	void (*run_idle_task)(struct shoal_space *space, const struct shoal_idle_task *task) SHOAL_MAY_SUSPEND;
	/* For operators, of objects that lie elsewhere; in any thread but the worker's, as long as the worker is there. May block for as
	 * long as its deadline says. 0, rows filled, or -errno, with a sentence but for -ENOENT. NULL: they are in the local maps. */
	int (*state_get)(const struct shoal_space *space, uint8_t class, const void *key, struct shoal_state_row *row);
	long (*state_list)(
		const struct shoal_space *space, uint8_t class, uint64_t *cursor, struct shoal_state_row *rows, long n);
	int (*state_count)(const struct shoal_space *space, uint64_t *cursor, uint64_t *counts);
	void (*statistics)(
		const struct shoal_space *space, struct shoal_statistics *statistics); /* beside the space's; or NULL */
};

extern const struct shoal_plane shoal_plane_shared, shoal_plane_local, shoal_plane_remote;

/* By its kind (enum shoal_plane_kind); NULL: there is no such. */
const struct shoal_plane *shoal_plane_of_kind(int kind);

#endif
