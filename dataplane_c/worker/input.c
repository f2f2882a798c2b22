/* SPDX-License-Identifier: BSD-3-Clause */
/* How packets come in: from ring and devices, or from the queue that a receiver on another thread fills (worker/pipe.h). */
#include <string.h>
#include "worker/burst.h"
#include "worker/pipe.h"

/* Suspended packets go on before new ones come in; a full backlog stops the intake. */
#define BURSTS 4
#define THE_OTHER SHOAL_NF_PORTS_MAX /* the ring; with a pipe, all that comes */

/* Two bursts at a time, where that pays. */
struct pipeline {
	struct shoal_burst bursts[2];
	struct shoal_burst *begun; /* the one whose objects are being prefetched, or NULL */
};

static struct shoal_burst *fresh_burst(struct pipeline *pipeline)
{
	return &pipeline->bursts[pipeline->begun == &pipeline->bursts[0]];
}

static void end_begun(struct shoal_worker *worker, struct pipeline *pipeline)
{
	if (pipeline->begun)
		shoal_burst_end(worker, pipeline->begun);
	pipeline->begun = NULL;
}

/* The other burst ends between the stages that prefetch: so nothing changes between a burst's match and its end, and packets
 * leave in order. */
static void run_burst(struct shoal_worker *worker, struct pipeline *pipeline, struct shoal_burst *burst)
{
	shoal_burst_begin(worker, burst);
	end_begun(worker, pipeline);
	shoal_burst_match(worker, burst);
	if (worker->declared[burst->port]->count >= worker->ahead_from)
		pipeline->begun = burst;
	else
		shoal_burst_end(worker, burst);
}

/* Each port's packets are a burst of their own. A packet that has gone through its burst is no longer the worker's: ports are
 * read first. */
static void split_by_port(
	struct shoal_worker *worker, struct pipeline *pipeline, struct shoal_packet *const packets[], unsigned n)
{
	uint32_t left = UINT32_MAX >> (32 - n);

	while (left) {
		struct shoal_burst *burst = fresh_burst(pipeline);

		burst->port = packets[__builtin_ctz(left)]->port;
		burst->count = 0;
		for (uint32_t at = left; at; at &= at - 1) {
			unsigned i = (unsigned)__builtin_ctz(at);

			if (packets[i]->port != burst->port)
				continue;
			burst->packets[burst->count++] = packets[i];
			left &= ~(1u << i);
		}
		if (burst->port < worker->nf->ports_count) {
			run_burst(worker, pipeline, burst);
			continue;
		}
		for (unsigned i = 0; i < burst->count; i++)
			shoal_worker_drop(worker, burst->packets[i], SHOAL_WORKER_DROP_NO_PORT);
	}
}

/* Packets that came in together; usually all are of one NF port. */
static void run_received(struct shoal_worker *worker, struct pipeline *pipeline, struct shoal_burst *burst)
{
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	uint8_t port = burst->packets[0]->port, others = 0;

	for (unsigned i = 1; i < burst->count; i++)
		others |= burst->packets[i]->port ^ port;
	burst->port = port;
	if (SHOAL_LIKELY(!others && port < worker->nf->ports_count)) {
		run_burst(worker, pipeline, burst);
		return;
	}
	memcpy(packets, burst->packets, burst->count * sizeof(packets[0]));
	split_by_port(worker, pipeline, packets, burst->count);
}

/* Where every packet waits for its state, no more come in than may wait: the others do so in their port. */
static unsigned room(const struct shoal_worker *worker)
{
	unsigned packets = worker->plane->room(&worker->space);

	if (worker->parked >= worker->config.parked_max / 2)
		return 0;
	return packets < SHOAL_BURST_MAX ? packets : SHOAL_BURST_MAX;
}

/* `port` NULL: the pipe. */
static unsigned receive(struct shoal_worker *worker, struct pipeline *pipeline, struct shoal_port *port)
{
	struct shoal_burst *burst = fresh_burst(pipeline);
	unsigned most = worker->plane->room ? room(worker) : SHOAL_BURST_MAX, n = 0;

	if (most)
		n = port ? port->operations->receive(port, burst->packets, most, worker->space.now_ns)
		         : shoal_pipe_receive(worker->pipe, burst->packets, most);
	burst->count = n;
	if (!n)
		return 0;
	burst->port = burst->packets[0]->port;
	if (SHOAL_LIKELY(port && port->of_one && burst->port < worker->nf->ports_count))
		run_burst(worker, pipeline, burst);
	else
		run_received(worker, pipeline, burst);
	return n;
}

static unsigned receive_reentering(struct shoal_worker *worker, struct pipeline *pipeline)
{
	struct shoal_burst *burst = fresh_burst(pipeline);
	unsigned n = 0;

	while (n < SHOAL_BURST_MAX && worker->reentering.first)
		burst->packets[n++] = shoal_packet_list_pop(&worker->reentering);
	burst->count = n;
	run_received(worker, pipeline, burst);
	return n;
}

static bool intake_open(const struct shoal_worker *worker)
{
	for (unsigned output = 0; worker->backlogged && output <= SHOAL_NF_PORTS_MAX; output++)
		if (worker->output[output].backlog.count > worker->config.backlog_max / 2)
			return false;
	return true;
}

static struct shoal_port *input_port(const struct shoal_worker *worker, unsigned input)
{
	if (worker->pipe)
		return NULL;
	return input == THE_OTHER ? shoal_packet_ring_port(worker->ring) : worker->ports[input];
}

static unsigned receive_all(struct shoal_worker *worker, struct pipeline *pipeline)
{
	uint32_t open = 0; /* bit for each input */
	unsigned work = 0;

	if (worker->ring || worker->pipe)
		open |= 1u << THE_OTHER;
	for (unsigned port = 0; port < worker->nf->ports_count && !worker->draining && !worker->pipe; port++)
		open |= (unsigned)(worker->ports[port] != NULL) << port;
	/* In turn; one that has no more is not asked again in this poll. */
	for (unsigned burst = 0; burst < BURSTS; burst++) {
		for (uint32_t left = open; left; left &= left - 1) {
			unsigned input = (unsigned)__builtin_ctz(left);
			unsigned n = receive(worker, pipeline, input_port(worker, input));

			work += n;
			if (n < SHOAL_BURST_MAX)
				open &= ~(1u << input);
		}
	}
	return work;
}

unsigned shoal_worker_take_in(struct shoal_worker *worker)
{
	struct pipeline pipeline;
	unsigned work = 0;

	pipeline.begun = NULL;
	shoal_burst_place(worker, &pipeline.bursts[0], 0);
	shoal_burst_place(worker, &pipeline.bursts[1], 1);
	if (worker->reentering.first)
		work += receive_reentering(worker, &pipeline);
	if (intake_open(worker))
		work += receive_all(worker, &pipeline);
	end_begun(worker, &pipeline);
	return work;
}

bool shoal_worker_take_marker(struct shoal_worker *worker, uint8_t *steering_slot, uint32_t *marker)
{
	if (worker->pipe)
		return shoal_pipe_take_marker(worker->pipe, steering_slot, marker);
	return shoal_packet_ring_take_marker(worker->ring, steering_slot, marker);
}

void shoal_worker_empty_pipe(struct shoal_worker *worker, enum shoal_worker_drop reason)
{
	struct shoal_packet *packet;
	uint8_t steering_slot;
	uint32_t marker;

	if (!worker->pipe)
		return;
	do {
		while (shoal_pipe_receive(worker->pipe, &packet, 1))
			shoal_worker_drop(worker, packet, reason);
	} while (shoal_pipe_take_marker(worker->pipe, &steering_slot, &marker));
}
