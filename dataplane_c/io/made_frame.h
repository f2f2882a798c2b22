/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames made by hand, for tests: layers are appended one behind the other, then finish sets lengths and checksums.
 * Whatever a test wants to be wrong it writes into the bytes afterwards. */
#ifndef SHOAL_IO_MADE_FRAME_H
#define SHOAL_IO_MADE_FRAME_H

#include <stdlib.h>

#include "io/checksum.h"
#include "io/frame_inline.h"
#include "io/parse.h"

#define MADE_CLIENT 0x0a000001u /* 10.0.0.1 */
#define MADE_SERVER 0xc6336402u /* 198.51.100.2 */

struct made_frame {
	uint8_t bytes[2048];
	uint16_t length;
	uint16_t network; /* offset of the outermost IP header; 0: none yet */
	uint16_t transport; /* of what follows its headers */
	uint8_t protocol; /* of that */
};

static inline uint8_t *made_append(struct made_frame *frame, size_t length)
{
	uint8_t *bytes = frame->bytes + frame->length;

	memset(bytes, 0, length);
	frame->length = (uint16_t)(frame->length + length);
	return bytes;
}

static inline void made_store16(uint8_t *bytes, uint16_t value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

static inline void made_store32(uint8_t *bytes, uint32_t value)
{
	made_store16(bytes, (uint16_t)(value >> 16));
	made_store16(bytes + 2, (uint16_t)value);
}

static inline void made_ethernet(struct made_frame *frame, uint16_t type)
{
	static const uint8_t addresses[12] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1 };

	*frame = (struct made_frame){ 0 };
	memcpy(made_append(frame, 12), addresses, 12);
	made_store16(made_append(frame, 2), type);
}

static inline void made_vlan(struct made_frame *frame, uint16_t vlan, uint16_t type)
{
	made_store16(made_append(frame, 2), vlan);
	made_store16(made_append(frame, 2), type);
}

static inline void made_mark_transport(struct made_frame *frame, uint8_t protocol)
{
	frame->transport = frame->length;
	frame->protocol = protocol;
}

/* From client to server, with `option_bytes` of no-operation options (a multiple of 4). Total length is set by finish for
 * the outermost header; `total` is for a quoted one. */
static inline uint8_t *made_ipv4(struct made_frame *frame, uint8_t protocol, unsigned option_bytes, uint16_t total)
{
	uint8_t *bytes = made_append(frame, SHOAL_IPV4_BYTES + option_bytes);

	bytes[0] = (uint8_t)(0x40 | (5 + option_bytes / 4));
	made_store16(bytes + 2, total);
	made_store16(bytes + 4, 0x1234);
	bytes[8] = 64;
	bytes[9] = protocol;
	made_store32(bytes + 12, MADE_CLIENT);
	made_store32(bytes + 16, MADE_SERVER);
	memset(bytes + SHOAL_IPV4_BYTES, 1, option_bytes);
	if (!frame->network) {
		frame->network = (uint16_t)(bytes - frame->bytes);
		made_mark_transport(frame, protocol);
	}
	return bytes;
}

/* From 2001:db8::1 to 2001:db8::2. */
static inline uint8_t *made_ipv6(struct made_frame *frame, uint8_t protocol, uint16_t payload)
{
	uint8_t *bytes = made_append(frame, SHOAL_IPV6_BYTES);

	bytes[0] = 0x60;
	made_store16(bytes + 4, payload);
	bytes[6] = protocol;
	bytes[7] = 64;
	made_store32(bytes + 8, 0x20010db8);
	bytes[23] = 1;
	made_store32(bytes + 24, 0x20010db8);
	bytes[39] = 2;
	if (!frame->network) {
		frame->network = (uint16_t)(bytes - frame->bytes);
		made_mark_transport(frame, protocol);
	}
	return bytes;
}

/* An extension header of `length` bytes (a multiple of 8), of any kind but Fragment and Authentication. */
static inline uint8_t *made_extension(struct made_frame *frame, uint8_t next, unsigned length)
{
	uint8_t *bytes = made_append(frame, length);

	bytes[0] = next;
	bytes[1] = (uint8_t)(length / 8 - 1);
	made_mark_transport(frame, next);
	return bytes;
}

static inline uint8_t *made_fragment_header(struct made_frame *frame, uint8_t next, uint16_t offset, bool more)
{
	uint8_t *bytes = made_append(frame, 8);

	bytes[0] = next;
	made_store16(bytes + 2, (uint16_t)(offset | more));
	made_store32(bytes + 4, 0xabcd1234);
	made_mark_transport(frame, next);
	return bytes;
}

static inline uint8_t *made_udp(struct made_frame *frame, uint16_t source, uint16_t destination, uint16_t payload)
{
	uint8_t *bytes = made_append(frame, SHOAL_UDP_BYTES + payload);

	made_store16(bytes, source);
	made_store16(bytes + 2, destination);
	made_store16(bytes + 4, (uint16_t)(SHOAL_UDP_BYTES + payload));
	for (unsigned i = 0; i < payload; i++)
		bytes[SHOAL_UDP_BYTES + i] = (uint8_t)(i * 7 + 1);
	return bytes;
}

static inline uint8_t *made_tcp(struct made_frame *frame, uint16_t source, uint16_t destination, unsigned option_bytes)
{
	uint8_t *bytes = made_append(frame, SHOAL_TCP_BYTES + option_bytes);

	made_store16(bytes, source);
	made_store16(bytes + 2, destination);
	bytes[12] = (uint8_t)((5 + option_bytes / 4) << 4);
	memset(bytes + SHOAL_TCP_BYTES, 1, option_bytes);
	return bytes;
}

static inline uint8_t *made_icmp(struct made_frame *frame, uint8_t type, uint16_t identifier)
{
	uint8_t *bytes = made_append(frame, SHOAL_ICMP_BYTES);

	bytes[0] = type;
	made_store16(bytes + 4, identifier);
	return bytes;
}

/* Lengths and checksums of the outermost headers. */
static inline void made_finish(struct made_frame *frame)
{
	uint8_t *network = frame->bytes + frame->network;
	uint8_t *transport = frame->bytes + frame->transport;
	uint16_t length = (uint16_t)(frame->length - frame->transport);
	int field = shoal_checksum_field_offset(frame->protocol);

	if (network[0] >> 4 == 4) {
		made_store16(network + 2, (uint16_t)(frame->length - frame->network));
		shoal_frame_store16(network + 10, shoal_checksum_ipv4_header(network));
	} else {
		made_store16(network + 4, (uint16_t)(frame->length - frame->network - SHOAL_IPV6_BYTES));
	}
	if (field >= 0 && length >= field + 2)
		shoal_frame_store16(
			transport + field, shoal_checksum_transport(network, transport, length, frame->protocol));
}

/* A copy on the heap of exactly `length` bytes, so that a sanitizer sees any read behind it. */
static inline uint8_t *made_exact_copy(const struct made_frame *frame, uint16_t length)
{
	uint8_t *copy = malloc(length ? length : 1);

	if (!copy)
		abort();
	memcpy(copy, frame->bytes, length);
	return copy;
}

/* Parses the frame's first `length` bytes in such a copy, from a packet full of old values. The caller frees
 * packet->frame. */
static inline enum shoal_parse_result made_parse(
	const struct made_frame *frame, uint16_t length, struct shoal_packet *packet)
{
	memset(packet, 0xa5, sizeof(*packet));
	packet->flags = (uint16_t)~SHOAL_PACKET_PORTS_KNOWN;
	packet->frame = made_exact_copy(frame, length);
	packet->length = length;
	packet->port = 1;
	return shoal_parse(packet);
}

static inline enum shoal_parse_result made_result(const struct made_frame *frame)
{
	struct shoal_packet packet;
	enum shoal_parse_result result = made_parse(frame, frame->length, &packet);

	free(packet.frame);
	return result;
}

#endif
