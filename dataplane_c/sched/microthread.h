/* SPDX-License-Identifier: BSD-3-Clause */
/* Stackful microthreads with lazy stacks (performance.md): the loop that hands out work runs on a pooled stack itself; a
 * step that suspends keeps that stack, and the loop goes on on a fresh one. Nothing is ever restarted. */
#ifndef SHOAL_SCHED_MICROTHREAD_H
#define SHOAL_SCHED_MICROTHREAD_H

#include <shoal/types.h>

struct shoal_scheduler;
struct shoal_microthread; /* a suspended one; valid from suspend until its step has returned */

struct shoal_scheduler_config {
	unsigned stacks; /* microthreads that may be suspended at once */
	size_t stack_bytes; /* 8 KiB or more; a multiple of the page size where guarded */
	bool guard_pages; /* a fault page below each stack; else a canary checked at each switch */
};

struct shoal_scheduler *shoal_scheduler_create(const struct shoal_scheduler_config *config); /* NULL with errno */
void shoal_scheduler_destroy(struct shoal_scheduler *scheduler); /* suspended microthreads are abandoned */

/* Calls step(argument) until it returns false, each call as a microthread that may suspend. Returns when step has returned
 * false, or when no stack is left for the loop to go on (true: there was a step left). Must be called from the poll loop's
 * own stack. A step that suspends does not end the loop: it goes on with the next step at once. */
bool shoal_scheduler_run(struct shoal_scheduler *scheduler, bool (*step)(void *argument), void *argument);

/* The running microthread, or NULL on the loop's own stack. Stable across its suspensions. */
struct shoal_microthread *shoal_microthread_current(struct shoal_scheduler *scheduler);
/* One word that belongs to the caller, and is NULL at the start of each step. */
void **shoal_microthread_local(struct shoal_microthread *microthread);
/* That of the running one; NULL on the loop's own stack. */
void **shoal_microthread_word(struct shoal_scheduler *scheduler);

/* Whether a step may suspend now: a stack is left for the loop. Checked by callers that can refuse work early. */
bool shoal_scheduler_may_suspend(const struct shoal_scheduler *scheduler);
/* Suspends the running microthread until somebody wakes it. `order` decides who of several ready ones runs first: the
 * smallest (arrival time: the longest waiting). Must be inside a step. */
void shoal_microthread_suspend(struct shoal_scheduler *scheduler, uint64_t order) SHOAL_MAY_SUSPEND;
/* For the end of a step that may have suspended: `return shoal_microthread_finish(scheduler)`. It says the same as `return true`,
 * and is faster: who was suspended is not returned to, and nor are its callers. */
bool shoal_microthread_finish(struct shoal_scheduler *scheduler);
/* Makes a suspended microthread ready; it runs at the next run_ready. Waking a ready one again is allowed and nothing. */
void shoal_microthread_wake(struct shoal_scheduler *scheduler, struct shoal_microthread *microthread);
/* Resumes up to `budget` ready microthreads, smallest order first; returns how many. From the loop's own stack only. */
unsigned shoal_scheduler_run_ready(struct shoal_scheduler *scheduler, unsigned budget);

unsigned shoal_scheduler_suspended(const struct shoal_scheduler *scheduler); /* suspended or ready now */
unsigned shoal_scheduler_ready(const struct shoal_scheduler *scheduler);
uint64_t shoal_scheduler_suspensions(const struct shoal_scheduler *scheduler); /* ever */

#endif
