/* SPDX-License-Identifier: BSD-3-Clause */
/* A microthread is a stack with its descriptor. States:
 *
 *   from       to         why
 *   POOLED     RUNNING    the loop begins or goes on here: run, or suspend of the stack that held the loop
 *   RUNNING    SUSPENDED  suspend
 *   SUSPENDED  READY      wake
 *   READY      RUNNING    run_ready
 *   RUNNING    POOLED     the loop ended, or the step that had been suspended returned
 *
 * Exactly one stack runs: the poll loop's own ("home"), or that of `running`. Each pooled stack waits inside the loop
 * function, so that beginning is a switch like any other. A stack that has been suspended once has lost the loop to another
 * (`detached`): when its step returns it goes back to the pool. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sched/fiber_inline.h"
#include "sched/microthread.h"
#include "sched/ready_queue.h"
#include "sched/stack_pool.h"
#include "sched/switch.h"

enum state { POOLED, RUNNING, SUSPENDED, READY };

/* writer: the scheduler's thread */
struct SHOAL_CACHE_ALIGNED shoal_microthread {
	void *stack; /* where it was left */
	const uint64_t *canary; /* borrows; one that lives forever for home and guarded stacks */
	void *local;
	struct shoal_scheduler *scheduler;
	uint64_t order;
	uint32_t sequence;
	uint8_t state;
	bool detached;
	uint8_t *top; /* where it begins */
	struct fiber fiber;
};

struct shoal_scheduler {
	struct shoal_microthread home;
	struct shoal_microthread *running; /* &home on the poll loop's own stack */
	struct shoal_microthread *previous; /* ran before `running`; for sanitizers */
	struct shoal_microthread **pool; /* owns; the one left last is taken first: its stack is in the cache */
	unsigned pooled;
	unsigned resumed, budget; /* of run_ready */
	uint64_t suspensions;
	struct shoal_microthread *microthreads; /* owns */
	struct shoal_ready_queue ready;
	bool (*step)(void *argument);
	void *argument;
	struct shoal_microthread *first; /* the one that run began with */
	unsigned count; /* of microthreads */
	struct shoal_stack_pool stacks;
};

/* With little stack, since it may be the overflowed one. */
static _Noreturn void die(const char *sentence)
{
	ssize_t written = write(STDERR_FILENO, sentence, strlen(sentence));

	(void)written;
	abort();
}

static inline void transition(struct shoal_microthread *microthread, enum state to)
{
	microthread->state = (uint8_t)to;
}

/* --- Switching ---------------------------------------------------------------------------------------------------- */

static inline void check_canary(const struct shoal_microthread *microthread)
{
	if (SHOAL_UNLIKELY(!shoal_stack_canary_alive(microthread->canary)))
		die("shoal: stack overflow: a microthread wrote below the low end of its stack; give it more "
		    "stack_bytes\n");
}

static inline void arrive(struct shoal_scheduler *scheduler)
{
	fiber_arrive(&scheduler->running->fiber, &scheduler->previous->fiber);
}

/* `running` goes to another. */
static inline struct shoal_microthread *leave(struct shoal_scheduler *scheduler, struct shoal_microthread *to)
{
	struct shoal_microthread *from = scheduler->running;

	check_canary(from);
	if (FIBERS_KNOWN)
		scheduler->previous = from;
	scheduler->running = to;
	return from;
}

/* The answer is of the switch that comes back. */
static inline unsigned switch_to(struct shoal_scheduler *scheduler, struct shoal_microthread *to, unsigned answer)
{
	struct shoal_microthread *from = leave(scheduler, to);

	fiber_leave(&from->fiber, &to->fiber);
	answer = shoal_switch(&from->stack, to->stack, answer);
	arrive(scheduler);
	return answer;
}

static void loop(void *argument);

static inline bool begin(struct shoal_scheduler *scheduler, struct shoal_microthread *to)
{
	struct shoal_microthread *from = leave(scheduler, to);
	bool answer;

	fiber_leave(&from->fiber, &to->fiber);
	answer = shoal_switch_begin(to, &from->stack, to->top, loop);
	arrive(scheduler);
	return answer;
}

static struct shoal_microthread *take_pooled(struct shoal_scheduler *scheduler)
{
	struct shoal_microthread *microthread;

	if (!scheduler->pooled)
		return NULL;
	microthread = scheduler->pool[--scheduler->pooled];
	transition(microthread, RUNNING);
	return microthread;
}

/* Whom a detached microthread leaves to: the next ready one while run_ready has budget, else home. */
static inline __attribute__((always_inline)) struct shoal_microthread *successor(struct shoal_scheduler *scheduler)
{
	struct shoal_microthread *next;

	if (scheduler->resumed == scheduler->budget || !shoal_ready_queue_count(&scheduler->ready))
		return &scheduler->home;
	scheduler->resumed++;
	next = &scheduler->microthreads[shoal_ready_queue_pop(&scheduler->ready)];
	transition(next, RUNNING);
	return next;
}

/* --- The loop, on each pooled stack -------------------------------------------------------------------------------- */

static void run_steps(struct shoal_scheduler *scheduler, struct shoal_microthread *self)
{
	bool step_left;

	do {
		self->local = NULL;
		step_left = scheduler->step(scheduler->argument);
	} while (step_left && !self->detached);
}

/* `self` has nothing more to do, and leaves for `next`. What is to be done after this is one of the switches that end. */
static inline __attribute__((always_inline)) void retire(
	struct shoal_scheduler *scheduler, struct shoal_microthread *self, struct shoal_microthread *next)
{
	self->detached = false;
	transition(self, POOLED);
	scheduler->pool[scheduler->pooled++] = self;
	leave(scheduler, next);
	fiber_end(&self->fiber, &next->fiber);
}

static FIBER_UNSEEN void loop(void *argument)
{
	struct shoal_microthread *self = argument, *next;
	struct shoal_scheduler *scheduler = self->scheduler;
	bool straight = self == scheduler->first;

	arrive(scheduler);
	run_steps(scheduler, self);
	if (self->detached) {
		next = successor(scheduler);
		retire(scheduler, self, next);
		shoal_switch_end(next->stack, scheduler->resumed);
		return;
	}
	next = &scheduler->home;
	retire(scheduler, self, next);
	if (straight)
		shoal_switch_return(next->stack, false);
	else
		shoal_switch_end(next->stack, false);
}

bool shoal_microthread_finish(struct shoal_scheduler *scheduler)
{
	struct shoal_microthread *self = scheduler->running, *next;

	/* Sanitizers keep records of calls and frames: they see functions return. */
	if (!self->detached || FIBERS_KNOWN)
		return true;
	next = successor(scheduler);
	retire(scheduler, self, next);
	shoal_switch_end(next->stack, scheduler->resumed);
	return true;
}

bool shoal_scheduler_run(struct shoal_scheduler *scheduler, bool (*step)(void *argument), void *argument)
{
	struct shoal_microthread *first;

	if (SHOAL_UNLIKELY(scheduler->running != &scheduler->home))
		die("shoal: shoal_scheduler_run called inside a microthread\n");
	first = take_pooled(scheduler);
	if (!first)
		return true;
	scheduler->step = step;
	scheduler->argument = argument;
	scheduler->first = first;
	fiber_leave_home(&scheduler->home.fiber);
	return begin(scheduler, first);
}

/* --- Suspending and waking ----------------------------------------------------------------------------------------- */

void shoal_microthread_suspend(struct shoal_scheduler *scheduler, uint64_t order)
{
	struct shoal_microthread *self = scheduler->running;
	struct shoal_microthread *next;

	if (SHOAL_UNLIKELY(self == &scheduler->home))
		die("shoal: shoal_microthread_suspend called outside a microthread\n");
	self->order = order;
	self->sequence = (uint32_t)scheduler->suspensions++;
	transition(self, SUSPENDED);
	if (self->detached) {
		switch_to(scheduler, successor(scheduler), scheduler->resumed);
		return;
	}
	self->detached = true;
	next = take_pooled(scheduler);
	if (SHOAL_LIKELY(next)) {
		begin(scheduler, next);
		return;
	}
	switch_to(scheduler, &scheduler->home, true);
}

void shoal_microthread_wake(struct shoal_scheduler *scheduler, struct shoal_microthread *microthread)
{
	struct shoal_ready_entry entry;

	if (microthread->state != SUSPENDED)
		return;
	entry = (struct shoal_ready_entry){ .order = microthread->order,
		.sequence = microthread->sequence,
		.index = (uint32_t)(microthread - scheduler->microthreads) };
	/* It runs soon: where it was left, and the frames just above. */
	__builtin_prefetch(microthread->stack);
	__builtin_prefetch((const uint8_t *)microthread->stack + SHOAL_CACHE_LINE);
	__builtin_prefetch(microthread->canary);
	shoal_ready_queue_push(&scheduler->ready, entry);
	transition(microthread, READY);
}

/* Like run it ends with its switch: who comes home goes to the caller, without one more return that is guessed wrong. */
unsigned shoal_scheduler_run_ready(struct shoal_scheduler *scheduler, unsigned budget)
{
	struct shoal_microthread *first;

	if (SHOAL_UNLIKELY(scheduler->running != &scheduler->home))
		die("shoal: shoal_scheduler_run_ready called inside a microthread\n");
	scheduler->resumed = 0;
	scheduler->budget = budget;
	first = successor(scheduler);
	if (first == &scheduler->home)
		return 0;
	fiber_leave_home(&scheduler->home.fiber);
	return switch_to(scheduler, first, 0);
}

struct shoal_microthread *shoal_microthread_current(struct shoal_scheduler *scheduler)
{
	return scheduler->running == &scheduler->home ? NULL : scheduler->running;
}

void **shoal_microthread_local(struct shoal_microthread *microthread)
{
	return &microthread->local;
}

void **shoal_microthread_word(struct shoal_scheduler *scheduler)
{
	return scheduler->running == &scheduler->home ? NULL : &scheduler->running->local;
}

bool shoal_scheduler_may_suspend(const struct shoal_scheduler *scheduler)
{
	return scheduler->pooled != 0;
}

unsigned shoal_scheduler_suspended(const struct shoal_scheduler *scheduler)
{
	return scheduler->count - scheduler->pooled - (scheduler->running != &scheduler->home);
}

unsigned shoal_scheduler_ready(const struct shoal_scheduler *scheduler)
{
	return shoal_ready_queue_count(&scheduler->ready);
}

uint64_t shoal_scheduler_suspensions(const struct shoal_scheduler *scheduler)
{
	return scheduler->suspensions;
}

/* --- Life ---------------------------------------------------------------------------------------------------------- */

/* A shadow stack knows nothing of ours. Where the kernel has turned one on, refuse: the first switch would be fatal. */
static bool has_shadow_stack(void)
{
#if defined(__x86_64__)
	uint64_t pointer = 0;

	__asm__ volatile("rdsspq %0" : "+r"(pointer)); /* leaves it alone where there is none */
	return pointer != 0;
#else
	return false;
#endif
}

static void make_microthread(struct shoal_scheduler *scheduler, unsigned index)
{
	struct shoal_microthread *microthread = &scheduler->microthreads[index];
	uint8_t *low = shoal_stack_pool_low(&scheduler->stacks, index);

	*microthread = (struct shoal_microthread){
		.canary = scheduler->stacks.guarded ? shoal_stack_canary_none : (const uint64_t *)(const void *)low,
		.scheduler = scheduler,
		.state = POOLED,
		.top = shoal_stack_pool_top(&scheduler->stacks, index),
	};
	fiber_init(&microthread->fiber, low, scheduler->stacks.stack_bytes);
	scheduler->pool[scheduler->pooled++] = microthread;
}

static int make_microthreads(struct shoal_scheduler *scheduler, const struct shoal_scheduler_config *config)
{
	int error = shoal_stack_pool_init(&scheduler->stacks, config->stacks, config->stack_bytes, config->guard_pages);

	if (error)
		return error;
	error = shoal_ready_queue_init(&scheduler->ready, config->stacks);
	if (error)
		return error;
	scheduler->microthreads =
		aligned_alloc(SHOAL_CACHE_LINE, (size_t)config->stacks * sizeof(*scheduler->microthreads));
	scheduler->pool = calloc(config->stacks, sizeof(struct shoal_microthread *));
	if (!scheduler->microthreads || !scheduler->pool)
		return -ENOMEM;
	while (scheduler->count < config->stacks)
		make_microthread(scheduler, scheduler->count++);
	return 0;
}

struct shoal_scheduler *shoal_scheduler_create(const struct shoal_scheduler_config *config)
{
	struct shoal_scheduler *scheduler;
	int error;

	if (has_shadow_stack()) {
		errno = ENOTSUP;
		return NULL;
	}
	scheduler = aligned_alloc(SHOAL_CACHE_LINE, sizeof(*scheduler));
	if (!scheduler)
		return NULL;
	memset(scheduler, 0, sizeof(*scheduler));
	scheduler->home.scheduler = scheduler;
	scheduler->home.canary = shoal_stack_canary_none;
	scheduler->home.state = RUNNING;
	scheduler->running = &scheduler->home;
	error = make_microthreads(scheduler, config);
	if (!error)
		return scheduler;
	shoal_scheduler_destroy(scheduler);
	errno = -error;
	return NULL;
}

void shoal_scheduler_destroy(struct shoal_scheduler *scheduler)
{
	if (!scheduler)
		return;
	for (unsigned i = 0; i < scheduler->count; i++)
		fiber_fini(&scheduler->microthreads[i].fiber);
	free(scheduler->microthreads);
	free(scheduler->pool);
	shoal_ready_queue_fini(&scheduler->ready);
	shoal_stack_pool_fini(&scheduler->stacks);
	free(scheduler);
}
