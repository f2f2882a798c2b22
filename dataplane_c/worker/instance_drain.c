/* SPDX-License-Identifier: BSD-3-Clause */
/* An instance that is to end finishes what it has in hand, and says what is left. */
#include <string.h>
#include "worker/error.h"
#include "worker/instance.h"

struct drain {
	bool draining;
	struct shoal_drain_progress *progress;
};

static void let_held_go(struct shoal_worker *worker)
{
	for (unsigned slot = 0; slot < SHOAL_STEERING_SLOTS && worker->held && worker->nf->release; slot++)
		worker->nf->release(&worker->context.context, (uint8_t)slot);
}

static void fill(const struct shoal_worker *worker, struct shoal_drain_progress *progress)
{
	memset(progress, 0, sizeof(*progress));
	progress->draining = worker->draining;
	progress->packets = shoal_worker_inside(worker) + worker->taken_in;
	progress->microthreads = shoal_scheduler_suspended(worker->scheduler) + worker->space.fetches;
	progress->requests = worker->space.outstanding;
	for (unsigned member = 0; member < SHOAL_MEMBERS_MAX; member++)
		progress->channel_bytes += shoal_channel_waiting(worker->space.channel, (uint8_t)member);
	progress->empty = progress->draining && !progress->packets && !progress->microthreads && !progress->requests &&
	                  !progress->channel_bytes;
}

static int drain(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_worker *worker = &((struct shoal_instance *)component)->worker;
	struct drain *wanted = argument;

	/* What came in the last poll may be in hand yet, and nobody has looked since: not empty before the next one. */
	if (wanted->draining && !worker->draining)
		worker->taken_in++;
	worker->draining = wanted->draining;
	if (worker->draining && shoal_worker_allowed(worker, now_ns))
		let_held_go(worker);
	fill(worker, wanted->progress);
	return 0;
}

int shoal_instance_drain(struct shoal_instance *instance, int draining, struct shoal_drain_progress *progress)
{
	struct drain wanted = { .draining = draining != 0, .progress = progress };
	int error = shoal_instance_pipe_drain(instance, wanted.draining);

	if (!error)
		error = shoal_instance_command(instance, drain, &wanted);

	return error ? shoal_error(-error, "instance %s: its worker did not answer", instance->config.name) : 0;
}
