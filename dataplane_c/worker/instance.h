/* SPDX-License-Identifier: BSD-3-Clause */
/* One instance's data plane in a process: its NF, its packets, its worker, and the mailbox through which control threads
 * reach it. Public part in shoal/dataplane.h; instance.c (life), instance_peers.c (ports and channels), instance_pipe.c (a thread that receives), instance_plan.c
 * (reorganisation), instance_view.c (deaths), instance_fence.c (between hosts), instance_state.c (statistics, objects, control tasks). */
#ifndef SHOAL_WORKER_INSTANCE_H
#define SHOAL_WORKER_INSTANCE_H

#include <pthread.h>
#include <shoal/dataplane.h>
#include "channel/tcp_listener.h"
#include "io/nf_loader.h"
#include "worker/mailbox.h"
#include "worker/worker.h"

#define SHOAL_INSTANCE_COMMAND_MS 2000

struct shoal_instance {
	struct shoal_worker worker; /* the worker thread's */
	struct shoal_mailbox mailbox;
	struct shoal_mailbox pipe_mailbox; /* the receiver's */
	struct shoal_pipe *pipe; /* owns; NULL: the worker receives */
	pthread_mutex_t commands; /* one command at a time */
	struct shoal_instance_config config;
	struct shoal_nf_library *library; /* owns */
	void *nf_state; /* owns */
	struct rte_mempool *pool; /* owns */
	struct shoal_tcp_listener *listener; /* owns */
	struct shoal_runner *runner, *pipe_runner; /* borrows */
	struct shoal_control_task *task; /* owns; the last one, kept while the worker may still write it */
	bool nf_ready;
	bool peer_is_tcp[SHOAL_MEMBERS_MAX]; /* by member; the worker thread's */
};

/* Runs a function in the worker, between two packets. Its answer, or -ETIMEDOUT with a sentence. */
int shoal_instance_command(struct shoal_instance *instance, shoal_command_function function, void *argument);

/* instance_pipe.c; between two polls of the receiver, where there is one. 0, or -ETIMEDOUT with a sentence. */
int shoal_instance_open_pipe(struct shoal_instance *instance);
int shoal_instance_pipe_ring(struct shoal_instance *instance, struct shoal_packet_ring *ring);
int shoal_instance_pipe_port(struct shoal_instance *instance, uint8_t nf_port, struct shoal_port *port);
int shoal_instance_pipe_drain(struct shoal_instance *instance, bool draining);

#endif
