/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <stddef.h>

#include "worker/signals.h"

void shoal_signal_handlers_save(struct shoal_signal_handlers *handlers)
{
	for (int number = 1; number < _NSIG; number++)
		if (sigaction(number, NULL, &handlers->actions[number]))
			handlers->actions[number].sa_handler = SIG_ERR; /* reserved by the C library */
}

void shoal_signal_handlers_restore(const struct shoal_signal_handlers *handlers)
{
	for (int number = 1; number < _NSIG; number++)
		if (handlers->actions[number].sa_handler != SIG_ERR && number != SIGKILL && number != SIGSTOP)
			sigaction(number, &handlers->actions[number], NULL);
}

void shoal_signals_block(sigset_t *previous)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };
	sigset_t mask;

	sigfillset(&mask);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&mask, faults[i]);
	pthread_sigmask(SIG_SETMASK, &mask, previous);
}

void shoal_signals_restore(const sigset_t *previous)
{
	pthread_sigmask(SIG_SETMASK, previous, NULL);
}
