/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker.h"

#include <stdlib.h>

const char *const nat_drop_names[NAT_DROPS] = {
	[NAT_DROP_NOT_IPV4] = "not_ipv4",
	[NAT_DROP_PROTOCOL] = "protocol_not_translated",
	[NAT_DROP_FRAGMENT] = "fragment_without_ports",
	[NAT_DROP_ICMP_TYPE] = "icmp_not_translated",
	[NAT_DROP_ICMP_CHECKSUM] = "icmp_checksum",
	[NAT_DROP_DESTINATION] = "destination_not_unicast",
	[NAT_DROP_NOT_INSIDE] = "source_not_inside",
	[NAT_DROP_NOT_PUBLIC] = "destination_not_public",
	[NAT_DROP_NO_MAPPING] = "no_mapping",
	[NAT_DROP_PORT_EXHAUSTED] = "port_exhausted",
	[NAT_DROP_TABLE_FULL] = "table_full",
	[NAT_DROP_TIMED_OUT] = "state_timed_out",
	[NAT_DROP_CONFLICT] = "mapping_conflict",
	[NAT_DROP_TTL_EXPIRED] = "ttl_expired",
};

const char *const nat_counter_names[NAT_COUNTERS] = {
	[NAT_COUNT_CREATED] = "nat_mappings_created_total",
	[NAT_COUNT_EXPIRED] = "nat_mappings_expired_total",
	[NAT_COUNT_BORROWED] = "nat_ports_borrowed_total",
	[NAT_COUNT_HAIRPINNED] = "nat_packets_hairpinned_total",
	[NAT_COUNT_RACES] = "nat_mapping_races_total",
	[NAT_COUNT_CONFLICTS] = "nat_port_conflicts_total",
	[NAT_COUNT_ORPHANS] = "nat_orphans_removed_total",
	[NAT_COUNT_LEAKED] = "nat_ports_leaked_total",
};

void *nat_worker_create(void)
{
	struct nat_worker *worker = calloc(1, sizeof(*worker));

	if (worker)
		nat_configuration_init(&worker->configuration);
	return worker;
}

int nat_worker_configure(void *worker, const char *name, const char *value, char *error, size_t error_bytes)
{
	struct nat_worker *nat = worker;

	return nat_configuration_set(&nat->configuration, name, value, error, error_bytes);
}

int nat_worker_init(void *worker, char *error, size_t error_bytes)
{
	struct nat_worker *nat = worker;
	const struct nat_configuration *configuration = &nat->configuration;
	int result = nat_configuration_check(configuration, error, error_bytes);

	if (result)
		return result;
	for (unsigned state = 0; state < NAT_STATES; state++)
		nat->idle_ticks[state] = nat_tick_from_ms(configuration->idle_ms[state]);
	nat->router = configuration->decrement_ttl || configuration->rewrite_macs[NAT_INSIDE] ||
	              configuration->rewrite_macs[NAT_OUTSIDE];
	return 0;
}

void nat_worker_destroy(void *worker)
{
	free(worker);
}

const uint64_t *nat_worker_counters(const void *worker)
{
	return ((const struct nat_worker *)worker)->counters;
}
