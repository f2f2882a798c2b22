/* SPDX-License-Identifier: BSD-3-Clause */
/* What the control thread keeps around a splitter. Used by splitter_control.c (its life) and splitter_commands.c. */
#ifndef SHOAL_IO_SPLITTER_CONTROL_H
#define SHOAL_IO_SPLITTER_CONTROL_H

#include "io/nf_loader.h"
#include "io/splitter.h"
#include "worker/mailbox.h"
#include "worker/runner.h"

/* writer: control */
struct shoal_splitter_control {
	struct shoal_splitter splitter; /* first: the public handle points at it. writer: the polling thread */
	struct shoal_splitter_config config;
	struct shoal_mailbox mailbox;
	struct shoal_nf_library *library; /* owns */
	void *nf_state; /* owns */
	bool nf_ready; /* its init has been called */
	struct shoal_runner *runner; /* borrows; NULL: not placed yet */
	struct rte_mempool *pool; /* owns */
	uint8_t ethdev_ports; /* set of the ports that are devices */
};

static inline struct shoal_splitter_control *shoal_splitter_control_of(struct shoal_splitter *splitter)
{
	return (struct shoal_splitter_control *)(void *)splitter;
}

#endif
