/* SPDX-License-Identifier: BSD-3-Clause */
/* Life of a runner's thread, as in `phase`:
 *
 *   from      to        who      when
 *   RESTING   STARTING  control  shoal_runner_start
 *   STARTING  POLLING   thread   it is registered with EAL
 *   STARTING  ENDED     thread   EAL refused it
 *   POLLING   ENDED     thread   it saw stop_asked between two rounds
 *   ENDED     RESTING   control  it was joined
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_pause.h>

#include "worker/clock.h"
#include "worker/eal.h"
#include "worker/error.h"
#include "worker/runner.h"
#include "worker/signals.h"

#define COMPONENTS_MAX 16
#define START_DEADLINE_NS (2 * SHOAL_NS_PER_S)
#define STOP_DEADLINE_NS SHOAL_NS_PER_S
#define LOOK_AGAIN_NS 50000
/* The kernel's default of 50 us would triple a short sleep. */
#define TIMER_SLACK_NS 1000

enum phase { RESTING, STARTING, POLLING, ENDED }; /* a thread's life in ascending order */

struct component {
	shoal_poll_function poll;
	void *self; /* borrows */
};

struct shoal_runner {
	/* writer: control, before start */
	struct shoal_runner_config config;
	struct component components[COMPONENTS_MAX];
	unsigned components_count;
	pthread_t thread;
	/* atomic; writers: see the table above */
	uint32_t phase;
	bool stop_asked; /* atomic; writer: control, reader: thread */
	int register_errno; /* writer: thread, before ENDED */
	/* writer: thread, readers: control */
	SHOAL_CACHE_ALIGNED uint64_t rounds;
	uint64_t idle_rounds;
};

static void transition(struct shoal_runner *runner, enum phase to)
{
	/* release; pairs with the acquire of phase_of: what the other side reads after it is written before it */
	__atomic_store_n(&runner->phase, to, __ATOMIC_RELEASE);
}

static enum phase phase_of(const struct shoal_runner *runner)
{
	return __atomic_load_n(&runner->phase, __ATOMIC_ACQUIRE);
}

struct shoal_runner *shoal_runner_create(const struct shoal_runner_config *config)
{
	struct shoal_runner *runner;

	if (config->idle_policy < SHOAL_IDLE_SPIN || config->idle_policy > SHOAL_IDLE_SLEEP) {
		shoal_error(EINVAL, "runner %.16s: there is no idle policy %d", config->name, config->idle_policy);
		errno = EINVAL;
		return NULL;
	}
	if (config->idle_policy == SHOAL_IDLE_SLEEP && (!config->sleep_us || config->sleep_us > 1000000)) {
		shoal_error(
			EINVAL, "runner %.16s: sleep_us must be 1 to 1000000, not %u", config->name, config->sleep_us);
		errno = EINVAL;
		return NULL;
	}
	if (config->cpu < -1 || config->cpu >= CPU_SETSIZE) {
		shoal_error(EINVAL, "runner %.16s: there is no cpu %d", config->name, config->cpu);
		errno = EINVAL;
		return NULL;
	}
	runner = aligned_alloc(SHOAL_CACHE_LINE, sizeof(*runner));
	if (!runner) {
		shoal_error(ENOMEM, "runner %.16s: no memory", config->name);
		return NULL;
	}
	memset(runner, 0, sizeof(*runner));
	runner->config = *config;
	runner->config.name[sizeof(runner->config.name) - 1] = 0;
	return runner;
}

int shoal_runner_add(struct shoal_runner *runner, shoal_poll_function poll, void *component)
{
	if (phase_of(runner) != RESTING)
		return shoal_error(EBUSY, "runner %s: runs already", runner->config.name);
	if (runner->components_count == COMPONENTS_MAX)
		return shoal_error(
			ENOSPC, "runner %s: at most %d components on one runner", runner->config.name, COMPONENTS_MAX);
	runner->components[runner->components_count++] = (struct component){ .poll = poll, .self = component };
	return 0;
}

/* --- the thread --- */

/* One counter, one writer: no locked add, and a reader never sees half a word. */
static void count(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static void rest(const struct shoal_runner_config *config, struct timespec nap)
{
	if (config->idle_policy == SHOAL_IDLE_SLEEP)
		nanosleep(&nap, NULL);
	else if (config->idle_policy == SHOAL_IDLE_YIELD)
		sched_yield();
	else
		rte_pause();
}

static void poll_components(struct shoal_runner *runner)
{
	const struct shoal_runner_config *config = &runner->config;
	struct timespec nap = { .tv_sec = config->sleep_us / 1000000, .tv_nsec = config->sleep_us % 1000000 * 1000L };
	uint64_t now = 0;
	uint32_t idle = 0;

	while (!__atomic_load_n(&runner->stop_asked, __ATOMIC_RELAXED)) {
		unsigned work = 0;

		for (unsigned i = 0; i < runner->components_count; i++) {
			uint64_t next = shoal_clock_now();

			now = next > now ? next : now; /* the thread may have changed to a core that is ticks behind */
			work += runner->components[i].poll(runner->components[i].self, now);
		}
		count(&runner->rounds);
		if (SHOAL_LIKELY(work)) {
			idle = 0;
			continue;
		}
		count(&runner->idle_rounds);
		if (idle < config->idle_polls)
			idle++;
		else
			rest(config, nap);
	}
}

static void *thread_main(void *argument)
{
	struct shoal_runner *runner = argument;
	bool with_eal = shoal_eal_running();

	if (runner->config.name[0])
		pthread_setname_np(pthread_self(), runner->config.name);
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
	if (with_eal && rte_thread_register()) {
		runner->register_errno = rte_errno ? rte_errno : ENOMEM;
		transition(runner, ENDED);
		return NULL;
	}
	transition(runner, POLLING);
	poll_components(runner);
	if (with_eal)
		rte_thread_unregister();
	transition(runner, ENDED);
	return NULL;
}

/* --- control --- */

static int create_thread(struct shoal_runner *runner)
{
	sigset_t mask;
	pthread_attr_t attributes;
	cpu_set_t cpus;
	int error;

	pthread_attr_init(&attributes);
	CPU_ZERO(&cpus);
	if (runner->config.cpu >= 0) {
		CPU_SET((unsigned)runner->config.cpu, &cpus);
		pthread_attr_setaffinity_np(&attributes, sizeof(cpus), &cpus);
	}
	shoal_signals_block(&mask);
	error = pthread_create(&runner->thread, &attributes, thread_main, runner);
	shoal_signals_restore(&mask);
	pthread_attr_destroy(&attributes);
	if (error && runner->config.cpu >= 0)
		return shoal_error(error, "runner %s: no thread on cpu %d: %s", runner->config.name, runner->config.cpu,
			strerror(error));
	if (error)
		return shoal_error(error, "runner %s: no thread: %s", runner->config.name, strerror(error));
	return 0;
}

/* Waits until the thread is in `phase` or a later one; false after the deadline. */
static bool reaches_before(const struct shoal_runner *runner, enum phase phase, uint64_t nanoseconds)
{
	uint64_t deadline = shoal_clock_now() + nanoseconds;

	while (phase_of(runner) < phase) {
		if (shoal_clock_now() >= deadline)
			return false;
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_AGAIN_NS }, NULL);
	}
	return true;
}

/* ENDED is the last thing that the thread does: this takes no time. */
static void join(struct shoal_runner *runner)
{
	pthread_join(runner->thread, NULL);
	transition(runner, RESTING);
}

int shoal_runner_start(struct shoal_runner *runner)
{
	int error;

	if (phase_of(runner) != RESTING)
		return shoal_error(EBUSY, "runner %s: runs already", runner->config.name);
	shoal_clock_calibrate();
	runner->stop_asked = false;
	runner->register_errno = 0;
	transition(runner, STARTING);
	error = create_thread(runner);
	if (error) {
		transition(runner, RESTING);
		return error;
	}
	if (!reaches_before(runner, POLLING, START_DEADLINE_NS))
		return shoal_error(ETIMEDOUT, "runner %s: its thread did not begin within 2 s", runner->config.name);
	if (phase_of(runner) == POLLING)
		return 0;
	error = runner->register_errno;
	join(runner);
	return shoal_error(error, "runner %s: EAL takes no further thread: %s", runner->config.name, strerror(error));
}

int shoal_runner_stop(struct shoal_runner *runner)
{
	if (phase_of(runner) == RESTING)
		return 0;
	__atomic_store_n(&runner->stop_asked, true, __ATOMIC_RELAXED);
	if (!reaches_before(runner, ENDED, STOP_DEADLINE_NS))
		return shoal_error(ETIMEDOUT, "runner %s: a poll has not ended within 1 s", runner->config.name);
	join(runner);
	return 0;
}

void shoal_runner_destroy(struct shoal_runner *runner)
{
	/* Of a thread that does not stop, the memory must stay: it still reads it. */
	if (!runner || shoal_runner_stop(runner))
		return;
	free(runner);
}

bool shoal_runner_running(const struct shoal_runner *runner)
{
	return phase_of(runner) != RESTING;
}

uint64_t shoal_runner_rounds(const struct shoal_runner *runner)
{
	return __atomic_load_n(&runner->rounds, __ATOMIC_RELAXED);
}

uint64_t shoal_runner_idle_rounds(const struct shoal_runner *runner)
{
	return __atomic_load_n(&runner->idle_rounds, __ATOMIC_RELAXED);
}
