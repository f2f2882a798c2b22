/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include <shoal/dataplane.h>

#include "worker/mailbox.h"
#include "worker/runner.h"

struct worker {
	struct shoal_mailbox mailbox;
	pthread_t thread; /* that ran the last command */
	uint64_t commands;
	uint64_t now_ns;
};

static unsigned worker_poll(void *component, uint64_t now_ns)
{
	struct worker *worker = component;

	shoal_mailbox_poll(&worker->mailbox, worker, now_ns);
	return 0;
}

static int add_to(void *component, void *argument, uint64_t now_ns)
{
	struct worker *worker = component;

	worker->thread = pthread_self();
	worker->commands++;
	worker->now_ns = now_ns;
	*(uint64_t *)argument += worker->commands;
	return worker->commands % 2 ? 0 : -ENOENT;
}

static void runs_at_once_where_nobody_polls(void **state)
{
	struct worker worker = { 0 };
	uint64_t sum = 0;

	(void)state;
	shoal_mailbox_init(&worker.mailbox);
	assert_int_equal(shoal_mailbox_post(&worker.mailbox, false, &worker, add_to, &sum, 0), 0);
	assert_int_equal(sum, 1);
	assert_true(pthread_equal(worker.thread, pthread_self()));
	assert_true(worker.now_ns > 0);
}

static void runs_in_the_polling_thread(void **state)
{
	struct shoal_runner_config config = { .name = "mailbox", .cpu = -1, .idle_policy = SHOAL_IDLE_YIELD };
	struct shoal_runner *runner = shoal_runner_create(&config);
	struct worker worker = { 0 };
	uint64_t sum = 0;

	(void)state;
	shoal_mailbox_init(&worker.mailbox);
	assert_int_equal(shoal_runner_add(runner, worker_poll, &worker), 0);
	assert_int_equal(shoal_runner_start(runner), 0);
	for (unsigned i = 1; i <= 200; i++)
		assert_int_equal(
			shoal_mailbox_post(&worker.mailbox, true, &worker, add_to, &sum, 10000), i % 2 ? 0 : -ENOENT);
	assert_int_equal(sum, 200 * 201 / 2);
	assert_false(pthread_equal(worker.thread, pthread_self()));
	shoal_runner_destroy(runner);
}

static void a_command_that_nobody_takes_is_withdrawn(void **state)
{
	struct worker worker = { 0 };
	uint64_t sum = 0;

	(void)state;
	shoal_mailbox_init(&worker.mailbox);
	assert_int_equal(shoal_mailbox_post(&worker.mailbox, true, &worker, add_to, &sum, 5), -ETIMEDOUT);
	assert_non_null(strstr(shoal_last_error(), "5 ms"));
	shoal_mailbox_poll(&worker.mailbox, &worker, 1);
	assert_int_equal(worker.commands, 0);
	assert_int_equal(sum, 0);
}

/* A worker that polls rarely, and a control thread with short patience: whatever wins each time, a command that was answered
 * was run once, and one that was not was not run. */
static void taking_and_withdrawing_exclude_each_other(void **state)
{
	struct shoal_runner_config config = {
		.name = "mailbox", .cpu = -1, .idle_policy = SHOAL_IDLE_SLEEP, .sleep_us = 1000
	};
	struct shoal_runner *runner = shoal_runner_create(&config);
	struct worker worker = { 0 };
	uint64_t answered = 0, sum = 0;

	(void)state;
	shoal_mailbox_init(&worker.mailbox);
	assert_int_equal(shoal_runner_add(runner, worker_poll, &worker), 0);
	assert_int_equal(shoal_runner_start(runner), 0);
	for (unsigned i = 0; i < 500; i++)
		answered += shoal_mailbox_post(&worker.mailbox, true, &worker, add_to, &sum, i % 2) != -ETIMEDOUT;
	assert_int_equal(shoal_runner_stop(runner), 0);
	assert_int_equal(worker.commands, answered);
	assert_int_equal(sum, answered * (answered + 1) / 2);
	shoal_runner_destroy(runner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_at_once_where_nobody_polls),
		cmocka_unit_test(runs_in_the_polling_thread),
		cmocka_unit_test(a_command_that_nobody_takes_is_withdrawn),
		cmocka_unit_test(taking_and_withdrawing_exclude_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
