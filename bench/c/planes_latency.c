/* SPDX-License-Identifier: BSD-3-Clause */
#include "planes_latency.h"

#include <stdlib.h>
#include <string.h>

#include "worker/pipe.h"
#include "worker/runner.h"

#define PAYLOAD 44 /* of a frame: there the due time travels */
#define DEADLINE_NS (60 * SHOAL_NS_PER_S)

/* --- At a steady rate --- */

static struct {
	uint64_t begin_ns, packets;
	double interval_ns;
	uint64_t given; /* writer: who receives */
	struct shoal_latency *latency; /* borrows; writer: who transmits */
} steady;

static uint64_t due_ns(uint64_t packet)
{
	return steady.begin_ns + (uint64_t)((double)packet * steady.interval_ns);
}

static unsigned receive_due(struct shoal_port *port, struct shoal_packet *packets[], unsigned n, uint64_t now_ns)
{
	uint64_t due =
		now_ns < steady.begin_ns ? 0 : (uint64_t)((double)(now_ns - steady.begin_ns) / steady.interval_ns) + 1;

	due = (due < steady.packets ? due : steady.packets) - steady.given;
	n = source_receive(port, packets, n < due ? n : (unsigned)due, now_ns);
	for (unsigned i = 0; i < n; i++) {
		uint64_t since = due_ns(steady.given++);

		memcpy(packets[i]->frame + PAYLOAD, &since, sizeof(since));
	}
	return n;
}

static unsigned transmit_timed(struct shoal_port *port, struct shoal_packet *const packets[], unsigned n)
{
	uint64_t now = shoal_clock_now(), since;

	for (unsigned i = 0; i < n; i++) {
		memcpy(&since, packets[i]->frame + PAYLOAD, sizeof(since));
		shoal_latency_add(steady.latency, now > since ? now - since : 0);
	}
	return source_transmit(port, packets, n);
}

static void without_effect(struct shoal_port *port)
{
}

static const struct shoal_port_operations timed = {
	.receive = receive_due, .transmit = transmit_timed, .flush = without_effect, .destroy = without_effect
};

void planes_latency_measure(
	struct nat_world *world, double interval_ns, uint64_t duration_ns, int cpu, struct shoal_latency *latency)
{
	const struct shoal_port_operations *plain[2] = { world->source.port.operations, world->sink.port.operations };
	uint64_t packets = (uint64_t)((double)duration_ns / interval_ns), out = world->sink.out, begin;
	struct planes_pipe *pipe = NULL;

	memset(latency, 0, sizeof(*latency));
	begin = shoal_clock_now();
	steady.begin_ns = begin + SHOAL_NS_PER_MS;
	steady.interval_ns = interval_ns;
	steady.packets = packets;
	steady.given = 0;
	steady.latency = latency;
	world->source.room = (uint32_t)packets;
	world->source.port.operations = world->sink.port.operations = &timed;
	if (cpu >= 0)
		pipe = planes_pipe_start(world, cpu);
	for (uint64_t now = begin; world->sink.out - out < packets; now = shoal_clock_now()) {
		shoal_worker_poll(world->worker, now);
		if (now - begin > DEADLINE_NS)
			bench_fail(world->bench, "packets do not come back");
	}
	planes_pipe_stop(pipe);
	world->source.port.operations = plain[0];
	world->sink.port.operations = plain[1];
}

/* --- The pipe --- */

struct planes_pipe {
	struct nat_world *world; /* borrows */
	struct shoal_pipe *pipe; /* owns */
	struct shoal_runner *runner; /* owns */
};

struct planes_pipe *planes_pipe_start(struct nat_world *world, int cpu)
{
	const struct shoal_runner_config config = { "receiver", cpu, SHOAL_IDLE_YIELD, 1, 0 };
	struct planes_pipe *pipe = calloc(1, sizeof(*pipe));

	if (!pipe)
		bench_fail(world->bench, "no memory for a pipe");
	*pipe = (struct planes_pipe){ world, shoal_pipe_create(), shoal_runner_create(&config) };
	if (!pipe->pipe || !pipe->runner || shoal_runner_add(pipe->runner, shoal_pipe_poll, pipe->pipe))
		bench_fail(world->bench, "no memory for a pipe");
	shoal_pipe_set_port(pipe->pipe, 0, &world->source.port);
	world->worker->pipe = pipe->pipe;
	if (shoal_runner_start(pipe->runner))
		bench_fail(world->bench, "the thread that receives did not start");
	return pipe;
}

void planes_pipe_stop(struct planes_pipe *pipe)
{
	if (!pipe)
		return;
	if (shoal_runner_stop(pipe->runner))
		bench_fail(pipe->world->bench, "the thread that receives did not stop");
	shoal_runner_destroy(pipe->runner);
	if (shoal_pipe_waiting(pipe->pipe))
		bench_fail(pipe->world->bench, "packets were left in the pipe");
	pipe->world->worker->pipe = NULL;
	shoal_pipe_destroy(pipe->pipe);
	free(pipe);
}
