/* SPDX-License-Identifier: BSD-3-Clause */
/* The generator's receiving half: what comes out of the NF is checked against what was sent. */
#include "io/generator_state.h"
#include "io/latency.h"
#include "io/parse.h"

static struct shoal_traffic_counters *counters_of(struct shoal_generator *generator, const struct shoal_stamp *stamp)
{
	struct shoal_generator_stream *stream = &generator->profile->streams[stamp->stream];

	return stamp->flow & SHOAL_FLOW_BACK ? &stream->back : &stream->there;
}

/* A stamp with a wrong checksum: somebody's payload, or a packet of ours that was changed on its way. */
static void take_unproven(struct shoal_generator *generator, const struct shoal_stamp *stamp)
{
	if (!shoal_traffic_flows_find(&generator->flows, stamp->flow) || stamp->stream >= generator->profile->count) {
		generator->totals.unstamped_arrived++;
		return;
	}
	generator->totals.corrupted++;
	counters_of(generator, stamp)->corrupted++;
}

/* true: seen for the first time. */
static bool take_number(struct shoal_generator *generator, struct shoal_traffic_counters *counters,
	struct shoal_traffic_sequence *sequence, uint32_t number, uint32_t bytes)
{
	uint32_t skipped;

	switch (shoal_traffic_sequence_receive(sequence, number, &skipped)) {
	case SHOAL_SEQUENCE_UNSENT:
		counters->corrupted++;
		generator->totals.corrupted++;
		return false;
	case SHOAL_SEQUENCE_DUPLICATE:
		counters->duplicated++;
		generator->totals.duplicated++;
		return false;
	case SHOAL_SEQUENCE_REORDERED:
		counters->reordered++;
		generator->totals.reordered++;
		generator->totals.missing -= generator->totals.missing > 0;
		break;
	default:
		generator->totals.missing += skipped;
		break;
	}
	counters->received_packets++;
	counters->received_bytes += bytes;
	return true;
}

static bool is_same(const struct shoal_endpoint *left, const struct shoal_endpoint *right)
{
	return left->address == right->address && left->port == right->port && left->protocol == right->protocol &&
	       left->version == right->version;
}

/* There: the source's public address and port. Back: the answer must have come to where its question was sent from. */
static void take_mapping(struct shoal_generator *generator, const struct shoal_traffic_flow *flow,
	const struct shoal_packet *packet, bool back)
{
	struct shoal_endpoint source, destination;

	if (!generator->run.check_mappings)
		return;
	shoal_traffic_endpoints(packet, &source, &destination);
	generator->totals.mappings_checked++;
	if (back) {
		if (!is_same(&source, &flow->key.destination) || !is_same(&destination, &flow->key.source))
			generator->totals.mapping_misled++;
		return;
	}
	switch (shoal_mapping_check_seen(generator->flows.mappings, flow->source, &source)) {
	case SHOAL_MAPPING_CHANGED:
		generator->totals.mapping_changed++;
		break;
	case SHOAL_MAPPING_SHARED:
		generator->totals.mapping_shared++;
		break;
	default:
		break;
	}
}

static void take_latency(struct shoal_generator *generator, const struct shoal_stamp *stamp)
{
	uint64_t latency_ns = (generator->now_ns - stamp->time_ns) % SHOAL_STAMP_TIME_RANGE;

	/* The sink's time is the last poll's: it can be a moment before the packet's own, never half the range. */
	if (latency_ns > SHOAL_STAMP_TIME_RANGE / 2)
		latency_ns = 0;
	if (generator->now_ns >= generator->warm_ns)
		shoal_latency_add(&generator->latency, latency_ns);
	shoal_latency_add(&generator->rows.latency, latency_ns);
}

/* true: the packet became an answer. */
static bool take_stamped(struct generator_port *port, struct shoal_packet *packet, const struct shoal_segment *segment,
	const struct shoal_stamp *stamp)
{
	struct shoal_generator *generator = port->generator;
	struct shoal_traffic_flow *flow = shoal_traffic_flows_find(&generator->flows, stamp->flow);
	bool back = stamp->flow & SHOAL_FLOW_BACK;
	struct shoal_traffic_counters *counters;

	if (!flow) {
		generator->totals.unknown_flow++;
		return false;
	}
	counters = counters_of(generator, stamp);
	if (!take_number(generator, counters, back ? &flow->back : &flow->there, stamp->sequence,
		    packet->length + SHOAL_FCS_BYTES))
		return false;
	take_latency(generator, stamp);
	take_mapping(generator, flow, packet, back);
	if (!shoal_segment_checksums_good(packet, segment)) {
		counters->corrupted++;
		generator->totals.corrupted++;
		return false;
	}
	if (back || !generator->run.respond_every || port->nf_port == flow->key.port)
		return false;
	packet->traffic = stamp->flow;
	return generator_answer(port, packet, segment, flow);
}

static bool take_one(struct generator_port *port, struct shoal_packet *packet)
{
	struct shoal_generator *generator = port->generator;
	struct shoal_segment segment;
	struct shoal_stamp stamp;

	generator->totals.arrived_packets[port->nf_port]++;
	generator->totals.arrived_bytes[port->nf_port] += packet->length + SHOAL_FCS_BYTES;
	if (shoal_parse(packet) != SHOAL_PARSE_OK) {
		generator->totals.unstamped_arrived++;
		return false;
	}
	if (generator->profile &&
		shoal_packet_groups_receive(generator->profile->groups, port->nf_port, packet, generator->now_ns))
		return false;
	if (!generator->run.stamp || !shoal_segment_find(packet, &segment)) {
		generator->totals.unstamped_arrived++;
		return false;
	}
	if (!shoal_stamp_read(packet->frame, &segment, &stamp, generator->config.seed)) {
		take_unproven(generator, &stamp);
		return false;
	}
	return take_stamped(port, packet, &segment, &stamp);
}

void generator_take(struct generator_port *port, struct shoal_packet *const packets[], unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		port->port.transmitted_packets++;
		port->port.transmitted_bytes += packets[i]->length;
		if (!take_one(port, packets[i]))
			shoal_packet_free(packets[i]);
	}
}
