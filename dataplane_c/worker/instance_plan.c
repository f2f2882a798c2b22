/* SPDX-License-Identifier: BSD-3-Clause */
/* The controller's commands of a reorganisation, carried to the worker. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "worker/error.h"
#include "worker/instance.h"

struct plan_command {
	int (*command)(struct shoal_space *space, uint64_t term, uint64_t epoch);
	const struct shoal_plan *plan;
	uint64_t term, epoch;
	char sentence[512]; /* the worker's, which is another thread's */
};

/* Not before all have heard this worker, so that its fence stays open. */
static int learn(struct shoal_instance *instance, const struct shoal_plan *plan, uint64_t now_ns)
{
	const struct shoal_fence *fence = &instance->worker.fence;

	for (uint8_t member = 0; fence->lease_ns && member < SHOAL_MEMBERS_MAX; member++) {
		bool remote = (plan->in_now[member] || plan->in_next[member]) && fence->remote >> member & 1;

		if (remote && shoal_channel_heard(instance->worker.space.channel, member) + fence->lease_ns <= now_ns)
			return shoal_error(ENOTCONN, "member %u has not answered yet", member);
	}
	return shoal_keyspace_learn(&instance->worker.space, plan);
}

static int run_in_worker(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_instance *instance = component;
	struct plan_command *command = argument;
	int error = command->plan ? learn(instance, command->plan, now_ns)
	                          : command->command(&instance->worker.space, command->term, command->epoch);

	if (error)
		snprintf(command->sentence, sizeof(command->sentence), "%s", shoal_last_error());
	return error;
}

static int run(struct shoal_instance *instance, struct plan_command *command)
{
	int error = shoal_instance_command(instance, run_in_worker, command);

	if (error && !command->sentence[0])
		return shoal_error(-error, "instance %s: its worker did not take the command: %s",
			instance->config.name, strerror(-error));
	return error ? shoal_error(-error, "%s", command->sentence) : 0;
}

int shoal_instance_learn(struct shoal_instance *instance, const struct shoal_plan *plan)
{
	struct plan_command command = { .plan = plan };

	return run(instance, &command);
}

int shoal_instance_abandon(struct shoal_instance *instance, uint64_t term, uint64_t epoch)
{
	struct plan_command command = { .command = shoal_keyspace_abandon, .term = term, .epoch = epoch };

	return run(instance, &command);
}

int shoal_instance_hand_over(struct shoal_instance *instance, uint64_t term, uint64_t epoch)
{
	struct plan_command command = { .command = shoal_keyspace_hand_over, .term = term, .epoch = epoch };

	return run(instance, &command);
}

int shoal_instance_markers_back(struct shoal_instance *instance, uint64_t term, uint64_t epoch)
{
	struct plan_command command = { .command = shoal_keyspace_markers_back, .term = term, .epoch = epoch };

	return run(instance, &command);
}

int shoal_instance_forget(struct shoal_instance *instance, uint64_t term, uint64_t epoch)
{
	struct plan_command command = { .command = shoal_keyspace_forget, .term = term, .epoch = epoch };

	return run(instance, &command);
}

static int look(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_instance *instance = component;

	shoal_keyspace_progress(&instance->worker.space, argument);
	return 0;
}

int shoal_instance_progress(struct shoal_instance *instance, struct shoal_progress *progress)
{
	int error = shoal_instance_command(instance, look, progress);

	return error ? shoal_error(-error, "instance %s: its worker did not answer", instance->config.name) : 0;
}
