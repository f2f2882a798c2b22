/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages between two pinned threads: round trip and rate of each transport by size and batch, and a bare cache line that goes
 * there and back just before and after each round trip, since the distance of two cores changes within a minute. */
#include <pthread.h>
#include <rte_pause.h>
#include <stdlib.h>
#include <string.h>

#include "carrier.h"
#include "worker/runner.h"

#define TRIPS 256u
#define SLICE_NS (20 * SHOAL_NS_PER_MS)
#define SLICES 3
#define DEADLINE_NS (20 * SHOAL_NS_PER_S) /* another process may have the core for a while */

enum doing { PING_PONG, TRIP, RATE, END };

/* What both threads use. */
struct pair {
	struct bench *bench;
	enum doing doing;
	bool pauses;
	unsigned batch;
	struct carrier carrier;
	pthread_barrier_t barrier;
	_Alignas(128) uint64_t line; /* ping-pong */
	_Alignas(128) bool stop; /* writer: measuring thread, reader: the other */
};

static bool stopped(const struct pair *pair)
{
	return __atomic_load_n(&pair->stop, __ATOMIC_RELAXED);
}

/* After a poll that has found nothing. A runner that has been idle for a while pauses then; who does not asks so often that the
 * line is on its way back to him before its writer is done with it. */
static void wait_shortly(const struct pair *pair)
{
	if (pair->pauses)
		rte_pause();
}

/* The other thread: answers, or sends without end. */
static void run_other(struct pair *pair)
{
	struct carrier *carrier = &pair->carrier;
	unsigned owed = 0;

	while (!stopped(pair)) {
		if (pair->doing == PING_PONG) {
			uint64_t number = __atomic_load_n(&pair->line, __ATOMIC_ACQUIRE);

			if (number & 1)
				__atomic_store_n(&pair->line, number + 1, __ATOMIC_RELEASE);
			else
				wait_shortly(pair);
		} else if (pair->doing == TRIP) {
			owed += carrier->kind->receive(carrier, 1, 1);
			if (owed)
				owed -= carrier->kind->send(carrier, 1, 1);
			else
				wait_shortly(pair);
		} else {
			carrier->kind->send(carrier, 1, pair->batch);
		}
	}
}

static void *other_thread(void *argument)
{
	struct pair *pair = argument;

	bench_pin(pair->bench, pair->bench->other_cpu);
	for (;;) {
		pthread_barrier_wait(&pair->barrier); /* what to do is set */
		if (pair->doing == END)
			return NULL;
		run_other(pair);
		pthread_barrier_wait(&pair->barrier);
	}
}

static void begin(struct pair *pair, enum doing doing, unsigned batch)
{
	pair->doing = doing;
	pair->batch = batch;
	pair->line = 0;
	pair->stop = false;
	pthread_barrier_wait(&pair->barrier);
}

static void end(struct pair *pair)
{
	__atomic_store_n(&pair->stop, true, __ATOMIC_RELAXED);
	pthread_barrier_wait(&pair->barrier);
}

/* There and back; ends the program where nothing comes back. */
static void trip(struct pair *pair)
{
	struct carrier *carrier = &pair->carrier;
	uint64_t limit = 0;
	unsigned spins = 0;
	bool sent = false, back = false;

	if (pair->doing == PING_PONG)
		__atomic_store_n(&pair->line, pair->line + 1, __ATOMIC_RELEASE);
	while (!back) {
		if (pair->doing == PING_PONG) {
			back = !(__atomic_load_n(&pair->line, __ATOMIC_ACQUIRE) & 1);
		} else {
			sent = sent || carrier->kind->send(carrier, 0, 1);
			back = carrier->kind->receive(carrier, 0, 1);
		}
		if (!back)
			wait_shortly(pair);
		if (++spins % 65536)
			continue;
		limit = limit ? limit : shoal_clock_now() + DEADLINE_NS;
		if (shoal_clock_now() > limit)
			bench_fail(pair->bench, "no answer within 20 seconds");
	}
}

static void measure_trips(struct pair *pair, struct bench_samples *samples, uint64_t length_ns)
{
	uint64_t now = shoal_clock_now(), until = now + length_ns;

	while (now < until) {
		uint64_t start = now;

		for (unsigned i = 0; i < TRIPS; i++)
			trip(pair);
		now = shoal_clock_now();
		bench_sample(samples, (double)(now - start) / TRIPS);
	}
}

static uint64_t slice(const struct pair *pair)
{
	return pair->bench->quick ? SLICE_NS / 20 : SLICE_NS;
}

static unsigned take_some(struct pair *pair, unsigned least, uint64_t deadline_ns)
{
	struct carrier *carrier = &pair->carrier;
	unsigned received = 0;

	while (received < least) {
		unsigned more = carrier->kind->receive(carrier, 0, pair->batch);

		received += more;
		if (!more && shoal_clock_now() > deadline_ns)
			bench_fail(pair->bench, "nothing came for 20 seconds");
	}
	return received;
}

static void measure_rate(struct pair *pair, struct bench_samples *samples, uint64_t length_ns)
{
	struct carrier *carrier = &pair->carrier;
	/* The kernel hands over much at once: there a short chunk says nothing. */
	uint64_t chunk_ns = carrier->kind == &carrier_tcp_link ? slice(pair) : 0;
	uint64_t now = shoal_clock_now(), until = now + length_ns;

	while (now < until) {
		uint64_t start = now;
		unsigned received = 0;

		do {
			received += take_some(pair, BENCH_CHUNK, start + DEADLINE_NS);
			now = shoal_clock_now();
		} while (now < start + chunk_ns);
		bench_sample(samples, (double)(now - start) / received);
	}
}

static void print(struct pair *pair, const char *metric, unsigned batch, double value, const char *unit, double ratio)
{
	bool tcp = pair->carrier.kind == &carrier_tcp_link;
	const struct bench_figure figure = { value, unit, ratio,
		tcp          ? "system calls and the kernel's TCP"
		: batch == 1 ? "how long a cache line takes between the two cores"
			     : "copying, and cache lines between the two cores" };

	bench_row(pair->bench, &figure,
		"\"transport\": \"%s\", \"metric\": \"%s\", \"message_bytes\": %u, \"batch\": %u",
		pair->carrier.kind->name, metric, pair->carrier.bytes, batch);
}

static void open_carrier(struct pair *pair, const struct carrier_kind *kind, unsigned bytes)
{
	struct carrier *carrier = &pair->carrier;

	memset(carrier, 0, sizeof(*carrier));
	for (unsigned side = 0; side < 2; side++)
		memset(carrier->sides[side].source, 7, sizeof(carrier->sides[side].source));
	carrier->kind = kind;
	carrier->bytes = bytes;
	if (!kind->open(carrier, bytes))
		bench_fail(pair->bench, "a transport can't be made");
}

/* Both ways of waiting: 0 polls without a pause, 1 as an idle runner does. */
static const char *const waits[2] = { "round_trip", "round_trip_pausing" };

static void measure_slice(struct pair *pair, enum doing doing, bool pauses, struct bench_samples *samples)
{
	pair->pauses = pauses;
	begin(pair, doing, 1);
	measure_trips(pair, samples, slice(pair));
	end(pair);
}

/* Beside a bare cache line that is waited for in the same way, slice by slice. */
static void round_trip(
	struct pair *pair, const struct carrier_kind *kind, unsigned bytes, struct bench_samples lines[2])
{
	static struct bench_samples samples[2], line[2];

	memset(samples, 0, sizeof(samples));
	memset(line, 0, sizeof(line));
	open_carrier(pair, kind, bytes);
	for (unsigned i = 0; i < 2 * SLICES; i++) {
		measure_slice(pair, PING_PONG, i % 2, &line[i % 2]);
		measure_slice(pair, TRIP, i % 2, &samples[i % 2]);
	}
	kind->close(&pair->carrier);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned j = 0; j < line[i].count; j++)
			bench_sample(&lines[i], line[i].values[j]);
		print(pair, waits[i], 1, bench_median(&samples[i]), "ns",
			bench_median(&line[i]) / bench_median(&samples[i]));
	}
}

/* Messages a second at each batch; the last one's, in millions. */
static double rates(struct pair *pair, const struct carrier_kind *kind, unsigned bytes)
{
	static const unsigned batches[] = { 1, 8, 32 };
	static struct bench_samples samples;
	double rate = 0;

	for (unsigned i = 0; i < sizeof(batches) / sizeof(batches[0]); i++) {
		samples.count = 0;
		open_carrier(pair, kind, bytes);
		begin(pair, RATE, batches[i]);
		measure_rate(pair, &samples, SLICES * slice(pair));
		end(pair);
		kind->close(&pair->carrier);
		rate = 1000 / bench_median(&samples);
		print(pair, "rate", batches[i], rate, "million messages/s", 0);
	}
	return rate;
}

static void measure_all(struct pair *pair)
{
	static const struct carrier_kind *const kinds[] = { &carrier_ring, &carrier_rte_pointers, &carrier_rte_elements,
		&carrier_ring_link, &carrier_tcp_link };
	static const unsigned sizes[] = { 64, 256, 1024, 4096 };
	static struct bench_samples lines[2];
	double of_ring = 0, of_pointers = 0;

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		for (unsigned size = 0; size < sizeof(sizes) / sizeof(sizes[0]) && sizes[size] <= kinds[i]->bytes_max;
			size++) {
			double rate;

			round_trip(pair, kinds[i], sizes[size], lines);
			rate = rates(pair, kinds[i], sizes[size]);
			if (sizes[size] == 64 && kinds[i] == &carrier_ring)
				of_ring = rate;
			if (sizes[size] == 64 && kinds[i] == &carrier_rte_pointers)
				of_pointers = rate;
			if (pair->bench->quick)
				break;
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		const struct bench_figure line = { bench_median(&lines[i]), "ns", 1,
			"how far the two cores are from each other" };

		bench_row(pair->bench, &line,
			"\"transport\": \"cache_line\", \"metric\": \"%s\", \"message_bytes\": 8, \"batch\": 1",
			waits[i]);
	}

	const struct bench_figure ratio = { of_ring / of_pointers, "times", 0,
		"rte_ring's records lie elsewhere: two cache lines for each message" };

	bench_row(pair->bench, &ratio,
		"\"transport\": \"ring\", \"metric\": \"rate_over_rte_ring_pointers\", \"message_bytes\": 64, "
		"\"batch\": 32");
}

int main(int argc, char **argv)
{
	static struct pair pair;
	struct bench bench;
	pthread_t other;

	bench_start(&bench, "channel", argc, argv);
	if (bench.other_cpu < 0)
		bench_fail(&bench, "needs a second core (--other-cpu)");
	pair.bench = &bench;
	if (pthread_barrier_init(&pair.barrier, NULL, 2) || pthread_create(&other, NULL, other_thread, &pair))
		bench_fail(&bench, "no thread");
	measure_all(&pair);
	begin(&pair, END, 0);
	pthread_join(other, NULL);
	bench_finish(&bench);
	return 0;
}
