/* SPDX-License-Identifier: BSD-3-Clause */
/* A packet whose declared object is elsewhere waits for it without a microthread, for no code of the NF has seen it yet: the
 * worker fetches the object. Packets whose objects have come go through the burst handler together, as if they had been found at
 * rest. Where there is no object, or the burst handler does not want the packet, it goes to the packet handler, which begins
 * anew. Its flow has a suspended packet until it has left. */
#include "object/map_inline.h"
#include "worker/worker.h"

#define FETCHED_BUDGET 256

/* Packets of one NF port whose objects have come. */
struct group {
	unsigned count;
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	void *objects[SHOAL_BURST_MAX];
	struct shoal_flow *flows[SHOAL_BURST_MAX];
};

static struct shoal_flow *flow_of(struct shoal_fetch *fetch)
{
	return (struct shoal_flow *)((uint8_t *)fetch - offsetof(struct shoal_flow, fetch));
}

/* The first packet of a flow, most likely: there is no entry, and the key owner is here. */
static bool known_absent(const struct shoal_worker *worker, const struct shoal_packet *packet)
{
	const struct shoal_map *map = worker->declared[packet->port];

	return shoal_slot_bit(worker->space.keyspace.token, shoal_map_slot(map, packet->key, packet->hash));
}

bool shoal_worker_fetch(struct shoal_worker *worker, struct shoal_packet *packet)
{
	uint8_t class = worker->declared_class[packet->port];
	struct shoal_flow *flow;
	uint32_t *link;

	if (!packet->candidate && (worker->begins >> packet->port & 1 || known_absent(worker, packet)))
		return false;
	link = shoal_flow_link(&worker->flows, packet);
	if (SHOAL_UNLIKELY(*link)) {
		shoal_worker_park(worker, &worker->flows.flows[*link], packet);
		return true;
	}
	if (SHOAL_UNLIKELY(worker->flows.busy >= worker->config.space.microthreads_max))
		return false;
	flow = shoal_flow_spare(&worker->flows);
	flow->fetch.key = packet->key;
	flow->fetch.hash = packet->hash;
	if (!worker->plane->fetch(&worker->space, &flow->fetch, class, packet->candidate))
		return false;
	shoal_flow_begin(&worker->flows, packet, link);
	flow->fetching = packet;
	/* Others with this key are to look into the flow table when the object is here. */
	if (flow->fetch.wait.entry)
		shoal_map_entry(worker->declared[packet->port], flow->fetch.wait.entry)->flags |= SHOAL_ENTRY_FLOWS;
	shoal_worker_withdraw(worker, packet);
	worker->inside[packet->steering_slot]++;
	worker->blocked++;
	return true;
}

/* The flow keeps the packet's place. */
static void to_packet_handler(struct shoal_worker *worker, struct shoal_packet *packet)
{
	packet->verdict = 0;
	worker->handled_packets++;
	shoal_packet_list_push(&worker->handling, packet);
}

uint64_t shoal_worker_waited_since(struct shoal_worker *worker, const struct shoal_packet *packet)
{
	const struct shoal_flow *flow = &worker->flows.flows[*shoal_flow_link(&worker->flows, packet)];

	return flow->waited_in_vain ? flow->fetch.wait.since_ns : 0;
}

static void process(struct shoal_worker *worker, struct group *group)
{
	struct shoal_image *image = worker->space.image;

	image->writing_list = SHOAL_WRITING_SOME;
	image->writing_class = worker->declared_class[group->packets[0]->port];
	for (unsigned i = 0; i < group->count; i++)
		image->writing[SHOAL_WRITING_SOME][i] = group->flows[i]->fetch.wait.entry;
	/* Should this worker die in between, these objects are in doubt. */
	__atomic_store_n(&image->writing_count, group->count, __ATOMIC_RELEASE);
	worker->nf->process(&worker->context.context, group->packets, group->objects, group->count);
	__atomic_store_n(&image->writing_count, 0, __ATOMIC_RELEASE);
}

/* Those that nobody waits behind leave together. */
static void run_group(struct shoal_worker *worker, struct group *group)
{
	struct shoal_packet *leaving[SHOAL_BURST_MAX];
	unsigned count = 0;

	process(worker, group);
	for (unsigned i = 0; i < group->count; i++) {
		struct shoal_packet *packet = group->packets[i];
		struct shoal_flow *flow = group->flows[i];

		flow->fetching = NULL;
		shoal_fetch_release(&worker->space, &flow->fetch);
		if (SHOAL_UNLIKELY(packet->verdict == SHOAL_TO_PACKET_HANDLER)) {
			to_packet_handler(worker, packet);
			continue;
		}
		if (SHOAL_UNLIKELY(!packet->verdict))
			packet->verdict = SHOAL_VERDICT(SHOAL_VERDICT_INVALID, 0);
		shoal_histogram_add(&worker->blocked_times, worker->space.now_ns - packet->arrived_ns);
		if (SHOAL_UNLIKELY(flow->first))
			shoal_worker_leave_flow(worker, packet);
		else
			leaving[count++] = shoal_worker_end_flow(worker, packet);
	}
	for (unsigned i = 0; i < count;)
		i += shoal_worker_emit_late_run(worker, leaving + i, count - i);
	group->count = 0;
}

/* Those whose fetch has ended, as many as there is room for. What they need next is on its way into the cache: they have waited
 * for long. */
static unsigned take_ended(struct shoal_worker *worker, struct shoal_flow *flows[SHOAL_BURST_MAX])
{
	struct shoal_fetch *fetch;
	unsigned count = 0;

	while (count < SHOAL_BURST_MAX && (fetch = shoal_fetch_ended(&worker->space)) != NULL) {
		struct shoal_flow *flow = flow_of(fetch);

		__builtin_prefetch(flow->fetching, 1);
		__builtin_prefetch((uint8_t *)flow->fetching + SHOAL_CACHE_LINE, 1);
		flows[count++] = flow;
	}
	return count;
}

static void go_on(struct shoal_worker *worker, struct shoal_flow *flow, struct group groups[])
{
	struct shoal_packet *packet = flow->fetching;
	struct group *group = &groups[packet->port];

	if (SHOAL_UNLIKELY(flow->fetch.wait.outcome != SHOAL_WAIT_GRANTED)) {
		flow->fetching = NULL;
		flow->waited_in_vain = flow->fetch.wait.outcome == SHOAL_WAIT_TIMED_OUT;
		to_packet_handler(worker, packet);
		return;
	}
	__builtin_prefetch(packet->frame, 1);
	packet->candidate = flow->fetch.wait.entry;
	group->packets[group->count] = packet;
	group->objects[group->count] = shoal_fetch_object(&worker->space, &flow->fetch);
	group->flows[group->count++] = flow;
}

/* Bursts of one NF port each. */
unsigned shoal_worker_run_fetched(struct shoal_worker *worker)
{
	struct shoal_flow *flows[SHOAL_BURST_MAX];
	struct group groups[SHOAL_NF_PORTS_MAX];
	unsigned work = 0, count;

	for (unsigned port = 0; port < worker->nf->ports_count; port++)
		groups[port].count = 0;
	do {
		count = take_ended(worker, flows);
		work += count;
		for (unsigned i = 0; i < count; i++)
			go_on(worker, flows[i], groups);
		for (unsigned port = 0; port < worker->nf->ports_count; port++)
			if (groups[port].count)
				run_group(worker, &groups[port]);
	} while (count == SHOAL_BURST_MAX && work < FETCHED_BUDGET);
	return work;
}
