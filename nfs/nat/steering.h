/* SPDX-License-Identifier: BSD-3-Clause */
/* Where flows meet (architecture.md): an inside host has one steering slot; its public ports carry it in their low eight
 * bits, so that both directions of its flows have the same one. Also picks the host's public address. All of it
 * follows from the address alone: splitter and every worker agree without talking. */
#ifndef SHOAL_NAT_STEERING_H
#define SHOAL_NAT_STEERING_H

#include <arpa/inet.h>
#include "nat.h"

/* Mixes an inside address so that neighbours spread evenly. A bijection on 32 bits: no two hosts share all of it. */
static inline uint32_t nat_host_hash(uint32_t inside_address)
{
	uint32_t hash = ntohl(inside_address);

	hash = (hash ^ hash >> 16) * UINT32_C(0x9E3779B1);
	hash = (hash ^ hash >> 15) * UINT32_C(0x85EBCA77);
	return hash ^ hash >> 16;
}

static inline uint8_t nat_host_steering_slot(uint32_t inside_address)
{
	return (uint8_t)(nat_host_hash(inside_address) >> 24);
}

/* Which of `count` public addresses the host uses; from other bits than its steering slot (paired pooling, RFC 4787
 * REQ-2). */
static inline uint32_t nat_host_address_index(uint32_t inside_address, uint32_t count)
{
	return (uint32_t)((uint64_t)(nat_host_hash(inside_address) & 0xffffff) * count >> 24);
}

/* `port` in network order. */
static inline uint8_t nat_port_steering_slot(uint16_t port)
{
	return (uint8_t)ntohs(port);
}

#endif
