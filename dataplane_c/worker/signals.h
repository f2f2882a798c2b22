/* SPDX-License-Identifier: BSD-3-Clause */
/* Keeps the host process's signals its own: threads that Shoal or EAL make take none of them. */
#ifndef SHOAL_WORKER_SIGNALS_H
#define SHOAL_WORKER_SIGNALS_H

#include <signal.h>

struct shoal_signal_handlers {
	struct sigaction actions[_NSIG];
};

void shoal_signal_handlers_save(struct shoal_signal_handlers *handlers);
void shoal_signal_handlers_restore(const struct shoal_signal_handlers *handlers);

/* Blocks every signal in the calling thread except those that a fault of its own raises; a thread made meanwhile inherits
 * it. `previous` is for restore. */
void shoal_signals_block(sigset_t *previous);
void shoal_signals_restore(const sigset_t *previous);

#endif
