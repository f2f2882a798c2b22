/* SPDX-License-Identifier: BSD-3-Clause */
/* Ports of one public address, protocol and steering slot: a bitmap of 256, searched from where the last search ended, so
 * that a port which was given back rests until all others have had their turn. */
#include <string.h>
#include "nat.h"

static uint8_t pool_steering(const void *key)
{
	return ((const struct nat_pool_key *)key)->steering_slot;
}

/* First free bit in [from, to], or -1. */
static int pool_search(const struct nat_pool *pool, int from, int to)
{
	for (int word = from / 64; word <= to / 64 && from <= to; word++) {
		uint64_t free = ~pool->taken[word];

		if (word == from / 64)
			free &= ~UINT64_C(0) << (from & 63);
		if (word == to / 64)
			free &= ~UINT64_C(0) >> (63 - (to & 63));
		if (free)
			return word * 64 + __builtin_ctzll(free);
	}
	return -1;
}

static void pool_take(struct shoal_context *context, const void *key, void *object, const void *argument, void *result)
{
	int slot = ((const struct nat_pool_key *)key)->steering_slot;
	struct nat_pool *pool = object;
	const struct nat_pool_take *take = argument;
	struct nat_pool_taken *taken = result;
	int first = (take->lowest - slot + 255) >> 8;
	int last = (take->highest - slot) >> 8; /* -1 where the range ends below the first port */
	int hint = pool->hint < first || pool->hint > last ? first : pool->hint;
	int bit = pool_search(pool, hint, last);

	if (bit < 0)
		bit = pool_search(pool, first, hint - 1);
	memset(taken, 0, sizeof(*taken));
	if (bit < 0)
		return;
	pool->taken[bit / 64] |= UINT64_C(1) << (bit & 63);
	pool->hint = (uint16_t)(bit + 1);
	pool->count++;
	taken->port = (uint16_t)(bit << 8 | slot);
	taken->found = 1;
}

/* Giving back what is not taken changes nothing. */
static void pool_give_back(
	struct shoal_context *context, const void *key, void *object, const void *argument, void *result)
{
	struct nat_pool *pool = object;
	uint16_t port = ((const struct nat_pool_give_back *)argument)->port;
	uint64_t mask = UINT64_C(1) << (port >> 8 & 63);

	if ((port & 255) != ((const struct nat_pool_key *)key)->steering_slot || !(pool->taken[port >> 14] & mask))
		return;
	pool->taken[port >> 14] &= ~mask;
	pool->count--;
}

/* After a loss: a mapping or a reverse that lives has this port. */
static void pool_keep(struct shoal_context *context, const void *key, void *object, const void *argument, void *result)
{
	struct nat_pool *pool = object;
	uint16_t port = ((const struct nat_pool_keep *)argument)->port;
	uint64_t mask = UINT64_C(1) << (port >> 8 & 63);

	if ((port & 255) != ((const struct nat_pool_key *)key)->steering_slot || pool->taken[port >> 14] & mask)
		return;
	pool->taken[port >> 14] |= mask;
	pool->count++;
}

/* The hint stays: ports that are free now, but were taken just now, rest for a while. */
static void pool_clear(const void *key, void *object)
{
	struct nat_pool *pool = object;

	memset(pool->taken, 0, sizeof(pool->taken));
	pool->count = 0;
}

static void pool_count(struct shoal_context *context, const void *key, void *object, const void *argument, void *result)
{
	((struct nat_pool_count *)result)->taken = ((const struct nat_pool *)object)->count;
}

static bool pool_check(const void *key, const void *object)
{
	const struct nat_pool *pool = object;
	unsigned bits = 0;

	for (unsigned word = 0; word < 4; word++)
		bits += (unsigned)__builtin_popcountll(pool->taken[word]);
	return bits == pool->count && pool->hint <= 256;
}

static const struct shoal_method pool_methods[NAT_POOL_METHODS] = {
	[NAT_POOL_TAKE] = { .name = "take",
		.argument_bytes = sizeof(struct nat_pool_take),
		.result_bytes = sizeof(struct nat_pool_taken),
		.apply = pool_take },
	[NAT_POOL_GIVE_BACK] = { .name = "give_back",
		.argument_bytes = sizeof(struct nat_pool_give_back),
		.untethered = true,
		.apply = pool_give_back },
	[NAT_POOL_KEEP] = { .name = "keep",
		.argument_bytes = sizeof(struct nat_pool_keep),
		.untethered = true,
		.apply = pool_keep },
	[NAT_POOL_COUNT] = { .name = "count", .result_bytes = sizeof(struct nat_pool_count), .apply = pool_count },
};

SHOAL_CLASS_DEFINE(nat_pool, "nat.pool", SHOAL_MULTI_WRITER, struct nat_pool_key, struct nat_pool,
	.steering = pool_steering, .check = pool_check, .clear = pool_clear, .methods = pool_methods,
	.methods_count = NAT_POOL_METHODS)
