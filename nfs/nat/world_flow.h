/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: packets of one flow through the world, and what must be true of them. */
#ifndef SHOAL_NAT_WORLD_FLOW_H
#define SHOAL_NAT_WORLD_FLOW_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "world.h"

#define HOST "10.1.2.3"
#define SERVER "192.0.2.80"

struct endpoint {
	uint32_t address;
	uint16_t port; /* host order */
};

static inline void make(struct made_frame *frame, uint8_t protocol, uint32_t from, uint16_t from_port, uint32_t to,
	uint16_t to_port, uint8_t flags)
{
	uint8_t *network;

	made_ethernet(frame, SHOAL_ETHER_IPV4);
	network = made_ipv4(frame, protocol, 0, 0);
	shoal_frame_store32(network + 12, from);
	shoal_frame_store32(network + 16, to);
	if (protocol == NAT_TCP)
		made_tcp(frame, from_port, to_port, 0)[13] = flags;
	else if (protocol == NAT_UDP)
		made_udp(frame, from_port, to_port, 30);
	else
		made_icmp(frame, flags, from_port);
	made_finish(frame);
}

static inline void assert_sound(const struct made_frame *frame)
{
	struct made_frame copy = *frame;

	copy.network = SHOAL_ETHERNET_BYTES;
	copy.transport = SHOAL_ETHERNET_BYTES + SHOAL_IPV4_BYTES;
	copy.protocol = frame->bytes[23];
	made_finish(&copy);
	assert_memory_equal(copy.bytes, frame->bytes, frame->length);
}

static inline struct endpoint source_of(const struct made_frame *frame)
{
	return (struct endpoint){ shoal_frame_load32(frame->bytes + 26),
		shoal_frame_number16(frame->bytes + (frame->bytes[23] == NAT_ICMP ? 38 : 34)) };
}

static inline struct endpoint destination_of(const struct made_frame *frame)
{
	return (struct endpoint){ shoal_frame_load32(frame->bytes + 30),
		shoal_frame_number16(frame->bytes + (frame->bytes[23] == NAT_ICMP ? 38 : 36)) };
}

/* Sends a packet from inside; its public endpoint. It must get through. */
static inline struct endpoint send_out(
	struct world *world, uint8_t protocol, const char *host, uint16_t port, uint8_t flags)
{
	struct made_frame frame;

	make(&frame, protocol, inet_addr(host), port, inet_addr(SERVER), 80, flags);
	assert_int_equal(world_pass(world, &frame, NAT_INSIDE), NAT_OUTSIDE);
	assert_sound(&frame);
	assert_int_equal(shoal_frame_load32(frame.bytes + 30), inet_addr(SERVER));
	return source_of(&frame);
}

/* Sends one from outside; whether it got through to the host. */
static inline bool send_in(
	struct world *world, uint8_t protocol, struct endpoint public, const char *host, uint16_t port, uint8_t flags)
{
	struct made_frame frame;
	int left;

	make(&frame, protocol, inet_addr(SERVER), protocol == NAT_ICMP ? public.port : 80, public.address, public.port,
		flags);
	left = world_pass(world, &frame, NAT_OUTSIDE);
	if (left < 0)
		return false;
	assert_int_equal(left, NAT_INSIDE);
	assert_sound(&frame);
	assert_int_equal(destination_of(&frame).address, inet_addr(host));
	assert_int_equal(destination_of(&frame).port, port);
	return true;
}

static inline bool same(struct endpoint a, struct endpoint b)
{
	return a.address == b.address && a.port == b.port;
}

static inline void assert_empty(struct world *world)
{
	assert_int_equal(world_objects(world, &nat_mapping_class), 0);
	assert_int_equal(world_objects(world, &nat_reverse_class), 0);
	assert_int_equal(world_count(world, NAT_COUNT_LEAKED), 0);
}

#endif
