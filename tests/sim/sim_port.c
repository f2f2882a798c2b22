/* SPDX-License-Identifier: BSD-3-Clause */
#include "object/map_inline.h"
#include "sim_world.h"
#include <string.h>

#define ETHERNET 14
#define HEADERS (ETHERNET + 20 + 8)
#define FRAME_BYTES (HEADERS + sizeof(struct sim_load))

static struct sim_port *port_of(struct shoal_port *port)
{
	return (struct sim_port *)port;
}

static unsigned receive(struct shoal_port *base, struct shoal_packet *packets[], unsigned n, uint64_t now_ns)
{
	struct sim_port *port = port_of(base);
	unsigned taken = 0;

	(void)now_ns;
	while (taken < n && port->head != port->tail)
		packets[taken++] = port->input[port->head++ % SIM_PORT_ROOM];
	base->received_packets += taken;
	return taken;
}

static unsigned transmit(struct shoal_port *base, struct shoal_packet *const packets[], unsigned n)
{
	struct sim_port *port = port_of(base);

	if (sim_random_chance(&port->world->random, port->full_percent))
		n = (unsigned)sim_random_below(&port->world->random, n + 1);
	for (unsigned i = 0; i < n; i++) {
		sim_traffic_left(port->world, sim_packet_load(packets[i]));
		shoal_packet_free(packets[i]);
	}
	base->transmitted_packets += n;
	return n;
}

static void flush(struct shoal_port *base)
{
	(void)base;
}

static void destroy(struct shoal_port *base)
{
	(void)base; /* lies in the world */
}

static const struct shoal_port_operations operations = {
	.receive = receive, .transmit = transmit, .flush = flush, .destroy = destroy
};

void sim_port_init(struct sim_port *port, struct sim_world *world, unsigned full_percent)
{
	*port = (struct sim_port){
		.port = { .operations = &operations },
		.world = world,
		.full_percent = full_percent,
		.stale = { world->settings.seed * 131 },
	};
}

void sim_port_fini(struct sim_port *port)
{
	while (port->head != port->tail)
		shoal_packet_free(port->input[port->head++ % SIM_PORT_ROOM]);
}

static void store16(uint8_t *bytes, unsigned value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

static void store_headers(uint8_t *frame, uint32_t flow, uint8_t steering_slot)
{
	uint8_t *network = frame + ETHERNET, *udp = network + 20;

	memset(frame, 0, HEADERS);
	store16(frame + 12, 0x0800);
	network[0] = 0x45;
	store16(network + 2, FRAME_BYTES - ETHERNET);
	network[8] = 64;
	network[9] = 17;
	store16(network + 12, 0x0a00);
	store16(network + 14, flow);
	store16(network + 16, 0xc633);
	store16(network + 18, 1);
	store16(udp, 0x4000u | steering_slot);
	store16(udp + 2, 53);
	store16(udp + 4, FRAME_BYTES - ETHERNET - 20);
}

/* A packet's memory has been another packet's: what lies there is drawn, so that a seed is the same whatever ran before it. It looks
 * like another flow's, for that is what it was. */
static void write_stale(struct sim_port *port, uint8_t nf_port, struct shoal_packet *packet)
{
	const struct sim_world *world = port->world;
	const struct sim_member *member = world->members[sim_random_below(&port->stale, 4)];
	unsigned class = nf_port ? SIM_ACCOUNT : SIM_SESSION;

	packet->hash = sim_random_next(&port->stale);
	packet->entry = (uint32_t)sim_random_below(&port->stale, 3);
	packet->traffic = 1;
	packet->arrival = sim_random_below(&port->stale, 64);
	packet->arrived_ns = sim_random_below(&port->stale, world->now_ns + 1);
	packet->verdict = (uint16_t)sim_random_next(&port->stale);
	sim_key_write(class, (unsigned)sim_random_below(&port->stale, SIM_FLOWS_MAX), packet->key);
	if (member)
		packet->candidate = shoal_map_find(&member->space->maps[class], packet->key,
			shoal_map_hash(&member->space->maps[class], packet->key));
}

bool sim_port_feed(struct sim_port *port, uint8_t nf_port, uint8_t steering_slot, const struct sim_load *load)
{
	struct shoal_packet *packet;

	if (port->tail - port->head == SIM_PORT_ROOM)
		return false;
	packet = shoal_packet_alloc(sim_traffic_pool, FRAME_BYTES);
	if (!packet)
		return false;
	write_stale(port, nf_port, packet);
	packet->port = nf_port;
	store_headers(packet->frame, load->flow, steering_slot);
	memcpy(packet->frame + HEADERS, load, sizeof(*load));
	port->input[port->tail++ % SIM_PORT_ROOM] = packet;
	return true;
}

struct sim_load *sim_packet_load(const struct shoal_packet *packet)
{
	return (struct sim_load *)(void *)(packet->frame + HEADERS);
}
