/* SPDX-License-Identifier: BSD-3-Clause */
#include "scale_member.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "channel/ring_transport.h"
#include "nat.h"
#include "worker/clock.h"
#include "worker/runner.h"

#define GAP_NS 300000 /* between two polls: perhaps somebody else had the core */

static void *make_nat(const struct bench *bench)
{
	static const char *const settings[][2] = { { "public_addresses", "198.18.0.1-198.18.0.255" },
		{ "inside_prefixes", "16.0.0.0/8" } };
	void *state = shoal_nf.create();
	char error[256];

	for (unsigned i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (shoal_nf.configure(state, settings[i][0], settings[i][1], error, sizeof(error)))
			bench_fail(bench, error);
	if (shoal_nf.init(state, error, sizeof(error)))
		bench_fail(bench, error);
	return state;
}

/* In hundredths of a second, of all cores. */
static unsigned long long stolen(void)
{
	unsigned long long steal = 0;
	FILE *file = fopen("/proc/stat", "r");

	if (file && fscanf(file, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &steal) != 1)
		steal = 0;
	if (file)
		fclose(file);
	return steal;
}

static long switches(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? 0 : usage.ru_nivcsw;
}

void scale_member_init(struct scale_member *member, struct bench *bench, struct scale_shared *shared, int packets,
	struct rte_mempool *pool)
{
	const struct scale_member_config *config = &shared->config;
	const struct shoal_worker_config worker = { .space = { .self = config->number,
							    .life = config->life,
							    .hash_seed = 42,
							    .classes = shoal_nf.classes,
							    .classes_count = shoal_nf.classes_count,
							    .objects_max = config->objects,
							    .window = 4096,
							    .microthreads_max = 8192,
							    .members_max = 2,
							    .touch = true,
							    .deadline_ns = SHOAL_NS_PER_S,
							    .resend_ns = SHOAL_NS_PER_MS },
		.nf = &shoal_nf,
		.nf_state = make_nat(bench),
		.parked_max = 16384,
		.backlog_max = 512,
		.stack_bytes = 16384 };

	memset(member, 0, sizeof(*member));
	member->bench = bench;
	member->shared = shared;
	if (shoal_worker_init(&member->worker, &worker))
		bench_fail(bench, "no memory for an instance");
	member->worker.ring = shoal_packet_ring_create(packets, 1, pool);
	if (!member->worker.ring)
		bench_fail(bench, "no packet ring");
	member->switches = switches();
	member->stolen = stolen();
}

void scale_member_fini(struct scale_member *member)
{
	struct shoal_port *port = shoal_packet_ring_port(member->worker.ring);
	void *state = member->worker.context.context.nf_state;

	shoal_worker_fini(&member->worker);
	port->operations->destroy(port);
	shoal_nf.destroy(state);
}

void scale_member_connect(struct scale_member *member, int descriptor, uint64_t other_life)
{
	uint8_t number = member->shared->config.number;
	struct shoal_link *link = shoal_ring_transport_create(descriptor, number);

	if (!link || shoal_channel_attach(member->worker.space.channel, !number, other_life, link))
		bench_fail(member->bench, "no channel to the other instance");
}

static int carry_out(struct scale_member *member)
{
	const struct shoal_plan *plan = &member->shared->plan;
	struct shoal_space *space = &member->worker.space;

	switch (member->shared->command) {
	case SCALE_LEARN:
		return shoal_keyspace_learn(space, plan);
	case SCALE_HAND_OVER:
		return shoal_keyspace_hand_over(space, plan->term, plan->epoch_next);
	case SCALE_MARKERS_BACK:
		return shoal_keyspace_markers_back(space, plan->term, plan->epoch_next);
	case SCALE_FORGET:
		return shoal_keyspace_forget(space, plan->term, plan->epoch_next);
	default:
		return 0;
	}
}

static uint64_t drops_of(const struct shoal_worker *worker)
{
	uint64_t drops = 0;

	for (unsigned i = 1; i < SHOAL_PARSE_RESULTS; i++)
		drops += worker->parse_drops[i];
	for (unsigned i = 0; i < worker->nf->drops_count; i++)
		drops += worker->nf_drops[i];
	for (unsigned i = 0; i < SHOAL_WORKER_DROPS; i++)
		drops += worker->drops[i];
	return drops;
}

static void publish(struct scale_member *member)
{
	const struct shoal_worker *worker = &member->worker;
	const struct shoal_keyspace *keyspace = &worker->space.keyspace;
	struct scale_shared *shared = member->shared;

	/* Looked through only when some have come or gone: it would be part of each poll otherwise. */
	if (member->tokens != keyspace->tokens || shared->stage != keyspace->stage) {
		member->tokens = keyspace->tokens;
		for (unsigned word = 0; word < 4; word++) {
			uint64_t ready = 0;

			for (unsigned bit = 0; bit < 64; bit++)
				ready |= (uint64_t)(keyspace->token[word * 64 + bit] == UINT64_MAX) << bit;
			__atomic_store_n(&shared->ready[word], ready, __ATOMIC_RELEASE);
		}
	}
	shared->forwarded = worker->space.counters.forwarded + worker->space.counters.pulls;
	shared->takes_remote = worker->space.counters.takes_remote;
	shared->bytes_out = worker->space.counters.bytes_out;
	shared->objects_out = worker->space.counters.leases_out;
	shared->parked_most = worker->parked_most;
	shared->drops = drops_of(worker);
	shared->received = worker->received[0] + worker->received[1];
	__atomic_store_n(&shared->stage, keyspace->stage, __ATOMIC_RELEASE);
}

/* A long gap between two polls is somebody else's doing only where the kernel or the hypervisor says so. */
static void notice_preemption(struct scale_member *member, uint64_t now_ns)
{
	uint64_t from = member->polled_ns / SHOAL_NS_PER_MS, to = now_ns / SHOAL_NS_PER_MS;
	long switched = switches();
	unsigned long long steal = stolen();

	for (uint64_t ms = from; ms <= to && (switched != member->switches || steal != member->stolen); ms++)
		member->shared->marks[ms % SCALE_MARKS] = 1;
	member->switches = switched;
	member->stolen = steal;
}

bool scale_member_poll(struct scale_member *member, uint64_t now_ns)
{
	struct scale_shared *shared = member->shared;
	bool ends = false;

	if (member->polled_ns && now_ns - member->polled_ns > GAP_NS)
		notice_preemption(member, now_ns);
	member->polled_ns = now_ns;
	if (__atomic_load_n(&shared->asked, __ATOMIC_ACQUIRE) != shared->answered) {
		ends = shared->command == SCALE_END;
		shared->answer = carry_out(member);
		publish(member);
		__atomic_store_n(&shared->answered, shared->asked, __ATOMIC_RELEASE);
	}
	shoal_worker_poll(&member->worker, now_ns);
	publish(member);
	return !ends;
}

struct scale_shared *scale_shared_map(const struct bench *bench, int *descriptor, bool create)
{
	void *memory;

	if (create)
		*descriptor = memfd_create("bench", MFD_CLOEXEC);
	if (*descriptor < 0 || (create && ftruncate(*descriptor, sizeof(struct scale_shared))))
		bench_fail(bench, "no shared memory");
	memory = mmap(
		NULL, sizeof(struct scale_shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, *descriptor, 0);
	if (memory == MAP_FAILED)
		bench_fail(bench, "no shared memory");
	return memory;
}

void scale_member_process(int descriptor, int packets, int peer)
{
	struct scale_member *member = aligned_alloc(128, (sizeof(*member) + 127) / 128 * 128);
	struct bench bench = { .name = "scale_event" };
	struct scale_shared *shared = scale_shared_map(&bench, &descriptor, false);
	struct rte_mempool *pool;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bench.cpu = shared->config.cpu;
	bench_pin(&bench, bench.cpu);
	shoal_clock_calibrate();
	bench_eal_start(&bench, 128);
	pool = shoal_packet_pool_create("instance", 32767, 2048);
	if (!pool || !member)
		bench_fail(&bench, "no memory for instance 1");
	scale_member_init(member, &bench, shared, packets, pool);
	scale_member_connect(member, peer, shared->config.other_life);
	__atomic_store_n(&shared->begun, true, __ATOMIC_RELEASE);
	while (scale_member_poll(member, shoal_clock_now()))
		;
	scale_member_fini(member);
	exit(0);
}
