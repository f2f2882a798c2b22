/* SPDX-License-Identifier: BSD-3-Clause */
/* From devargs to an ethdev port number: one that EAL has probed already, or one plugged in now. Control side only. */
#ifndef SHOAL_IO_ETHDEV_PROBE_H
#define SHOAL_IO_ETHDEV_PROBE_H

#include <shoal/types.h>

struct shoal_ethdev_probed {
	uint16_t id;
	bool plugged; /* by us: unplug takes it out again */
	uint64_t owner; /* ethdev's mark, so that nobody opens it twice */
};

/* 0, or a negative errno with a sentence in `error`: -EINVAL, -ENODEV, -ENETDOWN, -EPERM, -EBUSY, … */
SHOAL_MUST_USE int shoal_ethdev_probe(
	const char *devargs, struct shoal_ethdev_probed *probed, char *error, size_t error_bytes);
/* Stops the port and gives it up; one that was plugged in is gone then. */
void shoal_ethdev_unplug(const struct shoal_ethdev_probed *probed);

#endif
