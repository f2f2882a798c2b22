/* SPDX-License-Identifier: BSD-3-Clause */
/* Translation of random packets, against all their checksums computed anew. Frames lie on the heap with nothing behind
 * them, so that a sanitizer sees a write outside. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "io/made_frame.h"
#include "translate.h"

#define ROUNDS 20000

static uint64_t random_state = 0x5eed;

static uint32_t random_below(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 32) * limit >> 32);
}

static uint32_t random_word(void)
{
	return random_below(UINT32_MAX);
}

static const uint8_t protocols[] = { NAT_ICMP, NAT_TCP, NAT_UDP };

/* A flow's two endpoints, network order. */
struct flow {
	struct nat_endpoint source, destination;
	uint8_t protocol;
};

/* Often 0 and 0xffff: the corners of one's complement sums. */
static uint16_t random_port(void)
{
	switch (random_below(8)) {
	case 0:
		return 0;
	case 1:
		return UINT16_MAX;
	default:
		return (uint16_t)random_word();
	}
}

static struct nat_endpoint random_endpoint(void)
{
	uint32_t address = random_below(8) ? random_word() : (uint32_t)random_port() << 16 | random_port();

	return (struct nat_endpoint){ address, random_port() };
}

static struct flow random_flow(void)
{
	struct flow flow = { random_endpoint(), random_endpoint(), protocols[random_below(3)] };

	if (flow.protocol == NAT_ICMP)
		flow.destination.port = flow.source.port;
	return flow;
}

static void random_bytes(uint8_t *bytes, unsigned n)
{
	for (unsigned index = 0; index < n; index++)
		bytes[index] = (uint8_t)(random_below(4) ? random_word() : 0);
}

/* Appends IPv4 and transport of the flow, with random payload, and their checksums. Its offset in the frame. */
static uint16_t append_datagram(struct made_frame *frame, const struct flow *flow, unsigned payload)
{
	uint16_t offset = frame->length;
	uint8_t *network = made_ipv4(frame, flow->protocol, random_below(4) ? 0 : 4 * random_below(11), 0);
	unsigned header = flow->protocol == NAT_TCP ? 20 : 8;
	uint16_t transport_offset = frame->length;
	uint8_t *transport = made_append(frame, header + payload);
	int field = shoal_checksum_field_offset(flow->protocol);

	shoal_frame_store32(network + 12, flow->source.address);
	shoal_frame_store32(network + 16, flow->destination.address);
	random_bytes(transport, header + payload);
	if (flow->protocol == NAT_ICMP) {
		transport[0] = random_below(2) ? 8 : 0;
		shoal_frame_store16(transport + 4, flow->source.port);
	} else {
		shoal_frame_store16(transport, flow->source.port);
		shoal_frame_store16(transport + 2, flow->destination.port);
	}
	if (flow->protocol == NAT_TCP)
		transport[12] = 0x50;
	if (flow->protocol == NAT_UDP)
		made_store16(transport + 4, (uint16_t)(header + payload));
	made_store16(network + 2, (uint16_t)(frame->length - offset));
	shoal_frame_store16(network + 10, shoal_checksum_ipv4_header(network));
	shoal_frame_store16(transport + field, shoal_checksum_transport(network, transport,
						       (uint16_t)(frame->length - transport_offset), flow->protocol));
	return offset;
}

static void begin_frame(struct made_frame *frame)
{
	if (random_below(4)) {
		made_ethernet(frame, SHOAL_ETHER_IPV4);
	} else {
		made_ethernet(frame, SHOAL_ETHER_VLAN);
		made_vlan(frame, 5, SHOAL_ETHER_IPV4);
	}
}

static void assert_sum_is_right(const uint8_t *bytes, size_t length)
{
	assert_int_equal(shoal_checksum_fold(shoal_checksum_sum(0, bytes, length)), 0);
}

/* Every checksum of an IPv4 datagram equals the one computed anew; those of ICMP at least sum up. */
static void assert_checksums(const uint8_t *network, bool udp_has_none)
{
	const uint8_t *transport = network + (network[0] & 15) * 4;
	uint16_t bytes = (uint16_t)(shoal_frame_number16(network + 2) - (transport - network));
	const uint8_t *checksum = transport + shoal_checksum_field_offset(network[9]);

	assert_int_equal(shoal_frame_load16(network + 10), shoal_checksum_ipv4_header(network));
	if (network[9] == NAT_ICMP)
		assert_sum_is_right(transport, bytes);
	else if (udp_has_none)
		assert_int_equal(shoal_frame_load16(checksum), 0);
	else
		assert_int_equal(
			shoal_frame_load16(checksum), shoal_checksum_transport(network, transport, bytes, network[9]));
}

/* The flow with its `end` moved to `to`. */
static struct flow moved(struct flow flow, enum nat_end end, struct nat_endpoint to)
{
	if (end == NAT_SOURCE)
		flow.source = to;
	else
		flow.destination = to;
	if (flow.protocol == NAT_ICMP)
		flow.source.port = flow.destination.port = to.port;
	return flow;
}

static void assert_flow(const uint8_t *network, const struct flow *flow)
{
	const uint8_t *transport = network + (network[0] & 15) * 4;

	assert_int_equal(shoal_frame_load32(network + 12), flow->source.address);
	assert_int_equal(shoal_frame_load32(network + 16), flow->destination.address);
	if (flow->protocol == NAT_ICMP) {
		assert_int_equal(shoal_frame_load16(transport + 4), flow->source.port);
		return;
	}
	assert_int_equal(shoal_frame_load16(transport), flow->source.port);
	assert_int_equal(shoal_frame_load16(transport + 2), flow->destination.port);
}

/* Bytes outside address, port and checksums are as before. */
static void assert_rest_unchanged(const uint8_t *before, const struct shoal_packet *packet, enum nat_end end,
	const struct nat_translation *translation)
{
	uint16_t network = packet->network_offset, transport = packet->transport_offset;

	for (uint16_t at = 0; at < packet->length; at++) {
		bool written =
			(at >= network + end && at < network + end + 4) || (at >= network + 10 && at < network + 12) ||
			(at >= transport + translation->port_offset && at < transport + translation->port_offset + 2) ||
			(at >= transport + translation->checksum_offset &&
				at < transport + translation->checksum_offset + 2);

		if (!written)
			assert_int_equal(packet->frame[at], before[at]);
	}
}

static void random_packets(void **state)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct made_frame frame;
		struct shoal_packet packet;
		struct flow flow = random_flow();
		enum nat_end end = random_below(2) ? NAT_SOURCE : NAT_DESTINATION;
		struct nat_endpoint to = random_endpoint();
		struct nat_translation translation = nat_translation_make(
			end == NAT_SOURCE ? flow.source : flow.destination, to, flow.protocol, end);
		bool udp_has_none = flow.protocol == NAT_UDP && !random_below(4);
		struct flow after = moved(flow, end, to);
		uint16_t offset;

		begin_frame(&frame);
		offset = append_datagram(&frame, &flow, random_below(200));
		if (udp_has_none)
			shoal_frame_store16(frame.bytes + offset + (frame.bytes[offset] & 15) * 4 + 6, 0);
		made_append(&frame, random_below(3) ? 0 : random_below(20));
		assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
		assert_int_equal(nat_translate(&packet, &translation, end), NAT_TRANSLATED);
		assert_flow(packet.frame + offset, &after);
		assert_checksums(packet.frame + offset, udp_has_none);
		assert_rest_unchanged(frame.bytes, &packet, end, &translation);
		free(packet.frame);
	}
}

/* What goes out and comes back through the two translations of a pair is what it was. */
static void there_and_back(void **state)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct made_frame frame;
		struct shoal_packet packet;
		struct flow flow = random_flow();
		struct nat_endpoint public = random_endpoint();
		struct nat_translation out = nat_translation_make(flow.source, public, flow.protocol, NAT_SOURCE);
		struct nat_translation back = nat_translation_make(public, flow.source, flow.protocol, NAT_SOURCE);

		begin_frame(&frame);
		append_datagram(&frame, &flow, 2 + random_below(60));
		assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
		assert_int_equal(nat_translate(&packet, &out, NAT_SOURCE), NAT_TRANSLATED);
		assert_int_equal(nat_translate(&packet, &back, NAT_SOURCE), NAT_TRANSLATED);
		if (flow.protocol != NAT_ICMP) /* whose checksum may come back as 0xffff for 0 */
			assert_memory_equal(packet.frame, frame.bytes, frame.length);
		assert_checksums(packet.frame + packet.network_offset, false);
		free(packet.frame);
	}
}

/* A first fragment's checksum covers bytes that are elsewhere; a later one has only its address rewritten. */
static void fragments(void **state)
{
	for (unsigned round = 0; round < ROUNDS / 10; round++) {
		struct made_frame whole, first, later;
		struct shoal_packet packet;
		struct flow flow = random_flow();
		enum nat_end end = random_below(2) ? NAT_SOURCE : NAT_DESTINATION;
		struct nat_endpoint to = random_endpoint();
		struct nat_translation translation = nat_translation_make(
			end == NAT_SOURCE ? flow.source : flow.destination, to, flow.protocol, end);
		uint16_t header, offset;

		made_ethernet(&whole, SHOAL_ETHER_IPV4);
		offset = append_datagram(&whole, &flow, 100);
		header = (whole.bytes[offset] & 15) * 4;
		first = later = whole;
		first.length = (uint16_t)(offset + header + 48);
		made_store16(first.bytes + offset + 6, 0x2000);
		later.length = (uint16_t)(whole.length - 48);
		memmove(later.bytes + offset + header, whole.bytes + offset + header + 48,
			later.length - offset - header);
		made_store16(later.bytes + offset + 6, 6);
		for (struct made_frame *frame = &first; frame; frame = frame == &first ? &later : NULL) {
			uint8_t *network = frame->bytes + offset;

			made_store16(network + 2, (uint16_t)(frame->length - offset));
			shoal_frame_store16(network + 10, shoal_checksum_ipv4_header(network));
			assert_int_equal(made_parse(frame, frame->length, &packet), SHOAL_PARSE_OK);
			assert_int_equal(nat_translate(&packet, &translation, end), NAT_TRANSLATED);
			memcpy(frame->bytes, packet.frame, frame->length);
			assert_int_equal(shoal_frame_load16(network + 10), shoal_checksum_ipv4_header(network));
			assert_int_equal(shoal_frame_load32(network + end), to.address);
			free(packet.frame);
		}
		/* Put together again, they are a sound datagram. */
		memcpy(whole.bytes + offset + 12, first.bytes + offset + 12, 8);
		memcpy(whole.bytes + offset + header, first.bytes + offset + header, 48);
		memcpy(whole.bytes + offset + header + 48, later.bytes + offset + header,
			later.length - offset - header);
		shoal_frame_store16(whole.bytes + offset + 10, shoal_checksum_ipv4_header(whole.bytes + offset));
		assert_checksums(whole.bytes + offset, false);
	}
}

#define QUOTED_WHOLE UINT32_MAX

/* An ICMP error by `router` to `flow`'s source, quoting `quoted_bytes` of the flow's transport header and payload. */
static uint16_t make_error(struct made_frame *frame, const struct flow *flow, uint32_t router, unsigned quoted_bytes)
{
	uint16_t network, quoted;
	uint8_t *icmp;

	begin_frame(frame);
	network = frame->length;
	made_ipv4(frame, NAT_ICMP, random_below(4) ? 0 : 8, 0);
	made_icmp(frame, random_below(2) ? 3 : 11, 0);
	quoted = append_datagram(frame, flow, 120);
	if (quoted_bytes != QUOTED_WHOLE)
		frame->length = (uint16_t)(quoted + (frame->bytes[quoted] & 15) * 4 + quoted_bytes);
	shoal_frame_store32(frame->bytes + network + 12, router);
	shoal_frame_store32(frame->bytes + network + 16, flow->source.address);
	made_store16(frame->bytes + network + 2, (uint16_t)(frame->length - network));
	shoal_frame_store16(frame->bytes + network + 10, shoal_checksum_ipv4_header(frame->bytes + network));
	icmp = frame->bytes + quoted - 8;
	shoal_frame_store16(icmp + 2, shoal_checksum_transport(frame->bytes + network, icmp,
					      (uint16_t)(frame->bytes + frame->length - icmp), NAT_ICMP));
	return quoted;
}

/* `inward`: the quoted packet had left with a public source; it is given its inside source again. Else it had come in
 * to an inside destination, which gets its public one; the error comes from that host or from a router before it. */
static void check_error(bool inward, unsigned quoted_bytes)
{
	struct made_frame frame;
	struct shoal_packet packet;
	struct flow flow = random_flow();
	struct nat_endpoint to = random_endpoint();
	enum nat_end end = inward ? NAT_DESTINATION : NAT_SOURCE;
	enum nat_end quoted_end = inward ? NAT_SOURCE : NAT_DESTINATION;
	struct nat_endpoint from = inward ? flow.source : flow.destination;
	struct nat_translation translation = nat_translation_make(from, to, flow.protocol, end);
	struct flow after = moved(flow, quoted_end, to);
	uint32_t router = random_below(2) ? random_word() : flow.destination.address;
	uint16_t quoted = make_error(&frame, &flow, router, quoted_bytes);
	uint8_t *network;

	made_append(&frame, random_below(2) ? 0 : random_below(18));
	assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
	assert_true(packet.flags & SHOAL_PACKET_ICMP_ERROR);
	assert_int_equal(inward ? packet.tuple.destination_port : packet.tuple.source_port, from.port);
	assert_int_equal(nat_translate(&packet, &translation, end), NAT_TRANSLATED);
	network = packet.frame + packet.network_offset;
	assert_int_equal(shoal_frame_load32(network + end), to.address);
	assert_int_equal(shoal_frame_load32(network + (inward ? 12 : 16)), inward ? router : flow.source.address);
	assert_checksums(network, false);
	assert_flow(packet.frame + quoted, &after);
	assert_sum_is_right(packet.frame + quoted, (packet.frame[quoted] & 15) * 4);
	if (quoted_bytes == QUOTED_WHOLE)
		assert_checksums(packet.frame + quoted, false);
	free(packet.frame);
}

static void icmp_errors(void **state)
{
	for (unsigned round = 0; round < ROUNDS / 2; round++) {
		check_error(round & 1, 8);
		check_error(round & 1, 8 + random_below(20));
	}
	for (unsigned round = 0; round < ROUNDS / 2; round++)
		check_error(round & 1, QUOTED_WHOLE);
}

/* A damaged error is refused as it came (RFC 5508 REQ-3). */
static void damaged_errors(void **state)
{
	for (unsigned round = 0; round < 2; round++) {
		struct made_frame frame;
		struct shoal_packet packet;
		struct flow flow = random_flow();
		struct nat_translation translation =
			nat_translation_make(flow.source, random_endpoint(), flow.protocol, NAT_DESTINATION);
		uint16_t quoted = make_error(&frame, &flow, random_word(), 8);
		uint8_t *icmp_checksum = frame.bytes + quoted - 6;

		frame.bytes[quoted + (round ? 8 : -1)] ^= 0x10; /* quoted time to live, or a byte of the ICMP header */
		if (round) /* the ICMP checksum itself is right, the quoted header's not */
			shoal_frame_store16(icmp_checksum,
				shoal_checksum_update16(shoal_frame_load16(icmp_checksum), 0, htons(0x1000)));
		assert_int_equal(made_parse(&frame, frame.length, &packet), SHOAL_PARSE_OK);
		assert_int_equal(nat_translate(&packet, &translation, NAT_DESTINATION), NAT_BAD_CHECKSUM);
		assert_memory_equal(packet.frame, frame.bytes, frame.length);
		free(packet.frame);
	}
}

static void time_to_live(void **state)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint8_t network[20];

		random_bytes(network, sizeof(network));
		network[0] = 0x45;
		network[8] |= 2;
		shoal_frame_store16(network + 10, shoal_checksum_ipv4_header(network));
		nat_decrement_ttl(network);
		assert_int_equal(shoal_frame_load16(network + 10), shoal_checksum_ipv4_header(network));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_packets),
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(fragments),
		cmocka_unit_test(icmp_errors),
		cmocka_unit_test(damaged_errors),
		cmocka_unit_test(time_to_live),
	};

	return cmocka_run_group_tests_name("nat_translate", tests, NULL, NULL);
}
