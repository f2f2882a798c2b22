/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests and benchmarks: a real redis-server of one's own, on a unix socket in a temporary directory. It keeps every write
 * before it answers (unless asked not to), so that it can be killed. */
#ifndef SHOAL_PLANE_MADE_SERVER_H
#define SHOAL_PLANE_MADE_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

struct made_server {
	char directory[64];
	char address[96]; /* as the plane takes it: unix:… */
	bool keeps; /* every write, before it answers */
	int cpu; /* -1: any */
	pid_t process; /* 0: it does not run */
};

/* Waits until it answers. 0, or -errno: there is no redis-server, or it did not answer in time. */
int made_server_start(struct made_server *server, bool keeps, int cpu);
/* Once more, after a kill: with what it had kept. */
int made_server_restart(struct made_server *server);
void made_server_kill(struct made_server *server);
/* Keys that match; -1: it did not answer. */
long made_server_keys(const struct made_server *server, const char *pattern);
/* And removes its directory. */
void made_server_end(struct made_server *server);

#endif
