/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's network interfaces, and files, that a virtual port's devargs name: DPDK's drivers say nothing useful when
 * one of them is missing, down or not for us. Control side only. */
#ifndef SHOAL_IO_KERNEL_INTERFACE_H
#define SHOAL_IO_KERNEL_INTERFACE_H

#include <shoal/types.h>

/* Looks at all that devargs name. 0, or a negative errno with a sentence in `error`: -ENODEV (no such interface), -ENETDOWN
 * (interface down), -EPERM (no right to raw sockets), -EINVAL (arguments that are no key=value list), or what opening a
 * capture file gave. Devargs that name no interface and no file are good. */
SHOAL_MUST_USE int shoal_kernel_interfaces_check(const char *devargs, char *error, size_t error_bytes);
/* Whether each interface that devargs name has a link (its peer is up, its cable plugged). */
bool shoal_kernel_interfaces_linked(const char *devargs);

#endif
