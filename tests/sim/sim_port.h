/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated port: packets that the world makes come in, and leave into the world's books. */
#ifndef SIM_PORT_H
#define SIM_PORT_H

#include "io/port.h"
#include "sim_operation.h"

struct sim_world;

#define SIM_PORT_ROOM 4096

struct sim_port {
	struct shoal_port port; /* first */
	struct sim_world *world;
	struct shoal_packet *input[SIM_PORT_ROOM];
	uint32_t head, tail; /* of input; only grow */
	unsigned full_percent; /* of transmits that take only a part */
	struct sim_random stale; /* what packets bring along from an earlier use */
};

/* What a packet carries: what its handler shall do. */
struct sim_load {
	uint32_t flow;
	uint32_t sequence; /* 1, 2, 3 … of its flow */
	uint16_t verdict; /* of the last pass */
	uint8_t passes; /* left: each but the last enters again at the other port */
	uint8_t to_handler; /* the burst handler leaves it to the packet handler */
	struct sim_operation operation;
};

void sim_port_init(struct sim_port *port, struct sim_world *world, unsigned full_percent);
/* Frees what has not been taken. */
void sim_port_fini(struct sim_port *port);
/* Makes a packet for that NF port and puts it into its input. False: no room, or no packet. */
bool sim_port_feed(struct sim_port *port, uint8_t nf_port, uint8_t steering_slot, const struct sim_load *load);
/* The load of a packet of the world's. */
struct sim_load *sim_packet_load(const struct shoal_packet *packet);

#endif
