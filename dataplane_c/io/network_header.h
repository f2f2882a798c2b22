/* SPDX-License-Identifier: BSD-3-Clause */
/* IPv4 and IPv6 headers up to the transport, read the same way for a packet and for one that an ICMP error quotes.
 * Inner part of the parser, off its fast path. */
#ifndef SHOAL_IO_NETWORK_HEADER_H
#define SHOAL_IO_NETWORK_HEADER_H

#include "io/parse.h"

/* IPv6 extension headers that one packet may have. */
#define SHOAL_IPV6_EXTENSIONS_MAX 8

/* Offsets are from the frame's first byte. */
struct shoal_network_header {
	/* In. */
	uint16_t offset;
	uint8_t version; /* 4 or 6: what the layer above says */
	bool quoted; /* inside an ICMP error: may end anywhere */
	/* In: the first byte that can't be read. Out: the first byte behind the datagram. */
	uint16_t end;
	/* Out. */
	uint16_t payload; /* the transport header, or a later fragment's bytes */
	uint8_t protocol;
	bool fragment; /* part of a datagram; an atomic fragment (RFC 6946) is none */
	bool more_fragments;
	bool cut; /* quoted, and ends inside its extension headers */
	uint16_t fragment_offset; /* in bytes */
	uint16_t fragment_data; /* where the fragment's bytes start */
	uint32_t identification;
};

enum shoal_parse_result shoal_network_header_read(const uint8_t *frame, struct shoal_network_header *header);
/* Its addresses; those of IPv6 folded to four bytes by XOR. */
void shoal_network_header_addresses(
	const uint8_t *frame, const struct shoal_network_header *header, uint32_t *source, uint32_t *destination);

#endif
