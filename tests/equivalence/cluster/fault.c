/* SPDX-License-Identifier: BSD-3-Clause */
#include "fault.h"

#include <string.h>

enum fault_kind fault_kind_find(const char *name)
{
	static const char *const names[FAULT_KINDS] = { [FAULT_NONE] = "none",
		[FAULT_DROP] = "drop",
		[FAULT_COPY] = "copy",
		[FAULT_SWAP] = "swap",
		[FAULT_PAYLOAD] = "payload",
		[FAULT_CHECKSUM] = "checksum",
		[FAULT_MAPPING] = "mapping",
		[FAULT_DELIVERY] = "delivery" };
	enum fault_kind kind;

	for (kind = FAULT_NONE; kind < FAULT_KINDS && strcmp(names[kind], name); kind++)
		;
	return kind;
}

uint8_t fault_port(enum fault_kind kind)
{
	return kind == FAULT_DELIVERY || kind == FAULT_COPY ? 0 : 1;
}

static bool can_be_struck(struct wire *wire, uint8_t *frame, unsigned length)
{
	return wire_read(wire, frame, length) && wire->kind == WIRE_TRANSPORT && wire->protocol == WIRE_UDP &&
	       !wire->fragment && wire->end - wire->transport > 8;
}

static bool same_flow(const struct wire *a, const struct wire *b)
{
	for (enum wire_end end = WIRE_SOURCE; end <= WIRE_DESTINATION; end++) {
		struct wire_endpoint of_a, of_b;

		if (!wire_endpoint(a, end, &of_a) || !wire_endpoint(b, end, &of_b) ||
			!wire_endpoint_equal(&of_a, &of_b))
			return false;
	}
	return true;
}

static void move_end(struct wire *wire, enum wire_end end, uint32_t address_step, uint16_t port_step)
{
	struct wire_endpoint endpoint;

	wire_endpoint(wire, end, &endpoint);
	endpoint.address += address_step;
	endpoint.port = (uint16_t)(endpoint.port + port_step);
	wire_endpoint_set(wire, end, &endpoint);
}

/* Two words change by as much in opposite directions: no checksum sees it. */
static void change_payload(struct wire *wire)
{
	uint8_t *payload = wire->transport + 8;

	payload[1] ^= 1;
	payload[3] = (uint8_t)(payload[3] + (payload[1] & 1 ? -1 : 1));
}

static void hold(struct fault *fault, const uint8_t *frame, unsigned length)
{
	memcpy(fault->held, frame, length);
	fault->held_length = length;
}

static void strike(
	struct fault *fault, struct wire *wire, uint8_t *frame, unsigned length, fault_emit *emit, void *user)
{
	fault->struck = true;
	switch (fault->kind) {
	case FAULT_DROP:
		return;
	case FAULT_SWAP:
		hold(fault, frame, length);
		return;
	case FAULT_COPY:
		emit(user, frame, length);
		break;
	case FAULT_PAYLOAD:
		change_payload(wire);
		break;
	case FAULT_CHECKSUM:
		wire->transport[6] ^= 0x55;
		break;
	case FAULT_MAPPING:
		move_end(wire, WIRE_SOURCE, 0, 256);
		break;
	case FAULT_DELIVERY:
		move_end(wire, WIRE_DESTINATION, 1, 0);
		break;
	default:
		break;
	}
	emit(user, frame, length);
}

static void release_behind(struct fault *fault, const struct wire *wire, fault_emit *emit, void *user)
{
	struct wire held;

	if (!wire_read(&held, fault->held, fault->held_length) || !same_flow(&held, wire))
		return;
	emit(user, fault->held, fault->held_length);
	fault->held_length = 0;
}

/* A mapping's only packet could as well have another port: nothing would contradict it. */
static bool is_due(struct fault *fault, const struct wire *wire, const uint8_t *frame, unsigned length)
{
	struct wire before;

	if (fault->before_length)
		return wire_read(&before, fault->before, fault->before_length) && same_flow(&before, wire);
	if (fault->countdown) {
		fault->countdown--;
		return false;
	}
	if (fault->kind != FAULT_MAPPING)
		return true;
	memcpy(fault->before, frame, length);
	fault->before_length = length;
	return false;
}

void fault_apply(struct fault *fault, uint8_t *frame, unsigned length, fault_emit *emit, void *user)
{
	struct wire wire;
	bool candidate = fault->kind != FAULT_NONE && can_be_struck(&wire, frame, length);

	if (candidate && !fault->struck && is_due(fault, &wire, frame, length)) {
		strike(fault, &wire, frame, length, emit, user);
		return;
	}
	emit(user, frame, length);
	if (candidate && fault->held_length)
		release_behind(fault, &wire, emit, user);
}

void fault_release(struct fault *fault, fault_emit *emit, void *user)
{
	if (!fault->held_length)
		return;
	emit(user, fault->held, fault->held_length);
	fault->held_length = 0;
	fault->struck = false;
	fault->countdown = 0;
}
