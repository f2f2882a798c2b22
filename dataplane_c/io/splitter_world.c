/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_mempool.h>

#include "io/splitter_world.h"

#define POOL_PACKETS 16383
#define NETWORK 14
#define TRANSPORT 34
#define FRAME_BYTES 60

struct rte_mempool *world_pool;

/* --- The NF ------------------------------------------------------------------------------------------------------- */

static uint8_t steer_inside(const struct shoal_packet *packet)
{
	return (uint8_t)ntohs(packet->tuple.source_port);
}

static uint8_t steer_outside(const struct shoal_packet *packet)
{
	return (uint8_t)ntohs(packet->tuple.destination_port);
}

/* The splitter calls nothing else of an NF: these are here because an NF has them. */
static uint32_t no_keys(
	const struct shoal_context *context, struct shoal_packet *const packets[], unsigned n, void *keys)
{
	(void)context, (void)packets, (void)n, (void)keys;
	return 0;
}

static void *nf_create(void)
{
	return &world_pool;
}

static int nf_configure(void *nf_state, const char *name, const char *value, char *error, size_t error_bytes)
{
	(void)nf_state, (void)name, (void)value, (void)error, (void)error_bytes;
	return 0;
}

static int nf_init(void *nf_state, char *error, size_t error_bytes)
{
	(void)nf_state, (void)error, (void)error_bytes;
	return 0;
}

static void nf_destroy(void *nf_state)
{
	(void)nf_state;
}

static void nf_process(
	struct shoal_context *context, struct shoal_packet *const packets[], void *const objects[], unsigned n)
{
	(void)context, (void)packets, (void)objects, (void)n;
}

static uint16_t nf_packet(struct shoal_context *context, struct shoal_packet *packet, const void *key)
{
	(void)context, (void)key;
	return SHOAL_TRANSMIT(1 - packet->port);
}

static const struct shoal_class flow_class = { .name = "world.flow", .key_bytes = 4, .object_bytes = 4 };
static const struct shoal_class *const classes[] = { &flow_class };
static const struct shoal_nf_port nf_ports[] = {
	{ .name = "inside", .steer = steer_inside, .declared = &flow_class, .keys = no_keys },
	{ .name = "outside", .steer = steer_outside, .declared = &flow_class, .keys = no_keys },
};
const struct shoal_nf world_nf = {
	.abi = SHOAL_NF_ABI,
	.name = "world",
	.version = "1",
	.classes = classes,
	.classes_count = 1,
	.ports = nf_ports,
	.ports_count = WORLD_PORTS,
	.create = nf_create,
	.configure = nf_configure,
	.init = nf_init,
	.destroy = nf_destroy,
	.process = nf_process,
	.packet = nf_packet,
};

/* --- Frames ------------------------------------------------------------------------------------------------------- */

static void store16(uint8_t *bytes, unsigned value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

uint8_t world_slot_of(unsigned flow)
{
	return (uint8_t)(flow * 37);
}

bool world_flow_reenters(unsigned flow)
{
	return flow % 4 == 2;
}

/* Ports of a flow: the steering slot is in the low byte of the inside one's source, the outside one's destination. */
static void store_ports(uint8_t *transport, unsigned flow)
{
	store16(transport + (flow % 2 == 0 ? 0 : 2), 0x4000 | world_slot_of(flow));
	store16(transport + (flow % 2 == 0 ? 2 : 0), 9000);
}

static struct shoal_packet *frame_make(unsigned flow, uint16_t identification, unsigned fragment_word)
{
	struct shoal_packet *packet = shoal_packet_alloc(world_pool, FRAME_BYTES);
	uint8_t *frame, *network;

	assert_non_null(packet);
	frame = packet->frame;
	memset(frame, 0, FRAME_BYTES);
	store16(frame + 12, 0x0800);
	network = frame + NETWORK;
	network[0] = 0x45;
	store16(network + 2, FRAME_BYTES - NETWORK - 2); /* 24 bytes of payload, two of padding */
	store16(network + 4, identification);
	store16(network + 6, fragment_word);
	network[8] = 64;
	network[9] = 17;
	store16(network + 12, 0x0a00);
	store16(network + 14, flow);
	store16(network + 16, 0xc633);
	store16(network + 18, 1);
	if ((fragment_word & 0x1fff) == 0) {
		store_ports(frame + TRANSPORT, flow);
		store16(frame + TRANSPORT + 4, 24);
	}
	return packet;
}

/* Behind the UDP header, where there is one. */
static uint8_t *number_of(uint8_t *frame)
{
	bool later = (frame[NETWORK + 6] & 0x1f) != 0 || frame[NETWORK + 7] != 0;

	return frame + TRANSPORT + (later ? 0 : 8);
}

static void enqueue(struct world *world, unsigned index, struct shoal_packet *packet)
{
	struct world_port *port = &world->ports[index];

	assert_true(port->tail - port->head < WORLD_QUEUE);
	packet->port = (uint8_t)index;
	port->input[port->tail++ % WORLD_QUEUE] = packet;
	world->fed++;
}

static uint32_t feed(struct world *world, unsigned flow, struct shoal_packet *packet)
{
	uint32_t number = world->packets_count++;

	assert_true(number < WORLD_PACKETS);
	memcpy(number_of(packet->frame), &number, sizeof(number));
	world->packets[number] = (struct world_packet){ .flow = (uint16_t)flow };
	enqueue(world, flow % 2, packet);
	return number;
}

static void place(struct world *world, uint32_t number)
{
	struct world_packet *packet = &world->packets[number];

	packet->position = world->flow_length[packet->flow]++;
}

uint32_t world_feed(struct world *world, unsigned flow)
{
	uint32_t number = feed(world, flow, frame_make(flow, 0, 0));

	place(world, number);
	return number;
}

uint32_t world_feed_fragment(struct world *world, unsigned flow, uint16_t identification,
	struct world_datagram *datagram, enum world_fragment fragment)
{
	static const unsigned words[] = { [WORLD_FIRST] = 0x2000, [WORLD_MIDDLE] = 0x2003, [WORLD_LAST] = 0x0006 };
	uint32_t number = feed(world, flow, frame_make(flow, identification, words[fragment]));

	if (fragment != WORLD_FIRST && !datagram->first_fed) {
		assert_true(datagram->early < 4);
		datagram->early_numbers[datagram->early++] = number;
		return number;
	}
	place(world, number);
	if (fragment == WORLD_FIRST) {
		datagram->first_fed = true;
		for (unsigned i = 0; i < datagram->early; i++)
			place(world, datagram->early_numbers[i]);
		datagram->early = 0;
	}
	return number;
}

void world_feed_raw(struct world *world, unsigned port, const uint8_t *frame, uint16_t length)
{
	struct shoal_packet *packet = shoal_packet_alloc(world_pool, length);

	assert_non_null(packet);
	memcpy(packet->frame, frame, length);
	enqueue(world, port, packet);
}

/* --- Ports -------------------------------------------------------------------------------------------------------- */

static unsigned port_receive(struct shoal_port *base, struct shoal_packet *packets[], unsigned n, uint64_t now_ns)
{
	struct world_port *port = (struct world_port *)(void *)base;
	unsigned count = 0;

	(void)now_ns;
	for (; count < n && port->head != port->tail; count++)
		packets[count] = port->input[port->head++ % WORLD_QUEUE];
	base->received_packets += count;
	return count;
}

static void left(struct world *world, const struct shoal_packet *packet)
{
	uint32_t number;
	struct world_packet *known;

	memcpy(&number, number_of(packet->frame), sizeof(number));
	assert_true(number < world->packets_count);
	known = &world->packets[number];
	assert_false(known->left); /* never twice */
	known->left = true;
	if (known->position < world->flow_next[known->flow])
		world->disorder++;
	world->flow_next[known->flow] = known->position + 1;
	assert_int_equal(
		packet->port, known->flow % 2 == 0 && !world_flow_reenters(known->flow) ? WORLD_OUTSIDE : WORLD_INSIDE);
}

static unsigned port_transmit(struct shoal_port *base, struct shoal_packet *const packets[], unsigned n)
{
	struct world_port *port = (struct world_port *)(void *)base;
	unsigned taken = n < port->room ? n : port->room;

	for (unsigned i = 0; i < taken; i++) {
		left(port->world, packets[i]);
		shoal_packet_free(packets[i]);
	}
	port->room -= taken;
	port->world->left += taken;
	port->world->left_by[port - port->world->ports] += taken;
	base->transmitted_packets += taken;
	return taken;
}

static void port_flush(struct shoal_port *base)
{
	(void)base;
}

static void port_destroy(struct shoal_port *base)
{
	struct world_port *port = (struct world_port *)(void *)base;

	for (; port->head != port->tail; port->head++)
		shoal_packet_free(port->input[port->head % WORLD_QUEUE]);
}

static const struct shoal_port_operations port_operations = {
	.receive = port_receive, .transmit = port_transmit, .flush = port_flush, .destroy = port_destroy
};

/* --- Life --------------------------------------------------------------------------------------------------------- */

int world_start(void **state)
{
	static char prefix[48];
	const char *arguments[] = { "splitter-test", "--no-huge", "-m", "128", "--no-pci", "--no-telemetry",
		"--no-shconf", "--file-prefix", prefix };

	(void)state;
	snprintf(prefix, sizeof(prefix), "splitter-test-%d", (int)getpid());
	if (shoal_eal_start(sizeof(arguments) / sizeof(arguments[0]), arguments) != 0)
		return -1;
	world_pool = shoal_packet_pool_create("world", POOL_PACKETS, 256);
	return world_pool != NULL ? 0 : -1;
}

int world_stop(void **state)
{
	(void)state;
	rte_mempool_free(world_pool);
	shoal_eal_stop();
	return 0;
}

void world_create(struct world *world, uint64_t seed, uint32_t parked_max, uint32_t fragments_max)
{
	struct shoal_splitter_setup setup = {
		.nf = &world_nf, .parked_max = parked_max, .fragments_max = fragments_max, .hash_seed = seed
	};

	memset(world, 0, sizeof(*world));
	world->random = seed * 0x9e3779b97f4a7c15 + 1;
	world->ring_bytes = 1 << 16;
	world->splitter = malloc(sizeof(*world->splitter));
	world->packets = calloc(WORLD_PACKETS, sizeof(*world->packets));
	assert_non_null(world->splitter);
	assert_non_null(world->packets);
	assert_int_equal(shoal_splitter_init(world->splitter, &setup), 0);
	for (unsigned i = 0; i < WORLD_PORTS; i++) {
		world->ports[i].port.operations = &port_operations;
		world->ports[i].world = world;
		world->ports[i].room = UINT32_MAX;
		assert_int_equal(shoal_splitter_port_add(world->splitter, (uint8_t)i, &world->ports[i].port), 0);
	}
}

void world_destroy(struct world *world)
{
	for (unsigned i = 0; i < WORLD_MEMBERS; i++)
		if (world->instances[i].ring != NULL)
			world_instance_end(world, &world->instances[i]);
	shoal_splitter_fini(world->splitter);
	assert_int_equal(rte_mempool_in_use_count(world_pool), 0); /* no packet leaked */
	free(world->splitter);
	free(world->packets);
}

uint64_t world_random(struct world *world, uint64_t below)
{
	world->random ^= world->random << 13;
	world->random ^= world->random >> 7;
	world->random ^= world->random << 17;
	return (world->random >> 11) % below;
}
