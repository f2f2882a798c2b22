/* SPDX-License-Identifier: BSD-3-Clause */
/* From a hash to indices into somebody's array: open addressing of fixed size, linear probing, removal without
 * tombstones. The owner compares keys. For the generator's own books, not for the object space. */
#ifndef SHOAL_IO_HASH_INDEX_H
#define SHOAL_IO_HASH_INDEX_H

#include <shoal/types.h>

#define SHOAL_HASH_INDEX_NONE UINT32_MAX

struct shoal_hash_index_slot {
	uint32_t hash;
	uint32_t value; /* SHOAL_HASH_INDEX_NONE: empty */
};

struct shoal_hash_index {
	struct shoal_hash_index_slot *slots;
	uint32_t mask;
};

/* Room for `most` entries at once, at half load. 0 or -ENOMEM. */
SHOAL_MUST_USE int shoal_hash_index_init(struct shoal_hash_index *index, uint32_t most);
void shoal_hash_index_fini(struct shoal_hash_index *index);
void shoal_hash_index_clear(struct shoal_hash_index *index);

/* Candidates one after another: *cursor is the hash at first. SHOAL_HASH_INDEX_NONE: no more. */
uint32_t shoal_hash_index_next(const struct shoal_hash_index *index, uint32_t hash, uint32_t *cursor);
/* Never called with more than `most` entries. */
void shoal_hash_index_insert(struct shoal_hash_index *index, uint32_t hash, uint32_t value);
/* The entry must be there. */
void shoal_hash_index_remove(struct shoal_hash_index *index, uint32_t hash, uint32_t value);

#endif
