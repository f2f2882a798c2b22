/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <time.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#include "worker/clock.h"
#include "worker/runner.h"

#define MEASURE_NS (10 * SHOAL_NS_PER_MS)
#define SCALE_SHIFT 32
/* Two measurements that differ by more than this show a counter that does not run evenly. */
#define TOLERANCE_PPM 500

/* writer: shoal_clock_calibrate, once; readers: all, after it has returned. */
static struct {
	pthread_once_t once;
	bool calibrated; /* atomic: release in calibrate, acquire in now */
	uint64_t scale; /* nanoseconds for each tick, shifted by SCALE_SHIFT; 0: the counter is not used */
	uint64_t base_ticks;
	uint64_t base_ns;
} clock_state = { .once = PTHREAD_ONCE_INIT };

struct sample {
	uint64_t ticks;
	uint64_t ns;
};

static uint64_t monotonic_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * SHOAL_NS_PER_S + (uint64_t)time.tv_nsec;
}

static uint64_t ticks_now(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#elif defined(__aarch64__)
	uint64_t ticks;

	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
#else
	return 0;
#endif
}

static bool counter_is_invariant(void)
{
#if defined(__x86_64__)
	unsigned a, b, c, d;

	/* Invariant TSC: same rate in every power state, the same in all cores. */
	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & 1U << 8);
#elif defined(__aarch64__)
	return true;
#else
	return false;
#endif
}

/* Of several readings the one that a preemption disturbed least. */
static struct sample sample_both(void)
{
	uint64_t tightest = UINT64_MAX;
	struct sample sample = { 0 };

	for (unsigned i = 0; i < 16; i++) {
		uint64_t before = ticks_now();
		uint64_t ns = monotonic_ns();
		uint64_t width = ticks_now() - before;

		if (width < tightest) {
			tightest = width;
			sample = (struct sample){ .ticks = before + width / 2, .ns = ns };
		}
	}
	return sample;
}

static uint64_t measure_scale(struct sample from, struct sample *to)
{
	while (monotonic_ns() - from.ns < MEASURE_NS)
		;
	*to = sample_both();
	if (to->ticks <= from.ticks)
		return 0;
	return (uint64_t)(((unsigned __int128)(to->ns - from.ns) << SCALE_SHIFT) / (to->ticks - from.ticks));
}

static void calibrate(void)
{
	struct sample first, second, third;
	uint64_t early, late, difference;

	if (counter_is_invariant()) {
		first = sample_both();
		early = measure_scale(first, &second);
		late = measure_scale(second, &third);
		difference = early > late ? early - late : late - early;
		if (early && late && difference < early / 1000000 * TOLERANCE_PPM) {
			clock_state.scale = early / 2 + late / 2;
			clock_state.base_ticks = third.ticks;
			clock_state.base_ns = third.ns;
		}
	}
	__atomic_store_n(&clock_state.calibrated, true, __ATOMIC_RELEASE); /* acquire: shoal_clock_now */
}

void shoal_clock_calibrate(void)
{
	pthread_once(&clock_state.once, calibrate);
}

bool shoal_clock_is_counter(void)
{
	shoal_clock_calibrate();
	return clock_state.scale != 0;
}

uint64_t shoal_clock_now(void)
{
	uint64_t ticks;

	if (SHOAL_UNLIKELY(!__atomic_load_n(&clock_state.calibrated, __ATOMIC_ACQUIRE)))
		shoal_clock_calibrate();
	if (SHOAL_UNLIKELY(!clock_state.scale))
		return monotonic_ns();
	ticks = ticks_now() - clock_state.base_ticks;
	/* Another core's counter may be read a few ticks before the base. */
	if (SHOAL_UNLIKELY((int64_t)ticks < 0))
		return clock_state.base_ns;
	return clock_state.base_ns + (uint64_t)((unsigned __int128)ticks * clock_state.scale >> SCALE_SHIFT);
}
