/* SPDX-License-Identifier: BSD-3-Clause */
/* The pipe of StatelessNF §5.1: two threads and a lockless queue. The first thread polls ring and devices for packets and puts
 * them into the queue; the second one is the worker's, which takes them from there and does all else: state, the NF, output.
 * So a device is emptied while the worker talks to a store. In order: one queue for all inputs, markers in their places.
 *
 *     ring, devices -> (receiver: shoal_pipe_poll) -> queue -> (worker: shoal_pipe_receive, shoal_pipe_take_marker)
 *
 * Full, it receives nothing: packets wait where they came from, whose overflow is counted there. */
#ifndef SHOAL_WORKER_PIPE_H
#define SHOAL_WORKER_PIPE_H

#include "io/packet_ring.h"
#include "worker/statistics.h"

#define SHOAL_PIPE_PACKETS 1024u /* the most that wait in it */

struct shoal_pipe;

/* NULL with errno. */
struct shoal_pipe *shoal_pipe_create(void);
/* When nobody polls any more, and it is empty. */
void shoal_pipe_destroy(struct shoal_pipe *pipe);

/* --- Receiver --- */

/* What it reads from; NULL: no more. Borrows; whoever had it read from it before has stopped to. */
void shoal_pipe_set_ring(struct shoal_pipe *pipe, struct shoal_packet_ring *ring);
void shoal_pipe_set_port(struct shoal_pipe *pipe, uint8_t nf_port, struct shoal_port *port);
/* Draining: reads devices no more, the ring yet. */
void shoal_pipe_set_draining(struct shoal_pipe *pipe, bool draining);
/* One poll; packets and markers that it put into the queue. */
unsigned shoal_pipe_poll(void *pipe, uint64_t now_ns);

/* --- Worker --- */

/* Up to n packets, none from behind a marker that was not taken. */
unsigned shoal_pipe_receive(struct shoal_pipe *pipe, struct shoal_packet *packets[], unsigned n);
/* The next marker, if all packets before it were received. */
bool shoal_pipe_take_marker(struct shoal_pipe *pipe, uint8_t *steering_slot, uint32_t *marker);

/* --- Any thread --- */

/* Packets in the queue. */
uint32_t shoal_pipe_waiting(const struct shoal_pipe *pipe);
void shoal_pipe_statistics(const struct shoal_pipe *pipe, struct shoal_statistics *statistics);

#endif
