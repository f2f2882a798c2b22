/* SPDX-License-Identifier: BSD-3-Clause */
/* The generator's sending half: packets that are due, stamps, answers. */
#include <rte_mbuf.h>
#include <string.h>

#include "io/frame_inline.h"
#include "io/generator_state.h"
#include "io/parse.h"

#define NANOSECONDS 1e9
#define MICROSECONDS 1e6
#define TIME_TO_LIVE 64
#define TCP_SYN 0x02
#define TCP_ACK 0x10

static void stamp(struct shoal_generator *generator, struct shoal_packet *packet, const struct shoal_segment *segment,
	uint32_t number, uint32_t stream)
{
	struct shoal_traffic_flow *flow = shoal_traffic_flows_find(&generator->flows, number);
	struct shoal_traffic_sequence *sequence = number & SHOAL_FLOW_BACK ? &flow->back : &flow->there;
	const struct shoal_stamp made = {
		.flow = number, .sequence = sequence->next++, .time_ns = generator->now_ns, .stream = (uint16_t)stream
	};

	shoal_stamp_write(packet->frame, segment, &made, generator->config.seed);
	shoal_segment_checksums_write(packet, segment);
	packet->traffic = number;
}

/* Flows that begin together would be answered together, in bursts of all of them: each begins at its own place. */
static uint32_t first_unanswered(const struct shoal_generator *generator, uint32_t number)
{
	return (uint32_t)((uint64_t)(uint32_t)(number * 0x9e3779b9u) * generator->run.respond_every >> 32);
}

/* Gives the packet a flow and a stamp, if it has room for one and the table for a flow. */
static bool stamp_packet(struct generator_port *port, struct shoal_packet *packet, const struct shoal_stream *stream)
{
	struct shoal_generator *generator = port->generator;
	struct shoal_traffic_flow_key key = { .port = port->nf_port };
	struct shoal_segment segment;
	struct shoal_traffic_flow *flow;

	if (!generator->run.stamp || shoal_parse(packet) != SHOAL_PARSE_OK || !shoal_segment_find(packet, &segment))
		return false;
	shoal_traffic_endpoints(packet, &key.source, &key.destination);
	flow = shoal_traffic_flows_get(&generator->flows, &key, generator->now_ns);
	if (!flow) {
		generator->totals.flows_refused++;
		return false;
	}
	if (!flow->there.next)
		flow->unanswered = first_unanswered(generator, flow->number);
	stamp(generator, packet, &segment, flow->number, stream->index);
	return true;
}

static void count_sent(
	struct generator_port *port, struct shoal_traffic_counters *counters, const struct shoal_packet *packet)
{
	uint64_t bytes = packet->length + (uint64_t)SHOAL_FCS_BYTES;

	counters->sent_packets++;
	counters->sent_bytes += bytes;
	port->generator->totals.sent_packets[port->nf_port]++;
	port->generator->totals.sent_bytes[port->nf_port] += bytes;
	port->port.received_packets++; /* the port's view: what the component behind it receives */
	port->port.received_bytes += packet->length;
}

static struct shoal_packet *build(struct generator_port *port, struct shoal_stream *stream)
{
	struct shoal_generator *generator = port->generator;
	struct shoal_traffic_counters *counters = &generator->profile->streams[stream->index].there;
	struct shoal_packet *packet = shoal_packet_alloc(generator->pool, stream->frame_bytes);
	uint32_t length;

	if (!packet) {
		generator->totals.pool_empty++;
		return NULL;
	}
	length = shoal_stream_build(stream, packet->frame);
	rte_pktmbuf_trim(packet->mbuf, (uint16_t)(stream->frame_bytes - length));
	packet->length = (uint16_t)length;
	packet->port = port->nf_port;
	shoal_packet_groups_send(
		generator->profile->groups, stream, port->nf_port, packet->frame, length, generator->now_ns);
	if (stream->config.group_kind != SHOAL_GROUP_LATENCY) {
		if (stamp_packet(port, packet, stream))
			counters->stamped_packets++;
		else
			generator->totals.unstamped_sent++;
	}
	count_sent(port, counters, packet);
	return packet;
}

/* Virtual time, half a nanosecond ahead: a sum of gaps may lie a rounding above the clock's whole nanosecond. */
static double virtual_now(const struct shoal_generator *generator)
{
	return ((double)(generator->now_ns - generator->origin_ns) + 0.5) / NANOSECONDS;
}

/* After a delay longer than the window the schedule moves: the rest of it is never made good, and is counted. */
static void slip(struct shoal_generator *generator, struct shoal_schedule *schedule)
{
	double now_s = virtual_now(generator), late_s, due_s;
	uint64_t slipped_ns;

	if (!shoal_schedule_due(schedule, now_s, &due_s))
		return;
	late_s = now_s - due_s - generator->config.catch_up_us / MICROSECONDS;
	if (late_s <= 0)
		return;
	slipped_ns = (uint64_t)(late_s * NANOSECONDS);
	generator->origin_ns += slipped_ns;
	generator->totals.slipped_ns += slipped_ns;
	generator->totals.slips += slipped_ns > 0;
}

static void count_late(struct shoal_generator *generator, double late_s)
{
	uint64_t late_ns = late_s > 0 ? (uint64_t)(late_s * NANOSECONDS) : 0;

	generator->totals.late_sum_ns += late_ns;
	if (late_ns > generator->totals.late_max_ns)
		generator->totals.late_max_ns = late_ns;
}

static unsigned send_due(struct generator_port *port, struct shoal_packet *packets[], unsigned n)
{
	struct shoal_schedule *schedule = port->generator->profile->schedules[port->nf_port];
	double now_s, due_s;
	unsigned count = 0;

	slip(port->generator, schedule);
	now_s = virtual_now(port->generator);
	while (count < n) {
		struct shoal_stream *stream = shoal_schedule_due(schedule, now_s, &due_s);

		if (!stream)
			break;
		packets[count] = build(port, stream);
		if (!packets[count]) /* still due: sent late, not lost */
			break;
		count_late(port->generator, now_s - due_s);
		shoal_schedule_advance(schedule);
		count++;
	}
	return count;
}

/* --- answers --- */

static void swap(uint8_t *left, uint8_t *right, size_t bytes)
{
	uint8_t kept[16];

	memcpy(kept, left, bytes);
	memcpy(left, right, bytes);
	memcpy(right, kept, bytes);
}

/* false: nothing that would be answered (an ICMP message other than an echo request). */
static bool turn_transport(const struct shoal_packet *packet, uint8_t *header)
{
	switch (packet->tuple.protocol) {
	case SHOAL_PROTOCOL_TCP:
		if (header[13] & TCP_SYN)
			header[13] |= TCP_ACK;
		swap(header, header + 2, 2);
		return true;
	case SHOAL_PROTOCOL_UDP:
		swap(header, header + 2, 2);
		return true;
	case SHOAL_PROTOCOL_ICMP:
		if (header[0] != 8)
			return false;
		header[0] = 0;
		return true;
	default: /* ICMPv6: parsed as a query, so nothing else comes here */
		if (header[0] != 128)
			return false;
		header[0] = 129;
		return true;
	}
}

static void turn_network(const struct shoal_packet *packet)
{
	uint8_t *network = packet->frame + packet->network_offset;

	swap(packet->frame, packet->frame + 6, 6);
	if (packet->flags & SHOAL_PACKET_IPV4) {
		swap(network + 12, network + 16, 4);
		network[8] = TIME_TO_LIVE;
	} else {
		swap(network + 8, network + 24, 16);
		network[7] = TIME_TO_LIVE;
	}
}

bool generator_answer(struct generator_port *port, struct shoal_packet *packet, const struct shoal_segment *segment,
	struct shoal_traffic_flow *flow)
{
	struct shoal_generator *generator = port->generator;
	uint32_t most = generator->config.responses_max;

	if (!generator->answering || ++flow->unanswered < generator->run.respond_every)
		return false;
	flow->unanswered = 0;
	if (port->answers_count == most) {
		generator->totals.responses_dropped++;
		return false;
	}
	if (!turn_transport(packet, packet->frame + segment->header))
		return false;
	turn_network(packet);
	port->answers[(port->answers_first + port->answers_count++) % most] = packet;
	return true;
}

/* An answer gets its stamp when it leaves, so that its number and its time are those of sending: until then its question's
 * stamp is still in it. */
static struct shoal_packet *answer_take(struct generator_port *port)
{
	struct shoal_generator *generator = port->generator;
	struct shoal_packet *packet = port->answers[port->answers_first];
	struct shoal_traffic_counters *counters;
	struct shoal_segment segment;
	struct shoal_stamp question;

	port->answers_first = (port->answers_first + 1) % generator->config.responses_max;
	port->answers_count--;
	if (shoal_parse(packet) != SHOAL_PARSE_OK || !shoal_segment_find(packet, &segment) ||
		!shoal_stamp_read(packet->frame, &segment, &question, generator->config.seed) ||
		!shoal_traffic_flows_find(&generator->flows, question.flow)) {
		generator->totals.responses_dropped++;
		shoal_packet_free(packet);
		return NULL;
	}
	packet->port = port->nf_port;
	counters = &generator->profile->streams[question.stream].back;
	stamp(generator, packet, &segment, question.flow | SHOAL_FLOW_BACK, question.stream);
	count_sent(port, counters, packet);
	counters->stamped_packets++;
	generator->totals.responses_sent++;
	return packet;
}

void generator_answers_drop(struct generator_port *port)
{
	for (; port->answers_count; port->answers_count--) {
		shoal_packet_free(port->answers[port->answers_first]);
		port->answers_first = (port->answers_first + 1) % port->generator->config.responses_max;
		port->generator->totals.responses_dropped++;
	}
}

unsigned generator_send(struct generator_port *port, struct shoal_packet *packets[], unsigned n)
{
	unsigned count = 0;

	while (count < n && port->answers_count) {
		packets[count] = answer_take(port);
		count += packets[count] != NULL;
	}
	if (port->generator->totals.running)
		count += send_due(port, packets + count, n - count);
	return count;
}
