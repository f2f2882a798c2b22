/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/field_program.h"

#include <string.h>

#include "io/checksum.h"
#include "io/frame_inline.h"

#define TUPLE_PORT_RESTART 1025 /* of an unlimited tuple, after port 65535 */

/* High half first; bits 15 and 31 of each four bytes are never set. */
static uint64_t random_value(uint32_t *state, unsigned size)
{
	uint64_t high;

	if (size <= 2)
		return field_random15(state);
	if (size == 4) {
		high = (uint64_t)field_random15(state) << 16;
		return high + field_random15(state);
	}
	high = random_value(state, 4) << 32;
	return high + random_value(state, 4);
}

/* The range is a ring; all arithmetic is modulo 2^64, also where the value lies outside of the range. */
static bool ring_advance(struct field_variable *variable, bool increment)
{
	uint64_t left = increment ? variable->max - variable->value : variable->value - variable->min;
	bool wraps = left < variable->step;
	uint64_t value;

	if (increment)
		value = wraps ? variable->min + (variable->step - left - 1) : variable->value + variable->step;
	else
		value = wraps ? variable->max - (variable->step - left - 1) : variable->value - variable->step;
	variable->value = value & field_size_mask(variable->size);
	return wraps;
}

static bool list_advance(struct field_variable *variable, bool increment)
{
	uint32_t n = variable->values_count, step = (uint32_t)variable->step, index = variable->index;
	bool wraps = increment ? index < step : index + step >= n;

	variable->value = variable->values[index];
	variable->index = (increment ? index + step : index + n - step) % n;
	return wraps;
}

static void rand_limit_advance(struct field_variable *variable)
{
	if (variable->count == variable->limit) {
		variable->generator = variable->seed;
		variable->count = 0;
	}
	variable->value = variable->min + random_value(&variable->generator, variable->size) % variable->range;
	variable->count++;
}

static void tuple_advance(struct field_variable *address)
{
	struct field_variable *port = address + 1;

	if (!address->unlimited && address->limit && ++address->count > address->limit) {
		address->count = 1;
		address->value = address->min;
		port->value = port->min;
		return;
	}
	if (address->value != address->max) {
		address->value++;
		return;
	}
	address->value = address->min;
	if (address->unlimited)
		port->value = port->value == UINT16_MAX ? TUPLE_PORT_RESTART : port->value + 1;
	else
		port->value = port->value == port->max ? port->min : port->value + 1;
}

bool field_variable_advance(struct field_variable *variable, uint32_t *random)
{
	switch (variable->kind) {
	case FIELD_RING_INCREMENT:
	case FIELD_RING_DECREMENT:
		return ring_advance(variable, variable->kind == FIELD_RING_INCREMENT);
	case FIELD_LIST_INCREMENT:
	case FIELD_LIST_DECREMENT:
		return list_advance(variable, variable->kind == FIELD_LIST_INCREMENT);
	case FIELD_RANDOM:
		variable->value = variable->min + random_value(random, variable->size) % variable->range;
		return false;
	case FIELD_LIST_RANDOM:
		variable->value = variable->values[field_random15(random) % variable->values_count];
		return false;
	case FIELD_RAND_LIMIT:
		rand_limit_advance(variable);
		return false;
	case FIELD_TUPLE_ADDRESS:
		tuple_advance(variable);
		return false;
	default: /* a tuple's port advances with its address */
		return false;
	}
}

static void store(uint8_t *target, uint64_t value, unsigned width, bool big_endian)
{
	uint64_t raw = big_endian ? __builtin_bswap64(value << (64 - 8 * width)) : value;

	switch (width) {
	case 1:
		memcpy(target, &raw, 1);
		break;
	case 2:
		memcpy(target, &raw, 2);
		break;
	case 4:
		memcpy(target, &raw, 4);
		break;
	default:
		memcpy(target, &raw, 8);
		break;
	}
}

static uint32_t load(const uint8_t *source, unsigned width, bool big_endian)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < width; i++)
		value |= (uint32_t)source[i] << 8 * (big_endian ? width - 1 - i : i);
	return value;
}

static void write_mask(const struct field_operation *operation, uint64_t value, uint8_t *frame)
{
	uint8_t *target = frame + operation->offset;
	uint32_t old = load(target, operation->width, operation->big_endian);
	uint32_t new = (uint32_t)value + (uint32_t)operation->add;

	new = operation->shift >= 0 ? new << operation->shift : new >> -operation->shift;
	store(target, (old & ~operation->mask) | (new & operation->mask), operation->width, operation->big_endian);
}

/* Bytes from the transport header to the end of the IP packet, as its header says; 0 where that can't be. */
static size_t segment_bytes(const uint8_t *network, size_t network_room, size_t header_bytes)
{
	bool ipv6 = network[0] >> 4 == 6;
	size_t packet;

	if (network_room < (ipv6 ? SHOAL_IPV6_BYTES : SHOAL_IPV4_BYTES))
		return 0;
	packet =
		ipv6 ? SHOAL_IPV6_BYTES + (size_t)shoal_frame_number16(network + 4) : shoal_frame_number16(network + 2);
	return packet <= network_room && packet > header_bytes ? packet - header_bytes : 0;
}

static void fix_transport(const struct field_operation *operation, uint8_t *frame, size_t frame_bytes)
{
	uint8_t *network = frame + operation->offset, *transport = frame + operation->transport_offset;
	size_t header_bytes = operation->transport_offset - operation->offset;
	size_t length = segment_bytes(network, frame_bytes - operation->offset, header_bytes);
	int field = shoal_checksum_field_offset(operation->protocol);

	if (length >= (size_t)field + 2)
		shoal_frame_store16(transport + field,
			shoal_checksum_transport(network, transport, (uint16_t)length, operation->protocol));
}

static void fix_checksum(const struct field_operation *operation, uint8_t *frame, size_t frame_bytes)
{
	uint8_t *network = frame + operation->offset;
	size_t header_bytes = (network[0] & 0xfu) * 4;

	if (operation->kind != FIELD_CHECKSUM_ICMPV6 && network[0] >> 4 != 6 && header_bytes >= SHOAL_IPV4_BYTES &&
		header_bytes <= frame_bytes - operation->offset)
		shoal_frame_store16(network + 10, shoal_checksum_ipv4_header(network));
	if (operation->protocol)
		fix_transport(operation, frame, frame_bytes);
}

static void operation_run(const struct shoal_field_program *program, const struct field_operation *operation,
	uint8_t *frame, uint32_t *length)
{
	uint64_t value = operation->variable == FIELD_VARIABLE_NONE ? 0 : program->variables[operation->variable].value;

	switch (operation->kind) {
	case FIELD_WRITE:
		store(frame + operation->offset, value + operation->add, operation->width, operation->big_endian);
		break;
	case FIELD_WRITE_MASK:
		write_mask(operation, value, frame);
		break;
	case FIELD_TRIM:
		*length = value < program->frame_bytes ? (uint32_t)value : program->frame_bytes;
		break;
	default:
		fix_checksum(operation, frame, program->frame_bytes);
		break;
	}
}

uint32_t shoal_field_program_run(struct shoal_field_program *program, uint8_t *frame)
{
	uint32_t length = program->frame_bytes, next = 0;

	while (next < program->operations_count) {
		const struct field_operation *operation = &program->operations[next++];
		struct field_variable *variable;

		if (operation->kind != FIELD_ADVANCE) {
			operation_run(program, operation, frame, &length);
			continue;
		}
		variable = &program->variables[operation->variable];
		if (!field_variable_advance(variable, &program->random) && variable->chained)
			next = operation->chain_end;
	}
	return length;
}

void shoal_field_program_reset(struct shoal_field_program *program)
{
	memcpy(program->variables, program->initial, program->variables_count * sizeof(*program->variables));
	program->random = program->random_initial;
}
