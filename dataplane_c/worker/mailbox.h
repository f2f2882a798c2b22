/* SPDX-License-Identifier: BSD-3-Clause */
/* How a control thread asks something of a polling component: it posts a function, the component runs it between two
 * packets. One command at a time; posting waits, with a deadline. */
#ifndef SHOAL_WORKER_MAILBOX_H
#define SHOAL_WORKER_MAILBOX_H

#include <shoal/types.h>

typedef int (*shoal_command_function)(void *component, void *argument, uint64_t now_ns);

struct shoal_mailbox {
	/* EMPTY -(control: post)-> POSTED -(component: take)-> TAKEN -(component)-> ANSWERED -(control)-> EMPTY;
	 * POSTED -(control: deadline passed)-> EMPTY. Forbidden: anything else. */
	uint32_t state; /* atomic */
	shoal_command_function function;
	void *argument; /* borrows; stays valid until ANSWERED or withdrawn */
	int answer;
};

void shoal_mailbox_init(struct shoal_mailbox *mailbox);
/* Control thread. The function's answer, or -ETIMEDOUT when the component did not take it within deadline_ms. Where no
 * runner polls the component (`polled` false), runs the function at once. Commands of several control threads are serialised
 * by the caller. */
int shoal_mailbox_post(struct shoal_mailbox *mailbox, bool polled, void *component, shoal_command_function function,
	void *argument, uint32_t deadline_ms);
/* Component, once for each poll: a relaxed load when there is nothing. */
void shoal_mailbox_poll(struct shoal_mailbox *mailbox, void *component, uint64_t now_ns);

#endif
