/* SPDX-License-Identifier: BSD-3-Clause */
/* An instance of the NAT dies, and its slabs with it. What lived elsewhere lives on; a mapping and its reverse share one fate;
 * and the pools, old and new ones, know exactly the ports that living mappings have, so that nobody else gets one of them. Ports
 * are so few that most are borrowed: then a mapping and its reverse lie at different instances. Afterwards a fresh instance
 * joins under the dead one's number, or somebody else dies first. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "mapping.h"
#include "nat_cluster.h"
#include "object/map_inline.h"

#define FLOWS 2000
#define FLOWS_PER_HOST 50
#define FRAME 64
#define ANSWERS 4096
#define DEATHS 3
#define UNDER_WAY 400

static const bool all_in[NAT_CLUSTER_INSTANCES] = { true, true, true, true };
static struct rte_mempool *pool;

struct end_port {
	struct shoal_port port;
	struct world *world;
};

struct world {
	struct nat_cluster cluster;
	struct end_port ends[2]; /* hosts, servers */
	struct nat_reverse_key public[FLOWS]; /* as last seen by the servers */
	uint32_t answered[FLOWS]; /* packets that came back */
	uint8_t answers[ANSWERS][FRAME];
	unsigned answers_head, answers_tail;
	uint32_t sequential; /* so many flows are still to send a packet, the highest first, */
	uint32_t came_back; /* and no more than UNDER_WAY are to come back: fewer than microthreads that may wait */
	bool busy; /* any flow sends */
	uint64_t strays; /* answers that came to another flow */
};

/* --- The ends --- */

static uint32_t host_of(uint32_t flow)
{
	return htonl(0x10000001 + flow / FLOWS_PER_HOST);
}

static uint16_t port_of(uint32_t flow)
{
	return htons((uint16_t)(2000 + flow % FLOWS_PER_HOST));
}

static void make_frame(uint8_t *frame, uint32_t flow)
{
	static const uint8_t head[] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 50, 0, 1, 0, 0, 64, 17, 0,
		0 };
	uint32_t source = host_of(flow), destination = htonl(0x30000001);
	uint16_t ports[4] = { port_of(flow), htons(53), htons(30), 0 };

	memset(frame, 0, FRAME);
	memcpy(frame, head, sizeof(head));
	memcpy(frame + 26, &source, 4);
	memcpy(frame + 30, &destination, 4);
	memcpy(frame + 34, ports, 8);
	memcpy(frame + 42, &flow, 4);
}

static bool may_send(const struct world *world)
{
	return world->busy || (world->sequential && FLOWS - world->sequential - world->came_back < UNDER_WAY);
}

static unsigned receive(struct shoal_port *port, struct shoal_packet *packets[], unsigned n, uint64_t now_ns)
{
	struct end_port *end = (struct end_port *)port;
	struct world *world = end->world;
	bool outside = end == &world->ends[1];
	unsigned count = 0, want = 1 + (unsigned)(nat_cluster_random(&world->cluster) % 8);

	while (count < n && count < want && (outside ? world->answers_head != world->answers_tail : may_send(world))) {
		struct shoal_packet *packet = shoal_packet_alloc(pool, FRAME);

		if (!packet)
			break;
		if (outside)
			memcpy(packet->frame, world->answers[world->answers_head++ % ANSWERS], FRAME);
		else
			make_frame(packet->frame, world->sequential
							  ? --world->sequential
							  : (uint32_t)(nat_cluster_random(&world->cluster) % FLOWS));
		packet->port = outside;
		packets[count++] = packet;
	}
	return count;
}

static void arrive_outside(struct world *world, uint8_t *frame, uint32_t flow)
{
	struct nat_reverse_key *public = &world->public[flow];
	uint32_t destination;
	uint16_t server;

	*public = (struct nat_reverse_key){ .protocol = NAT_UDP };
	memcpy(&public->address, frame + 26, 4);
	memcpy(&public->port, frame + 34, 2);
	memcpy(&destination, frame + 30, 4);
	memcpy(&server, frame + 36, 2);
	memcpy(frame + 26, &destination, 4);
	memcpy(frame + 30, &public->address, 4);
	memcpy(frame + 34, &server, 2);
	memcpy(frame + 36, &public->port, 2);
	assert_true(world->answers_tail - world->answers_head < ANSWERS);
	memcpy(world->answers[world->answers_tail++ % ANSWERS], frame, FRAME);
}

/* An answer to a flow whose mapping is lost may come to whoever has the port now, if it was under way at the death. */
static void arrive_inside(struct world *world, const uint8_t *frame, uint32_t flow)
{
	uint32_t host = host_of(flow);
	uint16_t port = port_of(flow);

	if (memcmp(frame + 30, &host, 4) || memcmp(frame + 36, &port, 2))
		world->strays++;
	else
		world->answered[flow]++, world->came_back++;
}

static unsigned transmit(struct shoal_port *port, struct shoal_packet *const packets[], unsigned n)
{
	struct end_port *end = (struct end_port *)port;

	for (unsigned i = 0; i < n; i++) {
		uint32_t flow;

		memcpy(&flow, packets[i]->frame + 42, sizeof(flow));
		assert_true(flow < FLOWS);
		if (end == &end->world->ends[1])
			arrive_outside(end->world, packets[i]->frame, flow);
		else
			arrive_inside(end->world, packets[i]->frame, flow);
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

/* --- What lives --- */

struct state {
	struct nat_reverse_key mapped[FLOWS]; /* by flow; port 0: no mapping */
	uint8_t taken[4][65536 / 8]; /* of each public address: by mappings */
	unsigned mappings, reverses, ports;
};

static bool take_bit(struct state *state, const struct nat_reverse_key *key)
{
	unsigned address = ntohl(key->address) - 0xc6120001, port = ntohs(key->port);
	bool taken;

	assert_true(address < 4);
	taken = state->taken[address][port / 8] >> port % 8 & 1;
	state->taken[address][port / 8] |= (uint8_t)(1 << port % 8);
	return taken;
}

static void add_mapping(struct state *state, const struct nat_mapping_key *key, const struct nat_mapping *mapping)
{
	uint32_t flow = (ntohl(key->address) - 0x10000001) * FLOWS_PER_HOST + ntohs(key->port) - 2000;

	if (!mapping->ready)
		return;
	assert_true(flow < FLOWS);
	assert_int_equal(state->mapped[flow].port, 0);
	state->mapped[flow] = nat_mapping_reverse_key(mapping);
	assert_false(take_bit(state, &state->mapped[flow])); /* two mappings with one port */
	state->mappings++;
}

static void add_reverse(struct state *state, const struct nat_reverse_key *key, const struct nat_reverse *reverse)
{
	struct nat_mapping_key mapping = nat_reverse_mapping_key(reverse);
	uint32_t flow = (ntohl(mapping.address) - 0x10000001) * FLOWS_PER_HOST + ntohs(mapping.port) - 2000;

	if (!reverse->ready)
		return;
	assert_true(flow < FLOWS);
	assert_memory_equal(&state->mapped[flow], key, sizeof(*key)); /* its mapping lives, and names it */
	state->reverses++;
}

static void add_pool(struct state *state, const struct nat_pool_key *key, const struct nat_pool *ports)
{
	for (unsigned high = 0; high < 256; high++) {
		struct nat_reverse_key reverse = { .address = key->address,
			.port = htons((uint16_t)(high << 8 | key->steering_slot)) };

		if (!(ports->taken[high / 64] >> high % 64 & 1))
			continue;
		assert_true(take_bit(state, &reverse)); /* taken, and no mapping has it */
		state->ports++;
	}
}

static void visit(struct world *world, struct state *state, unsigned class)
{
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++) {
		struct shoal_worker *worker = world->cluster.workers[member];

		for (uint32_t index = 1; worker && index < worker->space.maps[class].high_water; index++) {
			struct shoal_place place = shoal_place_at(&worker->space, (uint8_t) class, index);
			const void *key = shoal_place_key(&place), *object = shoal_place_object(&place);

			if (place.map->class == &nat_pool_class && place.entry->record == SHOAL_RECORD_SHARED)
				add_pool(state, key, object);
			if (place.entry->handle != SHOAL_HANDLE_HELD && place.entry->record != SHOAL_RECORD_FREE)
				continue;
			if (place.map->class == &nat_mapping_class)
				add_mapping(state, key, object);
			else if (place.map->class == &nat_reverse_class)
				add_reverse(state, key, object);
		}
	}
}

/* Everything is at rest. Every mapping has its reverse and its port, and nothing else has either. */
static void assert_sound(struct world *world, struct state *state)
{
	static const struct shoal_class *const order[] = { &nat_mapping_class, &nat_reverse_class, &nat_pool_class };

	memset(state, 0, sizeof(*state));
	for (unsigned i = 0; i < 3; i++)
		for (unsigned class = 0; class < shoal_nf.classes_count; class ++)
			if (shoal_nf.classes[class] == order[i])
				visit(world, state, class);
	assert_int_equal(state->reverses, state->mappings);
	assert_int_equal(state->ports, state->mappings);
}

/* --- Rounds --- */

static void print_waiting(const struct world *world)
{
	print_message("%u flows have not sent; idle %d\n", world->sequential, nat_cluster_idle(&world->cluster));
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++) {
		const struct shoal_worker *worker = world->cluster.workers[member];

		if (worker)
			print_message("instance %u: %u suspended, %u messages under way, %u of them untethered, %u "
				      "leases waited for, %u held back\n",
				member, shoal_scheduler_suspended(worker->scheduler), worker->space.outstanding,
				worker->space.outstanding_untethered, worker->space.waiting,
				worker->space.keyspace.held_back_count);
	}
}

static void rest(struct world *world)
{
	world->busy = false;
	for (unsigned polls = 0;; polls += 100) {
		nat_cluster_run(&world->cluster, 100);
		if (nat_cluster_idle(&world->cluster) && !nat_cluster_suspended(&world->cluster) && !world->sequential)
			return;
		if (polls >= 4000000)
			print_waiting(world);
		assert_true(polls < 4000000);
	}
}

static uint64_t conflicts(const struct world *world)
{
	struct nat_cluster_figures figures;

	nat_cluster_figures_read(&world->cluster, &figures);
	return figures.nf_counters[NAT_COUNT_CONFLICTS] + figures.nf_drops[NAT_DROP_CONFLICT];
}

static void print_drops(const struct world *world, const struct nat_cluster_figures *before)
{
	struct nat_cluster_figures figures;

	nat_cluster_figures_read(&world->cluster, &figures);
	for (unsigned drop = 0; drop < shoal_nf.drops_count; drop++)
		if (figures.nf_drops[drop] != before->nf_drops[drop])
			print_message("instances dropped %lu: %s\n", figures.nf_drops[drop] - before->nf_drops[drop],
				shoal_nf.drops[drop]);
	for (unsigned drop = 0; drop < SHOAL_WORKER_DROPS; drop++)
		if (figures.worker_drops[drop] != before->worker_drops[drop])
			print_message("instances dropped %lu: %s\n",
				figures.worker_drops[drop] - before->worker_drops[drop], shoal_worker_drop_name(drop));
}

/* Every flow sends one packet and hears of it. Those whose mapping had survived have it still; nobody was given a port in use. */
static void every_flow_goes_on(struct world *world, struct state *state)
{
	uint64_t conflicts_before = conflicts(world), strays_before = world->strays;
	struct nat_cluster_figures figures;

	nat_cluster_figures_read(&world->cluster, &figures);
	memset(world->answered, 0, sizeof(world->answered));
	world->came_back = 0;
	world->sequential = FLOWS;
	rest(world);
	for (unsigned flow = 0; flow < FLOWS; flow++) {
		if (world->answered[flow] != 1)
			print_drops(world, &figures);
		assert_int_equal(world->answered[flow], 1);
		if (state->mapped[flow].port)
			assert_memory_equal(&world->public[flow], &state -> mapped[flow], sizeof(state->mapped[flow]));
	}
	assert_int_equal(conflicts(world), conflicts_before);
	assert_int_equal(world->strays, strays_before);
	assert_sound(world, state);
	assert_int_equal(state->mappings, FLOWS);
}

static void die(struct world *world, struct state *state)
{
	unsigned victim = (unsigned)(nat_cluster_random(&world->cluster) % NAT_CLUSTER_INSTANCES);

	while (!world->cluster.workers[victim])
		victim = (victim + 1) % NAT_CLUSTER_INSTANCES;
	world->busy = true;
	nat_cluster_run(&world->cluster, (unsigned)(nat_cluster_random(&world->cluster) % 2000));
	nat_cluster_kill(&world->cluster, victim, false);
	rest(world);
	assert_sound(world, state);
	assert_true(state->mappings < FLOWS);
	every_flow_goes_on(world, state);
}

/* Under traffic, all that are missing. Mappings move with their ports, and nobody loses his. */
static void rejoin(struct world *world, struct state *state)
{
	world->busy = true;
	nat_cluster_run(&world->cluster, (unsigned)(nat_cluster_random(&world->cluster) % 2000));
	nat_cluster_scale(&world->cluster, all_in);
	rest(world);
	every_flow_goes_on(world, state);
}

static void lose_under_traffic(uint64_t seed)
{
	struct world *world = aligned_alloc(64, (sizeof(*world) + 63) / 64 * 64);
	struct state *state = calloc(1, sizeof(*state));

	assert_true(world && state);
	memset(world, 0, sizeof(*world));
	for (unsigned end = 0; end < 2; end++)
		world->ends[end] = (struct end_port){ .port.operations = &end_operations, .world = world };
	nat_cluster_init(
		&world->cluster, seed, pool, (struct shoal_port *[]){ &world->ends[0].port, &world->ends[1].port });
	world->cluster.port_range = "1024-8191";
	snprintf(world->cluster.directory, sizeof(world->cluster.directory), "/dev/shm/shoal-cluster-XXXXXX");
	assert_non_null(mkdtemp(world->cluster.directory));
	nat_cluster_scale(&world->cluster, all_in);
	every_flow_goes_on(world, state);
	for (unsigned death = 0; death < DEATHS; death++) {
		die(world, state);
		if (nat_cluster_random(&world->cluster) & 1)
			rejoin(world, state);
	}
	rejoin(world, state);
	nat_cluster_fini(&world->cluster);
	assert_int_equal(rmdir(world->cluster.directory), 0);
	free(state);
	free(world);
}

static void test_losses(void **state)
{
	const char *seeds = getenv("SHOAL_SEEDS");
	uint64_t last = seeds ? strtoull(seeds, NULL, 10) : 20;

	for (uint64_t seed = 1; seed <= last; seed++)
		lose_under_traffic(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_losses) };

	pool = nat_cluster_pool("nat_loss", 16383, 512);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
