/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include "worker/burst.h"
#include "worker/pipe.h"

#define READY_BUDGET 256
/* Objects of a class from which on its table lies beyond the cache, so that bursts are worked on two at a time: what one has
 * prefetched arrives while the other is worked on. Below, twice as many packets in hand would cost more than that gives. */
#define AHEAD_FROM (UINT32_C(1) << 17)

static const char *const drop_names[SHOAL_WORKER_DROPS] = {
	[SHOAL_WORKER_DROP_PARKED_FULL] = "parked_full",
	[SHOAL_WORKER_DROP_MICROTHREADS] = "microthreads_exhausted",
	[SHOAL_WORKER_DROP_TRANSMIT_FULL] = "transmit_full",
	[SHOAL_WORKER_DROP_NO_PORT] = "no_port",
	[SHOAL_WORKER_DROP_VERDICT] = "no_verdict",
	[SHOAL_WORKER_DROP_NOT_WRITTEN] = "state_not_written",
	[SHOAL_WORKER_DROP_STOPPED] = "stopped",
};

const char *shoal_worker_drop_name(unsigned drop)
{
	return drop_names[drop];
}

static int open_space(struct shoal_worker *worker)
{
	int error;

	if (worker->plane->objects_here)
		worker->config.space.objects_max = worker->plane->objects_here;
	error = shoal_space_init(&worker->space, &worker->context, &worker->config.space, worker->scheduler);

	if (error || !worker->plane->open)
		return error;
	error = worker->plane->open(&worker->space, &worker->config.remote);
	if (error)
		shoal_space_fini(&worker->space);
	return error;
}

int shoal_worker_init(struct shoal_worker *worker, const struct shoal_worker_config *config)
{
	const struct shoal_scheduler_config scheduler = { .stacks = config->space.microthreads_max,
		.stack_bytes = config->stack_bytes,
		.guard_pages = config->guard_pages };
	int error;

	memset(worker, 0, sizeof(*worker));
	worker->config = *config;
	worker->nf = config->nf;
	worker->ahead_from = AHEAD_FROM;
	worker->fence = (struct shoal_fence){ .self = config->space.self, .lease_ns = config->lease_ns };
	worker->plane = config->plane ? config->plane : &shoal_plane_shared;
	worker->runtime = worker->plane->runtime;
	worker->runtime.packet_release = shoal_worker_release_held;
	worker->context.context.runtime = &worker->runtime;
	worker->context.context.nf_state = config->nf_state;
	/* As many wait for a fetch as may, and as many packet handlers are suspended. */
	error = shoal_flow_table_init(&worker->flows, 2 * config->space.microthreads_max);
	if (error)
		return error;
	worker->scheduler = shoal_scheduler_create(&scheduler);
	error = worker->scheduler ? open_space(worker) : -errno;
	if (error) {
		shoal_scheduler_destroy(worker->scheduler);
		shoal_flow_table_fini(&worker->flows);
		return error;
	}
	worker->space.suspending = shoal_worker_suspending;
	shoal_burst_declare(worker);
	return 0;
}

static void free_list(struct shoal_worker *worker, struct shoal_packet_list *list)
{
	struct shoal_packet *packet;

	while ((packet = shoal_packet_list_pop(list)) != NULL)
		shoal_worker_drop(worker, packet, SHOAL_WORKER_DROP_STOPPED);
}

void shoal_worker_fini(struct shoal_worker *worker)
{
	for (unsigned output = 0; output <= SHOAL_NF_PORTS_MAX; output++) {
		free_list(worker, &worker->output[output].backlog);
		for (unsigned i = 0; i < worker->output[output].count; i++)
			shoal_worker_drop(worker, worker->output[output].packets[i], SHOAL_WORKER_DROP_STOPPED);
	}
	shoal_worker_empty_pipe(worker, SHOAL_WORKER_DROP_STOPPED);
	free_list(worker, &worker->handling);
	free_list(worker, &worker->reentering);
	for (uint32_t i = 1; i < worker->flows.high; i++) {
		struct shoal_packet_list waiting = { .first = worker->flows.flows[i].first };

		free_list(worker, &waiting);
		if (worker->flows.flows[i].fetching)
			shoal_worker_drop(worker, worker->flows.flows[i].fetching, SHOAL_WORKER_DROP_STOPPED);
	}
	if (worker->plane->close)
		worker->plane->close(&worker->space);
	shoal_space_fini(&worker->space);
	shoal_scheduler_destroy(worker->scheduler);
	shoal_flow_table_fini(&worker->flows);
}

uint32_t shoal_worker_inside(const struct shoal_worker *worker)
{
	/* Between two polls only suspended packets are in `handling`: they are counted by steering slot. */
	uint32_t inside = worker->reentering.count;

	if (worker->pipe)
		inside += shoal_pipe_waiting(worker->pipe);
	for (unsigned slot = 0; slot < SHOAL_STEERING_SLOTS; slot++)
		inside += worker->inside[slot];
	for (unsigned output = 0; output <= SHOAL_NF_PORTS_MAX; output++)
		inside += worker->output[output].count + worker->output[output].backlog.count;
	return inside;
}

bool shoal_worker_allowed(struct shoal_worker *worker, uint64_t now_ns)
{
	const struct shoal_space *space = &worker->space;
	struct shoal_fence *fence = &worker->fence;
	struct shoal_fence_members members = { .in_now = space->keyspace.in_now, .in_next = space->keyspace.in_next };
	uint64_t heard_ns[SHOAL_MEMBERS_MAX];

	if (!fence->lease_ns)
		return true;
	if (fence->state == SHOAL_FENCE_OPEN && now_ns < fence->until_ns && fence->in_now == members.in_now &&
		fence->in_next == members.in_next)
		return true;
	for (uint8_t member = 0; member < SHOAL_MEMBERS_MAX; member++)
		heard_ns[member] = shoal_channel_heard(space->channel, member);
	members.heard_ns = heard_ns;
	members.gone = space->view.stage == SHOAL_VIEW_QUIET ? 0 : space->view.dead;
	return shoal_fence_look(fence, &members, now_ns);
}

/* Cut off: packets stay where they are; the channel goes on, so that the others can be heard again. */
static unsigned poll_held(struct shoal_worker *worker, unsigned work)
{
	worker->polls++;
	if (worker->fence.state == SHOAL_FENCE_FENCED)
		return work;
	worker->plane->flush(&worker->space);
	worker->busy_polls += work != 0;
	return work;
}

/* Nearly all packets leave in the poll that received them. How long it took is known when the next one begins: so no packet
 * needs a look at the clock, and each burst but a share of one sample. */
static void note_left(struct shoal_worker *worker, uint64_t now_ns)
{
	if (!worker->left)
		return;
	shoal_histogram_add_times(&worker->latencies, now_ns - worker->space.now_ns, worker->left);
	worker->left = 0;
}

unsigned shoal_worker_poll(void *component, uint64_t now_ns)
{
	struct shoal_worker *worker = component;
	bool fenced = worker->fence.state == SHOAL_FENCE_FENCED;
	unsigned work;

	note_left(worker, now_ns);
	work = SHOAL_UNLIKELY(fenced) ? 0 : worker->plane->poll(&worker->space, now_ns);
	if (SHOAL_UNLIKELY(!shoal_worker_allowed(worker, now_ns)))
		return poll_held(worker, work);
	if (shoal_scheduler_ready(worker->scheduler))
		work += shoal_scheduler_run_ready(worker->scheduler, READY_BUDGET);
	if (worker->space.fetched_first)
		work += shoal_worker_run_fetched(worker);
	if (worker->handling.first)
		shoal_worker_run_handlers(worker);
	worker->taken_in = shoal_worker_take_in(worker);
	if (worker->taken_in)
		worker->space.packets_ns = now_ns;
	work += worker->taken_in;
	work += shoal_worker_run_tasks(worker);
	work += shoal_worker_transmit(worker);
	shoal_worker_markers(worker);
	worker->plane->flush(&worker->space);
	worker->polls++;
	worker->busy_polls += work != 0;
	return work;
}

void shoal_worker_statistics(const struct shoal_worker *worker, struct shoal_statistics *statistics)
{
	for (unsigned port = 0; port < worker->nf->ports_count; port++) {
		const char *name = worker->nf->ports[port].name;

		shoal_statistics_counter(statistics, "packets_received_total", "port", name, worker->received[port]);
		shoal_statistics_counter(
			statistics, "packets_transmitted_total", "port", name, worker->transmitted[port]);
	}
	for (unsigned i = 1; i < SHOAL_PARSE_RESULTS; i++)
		shoal_statistics_counter(
			statistics, "drops_total", "reason", shoal_parse_result_name(i), worker->parse_drops[i]);
	for (unsigned i = 0; i < worker->nf->drops_count; i++)
		shoal_statistics_counter(
			statistics, "drops_total", "reason", worker->nf->drops[i], worker->nf_drops[i]);
	for (unsigned i = 0; i < SHOAL_WORKER_DROPS; i++)
		shoal_statistics_counter(statistics, "drops_total", "reason", drop_names[i], worker->drops[i]);
	shoal_statistics_counter(statistics, "packets_reentered_total", NULL, NULL, worker->reentered);
	shoal_statistics_counter(statistics, "packets_blocked_total", NULL, NULL, worker->blocked);
	shoal_statistics_counter(statistics, "packets_handled_total", NULL, NULL, worker->handled_packets);
	shoal_statistics_counter(statistics, "packets_held_overflows_total", NULL, NULL, worker->held_overflows);
	shoal_statistics_counter(statistics, "markers_returned_total", NULL, NULL, worker->markers_returned);
	shoal_statistics_counter(statistics, "polls_total", NULL, NULL, worker->polls);
	shoal_statistics_counter(statistics, "polls_busy_total", NULL, NULL, worker->busy_polls);
	shoal_statistics_gauge(statistics, "packets_inside", NULL, NULL, shoal_worker_inside(worker));
	if (worker->pipe)
		shoal_pipe_statistics(worker->pipe, statistics);
	shoal_statistics_gauge(statistics, "packets_parked", NULL, NULL, worker->parked);
	shoal_statistics_gauge(statistics, "packets_parked_most", NULL, NULL, worker->parked_most);
	shoal_statistics_gauge(statistics, "packets_held", NULL, NULL, worker->held);
	shoal_statistics_gauge(statistics, "packets_fetching", NULL, NULL, worker->space.fetches);
	shoal_statistics_gauge(
		statistics, "microthreads_suspended", NULL, NULL, shoal_scheduler_suspended(worker->scheduler));
	shoal_statistics_histogram(statistics, "packet_blocked_seconds", &worker->blocked_times);
	shoal_statistics_histogram(statistics, "packet_latency_seconds", &worker->latencies);
	if (worker->nf->counter_values) {
		const uint64_t *values = worker->nf->counter_values(worker->context.context.nf_state);

		for (unsigned i = 0; i < worker->nf->counters_count; i++)
			shoal_statistics_counter(statistics, worker->nf->counters[i], NULL, NULL, values[i]);
	}
	if (worker->fence.lease_ns) {
		const struct shoal_fence *fence = &worker->fence;
		uint64_t held_ns = shoal_fence_held_ns(fence, worker->space.now_ns);

		shoal_statistics_gauge(statistics, "fence_state", NULL, NULL, (uint64_t)fence->state);
		shoal_statistics_counter(statistics, "fence_holds_total", NULL, NULL, fence->holds);
		shoal_statistics_counter(
			statistics, "fence_held_milliseconds_total", NULL, NULL, held_ns / SHOAL_NS_PER_MS);
	}
	shoal_space_statistics(&worker->space, statistics);
	if (worker->plane->statistics)
		worker->plane->statistics(&worker->space, statistics);
}
