/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/mapping_check.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "io/hash_index.h"

struct source {
	struct shoal_endpoint endpoint;
	struct shoal_endpoint public;
	uint32_t flows; /* 0: free */
	uint32_t next_free;
	bool known; /* its public endpoint has been seen, and is in the index */
};

struct shoal_mapping_check {
	struct source *sources;
	struct shoal_hash_index by_source, by_public;
	uint32_t most, first_free;
};

static uint32_t hash_of(const struct shoal_endpoint *endpoint)
{
	return (uint32_t)XXH3_64bits(endpoint, sizeof(*endpoint));
}

static bool is_same(const struct shoal_endpoint *left, const struct shoal_endpoint *right)
{
	return !memcmp(left, right, sizeof(*left));
}

struct shoal_mapping_check *shoal_mapping_check_create(uint32_t most)
{
	struct shoal_mapping_check *check = calloc(1, sizeof(*check));

	if (!check)
		return NULL;
	check->most = most;
	check->sources = calloc(most, sizeof(*check->sources));
	if (!check->sources || shoal_hash_index_init(&check->by_source, most) ||
		shoal_hash_index_init(&check->by_public, most)) {
		shoal_mapping_check_destroy(check);
		return NULL;
	}
	shoal_mapping_check_reset(check);
	return check;
}

void shoal_mapping_check_destroy(struct shoal_mapping_check *check)
{
	if (!check)
		return;
	shoal_hash_index_fini(&check->by_public);
	shoal_hash_index_fini(&check->by_source);
	free(check->sources);
	free(check);
}

void shoal_mapping_check_reset(struct shoal_mapping_check *check)
{
	shoal_hash_index_clear(&check->by_source);
	shoal_hash_index_clear(&check->by_public);
	for (uint32_t i = 0; i < check->most; i++)
		check->sources[i] = (struct source){ .next_free = i + 1 };
	check->first_free = 0;
}

uint32_t shoal_mapping_check_get(struct shoal_mapping_check *check, const struct shoal_endpoint *source)
{
	uint32_t hash = hash_of(source), cursor = hash, number;

	while ((number = shoal_hash_index_next(&check->by_source, hash, &cursor)) != SHOAL_HASH_INDEX_NONE)
		if (is_same(&check->sources[number].endpoint, source)) {
			check->sources[number].flows++;
			return number;
		}
	number = check->first_free;
	check->first_free = check->sources[number].next_free;
	check->sources[number] = (struct source){ .endpoint = *source, .flows = 1 };
	shoal_hash_index_insert(&check->by_source, hash, number);
	return number;
}

static void forget_public(struct shoal_mapping_check *check, uint32_t number)
{
	struct source *source = &check->sources[number];

	if (source->known)
		shoal_hash_index_remove(&check->by_public, hash_of(&source->public), number);
	source->known = false;
}

void shoal_mapping_check_put(struct shoal_mapping_check *check, uint32_t number)
{
	struct source *source = &check->sources[number];

	if (--source->flows)
		return;
	forget_public(check, number);
	shoal_hash_index_remove(&check->by_source, hash_of(&source->endpoint), number);
	source->next_free = check->first_free;
	check->first_free = number;
}

static bool is_taken(const struct shoal_mapping_check *check, const struct shoal_endpoint *public)
{
	uint32_t hash = hash_of(public), cursor = hash, number;

	while ((number = shoal_hash_index_next(&check->by_public, hash, &cursor)) != SHOAL_HASH_INDEX_NONE)
		if (is_same(&check->sources[number].public, public))
			return true;
	return false;
}

enum shoal_mapping_verdict shoal_mapping_check_seen(
	struct shoal_mapping_check *check, uint32_t number, const struct shoal_endpoint *public)
{
	struct source *source = &check->sources[number];
	bool changed = source->known;

	if (source->known && is_same(&source->public, public))
		return SHOAL_MAPPING_KEPT;
	forget_public(check, number);
	if (is_taken(check, public))
		return changed ? SHOAL_MAPPING_CHANGED : SHOAL_MAPPING_SHARED;
	source->public = *public;
	source->known = true;
	shoal_hash_index_insert(&check->by_public, hash_of(public), number);
	return changed ? SHOAL_MAPPING_CHANGED : SHOAL_MAPPING_KEPT;
}
