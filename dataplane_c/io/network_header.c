/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/network_header.h"

#include "io/frame_inline.h"

#define FRAGMENT_HEADER_BYTES 8

static enum shoal_parse_result read_ipv4(const uint8_t *frame, struct shoal_network_header *header)
{
	const uint8_t *bytes = frame + header->offset;
	uint32_t available = header->end - header->offset;
	uint32_t header_bytes, total, fragment;

	if (available < SHOAL_IPV4_BYTES)
		return SHOAL_PARSE_IPV4_TRUNCATED;
	header_bytes = (bytes[0] & 15u) * 4;
	total = shoal_frame_number16(bytes + 2);
	if (bytes[0] >> 4 != 4 || header_bytes < SHOAL_IPV4_BYTES || total < header_bytes)
		return SHOAL_PARSE_IPV4_HEADER;
	if (header_bytes > available || (total > available && !header->quoted))
		return SHOAL_PARSE_IPV4_TRUNCATED;
	if (total < available)
		header->end = (uint16_t)(header->offset + total);

	fragment = shoal_frame_number16(bytes + 6);
	header->more_fragments = fragment & 0x2000;
	header->fragment_offset = (uint16_t)((fragment & 0x1fff) * 8);
	header->fragment = header->more_fragments || header->fragment_offset;
	header->identification = shoal_frame_number16(bytes + 4);
	header->protocol = bytes[9];
	header->payload = (uint16_t)(header->offset + header_bytes);
	header->fragment_data = header->payload;
	return SHOAL_PARSE_OK;
}

static bool is_extension(uint8_t protocol)
{
	switch (protocol) {
	case SHOAL_PROTOCOL_HOP_BY_HOP:
	case SHOAL_PROTOCOL_ROUTING:
	case SHOAL_PROTOCOL_FRAGMENT:
	case SHOAL_PROTOCOL_AUTHENTICATION:
	case SHOAL_PROTOCOL_DESTINATION_OPTIONS:
	case SHOAL_PROTOCOL_MOBILITY:
	case SHOAL_PROTOCOL_HOST_IDENTITY:
	case SHOAL_PROTOCOL_SHIM6:
		return true;
	default:
		return false;
	}
}

/* Bytes of the extension header at `bytes`, of which eight can be read (RFC 8200 §4, RFC 4302 §2.2). */
static uint32_t extension_bytes(uint8_t protocol, const uint8_t *bytes)
{
	if (protocol == SHOAL_PROTOCOL_FRAGMENT)
		return FRAGMENT_HEADER_BYTES;
	if (protocol == SHOAL_PROTOCOL_AUTHENTICATION)
		return (bytes[1] + 2u) * 4;
	return (bytes[1] + 1u) * 8;
}

static void read_fragment_header(const uint8_t *bytes, struct shoal_network_header *header)
{
	uint32_t fragment = shoal_frame_number16(bytes + 2);

	header->more_fragments = fragment & 1;
	header->fragment_offset = (uint16_t)(fragment & 0xfff8);
	header->fragment = header->more_fragments || header->fragment_offset;
	header->identification = shoal_frame_number32(bytes + 4);
}

/* Walks from header->payload, whose header is header->protocol, to what is no extension header. */
static enum shoal_parse_result read_extensions(const uint8_t *frame, struct shoal_network_header *header)
{
	bool fragment_seen = false;
	uint32_t bytes;

	for (unsigned count = 0; is_extension(header->protocol) && !header->fragment_offset; count++) {
		const uint8_t *extension = frame + header->payload;
		uint32_t available = header->end - header->payload;
		bool is_fragment = header->protocol == SHOAL_PROTOCOL_FRAGMENT;

		if (count == SHOAL_IPV6_EXTENSIONS_MAX || (is_fragment && fragment_seen) ||
			(header->protocol == SHOAL_PROTOCOL_HOP_BY_HOP && count))
			return SHOAL_PARSE_IPV6_EXTENSIONS;
		bytes = available < 8 ? 8 : extension_bytes(header->protocol, extension);
		if (bytes > available) {
			header->cut = true;
			return header->quoted ? SHOAL_PARSE_OK : SHOAL_PARSE_IPV6_EXTENSIONS;
		}
		if (is_fragment) {
			read_fragment_header(extension, header);
			header->fragment_data = (uint16_t)(header->payload + bytes);
			fragment_seen = true;
		}
		header->protocol = extension[0];
		header->payload = (uint16_t)(header->payload + bytes);
	}
	return SHOAL_PARSE_OK;
}

static enum shoal_parse_result read_ipv6(const uint8_t *frame, struct shoal_network_header *header)
{
	const uint8_t *bytes = frame + header->offset;
	uint32_t available = header->end - header->offset;
	uint32_t total;

	if (available < SHOAL_IPV6_BYTES)
		return SHOAL_PARSE_IPV6_TRUNCATED;
	if (bytes[0] >> 4 != 6)
		return SHOAL_PARSE_IPV6_HEADER;
	total = SHOAL_IPV6_BYTES + shoal_frame_number16(bytes + 4);
	if (total > available && !header->quoted)
		return SHOAL_PARSE_IPV6_TRUNCATED;
	if (total < available)
		header->end = (uint16_t)(header->offset + total);
	header->protocol = bytes[6];
	header->payload = (uint16_t)(header->offset + SHOAL_IPV6_BYTES);
	return read_extensions(frame, header);
}

/* A fragment that no sender makes: empty, a middle one that is no multiple of 8, beyond the largest datagram, or one
 * that would overwrite the TCP header of the first (RFC 1858 §4). */
static bool fragment_is_possible(const struct shoal_network_header *header)
{
	uint32_t bytes = header->end - header->fragment_data;
	uint32_t before = header->version == 4 ? header->fragment_data - header->offset : 0;

	if (!bytes || (header->more_fragments && bytes % 8))
		return false;
	if (before + header->fragment_offset + bytes > UINT16_MAX)
		return false;
	return header->protocol != SHOAL_PROTOCOL_TCP || !header->fragment_offset ||
	       header->fragment_offset >= SHOAL_TCP_BYTES;
}

enum shoal_parse_result shoal_network_header_read(const uint8_t *frame, struct shoal_network_header *header)
{
	enum shoal_parse_result result = header->version == 4 ? read_ipv4(frame, header) : read_ipv6(frame, header);

	if (result == SHOAL_PARSE_OK && header->fragment && !header->quoted && !fragment_is_possible(header))
		return SHOAL_PARSE_FRAGMENT;
	return result;
}

static uint32_t fold_address6(const uint8_t *address)
{
	return shoal_frame_load32(address) ^ shoal_frame_load32(address + 4) ^ shoal_frame_load32(address + 8) ^
	       shoal_frame_load32(address + 12);
}

void shoal_network_header_addresses(
	const uint8_t *frame, const struct shoal_network_header *header, uint32_t *source, uint32_t *destination)
{
	const uint8_t *bytes = frame + header->offset;

	if (header->version == 4) {
		*source = shoal_frame_load32(bytes + 12);
		*destination = shoal_frame_load32(bytes + 16);
	} else {
		*source = fold_address6(bytes + 8);
		*destination = fold_address6(bytes + 24);
	}
}
