/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulator's only source of chance: a seed gives the same numbers on every machine. */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
	uint64_t state;
};

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014). */
static inline uint64_t sim_random_next(struct sim_random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* 0 … bound - 1; bound above 0. */
static inline uint64_t sim_random_below(struct sim_random *random, uint64_t bound)
{
	return (uint64_t)((unsigned __int128)sim_random_next(random) * bound >> 64);
}

/* low … high, both included. */
static inline uint64_t sim_random_between(struct sim_random *random, uint64_t low, uint64_t high)
{
	return low + sim_random_below(random, high - low + 1);
}

static inline bool sim_random_chance(struct sim_random *random, unsigned percent)
{
	return sim_random_below(random, 100) < percent;
}

#endif
