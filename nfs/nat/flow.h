/* SPDX-License-Identifier: BSD-3-Clause */
/* Which flow a packet belongs to: steering slot, key, and why there is none. */
#ifndef SHOAL_NAT_FLOW_H
#define SHOAL_NAT_FLOW_H

#include "nat.h"

/* struct shoal_nf_port's functions. */
uint8_t nat_steer_inside(const struct shoal_packet *packet);
uint8_t nat_steer_outside(const struct shoal_packet *packet);
uint32_t nat_keys_inside(
	const struct shoal_context *context, struct shoal_packet *const packets[], unsigned n, void *keys);
uint32_t nat_keys_outside(
	const struct shoal_context *context, struct shoal_packet *const packets[], unsigned n, void *keys);

/* The drop (enum nat_drop) of a packet that has no key. */
unsigned nat_flow_refusal(const struct shoal_packet *packet);

#endif
