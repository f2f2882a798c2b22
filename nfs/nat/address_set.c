/* SPDX-License-Identifier: BSD-3-Clause */
#include "address_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEM_BYTES 64

static bool parse_address(const char *text, uint32_t *address)
{
	struct in_addr binary;

	if (inet_pton(AF_INET, text, &binary) != 1)
		return false;
	*address = ntohl(binary.s_addr);
	return true;
}

static int parse_prefix(char *item, char *slash, struct nat_address_range *range, char *error, size_t error_bytes)
{
	char *end;
	unsigned long bits = strtoul(slash + 1, &end, 10);
	uint32_t mask;

	*slash = '\0';
	if (!parse_address(item, &range->first)) {
		snprintf(error, error_bytes, "\"%s\" is not an IPv4 address", item);
		return -EINVAL;
	}
	if (slash[1] < '0' || slash[1] > '9' || *end || bits > 32) {
		snprintf(error, error_bytes, "\"/%s\" is not a prefix length from 0 to 32", slash + 1);
		return -EINVAL;
	}
	mask = bits ? UINT32_MAX << (32 - bits) : 0;
	if (range->first & ~mask) {
		snprintf(error, error_bytes, "\"%s/%lu\" has bits set behind its prefix", item, bits);
		return -EINVAL;
	}
	range->last = range->first | ~mask;
	return 0;
}

static void strip(char **text)
{
	char *end;

	*text += strspn(*text, " \t");
	end = *text + strlen(*text);
	while (end > *text && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
}

/* "A", "A-B" or "A/bits". */
static int parse_item(char *item, struct nat_address_range *range, char *error, size_t error_bytes)
{
	char *dash = strchr(item, '-');
	char *slash = strchr(item, '/');
	char *last = item;

	if (slash)
		return parse_prefix(item, slash, range, error, error_bytes);
	if (dash) {
		*dash = '\0';
		last = dash + 1;
		strip(&item);
		strip(&last);
	}
	if (!parse_address(item, &range->first) || !parse_address(last, &range->last)) {
		snprintf(error, error_bytes, "\"%s\" is not an IPv4 address",
			parse_address(item, &range->first) ? last : item);
		return -EINVAL;
	}
	if (range->first > range->last) {
		snprintf(error, error_bytes, "the range %s-%s ends before it starts", item, last);
		return -EINVAL;
	}
	return 0;
}

static bool ranges_overlap(const struct nat_address_range *left, const struct nat_address_range *right)
{
	return left->first <= right->last && right->first <= left->last;
}

static int add_item(struct nat_address_set *set, const char *text, size_t length, char *error, size_t error_bytes)
{
	struct nat_address_range *range = &set->ranges[set->ranges_count];
	char buffer[ITEM_BYTES];
	char *item = buffer;
	int result;

	if (length >= sizeof(buffer) || set->ranges_count == NAT_ADDRESS_RANGES_MAX) {
		if (set->ranges_count == NAT_ADDRESS_RANGES_MAX)
			snprintf(error, error_bytes, "more than %u ranges", NAT_ADDRESS_RANGES_MAX);
		else
			snprintf(error, error_bytes, "\"%.20s...\" is not an address, range or prefix", text);
		return -EINVAL;
	}
	memcpy(buffer, text, length);
	buffer[length] = '\0';
	strip(&item);
	result = parse_item(item, range, error, error_bytes);
	for (unsigned other = 0; !result && other < set->ranges_count; other++) {
		if (!ranges_overlap(&set->ranges[other], range))
			continue;
		snprintf(
			error, error_bytes, "range %u of the list overlaps range %u", set->ranges_count + 1, other + 1);
		result = -EINVAL;
	}
	if (result)
		return result;
	range->before = (uint32_t)set->count;
	set->count += (uint64_t)range->last - range->first + 1;
	set->ranges_count++;
	return 0;
}

static void set_bounds(struct nat_address_set *set)
{
	uint32_t lowest = UINT32_MAX, highest = 0;

	for (unsigned index = 0; index < set->ranges_count; index++) {
		if (set->ranges[index].first < lowest)
			lowest = set->ranges[index].first;
		if (set->ranges[index].last > highest)
			highest = set->ranges[index].last;
	}
	set->lowest = lowest;
	set->span = highest - lowest;
}

int nat_address_set_parse(struct nat_address_set *set, const char *text, char *error, size_t error_bytes)
{
	int result;

	memset(set, 0, sizeof(*set));
	for (;;) {
		size_t length = strcspn(text, ",");

		result = add_item(set, text, length, error, error_bytes);
		if (result)
			return result;
		if (!text[length])
			break;
		text += length + 1;
	}
	set_bounds(set);
	return 0;
}

bool nat_address_set_overlap(const struct nat_address_set *left, const struct nat_address_set *right, uint32_t *common)
{
	for (unsigned l = 0; l < left->ranges_count; l++) {
		for (unsigned r = 0; r < right->ranges_count; r++) {
			if (!ranges_overlap(&left->ranges[l], &right->ranges[r]))
				continue;
			*common = left->ranges[l].first > right->ranges[r].first ? left->ranges[l].first
			                                                         : right->ranges[r].first;
			return true;
		}
	}
	return false;
}

uint32_t nat_address_set_at(const struct nat_address_set *set, uint32_t index)
{
	unsigned range = set->ranges_count - 1;

	while (range && set->ranges[range].before > index)
		range--;
	return htonl(set->ranges[range].first + (index - set->ranges[range].before));
}

bool nat_address_set_search(const struct nat_address_set *set, uint32_t address)
{
	uint32_t host = ntohl(address);

	for (unsigned index = 0; index < set->ranges_count; index++)
		if (host >= set->ranges[index].first && host <= set->ranges[index].last)
			return true;
	return false;
}
