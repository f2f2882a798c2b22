/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "worker/runner.h"

/* A component that notes how it was polled. */
struct probe {
	uint64_t polls; /* atomic */
	uint64_t order; /* of the last poll, over all probes */
	uint64_t last_ns;
	bool backwards;
	bool busy; /* answers work */
	bool stuck; /* atomic; stays in poll while set */
	int cpu;
	char name[16];
	sigset_t mask;
	struct probe *before; /* must have been polled just before this one */
	bool out_of_order;
};

static unsigned probe_poll(void *component, uint64_t now_ns)
{
	struct probe *probe = component;

	probe->backwards = probe->backwards || now_ns < probe->last_ns;
	probe->last_ns = now_ns;
	probe->cpu = sched_getcpu();
	pthread_getname_np(pthread_self(), probe->name, sizeof(probe->name));
	pthread_sigmask(SIG_SETMASK, NULL, &probe->mask);
	if (probe->before && probe->before->polls != probe->polls + 1)
		probe->out_of_order = true;
	while (__atomic_load_n(&probe->stuck, __ATOMIC_ACQUIRE))
		sched_yield();
	__atomic_store_n(&probe->polls, probe->polls + 1, __ATOMIC_RELEASE);
	return probe->busy;
}

static uint64_t polls_of(struct probe *probe)
{
	return __atomic_load_n(&probe->polls, __ATOMIC_ACQUIRE);
}

static void wait_for_polls(struct probe *probe, uint64_t polls)
{
	uint64_t deadline = shoal_clock_now() + 10 * SHOAL_NS_PER_S;

	while (polls_of(probe) < polls) {
		assert_true(shoal_clock_now() < deadline);
		sched_yield();
	}
}

static struct shoal_runner *make_runner(int policy, int cpu)
{
	struct shoal_runner_config config = {
		.name = "probe-runner", .cpu = cpu, .idle_policy = policy, .idle_polls = 4, .sleep_us = 100
	};
	struct shoal_runner *runner = shoal_runner_create(&config);

	assert_non_null(runner);
	return runner;
}

static void polls_all_in_turn(int policy, bool busy)
{
	struct shoal_runner *runner = make_runner(policy, -1);
	struct probe first = { .busy = busy }, second = { .before = &first };
	sigset_t *mask = &first.mask;

	assert_int_equal(shoal_runner_add(runner, probe_poll, &first), 0);
	assert_int_equal(shoal_runner_add(runner, probe_poll, &second), 0);
	assert_false(shoal_runner_running(runner));
	assert_int_equal(shoal_runner_start(runner), 0);
	assert_true(shoal_runner_running(runner));
	wait_for_polls(&second, 100);
	assert_int_equal(shoal_runner_stop(runner), 0);
	assert_false(shoal_runner_running(runner));
	assert_int_equal(first.polls, second.polls);
	assert_int_equal(shoal_runner_rounds(runner), first.polls);
	assert_int_equal(shoal_runner_idle_rounds(runner), busy ? 0 : first.polls);
	assert_false(second.out_of_order);
	assert_false(first.backwards || second.backwards);
	assert_true(second.last_ns >= first.last_ns);
	assert_string_equal(first.name, "probe-runner");
	assert_true(sigismember(mask, SIGINT) && sigismember(mask, SIGTERM));
	assert_false(sigismember(mask, SIGSEGV));
	shoal_runner_destroy(runner);
}

static void spins(void **state)
{
	(void)state;
	polls_all_in_turn(SHOAL_IDLE_SPIN, false);
	polls_all_in_turn(SHOAL_IDLE_SPIN, true);
}

static void yields(void **state)
{
	(void)state;
	polls_all_in_turn(SHOAL_IDLE_YIELD, false);
}

static void sleeps_when_idle(void **state)
{
	struct shoal_runner *runner = make_runner(SHOAL_IDLE_SLEEP, -1);
	struct probe probe = { 0 };
	uint64_t start, elapsed;

	(void)state;
	polls_all_in_turn(SHOAL_IDLE_SLEEP, false);
	assert_int_equal(shoal_runner_add(runner, probe_poll, &probe), 0);
	start = shoal_clock_now();
	assert_int_equal(shoal_runner_start(runner), 0);
	wait_for_polls(&probe, 50);
	assert_int_equal(shoal_runner_stop(runner), 0);
	elapsed = shoal_clock_now() - start;
	/* Every round after the fourth slept for 100 us at least. */
	assert_true(elapsed >= 40 * 100000);
	assert_true(probe.polls <= elapsed / 100000 + 8);
	shoal_runner_destroy(runner);
}

static void stays_on_its_cpu(void **state)
{
	cpu_set_t allowed;
	int cpu = CPU_SETSIZE - 1;
	struct shoal_runner *runner;
	struct probe probe = { 0 };

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	while (!CPU_ISSET((unsigned)cpu, &allowed))
		cpu--;
	runner = make_runner(SHOAL_IDLE_YIELD, cpu);
	assert_int_equal(shoal_runner_add(runner, probe_poll, &probe), 0);
	assert_int_equal(shoal_runner_start(runner), 0);
	wait_for_polls(&probe, 10);
	assert_int_equal(shoal_runner_stop(runner), 0);
	assert_int_equal(probe.cpu, cpu);
	shoal_runner_destroy(runner);
}

static void a_missing_cpu_is_a_sentence(void **state)
{
	struct shoal_runner *runner = make_runner(SHOAL_IDLE_YIELD, CPU_SETSIZE - 1);

	(void)state;
	assert_int_equal(shoal_runner_start(runner), -EINVAL);
	assert_non_null(strstr(shoal_last_error(), "cpu 1023"));
	assert_false(shoal_runner_running(runner));
	shoal_runner_destroy(runner);
}

static void bad_settings_are_refused(void **state)
{
	struct shoal_runner_config config = { .name = "bad", .cpu = -1, .idle_policy = 7 };

	(void)state;
	assert_null(shoal_runner_create(&config));
	assert_int_equal(errno, EINVAL);
	assert_non_null(strstr(shoal_last_error(), "idle policy 7"));
	config.idle_policy = SHOAL_IDLE_SLEEP;
	assert_null(shoal_runner_create(&config));
	assert_non_null(strstr(shoal_last_error(), "sleep_us"));
	config.idle_policy = SHOAL_IDLE_SPIN;
	config.cpu = -2;
	assert_null(shoal_runner_create(&config));
	assert_non_null(strstr(shoal_last_error(), "cpu -2"));
}

static void takes_sixteen_components(void **state)
{
	struct shoal_runner *runner = make_runner(SHOAL_IDLE_SPIN, -1);
	struct probe probe = { 0 };

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(shoal_runner_add(runner, probe_poll, &probe), 0);
	assert_int_equal(shoal_runner_add(runner, probe_poll, &probe), -ENOSPC);
	shoal_runner_destroy(runner);
}

static void a_stuck_poll_ends_the_wait_not_the_process(void **state)
{
	struct shoal_runner *runner = make_runner(SHOAL_IDLE_SPIN, -1);
	struct probe probe = { .stuck = true };
	uint64_t start;

	(void)state;
	assert_int_equal(shoal_runner_add(runner, probe_poll, &probe), 0);
	assert_int_equal(shoal_runner_start(runner), 0);
	assert_int_equal(shoal_runner_start(runner), -EBUSY);
	assert_int_equal(shoal_runner_add(runner, probe_poll, &probe), -EBUSY);
	start = shoal_clock_now();
	assert_int_equal(shoal_runner_stop(runner), -ETIMEDOUT);
	assert_in_range(shoal_clock_now() - start, 900 * SHOAL_NS_PER_MS, 5 * SHOAL_NS_PER_S);
	assert_true(shoal_runner_running(runner));
	__atomic_store_n(&probe.stuck, false, __ATOMIC_RELEASE);
	assert_int_equal(shoal_runner_stop(runner), 0);
	assert_int_equal(probe.polls, 1);
	/* And it can start again. */
	assert_int_equal(shoal_runner_start(runner), 0);
	wait_for_polls(&probe, 2);
	shoal_runner_destroy(runner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spins),
		cmocka_unit_test(yields),
		cmocka_unit_test(sleeps_when_idle),
		cmocka_unit_test(stays_on_its_cpu),
		cmocka_unit_test(a_missing_cpu_is_a_sentence),
		cmocka_unit_test(bad_settings_are_refused),
		cmocka_unit_test(takes_sixteen_components),
		cmocka_unit_test(a_stuck_poll_ends_the_wait_not_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
