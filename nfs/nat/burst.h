/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SHOAL_NAT_BURST_H
#define SHOAL_NAT_BURST_H

#include <shoal/nf.h>

/* struct shoal_nf's `process`. */
void nat_process(
	struct shoal_context *context, struct shoal_packet *const packets[], void *const objects[], unsigned n);

#endif
