/* SPDX-License-Identifier: BSD-3-Clause */
/* The NAT on one splitter and up to four instances, joined by real rings, all polled by one thread in made-up time: traffic
 * in both directions goes on while instances join and leave. Nothing may be lost, reordered within a flow, or mapped
 * wrongly, whatever the order in which components are polled.
 *
 *     source, hosts ─── splitter ═══ packet rings ═══ instances 0 … 3 ─── ring channels between each two
 *     servers, sink ──┘ */
#include <arpa/inet.h>
#include <errno.h>
#include <rte_eal.h>
#include <rte_mempool.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "channel/ring_transport.h"
#include "io/splitter.h"
#include "worker/worker.h"

#define INSTANCES 4
#define FLOWS 2000
#define FRAME 64
#define PAYLOAD 42

static struct rte_mempool *pool;

/* What a generated packet carries behind its headers. */
struct stamp {
	uint32_t flow;
	uint32_t number;
};

struct flow {
	uint32_t sent, answered, received; /* numbers within the flow */
	uint32_t public_address;
	uint16_t public_port;
};

/* Two ports in one: hosts inside (0), servers outside (1). */
struct end_port {
	struct shoal_port port;
	struct cluster *cluster;
};

struct cluster {
	struct shoal_splitter splitter;
	struct shoal_worker *workers[INSTANCES];
	struct end_port ends[2];
	struct flow flows[FLOWS];
	uint8_t answers[4096][FRAME]; /* on their way from the servers */
	unsigned answers_head, answers_tail;
	uint64_t sent, arrived_outside, answered, arrived_inside;
	uint64_t reordered, mapped_wrongly;
	uint64_t now_ns, random;
	uint64_t epoch;
	uint8_t owner[SHOAL_SLOTS];
	bool in[INSTANCES];
	bool quiet; /* no new packets */
};

static uint64_t next_random(struct cluster *cluster)
{
	cluster->random ^= cluster->random << 13;
	cluster->random ^= cluster->random >> 7;
	cluster->random ^= cluster->random << 17;
	return cluster->random;
}

/* --- The ends --- */

static void make_frame(uint8_t *frame, uint32_t flow, uint32_t number)
{
	static const uint8_t head[] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 50, 0, 1, 0, 0, 64, 17, 0, 0 };
	uint32_t source = htonl(0x10000001 + flow / 16), destination = htonl(0x30000001);
	uint16_t ports[4] = { htons((uint16_t)(2000 + flow % 16)), htons(53), htons(30), 0 };
	struct stamp stamp = { .flow = flow, .number = number };

	memset(frame, 0, FRAME);
	memcpy(frame, head, sizeof(head));
	memcpy(frame + 26, &source, 4);
	memcpy(frame + 30, &destination, 4);
	memcpy(frame + 34, ports, 8);
	memcpy(frame + PAYLOAD, &stamp, sizeof(stamp));
}

static unsigned receive(struct shoal_port *port, struct shoal_packet *packets[], unsigned n, uint64_t now_ns)
{
	struct end_port *end = (struct end_port *)port;
	struct cluster *cluster = end->cluster;
	bool outside = end == &cluster->ends[1];
	unsigned count = 0, want = (unsigned)(next_random(cluster) % 8);

	while (count < n && count < want && (outside ? cluster->answers_head != cluster->answers_tail : !cluster->quiet)) {
		struct shoal_packet *packet = shoal_packet_alloc(pool, FRAME);
		uint32_t flow = (uint32_t)(next_random(cluster) % FLOWS);

		if (!packet)
			break;
		if (outside) {
			memcpy(packet->frame, cluster->answers[cluster->answers_head++ % 4096], FRAME);
			cluster->answered++;
		} else {
			make_frame(packet->frame, flow, cluster->flows[flow].sent++);
			cluster->sent++;
		}
		packet->port = outside;
		packets[count++] = packet;
	}
	return count;
}

/* At the servers: the public address and port are the flow's for good; the packet is answered. */
static void arrive_outside(struct cluster *cluster, uint8_t *frame, const struct stamp *stamp)
{
	struct flow *flow = &cluster->flows[stamp->flow];
	uint32_t source, destination;
	uint16_t port, server;

	memcpy(&source, frame + 26, 4);
	memcpy(&destination, frame + 30, 4);
	memcpy(&port, frame + 34, 2);
	memcpy(&server, frame + 36, 2);
	cluster->arrived_outside++;
	cluster->reordered += stamp->number != flow->answered;
	flow->answered = stamp->number + 1;
	if (!flow->public_port) {
		flow->public_address = source;
		flow->public_port = port;
	}
	cluster->mapped_wrongly += flow->public_address != source || flow->public_port != port;
	memcpy(frame + 26, &destination, 4);
	memcpy(frame + 30, &source, 4);
	memcpy(frame + 34, &server, 2);
	memcpy(frame + 36, &port, 2);
	assert_true(cluster->answers_tail - cluster->answers_head < 4096);
	memcpy(cluster->answers[cluster->answers_tail++ % 4096], frame, FRAME);
}

static void arrive_inside(struct cluster *cluster, const uint8_t *frame, const struct stamp *stamp)
{
	struct flow *flow = &cluster->flows[stamp->flow];
	uint32_t host;
	uint16_t port;

	memcpy(&host, frame + 30, 4);
	memcpy(&port, frame + 36, 2);
	cluster->arrived_inside++;
	cluster->reordered += stamp->number != flow->received;
	flow->received = stamp->number + 1;
	cluster->mapped_wrongly += ntohl(host) != 0x10000001 + stamp->flow / 16 || ntohs(port) != 2000 + stamp->flow % 16;
}

static unsigned transmit(struct shoal_port *port, struct shoal_packet *const packets[], unsigned n)
{
	struct end_port *end = (struct end_port *)port;

	for (unsigned i = 0; i < n; i++) {
		struct stamp stamp;

		memcpy(&stamp, packets[i]->frame + PAYLOAD, sizeof(stamp));
		assert_true(stamp.flow < FLOWS);
		if (end == &end->cluster->ends[1])
			arrive_outside(end->cluster, packets[i]->frame, &stamp);
		else
			arrive_inside(end->cluster, packets[i]->frame, &stamp);
		shoal_packet_free(packets[i]);
	}
	return n;
}

static void nothing(struct shoal_port *port)
{
}

static const struct shoal_port_operations end_operations = { .receive = receive, .transmit = transmit, .flush = nothing, .destroy = nothing };

/* --- The cluster --- */

static void *make_nat(void)
{
	void *state = shoal_nf.create();
	char error[256];

	assert_int_equal(shoal_nf.configure(state, "public_addresses", "198.18.0.1-198.18.0.4", error, sizeof(error)), 0);
	assert_int_equal(shoal_nf.configure(state, "inside_prefixes", "16.0.0.0/8", error, sizeof(error)), 0);
	assert_int_equal(shoal_nf.init(state, error, sizeof(error)), 0);
	return state;
}

static void connect_members(struct cluster *cluster, unsigned low, unsigned high)
{
	int descriptor = shoal_ring_pair_create(SHOAL_RING_TRANSPORT_CAPACITY);

	assert_true(descriptor >= 0);
	for (unsigned side = 0; side < 2; side++) {
		struct shoal_link *link = shoal_ring_transport_create(descriptor, side);

		assert_non_null(link);
		assert_int_equal(shoal_channel_attach(cluster->workers[side ? high : low]->space.channel,
					 (uint8_t)(side ? low : high), 100 + (side ? low : high), link),
			0);
	}
	close(descriptor);
}

static void add_instance(struct cluster *cluster, unsigned member)
{
	struct shoal_worker *worker = aligned_alloc(64, (sizeof(*worker) + 63) / 64 * 64);
	const struct shoal_worker_config config = { .space = { .self = (uint8_t)member,
							    .life = 100 + member,
							    .hash_seed = 77,
							    .classes = shoal_nf.classes,
							    .classes_count = shoal_nf.classes_count,
							    .objects_max = 20000,
							    .window = 256,
							    .microthreads_max = 512,
							    .members_max = INSTANCES,
							    .deadline_ns = SHOAL_NS_PER_S },
		.nf = &shoal_nf,
		.nf_state = make_nat(),
		.parked_max = 4096,
		.backlog_max = 512,
		.stack_bytes = 16384 };
	int descriptor = shoal_ring_pair_create(1 << 20);
	struct shoal_packet_ring *ring;

	assert_int_equal(shoal_worker_init(worker, &config), 0);
	cluster->workers[member] = worker;
	ring = shoal_packet_ring_create(descriptor, 0, pool);
	assert_int_equal(shoal_splitter_member_add(&cluster->splitter, (uint16_t)member, ring), 0);
	worker->ring = shoal_packet_ring_create(descriptor, 1, pool);
	assert_non_null(worker->ring);
	close(descriptor);
	for (unsigned other = 0; other < INSTANCES; other++)
		if (other != member && cluster->workers[other])
			connect_members(cluster, other < member ? other : member, other < member ? member : other);
}

static void end_instance(struct cluster *cluster, unsigned member)
{
	struct shoal_worker *worker = cluster->workers[member];
	struct shoal_packet_ring *ring = worker->ring;
	void *state = worker->context.context.nf_state;

	shoal_worker_fini(worker);
	shoal_packet_ring_port(ring)->operations->destroy(shoal_packet_ring_port(ring));
	shoal_nf.destroy(state);
	free(worker);
	cluster->workers[member] = NULL;
}

/* A leaver has nothing left that anybody could miss. */
static void remove_instance(struct cluster *cluster, unsigned member)
{
	struct shoal_worker *worker = cluster->workers[member];
	struct shoal_packet_ring *ring = NULL;

	assert_int_equal(shoal_splitter_member_remove(&cluster->splitter, (uint16_t)member, cluster->now_ns, &ring), 0);
	shoal_packet_ring_port(ring)->operations->destroy(shoal_packet_ring_port(ring));
	for (unsigned other = 0; other < INSTANCES; other++)
		if (other != member && cluster->workers[other])
			shoal_channel_detach(cluster->workers[other]->space.channel, (uint8_t)member);
	assert_int_equal(shoal_worker_inside(worker), 0);
	assert_int_equal(worker->space.held, 0);
	end_instance(cluster, member);
}

/* One component's poll, chosen at random: any interleaving may happen. */
static void step(struct cluster *cluster)
{
	unsigned which = (unsigned)(next_random(cluster) % (INSTANCES + 1));

	cluster->now_ns += next_random(cluster) % 2000;
	if (which == INSTANCES)
		shoal_splitter_poll(&cluster->splitter, cluster->now_ns);
	else if (cluster->workers[which])
		shoal_worker_poll(cluster->workers[which], cluster->now_ns);
}

static void run(struct cluster *cluster, unsigned steps)
{
	while (steps--)
		step(cluster);
}

/* --- The controller's part --- */

static void spread(const bool *in, uint8_t *owner)
{
	uint8_t members[INSTANCES];
	unsigned count = 0;

	for (uint8_t member = 0; member < INSTANCES; member++)
		if (in[member])
			members[count++] = member;
	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot++)
		owner[slot] = members[slot / SHOAL_SLOTS_PER_STEERING % count];
}

static bool all_done(struct cluster *cluster)
{
	for (unsigned member = 0; member < INSTANCES; member++)
		if (cluster->workers[member] && cluster->workers[member]->space.keyspace.stage != SHOAL_STAGE_DONE)
			return false;
	return true;
}

/* Redirects what has come to its new owner; true: all steering slots are where the plan wants them. */
static bool redirect_ready(struct cluster *cluster, const uint8_t *next)
{
	bool all = true;

	for (unsigned slot = 0; slot < SHOAL_STEERING_SLOTS; slot++) {
		uint8_t owner = next[slot * SHOAL_SLOTS_PER_STEERING];
		struct shoal_redirect_progress progress;
		struct shoal_steering_set set;
		unsigned refused;

		if (cluster->owner[slot * SHOAL_SLOTS_PER_STEERING] == owner)
			continue;
		shoal_splitter_progress_read(&cluster->splitter, false, &progress);
		if (progress.pending_slots[slot / 8] >> slot % 8 & 1 ||
			cluster->workers[owner]->space.keyspace.token[slot] != UINT64_MAX) {
			all = false;
			continue;
		}
		if (cluster->splitter.steering.slots[slot].member == owner)
			continue;
		memset(&set, 0, sizeof(set));
		set.words[slot / 64] |= UINT64_C(1) << slot % 64;
		assert_int_equal(shoal_splitter_slots_redirect(&cluster->splitter, &set, owner, cluster->now_ns, &refused), 0);
		all = false;
	}
	return all;
}

static void execute(struct cluster *cluster, const bool *in_next)
{
	struct shoal_plan *plan = calloc(1, sizeof(*plan));
	bool markers_told = false;
	unsigned rounds = 0;

	plan->term = 1;
	plan->epoch_now = cluster->epoch;
	plan->epoch_next = cluster->epoch + 1;
	memcpy(plan->owner_now, cluster->owner, SHOAL_SLOTS);
	spread(in_next, plan->owner_next);
	for (unsigned member = 0; member < INSTANCES; member++) {
		plan->in_now[member] = cluster->epoch && cluster->in[member];
		plan->in_next[member] = in_next[member];
		plan->life[member] = 100 + member;
		if (in_next[member] && !cluster->workers[member])
			add_instance(cluster, member);
	}
	for (unsigned member = 0; member < INSTANCES; member++) {
		if (!cluster->workers[member])
			continue;
		run(cluster, 20);
		assert_int_equal(shoal_keyspace_learn(&cluster->workers[member]->space, plan), 0);
	}
	for (unsigned member = 0; member < INSTANCES; member++) {
		if (!cluster->workers[member])
			continue;
		run(cluster, 20);
		assert_int_equal(shoal_keyspace_hand_over(&cluster->workers[member]->space, 1, plan->epoch_next), 0);
	}
	if (!cluster->epoch) {
		uint8_t table[SHOAL_STEERING_SLOTS];
		unsigned slot;

		for (slot = 0; slot < SHOAL_STEERING_SLOTS; slot++)
			table[slot] = plan->owner_next[slot * SHOAL_SLOTS_PER_STEERING];
		assert_int_equal(shoal_splitter_table_assign(&cluster->splitter, table, &slot), 0);
		memcpy(cluster->owner, plan->owner_next, SHOAL_SLOTS);
	}
	while (!all_done(cluster)) {
		run(cluster, 50);
		if (!markers_told && redirect_ready(cluster, plan->owner_next)) {
			markers_told = true;
			for (unsigned member = 0; member < INSTANCES; member++)
				if (cluster->workers[member])
					assert_int_equal(shoal_keyspace_markers_back(&cluster->workers[member]->space, 1,
								 plan->epoch_next),
						0);
		}
		if (rounds++ > 20000) {
			for (unsigned member = 0; member < INSTANCES; member++) {
				struct shoal_progress progress;

				if (!cluster->workers[member])
					continue;
				shoal_keyspace_progress(&cluster->workers[member]->space, &progress);
				const struct shoal_space *space = &cluster->workers[member]->space;

				print_message("member %u: stage %d, waiting for %s; %u waiting, %u outstanding, %u suspended, %u parked, %lu stale\n",
					member, progress.stage, progress.waiting_for, space->waiting, space->outstanding,
					shoal_scheduler_suspended(space->scheduler), space->contention.parked,
					space->counters.stale_messages);
			}
			fail_msg("the plan for epoch %lu does not end", plan->epoch_next);
		}
	}
	for (unsigned member = 0; member < INSTANCES; member++)
		if (cluster->workers[member])
			assert_int_equal(shoal_keyspace_forget(&cluster->workers[member]->space, 1, plan->epoch_next), 0);
	cluster->epoch = plan->epoch_next;
	memcpy(cluster->owner, plan->owner_next, SHOAL_SLOTS);
	for (unsigned member = 0; member < INSTANCES; member++) {
		cluster->in[member] = in_next[member];
		if (!in_next[member] && cluster->workers[member])
			remove_instance(cluster, member);
	}
	free(plan);
}

static void drain(struct cluster *cluster)
{
	unsigned quiet_steps = 0;

	cluster->quiet = true;
	while (cluster->arrived_inside != cluster->sent && quiet_steps++ < 200000)
		step(cluster);
}

static void scale_under_traffic(uint64_t seed)
{
	static const struct {
		bool in[INSTANCES];
	} steps[] = { { { true } }, { { true, true } }, { { true, true, true } }, { { true } }, { { false, true, true, true } },
		{ { true, false, false, true } }, { { true } } };
	struct cluster *cluster = aligned_alloc(64, (sizeof(*cluster) + 63) / 64 * 64);
	const struct shoal_splitter_setup setup = { .nf = &shoal_nf, .parked_max = 4096, .fragments_max = 64, .hash_seed = 5 };
	struct shoal_splitter_balance balance;
	uint64_t nf_drops = 0;

	memset(cluster, 0, sizeof(*cluster));
	cluster->random = seed * 2654435761u + 1;
	cluster->now_ns = 1000000000;
	assert_int_equal(shoal_splitter_init(&cluster->splitter, &setup), 0);
	for (unsigned end = 0; end < 2; end++) {
		cluster->ends[end] = (struct end_port){ .port.operations = &end_operations, .cluster = cluster };
		assert_int_equal(shoal_splitter_port_add(&cluster->splitter, (uint8_t)end, &cluster->ends[end].port), 0);
	}
	cluster->quiet = true;
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		execute(cluster, steps[i].in);
		cluster->quiet = false;
		run(cluster, 3000);
	}
	drain(cluster);
	shoal_splitter_balance_read(&cluster->splitter, &balance);
	for (unsigned member = 0; member < INSTANCES; member++)
		for (unsigned drop = 0; cluster->workers[member] && drop < shoal_nf.drops_count; drop++)
			if (cluster->workers[member]->nf_drops[drop]) {
				print_message("member %u dropped %lu: %s\n", member, cluster->workers[member]->nf_drops[drop], shoal_nf.drops[drop]);
				nf_drops += cluster->workers[member]->nf_drops[drop];
			}
	if (cluster->arrived_inside != cluster->sent)
		print_message("seed %lu: sent %lu, outside %lu, answered %lu, inside %lu; splitter dropped %lu, holds %lu; at members %ld\n",
			seed, cluster->sent, cluster->arrived_outside, cluster->answered, cluster->arrived_inside, balance.dropped,
			balance.inside, balance.at_members);
	assert_int_equal(cluster->mapped_wrongly, 0);
	assert_int_equal(cluster->reordered, 0);
	assert_int_equal(nf_drops, 0);
	assert_int_equal(cluster->arrived_inside, cluster->sent);
	assert_true(cluster->sent > 5000);
	for (unsigned member = 0; member < INSTANCES; member++)
		if (cluster->workers[member])
			end_instance(cluster, member);
	shoal_splitter_fini(&cluster->splitter);
	free(cluster);
}

static void test_scaling(void **state)
{
	const char *seeds = getenv("SHOAL_SEEDS");
	uint64_t last = seeds ? strtoull(seeds, NULL, 10) : 40;

	for (uint64_t seed = 1; seed <= last; seed++)
		scale_under_traffic(seed);
}

int main(int argc, char **argv)
{
	static char *arguments[] = { "nat_cluster", "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-m", "128",
		"--log-level", "4", "--file-prefix", "nat_cluster" };
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_scaling) };

	if (rte_eal_init(sizeof(arguments) / sizeof(arguments[0]), arguments) < 0)
		return 1;
	pool = shoal_packet_pool_create("ends", 16383, 512);
	return pool ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
