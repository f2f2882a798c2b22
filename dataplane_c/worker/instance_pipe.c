/* SPDX-License-Identifier: BSD-3-Clause */
/* An instance whose packets are received on a thread of their own (worker/pipe.h): its receiver, and the receiver's mailbox. Where
 * an input comes or goes, both threads are told: one reads it, the other sends by it. */
#include <errno.h>
#include <string.h>
#include "worker/error.h"
#include "worker/instance.h"
#include "worker/pipe.h"
#include "worker/runner.h"

int shoal_instance_open_pipe(struct shoal_instance *instance)
{
	if (!instance->config.pipe)
		return 0;
	instance->pipe = shoal_pipe_create();
	if (!instance->pipe)
		return shoal_error(errno, "instance %s: no memory for its pipe", instance->config.name);
	shoal_mailbox_init(&instance->pipe_mailbox);
	return 0;
}

static unsigned poll_receiver(void *component, uint64_t now_ns)
{
	struct shoal_instance *instance = component;

	shoal_mailbox_poll(&instance->pipe_mailbox, instance, now_ns);
	return shoal_pipe_poll(instance->pipe, now_ns);
}

int shoal_instance_run_pipe_on(struct shoal_instance *instance, struct shoal_runner *runner)
{
	int error;

	if (!instance->pipe)
		return shoal_error(EINVAL, "instance %s has no pipe", instance->config.name);
	if (instance->pipe_runner)
		return shoal_error(EBUSY, "instance %s: its pipe has its runner already", instance->config.name);
	if (runner == instance->runner)
		return shoal_error(EINVAL, "instance %s: a pipe is two threads", instance->config.name);
	error = shoal_runner_add(runner, poll_receiver, instance);
	if (!error)
		instance->pipe_runner = runner;
	return error;
}

static int tell(struct shoal_instance *instance, shoal_command_function function, void *argument)
{
	bool polled = instance->pipe_runner && shoal_runner_running(instance->pipe_runner);
	int answer;

	if (!instance->pipe)
		return 0;
	pthread_mutex_lock(&instance->commands);
	answer = shoal_mailbox_post(
		&instance->pipe_mailbox, polled, instance, function, argument, SHOAL_INSTANCE_COMMAND_MS);
	pthread_mutex_unlock(&instance->commands);
	return answer;
}

static int read_ring(void *component, void *argument, uint64_t now_ns)
{
	shoal_pipe_set_ring(((struct shoal_instance *)component)->pipe, argument);
	return 0;
}

int shoal_instance_pipe_ring(struct shoal_instance *instance, struct shoal_packet_ring *ring)
{
	return tell(instance, read_ring, ring);
}

struct port_argument {
	uint8_t nf_port;
	struct shoal_port *port;
};

static int read_port(void *component, void *argument, uint64_t now_ns)
{
	const struct port_argument *attach = argument;

	shoal_pipe_set_port(((struct shoal_instance *)component)->pipe, attach->nf_port, attach->port);
	return 0;
}

int shoal_instance_pipe_port(struct shoal_instance *instance, uint8_t nf_port, struct shoal_port *port)
{
	struct port_argument attach = { .nf_port = nf_port, .port = port };

	return tell(instance, read_port, &attach);
}

static int drain(void *component, void *argument, uint64_t now_ns)
{
	shoal_pipe_set_draining(((struct shoal_instance *)component)->pipe, *(const bool *)argument);
	return 0;
}

int shoal_instance_pipe_drain(struct shoal_instance *instance, bool draining)
{
	return tell(instance, drain, &draining);
}
