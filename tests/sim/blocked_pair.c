/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_mempool.h>
#include <unistd.h>
#include "channel/ring_transport.h"
#include "object/map_inline.h"
#include "blocked_pair.h"
#include "worker/error.h"

#define HEADERS 42u
#define FRAME_BYTES (HEADERS + 8u)

struct pair_nf pair_nf;

/* --- An NF: one port, one class, the key is the payload --- */

static uint8_t key_steering(const void *key)
{
	return ((const uint8_t *)key)[0];
}

/* Steered like its packets: so an unknown object is asked for before it is made. */
static const struct shoal_class flow_class = {
	.name = "blocked.flow", .key_bytes = 8, .object_bytes = 24, .steering = key_steering
};
static const struct shoal_class *const classes[] = { &flow_class };

static uint8_t steer(const struct shoal_packet *packet)
{
	return (uint8_t)packet->tuple.source_port;
}

static uint32_t keys(const struct shoal_context *context, struct shoal_packet *const packets[], unsigned n, void *out)
{
	(void)context;
	for (unsigned i = 0; i < n; i++)
		memcpy((uint8_t *)out + 8 * i, packets[i]->frame + HEADERS, 8);
	return (uint32_t)((UINT64_C(1) << n) - 1);
}

static void process(
	struct shoal_context *context, struct shoal_packet *const packets[], void *const objects[], unsigned n)
{
	(void)context;
	for (unsigned i = 0; i < n; i++) {
		if (pair_nf.declines) {
			pair_nf.declines--;
			packets[i]->verdict = SHOAL_TO_PACKET_HANDLER;
			continue;
		}
		++*(uint64_t *)objects[i];
		pair_nf.in_bursts++;
		packets[i]->verdict = SHOAL_TRANSMIT(0);
	}
}

static uint16_t handle(struct shoal_context *context, struct shoal_packet *packet, const void *key)
{
	struct shoal_request request = { .class = &flow_class, .key = key, .create = true };

	(void)packet;
	if (pair_nf.waits_for_test) {
		struct shoal_wait wait = { .since_ns = context->now_ns };

		pair_nf.waits_for_test--;
		pair_nf.waits[pair_nf.waiting++] = &wait;
		shoal_wait(((struct shoal_space_context *)context)->space, &wait);
		if (wait.outcome != SHOAL_WAIT_GRANTED)
			return SHOAL_DROP(0);
	}
	if (shoal_take(context, &request, 1))
		return SHOAL_DROP(0);
	++*(uint64_t *)request.object;
	pair_nf.in_handlers++;
	shoal_release(context, &request, 1);
	return SHOAL_TRANSMIT(0);
}

static const struct shoal_nf_port ports[] = {
	{ .name = "only", .steer = steer, .declared = &flow_class, .create = true, .keys = keys }
};
static const char *const drops[] = { "failed" };
static const struct shoal_nf nf = { .abi = SHOAL_NF_ABI,
	.name = "blocked",
	.version = "1",
	.classes = classes,
	.classes_count = 1,
	.ports = ports,
	.ports_count = 1,
	.drops = drops,
	.drops_count = 1,
	.process = process,
	.packet = handle };

/* --- Its port: hands out what lies ready, frees what leaves --- */

static unsigned receive(struct shoal_port *port, struct shoal_packet *packets[], unsigned n, uint64_t now_ns)
{
	struct source *source = (struct source *)port;
	unsigned count = source->count < n ? source->count : n;

	(void)now_ns;
	memcpy(packets, source->ready, count * sizeof(packets[0]));
	source->count = 0;
	return count;
}

static unsigned transmit(struct shoal_port *port, struct shoal_packet *const packets[], unsigned n)
{
	struct source *source = (struct source *)port;

	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	source->elsewhere +=
		source->stack && (source->stack > here ? source->stack - here : here - source->stack) > 1 << 20;
	if (source->full)
		return 0;
	for (unsigned i = 0; i < n; i++)
		shoal_packet_free(packets[i]);
	source->left += n;
	return n;
}

static void nothing(struct shoal_port *port)
{
	(void)port;
}

static const struct shoal_port_operations source_operations = {
	.receive = receive, .transmit = transmit, .flush = nothing, .destroy = nothing
};

/* --- The workers --- */

uint64_t pair_now_ns = SHOAL_NS_PER_S;
static struct rte_mempool *pool;

unsigned pair_packets(void)
{
	return rte_mempool_in_use_count(pool);
}

static struct shoal_worker *start_worker(uint8_t self, uint32_t microthreads, uint32_t flows)
{
	const struct shoal_worker_config config = { .space = { .self = self,
							    .life = self + 1,
							    .hash_seed = 7,
							    .classes = classes,
							    .classes_count = 1,
							    .objects_max = flows + 4096,
							    .window = flows,
							    .microthreads_max = microthreads,
							    .members_max = 2,
							    .deadline_ns = 1000 * SHOAL_NS_PER_S,
							    .touch = true },
		.nf = &nf,
		.parked_max = 1024,
		.backlog_max = 1024,
		.stack_bytes = 8192 };
	struct shoal_worker *worker = aligned_alloc(64, (sizeof(*worker) + 63) / 64 * 64);

	assert_non_null(worker);
	assert_int_equal(shoal_worker_init(worker, &config), 0);
	return worker;
}

static void link_workers(struct shoal_worker *one, struct shoal_worker *other)
{
	int descriptor = shoal_ring_pair_create(SHOAL_RING_TRANSPORT_CAPACITY);

	assert_true(descriptor >= 0);
	assert_int_equal(shoal_channel_attach(one->space.channel, 1, 2, shoal_ring_transport_create(descriptor, 0)), 0);
	assert_int_equal(
		shoal_channel_attach(other->space.channel, 0, 1, shoal_ring_transport_create(descriptor, 1)), 0);
	close(descriptor);
}

void pair_poll(struct pair *pair)
{
	pair_now_ns += 10000;
	shoal_worker_poll(pair->worker, pair_now_ns);
	shoal_worker_poll(pair->peer, pair_now_ns);
}

static void give_map(struct pair *pair)
{
	static struct shoal_plan plan;

	memset(&plan, 0, sizeof(plan));
	plan.term = plan.epoch_next = 1;
	plan.in_next[0] = plan.in_next[1] = 1;
	memset(plan.owner_next + SHOAL_SLOTS / 2, 1, SHOAL_SLOTS / 2);
	assert_int_equal(shoal_keyspace_learn(&pair->worker->space, &plan), 0);
	assert_int_equal(shoal_keyspace_learn(&pair->peer->space, &plan), 0);
	assert_int_equal(shoal_keyspace_hand_over(&pair->worker->space, 1, 1), 0);
	assert_int_equal(shoal_keyspace_hand_over(&pair->peer->space, 1, 1), 0);
	for (unsigned i = 0; i < 100; i++)
		pair_poll(pair);
	assert_int_equal(shoal_keyspace_forget(&pair->worker->space, 1, 1), 0);
	assert_int_equal(shoal_keyspace_forget(&pair->peer->space, 1, 1), 0);
}

/* The next key at or after `from` that the worker owns, or does not. In a buffer as wide as keys may be: gcc can't know this
 * class's width. */
uint64_t pair_find_key(const struct pair *pair, uint64_t from, bool own)
{
	const struct shoal_map *map = &pair->worker->space.maps[0];
	uint64_t key[SHOAL_KEY_BYTES_MAX / 8] = { from };

	while (own != (shoal_map_slot(map, key, shoal_map_hash(map, key)) < SHOAL_SLOTS / 2))
		key[0]++;
	return key[0];
}

static struct shoal_packet *feed(struct source *source, uint64_t key)
{
	struct shoal_packet *packet = shoal_packet_alloc(pool, FRAME_BYTES);

	assert_non_null(packet);
	memset(packet->frame, 0, HEADERS);
	packet->frame[12] = 0x08;
	packet->frame[14] = 0x45;
	packet->frame[17] = FRAME_BYTES - 14;
	packet->frame[22] = 64;
	packet->frame[23] = 17;
	packet->frame[39] = 16; /* UDP length */
	memcpy(packet->frame + HEADERS, &key, 8);
	packet->port = 0;
	source->ready[source->count++] = packet;
	return packet;
}

struct shoal_packet *pair_feed(struct pair *pair, uint64_t key)
{
	return feed(&pair->source, key);
}

void pair_feed_peer(struct pair *pair, uint64_t key)
{
	feed(&pair->peer_source, key);
}

void pair_feed_local(struct pair *pair)
{
	for (unsigned i = 0; i < SHOAL_BURST_MAX; i++)
		pair_feed(pair, pair->local[pair->next++ % LOCAL_FLOWS]);
}

void pair_start(struct pair *pair, uint32_t microthreads, uint32_t flows)
{
	uint64_t key = 0;

	memset(pair, 0, sizeof(*pair));
	pair->worker = start_worker(0, microthreads, flows);
	pair->peer = start_worker(1, 64, flows);
	link_workers(pair->worker, pair->peer);
	pair->source.port.operations = &source_operations;
	pair->worker->ports[0] = &pair->source.port;
	pair->peer_source.port.operations = &source_operations;
	pair->peer->ports[0] = &pair->peer_source.port;
	give_map(pair);
	for (unsigned i = 0; i < LOCAL_FLOWS; i++) {
		pair->local[i] = pair_find_key(pair, key, true);
		key = pair->local[i] + 1;
	}
	for (unsigned i = 0; i < LOCAL_FLOWS / SHOAL_BURST_MAX; i++) {
		pair_feed_local(pair);
		pair_poll(pair);
	}
	assert_int_equal(pair->source.left, LOCAL_FLOWS);
}

void pair_end(struct pair *pair)
{
	shoal_worker_fini(pair->worker);
	shoal_worker_fini(pair->peer);
	free(pair->worker);
	free(pair->peer);
}

int pair_set_up(unsigned packets)
{
	static char prefix[48];
	const char *arguments[] = { "blocked", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry", "--no-shconf",
		"--log-level", "4", "--file-prefix", prefix };

	snprintf(prefix, sizeof(prefix), "blocked-%d", (int)getpid());
	if (shoal_eal_start(sizeof(arguments) / sizeof(arguments[0]), arguments))
		return -1;
	pool = shoal_packet_pool_create("blocked", packets, 128);
	return pool ? 0 : -1;
}
