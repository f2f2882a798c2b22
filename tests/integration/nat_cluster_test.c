/* SPDX-License-Identifier: BSD-3-Clause */
/* Traffic in both directions goes on while instances of the NAT join and leave. Nothing may be lost, reordered within a flow,
 * or mapped wrongly, whatever the order in which components are polled. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "nat_cluster.h"

#define FLOWS 2000
#define FRAME 64
#define PAYLOAD 42
/* So short that the cluster is idle before a record is due. */
#define POLL_NS_MOST 400

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
	struct world *world;
};

struct world {
	struct nat_cluster cluster;
	struct end_port ends[2];
	struct flow flows[FLOWS];
	uint8_t answers[4096][FRAME]; /* on their way from the servers */
	unsigned answers_head, answers_tail;
	uint64_t sent, arrived_outside, answered, arrived_inside;
	uint64_t reordered, mapped_wrongly;
	bool quiet; /* no new packets, but for those below */
	uint32_t sequential; /* so many packets more, one of each flow in turn */
	unsigned idle; /* polls at whose begin the cluster was idle */
};

/* --- The ends --- */

static void make_frame(uint8_t *frame, uint32_t flow, uint32_t number)
{
	static const uint8_t head[] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 50, 0, 1, 0, 0, 64, 17, 0,
		0 };
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
	struct world *world = end->world;
	bool outside = end == &world->ends[1];
	unsigned count = 0, want = (unsigned)(nat_cluster_random(&world->cluster) % 8);

	while (count < n && count < want &&
		(outside ? world->answers_head != world->answers_tail : !world->quiet || world->sequential)) {
		struct shoal_packet *packet = shoal_packet_alloc(pool, FRAME);
		uint32_t flow = world->sequential ? world->sequential - 1
		                                  : (uint32_t)(nat_cluster_random(&world->cluster) % FLOWS);

		if (!packet)
			break;
		if (outside) {
			memcpy(packet->frame, world->answers[world->answers_head++ % 4096], FRAME);
			world->answered++;
		} else {
			make_frame(packet->frame, flow, world->flows[flow].sent++);
			world->sent++;
			world->sequential -= world->sequential > 0;
		}
		packet->port = outside;
		packets[count++] = packet;
	}
	return count;
}

/* At the servers: the public address and port are the flow's for good; the packet is answered. */
static void arrive_outside(struct world *world, uint8_t *frame, const struct stamp *stamp)
{
	struct flow *flow = &world->flows[stamp->flow];
	uint32_t source, destination;
	uint16_t port, server;

	memcpy(&source, frame + 26, 4);
	memcpy(&destination, frame + 30, 4);
	memcpy(&port, frame + 34, 2);
	memcpy(&server, frame + 36, 2);
	world->arrived_outside++;
	world->reordered += stamp->number < flow->answered;
	flow->answered = stamp->number + 1;
	if (!flow->public_port) {
		flow->public_address = source;
		flow->public_port = port;
	}
	world->mapped_wrongly += flow->public_address != source || flow->public_port != port;
	memcpy(frame + 26, &destination, 4);
	memcpy(frame + 30, &source, 4);
	memcpy(frame + 34, &server, 2);
	memcpy(frame + 36, &port, 2);
	assert_true(world->answers_tail - world->answers_head < 4096);
	memcpy(world->answers[world->answers_tail++ % 4096], frame, FRAME);
}

static void arrive_inside(struct world *world, const uint8_t *frame, const struct stamp *stamp)
{
	struct flow *flow = &world->flows[stamp->flow];
	uint32_t host;
	uint16_t port;

	memcpy(&host, frame + 30, 4);
	memcpy(&port, frame + 36, 2);
	world->arrived_inside++;
	world->reordered += stamp->number < flow->received;
	flow->received = stamp->number + 1;
	world->mapped_wrongly += ntohl(host) != 0x10000001 + stamp->flow / 16 || ntohs(port) != 2000 + stamp->flow % 16;
}

static unsigned transmit(struct shoal_port *port, struct shoal_packet *const packets[], unsigned n)
{
	struct end_port *end = (struct end_port *)port;

	for (unsigned i = 0; i < n; i++) {
		struct stamp stamp;

		memcpy(&stamp, packets[i]->frame + PAYLOAD, sizeof(stamp));
		assert_true(stamp.flow < FLOWS);
		if (end == &end->world->ends[1])
			arrive_outside(end->world, packets[i]->frame, &stamp);
		else
			arrive_inside(end->world, packets[i]->frame, &stamp);
		shoal_packet_free(packets[i]);
	}
	return n;
}

static void nothing(struct shoal_port *port)
{
}

static const struct shoal_port_operations end_operations = {
	.receive = receive, .transmit = transmit, .flush = nothing, .destroy = nothing
};

static void drain(struct world *world)
{
	world->quiet = true;
	for (unsigned polls = 0;
		world->arrived_inside != world->sent && !nat_cluster_idle(&world->cluster) && polls < 200000;
		polls += 10)
		nat_cluster_run(&world->cluster, 10);
}

static struct world *make_world(uint64_t seed)
{
	struct world *world = aligned_alloc(64, (sizeof(*world) + 63) / 64 * 64);

	assert_non_null(world);
	memset(world, 0, sizeof(*world));
	for (unsigned end = 0; end < 2; end++)
		world->ends[end] = (struct end_port){ .port.operations = &end_operations, .world = world };
	nat_cluster_init(
		&world->cluster, seed, pool, (struct shoal_port *[]){ &world->ends[0].port, &world->ends[1].port });
	return world;
}

static uint64_t nf_drops(const struct world *world)
{
	struct nat_cluster_figures figures;
	uint64_t total = 0;

	nat_cluster_figures_read(&world->cluster, &figures);
	for (unsigned drop = 0; drop < shoal_nf.drops_count; drop++) {
		if (figures.nf_drops[drop])
			print_message("instances dropped %lu: %s\n", figures.nf_drops[drop], shoal_nf.drops[drop]);
		total += figures.nf_drops[drop];
	}
	return total;
}

static void assert_nothing_lost(const struct world *world, uint64_t seed)
{
	struct shoal_splitter_balance balance;

	shoal_splitter_balance_read(&world->cluster.splitter, &balance);
	if (world->arrived_inside != world->sent)
		print_message("seed %lu: sent %lu, outside %lu, answered %lu, inside %lu; splitter dropped %lu, holds "
			      "%lu; at members %ld\n",
			seed, world->sent, world->arrived_outside, world->answered, world->arrived_inside,
			balance.dropped, balance.inside, balance.at_members);
	assert_int_equal(world->mapped_wrongly, 0);
	assert_int_equal(world->reordered, 0);
	assert_int_equal(nf_drops(world), 0);
	assert_int_equal(world->arrived_inside, world->sent);
	assert_true(world->sent > 5000);
}

static void scale_under_traffic(uint64_t seed)
{
	static const struct {
		bool in[NAT_CLUSTER_INSTANCES];
	} steps[] = { { { true } }, { { true, true } }, { { true, true, true } }, { { true } },
		{ { false, true, true, true } }, { { true, false, false, true } }, { { true } } };
	struct world *world = make_world(seed);

	world->quiet = true;
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		nat_cluster_scale(&world->cluster, steps[i].in);
		world->quiet = false;
		nat_cluster_run(&world->cluster, 3000);
	}
	drain(world);
	assert_nothing_lost(world, seed);
	nat_cluster_fini(&world->cluster);
	free(world);
}

static void test_scaling(void **state)
{
	const char *seeds = getenv("SHOAL_SEEDS");
	uint64_t last = seeds ? strtoull(seeds, NULL, 10) : 40;

	for (uint64_t seed = 1; seed <= last; seed++)
		scale_under_traffic(seed);
}

/* Now and then some packets. Whenever the cluster is idle, all that were sent have arrived. */
static uint64_t send_some_and_look(struct nat_cluster *cluster, void *user)
{
	struct world *world = user;
	uint64_t random = nat_cluster_random(cluster);

	world->quiet = random >> 32 & 63;
	if (nat_cluster_idle(cluster) && !nat_cluster_suspended(cluster)) {
		world->idle++;
		assert_int_equal(world->arrived_inside, world->sent);
	}
	return random % POLL_NS_MOST;
}

static void scale_idly(uint64_t seed)
{
	struct world *world = make_world(seed);

	world->quiet = true;
	nat_cluster_scale(&world->cluster, (bool[NAT_CLUSTER_INSTANCES]){ true });
	world->sequential = FLOWS;
	for (unsigned polls = 0; world->arrived_inside != FLOWS && polls < 200000; polls += 10)
		nat_cluster_run(&world->cluster, 10);
	world->cluster.elapse = send_some_and_look;
	world->cluster.user = world;
	nat_cluster_scale(&world->cluster, (bool[NAT_CLUSTER_INSTANCES]){ true, true, true });
	nat_cluster_scale(&world->cluster, (bool[NAT_CLUSTER_INSTANCES]){ false, true });
	world->cluster.elapse = NULL;
	assert_true(world->idle > 100);
	nat_cluster_fini(&world->cluster);
	free(world);
}

/* A packet may wait where nobody works: in the splitter for its steering slot, whose records go one by one as time passes. Who takes
 * that for rest (equivalence_run) sends packets before those that they are to follow have arrived. */
static void test_idle_is_no_packet_anywhere(void **state)
{
	for (uint64_t seed = 1; seed <= 3; seed++)
		scale_idly(seed);
}

/* --- Deaths --- */

static void print_drops(const struct world *world)
{
	struct nat_cluster_figures drops;

	nat_cluster_figures_read(&world->cluster, &drops);
	for (unsigned drop = 0; drop < shoal_nf.drops_count; drop++)
		if (drops.nf_drops[drop])
			print_message("instances dropped %lu: %s\n", drops.nf_drops[drop], shoal_nf.drops[drop]);
	for (unsigned drop = 0; drop < SHOAL_WORKER_DROPS; drop++)
		if (drops.worker_drops[drop])
			print_message(
				"instances dropped %lu: %s\n", drops.worker_drops[drop], shoal_worker_drop_name(drop));
}

static uint64_t lost_objects(const struct world *world)
{
	uint64_t lost = 0;

	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++)
		for (unsigned class = 0; world->cluster.workers[member] && class < 3; class ++)
			lost += world->cluster.workers[member]->space.view.lost[class];
	return lost;
}

/* Every flow sends a packet, and hears of it: its mapping is the one that it had. */
static void every_flow_goes_on(struct world *world, uint64_t seed)
{
	uint64_t before;

	drain(world);
	nat_cluster_run(&world->cluster, 2000);
	before = world->arrived_inside;
	world->sequential = FLOWS;
	for (unsigned polls = 0; world->arrived_inside - before != FLOWS && polls < 200000; polls += 10)
		nat_cluster_run(&world->cluster, 10);
	if (world->arrived_inside - before != FLOWS) {
		print_message("seed %lu: %lu of %u flows went on\n", seed, world->arrived_inside - before, FLOWS);
		print_drops(world);
	}
	assert_int_equal(world->arrived_inside - before, FLOWS);
	assert_int_equal(world->mapped_wrongly, 0);
	assert_int_equal(world->reordered, 0);
}

/* Members die under traffic, one after the other, and come back as new lives. */
static void die_under_traffic(uint64_t seed)
{
	struct world *world = make_world(seed);
	bool in[NAT_CLUSTER_INSTANCES] = { true, true, true };

	/* Where what runs the tests clears up, also when they are interrupted. */
	snprintf(world->cluster.directory, sizeof(world->cluster.directory), "%s/shoal-cluster-XXXXXX",
		getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(world->cluster.directory));
	world->quiet = true;
	nat_cluster_scale(&world->cluster, in);
	world->sequential = FLOWS; /* every flow has its mapping */
	for (unsigned polls = 0; world->arrived_inside != FLOWS && polls < 200000; polls += 10)
		nat_cluster_run(&world->cluster, 10);
	for (unsigned round = 0; round < 4; round++) {
		unsigned victim = (unsigned)(nat_cluster_random(&world->cluster) % NAT_CLUSTER_INSTANCES);

		while (!in[victim])
			victim = (victim + 1) % NAT_CLUSTER_INSTANCES;
		world->quiet = false;
		nat_cluster_run(&world->cluster, 1000 + (unsigned)(nat_cluster_random(&world->cluster) % 1000));
		nat_cluster_kill(&world->cluster, victim, true);
		nat_cluster_run(&world->cluster, 1000);
		every_flow_goes_on(world, seed);
		assert_int_equal(lost_objects(world), 0);
		for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++)
			in[member] = member != (victim + round) % NAT_CLUSTER_INSTANCES;
		world->quiet = false;
		nat_cluster_scale(&world->cluster, in);
		every_flow_goes_on(world, seed);
	}
	nat_cluster_fini(&world->cluster);
	assert_int_equal(rmdir(world->cluster.directory), 0);
	free(world);
}

static void test_deaths(void **state)
{
	const char *seeds = getenv("SHOAL_SEEDS");
	uint64_t last = seeds ? strtoull(seeds, NULL, 10) : 20;

	for (uint64_t seed = 1; seed <= last; seed++)
		die_under_traffic(seed);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_scaling),
		cmocka_unit_test(test_idle_is_no_packet_anywhere), cmocka_unit_test(test_deaths) };

	pool = nat_cluster_pool("nat_cluster", 16383, 512);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
