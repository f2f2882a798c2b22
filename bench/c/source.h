/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets made in memory: a port that gives UDP frames of flows in a sequence drawn beforehand, and takes packets back. */
#ifndef SHOAL_BENCH_SOURCE_H
#define SHOAL_BENCH_SOURCE_H

#include <rte_mempool.h>

#include "bench.h"
#include "io/port.h"

#define SOURCE_SEQUENCE (1u << 20) /* entries; then it begins anew */
#define SOURCE_FLOW_MAX (1u << 24)

/* An entry of the sequence: the flow's number, and these. */
#define SOURCE_SIZE_SHIFT 28 /* two bits: which of the three frame sizes */
#define SOURCE_NEW (1u << 30) /* a flow that was never seen; its number does not count */
#define SOURCE_BLOCKED (1u << 31)

struct source_traffic {
	uint32_t flows;
	bool zipf; /* exponent 1; else all flows alike */
	bool imix; /* 7 : 4 : 1 packets of 64, 594 and 1,518 bytes (FCS included); else all of 64 */
	double new_flows; /* shares of the packets */
	double blocked; /* of flows drawn evenly: a flow's packets come too seldom to wait for each other */
};

struct source {
	struct shoal_port port; /* first */
	struct rte_mempool *pool; /* borrows */
	uint32_t *sequence; /* owns */
	uint32_t at;
	uint32_t room; /* packets that it still gives */
	uint32_t next_new; /* number of the next flow that was never seen */
	uint64_t out, wrong; /* packets that came back; those of them for another port than NF port 1 */
};

void source_init(struct source *source, struct rte_mempool *pool);
void source_fini(struct source *source);
/* What comes from here on. */
void source_draw(struct source *source, const struct source_traffic *traffic, uint64_t seed);
/* Each flow once, in order, from here on. */
void source_in_order(struct source *source, uint32_t flows);
/* "zipf" or "uniform"; "64" or "\"imix\"". */
const char *source_distribution(const struct source_traffic *traffic);
const char *source_packet_bytes(const struct source_traffic *traffic);

/* The first 60 bytes of a flow's frame; size: 0 to 2. After source_init. */
void source_write_frame(uint8_t *frame, unsigned size, uint32_t flow);
/* The flow of that inside host and port, in network byte order. */
uint32_t source_flow_of(uint32_t address, uint16_t port);

unsigned source_receive(struct shoal_port *port, struct shoal_packet *packets[], unsigned n, uint64_t now_ns);
unsigned source_transmit(struct shoal_port *port, struct shoal_packet *const packets[], unsigned n);

#endif
