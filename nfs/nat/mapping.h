/* SPDX-License-Identifier: BSD-3-Clause */
/* A mapping and its reverse: they are made, changed and ended together. */
#ifndef SHOAL_NAT_MAPPING_H
#define SHOAL_NAT_MAPPING_H

#include "worker.h"

/* The two references, taken in one call. */
struct nat_pair {
	struct nat_mapping_key mapping_key;
	struct nat_reverse_key reverse_key;
	struct shoal_request requests[2]; /* mapping, reverse; borrow the keys above: a pair stays where it is */
	bool port_unused; /* the reverse key's port was taken from its pool and is not needed */
};

static inline struct nat_mapping *nat_pair_mapping(const struct nat_pair *pair)
{
	return nat_mapping_object(&pair->requests[0]);
}

static inline struct nat_reverse *nat_pair_reverse(const struct nat_pair *pair)
{
	return nat_reverse_object(&pair->requests[1]);
}

/* What the one names, as the other's key. */
static inline struct nat_reverse_key nat_mapping_reverse_key(const struct nat_mapping *mapping)
{
	return (struct nat_reverse_key){ .address = mapping->translation.address,
		.port = mapping->translation.port,
		.protocol = mapping->protocol };
}

static inline struct nat_mapping_key nat_reverse_mapping_key(const struct nat_reverse *reverse)
{
	return (struct nat_mapping_key){ .address = reverse->translation.address,
		.port = reverse->translation.port,
		.protocol = reverse->protocol };
}

/* Whether a mapping or reverse names this key. NULL, and one that is not ready, name nothing. */
bool nat_mapping_names(const struct nat_mapping *mapping, const struct nat_reverse_key *key);
bool nat_reverse_names(const struct nat_reverse *reverse, const struct nat_mapping_key *key);

/* Takes both of the keys in `pair`, as far as they exist. 0 or as shoal_take. */
SHOAL_MUST_USE int nat_pair_find(struct shoal_context *context, struct nat_pair *pair) SHOAL_MAY_SUSPEND;
/* Gives back the references, and then the port if it is unused. */
void nat_pair_release(struct shoal_context *context, struct nat_pair *pair) SHOAL_MAY_SUSPEND;

/* Makes the mapping of pair->mapping_key for a packet of that state (enum nat_state), with a port from a pool, and its
 * reverse; where another was faster, takes that one. Starts holding nothing. 0: the mapping is held and ready, until
 * nat_pair_release. -EADDRNOTAVAIL: no port; -ENOSPC: table full; -EAGAIN: the pool gave only ports in use; -ETIMEDOUT. */
SHOAL_MUST_USE int nat_mapping_create(
	struct shoal_context *context, struct nat_pair *pair, uint8_t state) SHOAL_MAY_SUSPEND;

/* Gives a port back to its pool. Holding nothing. */
void nat_port_give_back(struct shoal_context *context, const struct nat_reverse_key *key) SHOAL_MAY_SUSPEND;

/* The drop for one of the errors above. */
uint16_t nat_drop_of(int error);

#endif
