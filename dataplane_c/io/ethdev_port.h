/* SPDX-License-Identifier: BSD-3-Clause */
/* What an ethdev port tells beyond a port's own counters; shoal_ethdev_port_create is in io/port.h. */
#ifndef SHOAL_IO_ETHDEV_PORT_H
#define SHOAL_IO_ETHDEV_PORT_H

#include "io/port.h"

/* Packets that the device lost since it was created: no room in its receive queue, no mbuf to put one into. Any thread.
 * 0s where the driver does not count. */
void shoal_ethdev_port_missed(const struct shoal_port *port, uint64_t *imissed, uint64_t *nombuf);
/* Packets that the device received damaged, and that it failed to send after it had taken them. Any thread. */
void shoal_ethdev_port_errors(const struct shoal_port *port, uint64_t *received, uint64_t *sent);

#endif
