/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_mempool.h>
#include <xxhash.h>
#include "worker/error.h"
#include "worker/instance.h"
#include "worker/pipe.h"
#include "worker/runner.h"

/* Room of one mbuf for a frame and what drivers want. */
#define FRAME_BYTES 2048
#define STACK_BYTES 16384
/* Buffers beyond those that may wait: in drivers' queues, and bursts under way. */
#define SPARE_PACKETS 1024
#define RESEND_NS (5 * SHOAL_NS_PER_MS)
/* Questions in one lease: that some of them are lost or late closes no fence. */
#define HEARTBEATS 8
/* Between two questions where all are on one host: nobody is watched by them, but round trips are measured. */
#define ONE_HOST_HEARTBEAT_NS (250 * SHOAL_NS_PER_MS)

static int config_check(const struct shoal_instance_config *config)
{
	unsigned spare = SPARE_PACKETS + (config->pipe ? SHOAL_PIPE_PACKETS : 0);

	if (config->member >= SHOAL_MEMBERS_MAX)
		return shoal_error(EINVAL, "member %u: the highest is %u", config->member, SHOAL_MEMBERS_MAX - 1);
	if (!config->life)
		return shoal_error(EINVAL, "life is 0: every start needs a number of its own");
	if (!config->objects_max)
		return shoal_error(EINVAL, "objects_max is 0: there would be no room for any state");
	if (!shoal_plane_of_kind(config->plane))
		return shoal_error(EINVAL, "plane %d: there is no such", config->plane);
	if (config->plane == SHOAL_PLANE_REMOTE && (!config->remote_address[0] || !config->remote_name[0]))
		return shoal_error(EINVAL, "plane remote needs the server's address, and a name for its keys");
	if (!config->window || config->window > 65535)
		return shoal_error(EINVAL, "window is %u: 1 to 65535 messages may be under way", config->window);
	if (config->microthreads_max < 2)
		return shoal_error(EINVAL, "microthreads_max is %u, at least 2 are needed", config->microthreads_max);
	if (config->packets < (uint64_t)config->parked_max + 2 * (uint64_t)config->microthreads_max + spare)
		return shoal_error(EINVAL,
			"packets is %u: parked_max (%u) and twice microthreads_max (%u) may wait, and %u more are "
			"needed",
			config->packets, config->parked_max, config->microthreads_max, spare);
	return 0;
}

static int open_nf(struct shoal_instance *instance)
{
	char error[512];

	instance->library = shoal_nf_library_open(instance->config.nf_path, error, sizeof(error));
	if (!instance->library)
		return shoal_error(errno, "%s", error);
	instance->nf_state = shoal_nf_library_nf(instance->library)->create();
	if (!instance->nf_state)
		return shoal_error(ENOMEM, "NF %s could not create its state", instance->config.nf_path);
	return 0;
}

static int open_pool(struct shoal_instance *instance)
{
	static unsigned pools; /* writer: control */
	char name[RTE_MEMPOOL_NAMESIZE];

	snprintf(name, sizeof(name), "instance_%u", pools++);
	instance->pool = shoal_packet_pool_create(name, instance->config.packets, FRAME_BYTES);
	return instance->pool ? 0
	                      : shoal_packet_pool_refused(instance->config.name, instance->config.packets, FRAME_BYTES);
}

/* The name of its locks is never another life's. */
static struct shoal_remote_config remote_config(const struct shoal_instance_config *config)
{
	const uint64_t life[2] = { config->cluster, config->life };
	struct shoal_remote_config remote = { .owner = XXH3_64bits(life, sizeof(life)) | 1 };

	memcpy(remote.address, config->remote_address, sizeof(remote.address));
	memcpy(remote.name, config->remote_name, sizeof(remote.name));
	return remote;
}

static int open_worker(struct shoal_instance *instance)
{
	const struct shoal_instance_config *config = &instance->config;
	const struct shoal_nf *nf = shoal_nf_library_nf(instance->library);
	const struct shoal_worker_config worker = {
		.space = { .self = (uint8_t)config->member,
			.life = config->life,
			.hash_seed = config->hash_seed,
			.classes = nf->classes,
			.classes_count = nf->classes_count,
			.objects_max = config->objects_max,
			.window = config->window,
			.microthreads_max = config->microthreads_max,
			.members_max = SHOAL_MEMBERS_MAX,
			.deadline_ns = config->take_deadline_ms * SHOAL_NS_PER_MS,
			.resend_ns = RESEND_NS,
			.heartbeat_ns = config->lease_ms ? config->lease_ms * SHOAL_NS_PER_MS / HEARTBEATS
		                                         : ONE_HOST_HEARTBEAT_NS,
			.touch = true,
			.slab_directory = config->slab_directory[0] ? config->slab_directory : NULL },
		.nf = nf,
		.nf_state = instance->nf_state,
		.parked_max = config->parked_max,
		.backlog_max = SPARE_PACKETS / 2,
		.stack_bytes = STACK_BYTES,
		.lease_ns = config->lease_ms * SHOAL_NS_PER_MS,
		.plane = shoal_plane_of_kind(config->plane),
		.remote = remote_config(config),
	};
	int error = shoal_worker_init(&instance->worker, &worker);

	if (error == -ECONNREFUSED || error == -EPROTO || error == -EIO || (error == -EINVAL && worker.plane->open))
		return error; /* the plane's own sentence */
	if (error)
		return shoal_error(-error, "instance %s: no room for %u objects of each class and %u microthreads: %s",
			config->name, config->objects_max, config->microthreads_max, strerror(-error));
	return 0;
}

static void close_nf(struct shoal_instance *instance)
{
	if (instance->nf_state)
		shoal_nf_library_nf(instance->library)->destroy(instance->nf_state);
	shoal_nf_library_close(instance->library);
}

static int open_all(struct shoal_instance *instance)
{
	int error = open_nf(instance);

	if (error)
		goto no_pool;
	error = open_pool(instance);
	if (error)
		goto no_pool;
	error = shoal_instance_open_pipe(instance);
	if (error)
		goto no_pipe;
	error = open_worker(instance);
	if (!error) {
		instance->worker.pipe = instance->pipe;
		return 0;
	}
	shoal_pipe_destroy(instance->pipe);
no_pipe:
	rte_mempool_free(instance->pool);
no_pool:
	close_nf(instance);
	return error;
}

struct shoal_instance *shoal_instance_create(const struct shoal_instance_config *config)
{
	size_t bytes = (sizeof(struct shoal_instance) + SHOAL_CACHE_LINE - 1) / SHOAL_CACHE_LINE * SHOAL_CACHE_LINE;
	struct shoal_instance *instance;
	int error = config_check(config);

	if (error) {
		errno = -error;
		return NULL;
	}
	instance = aligned_alloc(SHOAL_CACHE_LINE, bytes);
	if (!instance) {
		shoal_error(ENOMEM, "instance %s: no memory", config->name);
		return NULL;
	}
	memset(instance, 0, bytes);
	instance->config = *config;
	error = open_all(instance);
	if (error) {
		free(instance);
		errno = -error;
		return NULL;
	}
	shoal_mailbox_init(&instance->mailbox);
	pthread_mutex_init(&instance->commands, NULL);
	return instance;
}

static void close_ports(struct shoal_instance *instance)
{
	struct shoal_worker *worker = &instance->worker;

	if (worker->ring) {
		struct shoal_port *port = shoal_packet_ring_port(worker->ring);

		port->operations->destroy(port);
	}
	for (unsigned port = 0; port < SHOAL_NF_PORTS_MAX; port++)
		if (worker->ports[port])
			worker->ports[port]->operations->destroy(worker->ports[port]);
}

void shoal_instance_destroy(struct shoal_instance *instance)
{
	if (!instance)
		return;
	shoal_worker_fini(&instance->worker);
	shoal_pipe_destroy(instance->pipe);
	close_ports(instance);
	shoal_tcp_listener_destroy(instance->listener);
	rte_mempool_free(instance->pool);
	close_nf(instance);
	pthread_mutex_destroy(&instance->commands);
	free(instance->task);
	free(instance);
}

static unsigned poll_instance(void *component, uint64_t now_ns)
{
	struct shoal_instance *instance = component;

	shoal_mailbox_poll(&instance->mailbox, instance, now_ns);
	return shoal_worker_poll(&instance->worker, now_ns);
}

int shoal_instance_run_on(struct shoal_instance *instance, struct shoal_runner *runner)
{
	int error;

	if (instance->runner)
		return shoal_error(EBUSY, "instance %s has its runner already", instance->config.name);
	if (!instance->nf_ready)
		return shoal_error(EINVAL, "instance %s: its NF is not initialised yet", instance->config.name);
	error = shoal_runner_add(runner, poll_instance, instance);
	if (!error)
		instance->runner = runner;
	return error;
}

int shoal_instance_set(struct shoal_instance *instance, const char *name, const char *value)
{
	char sentence[256] = "";
	int error;

	if (instance->nf_ready)
		return shoal_error(EBUSY, "setting %s: the NF is initialised already", name);
	error = instance->worker.nf->configure(instance->nf_state, name, value, sentence, sizeof(sentence));
	return error ? shoal_error(-error, "%s", sentence) : 0;
}

int shoal_instance_init_nf(struct shoal_instance *instance)
{
	char sentence[256] = "";
	int error;

	if (instance->nf_ready)
		return shoal_error(EBUSY, "the NF is initialised already");
	error = instance->worker.nf->init(instance->nf_state, sentence, sizeof(sentence));
	if (error)
		return shoal_error(-error, "%s", sentence);
	instance->nf_ready = true;
	return 0;
}

int shoal_instance_command(struct shoal_instance *instance, shoal_command_function function, void *argument)
{
	bool polled = instance->runner && shoal_runner_running(instance->runner);
	int answer;

	pthread_mutex_lock(&instance->commands);
	answer =
		shoal_mailbox_post(&instance->mailbox, polled, instance, function, argument, SHOAL_INSTANCE_COMMAND_MS);
	pthread_mutex_unlock(&instance->commands);
	return answer;
}
