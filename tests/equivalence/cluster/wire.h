/* SPDX-License-Identifier: BSD-3-Clause */
/* One IPv4 frame as the hosts and servers of the test see it. It does not use the product's parser: a mistake there must
 * not be made here too. Numbers are in host byte order. */
#ifndef SHOAL_TESTS_WIRE_H
#define SHOAL_TESTS_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#define WIRE_ICMP 1
#define WIRE_TCP 6
#define WIRE_UDP 17

#define WIRE_FIN 1
#define WIRE_SYN 2
#define WIRE_RST 4
#define WIRE_ACK 16

enum wire_end { WIRE_SOURCE, WIRE_DESTINATION };

enum wire_kind {
	WIRE_OTHER, /* neither TCP, UDP nor a kind of ICMP that has a flow */
	WIRE_TRANSPORT, /* TCP or UDP; also a first fragment */
	WIRE_QUERY,
	WIRE_ERROR,
	WIRE_LATER, /* fragment without ports */
};

struct wire_endpoint {
	uint32_t address;
	uint16_t port; /* or ICMP identifier */
	uint8_t protocol;
};

struct wire {
	enum wire_kind kind;
	uint8_t *network, *transport, *end; /* of the datagram; behind it is padding */
	uint8_t *quoted, *quoted_transport; /* of an error */
	uint8_t protocol;
	bool fragment;
	uint16_t number; /* identification */
	uint8_t tcp_flags;
};

/* False: not IPv4, or its lengths can't be. */
bool wire_read(struct wire *wire, uint8_t *frame, unsigned length);
/* An end of the flow; for an error, of what it quotes, reversed. False: the frame shows none. */
bool wire_endpoint(const struct wire *wire, enum wire_end end, struct wire_endpoint *endpoint);
/* Replaces that end. Checksums stay as right, or as wrong, as they were; an error's own is computed anew. */
void wire_endpoint_set(struct wire *wire, enum wire_end end, const struct wire_endpoint *endpoint);
void wire_number_set(struct wire *wire, uint16_t number);
void wire_tcp_flags_set(struct wire *wire, uint8_t flags);
void wire_icmp_type_set(struct wire *wire, uint8_t type);
/* Whoever was the source is the destination. Not for errors. */
void wire_reverse(struct wire *wire);
/* Makes a frame that reports `about`, as it was seen, with an ICMP error from a router. Returns its length. */
unsigned wire_error_make(
	uint8_t *frame, const uint8_t *about_frame, const struct wire *about, uint32_t router, unsigned quoted_bytes);

static inline bool wire_endpoint_equal(const struct wire_endpoint *a, const struct wire_endpoint *b)
{
	return a->address == b->address && a->port == b->port && a->protocol == b->protocol;
}

#endif
