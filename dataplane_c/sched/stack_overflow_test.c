/* SPDX-License-Identifier: BSD-3-Clause */
/* What becomes of a microthread that needs more stack than it has: each in a child process. */
#include <alloca.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "sched/fiber_inline.h"
#include "sched/microthread.h"
#include "sched/stack_pool.h"

#define STACK_BYTES (16384UL)

struct overflow {
	struct shoal_scheduler *scheduler;
	size_t bytes; /* of stack that the step writes */
	bool begun;
};

static __attribute__((noinline)) void use_stack(size_t bytes)
{
	volatile uint8_t *area = alloca(bytes);

	for (size_t i = 0; i < bytes; i++)
		area[i] = 0xee;
}

static bool overflow_step(void *argument)
{
	struct overflow *overflow = argument;

	if (overflow->begun)
		return false;
	overflow->begun = true;
	use_stack(overflow->bytes);
	shoal_microthread_suspend(overflow->scheduler, 0);
	return true;
}

/* The child's wait status; what it said in `text`. */
static int run_in_child(bool guard_pages, size_t bytes, char *text, size_t text_bytes)
{
	struct rlimit no_core = { 0 };
	int ends[2], status;
	ssize_t length;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (!child) {
		struct shoal_scheduler_config config = {
			.stacks = 4, .stack_bytes = STACK_BYTES, .guard_pages = guard_pages
		};
		struct overflow overflow = { .scheduler = shoal_scheduler_create(&config), .bytes = bytes };

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGSEGV, SIG_DFL); /* a sanitizer's and the test framework's handlers off */
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		shoal_scheduler_run(overflow.scheduler, overflow_step, &overflow);
		_exit(shoal_scheduler_suspended(overflow.scheduler) == 1 ? 0 : 9);
	}
	close(ends[1]);
	length = read(ends[0], text, text_bytes - 1);
	text[length > 0 ? length : 0] = 0;
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void enough_is_enough(void **state)
{
	char text[256];

	(void)state;
	assert_int_equal(run_in_child(false, STACK_BYTES / 2, text, sizeof(text)), 0);
	assert_int_equal(run_in_child(true, STACK_BYTES / 2, text, sizeof(text)), 0);
	assert_string_equal(text, "");
}

static void the_canary_names_an_overflow(void **state)
{
	char text[256];
	int status = run_in_child(false, STACK_BYTES * FIBER_STACK_FACTOR, text, sizeof(text));

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_non_null(strstr(text, "stack overflow"));
}

static void the_guard_page_stops_an_overflow(void **state)
{
	char text[256];
	int status = run_in_child(true, STACK_BYTES * FIBER_STACK_FACTOR, text, sizeof(text));

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSEGV);
}

static void neighbours_tops_lie_in_different_cache_sets(void **state)
{
	struct shoal_stack_pool pool;
	uint8_t seen[64] = { 0 };

	(void)state;
	assert_int_equal(shoal_stack_pool_init(&pool, 64, STACK_BYTES, false), 0);
	for (unsigned i = 0; i < 64; i++) {
		uintptr_t top = (uintptr_t)shoal_stack_pool_top(&pool, i);

		assert_int_equal(top % 16, 0);
		assert_false(seen[top / SHOAL_CACHE_LINE % 64]++);
		assert_true(shoal_stack_canary_alive((const uint64_t *)(const void *)shoal_stack_pool_low(&pool, i)));
	}
	shoal_stack_pool_fini(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(enough_is_enough),
		cmocka_unit_test(the_canary_names_an_overflow),
		cmocka_unit_test(the_guard_page_stops_an_overflow),
		cmocka_unit_test(neighbours_tops_lie_in_different_cache_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
