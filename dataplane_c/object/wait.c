/* SPDX-License-Identifier: BSD-3-Clause */
/* Microthreads and fetches that wait: for an object, an answer, or the window. All share one length of deadline, so those that wait
 * longest are the first to be given up. */
#include "object/wait.h"

static void deadline_insert(struct shoal_space *space, struct shoal_wait *wait)
{
	struct shoal_wait *before = space->deadline_last;

	/* One that waits again counts from its first wait; there are few younger ones. */
	while (before && before->since_ns > wait->since_ns)
		before = before->deadline_previous;
	wait->deadline_previous = before;
	wait->deadline_next = before ? before->deadline_next : space->deadline_first;
	if (wait->deadline_next)
		wait->deadline_next->deadline_previous = wait;
	else
		space->deadline_last = wait;
	if (before)
		before->deadline_next = wait;
	else
		space->deadline_first = wait;
}

static void deadline_remove(struct shoal_space *space, struct shoal_wait *wait)
{
	if (wait->deadline_previous)
		wait->deadline_previous->deadline_next = wait->deadline_next;
	else
		space->deadline_first = wait->deadline_next;
	if (wait->deadline_next)
		wait->deadline_next->deadline_previous = wait->deadline_previous;
	else
		space->deadline_last = wait->deadline_previous;
}

void shoal_wait_begin(struct shoal_space *space, struct shoal_wait *wait)
{
	wait->began_ns = space->now_ns;
	wait->outcome = SHOAL_WAIT_PENDING;
	deadline_insert(space, wait);
}

/* Nothing follows the suspension here: who goes on returns from this straight to the caller. A return that is executed after
 * a switch of stacks is guessed wrong. */
void shoal_wait(struct shoal_space *space, struct shoal_wait *wait)
{
	wait->microthread = shoal_microthread_current(space->scheduler);
	shoal_wait_begin(space, wait);
	if (space->suspending)
		space->suspending(space->context);
	shoal_microthread_suspend(space->scheduler, wait->since_ns);
}

static void append(struct shoal_wait **first, struct shoal_wait **last, struct shoal_wait *wait)
{
	wait->next = NULL;
	if (*last)
		(*last)->next = wait;
	else
		*first = wait;
	*last = wait;
}

void shoal_wait_end(struct shoal_space *space, struct shoal_wait *wait, enum shoal_wait_outcome outcome)
{
	uint64_t waited = space->now_ns - wait->began_ns;

	if (waited > space->counters.waited_ns_most)
		space->counters.waited_ns_most = waited;
	shoal_histogram_add(&space->wait_times, waited);
	deadline_remove(space, wait);
	wait->outcome = outcome;
	if (wait->microthread)
		shoal_microthread_wake(space->scheduler, wait->microthread);
	else
		append(&space->fetched_first, &space->fetched_last, wait);
}

void shoal_wait_for_object(struct shoal_space *space, struct shoal_place *place, struct shoal_wait *wait)
{
	struct shoal_contention *contention = shoal_place_contention(space, place);

	wait->class = place->class;
	wait->entry = place->index;
	append(&contention->local_first, &contention->local_last, wait);
}

void shoal_wait_for_window(struct shoal_space *space, struct shoal_wait *wait)
{
	wait->in_window = true;
	append(&space->window_first, &space->window_last, wait);
}

/* Takes a wait out of the list of those that wait for the same thing. */
static void unlink_wait(struct shoal_wait **first, struct shoal_wait **last, struct shoal_wait *wait)
{
	struct shoal_wait *previous = NULL;

	for (struct shoal_wait *at = *first; at; previous = at, at = at->next) {
		if (at != wait)
			continue;
		if (previous)
			previous->next = at->next;
		else
			*first = at->next;
		if (*last == at)
			*last = previous;
		return;
	}
}

void shoal_wait_expire(struct shoal_space *space)
{
	struct shoal_wait *wait;

	while ((wait = space->deadline_first) != NULL && space->now_ns - wait->since_ns > space->config.deadline_ns) {
		if (wait->in_window) {
			unlink_wait(&space->window_first, &space->window_last, wait);
		} else if (wait->entry) {
			/* Giving up is the microthread's affair: the handle stays WAITING [m 3]. */
			struct shoal_place place = shoal_place_at(space, wait->class, wait->entry);
			struct shoal_contention *contention = shoal_place_contention(space, &place);

			unlink_wait(&contention->local_first, &contention->local_last, wait);
			shoal_place_tidy(space, &place);
			space->counters.takes_timed_out++;
		} else if (wait->result) { /* a call; on plane remote others count their own */
			space->counters.calls_timed_out++;
		}
		shoal_wait_end(space, wait, SHOAL_WAIT_TIMED_OUT);
	}
}

bool shoal_window_try(struct shoal_space *space)
{
	if (!shoal_window_open(space) && (shoal_space_frozen(space) || !SHOAL_PLANT(8)))
		return false;
	space->outstanding++;
	return true;
}

bool shoal_window_enter(struct shoal_space *space, uint64_t since_ns, bool holding)
{
	struct shoal_wait wait = { .since_ns = since_ns };

	if (shoal_window_try(space))
		return true;
	/* Places in the window have no order among objects: one who waited for a place while holding an object could wait for
	 * somebody who waits for that object. There is room for one more request of each microthread. */
	if (holding && space->outstanding < space->config.window + space->config.microthreads_max) {
		space->outstanding++;
		return true;
	}
	shoal_wait_for_window(space, &wait);
	shoal_wait(space, &wait);
	return wait.outcome != SHOAL_WAIT_TIMED_OUT;
}

void shoal_window_reopen(struct shoal_space *space)
{
	struct shoal_wait *wait;

	while ((wait = space->window_first) != NULL && space->outstanding < space->config.window) {
		space->window_first = wait->next;
		if (!space->window_first)
			space->window_last = NULL;
		space->outstanding++;
		shoal_wait_end(space, wait, SHOAL_WAIT_GRANTED);
	}
}

void shoal_window_leave(struct shoal_space *space)
{
	struct shoal_wait *wait = space->window_first;

	if (!space->outstanding) {
		space->counters.stale_messages++; /* an answer that nobody has asked for */
		return;
	}
	/* A place beyond the window was for somebody who held references, and ends with it. While a view changes nothing is sent:
	 * all who wait are looked at when it is complete. */
	if (!wait || space->outstanding > space->config.window ||
		(shoal_space_frozen(space) && !SHOAL_PLANT(SHOAL_PLANT_CALLS_WHILE_FROZEN))) {
		space->outstanding--;
		return;
	}
	/* The place goes to the first who waits: nobody who comes later can take it. */
	space->window_first = wait->next;
	if (!space->window_first)
		space->window_last = NULL;
	shoal_wait_end(space, wait, SHOAL_WAIT_GRANTED);
}
