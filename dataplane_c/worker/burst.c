/* SPDX-License-Identifier: BSD-3-Clause */
/* The burst's stages (performance.md): keys and hashes, prefetch buckets; match tags, prefetch objects; verify, and split
 * into packets whose object is held here at rest (burst handler) and all others (packet handler). */
#include <rte_byteorder.h>
#include <string.h>
#include "object/map_inline.h"
#include "worker/burst.h"

_Static_assert(offsetof(struct shoal_entry, handle) == 0 && offsetof(struct shoal_entry, flags) == 1,
	"handle and flags are read as one word");

void shoal_burst_declare(struct shoal_worker *worker)
{
	worker->alone = UINT32_MAX;
	for (unsigned port = 0; port < worker->nf->ports_count; port++) {
		uint8_t class = shoal_space_class_index(&worker->space, worker->nf->ports[port].declared);

		worker->declared_class[port] = class;
		worker->declared[port] = &worker->space.maps[class];
		if (worker->nf->ports[port].create && !worker->nf->ports[port].declared->steering)
			worker->begins |= 1u << port;
		for (unsigned other = 0; other < port; other++)
			if (worker->declared[other] == worker->declared[port])
				worker->alone &= ~(1u << other | 1u << port);
	}
}

void shoal_burst_place(struct shoal_worker *worker, struct shoal_burst *burst, uint8_t list)
{
	burst->list = list;
	burst->candidates = worker->space.image->writing[list];
}

static uint32_t mask_of(unsigned count)
{
	return UINT32_MAX >> (32 - count);
}

/* Frees what could not be parsed (its verdict is why); the others close ranks. */
static void drop_unparsed(struct shoal_worker *worker, struct shoal_burst *burst)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < burst->count; i++) {
		struct shoal_packet *packet = burst->packets[i];

		if (packet->verdict == SHOAL_PARSE_OK) {
			burst->packets[kept++] = packet;
			continue;
		}
		worker->parse_drops[packet->verdict]++;
		shoal_packet_free(packet);
	}
	burst->count = kept;
}

static void parse(struct shoal_worker *worker, struct shoal_burst *burst)
{
	unsigned bad = 0, n = burst->count;

	for (unsigned i = 0; i < n; i++) {
		struct shoal_packet *packet = burst->packets[i];

		packet->entry = SHOAL_PACKET_IN_BURST;
		packet->verdict = SHOAL_PARSE_OK; /* which is none */
		if (SHOAL_LIKELY(shoal_parse_plain(packet)))
			continue;
		packet->verdict = (uint16_t)shoal_parse_any(packet);
		bad |= packet->verdict;
	}
	if (SHOAL_UNLIKELY(bad))
		drop_unparsed(worker, burst);
}

/* Without a declared key, packets of one 5-tuple keep their order. */
static uint64_t hash_of_tuple(const struct shoal_packet *packet)
{
	return XXH3_64bits(&packet->tuple, offsetof(struct shoal_tuple, tcp_flags));
}

void shoal_burst_begin(struct shoal_worker *worker, struct shoal_burst *burst)
{
	const struct shoal_map *map = worker->declared[burst->port];

	worker->received[burst->port] += burst->count;
	parse(worker, burst);
	if (SHOAL_UNLIKELY(!burst->count))
		return;
	burst->keyed = worker->nf->ports[burst->port].keys(
		&worker->context.context, burst->packets, burst->count, burst->keys);
	shoal_map_hash_burst(map, burst->keys, burst->count, burst->hashes);
	for (uint32_t unkeyed = mask_of(burst->count) & ~burst->keyed; unkeyed; unkeyed &= unkeyed - 1) {
		unsigned i = (unsigned)__builtin_ctz(unkeyed);

		burst->hashes[i] = hash_of_tuple(burst->packets[i]);
	}
	shoal_map_bucket_burst(map, burst->hashes, burst->count, burst->buckets);
}

void shoal_burst_match(struct shoal_worker *worker, struct shoal_burst *burst)
{
	shoal_map_candidate_burst(
		worker->declared[burst->port], burst->hashes, burst->buckets, burst->count, burst->candidates);
}

/* Recalled, not seen by its maker yet, or with a packet of this flow suspended. Other flows are not slowed down by those that
 * wait: whose object has no mark has nobody suspended. */
static bool waits(struct shoal_worker *worker, struct shoal_entry *entry, uint64_t hash, unsigned of_port)
{
	bool busy = false;

	if (entry->flags & (SHOAL_ENTRY_RECALLED | SHOAL_ENTRY_FRESH))
		return true;
	for (unsigned port = 0; port < worker->nf->ports_count && worker->flows.busy; port++)
		busy |= shoal_flow_find_at(&worker->flows, hash, port) != NULL;
	if (!busy)
		entry->flags &= (uint8_t)~SHOAL_ENTRY_FLOWS;
	return busy && shoal_flow_find_at(&worker->flows, hash, of_port);
}

/* The candidate was not it, or is not simply at rest. The entry if the packet's object is here at rest after all, or 0. */
static __attribute__((noinline)) uint32_t look_closer(
	struct shoal_worker *worker, struct shoal_burst *burst, const struct shoal_map *map, unsigned i)
{
	const uint8_t *key = burst->keys + i * map->class->key_bytes;
	struct shoal_entry *entry;
	uint32_t index;

	if (!(burst->keyed >> i & 1))
		return 0;
	if (!burst->candidates[i] && shoal_map_surely_absent(map, burst->buckets[i], burst->hashes[i]))
		return 0;
	index = shoal_map_verify(map, burst->candidates[i], key, burst->hashes[i]);
	burst->candidates[i] = index;
	if (!index)
		return 0;
	entry = shoal_map_entry(map, index);
	if (entry->handle == SHOAL_HANDLE_HELD &&
		(!entry->flags || !waits(worker, entry, burst->hashes[i], burst->port)))
		return index;
	/* The packet will wait: for whom else, and behind whom? */
	__builtin_prefetch(shoal_map_lease(map, index));
	shoal_flow_prefetch(&worker->flows, burst->hashes[i], burst->port);
	return 0;
}

/* Held here, no mark, and the key's. Entry 0 never is. */
static inline bool is_at_rest(const struct shoal_entry *entry, const uint8_t *key, unsigned key_bytes)
{
	uint16_t state;

	memcpy(&state, entry, sizeof(state));
	return state == RTE_LE16(SHOAL_HANDLE_HELD) && memcmp(entry->bytes, key, key_bytes) == 0;
}

/* The packets from `i` on whose candidates are their objects, at rest; the objects of the local ones before are `count`. Without a
 * call in it, so that all stays in registers. Returns how many. */
static inline __attribute__((always_inline)) unsigned verify_run(const struct shoal_worker *worker,
	struct shoal_burst *burst, const struct shoal_map *map, unsigned i, unsigned count, unsigned key_bytes)
{
	const uint32_t *candidates = burst->candidates + i;
	const uint8_t *keys = burst->keys + i * key_bytes;
	uint32_t now_ms = worker->space.now_ms;
	uint32_t object_offset = map->object_offset;
	void **objects = burst->objects + count;
	unsigned n = burst->count - i, run;
	size_t stride = map->stride;
	uint8_t *slab = map->slab;

	for (run = 0; run < n; run++) {
		struct shoal_entry *entry = (struct shoal_entry *)(slab + candidates[run] * stride);

		if (SHOAL_UNLIKELY(!is_at_rest(entry, keys + run * key_bytes, key_bytes)))
			break;
		entry->used_ms = now_ms;
		objects[run] = (uint8_t *)entry + object_offset;
	}
	return run;
}

/* Finds the objects of the packets for the burst handler; returns how many. `key_bytes` is constant where that pays. */
static inline __attribute__((always_inline)) unsigned verify_keys(
	struct shoal_worker *worker, struct shoal_burst *burst, const struct shoal_map *map, unsigned key_bytes)
{
	unsigned count = 0, i = 0;

	burst->local = mask_of(burst->count);
	for (;;) {
		unsigned run = verify_run(worker, burst, map, i, count, key_bytes);
		uint32_t index;

		count += run;
		i += run;
		if (i == burst->count)
			return count;
		index = look_closer(worker, burst, map, i);
		if (index) {
			shoal_map_entry(map, index)->used_ms = worker->space.now_ms;
			burst->candidates[i] = index;
			burst->objects[count++] = shoal_map_object(map, shoal_map_entry(map, index));
		} else {
			burst->local &= ~(1u << i);
		}
		i++;
	}
}

static unsigned verify(struct shoal_worker *worker, struct shoal_burst *burst, const struct shoal_map *map)
{
	if (map->class->key_bytes == 8)
		return verify_keys(worker, burst, map, 8);
	return verify_keys(worker, burst, map, map->class->key_bytes);
}

static void process(struct shoal_worker *worker, struct shoal_burst *burst, unsigned count)
{
	struct shoal_image *image = worker->space.image;
	struct shoal_packet *some[SHOAL_BURST_MAX], **local = burst->packets;
	unsigned at = 0;

	image->writing_list = burst->list;
	if (SHOAL_UNLIKELY(count != burst->count)) {
		for (uint32_t left = burst->local; left; left &= left - 1) {
			unsigned i = (unsigned)__builtin_ctz(left);

			image->writing[SHOAL_WRITING_SOME][at] = burst->candidates[i];
			some[at++] = burst->packets[i];
		}
		local = some;
		image->writing_list = SHOAL_WRITING_SOME;
	}
	/* Should this worker die in between, these objects are in doubt. */
	image->writing_class = worker->declared_class[burst->port];
	__atomic_store_n(&image->writing_count, count, __ATOMIC_RELEASE);
	worker->nf->process(&worker->context.context, local, burst->objects, count);
	__atomic_store_n(&image->writing_count, 0, __ATOMIC_RELEASE);
}

/* All that the burst handler does not take waits for its object, or gets a microthread, behind packets of its flow that are
 * suspended. */
static void queue_for_handlers(
	struct shoal_worker *worker, struct shoal_burst *burst, unsigned from, const struct shoal_map *map)
{
	uint16_t key_bytes = map->class->key_bytes;
	uint32_t queued = mask_of(burst->count) & ~burst->local;
	uint32_t elsewhere = worker->plane->fetch ? queued & burst->keyed : 0; /* or not there at all */

	for (unsigned i = from; i < burst->count; i++)
		queued |= (uint32_t)(burst->packets[i]->verdict == SHOAL_TO_PACKET_HANDLER) << i;
	for (; queued; queued &= queued - 1) {
		unsigned i = (unsigned)__builtin_ctz(queued);
		struct shoal_packet *packet = burst->packets[i];

		packet->verdict = 0;
		packet->hash = burst->hashes[i];
		packet->candidate = burst->candidates[i];
		if (key_bytes == 8)
			memcpy(packet->key, burst->keys + i * 8,
				8); /* without a call; of no meaning where there is no key */
		else if (burst->keyed >> i & 1)
			memcpy(packet->key, burst->keys + i * key_bytes, key_bytes);
		packet->traffic = burst->keyed >> i & 1;
		packet->arrived_ns = worker->space.now_ns;
		packet->arrival = worker->arrivals + i;
		if (elsewhere >> i & 1 && shoal_worker_fetch(worker, packet))
			continue;
		shoal_packet_list_push(&worker->handling, packet);
		worker->handled_packets++;
	}
}

/* The flow in which the packet has to wait although its verdict is known: an earlier packet is suspended. (One that came
 * behind it in this burst may be suspended too: it does not wait for that.) */
static struct shoal_flow *flow_before(
	struct shoal_worker *worker, struct shoal_packet *packet, uint64_t hash, uint64_t arrival)
{
	struct shoal_flow *flow = shoal_flow_find_at(&worker->flows, hash, packet->port);

	packet->hash = hash;
	packet->arrival = arrival;
	return flow && flow->arrival < arrival ? flow : NULL;
}

/* A bit for each hash: 0 where no packet of that hash is among those that the burst has withdrawn. So wide that half a
 * burst seldom covers the others. */
struct sieve {
	uint64_t words[8];
};

static inline uint64_t *sieve_word(struct sieve *sieve, uint64_t hash)
{
	return &sieve->words[hash >> 6 & 7];
}

static struct sieve sieve_of(const struct shoal_burst *burst, uint32_t withdrawn)
{
	struct sieve sieve = { 0 };

	for (; withdrawn; withdrawn &= withdrawn - 1) {
		uint64_t hash = burst->hashes[__builtin_ctz(withdrawn)];

		*sieve_word(&sieve, hash) |= UINT64_C(1) << hash % 64;
	}
	return sieve;
}

static void emit_all(struct shoal_worker *worker, struct shoal_packet *const packets[], unsigned from, unsigned count)
{
	for (unsigned i = from; i < count;)
		i += shoal_worker_emit_run(worker, packets + i, count - i);
}

/* A packet whose verdict is known found its flow without a suspended packet: only one of this burst can have been suspended
 * since. So nearly all go past the flow table. */
static void emit_in_order(struct shoal_worker *worker, struct shoal_burst *burst, unsigned from)
{
	struct sieve sieve = sieve_of(burst, worker->withdrawn);
	uint32_t left = mask_of(burst->count) & ~worker->withdrawn & UINT32_MAX << from;
	struct shoal_packet *leaving[SHOAL_BURST_MAX];
	unsigned count = 0;

	for (; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);
		struct shoal_packet *packet = burst->packets[i];
		struct shoal_flow *flow;

		if (SHOAL_UNLIKELY(*sieve_word(&sieve, burst->hashes[i]) >> burst->hashes[i] % 64 & 1) &&
			!SHOAL_PLANT(5) &&
			(flow = flow_before(worker, packet, burst->hashes[i], worker->arrivals + i)) != NULL)
			shoal_worker_park(worker, flow, packet);
		else
			leaving[count++] = packet;
	}
	emit_all(worker, leaving, 0, count);
}

/* The usual burst: every object at rest, no flow waiting. Packets leave as long as the burst handler was done with them;
 * returns how many. Those that follow each other with one verdict leave together. */
static unsigned emit_at_rest(struct shoal_worker *worker, struct shoal_burst *burst)
{
	unsigned i = 0;

	while (i < burst->count && burst->packets[i]->verdict != SHOAL_TO_PACKET_HANDLER)
		i += shoal_worker_emit_run(worker, burst->packets + i, burst->count - i);
	return i;
}

void shoal_burst_end(struct shoal_worker *worker, struct shoal_burst *burst)
{
	const struct shoal_map *map = worker->declared[burst->port];
	unsigned count = burst->count ? verify(worker, burst, map) : 0, left = 0;

	if (count)
		process(worker, burst, count);
	if (SHOAL_LIKELY(count == burst->count))
		left = emit_at_rest(worker, burst);
	if (SHOAL_LIKELY(left == burst->count))
		return;
	worker->withdrawn = 0;
	queue_for_handlers(worker, burst, left, map);
	if (worker->handling.count)
		shoal_worker_run_handlers(worker);
	if (worker->withdrawn)
		emit_in_order(worker, burst, left);
	else /* nobody was suspended */
		emit_all(worker, burst->packets, left, burst->count);
	worker->arrivals += burst->count;
}
