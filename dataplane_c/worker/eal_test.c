/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <rte_eal.h>
#include <rte_lcore.h>

#include "worker/eal.h"
#include "worker/runner.h"

static char prefix[48];
static const char *const good[] = { "eal-test", "--no-huge", "-m", "64", "--no-pci", "--no-telemetry", "--no-shconf",
	"--file-prefix", prefix };
static const char *const bad[] = { "eal-test", "--no-huge", "-m", "64", "--in-memory", "--no-pci", "--no-telemetry",
	"--file-prefix", prefix };
static const char *const great[] = { "eal-test", "--no-huge", "-m", "100000000", "--no-pci", "--no-telemetry",
	"--no-shconf", "--file-prefix", prefix };
#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static void host_handler(int number)
{
	(void)number;
}

/* In a process of its own, since EAL keeps what it was told. */
static int fail_to_start(void)
{
	if (shoal_eal_start(0, good) != -EINVAL)
		return 1;
	if (shoal_eal_start(COUNT(bad), bad) != -EINVAL || shoal_eal_running())
		return 2;
	if (!strstr(shoal_last_error(), "EAL did not start") ||
		!strstr(shoal_last_error(), "--legacy-mem is not compatible"))
		return 3;
	if (shoal_eal_start(COUNT(good), good) != -EALREADY)
		return 4;
	return 0;
}

static int fail_for_memory(void)
{
	if (shoal_eal_start(COUNT(great), great) != -ENOMEM)
		return 1;
	return strstr(shoal_last_error(), "ask for fewer `packets`, or give it more by -m in `eal`") ? 0 : 2;
}

static void expect_in_child(int (*function)(void))
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (!child) {
		if (!freopen("/dev/null", "w", stdout)) /* EAL prints its manual there */
			_exit(9);
		_exit(function());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void bad_arguments_are_a_sentence(void **state)
{
	(void)state;
	expect_in_child(fail_to_start);
}

static void too_little_memory_says_what_to_do(void **state)
{
	(void)state;
	expect_in_child(fail_for_memory);
}

static unsigned note_lcore(void *component, uint64_t now_ns)
{
	(void)now_ns;
	__atomic_store_n((unsigned *)component, rte_lcore_id(), __ATOMIC_RELEASE);
	return 0;
}

/* A runner's thread has an lcore of its own, and so has a second one. */
static void runners_are_lcores(void)
{
	struct shoal_runner_config config = { .name = "eal", .cpu = -1, .idle_policy = SHOAL_IDLE_YIELD };
	unsigned lcores[2] = { RTE_MAX_LCORE, RTE_MAX_LCORE };
	struct shoal_runner *runners[2];

	for (unsigned i = 0; i < 2; i++) {
		runners[i] = shoal_runner_create(&config);
		assert_int_equal(shoal_runner_add(runners[i], note_lcore, &lcores[i]), 0);
		assert_int_equal(shoal_runner_start(runners[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		uint64_t deadline = shoal_clock_now() + 10 * SHOAL_NS_PER_S;

		while (!shoal_runner_rounds(runners[i]) && shoal_clock_now() < deadline)
			sched_yield();
		assert_int_equal(shoal_runner_stop(runners[i]), 0);
	}
	assert_in_range(lcores[0], 1, RTE_MAX_LCORE - 1);
	assert_in_range(lcores[1], 1, RTE_MAX_LCORE - 1);
	assert_int_not_equal(lcores[0], lcores[1]);
	shoal_runner_destroy(runners[0]);
	shoal_runner_destroy(runners[1]);
}

static void the_host_keeps_its_signals_and_cpus(void **state)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGBUS, SIGPIPE, SIGCHLD, SIGALRM, SIGUSR1 };
	struct sigaction action = { .sa_handler = host_handler }, after;
	sigset_t mask_before, mask_after;
	cpu_set_t cpus_before, cpus_after;

	(void)state;
	for (int i = 0; i < COUNT(numbers); i++)
		assert_int_equal(sigaction(numbers[i], &action, NULL), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
	assert_int_equal(sched_getaffinity(0, sizeof(cpus_before), &cpus_before), 0);
	assert_int_equal(shoal_eal_start(COUNT(good), good), 0);
	assert_true(shoal_eal_running());
	assert_int_equal(access(rte_eal_get_runtime_dir(), F_OK), -1); /* a kill from here on leaves nothing */
	for (int i = 0; i < COUNT(numbers); i++) {
		assert_int_equal(sigaction(numbers[i], NULL, &after), 0);
		assert_ptr_equal(after.sa_handler, host_handler);
	}
	pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
	for (int i = 1; i < SIGRTMAX; i++)
		assert_int_equal(sigismember(&mask_before, i), sigismember(&mask_after, i));
	assert_int_equal(sched_getaffinity(0, sizeof(cpus_after), &cpus_after), 0);
	assert_true(CPU_EQUAL(&cpus_before, &cpus_after));
	assert_int_equal(shoal_eal_start(COUNT(good), good), -EALREADY);
	runners_are_lcores();
	shoal_eal_stop();
	shoal_eal_stop();
	assert_false(shoal_eal_running());
	assert_int_equal(shoal_eal_start(COUNT(good), good), -EALREADY);
	assert_non_null(strstr(shoal_last_error(), "once in a process"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_arguments_are_a_sentence),
		cmocka_unit_test(too_little_memory_says_what_to_do),
		cmocka_unit_test(the_host_keeps_its_signals_and_cpus),
	};

	snprintf(prefix, sizeof(prefix), "shoal-eal-test-%d", (int)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
