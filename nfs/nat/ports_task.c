/* SPDX-License-Identifier: BSD-3-Clause */
#include "ports_task.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "worker.h"

static bool parse_protocol(const char *text, uint8_t *protocol)
{
	static const struct {
		const char *name;
		uint8_t number;
	} protocols[] = { { "icmp", NAT_ICMP }, { "tcp", NAT_TCP }, { "udp", NAT_UDP } };

	for (size_t index = 0; index < sizeof(protocols) / sizeof(protocols[0]); index++) {
		if (strcmp(protocols[index].name, text) != 0)
			continue;
		*protocol = protocols[index].number;
		return true;
	}
	return false;
}

int nat_ports_task(struct shoal_context *context, const char *arguments, char *reply, size_t reply_bytes)
{
	const struct nat_configuration *configuration = &nat_worker_of(context)->configuration;
	struct nat_pool_key pool = { 0 };
	unsigned taken = 0, fullest = 0, fullest_slot = 0;
	char address[16], protocol[8], rest;

	if (sscanf(arguments, " %15s %7s %c", address, protocol, &rest) != 2 ||
		!parse_protocol(protocol, &pool.protocol) || inet_pton(AF_INET, address, &pool.address) != 1) {
		snprintf(reply, reply_bytes, "needs a public address and icmp, tcp or udp, such as: 198.51.100.1 udp");
		return -EINVAL;
	}
	if (!nat_address_set_contains(&configuration->public_addresses, pool.address)) {
		snprintf(reply, reply_bytes, "%s is none of the public addresses", address);
		return -ENOENT;
	}
	for (unsigned slot = 0; slot < SHOAL_STEERING_SLOTS; slot++) {
		struct nat_pool_count count;
		int result;

		pool.steering_slot = (uint8_t)slot;
		result = nat_pool_count(context, &pool, NULL, &count);
		if (result) {
			snprintf(reply, reply_bytes, "the pool of steering slot %u did not answer", slot);
			return result;
		}
		taken += count.taken;
		if (count.taken > fullest) {
			fullest = count.taken;
			fullest_slot = slot;
		}
	}
	snprintf(reply, reply_bytes, "%u of %u ports taken; most in one steering slot: %u (slot %u)", taken,
		configuration->port_range.highest - configuration->port_range.lowest + 1u, fullest, fullest_slot);
	return 0;
}
