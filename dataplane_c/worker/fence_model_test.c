/* SPDX-License-Identifier: BSD-3-Clause */
/* Heartbeats and fences of a few members in made-up time, from a seed: links that are slow, lose, or are cut in one direction;
 * processes that stand still; clocks that have nothing to do with each other; and a controller that declares some of the
 * members dead as docs/between-hosts.md says. Nobody works who was declared dead; who is among a majority that hears each
 * other works. Rules are broken on purpose, to see that it would be noticed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "channel/heartbeat.h"
#include "worker/fence.h"

#define MEMBERS 5
#define LEASE (1000 * SHOAL_NS_PER_MS)
#define PERIOD (LEASE / 8)
#define STEP (5 * SHOAL_NS_PER_MS)
#define STEPS 2400
#define LETTERS 512
#define SEEDS 400

enum plant { SOUND, HEARD_ON_ARRIVAL, DEAD_AT_ONCE, NOBODY_TOLD, VOICE_GOES_ON, PLANTS };

struct letter {
	uint64_t due_ns; /* 0: none */
	uint8_t from, to;
	struct shoal_heartbeat_body body;
};

struct member {
	uint64_t clock_offset_ns, still_until_ns;
	struct shoal_heartbeat heartbeats[MEMBERS];
	struct shoal_fence fence;
	uint32_t left_out; /* members that it answers no more */
	bool working;
	uint64_t told_controller_ns; /* its clock, as the controller has heard */
};

struct world {
	uint64_t random;
	enum plant plant;
	uint64_t now_ns;
	unsigned count;
	uint32_t in_now, in_next;
	bool cut[MEMBERS][MEMBERS];
	struct member members[MEMBERS];
	struct letter letters[LETTERS];
	uint32_t doomed, told, dead;
	uint64_t dead_at_ns; /* 0: a majority has not been told yet */
	unsigned worked_dead, deaths;
};

static uint64_t draw(struct world *world, uint64_t below)
{
	world->random ^= world->random << 13;
	world->random ^= world->random >> 7;
	world->random ^= world->random << 17;
	return world->random % below;
}

static uint64_t clock_of(const struct world *world, const struct member *member)
{
	return world->now_ns + member->clock_offset_ns;
}

static void begin(struct world *world, uint64_t seed, enum plant plant)
{
	memset(world, 0, sizeof(*world));
	world->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	world->plant = plant;
	world->now_ns = SHOAL_NS_PER_S;
	world->count = 2 + (unsigned)draw(world, MEMBERS - 1);
	world->in_now = world->in_next = (1u << world->count) - 1;
	if (draw(world, 3) == 0) /* a reorganisation, in which the last one joins */
		world->in_now &= world->in_now >> 1;
	for (unsigned i = 0; i < world->count; i++) {
		struct member *member = &world->members[i];

		member->clock_offset_ns = draw(world, 100 * SHOAL_NS_PER_S);
		member->fence = (struct shoal_fence){
			.self = (uint8_t)i, .lease_ns = LEASE, .remote = world->in_next & ~(1u << i)
		};
	}
}

/* --- The network --- */

static void send(struct world *world, unsigned from, unsigned to, struct shoal_heartbeat_body body)
{
	struct letter *letter = &world->letters[draw(world, LETTERS)];

	if (world->cut[from][to] || letter->due_ns)
		return; /* lost */
	/* Now and then one lies in a buffer for long. */
	uint64_t delay_ns = draw(world, 20) ? draw(world, 4 * STEP) : draw(world, 3 * LEASE);

	*letter = (struct letter){
		.due_ns = world->now_ns + 1 + delay_ns, .from = (uint8_t)from, .to = (uint8_t)to, .body = body
	};
}

static void take(struct world *world, struct member *member, const struct letter *letter)
{
	struct shoal_heartbeat *heartbeat = &member->heartbeats[letter->from];

	if (member->left_out >> letter->from & 1)
		return;
	assert_true(shoal_heartbeat_take(heartbeat, &letter->body));
	if (world->plant == HEARD_ON_ARRIVAL && letter->body.answer)
		heartbeat->heard_ns = clock_of(world, member);
}

/* --- Members --- */

static void poll_member(struct world *world, unsigned self)
{
	struct member *member = &world->members[self];
	uint64_t heard_ns[SHOAL_MEMBERS_MAX] = { 0 }, now_ns = clock_of(world, member);

	for (unsigned i = 0; i < LETTERS; i++) {
		if (world->letters[i].due_ns && world->letters[i].due_ns <= world->now_ns &&
			world->letters[i].to == self) {
			take(world, member, &world->letters[i]);
			world->letters[i].due_ns = 0;
		}
	}
	for (unsigned peer = 0; peer < world->count; peer++) {
		struct shoal_heartbeat *heartbeat = &member->heartbeats[peer];

		if (peer == self)
			continue;
		if (!(member->left_out >> peer & 1) && shoal_heartbeat_due(heartbeat, now_ns, PERIOD))
			send(world, self, peer, shoal_heartbeat_say(heartbeat, now_ns, PERIOD));
		heard_ns[peer] = heartbeat->heard_ns;
	}

	const struct shoal_fence_members members = {
		.in_now = world->in_now, .in_next = world->in_next, .heard_ns = heard_ns
	};

	member->working = shoal_fence_look(&member->fence, &members, now_ns);
	world->worked_dead += member->working && world->dead >> self & 1;
}

/* --- The controller --- */

static bool majority(uint32_t members, uint32_t among)
{
	return 2 * __builtin_popcount(members & among) >= __builtin_popcount(members);
}

/* A question and its answer take less than a round, or are lost. */
static void speak(struct world *world)
{
	for (unsigned i = 0; i < world->count; i++) {
		struct member *member = &world->members[i];
		bool silent = world->doomed >> i & 1 && world->plant != VOICE_GOES_ON;

		if (silent || world->now_ns < member->still_until_ns || draw(world, 8) == 0)
			continue;
		assert_true(shoal_fence_voice(&member->fence, member->told_controller_ns, clock_of(world, member)));
		member->told_controller_ns = clock_of(world, member);
	}
}

static void choose_doomed(struct world *world)
{
	uint32_t all = world->in_now | world->in_next, doomed = (uint32_t)draw(world, all) & all;

	if (doomed && majority(world->in_now, all & ~doomed) && majority(world->in_next, all & ~doomed))
		world->doomed = doomed;
}

/* All that stay, one after the other, in their own time. */
static void leave_out(struct world *world)
{
	for (unsigned i = 0; i < world->count; i++) {
		bool stays = !(world->doomed >> i & 1) && world->now_ns >= world->members[i].still_until_ns;

		if (!stays || world->told >> i & 1 || draw(world, 20))
			continue;
		if (world->plant != NOBODY_TOLD)
			world->members[i].left_out = world->doomed;
		world->told |= 1u << i;
	}
	if (!majority(world->in_now, world->told) || !majority(world->in_next, world->told))
		return;
	world->dead_at_ns = world->now_ns + (world->plant == DEAD_AT_ONCE ? 1 : LEASE + LEASE / 4);
}

static void control(struct world *world)
{
	if (world->now_ns / STEP % 25 == 0)
		speak(world);
	if (!world->doomed) {
		if (world->now_ns > 4 * SHOAL_NS_PER_S && draw(world, 200) == 0)
			choose_doomed(world);
	} else if (!world->dead_at_ns) {
		leave_out(world);
	} else if (!world->dead && world->now_ns >= world->dead_at_ns) {
		world->dead = world->doomed;
		world->deaths++;
	}
}

/* --- Runs --- */

static void trouble(struct world *world)
{
	unsigned from = (unsigned)draw(world, world->count), to = (unsigned)draw(world, world->count);

	if (draw(world, 60) == 0)
		world->cut[from][to] = !world->cut[from][to];
	if (draw(world, 150) == 0)
		world->members[from].still_until_ns = world->now_ns + draw(world, 4 * LEASE);
}

static void step(struct world *world)
{
	world->now_ns += STEP;
	control(world);
	for (unsigned i = 0; i < world->count; i++)
		if (world->now_ns >= world->members[i].still_until_ns)
			poll_member(world, i);
}

/* How often somebody worked who was dead. */
static unsigned run(struct world *world, uint64_t seed, enum plant plant)
{
	begin(world, seed, plant);
	for (unsigned i = 0; i < STEPS; i++) {
		trouble(world);
		step(world);
	}
	return world->worked_dead;
}

/* All links whole, nobody stands still: who was not declared dead works. */
static void calm(struct world *world)
{
	memset(world->cut, 0, sizeof(world->cut));
	for (unsigned i = 0; i < world->count; i++)
		world->members[i].still_until_ns = 0;
	if (!world->doomed)
		world->doomed = UINT32_MAX << world->count; /* none, and nobody else any more */
	for (unsigned i = 0; i < 2 * LEASE / STEP; i++)
		step(world);
}

static void nobody_works_who_was_declared_dead(void **state)
{
	static struct world world;
	unsigned deaths = 0, holds = 0;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		if (run(&world, seed, SOUND))
			fail_msg("seed %lu: a member worked that was declared dead", seed);
		calm(&world);
		assert_int_equal(world.worked_dead, 0);
		for (unsigned i = 0; i < world.count; i++) {
			if (!(world.doomed >> i & 1) && !world.members[i].working)
				fail_msg("seed %lu: member %u holds for no reason", seed, i);
			holds += (unsigned)world.members[i].fence.holds;
		}
		deaths += world.deaths;
	}
	/* That it was not for lack of trouble. */
	assert_true(deaths > SEEDS / 2);
	assert_true(holds > SEEDS);
}

static void a_broken_rule_is_noticed(void **state)
{
	static struct world world;

	for (enum plant plant = SOUND + 1; plant < PLANTS; plant++) {
		uint64_t seed = 1;

		while (seed <= SEEDS && !run(&world, seed, plant))
			seed++;
		if (seed > SEEDS)
			fail_msg("planted rule %d broke nothing in %d seeds", plant, SEEDS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_works_who_was_declared_dead),
		cmocka_unit_test(a_broken_rule_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
