/* SPDX-License-Identifier: BSD-3-Clause */
/* After a loss: a mapping and its reverse share one fate. */
#ifndef SHOAL_NAT_HALVES_H
#define SHOAL_NAT_HALVES_H

#include <shoal/nf.h>

/* Ends a mapping whose reverse is gone, or a reverse whose mapping is. As struct shoal_class, after_loss. */
int nat_mapping_after_loss(struct shoal_context *context, const void *key) SHOAL_MAY_SUSPEND;
int nat_reverse_after_loss(struct shoal_context *context, const void *key) SHOAL_MAY_SUSPEND;

#endif
