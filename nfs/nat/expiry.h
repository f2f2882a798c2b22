/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SHOAL_NAT_EXPIRY_H
#define SHOAL_NAT_EXPIRY_H

#include "nat.h"

/* nat.mapping's on_idle. */
void nat_mapping_on_idle(struct shoal_context *context, const void *key) SHOAL_MAY_SUSPEND;

#endif
