/* SPDX-License-Identifier: BSD-3-Clause */
/* 64-byte records between two pinned threads, as JSON: the ring of queue/ring.h against rte_ring with 64-byte elements, and
 * both against a bare cache line that goes there and back. Millions a second for batches of 1, 8 and 32, and the round trip
 * of one record. Medians over chunks; all variants run in turn, several times, since the distance of two cores changes within a
 * minute (the ping-pong's spread shows it).
 *
 *     ring_bench [cpu cpu] */
#include <pthread.h>
#include <rte_pause.h>
#include <rte_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "queue/ring.h"
#include "worker/clock.h"
#include "worker/runner.h"

#define RECORD_BYTES 64u
#define WORDS (RECORD_BYTES / 8)
#define CAPACITY (64u << 10)
#define ELEMENTS 1024u
#define CHUNK 8192u
#define TRIPS 256u
#define SAMPLES_MAX 65536u
#define ROUNDS 5
#define MEASURE_NS (100 * SHOAL_NS_PER_MS)

enum variant { PING_PONG, RING_TRIP, RTE_TRIP, RING_1, RING_8, RING_32, RTE_1, RTE_8, RTE_32, VARIANTS };
static const unsigned batches[VARIANTS] = { 1, 1, 1, 1, 8, 32, 1, 8, 32 };

struct record {
	uint64_t words[WORDS];
};

struct samples {
	float ns[SAMPLES_MAX];
	unsigned count;
};

/* What both threads use. */
struct bench {
	enum variant variant;
	/* Views are private: they must not share a cache line. */
	struct {
		_Alignas(128) struct shoal_ring_pair pair;
	} sides[2];
	struct rte_ring *there, *back;
	int cpus[2];
	pthread_barrier_t barrier;
	_Alignas(128) uint64_t line; /* ping-pong */
	_Alignas(128) bool stop; /* writer: measuring thread, reader: the other */
};

static struct samples samples[VARIANTS];

static bool stopped(const struct bench *bench)
{
	return __atomic_load_n(&bench->stop, __ATOMIC_RELAXED);
}

/* Two stores and two loads of 32 bytes, as a copy would have. */
typedef uint64_t half __attribute__((vector_size(32), aligned(8), may_alias));

static void fill(struct record *record, uint64_t number)
{
	half value = { number, number + 1, number + 2, number + 3 };

	*(half *)&record->words[0] = value;
	*(half *)&record->words[4] = value;
}

static half sum(const struct record *record)
{
	return *(const half *)&record->words[0] + *(const half *)&record->words[4];
}

static unsigned ring_send(struct shoal_ring *ring, uint64_t number, unsigned batch)
{
	struct shoal_ring local = *ring;
	unsigned sent = 0;

	for (; sent < batch; sent++) {
		struct record *record = shoal_ring_reserve(&local, RECORD_BYTES);

		if (!record)
			break;
		fill(record, number + sent);
		shoal_ring_push(&local, RECORD_BYTES);
	}
	shoal_ring_flush(&local);
	*ring = local;
	return sent;
}

static unsigned ring_receive(struct shoal_ring *ring, half *total, unsigned batch)
{
	unsigned received = 0;
	uint32_t length;
	const struct record *record;

	for (; received < batch && (record = shoal_ring_peek(ring, &length)); received++) {
		*total += sum(record);
		shoal_ring_pop(ring);
	}
	shoal_ring_consumed(ring);
	return received;
}

static unsigned rte_send(struct rte_ring *ring, uint64_t number, unsigned batch)
{
	struct record records[32];

	for (unsigned i = 0; i < batch; i++)
		fill(&records[i], number + i);
	return rte_ring_sp_enqueue_burst_elem(ring, records, RECORD_BYTES, batch, NULL);
}

static unsigned rte_receive(struct rte_ring *ring, half *total, unsigned batch)
{
	struct record records[32];
	unsigned received = rte_ring_sc_dequeue_burst_elem(ring, records, RECORD_BYTES, batch, NULL);

	for (unsigned i = 0; i < received; i++)
		*total += sum(&records[i]);
	return received;
}

/* The other thread: produces without end, or answers. */
static void run_other(struct bench *bench)
{
	struct shoal_ring_pair *side = &bench->sides[1].pair;
	unsigned batch = batches[bench->variant];
	uint64_t number = 0;
	half total = { 0 };

	while (!stopped(bench)) {
		switch (bench->variant) {
		case PING_PONG:
			number = __atomic_load_n(&bench->line, __ATOMIC_ACQUIRE);
			if (number & 1)
				__atomic_store_n(&bench->line, number + 1, __ATOMIC_RELEASE);
			break;
		case RING_TRIP:
			if (ring_receive(&side->in, &total, 1))
				ring_send(&side->out, total[0], 1);
			break;
		case RTE_TRIP:
			if (rte_receive(bench->there, &total, 1))
				rte_send(bench->back, total[0], 1);
			break;
		case RING_1:
		case RING_8:
		case RING_32:
			number += ring_send(&side->out, number, batch);
			break;
		default:
			number += rte_send(bench->back, number, batch);
		}
	}
}

/* One round trip; false: told to stop. */
static bool trip(struct bench *bench, half *total, uint64_t end)
{
	struct shoal_ring_pair *side = &bench->sides[0].pair;
	unsigned spins = 0, received = 0;
	uint64_t number = 0;

	if (bench->variant == PING_PONG) {
		number = __atomic_load_n(&bench->line, __ATOMIC_RELAXED);
		__atomic_store_n(&bench->line, number + 1, __ATOMIC_RELEASE);
	} else if (bench->variant == RING_TRIP) {
		ring_send(&side->out, number, 1);
	} else {
		rte_send(bench->there, number, 1);
	}
	while (!received) {
		if (bench->variant == PING_PONG)
			received = __atomic_load_n(&bench->line, __ATOMIC_ACQUIRE) != number + 1;
		else if (bench->variant == RING_TRIP)
			received = ring_receive(&side->in, total, 1);
		else
			received = rte_receive(bench->back, total, 1);
		if (++spins % 4096 == 0 && shoal_clock_now() > end)
			return false;
	}
	return true;
}

static void take_chunk(struct bench *bench, half *total, uint64_t end)
{
	unsigned batch = batches[bench->variant];

	for (unsigned received = 0, spins = 0; received < CHUNK;) {
		unsigned more = bench->variant <= RING_32 ? ring_receive(&bench->sides[0].pair.in, total, batch)
		                                          : rte_receive(bench->back, total, batch);

		received += more;
		if (!more && ++spins % 4096 == 0 && shoal_clock_now() > end)
			return;
	}
}

static void measure(struct bench *bench, struct samples *into)
{
	uint64_t end = shoal_clock_now() + MEASURE_NS, start;
	half total = { 0 };
	bool trips = bench->variant <= RTE_TRIP;

	while ((start = shoal_clock_now()) < end && into->count < SAMPLES_MAX) {
		if (trips) {
			for (unsigned i = 0; i < TRIPS; i++)
				if (!trip(bench, &total, end))
					break;
		} else {
			take_chunk(bench, &total, end);
		}
		uint64_t now = shoal_clock_now();

		if (now < end)
			into->ns[into->count++] = (float)(now - start) / (float)(trips ? TRIPS : CHUNK);
	}
	__asm__ volatile("" ::"x"(total)); /* the bytes are read for somebody */
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		fprintf(stderr, "ring_bench: cannot run on cpu %d alone\n", cpu);
}

static void *other_thread(void *argument)
{
	struct bench *bench = argument;

	pin(bench->cpus[1]);
	for (int run = 0; run < ROUNDS * VARIANTS; run++) {
		pthread_barrier_wait(&bench->barrier); /* variant, queues and stop are set */
		run_other(bench);
		pthread_barrier_wait(&bench->barrier);
	}
	return NULL;
}

/* Empty queues for the next run; both threads wait. */
static void prepare(struct bench *bench, enum variant variant)
{
	int descriptor = shoal_ring_pair_create(CAPACITY);

	for (unsigned side = 0; side < 2; side++) {
		shoal_ring_pair_close(&bench->sides[side].pair);
		if (descriptor < 0 || shoal_ring_pair_open(&bench->sides[side].pair, descriptor, side)) {
			fprintf(stderr, "ring_bench: no rings\n");
			exit(1);
		}
	}
	close(descriptor);
	if (rte_ring_init(bench->there, "there", ELEMENTS, RING_F_SP_ENQ | RING_F_SC_DEQ) ||
		rte_ring_init(bench->back, "back", ELEMENTS, RING_F_SP_ENQ | RING_F_SC_DEQ)) {
		fprintf(stderr, "ring_bench: no rte_ring\n");
		exit(1);
	}
	bench->variant = variant;
	bench->line = 0;
	bench->stop = false;
}

static struct rte_ring *rte_ring_memory(void)
{
	size_t bytes = (size_t)rte_ring_get_memsize_elem(RECORD_BYTES, ELEMENTS);
	void *memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);

	if (!memory) {
		perror("ring_bench");
		exit(1);
	}
	memset(memory, 0, bytes);
	return memory;
}

static int ascending(const void *one, const void *other)
{
	float a = *(const float *)one, b = *(const float *)other;

	return (a > b) - (a < b);
}

static double percentile(struct samples *of, unsigned percent)
{
	qsort(of->ns, of->count, sizeof(of->ns[0]), ascending);
	return of->count ? (double)of->ns[(uint64_t)(of->count - 1) * percent / 100] : 0;
}

static void print_rates(const char *name, enum variant first, const char *after)
{
	printf(" \"%s_million_a_second\": {", name);
	for (enum variant variant = first; variant < first + 3; variant++)
		printf("\"%u\": %.1f%s", batches[variant], 1000 / percentile(&samples[variant], 50),
			variant < first + 2 ? ", " : "}");
	printf("%s\n", after);
}

int main(int count, char **arguments)
{
	static struct bench bench;
	pthread_t other;

	bench.cpus[0] = count > 2 ? atoi(arguments[1]) : 0;
	bench.cpus[1] = count > 2 ? atoi(arguments[2]) : 1;
	bench.there = rte_ring_memory();
	bench.back = rte_ring_memory();
	shoal_clock_calibrate();
	pin(bench.cpus[0]);
	if (pthread_barrier_init(&bench.barrier, NULL, 2) || pthread_create(&other, NULL, other_thread, &bench)) {
		perror("ring_bench: no thread");
		return 1;
	}
	for (int run = 0; run < ROUNDS * VARIANTS; run++) {
		prepare(&bench, run % VARIANTS);
		pthread_barrier_wait(&bench.barrier);
		measure(&bench, &samples[run % VARIANTS]);
		__atomic_store_n(&bench.stop, true, __ATOMIC_RELAXED);
		pthread_barrier_wait(&bench.barrier);
	}
	pthread_join(other, NULL);

	printf("{\"record_bytes\": %u, \"cpus\": [%d, %d],\n", RECORD_BYTES, bench.cpus[0], bench.cpus[1]);
	printf(" \"cache_line_round_trip_ns\": {\"p10\": %.0f, \"p50\": %.0f, \"p90\": %.0f},\n",
		percentile(&samples[PING_PONG], 10), percentile(&samples[PING_PONG], 50),
		percentile(&samples[PING_PONG], 90));
	printf(" \"ring_round_trip_ns\": %.0f, \"rte_ring_round_trip_ns\": %.0f,\n",
		percentile(&samples[RING_TRIP], 50), percentile(&samples[RTE_TRIP], 50));
	print_rates("ring", RING_1, ",");
	print_rates("rte_ring", RTE_1, "}");
	free(bench.there);
	free(bench.back);
	return 0;
}
