/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "sched/microthread.h"

#define TASKS_MAX 3000

enum task_state { NOT_BEGUN, RUNS, SUSPENDED, READY, DONE };

struct task {
	struct shoal_microthread *microthread;
	enum task_state state;
	uint64_t order;
	uint64_t suspended_as; /* how many suspensions there were before */
	uint64_t *word; /* on its stack */
};

/* A scheduler with what the test knows of it. */
struct world {
	struct shoal_scheduler *scheduler;
	struct task tasks[TASKS_MAX];
	unsigned begun, wanted, done;
	unsigned rounds; /* suspensions of each task; 0: random up to 4 */
	uint64_t orders; /* orders are random below this */
	uint64_t random;
	uint64_t suspensions;
};

static struct world world;

static uint64_t random_next(void)
{
	world.random = world.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return world.random >> 33;
}

static void world_init(unsigned stacks, unsigned wanted, uint64_t seed)
{
	struct shoal_scheduler_config config = { .stacks = stacks, .stack_bytes = 16384 };

	memset(&world, 0, sizeof(world));
	world.scheduler = shoal_scheduler_create(&config);
	assert_non_null(world.scheduler);
	world.wanted = wanted;
	world.orders = 50;
	world.random = seed;
}

static void world_fini(void)
{
	shoal_scheduler_destroy(world.scheduler);
}

/* Of the ready ones none should have run before it. */
static void assert_is_first(const struct task *task)
{
	for (unsigned i = 0; i < world.begun; i++) {
		const struct task *other = &world.tasks[i];

		if (other->state != READY || other == task)
			continue;
		assert_true(other->order > task->order ||
			    (other->order == task->order && other->suspended_as > task->suspended_as));
	}
}

static void task_suspend(struct task *task)
{
	struct shoal_microthread *self = shoal_microthread_current(world.scheduler);
	double fraction = (double)world.suspensions / 3;
	uint64_t word = random_next(), copy = word;

	task->order = random_next() % world.orders;
	task->suspended_as = world.suspensions++;
	task->word = &word;
	task->state = SUSPENDED;
	shoal_microthread_suspend(world.scheduler, task->order);
	assert_int_equal(task->state, READY);
	assert_is_first(task);
	assert_ptr_equal(shoal_microthread_current(world.scheduler), self);
	assert_ptr_equal(*shoal_microthread_local(self), task);
	assert_int_equal(word, copy + 1); /* as the test changed it from outside */
	assert_true(fraction == (double)task->suspended_as / 3);
	task->state = RUNS;
}

static bool task_step(void *argument)
{
	struct task *task = &world.tasks[world.begun];
	unsigned rounds = world.rounds ? world.rounds : (unsigned)(random_next() % 5);

	assert_ptr_equal(argument, &world);
	if (world.begun == world.wanted)
		return false;
	world.begun++;
	task->microthread = shoal_microthread_current(world.scheduler);
	assert_non_null(task->microthread);
	assert_null(*shoal_microthread_local(task->microthread));
	*shoal_microthread_local(task->microthread) = task;
	task->state = RUNS;
	while (rounds--)
		task_suspend(task);
	task->state = DONE;
	world.done++;
	return random_next() % 2 ? shoal_microthread_finish(world.scheduler) : true;
}

static void wake(struct task *task)
{
	if (task->state == SUSPENDED) {
		task->state = READY;
		++*task->word;
	}
	shoal_microthread_wake(world.scheduler, task->microthread);
}

static unsigned in_state(enum task_state state)
{
	unsigned count = 0;

	for (unsigned i = 0; i < world.begun; i++)
		count += world.tasks[i].state == state;
	return count;
}

static bool run(void)
{
	return shoal_scheduler_run(world.scheduler, task_step, &world);
}

static void assert_counts(void)
{
	assert_int_equal(shoal_scheduler_ready(world.scheduler), in_state(READY));
	assert_int_equal(shoal_scheduler_suspended(world.scheduler), in_state(SUSPENDED) + in_state(READY));
	assert_int_equal(shoal_scheduler_suspensions(world.scheduler), world.suspensions);
	assert_null(shoal_microthread_current(world.scheduler));
}

/* Wakes in random order, now and then one that is ready already, and resumes within random budgets. */
static void run_world_to_its_end(void)
{
	for (unsigned turns = 0; world.done < world.wanted; turns++) {
		unsigned budget = 1 + (unsigned)(random_next() % 100), ready;
		bool step_left = run();

		assert_true(turns < 1000000);
		assert_int_equal(step_left, !shoal_scheduler_may_suspend(world.scheduler));
		for (unsigned i = 0; i < world.begun / 4 + 1; i++) {
			struct task *task = &world.tasks[random_next() % world.begun];

			if (task->state == SUSPENDED || task->state == READY)
				wake(task);
		}
		assert_counts();
		ready = shoal_scheduler_ready(world.scheduler);
		assert_int_equal(shoal_scheduler_run_ready(world.scheduler, budget), ready < budget ? ready : budget);
		assert_counts();
	}
	assert_false(run());
	assert_int_equal(shoal_scheduler_suspended(world.scheduler), 0);
}

static void thousands_suspend_and_wake_in_random_order(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++) {
		world_init(TASKS_MAX, TASKS_MAX, seed);
		run_world_to_its_end();
		world_fini();
	}
}

static void the_same_with_few_stacks(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++) {
		world_init((unsigned)seed, 500, seed);
		run_world_to_its_end();
		world_fini();
	}
}

static void steps_that_do_not_suspend_need_one_stack(void **state)
{
	(void)state;
	world_init(1, 0, 1);
	assert_false(run());
	world.wanted = 1000;
	world.rounds = 1;
	assert_true(run());
	assert_int_equal(world.begun, 1);
	assert_false(shoal_scheduler_may_suspend(world.scheduler));
	world_fini();
}

static void exhaustion_ends_the_run_and_a_returned_stack_lets_it_go_on(void **state)
{
	(void)state;
	world_init(3, 5, 1);
	world.rounds = 1;
	assert_true(run());
	assert_int_equal(world.begun, 3);
	assert_int_equal(shoal_scheduler_suspended(world.scheduler), 3);
	assert_true(run()); /* nothing can begin */
	assert_int_equal(world.begun, 3);
	wake(&world.tasks[1]);
	assert_true(run()); /* ready is not yet free */
	assert_int_equal(shoal_scheduler_run_ready(world.scheduler, 10), 1);
	assert_int_equal(world.done, 1);
	assert_true(shoal_scheduler_may_suspend(world.scheduler));
	assert_true(run());
	assert_int_equal(world.begun, 4);
	for (unsigned i = 0; i < 4; i++)
		if (world.tasks[i].state == SUSPENDED)
			wake(&world.tasks[i]);
	assert_int_equal(shoal_scheduler_run_ready(world.scheduler, 2), 2);
	assert_int_equal(shoal_scheduler_ready(world.scheduler), 1);
	assert_int_equal(shoal_scheduler_run_ready(world.scheduler, 0), 0);
	assert_int_equal(shoal_scheduler_run_ready(world.scheduler, 2), 1);
	assert_false(run());
	assert_int_equal(world.begun, 5);
	world_fini();
}

static void a_ready_one_waits_for_run_ready(void **state)
{
	(void)state;
	world_init(8, 1, 1);
	world.rounds = 1;
	assert_false(run());
	wake(&world.tasks[0]);
	wake(&world.tasks[0]);
	shoal_microthread_wake(world.scheduler, world.tasks[0].microthread);
	assert_int_equal(shoal_scheduler_ready(world.scheduler), 1);
	world.wanted = 2;
	assert_false(run());
	assert_int_equal(world.done, 0);
	assert_int_equal(shoal_scheduler_run_ready(world.scheduler, 8), 1);
	assert_int_equal(world.done, 1);
	world_fini();
}

/* --- A microthread that wakes others, and is woken while it runs --- */

struct pair {
	struct shoal_scheduler *scheduler;
	struct shoal_microthread *first, *second;
	unsigned begun;
	char trace[16];
	unsigned traced;
};

static void note(struct pair *pair, char event)
{
	pair->trace[pair->traced++] = event;
}

static bool pair_step(void *argument)
{
	struct pair *pair = argument;
	unsigned number = pair->begun++;

	if (number == 0) {
		pair->first = shoal_microthread_current(pair->scheduler);
		shoal_microthread_wake(pair->scheduler, pair->first); /* it runs: nothing */
		note(pair, 'a');
		shoal_microthread_suspend(pair->scheduler, 5);
		note(pair, 'b');
		shoal_microthread_suspend(pair->scheduler, 1);
		note(pair, 'c');
	} else if (number == 1) {
		pair->second = shoal_microthread_current(pair->scheduler);
		note(pair, 'A');
		shoal_microthread_wake(pair->scheduler, pair->first);
		note(pair, 'B');
		shoal_microthread_suspend(pair->scheduler, 3);
		shoal_microthread_wake(pair->scheduler, pair->first); /* resumed, it wakes again */
		note(pair, 'C');
	}
	return number < 2;
}

static void a_microthread_wakes_another(void **state)
{
	struct shoal_scheduler_config config = { .stacks = 4, .stack_bytes = 16384 };
	struct pair pair = { .scheduler = shoal_scheduler_create(&config) };

	(void)state;
	assert_false(shoal_scheduler_run(pair.scheduler, pair_step, &pair));
	assert_string_equal(pair.trace, "aAB");
	assert_int_equal(shoal_scheduler_ready(pair.scheduler), 1);
	assert_int_equal(shoal_scheduler_run_ready(pair.scheduler, 9), 1);
	assert_string_equal(pair.trace, "aABb");
	shoal_microthread_wake(pair.scheduler, pair.second);
	assert_int_equal(shoal_scheduler_run_ready(pair.scheduler, 9), 2);
	assert_string_equal(pair.trace, "aABbCc");
	assert_int_equal(shoal_scheduler_suspended(pair.scheduler), 0);
	shoal_scheduler_destroy(pair.scheduler);
}

static void bad_sizes_are_refused(void **state)
{
	struct shoal_scheduler_config config = { .stacks = 0, .stack_bytes = 16384 };

	(void)state;
	assert_null(shoal_scheduler_create(&config));
	assert_int_equal(errno, EINVAL);
	config = (struct shoal_scheduler_config){ .stacks = 4, .stack_bytes = 8191 };
	assert_null(shoal_scheduler_create(&config));
	assert_int_equal(errno, EINVAL);
	config = (struct shoal_scheduler_config){ .stacks = 4, .stack_bytes = 8192 + 64, .guard_pages = true };
	assert_null(shoal_scheduler_create(&config));
	assert_int_equal(errno, EINVAL);
}

static void abandoned_ones_leave_no_trace_in_the_memory(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		world_init(64, 100, i);
		world.rounds = 2;
		assert_true(run());
		world_fini();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thousands_suspend_and_wake_in_random_order),
		cmocka_unit_test(the_same_with_few_stacks),
		cmocka_unit_test(steps_that_do_not_suspend_need_one_stack),
		cmocka_unit_test(exhaustion_ends_the_run_and_a_returned_stack_lets_it_go_on),
		cmocka_unit_test(a_ready_one_waits_for_run_ready),
		cmocka_unit_test(a_microthread_wakes_another),
		cmocka_unit_test(bad_sizes_are_refused),
		cmocka_unit_test(abandoned_ones_leave_no_trace_in_the_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
