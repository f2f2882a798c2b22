/* SPDX-License-Identifier: BSD-3-Clause */
/* Places components on one thread and polls them in turn. The only place in the data plane that reads the clock and
 * applies the idle policy; public part in shoal/dataplane.h. */
#ifndef SHOAL_WORKER_RUNNER_H
#define SHOAL_WORKER_RUNNER_H

#include <shoal/dataplane.h>

/* One poll of a component; the answer is the work done (0: idle). */
typedef unsigned (*shoal_poll_function)(void *component, uint64_t now_ns);

/* Before start. 0 or -ENOSPC (at most 16 components on a runner). */
SHOAL_MUST_USE int shoal_runner_add(struct shoal_runner *runner, shoal_poll_function poll, void *component);
/* Whether its thread polls: from a start that succeeded to a stop that did. */
bool shoal_runner_running(const struct shoal_runner *runner);
/* Rounds over all components since start, and those in which none had work; for "stalled" and for load. Any thread. */
uint64_t shoal_runner_rounds(const struct shoal_runner *runner);
uint64_t shoal_runner_idle_rounds(const struct shoal_runner *runner);
/* Monotonic time in nanoseconds as the runners see it (TSC, scaled). */
uint64_t shoal_clock_now(void);

#endif
