/* SPDX-License-Identifier: BSD-3-Clause */
/* The fence as control sees it (fence.h). */
#include <errno.h>
#include <string.h>
#include "worker/error.h"
#include "worker/instance.h"

struct look {
	uint64_t asked_ns;
	struct shoal_fence_progress *progress;
};

static void fill(struct shoal_instance *instance, struct shoal_fence_progress *progress, uint64_t now_ns)
{
	const struct shoal_worker *worker = &instance->worker;
	const struct shoal_keyspace *keyspace = &worker->space.keyspace;
	uint64_t members = (keyspace->in_now | keyspace->in_next) & worker->fence.remote;

	memset(progress, 0, sizeof(*progress));
	progress->state = worker->fence.state;
	progress->clock_ns = now_ns;
	progress->holds = worker->fence.holds;
	progress->held_ms = shoal_fence_held_ns(&worker->fence, now_ns) / SHOAL_NS_PER_MS;
	for (; members; members &= members - 1) {
		uint8_t member = (uint8_t)__builtin_ctzll(members);

		progress->remote[member] = 1;
		progress->silent_ms[member] =
			(uint32_t)(shoal_channel_silent_ns(worker->space.channel, member, now_ns) / SHOAL_NS_PER_MS);
	}
}

static int keep(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_instance *instance = component;
	struct look *look = argument;
	bool asked = shoal_fence_voice(&instance->worker.fence, look->asked_ns, now_ns);

	fill(instance, look->progress, now_ns);
	return asked ? 0 : -EINVAL;
}

int shoal_instance_keep_alive(struct shoal_instance *instance, uint64_t asked_ns, struct shoal_fence_progress *progress)
{
	struct look look = { .asked_ns = asked_ns, .progress = progress };
	int error = shoal_instance_command(instance, keep, &look);

	if (!error)
		return 0;
	return shoal_error(-error, "instance %s: %s", instance->config.name,
		error == -EINVAL ? "that time has not come yet" : "its worker did not answer");
}

static int shut(void *component, void *argument, uint64_t now_ns)
{
	shoal_fence_shut(&((struct shoal_instance *)component)->worker.fence, now_ns);
	return 0;
}

int shoal_instance_fence(struct shoal_instance *instance)
{
	int error = shoal_instance_command(instance, shut, NULL);

	return error ? shoal_error(-error, "instance %s: its worker did not answer", instance->config.name) : 0;
}
