/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK's environment, once a process: shoal_eal_start and shoal_eal_stop are in shoal/dataplane.h. */
#ifndef SHOAL_WORKER_EAL_H
#define SHOAL_WORKER_EAL_H

#include <shoal/types.h>

/* Whether EAL is up, whoever started it. */
bool shoal_eal_running(void);

#endif
