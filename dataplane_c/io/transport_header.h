/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP, UDP, ICMP and ICMPv6 headers, and the packet that an ICMP error quotes. Inner part of the parser, off its fast
 * path. */
#ifndef SHOAL_IO_TRANSPORT_HEADER_H
#define SHOAL_IO_TRANSPORT_HEADER_H

#include "io/network_header.h"

/* Adds to a packet whose addresses and protocol are set what stands at network->payload; it must not be a later
 * fragment. */
enum shoal_parse_result shoal_transport_header_read(
	struct shoal_packet *packet, const struct shoal_network_header *network);

#endif
