/* SPDX-License-Identifier: BSD-3-Clause */
/* A bare cache line between the two cores. */
#include <pthread.h>

#include "bench.h"
#include "worker/runner.h"

#define TRIPS 64u /* of one sample: a preemption spoils one */
#define LENGTH_NS (20 * SHOAL_NS_PER_MS)
#define DEADLINE_NS (20 * SHOAL_NS_PER_S) /* another process may have the core for a while */

struct line {
	_Alignas(128) uint64_t number; /* atomic; odd: on its way back */
	_Alignas(128) const struct bench *bench;
	bool stop; /* atomic */
};

static void *send_back(void *argument)
{
	struct line *line = argument;

	bench_pin(line->bench, line->bench->other_cpu);
	while (!__atomic_load_n(&line->stop, __ATOMIC_RELAXED)) {
		uint64_t number = __atomic_load_n(&line->number, __ATOMIC_ACQUIRE);

		if (number & 1)
			__atomic_store_n(&line->number, number + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void trips(struct line *line, uint64_t deadline_ns)
{
	for (unsigned i = 0; i < TRIPS; i++) {
		unsigned spins = 0;

		__atomic_store_n(&line->number, line->number + 1, __ATOMIC_RELEASE);
		while (__atomic_load_n(&line->number, __ATOMIC_ACQUIRE) & 1)
			if (!(++spins % 65536) && shoal_clock_now() > deadline_ns)
				bench_fail(line->bench, "the other core does not answer");
	}
}

double bench_distance(struct bench *bench, const char *parameters)
{
	static struct bench_samples samples;
	struct line line = { .bench = bench };
	uint64_t began = shoal_clock_now();
	pthread_t thread;

	if (pthread_create(&thread, NULL, send_back, &line))
		bench_fail(bench, "no thread");
	samples.count = 0;
	while (shoal_clock_now() < began + LENGTH_NS) {
		uint64_t before = shoal_clock_now();

		trips(&line, began + DEADLINE_NS);
		bench_sample(&samples, (double)(shoal_clock_now() - before) / TRIPS);
	}
	__atomic_store_n(&line.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	const struct bench_figure figure = { bench_median(&samples), "ns", 0,
		"how far the two cores are from each other" };

	bench_row(bench, &figure, "%s, \"metric\": \"cache_line_round_trip\"", parameters);
	return figure.value;
}
