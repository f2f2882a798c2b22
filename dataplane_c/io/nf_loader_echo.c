/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: the smallest NF. It steers by the low byte of the inside port, and sends each packet to the other port. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shoal/nf.h>

#ifndef ECHO_ABI
#define ECHO_ABI SHOAL_NF_ABI
#endif

struct echo_flow {
	uint32_t packets;
};

static const struct shoal_class flow_class = {
	.name = "echo.flow", .key_bytes = 4, .object_bytes = sizeof(struct echo_flow)
};
static const struct shoal_class *const classes[] = { &flow_class };

static uint8_t steer_inside(const struct shoal_packet *packet)
{
	return (uint8_t)(packet->tuple.source_port >> 8); /* network order: the low byte of the number */
}

static uint8_t steer_outside(const struct shoal_packet *packet)
{
	return (uint8_t)(packet->tuple.destination_port >> 8);
}

static uint32_t keys(const struct shoal_context *context, struct shoal_packet *const packets[], unsigned n, void *out)
{
	(void)context;
	for (unsigned i = 0; i < n; i++)
		memcpy((uint8_t *)out + 4 * (size_t)i, &packets[i]->tuple.source_address, 4);
	return n == 32 ? UINT32_MAX : (1u << n) - 1;
}

static void *create(void)
{
	return calloc(1, sizeof(int));
}

static int configure(void *nf_state, const char *name, const char *value, char *error, size_t error_bytes)
{
	(void)nf_state;
	if (strcmp(name, "greeting") == 0 && value[0] != 0)
		return 0;
	snprintf(error, error_bytes, "echo has no setting %s, or not with value \"%s\"", name, value);
	return -EINVAL;
}

static int init(void *nf_state, char *error, size_t error_bytes)
{
	(void)nf_state, (void)error, (void)error_bytes;
	return 0;
}

static void process(
	struct shoal_context *context, struct shoal_packet *const packets[], void *const objects[], unsigned n)
{
	(void)context;
	for (unsigned i = 0; i < n; i++) {
		((struct echo_flow *)objects[i])->packets++;
		packets[i]->verdict = SHOAL_TRANSMIT(1 - packets[i]->port);
	}
}

static uint16_t packet_handler(struct shoal_context *context, struct shoal_packet *packet, const void *key)
{
	(void)context, (void)key;
	return SHOAL_TRANSMIT(1 - packet->port);
}

static const struct shoal_nf_port ports[] = {
	{ .name = "inside", .steer = steer_inside, .declared = &flow_class, .keys = keys },
	{ .name = "outside", .steer = steer_outside, .declared = &flow_class, .keys = keys },
};

const struct shoal_nf shoal_nf = { .abi = ECHO_ABI,
	.name = "echo",
	.version = "1",
	.classes = classes,
	.classes_count = 1,
	.ports = ports,
	.ports_count = 2,
	.create = create,
	.configure = configure,
	.init = init,
	.destroy = free,
	.process = process,
	.packet = packet_handler };
