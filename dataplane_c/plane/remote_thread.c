/* SPDX-License-Identifier: BSD-3-Clause */
/* Microthreads on the plane `remote`: what each has written and waits for, and those that wait for room. */
#include <errno.h>
#include "plane/remote.h"

static struct shoal_remote *remote_of(struct shoal_context *context)
{
	return ((struct shoal_space_context *)context)->plane;
}

static struct shoal_remote_thread **word(struct shoal_remote *remote)
{
	struct shoal_microthread *microthread = shoal_microthread_current(remote->space->scheduler);

	return microthread ? (struct shoal_remote_thread **)shoal_microthread_local(microthread) : NULL;
}

struct shoal_remote_thread *shoal_remote_thread(struct shoal_remote *remote)
{
	struct shoal_remote_thread **at = word(remote), *thread;

	if (!at || *at)
		return at ? *at : NULL;
	/* There are as many as microthreads, and writes that their microthreads have given up: never none. */
	thread = &remote->threads[remote->threads_free];
	remote->threads_free = thread->next;
	*thread = (struct shoal_remote_thread){ 0 };
	return *at = thread;
}

static void thread_free(struct shoal_remote *remote, struct shoal_remote_thread *thread)
{
	thread->next = remote->threads_free;
	remote->threads_free = (uint32_t)(thread - remote->threads);
}

void shoal_remote_thread_wrote(struct shoal_remote *remote, uint32_t index, bool failed)
{
	struct shoal_remote_thread *thread = &remote->threads[index];

	thread->failed |= failed;
	if (--thread->writes)
		return;
	if (thread->ended)
		thread_free(remote, thread);
	else if (thread->wait && thread->wait->outcome == SHOAL_WAIT_PENDING)
		shoal_wait_end(remote->space, thread->wait, SHOAL_WAIT_GRANTED);
}

int shoal_remote_settle(struct shoal_context *context)
{
	struct shoal_remote *remote = remote_of(context);
	struct shoal_remote_thread **at = word(remote), *thread = at ? *at : NULL;
	struct shoal_wait wait = { .since_ns = remote->space->now_ns };
	int error;

	if (!thread)
		return 0;
	*at = NULL;
	if (thread->writes) {
		thread->wait = &wait;
		shoal_wait(remote->space, &wait);
		thread->wait = NULL;
	}
	if (thread->writes) { /* it is going on, but for nobody */
		thread->ended = true;
		return -ETIMEDOUT;
	}
	error = thread->failed ? -EIO : 0;
	thread_free(remote, thread);
	return error;
}

/* --- Room --- */

static void starved_unlink(struct shoal_remote *remote, struct shoal_wait *wait)
{
	struct shoal_wait *before = NULL;

	for (struct shoal_wait *at = remote->starved_first; at; before = at, at = at->next) {
		if (at != wait)
			continue;
		if (before)
			before->next = at->next;
		else
			remote->starved_first = at->next;
		if (remote->starved_last == at)
			remote->starved_last = before;
		return;
	}
}

int shoal_remote_starve(struct shoal_remote *remote, uint64_t since_ns)
{
	struct shoal_wait wait = { .since_ns = since_ns };

	remote->counters.starved++;
	if (remote->starved_last)
		remote->starved_last->next = &wait;
	else
		remote->starved_first = &wait;
	remote->starved_last = &wait;
	shoal_wait(remote->space, &wait);
	if (wait.outcome != SHOAL_WAIT_TIMED_OUT)
		return 0;
	starved_unlink(remote, &wait);
	return -ETIMEDOUT;
}

void shoal_remote_feed(struct shoal_remote *remote)
{
	struct shoal_wait *wait = remote->starved_first;

	/* One that has timed out takes itself out when it runs. */
	while (wait && wait->outcome != SHOAL_WAIT_PENDING)
		wait = wait->next;
	if (!wait)
		return;
	starved_unlink(remote, wait);
	shoal_wait_end(remote->space, wait, SHOAL_WAIT_GRANTED);
}
