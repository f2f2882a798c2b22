/* SPDX-License-Identifier: BSD-3-Clause */
/* What one worker's NAT keeps for itself, beside the objects: settings and counters. And the names of its drops. */
#ifndef SHOAL_NAT_WORKER_H
#define SHOAL_NAT_WORKER_H

#include "configuration.h"
#include "tick.h"
#include "translate.h"

enum nat_drop {
	NAT_DROP_NOT_IPV4,
	NAT_DROP_PROTOCOL,
	NAT_DROP_FRAGMENT,
	NAT_DROP_ICMP_TYPE,
	NAT_DROP_ICMP_CHECKSUM,
	NAT_DROP_DESTINATION,
	NAT_DROP_NOT_INSIDE,
	NAT_DROP_NOT_PUBLIC,
	NAT_DROP_NO_MAPPING,
	NAT_DROP_PORT_EXHAUSTED,
	NAT_DROP_TABLE_FULL,
	NAT_DROP_TIMED_OUT,
	NAT_DROP_CONFLICT,
	NAT_DROP_TTL_EXPIRED,
	NAT_DROPS
};

enum nat_counter {
	NAT_COUNT_CREATED, /* mappings made */
	NAT_COUNT_EXPIRED, /* mappings removed after their idle time */
	NAT_COUNT_BORROWED, /* ports from another steering slot's pool: such a flow's two directions meet at different workers */
	NAT_COUNT_HAIRPINNED, /* packets */
	NAT_COUNT_RACES, /* new mappings that turned out to be there already; the port went back */
	NAT_COUNT_CONFLICTS, /* ports from a pool that a reverse still held */
	NAT_COUNT_ORPHANS, /* reverses without their mapping, and mappings without their reverse, removed */
	NAT_COUNT_LEAKED, /* ports that could not be given back */
	NAT_COUNTERS
};

/* writer: worker; readers of the counters: control. */
struct nat_worker {
	struct nat_configuration configuration;
	uint32_t idle_ticks[NAT_STATES];
	bool router; /* has to write more than a translation: time to live, MACs */
	uint64_t counters[NAT_COUNTERS];
};

static inline struct nat_worker *nat_worker_of(const struct shoal_context *context)
{
	return shoal_nf_state(context);
}

extern const char *const nat_drop_names[NAT_DROPS];
extern const char *const nat_counter_names[NAT_COUNTERS];

/* The life that struct shoal_nf asks for. */
void *nat_worker_create(void);
int nat_worker_configure(void *worker, const char *name, const char *value, char *error, size_t error_bytes);
int nat_worker_init(void *worker, char *error, size_t error_bytes);
void nat_worker_destroy(void *worker);
const uint64_t *nat_worker_counters(const void *worker);

#endif
