/* SPDX-License-Identifier: BSD-3-Clause */
/* A real EAL with a packet pool, and ports on it, for tests of ports. */
#ifndef SHOAL_IO_MADE_PORT_H
#define SHOAL_IO_MADE_PORT_H

#include <errno.h>
#include <rte_mbuf.h>

#include <shoal/dataplane.h>

#include "io/made_frame.h"
#include "io/port.h"

#define MADE_PORT_PACKETS 4095
#define MADE_PORT_DATA_BYTES 2048

static struct rte_mempool *made_pool;
static char made_error[512];

static inline int made_pool_set_up(const char *file_prefix)
{
	const char *const arguments[] = { "port_test", "--no-huge", "-m", "128", "--no-pci", "--no-telemetry",
		"--no-shconf", "--file-prefix", file_prefix };

	if (shoal_eal_start(sizeof(arguments) / sizeof(arguments[0]), arguments))
		return -1;
	made_pool = shoal_packet_pool_create("packets", MADE_PORT_PACKETS, MADE_PORT_DATA_BYTES);
	return made_pool ? 0 : -1;
}

static inline int made_pool_tear_down(void **state)
{
	rte_mempool_free(made_pool);
	shoal_eal_stop();
	return 0;
}

/* UDP from port `number`, of a length that depends on it. */
static inline void made_udp_frame(struct made_frame *frame, uint16_t number)
{
	made_ethernet(frame, SHOAL_ETHER_IPV4);
	made_ipv4(frame, SHOAL_PROTOCOL_UDP, 0, 0);
	made_udp(frame, number, 53, (uint16_t)(100 + number % 400));
	made_finish(frame);
}

static inline struct shoal_packet *made_packet(const struct made_frame *frame)
{
	struct shoal_packet *packet = shoal_packet_alloc(made_pool, frame->length);

	assert_non_null(packet);
	memcpy(packet->frame, frame->bytes, frame->length);
	return packet;
}

static inline struct shoal_port *made_port(const char *devargs)
{
	struct shoal_port *port = shoal_ethdev_port_create(devargs, 3, made_pool, made_error, sizeof(made_error));

	if (!port)
		fail_msg("%s", made_error);
	return port;
}

/* Every packet must be back in the pool. */
static inline void made_port_close(struct shoal_port *port)
{
	port->operations->destroy(port);
	assert_int_equal(rte_mempool_avail_count(made_pool), MADE_PORT_PACKETS);
}

/* The sentence must name the port and say what is wrong. */
static inline void made_port_refused(const char *devargs, int number, const char *words)
{
	errno = 0;
	made_error[0] = 0;
	assert_null(shoal_ethdev_port_create(devargs, 0, made_pool, made_error, sizeof(made_error)));
	if (errno != number || !strstr(made_error, words))
		fail_msg("\"%s\": errno %d, \"%s\"; not %d, \"…%s…\"", devargs, errno, made_error, number, words);
	assert_int_equal(strncmp(made_error, "port ", 5), 0);
	assert_true(strlen(devargs) > 40 || strstr(made_error, devargs));
}

#endif
