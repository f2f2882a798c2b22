/* SPDX-License-Identifier: BSD-3-Clause */
/* Random schedules over many seeds: packets, fragments in all orders, polls, instances that stall or take their steering
 * slots in any order, redirections, deaths and arrivals. After every poll the books balance and no flow is out of order;
 * at the end everything has left, or is a named drop. SEEDS in the environment: how many. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "io/splitter_world.h"

#define SEEDS_DEFAULT 400
#define OPERATIONS 600
#define DATAGRAMS 16

static struct world world;
static struct {
	struct world_datagram datagram;
	unsigned flow;
	uint16_t identification;
	unsigned fed; /* set of enum world_fragment */
} datagrams[DATAGRAMS];
static uint16_t identifications;
static uint64_t running_seed;

static unsigned below(unsigned n)
{
	return (unsigned)world_random(&world, n);
}

/* One more fragment, any of those that are left, of one of the datagrams under way. */
static void feed_fragment(void)
{
	unsigned i = below(DATAGRAMS), fragment = below(3);

	if (datagrams[i].fed == 7 || datagrams[i].identification == 0) {
		datagrams[i].datagram = (struct world_datagram){ 0 };
		datagrams[i].flow = below(WORLD_FLOWS);
		datagrams[i].identification = ++identifications;
		datagrams[i].fed = 0;
	}
	while (datagrams[i].fed >> fragment & 1)
		fragment = (fragment + 1) % 3;
	datagrams[i].fed |= 1u << fragment;
	world_feed_fragment(&world, datagrams[i].flow, datagrams[i].identification, &datagrams[i].datagram, fragment);
}

static void feed_missing_fragments(void)
{
	for (unsigned i = 0; i < DATAGRAMS; i++)
		for (unsigned fragment = 0; datagrams[i].identification != 0 && fragment < 3; fragment++)
			if ((datagrams[i].fed >> fragment & 1) == 0)
				world_feed_fragment(&world, datagrams[i].flow, datagrams[i].identification,
					&datagrams[i].datagram, fragment);
}

static void redirect(void)
{
	int code = world_redirect(
		&world, below(SHOAL_STEERING_SLOTS), 1 + below(SHOAL_STEERING_SLOTS), (uint16_t)below(WORLD_MEMBERS));

	assert_true(code == 0 || code == -EBUSY || code == -ENOENT);
}

static void step_somebody(void)
{
	uint16_t member = (uint16_t)below(WORLD_MEMBERS);

	if (world.instances[member].ring != NULL)
		world_step(&world, member, below(40), below(2));
}

static unsigned living(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < WORLD_MEMBERS; i++)
		n += world.instances[i].ring != NULL;
	return n;
}

static void come_or_go(bool deaths)
{
	uint16_t member = (uint16_t)below(WORLD_MEMBERS);

	if (world.instances[member].ring == NULL)
		world_attach(&world, member);
	else if (deaths && living() > 1)
		world_kill(&world, member);
}

static void operate(bool deaths)
{
	unsigned what = below(100);

	world.now_ns += below(100000);
	if (what < 30)
		for (unsigned n = below(8); n > 0; n--)
			world_feed(&world, below(WORLD_FLOWS));
	else if (what < 42)
		feed_fragment();
	else if (what < 66)
		world_poll(&world);
	else if (what < 92)
		step_somebody();
	else if (what < 97)
		redirect();
	else
		come_or_go(deaths);
}

/* What was lost or stranded with the dead goes on at a living member, so that all can leave. */
static void mend(void)
{
	for (unsigned member = 0; member < WORLD_MEMBERS; member++) {
		for (unsigned i = 0; world.instances[member].ring != NULL && i < SHOAL_STEERING_SLOTS; i++) {
			unsigned state = world.splitter->steering.slots[i].state;

			if (state == SHOAL_STEERING_LOST || state == SHOAL_STEERING_STRANDED)
				assert_int_equal(world_redirect(&world, i, 1, (uint16_t)member), 0);
		}
	}
}

static void run(uint64_t seed, bool deaths)
{
	static const uint8_t members[] = { 0, 1 };

	running_seed = seed;
	identifications = 0;
	for (unsigned i = 0; i < DATAGRAMS; i++)
		datagrams[i].identification = 0;
	world_create(&world, seed, 8192, 1024);
	/* Where packets may be lost, rings that fill up: parked packets then leave a few at a time. */
	world.ring_bytes = deaths ? 1 << 14 << seed % 3 : 1 << 17;
	world.drop_one_in = deaths && seed % 2 != 0 ? 20 : 0;
	world_attach(&world, 0);
	world_attach(&world, 1);
	world_table(&world, members, 2);
	for (unsigned i = 0; i < OPERATIONS; i++)
		operate(deaths);
	feed_missing_fragments();
	world_settle(&world);
	mend();
	world_settle(&world);
	world.now_ns += SHOAL_FRAGMENT_LIFE_NS; /* those whose first one was dropped */
	world_settle(&world);
	assert_int_equal(world.splitter->steering.pending_count, 0);
	assert_int_equal(shoal_fragment_table_held(world.splitter->fragments), 0);
	assert_int_equal(world_at_instances(&world), 0);
}

static uint64_t seeds(void)
{
	const char *text = getenv("SEEDS");

	return text != NULL ? strtoull(text, NULL, 10) : SEEDS_DEFAULT;
}

/* No deaths, and all bounds wide: every packet leaves, each flow in order, whatever the schedule. */
static void test_nothing_is_lost(void **state)
{
	uint64_t redirects = 0, reentered = 0, parked = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= seeds(); seed++) {
		run(seed, false);
		assert_int_equal(world.left, world.fed);
		redirects += world.splitter->steering.redirects;
		reentered += world.splitter->reentered;
		parked += world.splitter->steering.parked_most;
		world_destroy(&world);
	}
	/* The schedules did reach what they are for. */
	assert_true(redirects > 10 * seeds() && reentered > 10 * seeds() && parked > seeds());
}

static void test_deaths_cost_named_drops_only(void **state)
{
	uint64_t died = 0, markers_void = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= seeds(); seed++) {
		struct shoal_splitter_balance balance;

		run(seed, true);
		shoal_splitter_balance_read(world.splitter, &balance);
		assert_int_equal(balance.inside, 0);
		assert_int_equal(balance.at_members, world.instance_drops + world.lost_inside);
		assert_int_equal(world.fed, world.left + balance.dropped + world.instance_drops + world.lost_inside);
		died += world.splitter->drops[SHOAL_SPLITTER_INSTANCE_DIED];
		markers_void += world.splitter->steering.markers_void;
		world_destroy(&world);
	}
	assert_true(died > 0 && markers_void > seeds() / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_lost),
		cmocka_unit_test(test_deaths_cost_named_drops_only),
	};

	int failed = cmocka_run_group_tests(tests, world_start, world_stop);

	if (failed != 0)
		print_error("the last seed was %lu\n", (unsigned long)running_seed);
	return failed;
}
