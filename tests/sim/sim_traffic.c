/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_world.h"
#include <rte_mempool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POOL_PACKETS 8191
#define FRAME_ROOM 512

struct rte_mempool *sim_traffic_pool;

static void must(bool so, const char *what)
{
	if (so)
		return;
	fprintf(stderr, "sim: %s: %s\n", what, shoal_last_error());
	abort();
}

static void start_eal(void)
{
	static char prefix[48];
	const char *arguments[] = { "sim", "--no-huge", "-m", "64", "--no-pci", "--no-telemetry", "--no-shconf",
		"--log-level", "4", "--file-prefix", prefix };

	if (sim_traffic_pool)
		return;
	snprintf(prefix, sizeof(prefix), "sim-%d", (int)getpid());
	must(shoal_eal_start(sizeof(arguments) / sizeof(arguments[0]), arguments) == 0, "EAL");
	sim_traffic_pool = shoal_packet_pool_create("sim", POOL_PACKETS, FRAME_ROOM);
	must(sim_traffic_pool != NULL, "packet pool");
}

void sim_traffic_init(struct sim_world *world)
{
	struct sim_traffic *traffic = &world->traffic;
	const struct shoal_splitter_setup setup = { .nf = sim_nf(),
		.parked_max = world->settings.parked_max,
		.fragments_max = 16,
		.hash_seed = world->settings.seed };

	start_eal();
	memset(traffic, 0, sizeof(*traffic));
	must(shoal_splitter_init(&traffic->splitter, &setup) == 0, "splitter");
	for (uint8_t port = 0; port < 2; port++) {
		sim_port_init(&traffic->ports[port], world, world->settings.port_full_percent);
		must(shoal_splitter_port_add(&traffic->splitter, port, &traffic->ports[port].port) == 0, "port");
	}
	traffic->flows = (uint32_t)sim_random_between(&world->random, 1, 2 * SIM_FLOWS_MAX);
	traffic->burst_most = (unsigned)sim_random_between(&world->random, 1, 24);
	traffic->poll_mean_ns =
		sim_random_between(&world->random, world->settings.poll_least_ns, world->settings.poll_most_ns);
	traffic->poll_due_ns = world->now_ns;
	traffic->packets_left = world->settings.packets;
}

void sim_traffic_fini(struct sim_world *world)
{
	struct sim_traffic *traffic = &world->traffic;

	shoal_splitter_fini(&traffic->splitter);
	for (unsigned port = 0; port < 2; port++)
		sim_port_fini(&traffic->ports[port]);
	if (rte_mempool_in_use_count(sim_traffic_pool))
		sim_fail(world, 6, "%u packets are lost", rte_mempool_in_use_count(sim_traffic_pool));
}

void sim_traffic_member_add(struct sim_world *world, struct sim_member *member)
{
	int descriptor = shoal_ring_pair_create(world->settings.ring_bytes);
	struct shoal_packet_ring *ring;

	must(descriptor >= 0, "ring pair");
	ring = shoal_packet_ring_create(descriptor, 0, sim_traffic_pool);
	member->worker->ring = shoal_packet_ring_create(descriptor, 1, sim_traffic_pool);
	must(ring && member->worker->ring, "packet ring");
	close(descriptor);
	must(shoal_splitter_member_add(&world->traffic.splitter, member->number, ring) == 0, "member");
}

static uint64_t dropped_by(const struct shoal_worker *worker)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < SHOAL_PARSE_RESULTS; i++)
		sum += worker->parse_drops[i];
	for (unsigned i = 0; i < SHOAL_NF_DROPS_MAX; i++)
		sum += worker->nf_drops[i];
	for (unsigned i = 0; i < SHOAL_WORKER_DROPS; i++)
		sum += worker->drops[i];
	return sum;
}

void sim_traffic_member_remove(struct sim_world *world, struct sim_member *member)
{
	struct shoal_packet_ring *ring = NULL;

	if (!world->failed && shoal_worker_inside(member->worker))
		sim_fail(world, 6, "member %u ends with %u packets inside", member->number,
			shoal_worker_inside(member->worker));
	must(shoal_splitter_member_remove(&world->traffic.splitter, member->number, world->now_ns, &ring) == 0,
		"member");
	shoal_packet_ring_port(ring)->operations->destroy(shoal_packet_ring_port(ring));
	if (!world->failed && world->traffic.splitter.drops[SHOAL_SPLITTER_INSTANCE_DIED])
		sim_fail(world, 6, "packets were in the ring of member %u, which left properly", member->number);
	world->traffic.dropped_before += dropped_by(member->worker);
}

void sim_traffic_begin(struct sim_world *world)
{
	uint8_t members[SHOAL_STEERING_SLOTS];
	unsigned slot;

	for (unsigned steering = 0; steering < SHOAL_STEERING_SLOTS; steering++)
		members[steering] = world->controller.owner[steering * SHOAL_SLOTS_PER_STEERING];
	must(shoal_splitter_table_assign(&world->traffic.splitter, members, &slot) == 0, "table");
	world->traffic.on = true;
}

/* --- Source and sink --- */

static struct sim_load draw_load(struct sim_world *world, uint32_t flow)
{
	struct sim_load load = { .flow = flow };

	sim_operation_draw(&world->random, &world->settings.mix, 0, &load.operation);
	load.to_handler = sim_random_chance(&world->random, 20);
	load.verdict = SHOAL_TRANSMIT(1 - flow % 2);
	if (sim_flow_keyless(flow) && sim_random_chance(&world->random, 40))
		load.verdict = SHOAL_HOLD;
	else if (sim_random_chance(&world->random, 5))
		load.verdict = SHOAL_DROP(0);
	else if (flow % 8 == 2)
		load.passes = 1; /* of such a flow every packet goes in twice, so that they stay in order */
	return load;
}

static void feed(struct sim_world *world)
{
	struct sim_traffic *traffic = &world->traffic;
	uint64_t count = sim_random_between(&world->random, 0, traffic->burst_most);

	for (; count && traffic->packets_left; count--) {
		uint32_t flow = (uint32_t)sim_random_below(&world->random, traffic->flows);
		struct sim_load load = draw_load(world, flow);
		uint8_t port = flow % 2;

		load.sequence = traffic->fed_sequence[flow] + 1;
		if (!sim_port_feed(&traffic->ports[port], port, sim_flow_steering(flow), &load))
			return;
		traffic->fed_sequence[flow]++;
		traffic->packets_left--;
		traffic->fed++;
	}
}

void sim_traffic_left(struct sim_world *world, const struct sim_load *at)
{
	struct sim_traffic *traffic = &world->traffic;
	struct sim_load load;

	memcpy(&load, at, sizeof(load));
	traffic->left++;
	sim_note(world, "  flow %ld packet %ld leaves", load.flow, load.sequence);
	if (sim_flow_keyless(load.flow))
		return;
	if (load.sequence <= traffic->left_sequence[load.flow])
		sim_fail(world, 5, "packet %u of flow %u leaves after packet %u", load.sequence, load.flow,
			traffic->left_sequence[load.flow]);
	traffic->left_sequence[load.flow] = load.sequence;
}

void sim_traffic_poll(struct sim_world *world)
{
	if (world->traffic.on && !world->drained)
		feed(world);
	shoal_splitter_poll(&world->traffic.splitter, world->now_ns);
}

/* --- Redirection --- */

static bool moves(const struct sim_world *world, unsigned steering, uint8_t *from, uint8_t *to)
{
	const struct shoal_plan *plan = &world->controller.plan;

	*from = plan->owner_now[steering * SHOAL_SLOTS_PER_STEERING];
	*to = plan->owner_next[steering * SHOAL_SLOTS_PER_STEERING];
	return plan->epoch_now && *from != *to;
}

/* Who gives a marker back has sent the records of its steering slot before, or has waited for a receiver that is slow. */
static void check_records_gone(struct sim_world *world, unsigned steering, uint8_t from)
{
	const struct sim_member *member = world->members[from];
	const struct shoal_keyspace *keyspace = member ? &member->space->keyspace : NULL;

	if (!keyspace || keyspace->stage != SHOAL_STAGE_HANDING_OVER ||
		keyspace->epoch_next != world->controller.plan.epoch_next ||
		shoal_steering_set_has(&world->traffic.splitter.steering.pending, steering))
		return;
	if (keyspace->handed[steering] &&
		member->space->now_ns - keyspace->packets_gone_ns[steering] <= SHOAL_PACKETS_GO_NS)
		sim_fail(world, 7, "the marker of steering slot %u came back from member %u before its records went",
			steering, from);
}

void sim_traffic_redirect(struct sim_world *world)
{
	struct sim_traffic *traffic = &world->traffic;
	uint8_t from, to;
	unsigned slot;

	for (unsigned steering = 0; traffic->on && steering < SHOAL_STEERING_SLOTS; steering++) {
		struct shoal_steering_set one = { { 0 } };

		if (!moves(world, steering, &from, &to))
			continue;
		if (shoal_steering_set_has(&traffic->redirected, steering)) {
			check_records_gone(world, steering, from);
			continue;
		}
		if (world->members[to]->space->keyspace.token[steering] != UINT64_MAX)
			continue;
		one.words[steering / 64] = UINT64_C(1) << steering % 64;
		must(shoal_splitter_slots_redirect(&traffic->splitter, &one, to, world->now_ns, &slot) == 0,
			"redirect");
		traffic->redirected.words[steering / 64] |= one.words[steering / 64];
	}
}

bool sim_traffic_redirected(struct sim_world *world, uint8_t member)
{
	struct sim_traffic *traffic = &world->traffic;
	uint8_t from, to;

	for (unsigned steering = 0; traffic->on && steering < SHOAL_STEERING_SLOTS; steering++) {
		if (!moves(world, steering, &from, &to) || (member != SHOAL_MEMBER_NONE && from != member))
			continue;
		if (!shoal_steering_set_has(&traffic->redirected, steering) ||
			shoal_steering_set_has(&traffic->splitter.steering.pending, steering))
			return false;
	}
	return true;
}

/* --- Books --- */

/* Packets that lie anywhere: before the splitter, in it, in rings, in workers. */
static uint64_t inside(const struct sim_world *world)
{
	const struct sim_traffic *traffic = &world->traffic;
	struct shoal_splitter_balance balance;
	uint64_t sum;

	shoal_splitter_balance_read(&traffic->splitter, &balance);
	sum = balance.inside + traffic->ports[0].tail - traffic->ports[0].head + traffic->ports[1].tail -
	      traffic->ports[1].head;
	for (unsigned number = 0; number < SHOAL_MEMBERS_MAX; number++)
		if (world->members[number])
			sum += shoal_packet_ring_inside(traffic->splitter.members[number].ring) +
			       shoal_worker_inside(world->members[number]->worker);
	return sum;
}

bool sim_traffic_at_rest(const struct sim_world *world)
{
	return inside(world) == 0;
}

void sim_traffic_check(struct sim_world *world)
{
	struct sim_traffic *traffic = &world->traffic;
	struct shoal_splitter_balance balance;
	uint64_t dropped = traffic->dropped_before, counted, there;

	shoal_splitter_balance_read(&traffic->splitter, &balance);
	for (unsigned number = 0; number < SHOAL_MEMBERS_MAX; number++)
		if (world->members[number])
			dropped += dropped_by(world->members[number]->worker);
	/* What has not been counted as gone must be there. */
	counted = traffic->fed - traffic->left - dropped - balance.dropped;
	there = inside(world);
	if (counted != there)
		sim_fail(world, 6,
			"fed %lu, left %lu, dropped %lu by members and %lu by the splitter, so %ld are inside; there "
			"are %ld",
			traffic->fed, traffic->left, dropped, balance.dropped, (long)counted, (long)there);
}
