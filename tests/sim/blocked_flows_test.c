/* SPDX-License-Identifier: BSD-3-Clause */
/* dso.md, case 20: 100,000 flows of a worker are blocked (their key owner is not polled); the others keep 90 % of their
 * throughput. Two workers do the same work chunk by chunk in turn, and one of them has the blocked flows; afterwards all of
 * those leave too. Under sanitizers a hundredth, and no times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "channel/ring_transport.h"
#include "object/map_inline.h"
#include "worker/error.h"
#include "worker/worker.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BLOCKED 1000u
#define TIMED false
#else
#define BLOCKED 100000u
#define TIMED true
#endif
#define LOCAL_FLOWS 1024u
#define CHUNK_BURSTS 64u
#define CHUNKS 600u
#define HEADERS 42u
#define FRAME_BYTES (HEADERS + 8u)

/* --- An NF: one port, one class, the key is the payload --- */

static const struct shoal_class flow_class = { .name = "blocked.flow", .key_bytes = 8, .object_bytes = 24 };
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
		++*(uint64_t *)objects[i];
		packets[i]->verdict = SHOAL_TRANSMIT(0);
	}
}

static uint16_t handle(struct shoal_context *context, struct shoal_packet *packet, const void *key)
{
	struct shoal_request request = { .class = &flow_class, .key = key, .create = true };

	(void)packet;
	if (shoal_take(context, &request, 1))
		return SHOAL_DROP(0);
	++*(uint64_t *)request.object;
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

struct source {
	struct shoal_port port; /* first */
	struct shoal_packet *ready[SHOAL_BURST_MAX];
	unsigned count;
	uint64_t left;
};

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
	for (unsigned i = 0; i < n; i++)
		shoal_packet_free(packets[i]);
	((struct source *)port)->left += n;
	return n;
}

static void nothing(struct shoal_port *port)
{
	(void)port;
}

static const struct shoal_port_operations source_operations = {
	.receive = receive, .transmit = transmit, .flush = nothing, .destroy = nothing
};

/* --- A worker with a peer that owns the upper half of the slots --- */

struct pair {
	struct shoal_worker *worker, *peer;
	struct source source;
	uint64_t local[LOCAL_FLOWS]; /* keys that the worker owns */
	unsigned next;
};

static struct rte_mempool *pool;
static uint64_t now_ns = SHOAL_NS_PER_S;

static struct shoal_worker *start_worker(uint8_t self, uint32_t microthreads)
{
	const struct shoal_worker_config config = { .space = { .self = self,
							    .life = self + 1,
							    .hash_seed = 7,
							    .classes = classes,
							    .classes_count = 1,
							    .objects_max = 2 * BLOCKED + 4096,
							    .window = 2 * BLOCKED,
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

static void poll_both(struct pair *pair)
{
	now_ns += 10000;
	shoal_worker_poll(pair->worker, now_ns);
	shoal_worker_poll(pair->peer, now_ns);
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
		poll_both(pair);
	assert_int_equal(shoal_keyspace_forget(&pair->worker->space, 1, 1), 0);
	assert_int_equal(shoal_keyspace_forget(&pair->peer->space, 1, 1), 0);
}

/* The next key at or after `from` that the worker owns, or does not. */
static uint64_t find_key(const struct pair *pair, uint64_t from, bool own)
{
	const struct shoal_map *map = &pair->worker->space.maps[0];

	while (own != (shoal_map_slot(map, &from, shoal_map_hash(map, &from)) < SHOAL_SLOTS / 2))
		from++;
	return from;
}

static void feed(struct pair *pair, uint64_t key)
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
	pair->source.ready[pair->source.count++] = packet;
}

static void feed_local(struct pair *pair)
{
	for (unsigned i = 0; i < SHOAL_BURST_MAX; i++)
		feed(pair, pair->local[pair->next++ % LOCAL_FLOWS]);
}

static void start_pair(struct pair *pair, uint32_t microthreads)
{
	uint64_t key = 0;

	memset(pair, 0, sizeof(*pair));
	pair->worker = start_worker(0, microthreads);
	pair->peer = start_worker(1, 64);
	link_workers(pair->worker, pair->peer);
	pair->source.port.operations = &source_operations;
	pair->worker->ports[0] = &pair->source.port;
	give_map(pair);
	for (unsigned i = 0; i < LOCAL_FLOWS; i++) {
		pair->local[i] = find_key(pair, key, true);
		key = pair->local[i] + 1;
	}
	for (unsigned i = 0; i < LOCAL_FLOWS / SHOAL_BURST_MAX; i++) {
		feed_local(pair);
		poll_both(pair);
	}
	assert_int_equal(pair->source.left, LOCAL_FLOWS);
}

static void end_pair(struct pair *pair)
{
	shoal_worker_fini(pair->worker);
	shoal_worker_fini(pair->peer);
	free(pair->worker);
	free(pair->peer);
}

static void block(struct pair *pair)
{
	uint64_t key = UINT64_C(1) << 32;

	for (unsigned i = 0; i < BLOCKED; i++) {
		key = find_key(pair, key + 1, false);
		feed(pair, key);
		if (pair->source.count < SHOAL_BURST_MAX && i + 1 < BLOCKED)
			continue;
		now_ns += 10000;
		shoal_worker_poll(pair->worker, now_ns);
	}
	assert_int_equal(shoal_scheduler_suspended(pair->worker->scheduler), BLOCKED);
}

static uint64_t chunk_ns(struct pair *pair)
{
	struct timespec from, to;
	uint64_t sum = 0;

	for (unsigned burst = 0; burst < CHUNK_BURSTS; burst++) {
		feed_local(pair);
		now_ns += 10000;
		clock_gettime(CLOCK_MONOTONIC, &from);
		shoal_worker_poll(pair->worker, now_ns);
		clock_gettime(CLOCK_MONOTONIC, &to);
		sum += (uint64_t)(to.tv_sec - from.tv_sec) * SHOAL_NS_PER_S + (uint64_t)to.tv_nsec -
		       (uint64_t)from.tv_nsec;
	}
	return sum;
}

static int compare(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

static double median_ns(uint64_t *chunks)
{
	qsort(chunks, CHUNKS, sizeof(chunks[0]), compare);
	return (double)chunks[CHUNKS / 2] / (CHUNK_BURSTS * SHOAL_BURST_MAX);
}

static void test_others_go_on(void **state)
{
	static uint64_t with[CHUNKS], without[CHUNKS];
	static struct pair free_one, blocked;
	double ratio;

	(void)state;
	start_pair(&free_one, 1024);
	start_pair(&blocked, BLOCKED + 1024);
	block(&blocked);
	for (unsigned chunk = 0; chunk < CHUNKS; chunk++) {
		without[chunk] = chunk_ns(&free_one);
		with[chunk] = chunk_ns(&blocked);
	}
	assert_int_equal(free_one.source.left, blocked.source.left);
	ratio = median_ns(without) / median_ns(with);
	printf("%.1f ns a packet, with %u blocked flows %.1f ns: %.0f %%\n", median_ns(without), BLOCKED,
		median_ns(with), 100 * ratio);
	if (TIMED)
		assert_true(ratio >= 0.9);
	/* The peer is polled again: all that were blocked leave. */
	uint64_t expected = blocked.source.left + BLOCKED;

	for (unsigned i = 0; i < BLOCKED && blocked.source.left < expected; i++)
		poll_both(&blocked);
	assert_int_equal(blocked.source.left, expected);
	assert_int_equal(shoal_worker_inside(blocked.worker), 0);
	end_pair(&blocked);
	end_pair(&free_one);
}

int main(void)
{
	static char prefix[48];
	const char *arguments[] = { "blocked", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry", "--no-shconf",
		"--log-level", "4", "--file-prefix", prefix };
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_others_go_on) };

	snprintf(prefix, sizeof(prefix), "blocked-%d", (int)getpid());
	if (shoal_eal_start(sizeof(arguments) / sizeof(arguments[0]), arguments))
		return 1;
	pool = shoal_packet_pool_create("blocked", BLOCKED + 4096, 128);
	if (!pool)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
