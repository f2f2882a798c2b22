/* SPDX-License-Identifier: BSD-3-Clause */
/* How time goes on in a world (world.h). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sched.h>

#include "world.h"
#include "worker/pipe.h"
#include "worker/runner.h"

#define POLLS_MAX 1000
#define REAL_DEADLINE_NS (10 * SHOAL_NS_PER_S)

void world_poll(struct world *world)
{
	for (unsigned member = 0; member < world->members_count; member++)
		shoal_worker_poll(&world->members[member].worker, world->now_ns);
}

static uint64_t taken(const struct world_member *member)
{
	return member->worker.received[NAT_INSIDE] + member->worker.received[NAT_OUTSIDE];
}

void world_await_receivers(const struct world *world)
{
	uint64_t begin = shoal_clock_now();

	for (unsigned number = 0; number < world->members_count; number++) {
		const struct world_member *member = &world->members[number];

		while (member->pipe &&
			shoal_pipe_waiting(member->pipe) + taken(member) < member->splitter->transmitted_packets) {
			assert_true(shoal_clock_now() - begin < REAL_DEADLINE_NS);
			sched_yield(); /* a receiver may be on this core */
		}
	}
}

static bool under_way(const struct world *world)
{
	for (unsigned number = 0; number < world->members_count; number++) {
		const struct world_member *member = &world->members[number];
		const struct shoal_worker *worker = &member->worker;

		if (member->pipe && taken(member) < member->splitter->transmitted_packets)
			return true;
		if (shoal_scheduler_suspended(worker->scheduler) || worker->space.fetches ||
			worker->space.outstanding || !shoal_channel_idle(worker->space.channel))
			return true;
	}
	return false;
}

/* Until nothing is under way: in virtual time, so many polls; where a server answers, as long as the deadline lets it. */
static void settle(struct world *world)
{
	uint64_t begin = shoal_clock_now();

	for (unsigned poll = 0; poll < 4 || under_way(world); poll++) {
		if (world->real ? shoal_clock_now() - begin > REAL_DEADLINE_NS : poll == POLLS_MAX)
			return;
		world->now_ns += world->real ? 10 : 1000;
		world_poll(world);
		if (world->real)
			sched_yield(); /* the server may be on this core */
	}
}

void world_run(struct world *world, uint64_t milliseconds)
{
	uint64_t end = world->now_ns + milliseconds * SHOAL_NS_PER_MS;

	while (world->now_ns < end) {
		uint64_t left = end - world->now_ns,
			 step = (world->real ? WORLD_REAL_STEP_MS : WORLD_STEP_MS) * SHOAL_NS_PER_MS;

		world->now_ns += left < step ? left : step;
		world_poll(world);
		if (world->real)
			settle(world); /* a server's answers come in real time */
	}
	settle(world);
	assert_false(under_way(world));
}

void world_until(struct world *world, enum nat_counter counter, uint64_t value)
{
	uint64_t begin = shoal_clock_now();

	while (world_count(world, counter) < value) {
		assert_true(shoal_clock_now() - begin < REAL_DEADLINE_NS);
		world_run(world, 200);
	}
	assert_int_equal(world_count(world, counter), value);
}
