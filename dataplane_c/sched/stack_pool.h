/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of the microthreads' stacks: one mapping, on huge pages where the kernel gives them, touched when it is made.
 * Neighbours' tops lie in different cache sets. */
#ifndef SHOAL_SCHED_STACK_POOL_H
#define SHOAL_SCHED_STACK_POOL_H

#include <shoal/types.h>

struct shoal_stack_pool {
	uint8_t *mapping; /* owns */
	size_t mapping_bytes;
	uint8_t *first;
	size_t stride;
	size_t stack_bytes;
	unsigned count;
	bool guarded;
};

/* -EINVAL: no stacks, or stack_bytes under 8 KiB, or, guarded, no multiple of the page size. -ENOMEM also where guarding
 * needs more mappings than the kernel allows a process (vm.max_map_count; two for each stack). */
SHOAL_MUST_USE int shoal_stack_pool_init(
	struct shoal_stack_pool *pool, unsigned count, size_t stack_bytes, bool guarded);
void shoal_stack_pool_fini(struct shoal_stack_pool *pool);

/* The stack's lowest byte that may be written: the canary, unless guarded. */
uint8_t *shoal_stack_pool_low(const struct shoal_stack_pool *pool, unsigned index);
/* The byte after its highest. */
uint8_t *shoal_stack_pool_top(const struct shoal_stack_pool *pool, unsigned index);

#define SHOAL_STACK_CANARY_BYTES 64
#define SHOAL_STACK_CANARY UINT64_C(0x5ca1ab1e0ddba115)

/* The canary of a stack that has none. */
extern const uint64_t shoal_stack_canary_none[SHOAL_STACK_CANARY_BYTES / 8];

/* Whether a canary is whole. A frame of a sanitizer's making may have marked its bytes as not to be read. */
__attribute__((no_sanitize_address)) static inline bool shoal_stack_canary_alive(const uint64_t *words)
{
	return !((words[SHOAL_STACK_CANARY_BYTES / 8 - 1] ^ SHOAL_STACK_CANARY) |
		 (words[SHOAL_STACK_CANARY_BYTES / 8 - 2] ^ SHOAL_STACK_CANARY) | (words[0] ^ SHOAL_STACK_CANARY));
}

#endif
