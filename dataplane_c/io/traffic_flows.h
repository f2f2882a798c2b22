/* SPDX-License-Identifier: BSD-3-Clause */
/* The generator's flows: what was sent in each, what has come back, and when it ended. */
#ifndef SHOAL_IO_TRAFFIC_FLOWS_H
#define SHOAL_IO_TRAFFIC_FLOWS_H

#include <shoal/packet.h>

#include "io/traffic_sequence.h"
#include "io/mapping_check.h"

#define SHOAL_FLOWS_MAX (1u << 24)
/* Set in a stamp's flow number: an answer. */
#define SHOAL_FLOW_BACK (UINT32_C(1) << 31)

struct shoal_traffic_flow_key {
	struct shoal_endpoint source, destination;
	uint64_t port; /* NF port by which it leaves the generator */
};

struct shoal_traffic_flow {
	struct shoal_traffic_flow_key key;
	uint64_t last_ns; /* sent */
	uint32_t number; /* 0: free; never the same for two flows soon */
	uint32_t source; /* in the mapping check */
	uint32_t unanswered; /* good packets since the last answer */
	struct shoal_traffic_sequence there, back;
	uint32_t next_free;
};

/* writer: the generator. */
struct shoal_traffic_flows {
	struct shoal_traffic_flow *flows;
	struct shoal_hash_index *index;
	struct shoal_mapping_check *mappings; /* owns */
	uint32_t most, index_bits;
	uint32_t used; /* flows[used…] have never been taken */
	uint32_t first_free;
	uint32_t generation; /* upper bits of the next flow's number */
	uint32_t sweep_at;
	uint64_t idle_ns, swept_ns;
	uint64_t started, ended;
};

/* Source and destination of a parsed packet that has ports or an ICMP identifier. */
void shoal_traffic_endpoints(
	const struct shoal_packet *packet, struct shoal_endpoint *source, struct shoal_endpoint *destination);

/* 0, -EINVAL (most is 0 or above SHOAL_FLOWS_MAX) or -ENOMEM. */
SHOAL_MUST_USE int shoal_traffic_flows_init(struct shoal_traffic_flows *table, uint32_t most, uint64_t idle_ns);
void shoal_traffic_flows_fini(struct shoal_traffic_flows *table);
/* No flows; numbers go on, so that a stray packet of before is known as one. */
void shoal_traffic_flows_reset(struct shoal_traffic_flows *table, uint64_t idle_ns);

/* The live flow of a key, or a new one; NULL: all are live. */
struct shoal_traffic_flow *shoal_traffic_flows_get(
	struct shoal_traffic_flows *table, const struct shoal_traffic_flow_key *key, uint64_t now_ns);
/* By the number in a stamp, of either direction; NULL: no such flow lives. */
struct shoal_traffic_flow *shoal_traffic_flows_find(struct shoal_traffic_flows *table, uint32_t number);
/* Ends flows in which nothing was sent for idle_ns; a bounded part of the table at a time. */
void shoal_traffic_flows_sweep(struct shoal_traffic_flows *table, uint64_t now_ns);

#endif
