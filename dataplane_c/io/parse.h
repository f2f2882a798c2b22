/* SPDX-License-Identifier: BSD-3-Clause */
/* Parsing and classification of one frame: Ethernet, VLAN, QinQ, IPv4 with options, IPv6 with extension headers, TCP,
 * UDP, ICMP, ICMPv6, fragments. Reads, never writes, the frame. */
#ifndef SHOAL_IO_PARSE_H
#define SHOAL_IO_PARSE_H

#include <shoal/packet.h>

/* Why a frame was refused; each is a named drop. SHOAL_PARSE_OK is 0. */
enum shoal_parse_result {
	SHOAL_PARSE_OK = 0,
	SHOAL_PARSE_RUNT, /* shorter than its Ethernet (and VLAN) header */
	SHOAL_PARSE_NOT_IP, /* ARP and whatever else the NF has no use for */
	SHOAL_PARSE_IPV4_HEADER, /* version, IHL or total length that can't be */
	SHOAL_PARSE_IPV4_TRUNCATED, /* total length beyond the frame */
	SHOAL_PARSE_IPV6_HEADER,
	SHOAL_PARSE_IPV6_TRUNCATED,
	SHOAL_PARSE_IPV6_EXTENSIONS, /* too many, or cut */
	SHOAL_PARSE_TRANSPORT_TRUNCATED,
	SHOAL_PARSE_TCP_HEADER, /* data offset that can't be */
	SHOAL_PARSE_UDP_HEADER, /* length that can't be */
	SHOAL_PARSE_FRAGMENT, /* fragment that overlaps the end, or a first one too short for its ports */
	SHOAL_PARSE_ICMP_INNER, /* an ICMP error whose inner packet can't be read */
	SHOAL_PARSE_RESULTS,
};

/* Fills flags, offsets and tuple from frame and length. A later fragment whose PORTS_KNOWN flag was set by the port
 * keeps its tuple's ports. Unknown transport protocols are OK, with SHOAL_PACKET_TRANSPORT unset and ports 0. */
static inline enum shoal_parse_result shoal_parse(struct shoal_packet *packet);
/* Lower-case name of a result, as in the drop counter: "ipv4_truncated". */
const char *shoal_parse_result_name(enum shoal_parse_result result);

/* A fragment's identity (RFC 791 §3.2, RFC 8200 §4.5), for the splitter's fragment table. */
struct shoal_fragment_key {
	uint8_t source[16], destination[16]; /* IPv4 in the first four bytes, rest 0 */
	uint32_t identification;
	uint8_t protocol;
	uint8_t version;
	uint8_t port;
	uint8_t zero;
};
/* false: not a fragment. */
bool shoal_parse_fragment_key(const struct shoal_packet *packet, struct shoal_fragment_key *key);

#include "io/parse_inline.h"

#endif
