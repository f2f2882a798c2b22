/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/stamp.h"

#include <xxhash.h>

#include "io/checksum.h"
#include "io/frame_inline.h"

#define FLOW_OFFSET 0
#define SEQUENCE_OFFSET 4
#define TIME_OFFSET 8
#define STREAM_OFFSET 12
#define CHECKSUM_OFFSET 14
#define CHECKSUM_BYTES 4

_Static_assert(CHECKSUM_OFFSET + CHECKSUM_BYTES == SHOAL_STAMP_BYTES, "layout");

bool shoal_segment_find(const struct shoal_packet *packet, struct shoal_segment *segment)
{
	const uint8_t *network = shoal_packet_network(packet), *transport = packet->frame + packet->transport_offset;
	uint32_t end = packet->network_offset, header_bytes = SHOAL_UDP_BYTES;

	if (!(packet->flags & SHOAL_PACKET_TRANSPORT) || packet->flags & SHOAL_PACKET_FRAGMENT_FIRST)
		return false;
	if (packet->flags & SHOAL_PACKET_IPV4)
		end += shoal_frame_number16(network + 2);
	else
		end += SHOAL_IPV6_BYTES + shoal_frame_number16(network + 4);
	if (packet->tuple.protocol == SHOAL_PROTOCOL_TCP)
		header_bytes = (transport[12] >> 4) * 4u;
	else if (packet->tuple.protocol == SHOAL_PROTOCOL_UDP && /* a length of its own would hide the stamp */
		 packet->transport_offset + shoal_frame_number16(transport + 4) != end)
		return false;
	*segment = (struct shoal_segment){ .header = packet->transport_offset,
		.payload = (uint16_t)(packet->transport_offset + header_bytes),
		.end = (uint16_t)end };
	return end <= packet->length && segment->payload + SHOAL_STAMP_BYTES <= segment->end;
}

static uint32_t checksum_of(const uint8_t *frame, const struct shoal_segment *segment, uint64_t seed)
{
	return (uint32_t)XXH3_64bits_withSeed(
		frame + segment->payload, segment->end - segment->payload - CHECKSUM_BYTES, seed);
}

void shoal_stamp_write(
	uint8_t *frame, const struct shoal_segment *segment, const struct shoal_stamp *stamp, uint64_t seed)
{
	uint8_t *target = frame + segment->end - SHOAL_STAMP_BYTES;
	uint32_t time = (uint32_t)(stamp->time_ns / SHOAL_STAMP_TIME_UNIT);

	shoal_frame_store32(target + FLOW_OFFSET, stamp->flow);
	shoal_frame_store32(target + SEQUENCE_OFFSET, stamp->sequence);
	shoal_frame_store32(target + TIME_OFFSET, time);
	shoal_frame_store16(target + STREAM_OFFSET, stamp->stream);
	shoal_frame_store32(target + CHECKSUM_OFFSET, checksum_of(frame, segment, seed));
}

bool shoal_stamp_read(
	const uint8_t *frame, const struct shoal_segment *segment, struct shoal_stamp *stamp, uint64_t seed)
{
	const uint8_t *source = frame + segment->end - SHOAL_STAMP_BYTES;

	stamp->flow = shoal_frame_load32(source + FLOW_OFFSET);
	stamp->sequence = shoal_frame_load32(source + SEQUENCE_OFFSET);
	stamp->time_ns = (uint64_t)shoal_frame_load32(source + TIME_OFFSET) * SHOAL_STAMP_TIME_UNIT;
	stamp->stream = shoal_frame_load16(source + STREAM_OFFSET);
	return shoal_frame_load32(source + CHECKSUM_OFFSET) == checksum_of(frame, segment, seed);
}

static uint16_t transport_checksum(const struct shoal_packet *packet, const struct shoal_segment *segment)
{
	return shoal_checksum_transport(shoal_packet_network(packet), packet->frame + segment->header,
		(uint16_t)(segment->end - segment->header), packet->tuple.protocol);
}

static uint8_t *transport_checksum_field(const struct shoal_packet *packet, const struct shoal_segment *segment)
{
	return packet->frame + segment->header + shoal_checksum_field_offset(packet->tuple.protocol);
}

static bool has_no_checksum(const struct shoal_packet *packet, const uint8_t *field)
{
	return packet->tuple.protocol == SHOAL_PROTOCOL_UDP && packet->flags & SHOAL_PACKET_IPV4 &&
	       !shoal_frame_load16(field);
}

void shoal_segment_checksums_write(const struct shoal_packet *packet, const struct shoal_segment *segment)
{
	uint8_t *network = packet->frame + packet->network_offset, *field = transport_checksum_field(packet, segment);

	if (packet->flags & SHOAL_PACKET_IPV4)
		shoal_frame_store16(network + 10, shoal_checksum_ipv4_header(network));
	if (!has_no_checksum(packet, field))
		shoal_frame_store16(field, transport_checksum(packet, segment));
}

/* Zero has two forms in one's complement, and either is right. */
static bool is_same(uint16_t left, uint16_t right)
{
	return left == right || ((left == 0 || left == UINT16_MAX) && (right == 0 || right == UINT16_MAX));
}

bool shoal_segment_checksums_good(const struct shoal_packet *packet, const struct shoal_segment *segment)
{
	const uint8_t *network = shoal_packet_network(packet), *field = transport_checksum_field(packet, segment);

	if (packet->flags & SHOAL_PACKET_IPV4 &&
		!is_same(shoal_frame_load16(network + 10), shoal_checksum_ipv4_header(network)))
		return false;
	return has_no_checksum(packet, field) ||
	       is_same(shoal_frame_load16(field), transport_checksum(packet, segment));
}
