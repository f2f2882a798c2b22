/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SHOAL_NAT_HANDLER_H
#define SHOAL_NAT_HANDLER_H

#include <shoal/nf.h>

/* struct shoal_nf's `packet`. */
uint16_t nat_packet(struct shoal_context *context, struct shoal_packet *packet, const void *key) SHOAL_MAY_SUSPEND;

#endif
