/* SPDX-License-Identifier: BSD-3-Clause */
/* The burst's stages (performance.md): keys and hashes, prefetch buckets; match tags, prefetch objects; verify, and split
 * into packets whose object is held here at rest (burst handler) and all others (packet handler). */
#include <string.h>
#include "object/map_inline.h"
#include "worker/worker.h"

struct burst {
	struct shoal_packet *packets[SHOAL_BURST_MAX]; /* parsed, in order of arrival */
	unsigned count;
	uint32_t keyed; /* bit i: packet i has a declared key */
	uint8_t keys[SHOAL_BURST_MAX * SHOAL_KEY_BYTES_MAX];
	uint32_t candidates[SHOAL_BURST_MAX];
	uint32_t local; /* bit i: goes to the burst handler */
};

static void parse(struct shoal_worker *worker, struct burst *burst, struct shoal_packet *const packets[], unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct shoal_packet *packet = packets[i];
		enum shoal_parse_result result = shoal_parse(packet);

		packet->verdict = 0;
		packet->entry = SHOAL_PACKET_IN_BURST;
		if (SHOAL_UNLIKELY(result != SHOAL_PARSE_OK)) {
			worker->parse_drops[result]++;
			shoal_packet_free(packet);
			continue;
		}
		burst->packets[burst->count++] = packet;
	}
}

/* Without a declared key, packets of one 5-tuple keep their order. */
static uint64_t hash_of_tuple(const struct shoal_packet *packet)
{
	return XXH3_64bits(&packet->tuple, offsetof(struct shoal_tuple, tcp_flags));
}

static void look_up(struct shoal_worker *worker, struct burst *burst, const struct shoal_map *map)
{
	uint16_t key_bytes = map->class->key_bytes;

	for (unsigned i = 0; i < burst->count; i++) {
		if (SHOAL_UNLIKELY(!(burst->keyed >> i & 1))) {
			burst->packets[i]->hash = hash_of_tuple(burst->packets[i]);
			continue;
		}
		burst->packets[i]->hash = shoal_map_hash(map, burst->keys + i * key_bytes);
		shoal_map_prefetch(map, burst->packets[i]->hash);
	}
	for (unsigned i = 0; i < burst->count; i++)
		burst->candidates[i] = burst->keyed >> i & 1 ? shoal_map_candidate(map, burst->packets[i]->hash) : 0;
}

/* Recalled, not seen by its maker yet, or with a packet of this flow suspended. Other flows are not slowed down by those that
 * wait: whose object has no mark has nobody suspended. */
static bool waits(struct shoal_worker *worker, struct shoal_entry *entry, const struct shoal_packet *packet)
{
	bool busy = false;

	if (entry->flags & (SHOAL_ENTRY_RECALLED | SHOAL_ENTRY_FRESH))
		return true;
	for (unsigned port = 0; port < worker->nf->ports_count && worker->flows.busy; port++)
		busy |= shoal_flow_find_at(&worker->flows, packet->hash, port) != NULL;
	if (!busy)
		entry->flags &= (uint8_t)~SHOAL_ENTRY_FLOWS;
	return busy && shoal_flow_find(&worker->flows, packet);
}

static unsigned verify(struct shoal_worker *worker, struct burst *burst, struct shoal_map *map,
	struct shoal_packet *local[], void *objects[])
{
	uint32_t now_ms = worker->space.now_ms, *writing = worker->space.image->writing;
	unsigned count = 0;

	for (unsigned i = 0; i < burst->count; i++) {
		struct shoal_packet *packet = burst->packets[i];
		struct shoal_entry *entry;
		uint32_t index;

		if (!(burst->keyed >> i & 1))
			continue;
		index = shoal_map_verify(
			map, burst->candidates[i], burst->keys + i * map->class->key_bytes, packet->hash);
		if (!index)
			continue;
		entry = shoal_map_entry(map, index);
		if (entry->handle != SHOAL_HANDLE_HELD ||
			(SHOAL_UNLIKELY(entry->flags) && waits(worker, entry, packet)))
			continue;
		entry->used_ms = now_ms;
		writing[count] = index;
		burst->local |= 1u << i;
		local[count] = packet;
		objects[count++] = shoal_map_object(map, entry);
	}
	return count;
}

/* All that the burst handler does not take gets a microthread, behind packets of its flow that are suspended. */
static void queue_for_handlers(
	struct shoal_worker *worker, struct burst *burst, unsigned from, const struct shoal_map *map)
{
	for (unsigned i = from; i < burst->count; i++) {
		struct shoal_packet *packet = burst->packets[i];

		if ((burst->local >> i & 1) && packet->verdict != SHOAL_TO_PACKET_HANDLER)
			continue;
		packet->verdict = 0;
		if (burst->keyed >> i & 1)
			memcpy(packet->key, burst->keys + i * map->class->key_bytes, map->class->key_bytes);
		packet->traffic = burst->keyed >> i & 1;
		packet->arrived_ns = worker->space.now_ns;
		packet->arrival = worker->arrivals + i;
		shoal_packet_list_push(&worker->handling, packet);
		worker->handled_packets++;
	}
}

/* The flow in which the packet has to wait although its verdict is known: an earlier packet is suspended. (One that came
 * behind it in this burst may be suspended too: it does not wait for that.) */
static struct shoal_flow *flow_before(struct shoal_worker *worker, struct shoal_packet *packet, uint64_t arrival)
{
	struct shoal_flow *flow = shoal_flow_find(&worker->flows, packet);

	packet->arrival = arrival;
	return flow && flow->arrival < arrival ? flow : NULL;
}

static void emit_in_order(struct shoal_worker *worker, struct burst *burst, unsigned from)
{
	for (unsigned i = from; i < burst->count; i++) {
		struct shoal_packet *packet = burst->packets[i];
		struct shoal_flow *flow;

		if (worker->withdrawn >> i & 1)
			continue;
		if (SHOAL_UNLIKELY(worker->withdrawn) && !SHOAL_PLANT(5) &&
			(flow = flow_before(worker, packet, worker->arrivals + i)) != NULL)
			shoal_worker_park(worker, flow, packet);
		else
			shoal_worker_emit(worker, packet);
	}
}

/* The usual burst: every object at rest, no flow waiting. Packets leave as long as the burst handler was done with them;
 * returns how many. */
static unsigned emit_at_rest(struct shoal_worker *worker, const struct burst *burst)
{
	unsigned i;

	for (i = 0; i < burst->count && burst->packets[i]->verdict != SHOAL_TO_PACKET_HANDLER; i++)
		shoal_worker_emit(worker, burst->packets[i]);
	return i;
}

void shoal_worker_burst(struct shoal_worker *worker, uint8_t port, struct shoal_packet *const packets[], unsigned n)
{
	const struct shoal_nf_port *declared = &worker->nf->ports[port];
	struct shoal_map *map = worker->declared[port];
	struct shoal_packet *local[SHOAL_BURST_MAX];
	void *objects[SHOAL_BURST_MAX];
	struct burst burst;
	unsigned count, left = 0;

	burst.count = 0;
	burst.local = 0;
	worker->received[port] += n;
	parse(worker, &burst, packets, n);
	if (!burst.count)
		return;
	burst.keyed = declared->keys(&worker->context.context, burst.packets, burst.count, burst.keys);
	look_up(worker, &burst, map);
	count = verify(worker, &burst, map, local, objects);
	if (count) {
		/* Should this worker die in between, these objects are in doubt. */
		worker->space.image->writing_class = worker->declared_class[port];
		__atomic_store_n(&worker->space.image->writing_count, count, __ATOMIC_RELEASE);
		worker->nf->process(&worker->context.context, local, objects, count);
		__atomic_store_n(&worker->space.image->writing_count, 0, __ATOMIC_RELEASE);
	}
	if (SHOAL_LIKELY(count == burst.count))
		left = emit_at_rest(worker, &burst);
	if (SHOAL_LIKELY(left == burst.count))
		return;
	worker->withdrawn = 0;
	queue_for_handlers(worker, &burst, left, map);
	if (worker->handling.count)
		shoal_worker_run_handlers(worker);
	emit_in_order(worker, &burst, left);
	worker->arrivals += burst.count;
}
