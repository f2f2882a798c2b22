/* SPDX-License-Identifier: BSD-3-Clause */
#include "servers.h"

#include <string.h>

#define PORT_SILENT 9
#define PORT_REFUSES 81
#define PORT_RESETS 82
#define PORT_STAYS_OPEN 83
#define PORT_EXCEEDED 7001
#define PORT_UNREACHABLE 7002
/* RFC 1812 §4.3.2.3: a router quotes as much as fits into 576 bytes. */
#define QUOTED_MOST 548
/* So that every server has a router of its own: errors about different flows have different sources. */
#define ROUTER_OF_SERVER 0x01000000u

#define ICMP_ECHO 8
#define ICMP_ECHO_REPLY 0
#define ICMP_TIMESTAMP 13
#define ICMP_TIMESTAMP_REPLY 14

static void reflect(struct servers_answer *answer, const uint8_t *frame, unsigned length, struct wire *wire)
{
	memcpy(answer->frame, frame, length);
	answer->length = length;
	wire_read(wire, answer->frame, length);
	wire_reverse(wire);
}

static unsigned copies(
	const uint8_t *frame, unsigned length, unsigned count, struct servers_answer answers[SERVERS_ANSWERS_MAX])
{
	struct wire wire;

	for (unsigned i = 0; i < count; i++) {
		reflect(&answers[i], frame, length, &wire);
		wire_number_set(&wire, (uint16_t)(wire.number + (i + 1) * FEED_NUMBERS));
	}
	return count;
}

static unsigned tcp_change(const uint8_t *frame, unsigned length, uint8_t flags, struct servers_answer *answer)
{
	struct wire wire;

	reflect(answer, frame, length, &wire);
	wire_tcp_flags_set(&wire, flags);
	wire_number_set(&wire, (uint16_t)(wire.number + FEED_NUMBERS));
	return 1;
}

static unsigned tcp(const uint8_t *frame, unsigned length, const struct wire *wire, uint16_t port,
	struct servers_answer answers[SERVERS_ANSWERS_MAX])
{
	if (wire->tcp_flags & WIRE_RST)
		return 0;
	if (wire->tcp_flags & WIRE_SYN)
		return tcp_change(
			frame, length, port == PORT_REFUSES ? WIRE_RST | WIRE_ACK : WIRE_SYN | WIRE_ACK, answers);
	if (wire->tcp_flags & WIRE_FIN && port == PORT_RESETS)
		return tcp_change(frame, length, WIRE_RST, answers);
	if (wire->tcp_flags & WIRE_FIN)
		return tcp_change(frame, length, port == PORT_STAYS_OPEN ? WIRE_ACK : WIRE_FIN | WIRE_ACK, answers);
	return copies(frame, length, wire->number % (SERVERS_ANSWERS_MAX + 1), answers);
}

static unsigned query(const uint8_t *frame, unsigned length, struct servers_answer *answer, uint8_t type)
{
	struct wire wire;

	reflect(answer, frame, length, &wire);
	wire_icmp_type_set(&wire, type);
	wire_number_set(&wire, (uint16_t)(wire.number + FEED_NUMBERS));
	return 1;
}

static unsigned error_about(
	const uint8_t *frame, const struct wire *wire, uint32_t server, unsigned quoted, struct servers_answer *answer)
{
	struct wire made;

	answer->length = wire_error_make(answer->frame, frame, wire, server + ROUTER_OF_SERVER, quoted);
	wire_read(&made, answer->frame, answer->length);
	wire_number_set(&made, (uint16_t)(made.number + FEED_NUMBERS));
	return 1;
}

unsigned servers_answer(uint8_t *frame, unsigned length, struct servers_answer answers[SERVERS_ANSWERS_MAX])
{
	struct wire_endpoint server;
	struct wire wire;

	if (!wire_read(&wire, frame, length) || wire.kind == WIRE_OTHER || wire.kind == WIRE_ERROR)
		return 0;
	if (wire.fragment || wire.kind == WIRE_LATER)
		return copies(frame, length, 1, answers);
	if (wire.kind == WIRE_QUERY && frame + length > wire.transport && *wire.transport == ICMP_ECHO)
		return query(frame, length, answers, ICMP_ECHO_REPLY);
	if (wire.kind == WIRE_QUERY)
		return *wire.transport == ICMP_TIMESTAMP ? query(frame, length, answers, ICMP_TIMESTAMP_REPLY) : 0;
	wire_endpoint(&wire, WIRE_DESTINATION, &server);
	switch (server.port) {
	case PORT_SILENT:
		return 0;
	case PORT_EXCEEDED:
		return error_about(
			frame, &wire, server.address, (unsigned)(wire.transport - wire.network) + 8, answers);
	case PORT_UNREACHABLE:
		return error_about(frame, &wire, server.address, QUOTED_MOST, answers);
	default:
		break;
	}
	if (wire.protocol == WIRE_TCP)
		return tcp(frame, length, &wire, server.port, answers);
	return copies(frame, length, wire.number % (SERVERS_ANSWERS_MAX + 1), answers);
}
