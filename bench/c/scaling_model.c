/* SPDX-License-Identifier: BSD-3-Clause */
#include "scaling_model.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel/ring_transport.h"
#include "migration_member.h"
#include "worker/runner.h"

#define DEADLINE_NS (30 * SHOAL_NS_PER_S)
#define OBJECTS 16384u
#define ROUNDS 9
#define INSTANCES_MOST 1000u
#define QUANTUM_NS 1000.0
#define QUANTA 4000u
#define WINDOW 4096u

/* What one side of a remote access costs. */
struct remote {
	double request_ns, serve_ns;
};

/* --- A remote access, on two cores --- */

struct side {
	struct member *member;
	const struct bench *bench;
	uint64_t busy_ns; /* of polls in which messages came or went; atomic */
	bool stop; /* atomic */
};

static void poll_side(struct side *side)
{
	const struct shoal_channel_counters *counters = shoal_channel_counters(side->member->space.channel);
	uint64_t frames = counters->frames_sent + counters->frames_received, began = shoal_clock_now();

	member_poll(side->member);
	if (counters->frames_sent + counters->frames_received != frames)
		__atomic_store_n(&side->busy_ns, side->busy_ns + shoal_clock_now() - began, __ATOMIC_RELAXED);
}

static void *run_server(void *argument)
{
	struct side *side = argument;

	bench_pin(side->bench, side->bench->other_cpu);
	while (!__atomic_load_n(&side->stop, __ATOMIC_ACQUIRE))
		poll_side(side);
	return NULL;
}

static void first_plan(struct member *members)
{
	struct shoal_plan *plan = calloc(1, sizeof(*plan));

	if (!plan)
		bench_fail(members->bench, "no memory");
	plan->term = plan->epoch_next = 1;
	plan->in_next[0] = plan->in_next[1] = 1;
	plan->life[0] = 1;
	plan->life[1] = 2;
	if (shoal_keyspace_learn(&members[0].space, plan) || shoal_keyspace_learn(&members[1].space, plan) ||
		shoal_keyspace_hand_over(&members[0].space, 1, 1) || shoal_keyspace_hand_over(&members[1].space, 1, 1))
		bench_fail(members->bench, "the first plan was refused");
	for (unsigned i = 0; i < 1000; i++)
		member_poll(&members[i % 2]);
	if (shoal_keyspace_forget(&members[0].space, 1, 1) || shoal_keyspace_forget(&members[1].space, 1, 1))
		bench_fail(members->bench, "the first plan did not end");
	free(plan);
}

static void make_members(struct bench *bench, struct member *members, uint32_t objects)
{
	static const struct shoal_class class = { .name = "bench.object", .key_bytes = 8, .object_bytes = 32 };
	int descriptor = shoal_ring_pair_create(SHOAL_RING_TRANSPORT_CAPACITY);

	for (uint8_t i = 0; i < 2; i++)
		member_init(&members[i], bench, i, 1u + i, &class, objects + 1024);
	for (unsigned i = 0; i < 2; i++) {
		struct shoal_link *link = shoal_ring_transport_create(descriptor, i);

		if (!link || shoal_channel_attach(members[i].space.channel, (uint8_t)!i, 2u - i, link))
			bench_fail(bench, "no channel between the members");
	}
	close(descriptor);
	first_plan(members);
}

static void take_all(struct side *side, uint32_t objects)
{
	uint64_t began = shoal_clock_now();

	member_take(side->member, &objects);
	while (__atomic_load_n(&side->member->taken, __ATOMIC_ACQUIRE) != objects) {
		poll_side(side);
		if (shoal_clock_now() > began + DEADLINE_NS)
			bench_fail(side->bench, "objects were not taken in time");
	}
}

/* Objects that member 0 owns go to member 1, which asks on this core. Before each round but the first, back again; then 0 asks 1
 * to give back what it has, and both have made the same steps in turn. */
static struct remote measure_remote(struct bench *bench)
{
	static struct bench_samples request, serve;
	struct member *members = aligned_alloc(128, 2 * sizeof(*members));
	uint32_t objects = bench->quick ? 512 : OBJECTS;
	struct side asks = { .bench = bench }, serves = { .bench = bench };
	pthread_t thread;

	if (!members)
		bench_fail(bench, "no memory");
	make_members(bench, members, objects);
	for (unsigned turn = 0; turn < 2 * ROUNDS; turn++) {
		asks.member = &members[turn % 2];
		serves.member = &members[!(turn % 2)];
		asks.busy_ns = serves.busy_ns = 0;
		serves.stop = false;
		if (pthread_create(&thread, NULL, run_server, &serves))
			bench_fail(bench, "no thread");
		take_all(&asks, objects);
		__atomic_store_n(&serves.stop, true, __ATOMIC_RELEASE);
		pthread_join(thread, NULL);
		if (turn < 2)
			continue; /* the first objects are made, not moved */
		bench_sample(&request, (double)asks.busy_ns / objects);
		bench_sample(&serve, (double)serves.busy_ns / objects);
	}
	for (unsigned i = 0; i < 2; i++)
		member_fini(&members[i]);
	free(members);
	return (struct remote){ bench_median(&request), bench_median(&serve) };
}

/* --- The formula, and the simulation --- */

struct instance {
	double left_ns; /* of the present quantum; what went beyond counts against the next */
	double packets;
	double until_remote; /* packets until the next one with a remote access */
	uint32_t under_way; /* own requests, not answered yet */
	uint32_t came, comes; /* requests to serve: now, and from the next quantum on */
	uint32_t answered; /* own requests whose answers come with the next quantum */
};

struct simulation {
	struct instance *instances; /* owns */
	unsigned count;
	double packet_ns, share;
	struct remote remote;
	uint64_t random;
};

static double next_remote(struct simulation *simulation)
{
	return simulation->share > 0
	               ? __builtin_log(1 - bench_random_unit(&simulation->random)) / __builtin_log1p(-simulation->share)
	               : 1e300;
}

static void serve_one(struct simulation *simulation, struct instance *instance)
{
	unsigned from = (unsigned)(bench_random_unit(&simulation->random) * simulation->count);

	instance->came--;
	instance->left_ns -= simulation->remote.serve_ns;
	/* Who had asked is not kept: any that waits is as good, for all are alike. */
	for (unsigned i = 0; i < simulation->count; i++) {
		struct instance *asker = &simulation->instances[(from + i) % simulation->count];

		if (asker->under_way <= asker->answered)
			continue;
		asker->answered++;
		return;
	}
}

static void ask_one(struct simulation *simulation, struct instance *instance)
{
	unsigned self = (unsigned)(instance - simulation->instances);
	unsigned other = (unsigned)(bench_random_unit(&simulation->random) * (simulation->count - 1));

	instance->left_ns -= simulation->remote.request_ns;
	instance->under_way++;
	simulation->instances[other + (other >= self)].comes++;
}

/* One instance's quantum: what has come first, then packets. With a full window it works on none. */
static void run_quantum(struct simulation *simulation, struct instance *instance)
{
	instance->left_ns += QUANTUM_NS;
	while (instance->came && instance->left_ns > 0)
		serve_one(simulation, instance);
	while (instance->left_ns > 0 && instance->under_way < WINDOW) {
		double packets = instance->left_ns / simulation->packet_ns;

		if (packets > instance->until_remote)
			packets = instance->until_remote;
		instance->packets += packets;
		instance->left_ns -= packets * simulation->packet_ns;
		instance->until_remote -= packets;
		if (instance->until_remote > 0)
			return;
		instance->until_remote = next_remote(simulation);
		ask_one(simulation, instance);
	}
	/* Idle time is lost. */
	if (instance->left_ns > 0)
		instance->left_ns = 0;
}

/* Million packets a second of all. */
static double simulate(struct simulation *simulation)
{
	double packets = 0;

	simulation->instances = calloc(simulation->count, sizeof(*simulation->instances));
	simulation->random = simulation->count;
	for (unsigned i = 0; simulation->instances && i < simulation->count; i++)
		simulation->instances[i].until_remote = next_remote(simulation);
	for (unsigned quantum = 0; simulation->instances && quantum < QUANTA; quantum++) {
		for (unsigned i = 0; i < simulation->count; i++)
			run_quantum(simulation, &simulation->instances[i]);
		for (unsigned i = 0; i < simulation->count; i++) {
			struct instance *instance = &simulation->instances[i];

			instance->came += instance->comes;
			instance->under_way -= instance->answered;
			instance->comes = instance->answered = 0;
		}
	}
	for (unsigned i = 0; simulation->instances && i < simulation->count; i++)
		packets += simulation->instances[i].packets;
	free(simulation->instances);
	return packets / (QUANTA * QUANTUM_NS) * 1000;
}

/* --- Rows --- */

static void row(struct bench *bench, uint32_t flows, const char *how, unsigned instances, const char *metric,
	double share, const struct bench_figure *figure)
{
	bench_row(bench, figure,
		"\"nf\": \"nat\", \"plane\": \"shared\", \"how\": \"%s\", \"instances\": %u, \"metric\": \"%s\", "
		"\"flows\": %u, \"distribution\": \"zipf\", \"packet_bytes\": 64, \"blocked\": 0, \"new_flows\": 0, "
		"\"remote\": %g",
		how, instances, metric, flows, share);
}

static void model_one(
	struct bench *bench, uint32_t flows, unsigned instances, double ns, const struct remote *remote, double share)
{
	static const char beyond[] = "costs of at most 16 instances; a cluster has at most 64 members today";
	const char *limit = instances > SHOAL_MEMBERS_MAX ? beyond
	                    : instances > 16              ? "costs of at most 16 instances"
	                                                  : "costs as measured";
	struct simulation simulation = { .count = instances, .packet_ns = ns, .share = share, .remote = *remote };
	double twice = instances * 1000 / ns;
	double aggregate = instances * 1000 / (ns + share * (remote->request_ns + remote->serve_ns));
	const struct bench_figure formula = { aggregate, "Mpps", aggregate / twice, limit };
	double simulated = simulate(&simulation);
	const struct bench_figure simulation_figure = { simulated, "Mpps", simulated / twice, limit };

	row(bench, flows, "modelled by the formula", instances, "aggregate", share, &formula);
	row(bench, flows, "simulated in virtual time with measured costs", instances, "aggregate", share,
		&simulation_figure);
}

void scaling_model(struct bench *bench, uint32_t flows, const struct scaling_costs *costs)
{
	static const unsigned more[] = { 2, 4, 8, 16, 64, 256, INSTANCES_MOST };
	static const double shares[] = { 0, 0.01, 0.1 };
	struct remote remote = measure_remote(bench);
	const struct bench_figure request = { remote.request_ns, "ns", 0,
		"instructions: a suspended packet, messages" };
	const struct bench_figure serve = { remote.serve_ns, "ns", 0, "instructions: messages, records, passing on" };
	const struct bench_figure check = { costs->measured_ratio, "times", 0,
		"the model leaves out the cache that two cores share" };

	row(bench, OBJECTS, "measured", 2, "remote_access_request", 1, &request);
	row(bench, OBJECTS, "measured", 2, "remote_access_serve", 1, &serve);
	row(bench, flows, "measured", 2, "measured_over_modelled", 0, &check);
	for (unsigned i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		double ns = more[i] == 2 ? costs->alone_ns : costs->shared_ns[more[i] == 4 ? 0 : more[i] == 8 ? 1 : 2];

		for (unsigned share = 0; share < sizeof(shares) / sizeof(shares[0]); share++)
			model_one(bench, flows, more[i], ns, &remote, shares[share]);
	}
}
