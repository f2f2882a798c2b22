/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SHOAL_NAT_PORTS_TASK_H
#define SHOAL_NAT_PORTS_TASK_H

#include <shoal/nf.h>

/* Control task "ports ADDRESS PROTOCOL": ports taken of one public address, and of its fullest steering slot. */
int nat_ports_task(
	struct shoal_context *context, const char *arguments, char *reply, size_t reply_bytes) SHOAL_MAY_SUSPEND;

#endif
