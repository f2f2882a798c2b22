/* SPDX-License-Identifier: BSD-3-Clause */
/* States of a mailbox, and who may change them (worker/mailbox.h has the picture):
 *
 *   from      to        who        when
 *   EMPTY     POSTED    control    post; function and argument are written before it (release, pairs with TAKEN)
 *   POSTED    TAKEN     component  poll (acquire)
 *   POSTED    EMPTY     control    the deadline has passed; by compare-and-swap, so that of "taken" and "withdrawn" one wins
 *   TAKEN     ANSWERED  component  the function has returned; answer is written before it (release, pairs with control's load)
 *   ANSWERED  EMPTY     control    the answer has been read
 */
#include <errno.h>
#include <time.h>

#include "worker/error.h"
#include "worker/mailbox.h"
#include "worker/runner.h"

enum { EMPTY, POSTED, TAKEN, ANSWERED };

/* Control looks again after this long: the component wakes nobody, since that would be a system call in the data path. */
#define LOOK_AGAIN_NS 20000

void shoal_mailbox_init(struct shoal_mailbox *mailbox)
{
	*mailbox = (struct shoal_mailbox){ .state = EMPTY };
}

static bool transition(struct shoal_mailbox *mailbox, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&mailbox->state, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void look_again_later(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = LOOK_AGAIN_NS }, NULL);
}

int shoal_mailbox_post(struct shoal_mailbox *mailbox, bool polled, void *component, shoal_command_function function,
	void *argument, uint32_t deadline_ms)
{
	uint64_t deadline = shoal_clock_now() + deadline_ms * SHOAL_NS_PER_MS;
	int answer;

	if (!polled)
		return function(component, argument, shoal_clock_now());
	if (__atomic_load_n(&mailbox->state, __ATOMIC_RELAXED) != EMPTY)
		return shoal_error(EBUSY, "another command is under way");
	mailbox->function = function;
	mailbox->argument = argument;
	transition(mailbox, EMPTY, POSTED);
	/* The deadline is for being taken. Once taken, the argument is the component's until it has answered, and it answers
	 * within that poll: a command neither waits nor blocks. */
	while (__atomic_load_n(&mailbox->state, __ATOMIC_ACQUIRE) != ANSWERED) {
		if (shoal_clock_now() >= deadline && transition(mailbox, POSTED, EMPTY))
			return shoal_error(ETIMEDOUT, "the worker took no command within %u ms", deadline_ms);
		look_again_later();
	}
	answer = mailbox->answer;
	transition(mailbox, ANSWERED, EMPTY);
	return answer;
}

void shoal_mailbox_poll(struct shoal_mailbox *mailbox, void *component, uint64_t now_ns)
{
	if (SHOAL_LIKELY(__atomic_load_n(&mailbox->state, __ATOMIC_RELAXED) != POSTED))
		return;
	if (!transition(mailbox, POSTED, TAKEN))
		return;
	mailbox->answer = mailbox->function(component, mailbox->argument, now_ns);
	transition(mailbox, TAKEN, ANSWERED);
}
