/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: a worker on the plane `remote`, whose only port takes what is transmitted and receives nothing; packets are put into it by
 * hand. */
#ifndef SHOAL_PLANE_MADE_WORKER_H
#define SHOAL_PLANE_MADE_WORKER_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/made_port.h"
#include "plane/made_server.h"
#include "plane/remote.h"
#include "worker/runner.h"
#include "worker/worker.h"

/* --- The only port of an NF, whose packets all belong to key 0 --- */

static inline uint8_t made_steer(const struct shoal_packet *packet)
{
	return 0;
}

static inline uint32_t made_keys(
	const struct shoal_context *context, struct shoal_packet *const packets[], unsigned n, void *out)
{
	memset(out, 0, 8 * n);
	return 0;
}

/* --- Its device --- */

static unsigned made_transmitted;

static inline unsigned made_receive(
	struct shoal_port *port, struct shoal_packet *packets[], unsigned n, uint64_t now_ns)
{
	return 0;
}

static inline unsigned made_transmit(struct shoal_port *port, struct shoal_packet *const packets[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		shoal_packet_free(packets[i]);
	made_transmitted += n;
	return n;
}

static inline void made_flush(struct shoal_port *port)
{
}

static const struct shoal_port_operations made_operations = {
	.receive = made_receive, .transmit = made_transmit, .flush = made_flush
};
static struct shoal_port made_sink = { .operations = &made_operations };

/* --- The worker --- */

/* Its objects lie at that address under the NF's name. The caller ends and frees it. */
static inline struct shoal_worker *made_worker(
	const struct shoal_nf *nf, uint64_t life, const char *address, uint64_t deadline_ns)
{
	struct shoal_worker *worker = aligned_alloc(SHOAL_CACHE_LINE, (sizeof(*worker) + 63) / 64 * 64);
	struct shoal_worker_config config = { .space = { .life = life,
						      .hash_seed = 1,
						      .classes = nf->classes,
						      .classes_count = nf->classes_count,
						      .objects_max = 64,
						      .window = 16,
						      .microthreads_max = 16,
						      .members_max = 1,
						      .deadline_ns = deadline_ns,
						      .resend_ns = SHOAL_NS_PER_S },
		.nf = nf,
		.parked_max = 16,
		.backlog_max = 16,
		.stack_bytes = 32768,
		.plane = &shoal_plane_remote,
		.remote = { .owner = life } };

	snprintf(config.remote.address, sizeof(config.remote.address), "%s", address);
	snprintf(config.remote.name, sizeof(config.remote.name), "%s", nf->name);
	assert_int_equal(shoal_worker_init(worker, &config), 0);
	worker->ports[0] = &made_sink;
	return worker;
}

/* A packet that its next poll begins with. */
static inline struct shoal_packet *made_worker_packet(struct shoal_worker *worker)
{
	struct made_frame frame;
	struct shoal_packet *packet;

	made_udp_frame(&frame, 1);
	packet = made_packet(&frame);
	packet->port = 0;
	packet->steering_slot = 0;
	packet->next = NULL;
	worker->reentering.first = worker->reentering.last = packet;
	worker->reentering.count = 1;
	return packet;
}

static inline redisContext *made_server_connect(const struct made_server *server)
{
	redisContext *context = redisConnectUnix(server->address + strlen("unix:"));

	assert_true(context && !context->err);
	return context;
}

static inline int made_worker_set_up(const char *name)
{
	static char prefix[64];

	snprintf(prefix, sizeof(prefix), "%s-test-%d", name, (int)getpid());
	return made_pool_set_up(prefix);
}

#endif
