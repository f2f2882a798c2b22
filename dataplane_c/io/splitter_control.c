/* SPDX-License-Identifier: BSD-3-Clause */
/* Life of a splitter in a process: its NF, its packets, its place on a runner. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "io/nf_loader.h"
#include "io/splitter_control.h"
#include "worker/error.h"

/* Room of one mbuf for a frame: Ethernet with two tags and 1,500 bytes, and what drivers want. */
#define FRAME_BYTES 2048
/* Buffers beyond the packets that may wait: in drivers' queues, rings' spares and bursts under way. */
#define SPARE_PACKETS 2048
/* A record may take a quarter of its ring: so every frame fits. */
#define RING_BYTES_MIN 65536

static int config_check(const struct shoal_splitter_config *config)
{
	uint64_t waiting = (uint64_t)config->parked_max + config->fragments_max;

	if (config->parked_max == 0)
		return shoal_error(EINVAL, "parked_max is 0: no packet could wait for a redirection");
	if (config->fragments_max < 2)
		return shoal_error(EINVAL, "fragments_max is %u, at least 2 are needed", config->fragments_max);
	if (config->packets < waiting + SPARE_PACKETS)
		return shoal_error(EINVAL,
			"packets is %u: parked_max (%u) and fragments_max (%u) may wait, and %u more are needed for "
			"bursts and "
			"drivers: at least %llu",
			config->packets, config->parked_max, config->fragments_max, SPARE_PACKETS,
			(unsigned long long)(waiting + SPARE_PACKETS));
	if (config->ring_bytes < RING_BYTES_MIN || (config->ring_bytes & (config->ring_bytes - 1)) != 0 ||
		config->ring_bytes > SHOAL_RING_CAPACITY_MAX)
		return shoal_error(EINVAL, "ring_bytes is %u: a power of two from %u to %u is needed",
			config->ring_bytes, RING_BYTES_MIN, SHOAL_RING_CAPACITY_MAX);
	return 0;
}

static int nf_open(struct shoal_splitter_control *control)
{
	char error[512];

	control->library = shoal_nf_library_open(control->config.nf_path, error, sizeof(error));
	if (control->library == NULL)
		return shoal_error(errno, "%s", error);
	control->nf_state = shoal_nf_library_nf(control->library)->create();
	if (control->nf_state == NULL)
		return shoal_error(ENOMEM, "NF %s: it could not create its state", control->config.nf_path);
	return 0;
}

static int pool_open(struct shoal_splitter_control *control)
{
	static unsigned pools; /* writer: control */
	char name[RTE_MEMPOOL_NAMESIZE];

	snprintf(name, sizeof(name), "splitter_%u", pools++);
	control->pool = shoal_packet_pool_create(name, control->config.packets, FRAME_BYTES);
	return control->pool != NULL ? 0 : shoal_packet_pool_refused("splitter", control->config.packets, FRAME_BYTES);
}

static int component_init(struct shoal_splitter_control *control)
{
	struct shoal_splitter_setup setup = { .nf = shoal_nf_library_nf(control->library),
		.parked_max = control->config.parked_max,
		.fragments_max = control->config.fragments_max };
	int code;

	if (getrandom(&setup.hash_seed, sizeof(setup.hash_seed), 0) != sizeof(setup.hash_seed))
		return shoal_error(EIO, "splitter: no random seed");
	code = shoal_splitter_init(&control->splitter, &setup);
	return code == 0 ? 0 : shoal_error(-code, "splitter: its tables could not be made: %s", strerror(-code));
}

static void nf_close(struct shoal_splitter_control *control)
{
	if (control->nf_state != NULL)
		shoal_nf_library_nf(control->library)->destroy(control->nf_state);
	shoal_nf_library_close(control->library);
}

static int control_begin(struct shoal_splitter_control *control)
{
	int code;

	shoal_mailbox_init(&control->mailbox);
	code = nf_open(control);
	if (code != 0)
		goto no_nf;
	code = pool_open(control);
	if (code != 0)
		goto no_nf;
	code = component_init(control);
	if (code != 0)
		goto no_component;
	return 0;

no_component:
	rte_mempool_free(control->pool);
no_nf:
	nf_close(control);
	return code;
}

struct shoal_splitter *shoal_splitter_create(const struct shoal_splitter_config *config)
{
	struct shoal_splitter_control *control;
	int code = config_check(config);

	if (code != 0) {
		errno = -code;
		return NULL;
	}
	control = aligned_alloc(
		SHOAL_CACHE_LINE, (sizeof(*control) + SHOAL_CACHE_LINE - 1) / SHOAL_CACHE_LINE * SHOAL_CACHE_LINE);
	if (control == NULL) {
		shoal_error(ENOMEM, "splitter: no memory");
		return NULL;
	}
	memset(control, 0, sizeof(*control));
	control->config = *config;
	code = control_begin(control);
	if (code != 0) {
		free(control);
		errno = -code;
		return NULL;
	}
	return &control->splitter;
}

void shoal_splitter_destroy(struct shoal_splitter *splitter)
{
	struct shoal_splitter_control *control;

	if (splitter == NULL)
		return;
	control = shoal_splitter_control_of(splitter);
	shoal_splitter_fini(splitter);
	rte_mempool_free(control->pool);
	nf_close(control);
	free(control);
}

static unsigned control_poll(void *component, uint64_t now_ns)
{
	struct shoal_splitter_control *control = component;

	shoal_mailbox_poll(&control->mailbox, &control->splitter, now_ns);
	return shoal_splitter_poll(&control->splitter, now_ns);
}

int shoal_splitter_run_on(struct shoal_splitter *splitter, struct shoal_runner *runner)
{
	struct shoal_splitter_control *control = shoal_splitter_control_of(splitter);
	int code;

	if (control->runner != NULL)
		return shoal_error(EBUSY, "splitter %.63s has its runner already", control->config.name);
	if (!control->nf_ready)
		return shoal_error(EINVAL, "splitter %.63s: its NF is not initialised yet", control->config.name);
	code = shoal_runner_add(runner, control_poll, control);
	if (code == 0)
		control->runner = runner;
	return code;
}

int shoal_splitter_set(struct shoal_splitter *splitter, const char *name, const char *value)
{
	struct shoal_splitter_control *control = shoal_splitter_control_of(splitter);
	char error[256] = "";
	int code;

	if (control->nf_ready)
		return shoal_error(EBUSY, "setting %s: the NF is initialised already", name);
	code = splitter->nf->configure(control->nf_state, name, value, error, sizeof(error));
	return code == 0 ? 0 : shoal_error(-code, "%s", error);
}

int shoal_splitter_init_nf(struct shoal_splitter *splitter)
{
	struct shoal_splitter_control *control = shoal_splitter_control_of(splitter);
	char error[256] = "";
	int code;

	if (control->nf_ready)
		return shoal_error(EBUSY, "the NF is initialised already");
	code = splitter->nf->init(control->nf_state, error, sizeof(error));
	if (code != 0)
		return shoal_error(-code, "%s", error);
	control->nf_ready = true;
	return 0;
}
