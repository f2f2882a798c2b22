/* SPDX-License-Identifier: BSD-3-Clause */
/* The generator's life, and its commands. Control calls; the polling thread carries out (worker/mailbox.h). */
#include "io/generator.h"

#include <errno.h>
#include <math.h>
#include <rte_mempool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/generator_state.h"
#include "io/latency.h"
#include "worker/error.h"

#define COMMAND_DEADLINE_MS 2000
#define USUAL_FRAME_BYTES 2048u

/* --- the polling thread --- */

static bool finished(const struct shoal_generator *generator)
{
	for (unsigned i = 0; i < SHOAL_NF_PORTS_MAX; i++)
		if (!shoal_schedule_finished(generator->profile->schedules[i]))
			return false;
	return true;
}

static void begin(struct shoal_generator *generator)
{
	generator->starting = false;
	generator->started_ns = generator->now_ns;
	generator->origin_ns = generator->now_ns;
	generator->warm_ns = generator->now_ns + generator->run.warm_up_ms * SHOAL_NS_PER_MS;
	shoal_packet_groups_warm_up(generator->profile->groups, generator->warm_ns);
	generator_rows_start(generator);
}

void generator_advance(struct shoal_generator *generator, uint64_t now_ns)
{
	if (now_ns > generator->now_ns)
		generator->now_ns = now_ns;
	shoal_mailbox_poll(&generator->mailbox, generator, generator->now_ns);
	if (generator->starting)
		begin(generator);
	if (generator->run.stamp)
		shoal_traffic_flows_sweep(&generator->flows, generator->now_ns);
	if (generator->totals.running && finished(generator)) {
		generator->totals.running = 0;
		generator->ended_ns = generator->now_ns;
	}
	generator_rows_advance(generator);
}

unsigned shoal_generator_poll(void *component, uint64_t now_ns)
{
	generator_advance(component, now_ns);
	return 0; /* the packets that its ports give are the work */
}

static unsigned port_receive(struct shoal_port *port, struct shoal_packet *packets[], unsigned n, uint64_t now_ns)
{
	struct generator_port *self = (struct generator_port *)port;

	generator_advance(self->generator, now_ns);
	return generator_send(self, packets, n);
}

static unsigned port_transmit(struct shoal_port *port, struct shoal_packet *const packets[], unsigned n)
{
	generator_take((struct generator_port *)port, packets, n);
	return n;
}

static void port_flush(struct shoal_port *port)
{
}

/* The ports are the generator's own; but who polled them is gone. */
static void port_destroy(struct shoal_port *port)
{
	((struct generator_port *)port)->generator->is_polled = NULL;
}

static const struct shoal_port_operations port_operations = {
	.receive = port_receive,
	.transmit = port_transmit,
	.flush = port_flush,
	.destroy = port_destroy,
};

struct start {
	struct generator_profile *profile;
	struct rte_mempool *pool;
	const struct shoal_generator_run *run;
};

static int command_start(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_generator *generator = component;
	const struct start *start = argument;

	generator->profile = start->profile;
	generator->pool = start->pool;
	generator->run = *start->run;
	generator_profile_reset(generator->profile);
	for (unsigned i = 0; i < SHOAL_NF_PORTS_MAX; i++) {
		generator_answers_drop(&generator->ports[i]);
		shoal_schedule_start(generator->profile->schedules[i], start->run->multiplier, start->run->duration_s);
	}
	shoal_traffic_flows_reset(&generator->flows, start->run->flow_idle_ms * SHOAL_NS_PER_MS);
	memset(&generator->totals, 0, sizeof(generator->totals));
	memset(&generator->latency, 0, sizeof(generator->latency));
	__atomic_store_n(&generator->rows.read, generator->rows.written, __ATOMIC_RELAXED); /* control waits for us */
	generator->totals.running = 1;
	generator->starting = generator->answering = true;
	return 0;
}

static int command_stop(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_generator *generator = component;

	if (generator->totals.running)
		generator->ended_ns = generator->now_ns;
	generator->totals.running = 0;
	generator->answering = generator->starting = false;
	for (unsigned i = 0; i < SHOAL_NF_PORTS_MAX; i++)
		generator_answers_drop(&generator->ports[i]);
	return 0;
}

static int command_multiplier(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_generator *generator = component;

	for (unsigned i = 0; i < SHOAL_NF_PORTS_MAX; i++)
		shoal_schedule_set_multiplier(generator->profile->schedules[i], *(const double *)argument);
	return 0;
}

struct pause {
	struct shoal_stream *stream;
	bool paused;
};

static int command_pause(void *component, void *argument, uint64_t now_ns)
{
	const struct pause *pause = argument;

	pause->stream->paused = pause->paused;
	return 0;
}

/* --- control --- */

static int config_check(const struct shoal_generator_config *config)
{
	if (config->packets == 0)
		return shoal_error(EINVAL, "generator %s: no packets in its pool", config->name);
	if (config->row_ms == 0 || config->rows_max == 0)
		return shoal_error(EINVAL, "generator %s: row_ms and rows_max are above 0", config->name);
	if (config->flows_max == 0 || config->flows_max > SHOAL_FLOWS_MAX)
		return shoal_error(EINVAL, "generator %s: flows_max is 1 to %u", config->name, SHOAL_FLOWS_MAX);
	return 0;
}

static int run_check(const struct shoal_generator *generator, const struct shoal_generator_run *run)
{
	const char *name = generator->config.name;

	if (!(run->multiplier > 0) || !isfinite(run->multiplier) || !(run->duration_s >= 0))
		return shoal_error(EINVAL, "multiplier %g, duration %g s", run->multiplier, run->duration_s);
	if (!run->stamp && (run->respond_every || run->check_mappings))
		return shoal_error(EINVAL, "generator %s: answers and mappings are known by stamps", name);
	if (run->stamp && run->flow_idle_ms == 0)
		return shoal_error(EINVAL, "generator %s: flow_idle_ms is 0", name);
	if (run->respond_every && generator->config.responses_max == 0)
		return shoal_error(EINVAL, "generator %s: it has no room for answers: responses_max is 0", name);
	return 0;
}

static int ports_init(struct shoal_generator *generator)
{
	for (unsigned i = 0; i < SHOAL_NF_PORTS_MAX; i++) {
		struct generator_port *port = &generator->ports[i];

		port->port.operations = &port_operations;
		port->generator = generator;
		port->nf_port = (uint8_t)i;
		snprintf(port->port.name, sizeof(port->port.name), "%.48s:%u", generator->config.name, i);
		port->answers = calloc(generator->config.responses_max + 1, sizeof(struct shoal_packet *));
		if (!port->answers)
			return shoal_error(ENOMEM, "generator %s: no memory", generator->config.name);
	}
	return 0;
}

struct shoal_generator *shoal_generator_create(const struct shoal_generator_config *config)
{
	struct shoal_generator *generator;
	int rc = config_check(config);

	generator = rc ? NULL : calloc(1, sizeof(*generator));
	if (!rc && !generator)
		rc = shoal_error(ENOMEM, "no memory for a generator");
	if (!rc) {
		generator->config = *config;
		generator->config.name[sizeof(config->name) - 1] = 0;
		shoal_mailbox_init(&generator->mailbox);
		rc = ports_init(generator);
		rc = rc ? rc : generator_rows_init(generator);
		if (!rc && shoal_traffic_flows_init(&generator->flows, config->flows_max, 0))
			rc = shoal_error(
				ENOMEM, "generator %s: no memory for %u flows", config->name, config->flows_max);
	}
	if (!rc)
		return generator;
	shoal_generator_destroy(generator);
	errno = -rc;
	return NULL;
}

void shoal_generator_destroy(struct shoal_generator *generator)
{
	if (!generator)
		return;
	for (unsigned i = 0; i < SHOAL_NF_PORTS_MAX; i++) {
		if (generator->ports[i].answers)
			generator_answers_drop(&generator->ports[i]);
		free(generator->ports[i].answers);
	}
	generator_profile_destroy(generator->profile);
	generator_profile_destroy(generator->next);
	for (unsigned i = 0; i < 2; i++)
		rte_mempool_free(generator->pools[i]);
	shoal_traffic_flows_fini(&generator->flows);
	free(generator->rows.ring);
	free(generator);
}

struct shoal_port *shoal_generator_port(struct shoal_generator *generator, uint8_t nf_port)
{
	return nf_port < SHOAL_NF_PORTS_MAX ? &generator->ports[nf_port].port : NULL;
}

void shoal_generator_set_polled(
	struct shoal_generator *generator, bool (*is_polled)(const void *argument), const void *argument)
{
	generator->is_polled = is_polled;
	generator->is_polled_argument = argument;
}

int shoal_generator_add_stream(
	struct shoal_generator *generator, uint8_t nf_port, const struct shoal_stream_config *stream)
{
	if (!generator->next)
		generator->next = generator_profile_create(generator->config.link_bps, generator->config.seed);
	return generator->next ? generator_profile_add(generator->next, nf_port, stream) : -ENOMEM;
}

static int command(struct shoal_generator *generator, shoal_command_function function, void *argument)
{
	bool polled = generator->is_polled && generator->is_polled(generator->is_polled_argument);

	return shoal_mailbox_post(&generator->mailbox, polled, generator, function, argument, COMMAND_DEADLINE_MS);
}

static struct rte_mempool *pool_for(struct shoal_generator *generator, uint32_t frame_bytes)
{
	unsigned great = frame_bytes > USUAL_FRAME_BYTES;
	unsigned bytes = great ? SHOAL_FRAME_BYTES_MAX : USUAL_FRAME_BYTES;
	char name[RTE_MEMPOOL_NAMESIZE];

	if (generator->pools[great])
		return generator->pools[great];
	snprintf(name, sizeof(name), "gen%u_%.16s", great, generator->config.name);
	generator->pools[great] = shoal_packet_pool_create(name, generator->config.packets, bytes);
	if (!generator->pools[great])
		shoal_packet_pool_refused(generator->config.name, generator->config.packets, bytes);
	return generator->pools[great];
}

int shoal_generator_start(struct shoal_generator *generator, const struct shoal_generator_run *run)
{
	struct generator_profile *old = generator->profile;
	struct start start = { .profile = generator->next ? generator->next : old, .run = run };
	int rc;

	if (generator->answering)
		return shoal_error(EBUSY, "generator %s: runs already", generator->config.name);
	rc = run_check(generator, run);
	if (rc)
		return rc;
	if (!start.profile)
		return shoal_error(EINVAL, "generator %s: there is no stream to send", generator->config.name);
	rc = generator_profile_check(start.profile);
	if (rc)
		return rc;
	start.pool = pool_for(generator, generator_profile_frame_bytes(start.profile));
	if (!start.pool)
		return -errno;
	rc = command(generator, command_start, &start);
	if (rc || !generator->next)
		return rc;
	generator->next = NULL;
	generator_profile_destroy(old);
	return 0;
}

int shoal_generator_stop(struct shoal_generator *generator)
{
	return command(generator, command_stop, NULL);
}

int shoal_generator_set_multiplier(struct shoal_generator *generator, double multiplier)
{
	if (!(multiplier > 0) || !isfinite(multiplier))
		return shoal_error(EINVAL, "multiplier %g", multiplier);
	if (!generator->profile)
		return shoal_error(EINVAL, "generator %s: was never started", generator->config.name);
	return command(generator, command_multiplier, &multiplier);
}

int shoal_generator_pause(struct shoal_generator *generator, uint8_t nf_port, uint32_t stream, int paused)
{
	struct pause pause = { .paused = paused };

	if (!generator->profile || nf_port >= SHOAL_NF_PORTS_MAX ||
		stream >= shoal_schedule_count(generator->profile->schedules[nf_port]))
		return shoal_error(
			ENOENT, "generator %s: port %u has no stream %u", generator->config.name, nf_port, stream);
	pause.stream = shoal_schedule_stream(generator->profile->schedules[nf_port], stream);
	return command(generator, command_pause, &pause);
}
