/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK's environment, once a process: shoal_eal_start and shoal_eal_stop are in shoal/dataplane.h. */
#ifndef SHOAL_WORKER_EAL_H
#define SHOAL_WORKER_EAL_H

#include <shoal/types.h>

/* Whether EAL is up, whoever started it. */
bool shoal_eal_running(void);
/* What a driver dislikes it tells its log only: forget what was written, then the first line since, "" if there is none.
 * For the control thread that starts a device; valid until it is forgotten. */
void shoal_eal_log_forget(void);
const char *shoal_eal_log_first(void);
/* What an operator may do where EAL's memory is not enough; a part of a sentence, for the calling thread's next error. */
const char *shoal_eal_memory_advice(void);

#endif
