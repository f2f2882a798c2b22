/* SPDX-License-Identifier: BSD-3-Clause */
/* The seam through which packets enter and leave: an ethdev port, a packet ring to the splitter, the generator, or the
 * simulator's port. */
#ifndef SHOAL_IO_PORT_H
#define SHOAL_IO_PORT_H

#include <shoal/packet.h>

struct shoal_port;

struct shoal_port_operations {
	/* Up to n packets, owned by the caller from then on. Each has mbuf, frame, length and port set (and, from a packet
	 * ring, steering_slot and what the splitter knows of fragments); it is not parsed yet. */
	unsigned (*receive)(struct shoal_port *port, struct shoal_packet *packets[], unsigned n, uint64_t now_ns);
	/* Takes ownership of the first k packets, and returns k; packet->port is the NF port to leave by. The caller keeps
	 * the others (and retries, or drops them under its own counter). */
	unsigned (*transmit)(struct shoal_port *port, struct shoal_packet *const packets[], unsigned n);
	/* Once for each poll, after all transmits: makes what was sent visible to the other end. */
	void (*flush)(struct shoal_port *port);
	void (*destroy)(struct shoal_port *port);
};

/* First member of every port's own structure. writer: the polling component, readers: control. */
struct shoal_port {
	const struct shoal_port_operations *operations;
	char name[SHOAL_NAME_BYTES];
	bool of_one; /* all packets that it gives have the same `port`: nobody need look at each */
	uint64_t received_packets, received_bytes;
	uint64_t transmitted_packets, transmitted_bytes;
	uint64_t dropped_no_buffer; /* the packet pool was empty */
	uint64_t dropped_malformed; /* a record that no splitter writes */
	uint64_t dropped_too_long; /* a frame that does not fit one mbuf */
};

/* Packets travel in mbufs of such a pool: private area of SHOAL_PACKET_PRIVATE_BYTES, one segment of `data_bytes`. The
 * caller owns the pool. NULL with errno. */
struct rte_mempool *shoal_packet_pool_create(const char *name, unsigned packets, unsigned data_bytes);
/* The sentence for whoever got none, with the errno that it got, and keeps: how much that is, and what to do. Returns
 * -errno. */
int shoal_packet_pool_refused(const char *owner, unsigned packets, unsigned data_bytes);
/* A packet with an empty frame of `length` bytes; NULL: pool empty. */
struct shoal_packet *shoal_packet_alloc(struct rte_mempool *pool, uint16_t length);
void shoal_packet_free(struct shoal_packet *packet);
/* The packet that lies in the private area of mbuf, with mbuf, frame and length set from it. */
struct shoal_packet *shoal_packet_from_mbuf(struct rte_mbuf *mbuf);

/* An ethdev port in EAL and devargs syntax: "net_af_packet0,iface=veth0", "0000:03:02.1". NULL with errno and a sentence
 * in `error` (missing, down, busy, not allowed). Waits up to 3 s for the link. */
struct shoal_port *shoal_ethdev_port_create(
	const char *devargs, uint8_t nf_port, struct rte_mempool *pool, char *error, size_t error_bytes);

#endif
