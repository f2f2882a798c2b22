/* SPDX-License-Identifier: BSD-3-Clause */
/* Sets of IPv4 addresses as an operator writes them: "198.51.100.1-198.51.100.16, 203.0.113.0/28, 192.0.2.7". */
#ifndef SHOAL_NAT_ADDRESS_SET_H
#define SHOAL_NAT_ADDRESS_SET_H

#include <arpa/inet.h>
#include <shoal/types.h>

#define NAT_ADDRESS_RANGES_MAX 64

/* Host order, both ends included. */
struct nat_address_range {
	uint32_t first, last;
	uint32_t before; /* addresses in the ranges before this one */
};

struct nat_address_set {
	uint32_t lowest, span; /* of all ranges: lowest address, and the highest minus it */
	uint64_t count; /* addresses */
	unsigned ranges_count;
	struct nat_address_range ranges[NAT_ADDRESS_RANGES_MAX]; /* in the order written */
};

/* 0, or -EINVAL with a sentence in `error`: unreadable, overlapping, empty, or too many ranges. */
SHOAL_MUST_USE int nat_address_set_parse(
	struct nat_address_set *set, const char *text, char *error, size_t error_bytes);
/* Whether the two have an address in common; *common is one (host order). */
bool nat_address_set_overlap(const struct nat_address_set *left, const struct nat_address_set *right, uint32_t *common);
/* The address of that index below count, in the order written; network order. */
uint32_t nat_address_set_at(const struct nat_address_set *set, uint32_t index);
bool nat_address_set_search(const struct nat_address_set *set, uint32_t address);

/* `address` in network order. Nearly all packets are told apart by one comparison. */
static inline bool nat_address_set_contains(const struct nat_address_set *set, uint32_t address)
{
	return SHOAL_UNLIKELY(ntohl(address) - set->lowest <= set->span) && nat_address_set_search(set, address);
}

#endif
