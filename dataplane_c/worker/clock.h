/* SPDX-License-Identifier: BSD-3-Clause */
/* Where time comes from: the processor's counter scaled to nanoseconds, measured against CLOCK_MONOTONIC once a process,
 * and near it; clock_gettime where the counter can't be trusted. shoal_clock_now is in worker/runner.h. */
#ifndef SHOAL_WORKER_CLOCK_H
#define SHOAL_WORKER_CLOCK_H

#include <shoal/types.h>

/* Measures the counter: about 20 ms in the first call of a process, nothing later. Any thread. */
void shoal_clock_calibrate(void);
/* Whether shoal_clock_now reads the processor's counter. */
bool shoal_clock_is_counter(void);

#endif
