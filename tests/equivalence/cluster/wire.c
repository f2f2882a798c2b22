/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire.h"

#include <string.h>

#define ETHERNET_BYTES 14
#define IPV4_BYTES 20
#define IP_NUMBER 4
#define IP_FRAGMENT 6
#define IP_TIME_TO_LIVE 8
#define IP_CHECKSUM 10
#define IP_SOURCE 12
#define IP_DESTINATION 16
#define ICMP_CHECKSUM 2
#define ICMP_IDENTIFIER 4
#define ICMP_BYTES 8
#define TCP_FLAGS 12 /* with the header's length */

static uint16_t load16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint32_t load32(const uint8_t *bytes)
{
	return (uint32_t)load16(bytes) << 16 | load16(bytes + 2);
}

static void store16(uint8_t *bytes, uint16_t value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

static void store32(uint8_t *bytes, uint32_t value)
{
	store16(bytes, (uint16_t)(value >> 16));
	store16(bytes + 2, (uint16_t)value);
}

/* --- Checksums (RFC 1071, RFC 1624 equation 3) --- */

static uint16_t checksum(const uint8_t *bytes, unsigned length)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* A field's checksums, up to two; NULL: none. */
struct covered {
	uint8_t *by[2];
};

static void replace16(uint8_t *field, uint16_t value, struct covered covered)
{
	uint16_t old = load16(field);

	for (unsigned i = 0; i < 2; i++) {
		uint32_t sum;

		if (!covered.by[i])
			continue;
		sum = (uint32_t)(uint16_t)~load16(covered.by[i]) + (uint16_t)~old + value;
		while (sum >> 16)
			sum = (sum & 0xffff) + (sum >> 16);
		store16(covered.by[i], (uint16_t)~sum);
	}
	store16(field, value);
}

static void replace32(uint8_t *field, uint32_t value, struct covered covered)
{
	replace16(field, (uint16_t)(value >> 16), covered);
	replace16(field + 2, (uint16_t)value, covered);
}

/* Where the checksum over the pseudo header lies; NULL: there is none, or it is cut off. */
static uint8_t *transport_checksum(uint8_t protocol, uint8_t *transport, const uint8_t *end)
{
	uint8_t *field = transport + (protocol == WIRE_TCP ? 16 : 6);

	if ((protocol != WIRE_TCP && protocol != WIRE_UDP) || field + 2 > end)
		return NULL;
	return protocol == WIRE_UDP && !load16(field) ? NULL : field;
}

/* --- Reading --- */

static bool is_query(uint8_t type)
{
	return type == 0 || type == 8 || (type >= 13 && type <= 18);
}

static bool is_error(uint8_t type)
{
	return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static enum wire_kind icmp_kind(struct wire *wire)
{
	unsigned quoted_header;

	if (wire->end - wire->transport < ICMP_BYTES)
		return WIRE_OTHER;
	if (is_query(wire->transport[0]))
		return WIRE_QUERY;
	wire->quoted = wire->transport + ICMP_BYTES;
	if (!is_error(wire->transport[0]) || wire->end - wire->quoted < IPV4_BYTES)
		return WIRE_OTHER;
	quoted_header = (wire->quoted[0] & 15u) * 4;
	wire->quoted_transport = wire->quoted + quoted_header;
	return wire->end - wire->quoted_transport < 8 ? WIRE_OTHER : WIRE_ERROR;
}

static enum wire_kind kind_of(struct wire *wire)
{
	unsigned transport_bytes = wire->protocol == WIRE_TCP ? 20 : 8;

	if (load16(wire->network + IP_FRAGMENT) & 0x1fff)
		return WIRE_LATER;
	if (wire->protocol == WIRE_ICMP)
		return icmp_kind(wire);
	if ((wire->protocol != WIRE_TCP && wire->protocol != WIRE_UDP) || wire->end - wire->transport < transport_bytes)
		return WIRE_OTHER;
	if (wire->protocol == WIRE_TCP)
		wire->tcp_flags = wire->transport[TCP_FLAGS + 1];
	return WIRE_TRANSPORT;
}

bool wire_read(struct wire *wire, uint8_t *frame, unsigned length)
{
	unsigned offset = ETHERNET_BYTES - 2, header, total;

	*wire = (struct wire){ 0 };
	while (offset + 2 <= length && (load16(frame + offset) == 0x8100 || load16(frame + offset) == 0x88a8))
		offset += 4;
	if (offset + 2 + IPV4_BYTES > length || load16(frame + offset) != 0x0800 || frame[offset + 2] >> 4 != 4)
		return false;
	wire->network = frame + offset + 2;
	header = (wire->network[0] & 15u) * 4;
	total = load16(wire->network + 2);
	if (header < IPV4_BYTES || total < header || offset + 2 + total > length)
		return false;
	wire->transport = wire->network + header;
	wire->end = wire->network + total;
	wire->protocol = wire->network[9];
	wire->number = load16(wire->network + IP_NUMBER);
	wire->fragment = load16(wire->network + IP_FRAGMENT) & 0x3fff;
	wire->kind = kind_of(wire);
	return true;
}

bool wire_endpoint(const struct wire *wire, enum wire_end end, struct wire_endpoint *endpoint)
{
	const uint8_t *network = wire->network, *transport = wire->transport;

	if (wire->kind == WIRE_OTHER || wire->kind == WIRE_LATER)
		return false;
	endpoint->protocol = wire->protocol;
	if (wire->kind == WIRE_ERROR) {
		network = wire->quoted;
		transport = wire->quoted_transport;
		endpoint->protocol = network[9];
		end = end == WIRE_SOURCE ? WIRE_DESTINATION : WIRE_SOURCE;
	}
	endpoint->address = load32(network + (end == WIRE_SOURCE ? IP_SOURCE : IP_DESTINATION));
	if (endpoint->protocol == WIRE_ICMP)
		endpoint->port = load16(transport + ICMP_IDENTIFIER);
	else
		endpoint->port = load16(transport + (end == WIRE_SOURCE ? 0 : 2));
	return true;
}

/* --- Writing --- */

static void set_in_error(struct wire *wire, enum wire_end end, const struct wire_endpoint *endpoint)
{
	enum wire_end quoted_end = end == WIRE_SOURCE ? WIRE_DESTINATION : WIRE_SOURCE;
	uint8_t *check = transport_checksum(endpoint->protocol, wire->quoted_transport, wire->end);
	uint8_t *port = wire->quoted_transport + (quoted_end == WIRE_SOURCE ? 0 : 2);

	if (endpoint->protocol == WIRE_ICMP) {
		port = wire->quoted_transport + ICMP_IDENTIFIER;
		check = wire->quoted_transport + ICMP_CHECKSUM;
	}
	replace32(wire->quoted + (quoted_end == WIRE_SOURCE ? IP_SOURCE : IP_DESTINATION), endpoint->address,
		(struct covered){ { wire->quoted + IP_CHECKSUM, endpoint->protocol == WIRE_ICMP ? NULL : check } });
	replace16(port, endpoint->port, (struct covered){ { check } });
	store16(wire->transport + ICMP_CHECKSUM, 0);
	store16(wire->transport + ICMP_CHECKSUM, checksum(wire->transport, (unsigned)(wire->end - wire->transport)));
}

void wire_endpoint_set(struct wire *wire, enum wire_end end, const struct wire_endpoint *endpoint)
{
	uint8_t *address = wire->network + (end == WIRE_SOURCE ? IP_SOURCE : IP_DESTINATION);
	uint8_t *check =
		wire->kind == WIRE_TRANSPORT ? transport_checksum(wire->protocol, wire->transport, wire->end) : NULL;

	replace32(address, endpoint->address, (struct covered){ { wire->network + IP_CHECKSUM, check } });
	if (wire->kind == WIRE_TRANSPORT)
		replace16(
			wire->transport + (end == WIRE_SOURCE ? 0 : 2), endpoint->port, (struct covered){ { check } });
	else if (wire->kind == WIRE_QUERY)
		replace16(wire->transport + ICMP_IDENTIFIER, endpoint->port,
			(struct covered){ { wire->transport + ICMP_CHECKSUM } });
	else if (wire->kind == WIRE_ERROR)
		set_in_error(wire, end, endpoint);
}

void wire_number_set(struct wire *wire, uint16_t number)
{
	replace16(wire->network + IP_NUMBER, number, (struct covered){ { wire->network + IP_CHECKSUM } });
	wire->number = number;
}

void wire_tcp_flags_set(struct wire *wire, uint8_t flags)
{
	uint8_t *field = wire->transport + TCP_FLAGS;

	replace16(field, (uint16_t)(field[0] << 8 | flags),
		(struct covered){ { transport_checksum(WIRE_TCP, wire->transport, wire->end) } });
	wire->tcp_flags = flags;
}

void wire_icmp_type_set(struct wire *wire, uint8_t type)
{
	replace16(wire->transport, (uint16_t)(type << 8 | wire->transport[1]),
		(struct covered){ { wire->transport + ICMP_CHECKSUM } });
}

/* Sums do not depend on the order of their words, so that no checksum changes. */
void wire_reverse(struct wire *wire)
{
	uint32_t source = load32(wire->network + IP_SOURCE);

	store32(wire->network + IP_SOURCE, load32(wire->network + IP_DESTINATION));
	store32(wire->network + IP_DESTINATION, source);
	if (wire->kind == WIRE_TRANSPORT) {
		uint16_t port = load16(wire->transport);

		store16(wire->transport, load16(wire->transport + 2));
		store16(wire->transport + 2, port);
	}
}

unsigned wire_error_make(
	uint8_t *frame, const uint8_t *about_frame, const struct wire *about, uint32_t router, unsigned quoted_bytes)
{
	unsigned quoted = (unsigned)(about->end - about->network), head = (unsigned)(about->network - about_frame);
	uint8_t *network = frame + head, *icmp = network + IPV4_BYTES;

	if (quoted > quoted_bytes)
		quoted = quoted_bytes;
	memcpy(frame, about_frame, head);
	memset(network, 0, IPV4_BYTES + ICMP_BYTES);
	network[0] = 0x45;
	store16(network + 2, (uint16_t)(IPV4_BYTES + ICMP_BYTES + quoted));
	store16(network + IP_NUMBER, about->number);
	network[IP_TIME_TO_LIVE] = 60;
	network[9] = WIRE_ICMP;
	store32(network + IP_SOURCE, router);
	store32(network + IP_DESTINATION, load32(about->network + IP_SOURCE));
	store16(network + IP_CHECKSUM, checksum(network, IPV4_BYTES));
	icmp[0] = quoted_bytes < 100 ? 11 : 3; /* time exceeded, or destination unreachable */
	icmp[1] = quoted_bytes < 100 ? 0 : 1;
	memcpy(icmp + ICMP_BYTES, about->network, quoted);
	store16(icmp + ICMP_CHECKSUM, checksum(icmp, ICMP_BYTES + quoted));
	return head + IPV4_BYTES + ICMP_BYTES + quoted;
}
