/* SPDX-License-Identifier: BSD-3-Clause */
/* Tells AddressSanitizer and ThreadSanitizer about switches of the stack; nothing in a build without them. */
#ifndef SHOAL_SCHED_FIBER_INLINE_H
#define SHOAL_SCHED_FIBER_INLINE_H

#include <shoal/types.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ADDRESS 1
#endif
#if __has_feature(thread_sanitizer)
#define FIBER_THREAD 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ADDRESS 1
#endif
#if defined(__SANITIZE_THREAD__)
#define FIBER_THREAD 1
#endif

#if defined(FIBER_ADDRESS)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(FIBER_THREAD)
#include <sanitizer/tsan_interface.h>
#endif

/* A sanitizer's frames are some times as large. */
#if defined(FIBER_ADDRESS) || defined(FIBER_THREAD)
#define FIBER_STACK_FACTOR 4
#define FIBERS_KNOWN 1
#else
#define FIBER_STACK_FACTOR 1
#define FIBERS_KNOWN 0
#endif

/* Of a function that ends without returning: ThreadSanitizer keeps a record of calls. */
#if defined(FIBER_THREAD)
#define FIBER_UNSEEN __attribute__((no_sanitize_thread))
#else
#define FIBER_UNSEEN
#endif

/* What the sanitizers need to know of one stack. */
struct fiber {
#if defined(FIBER_ADDRESS)
	void *fake_stack;
	const void *low;
	size_t bytes;
#endif
#if defined(FIBER_THREAD)
	void *thread;
#endif
#if !defined(FIBER_ADDRESS) && !defined(FIBER_THREAD)
	char nothing[0];
#endif
};

static inline void fiber_init(struct fiber *fiber, const void *low, size_t bytes)
{
	(void)fiber, (void)low, (void)bytes;
#if defined(FIBER_ADDRESS)
	fiber->low = low;
	fiber->bytes = bytes;
#endif
#if defined(FIBER_THREAD)
	fiber->thread = __tsan_create_fiber(0);
#endif
}

static inline void fiber_fini(struct fiber *fiber)
{
	(void)fiber;
#if defined(FIBER_THREAD)
	__tsan_destroy_fiber(fiber->thread);
#endif
}

/* On the thread's own stack, before it goes to the first of others. */
static inline void fiber_leave_home(struct fiber *home)
{
	(void)home;
#if defined(FIBER_THREAD)
	home->thread = __tsan_get_current_fiber();
#endif
}

/* Just before the switch. */
static inline void fiber_leave(struct fiber *from, const struct fiber *to)
{
	(void)from, (void)to;
#if defined(FIBER_ADDRESS)
	__sanitizer_start_switch_fiber(&from->fake_stack, to->low, to->bytes);
#endif
#if defined(FIBER_THREAD)
	__tsan_switch_to_fiber(to->thread, 0);
#endif
}

/* The same for a stack that is not come back to: it will begin anew. */
static inline __attribute__((always_inline)) void fiber_end(struct fiber *from, const struct fiber *to)
{
	(void)from, (void)to;
#if defined(FIBER_ADDRESS)
	from->fake_stack = NULL;
	__sanitizer_start_switch_fiber(NULL, to->low, to->bytes);
#endif
#if defined(FIBER_THREAD)
	__tsan_switch_to_fiber(to->thread, 0);
#endif
}

/* Just after it, on the new stack. What was left is described in `previous`: this is how the bounds of the thread's own
 * stack become known. */
static inline void fiber_arrive(struct fiber *self, struct fiber *previous)
{
	(void)self, (void)previous;
#if defined(FIBER_ADDRESS)
	__sanitizer_finish_switch_fiber(self->fake_stack, &previous->low, &previous->bytes);
#endif
}

/* The memory of abandoned stacks is given back: their frames' marks must not meet its next user. */
static inline void fiber_forget_frames(void *memory, size_t bytes)
{
	(void)memory, (void)bytes;
#if defined(FIBER_ADDRESS)
	__asan_unpoison_memory_region(memory, bytes);
#endif
}

#endif
