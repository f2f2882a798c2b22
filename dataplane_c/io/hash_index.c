/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/hash_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int shoal_hash_index_init(struct shoal_hash_index *index, uint32_t most)
{
	uint64_t slots = 16;

	while (slots < 2 * (uint64_t)most)
		slots *= 2;
	index->slots = malloc(slots * sizeof(*index->slots));
	if (!index->slots)
		return -ENOMEM;
	index->mask = (uint32_t)(slots - 1);
	shoal_hash_index_clear(index);
	return 0;
}

void shoal_hash_index_fini(struct shoal_hash_index *index)
{
	free(index->slots);
	index->slots = NULL;
}

void shoal_hash_index_clear(struct shoal_hash_index *index)
{
	memset(index->slots, 0xff, ((size_t)index->mask + 1) * sizeof(*index->slots));
}

uint32_t shoal_hash_index_next(const struct shoal_hash_index *index, uint32_t hash, uint32_t *cursor)
{
	for (;;) {
		const struct shoal_hash_index_slot *slot = &index->slots[(*cursor)++ & index->mask];

		if (slot->value == SHOAL_HASH_INDEX_NONE || slot->hash == hash)
			return slot->value;
	}
}

void shoal_hash_index_insert(struct shoal_hash_index *index, uint32_t hash, uint32_t value)
{
	uint32_t at = hash & index->mask;

	while (index->slots[at].value != SHOAL_HASH_INDEX_NONE)
		at = (at + 1) & index->mask;
	index->slots[at] = (struct shoal_hash_index_slot){ .hash = hash, .value = value };
}

/* Entries behind the hole move into it where that does not bring them before their own place. */
static void close_hole(struct shoal_hash_index *index, uint32_t hole)
{
	uint32_t at = hole;

	for (;;) {
		at = (at + 1) & index->mask;
		if (index->slots[at].value == SHOAL_HASH_INDEX_NONE)
			break;
		if (((at - index->slots[at].hash) & index->mask) < ((at - hole) & index->mask))
			continue;
		index->slots[hole] = index->slots[at];
		hole = at;
	}
	index->slots[hole].value = SHOAL_HASH_INDEX_NONE;
}

void shoal_hash_index_remove(struct shoal_hash_index *index, uint32_t hash, uint32_t value)
{
	uint32_t at = hash & index->mask;

	while (index->slots[at].value != value)
		at = (at + 1) & index->mask;
	close_hole(index, at);
}
