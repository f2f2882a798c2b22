/* SPDX-License-Identifier: BSD-3-Clause */
#include "nat_cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "channel/ring_transport.h"

#define RING_BYTES (1 << 20)
/* The instances and the splitter. */
#define COMPONENTS (NAT_CLUSTER_INSTANCES + 1)
/* Once in so many polls one component stalls, for as many at most. A power of two less one. */
#define STALL_MASK 511

void nat_cluster_must(int error, const char *what)
{
	if (!error)
		return;
	fprintf(stderr, "cluster: %s: %s\n", what, strerror(abs(error)));
	abort();
}

static void must_not_be_null(const void *pointer, const char *what)
{
	if (!pointer)
		nat_cluster_must(errno ? errno : ENOMEM, what);
}

struct rte_mempool *nat_cluster_pool(const char *program, unsigned packets, unsigned frame_bytes)
{
	char name[64], prefix[96];
	const char *const arguments[] = { name, "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-m", "128",
		"--log-level", "4", "--file-prefix", prefix };
	struct rte_mempool *pool;

	snprintf(name, sizeof(name), "%s", program);
	snprintf(prefix, sizeof(prefix), "%s_%d", program, (int)getpid());
	nat_cluster_must(shoal_eal_start(sizeof(arguments) / sizeof(arguments[0]), arguments), "EAL");
	pool = shoal_packet_pool_create("ends", packets, frame_bytes);
	must_not_be_null(pool, "packet pool");
	return pool;
}

void nat_cluster_init(
	struct nat_cluster *cluster, uint64_t seed, struct rte_mempool *pool, struct shoal_port *const ports[2])
{
	const struct shoal_splitter_setup setup = {
		.nf = &shoal_nf, .parked_max = 4096, .fragments_max = 256, .hash_seed = 5
	};

	memset(cluster, 0, sizeof(*cluster));
	cluster->pool = pool;
	cluster->random = seed * 2654435761u + 1;
	cluster->now_ns = NAT_CLUSTER_START_NS;
	nat_cluster_must(shoal_nf.counters_count > NAT_CLUSTER_COUNTERS_MAX ? E2BIG : 0, "counters");
	nat_cluster_must(shoal_splitter_init(&cluster->splitter, &setup), "splitter");
	for (uint8_t port = 0; port < 2; port++) {
		cluster->ports[port] = ports[port];
		nat_cluster_must(shoal_splitter_port_add(&cluster->splitter, port, ports[port]), "port");
	}
}

uint64_t nat_cluster_random(struct nat_cluster *cluster)
{
	cluster->random ^= cluster->random << 13;
	cluster->random ^= cluster->random >> 7;
	cluster->random ^= cluster->random << 17;
	return cluster->random;
}

/* --- Instances --- */

static void *make_nat(const struct nat_cluster *cluster)
{
	static const char *const settings[][2] = { { "public_addresses", "198.18.0.1-198.18.0.4" },
		{ "inside_prefixes", "16.0.0.0/8" } };
	void *state = shoal_nf.create();
	char error[256];

	must_not_be_null(state, "NAT");
	for (unsigned i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		nat_cluster_must(shoal_nf.configure(state, settings[i][0], settings[i][1], error, sizeof(error)),
			settings[i][0]);
	if (cluster->port_range)
		nat_cluster_must(shoal_nf.configure(state, "port_range", cluster->port_range, error, sizeof(error)),
			"port_range");
	nat_cluster_must(shoal_nf.init(state, error, sizeof(error)), "NAT");
	return state;
}

static void connect_members(struct nat_cluster *cluster, unsigned low, unsigned high)
{
	int descriptor = shoal_ring_pair_create(SHOAL_RING_TRANSPORT_CAPACITY);

	nat_cluster_must(descriptor < 0 ? descriptor : 0, "ring");
	for (unsigned side = 0; side < 2; side++) {
		struct shoal_link *link = shoal_ring_transport_create(descriptor, side);
		unsigned other = side ? low : high;

		must_not_be_null(link, "link");
		nat_cluster_must(shoal_channel_attach(cluster->workers[side ? high : low]->space.channel,
					 (uint8_t)other, cluster->life[other], link),
			"channel");
	}
	close(descriptor);
}

const char *nat_cluster_slabs(const struct nat_cluster *cluster, unsigned member, char path[128])
{
	if (!cluster->directory[0])
		return NULL;
	snprintf(path, 128, "%s/%lu", cluster->directory, cluster->life[member]);
	return path;
}

static void start_worker(const struct nat_cluster *cluster, unsigned member, const char *slabs)
{
	const struct shoal_worker_config config = { .space = { .self = (uint8_t)member,
							    .life = cluster->life[member],
							    .hash_seed = 77,
							    .classes = shoal_nf.classes,
							    .classes_count = shoal_nf.classes_count,
							    .objects_max = 8192,
							    .window = 256,
							    .microthreads_max = 512,
							    .members_max = NAT_CLUSTER_INSTANCES,
							    .deadline_ns = SHOAL_NS_PER_S,
							    .slab_directory = slabs },
		.nf = &shoal_nf,
		.nf_state = make_nat(cluster),
		.parked_max = 4096,
		.backlog_max = 512,
		.stack_bytes = 16384 };

	nat_cluster_must(shoal_worker_init(cluster->workers[member], &config), "worker");
	if (member % 2)
		cluster->workers[member]->ahead_from = 0; /* its bursts overlap from the first object on */
}

void nat_cluster_instance_add(struct nat_cluster *cluster, unsigned member)
{
	struct shoal_worker *worker = aligned_alloc(64, (sizeof(*worker) + 63) / 64 * 64);
	int descriptor = shoal_ring_pair_create(RING_BYTES);
	struct shoal_packet_ring *ring;
	const char *slabs;
	char path[128];

	must_not_be_null(worker, "worker");
	nat_cluster_must(descriptor < 0 ? descriptor : 0, "packet ring");
	cluster->life[member] = ++cluster->life_last;
	slabs = nat_cluster_slabs(cluster, member, path);
	if (slabs)
		nat_cluster_must(mkdir(slabs, 0700), "slab directory");
	cluster->slab_path[member] = slabs ? strdup(slabs) : NULL;
	cluster->workers[member] = worker;
	start_worker(cluster, member, cluster->slab_path[member]);
	ring = shoal_packet_ring_create(descriptor, 0, cluster->pool);
	must_not_be_null(ring, "packet ring");
	nat_cluster_must(shoal_splitter_member_add(&cluster->splitter, (uint16_t)member, ring), "member");
	worker->ring = shoal_packet_ring_create(descriptor, 1, cluster->pool);
	must_not_be_null(worker->ring, "packet ring");
	close(descriptor);
	for (unsigned other = 0; other < NAT_CLUSTER_INSTANCES; other++)
		if (other != member && cluster->workers[other])
			connect_members(cluster, other < member ? other : member, other < member ? member : other);
}

static void add_up(const struct shoal_worker *worker, struct nat_cluster_figures *figures)
{
	const uint64_t *counters = shoal_nf.counter_values(worker->context.context.nf_state);

	for (unsigned i = 0; i < shoal_nf.drops_count; i++)
		figures->nf_drops[i] += worker->nf_drops[i];
	for (unsigned i = 0; i < SHOAL_PARSE_RESULTS; i++)
		figures->parse_drops[i] += worker->parse_drops[i];
	for (unsigned i = 0; i < SHOAL_WORKER_DROPS; i++)
		figures->worker_drops[i] += worker->drops[i];
	for (unsigned i = 0; i < shoal_nf.counters_count; i++)
		figures->nf_counters[i] += counters[i];
	figures->objects_moved += worker->space.counters.leases_in;
	figures->takes_remote += worker->space.counters.takes_remote;
	figures->packets_suspended += worker->blocked;
}

static void end_instance(struct nat_cluster *cluster, unsigned member)
{
	struct shoal_worker *worker = cluster->workers[member];
	struct shoal_port *port = shoal_packet_ring_port(worker->ring);
	void *state = worker->context.context.nf_state;

	shoal_worker_fini(worker);
	port->operations->destroy(port);
	add_up(worker, &cluster->of_ended);
	shoal_nf.destroy(state);
	free(worker);
	cluster->workers[member] = NULL;
	if (cluster->slab_path[member])
		rmdir(cluster->slab_path[member]);
	free(cluster->slab_path[member]);
	cluster->slab_path[member] = NULL;
}

void nat_cluster_instance_remove(struct nat_cluster *cluster, unsigned member)
{
	struct shoal_worker *worker = cluster->workers[member];
	struct shoal_packet_ring *ring = NULL;

	nat_cluster_must(
		shoal_splitter_member_remove(&cluster->splitter, (uint16_t)member, cluster->now_ns, &ring), "removal");
	shoal_packet_ring_port(ring)->operations->destroy(shoal_packet_ring_port(ring));
	for (unsigned other = 0; other < NAT_CLUSTER_INSTANCES; other++)
		if (other != member && cluster->workers[other])
			shoal_channel_detach(cluster->workers[other]->space.channel, (uint8_t)member);
	nat_cluster_must(shoal_worker_inside(worker) ? EBUSY : 0, "the leaver has packets inside");
	nat_cluster_must(worker->space.held ? EBUSY : 0, "the leaver holds objects");
	end_instance(cluster, member);
}

void nat_cluster_fini(struct nat_cluster *cluster)
{
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++)
		if (cluster->workers[member])
			end_instance(cluster, member);
	shoal_splitter_fini(&cluster->splitter);
}

/* --- Polls --- */

static unsigned poll_component(struct nat_cluster *cluster, unsigned which)
{
	if (which == NAT_CLUSTER_INSTANCES)
		return shoal_splitter_poll(&cluster->splitter, cluster->now_ns);
	return cluster->workers[which] ? shoal_worker_poll(cluster->workers[which], cluster->now_ns) : 0;
}

static unsigned choose_component(struct nat_cluster *cluster)
{
	uint64_t random = nat_cluster_random(cluster);
	unsigned which = (unsigned)(random % COMPONENTS);

	if (!cluster->stalled_polls) {
		if (!(random >> 32 & STALL_MASK)) {
			cluster->stalled = which;
			cluster->stalled_polls = (unsigned)(random >> 48 & STALL_MASK);
		}
		return which;
	}
	cluster->stalled_polls--;
	return which == cluster->stalled ? (which + 1) % COMPONENTS : which;
}

static void step(struct nat_cluster *cluster)
{
	const unsigned all = (1u << COMPONENTS) - 1;
	unsigned which = choose_component(cluster);

	cluster->now_ns +=
		cluster->elapse ? cluster->elapse(cluster, cluster->user) : nat_cluster_random(cluster) % 2000;
	if (poll_component(cluster, which)) {
		cluster->idle_components = cluster->idle_rounds = 0;
		return;
	}
	cluster->idle_components |= 1u << which;
	if (cluster->idle_components == all) {
		cluster->idle_components = 0;
		cluster->idle_rounds++;
	}
}

void nat_cluster_run(struct nat_cluster *cluster, unsigned polls)
{
	while (polls--)
		step(cluster);
}

bool nat_cluster_idle(const struct nat_cluster *cluster)
{
	return cluster->idle_rounds >= 3 && !cluster->splitter.steering.parked;
}

bool nat_cluster_suspended(const struct nat_cluster *cluster)
{
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++) {
		const struct shoal_worker *worker = cluster->workers[member];

		if (worker && (shoal_scheduler_suspended(worker->scheduler) || worker->space.fetches ||
				      worker->space.outstanding))
			return true;
	}
	return false;
}

/* --- Figures --- */

void nat_cluster_figures_read(const struct nat_cluster *cluster, struct nat_cluster_figures *figures)
{
	*figures = cluster->of_ended;
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++)
		if (cluster->workers[member])
			add_up(cluster->workers[member], figures);
}
