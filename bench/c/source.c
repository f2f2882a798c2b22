/* SPDX-License-Identifier: BSD-3-Clause */
#include "source.h"

#include <arpa/inet.h>
#include <math.h>
#include <rte_mbuf.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS 60 /* bytes that are written: the shortest frame */
#define HOST_PORTS 64 /* flows of one inside host */

/* Frames without FCS, and their shares of an IMIX. */
static const uint16_t frame_bytes[3] = { 60, 590, 1514 };
static uint8_t templates[3][64];

static void make_templates(void)
{
	static const uint8_t plain[64] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 46, 0, 1, 0, 0, 64, 17,
		0, 0, 16, 0, 0, 1, 48, 0, 0, 1, 4, 1, 0, 12, 0, 26, 0, 0 };

	for (unsigned size = 0; size < 3; size++) {
		uint16_t total = htons((uint16_t)(frame_bytes[size] - 14)),
			 udp = htons((uint16_t)(frame_bytes[size] - 34));

		memcpy(templates[size], plain, sizeof(plain));
		memcpy(templates[size] + 16, &total, 2);
		memcpy(templates[size] + 38, &udp, 2);
	}
}

inline void source_write_frame(uint8_t *frame, unsigned size, uint32_t flow)
{
	uint32_t address = htonl(0x10000000u + 1 + flow / HOST_PORTS);
	uint16_t port = htons((uint16_t)(1024 + flow % HOST_PORTS));

	memcpy(frame, templates[size], HEADERS);
	memcpy(frame + 26, &address, 4);
	memcpy(frame + 34, &port, 2);
}

uint32_t source_flow_of(uint32_t address, uint16_t port)
{
	return (ntohl(address) - 0x10000000u - 1) * HOST_PORTS + ntohs(port) - 1024;
}

unsigned source_receive(struct shoal_port *port, struct shoal_packet *packets[], unsigned n, uint64_t now_ns)
{
	struct source *source = (struct source *)port;
	struct rte_mbuf *mbufs[SHOAL_BURST_MAX];

	n = n < source->room ? n : source->room;
	if (!n || rte_pktmbuf_alloc_bulk(source->pool, mbufs, n))
		return 0;
	for (unsigned i = 0; i < n; i++) {
		uint32_t entry = source->sequence[source->at++ % SOURCE_SEQUENCE];
		uint32_t flow = SHOAL_UNLIKELY(entry & SOURCE_NEW) ? source->next_new++ : entry % SOURCE_FLOW_MAX;
		unsigned size = entry >> SOURCE_SIZE_SHIFT & 3;

		mbufs[i]->data_len = frame_bytes[size];
		mbufs[i]->pkt_len = frame_bytes[size];
		packets[i] = rte_mbuf_to_priv(mbufs[i]);
		packets[i]->mbuf = mbufs[i];
		packets[i]->frame = rte_pktmbuf_mtod(mbufs[i], uint8_t *);
		packets[i]->length = frame_bytes[size];
		packets[i]->port = 0;
		source_write_frame(packets[i]->frame, size, flow);
	}
	source->room -= n;
	return n;
}

unsigned source_transmit(struct shoal_port *port, struct shoal_packet *const packets[], unsigned n)
{
	struct source *source = (struct source *)port;
	struct rte_mbuf *mbufs[SHOAL_BURST_MAX];

	for (unsigned i = 0; i < n; i++) {
		mbufs[i] = packets[i]->mbuf;
		source->wrong += packets[i]->port != 1;
	}
	source->out += n;
	rte_pktmbuf_free_bulk(mbufs, n);
	return n;
}

static void flush(struct shoal_port *port)
{
}

static void destroy(struct shoal_port *port)
{
}

static const struct shoal_port_operations operations = {
	.receive = source_receive, .transmit = source_transmit, .flush = flush, .destroy = destroy
};

void source_init(struct source *source, struct rte_mempool *pool)
{
	*source = (struct source){ .port = { .operations = &operations, .of_one = true }, .pool = pool };
	source->sequence = malloc(SOURCE_SEQUENCE * sizeof(*source->sequence));
	if (!source->sequence)
		abort();
	make_templates();
}

void source_fini(struct source *source)
{
	free(source->sequence);
}

/* Zipf with exponent 1 by inverting its continuous form; ranks are spread over the flows. */
static uint32_t zipf_flow(uint32_t flows, double norm, uint64_t *state)
{
	uint32_t rank = (uint32_t)exp(bench_random_unit(state) * norm) - 1;

	return (uint32_t)((uint64_t)(rank % flows) * 2654435761u % flows);
}

static uint32_t draw_size(uint64_t *state)
{
	uint64_t twelfth = bench_random(state) % 12;

	return twelfth < 7 ? 0 : twelfth < 11 ? 1 : 2;
}

void source_draw(struct source *source, const struct source_traffic *traffic, uint64_t seed)
{
	double norm = log((double)traffic->flows + 1);
	uint64_t state = seed + 1;

	source->at = 0;
	for (uint32_t i = 0; i < SOURCE_SEQUENCE; i++) {
		double kind = bench_random_unit(&state);
		bool blocked = kind < traffic->blocked, new = kind >= 1 - traffic->new_flows;
		uint32_t entry = traffic->zipf && !blocked ? zipf_flow(traffic->flows, norm, &state)
		                                           : (uint32_t)(bench_random(&state) % traffic->flows);

		entry |= blocked ? SOURCE_BLOCKED : new ? SOURCE_NEW : 0;
		source->sequence[i] = entry | (traffic->imix ? draw_size(&state) << SOURCE_SIZE_SHIFT : 0);
	}
}

void source_in_order(struct source *source, uint32_t flows)
{
	source->at = 0;
	for (uint32_t i = 0; i < SOURCE_SEQUENCE; i++)
		source->sequence[i] = i % flows;
}

const char *source_distribution(const struct source_traffic *traffic)
{
	return traffic->zipf ? "zipf" : "uniform";
}

const char *source_packet_bytes(const struct source_traffic *traffic)
{
	return traffic->imix ? "\"imix\"" : "64";
}
