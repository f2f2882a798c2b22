/* SPDX-License-Identifier: BSD-3-Clause */
/* Case 15 (dso.md), with real processes: two members update each other's counters and take each other's objects of 16 KiB, ten
 * million updates in all, and one of them is stopped for five seconds. The other's memory does not grow, it goes on with what
 * is its own, and in the end every accepted update has been applied once. */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "channel/ring_transport.h"
#include "object/map_inline.h"
#include "object/space.h"
#include "queue/ring.h"
#include "worker/clock.h"
#include "worker/runner.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UPDATES 200000u
#else
#define UPDATES 10000000u /* by both members; a tenth of them at the other one */
#endif
#define REMOTE (UPDATES / 20)
#define LOCAL (UPDATES / 2 - REMOTE)
#define STOP_NS (5 * SHOAL_NS_PER_S)
#define DEADLINE_NS (240 * SHOAL_NS_PER_S)
#define KEYS 256u /* of counters, and of large objects */
#define LARGE_BYTES 16384u
#define WINDOW 512u
#define STEPS 64u /* in one poll */
#define TAKE_EVERY 64u
#define GROWTH_MAX (16u << 20)

enum order { ORDER_WORK = 1, ORDER_REST, ORDER_END };

struct account {
	uint64_t remote, local, taken; /* accepted, all keys */
	uint64_t updates[KEYS], touches[KEYS];
};

/* What both processes see. */
struct shared {
	int order; /* of the test's process */
	int reached[2]; /* steps of the plan */
	struct account accounts[2];
};

struct large {
	uint64_t touches;
	uint8_t fill[LARGE_BYTES - 8];
};

struct side {
	struct shoal_space_context context;
	struct shoal_runtime runtime;
	struct shoal_space space;
	struct shoal_scheduler *scheduler;
	struct shared *shared;
	uint64_t own[KEYS], others[KEYS], random;
	unsigned owned, steps;
	uint32_t next; /* of the last look at everything */
	uint8_t number;
	bool working, endless; /* work of its own is: until the other one has stood still */
};

static void add(struct shoal_context *context, const void *key, void *object, const void *argument, void *result)
{
	*(uint64_t *)object += *(const uint64_t *)argument;
}

static void read_sum(struct shoal_context *context, const void *key, void *object, const void *argument, void *result)
{
	memcpy(result, object, 8);
}

enum { ADD, READ };

static const struct shoal_method methods[] = {
	[ADD] = { "add", 8, 0, true, add },
	[READ] = { "read", 8, 8, false, read_sum },
};
static const struct shoal_class counter_class = { .name = "stall.counter",
	.pattern = SHOAL_MULTI_WRITER,
	.key_bytes = 8,
	.object_bytes = 8,
	.methods = methods,
	.methods_count = 2 };
static const struct shoal_class large_class = {
	.name = "stall.large", .pattern = SHOAL_SINGLE_WRITER, .key_bytes = 8, .object_bytes = sizeof(struct large)
};
static const struct shoal_class *const classes[] = { &counter_class, &large_class };

/* Also in the other process, where no test could fail. */
static void must(bool true_, const char *what)
{
	if (!true_) {
		fprintf(stderr, "%s\n", what);
		_exit(3);
	}
}

/* --- One member --- */

static void side_init(struct side *side, uint8_t number, struct shared *shared, int descriptor)
{
	const struct shoal_scheduler_config stacks = { .stacks = WINDOW, .stack_bytes = 16384 };
	const struct shoal_space_config config = { .self = number,
		.life = 1u + number,
		.hash_seed = 42,
		.classes = classes,
		.classes_count = 2,
		.objects_max = 4096,
		.window = WINDOW,
		.microthreads_max = WINDOW,
		.members_max = 2,
		.deadline_ns = DEADLINE_NS,
		.resend_ns = SHOAL_NS_PER_MS,
		.touch = true };
	struct shoal_link *link;

	memset(side, 0, sizeof(*side));
	side->number = number;
	side->shared = shared;
	side->random = 88172645463325252u + number;
	side->runtime = (struct shoal_runtime){ .take = shoal_space_take,
		.release = shoal_space_release,
		.remove = shoal_space_remove,
		.call = shoal_space_call };
	side->context.context.runtime = &side->runtime;
	side->scheduler = shoal_scheduler_create(&stacks);
	must(side->scheduler && !shoal_space_init(&side->space, &side->context, &config, side->scheduler), "no memory");
	link = shoal_ring_transport_create(descriptor, number);
	must(link && !shoal_channel_attach(side->space.channel, !number, 2u - number, link), "no channel");
}

static uint64_t draw(struct side *side)
{
	side->random ^= side->random << 13;
	side->random ^= side->random >> 7;
	side->random ^= side->random << 17;
	return side->random;
}

/* Another's object comes here, with all that was written to it. */
static void touch(struct side *side, uint64_t key)
{
	struct shoal_request request = { .class = &large_class, .key = &key, .create = true };
	struct large *large;

	must(!shoal_take(&side->context.context, &request, 1), "an object was not taken");
	large = request.object;
	for (unsigned i = 0; i < sizeof(large->fill); i += 512)
		must(large->fill[i] == (uint8_t)large->touches, "an object is torn");
	large->touches++;
	memset(large->fill, (uint8_t)large->touches, sizeof(large->fill));
	shoal_release(&side->context.context, &request, 1);
	side->shared->accounts[side->number].touches[key]++;
	side->shared->accounts[side->number].taken++;
}

static void update(struct side *side, uint64_t key, uint64_t *accepted)
{
	uint64_t amount = 1;

	must(!shoal_call(&side->context.context, &counter_class, &key, ADD, &amount, NULL), "an update was refused");
	side->shared->accounts[side->number].updates[key]++;
	(*accepted)++;
}

/* What needs the other one only where the window lets it; what is its own always. */
static bool work(void *argument)
{
	struct side *side = argument;
	struct account *account = &side->shared->accounts[side->number];
	bool open = shoal_window_open(&side->space) && shoal_scheduler_may_suspend(side->scheduler);
	uint64_t random = draw(side);

	if (side->steps++ == STEPS)
		return false;
	if (open && account->remote < REMOTE && random % 4 == 0) {
		if (random / 4 % TAKE_EVERY == 0)
			touch(side, random / 1024 % KEYS);
		else
			update(side, side->others[random / 1024 % (KEYS - side->owned)], &account->remote);
	} else if (account->local < LOCAL || side->endless) {
		update(side, side->own[random / 1024 % side->owned], &account->local);
	}
	return true;
}

static void side_poll(struct side *side)
{
	unsigned done = shoal_space_poll(&side->space, shoal_clock_now());

	if (shoal_scheduler_ready(side->scheduler))
		done += shoal_scheduler_run_ready(side->scheduler, STEPS);
	side->steps = 0;
	if (side->working)
		shoal_scheduler_run(side->scheduler, work, side);
	shoal_space_flush(&side->space);
	if (!done)
		sched_yield();
}

static void both_reach(struct side *side, int step)
{
	int *reached = side->shared->reached;
	uint64_t until = shoal_clock_now() + DEADLINE_NS;

	__atomic_store_n(&reached[side->number], step, __ATOMIC_RELEASE);
	while (__atomic_load_n(&reached[!side->number], __ATOMIC_ACQUIRE) < step) {
		side_poll(side);
		must(shoal_clock_now() < until, "the plan does not end");
	}
}

static void first_plan(struct side *side)
{
	struct shoal_plan *plan = calloc(1, sizeof(*plan));

	must(plan != NULL, "no memory");
	plan->term = plan->epoch_next = 1;
	for (unsigned i = 0; i < 2; i++)
		plan->in_next[i] = 1, plan->life[i] = 1 + i;
	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot++)
		plan->owner_next[slot] = slot & 1;
	must(!shoal_keyspace_learn(&side->space, plan), "learn");
	both_reach(side, 1);
	must(!shoal_keyspace_hand_over(&side->space, 1, 1), "hand over");
	while (side->space.keyspace.stage != SHOAL_STAGE_DONE)
		side_poll(side);
	both_reach(side, 2);
	must(!shoal_keyspace_forget(&side->space, 1, 1), "forget");
	both_reach(side, 3);
	free(plan);
	for (uint64_t key = 0; key < KEYS; key++) {
		struct shoal_map *map = &side->space.maps[0];
		uint8_t bytes[SHOAL_KEY_BYTES_MAX] = { 0 };

		memcpy(bytes, &key, sizeof(key));
		if (shoal_slot_bit(side->space.keyspace.token, shoal_map_slot(map, bytes, shoal_map_hash(map, bytes))))
			side->own[side->owned++] = key;
		else
			side->others[key - side->owned] = key;
	}
	must(side->owned && side->owned < KEYS, "keys of both");
}

static bool at_rest(const struct side *side)
{
	return !side->space.outstanding && !shoal_scheduler_suspended(side->scheduler);
}

static _Noreturn void other_process(struct shared *shared, int descriptor)
{
	struct side *side = aligned_alloc(128, (sizeof(*side) + 127) / 128 * 128);
	int order;

	must(side && !prctl(PR_SET_PDEATHSIG, SIGKILL), "no memory");
	side_init(side, 1, shared, descriptor);
	first_plan(side);
	while ((order = __atomic_load_n(&shared->order, __ATOMIC_ACQUIRE)) != ORDER_END) {
		side->working = order == ORDER_WORK;
		side_poll(side);
		if (order == ORDER_REST && at_rest(side))
			__atomic_store_n(&shared->reached[1], 4, __ATOMIC_RELEASE);
	}
	_exit(0);
}

/* --- The test --- */

static size_t resident_bytes(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	assert_true(file && fscanf(file, "%*u %lu", &pages) == 1);
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void poll_until_all(struct side *side, const struct account *accounts, uint64_t remote, uint64_t local)
{
	uint64_t until = shoal_clock_now() + DEADLINE_NS;

	for (unsigned i = 0; i < 2;)
		if (__atomic_load_n(&accounts[i].remote, __ATOMIC_RELAXED) >= remote &&
			__atomic_load_n(&accounts[i].local, __ATOMIC_RELAXED) >= local) {
			i++;
		} else {
			side_poll(side);
			assert_true(shoal_clock_now() < until);
		}
}

/* The window closes and stays so; what is this member's own goes on; nothing else is kept than what the window lets in. */
static void work_beside_a_stopped_one(struct side *side, pid_t child)
{
	struct account *account = &side->shared->accounts[0];
	uint64_t remote = account->remote, local_when_closed = 0, began;
	size_t before = resident_bytes();
	int status;

	assert_int_equal(kill(child, SIGSTOP), 0);
	assert_true(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
	began = shoal_clock_now();
	while (shoal_clock_now() < began + STOP_NS) {
		side_poll(side);
		assert_true(side->space.outstanding <= WINDOW + 1);
		if (!shoal_window_open(&side->space) && !local_when_closed)
			local_when_closed = account->local;
	}
	/* A window was open, and another's answers had come before. */
	assert_true(account->remote - remote <= 2 * WINDOW);
	assert_false(shoal_window_open(&side->space));
	assert_true(local_when_closed && account->local > local_when_closed);
	assert_true(resident_bytes() < before + GROWTH_MAX);
	assert_int_equal(kill(child, SIGCONT), 0);
	side->endless = false;
}

static bool look_at_next(void *argument)
{
	struct side *side = argument;
	const struct account *accounts = side->shared->accounts;
	uint64_t key = side->next, nothing = 0, sum = 0;
	struct shoal_request request = { .class = &large_class, .key = &key };

	if (!shoal_scheduler_may_suspend(side->scheduler) || key == KEYS)
		return false;
	side->next++;
	must(!shoal_call(&side->context.context, &counter_class, &key, READ, &nothing, &sum), "a counter is not read");
	must(sum == accounts[0].updates[key] + accounts[1].updates[key], "updates were lost, or applied twice");
	must(!shoal_take(&side->context.context, &request, 1), "an object was not taken");
	must((request.object ? ((struct large *)request.object)->touches : 0) ==
			accounts[0].touches[key] + accounts[1].touches[key],
		"writes to an object were lost");
	shoal_release(&side->context.context, &request, 1);
	return true;
}

static void everything_is_there(struct side *side)
{
	uint64_t until = shoal_clock_now() + DEADLINE_NS;

	while (side->next < KEYS || !at_rest(side)) {
		shoal_scheduler_run(side->scheduler, look_at_next, side);
		side_poll(side);
		assert_true(shoal_clock_now() < until);
	}
}

static void test_a_peer_stalls(void **state)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int descriptor = shoal_ring_pair_create(SHOAL_RING_TRANSPORT_CAPACITY), status;
	struct side *side = aligned_alloc(128, (sizeof(*side) + 127) / 128 * 128);
	pid_t child;

	assert_true(shared != MAP_FAILED && descriptor >= 0 && side);
	shared->order = ORDER_WORK;
	child = fork();
	assert_true(child >= 0);
	if (!child)
		other_process(shared, descriptor);
	side_init(side, 0, shared, descriptor);
	first_plan(side);
	side->working = side->endless = true;
	poll_until_all(side, shared->accounts, REMOTE / 10, 1);
	work_beside_a_stopped_one(side, child);
	poll_until_all(side, shared->accounts, REMOTE, LOCAL);
	side->working = false;
	__atomic_store_n(&shared->order, ORDER_REST, __ATOMIC_RELEASE);
	both_reach(side, 4);
	while (!at_rest(side))
		side_poll(side);
	everything_is_there(side);
	assert_true(shared->accounts[0].taken + shared->accounts[1].taken > KEYS);
	__atomic_store_n(&shared->order, ORDER_END, __ATOMIC_RELEASE);
	assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status));
	shoal_space_fini(&side->space);
	shoal_scheduler_destroy(side->scheduler);
	free(side);
	close(descriptor);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_a_peer_stalls) };

	shoal_clock_calibrate();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
