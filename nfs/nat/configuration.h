/* SPDX-License-Identifier: BSD-3-Clause */
/* The NAT's settings: parsed, checked, and in the shape in which the packet path wants them. README.md lists them. */
#ifndef SHOAL_NAT_CONFIGURATION_H
#define SHOAL_NAT_CONFIGURATION_H

#include "address_set.h"
#include "nat.h"
#include "tcp_state.h"

/* Public addresses: what 24 bits of a host's hash can choose among evenly. */
#define NAT_PUBLIC_ADDRESSES_MAX 65536

struct nat_configuration {
	struct nat_address_set public_addresses;
	struct nat_address_set inside_prefixes;
	struct nat_pool_take port_range;
	uint32_t idle_ms[NAT_STATES];
	bool decrement_ttl;
	bool rewrite_macs[NAT_PORTS]; /* of frames that leave by the port */
	uint8_t macs[NAT_PORTS][12]; /* destination and source, as in the frame */
};

/* The defaults; public_addresses has none, and must be set. */
void nat_configuration_init(struct nat_configuration *configuration);
/* One setting. 0, or -EINVAL with a sentence in `error`. On error the configuration is as before. */
SHOAL_MUST_USE int nat_configuration_set(
	struct nat_configuration *configuration, const char *name, const char *value, char *error, size_t error_bytes);
/* Whether the settings fit each other. 0, or -EINVAL with a sentence. */
SHOAL_MUST_USE int nat_configuration_check(
	const struct nat_configuration *configuration, char *error, size_t error_bytes);

#endif
