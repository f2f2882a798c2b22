/* SPDX-License-Identifier: BSD-3-Clause */
/* The rare races of dso.md, [m 2] to [m 7], and those that random seeds found in this implementation, one by one. */
#include "sim_direct.h"
#include <errno.h>

#define NONE SHOAL_MEMBER_NONE

/* [m 2] A RECALL overtakes the GRANT that it recalls. */
static void recall_overtakes_grant(struct sim_world *world)
{
	sim_direct_begin(world, 4);
	unsigned key = sim_key_owned(world, SIM_ACCOUNT, 0, NONE, 0), second, third;

	sim_expect_answer(world, 1, sim_ask_take(world, 1, SIM_ACCOUNT, key, true, 0), 0);
	sim_hold(world, 1, 2);
	second = sim_ask_take(world, 2, SIM_ACCOUNT, key, true, 0);
	sim_run_ms(world, 20); /* the GRANT from 1 to 2 is under way, its PASSED has come to 0 */
	third = sim_ask_take(world, 3, SIM_ACCOUNT, key, true, 0);
	sim_run_ms(world, 20); /* the RECALL is at 2 */
	sim_expect(world, sim_answer(world, 2, second) == -EINPROGRESS, "2 waits for its GRANT");
	sim_let(world, 1, 2);
	sim_expect_answer(world, 2, second, 0);
	sim_expect_answer(world, 3, third, 0);
	sim_direct_end(world);
}

/* [m 3] Who asked gives up; the GRANT is kept all the same, and a later take costs no message. */
static void grant_after_giving_up(struct sim_world *world)
{
	struct sim_settings settings = sim_direct_settings(3);

	settings.deadline_ns = 30 * SHOAL_NS_PER_MS;
	settings.gives_up = true;
	sim_direct_begin_with(world, &settings);
	unsigned key = sim_key_owned(world, SIM_ACCOUNT, 0, NONE, 0), second;

	sim_expect_answer(world, 1, sim_ask_take(world, 1, SIM_ACCOUNT, key, true, 0), 0);
	sim_hold(world, 1, 2);
	second = sim_ask_take(world, 2, SIM_ACCOUNT, key, false, 0);
	sim_expect_answer(world, 2, second, -ETIMEDOUT);
	sim_let(world, 1, 2);
	sim_run_ms(world, 20);
	uint64_t sent = world->network.messages;

	sim_expect_answer(world, 2, sim_ask_take(world, 2, SIM_ACCOUNT, key, false, 0), 0);
	sim_expect(world, world->network.messages == sent, "the lease was kept");
	sim_direct_end(world);
}

/* All who wanted an object made give up before the GRANT comes: its life ends unseen, and the next one makes it. */
static void making_after_giving_up(struct sim_world *world)
{
	struct sim_settings settings = sim_direct_settings(3);

	settings.deadline_ns = 30 * SHOAL_NS_PER_MS;
	settings.gives_up = true;
	sim_direct_begin_with(world, &settings);
	unsigned key = sim_key_owned(world, SIM_ACCOUNT, 0, NONE, 0);

	sim_hold(world, 0, 1);
	sim_expect_answer(world, 1, sim_ask_take(world, 1, SIM_ACCOUNT, key, true, 0), -ETIMEDOUT);
	sim_let(world, 0, 1);
	sim_run_ms(world, 20);
	sim_expect_answer(world, 2, sim_ask_take(world, 2, SIM_ACCOUNT, key, false, 0), 0); /* there is none */
	sim_expect_answer(world, 2, sim_ask_take(world, 2, SIM_ACCOUNT, key, true, 0), 0);
	sim_direct_end(world);
}

/* [m 4] Removed before the token goes, made again behind it: the new life has a higher number, so that a late message of the
 * old one is told apart. */
static void incarnation_goes_with_token(struct sim_world *world)
{
	sim_direct_begin(world, 3);
	sim_plan_by_hand(world, 0x6); /* 0 leaves */
	unsigned key = sim_key_owned(world, SIM_ACCOUNT, 0, 1, 0);

	for (unsigned life = 0; life < 5; life++) {
		sim_expect_answer(world, 2, sim_ask_take(world, 2, SIM_ACCOUNT, key, true, 0), 0);
		sim_expect_answer(world, 2, sim_ask_remove(world, 2, SIM_ACCOUNT, key), 0);
	}
	sim_plan_let(world);
	while (!world->failed && !sim_controller_at_rest(world))
		sim_world_step(world);
	sim_expect_answer(world, 2, sim_ask_take(world, 2, SIM_ACCOUNT, key, true, 0), 0);
	for (uint32_t index = 1; index < world->members[2]->space->maps[SIM_ACCOUNT].high_water; index++)
		if (world->members[2]->space->held)
			sim_expect(world,
				shoal_map_lease(&world->members[2]->space->maps[SIM_ACCOUNT], index)->incarnation > 5,
				"the counter of incarnations has come with the token");
	sim_direct_end(world);
}

/* [m 5] A call goes by way of the old owner, the next one directly: they are applied in order. */
static void call_overtakes_call(struct sim_world *world)
{
	sim_direct_begin(world, 3);
	sim_plan_by_hand(world, 0x6);
	unsigned key = sim_key_owned(world, SIM_COUNTER, 0, 1, 0), first, second;

	for (uint8_t member = 0; member < 3; member++)
		sim_expect(world, !sim_learn(world, member), "learn");
	sim_expect(world, !sim_hand_over(world, 0) && !sim_hand_over(world, 1), "hand over");
	sim_run_ms(world, 20); /* the tokens are at 1 and 2; 2 routes by the old map yet */
	sim_hold(world, 2, 0);
	first = sim_ask_call(world, 2, key, true);
	sim_run_ms(world, 5);
	sim_expect_answer(world, 2, first, 0);
	sim_expect(world, !sim_hand_over(world, 2), "hand over");
	second = sim_ask_call(world, 2, key, false);
	sim_run_ms(world, 20);
	sim_expect(world, sim_answer(world, 2, second) == -EINPROGRESS, "the second call is held back");
	sim_let(world, 2, 0);
	sim_expect_answer(world, 2, second, 0);
	sim_plan_let(world);
	sim_direct_end(world);
}

/* [m 6] What went by way of the old owner is in a slow channel: nobody is done, and the leaver stays, until it has come. */
static void slow_channel_keeps_leaver(struct sim_world *world)
{
	sim_direct_begin(world, 3);
	sim_plan_by_hand(world, 0x6);
	unsigned key = sim_key_owned(world, SIM_ACCOUNT, 0, 1, 0), ask;

	for (uint8_t member = 0; member < 3; member++)
		sim_expect(world, !sim_learn(world, member), "learn");
	sim_hold(world, 2, 0);
	ask = sim_ask_take(world, 2, SIM_ACCOUNT, key, true, 0);
	sim_run_ms(world, 5);
	for (uint8_t member = 0; member < 3; member++)
		sim_expect(world, !sim_hand_over(world, member), "hand over");
	sim_plan_let(world);
	sim_run_ms(world, 500);
	sim_expect(world, !sim_controller_at_rest(world) && world->members[0],
		"the leaver waits for what is on its way to it");
	sim_let(world, 2, 0);
	sim_expect_answer(world, 2, ask, 0);
	sim_direct_end(world);
}

/* [m 7] One that was served asks again before the PASSED that says so has come: it is granted once for each request. */
static void asks_again_before_passed(struct sim_world *world)
{
	sim_direct_begin(world, 4);
	unsigned key = sim_key_owned(world, SIM_ACCOUNT, 0, NONE, 0), second, third, again;

	sim_expect_answer(world, 1, sim_ask_take(world, 1, SIM_ACCOUNT, key, true, 0), 0);
	sim_hold(world, 1, 0); /* 1's PASSED */
	second = sim_ask_take(world, 2, SIM_ACCOUNT, key, true, 0);
	sim_expect_answer(world, 2, second, 0);
	third = sim_ask_take(world, 3, SIM_ACCOUNT, key, true, 0);
	sim_run_ms(world, 10);
	again = sim_ask_take(world, 2, SIM_ACCOUNT, key, true, 0);
	sim_run_ms(world, 10);
	sim_let(world, 1, 0);
	sim_expect_answer(world, 3, third, 0);
	sim_expect_answer(world, 2, again, 0);
	sim_direct_end(world);
}

/* A REMOVE comes before the PASSED of the leases before it: who was served by them is not granted a new life. */
static void remove_before_passed(struct sim_world *world)
{
	sim_direct_begin(world, 5);
	unsigned key = sim_key_owned(world, SIM_ACCOUNT, 0, NONE, 0), first, second, third, fourth;

	first = sim_ask_take(world, 1, SIM_ACCOUNT, key, true, 20 * SHOAL_NS_PER_MS);
	sim_run_ms(world, 5);
	second = sim_ask_take(world, 2, SIM_ACCOUNT, key, true, 30 * SHOAL_NS_PER_MS);
	sim_run_ms(world, 2);
	third = sim_ask_take(world, 3, SIM_ACCOUNT, key, true, 0);
	sim_run_ms(world, 2);
	fourth = sim_ask_remove(world, 4, SIM_ACCOUNT, key);
	sim_expect_answer(world, 1, first, 0);
	sim_run_ms(world, 10); /* 2 holds it, and knows that 3 and 4 come after it */
	sim_hold(world, 2, 0);
	sim_hold(world, 3, 0); /* neither PASSED comes: the owner thinks that 3 still waits */
	sim_expect_answer(world, 2, second, 0);
	sim_expect_answer(world, 3, third, 0);
	sim_expect_answer(world, 4, fourth, 0);
	sim_run_ms(world, 20);
	sim_expect(world, shoal_channel_counters(world->members[0]->space->channel)->received[SHOAL_REMOVE] == 1,
		"the REMOVE has come");
	sim_let(world, 3, 0);
	sim_run_ms(world, 5);
	sim_let(world, 2, 0);
	sim_direct_end(world);
}

/* SWEPT overtakes the answer to a pull that was sent after it: what comes meanwhile waits for the answer too. */
static void swept_overtakes_pull(struct sim_world *world)
{
	sim_direct_begin(world, 3);
	sim_plan_by_hand(world, 0x6);
	unsigned key = sim_key_owned(world, SIM_COUNTER, 0, 1, 0), ask, second;
	const struct shoal_keyspace *keyspace = &world->members[1]->space->keyspace;

	for (uint8_t member = 0; member < 3; member++)
		sim_expect(world, !sim_learn(world, member), "learn");
	for (uint8_t member = 0; member < 3; member++)
		sim_expect(world, !sim_hand_over(world, member), "hand over");
	while (!world->failed && !world->members[1]->space->keyspace.tokens_to_receive)
		sim_world_step(world);
	while (!world->failed && world->members[1]->space->keyspace.tokens_to_receive)
		sim_world_step(world);
	ask = sim_ask_call(world, 1, key, false); /* pulls; SWEPT is about to come */
	while (!world->failed && keyspace->slots_unswept)
		sim_world_step(world);
	sim_expect(world, keyspace->pulling == 1, "SWEPT has come before the answer");
	second = sim_ask_call(world, 1, key, false);
	sim_expect_answer(world, 1, ask, 0);
	sim_expect_answer(world, 1, second, 0);
	sim_expect_answer(world, 2, sim_ask_call(world, 2, key, false), 0);
	sim_plan_let(world);
	sim_direct_end(world);
}

/* A member leaves and comes back in another life: its calls are numbered anew, and none is taken for an old one. */
static void caller_comes_back(struct sim_world *world)
{
	sim_direct_begin(world, 2);
	unsigned key = sim_key_owned(world, SIM_COUNTER, 0, NONE, 0);

	for (unsigned life = 0; life < 3; life++) {
		for (unsigned call = 0; call <= life; call++)
			sim_expect_answer(world, 1, sim_ask_call(world, 1, key, true), 0);
		sim_expect_answer(world, 1, sim_ask_call(world, 1, key, false), 0);
		for (uint64_t members = 1; members <= 3 && !world->failed; members += 2) {
			sim_controller_begin(world, members, false);
			while (!world->failed && !sim_controller_at_rest(world))
				sim_world_step(world);
		}
	}
	sim_direct_end(world);
}

/* One object twice in one take, while another member waits for it. */
static void same_object_twice(struct sim_world *world)
{
	struct sim_operation twice = { .count = 3, .hold_ns = 5 * SHOAL_NS_PER_MS };

	sim_direct_begin(world, 3);
	unsigned key = sim_key_owned(world, SIM_ACCOUNT, 0, NONE, 0), asks[40];

	for (unsigned i = 0; i < 3; i++) {
		twice.objects[i].class = SIM_ACCOUNT;
		twice.objects[i].key = (uint16_t)key;
		twice.objects[i].create = true;
	}
	for (unsigned round = 0; round < 10 && !world->failed; round++) {
		for (unsigned i = 0; i < 4; i++)
			asks[i] = sim_ask(world, 1, &twice);
		asks[4] = sim_ask_take(world, 2, SIM_ACCOUNT, key, true, 0);
		for (unsigned i = 0; i < 4; i++)
			sim_expect_answer(world, 1, asks[i], 0);
		sim_expect_answer(world, 2, asks[4], 0);
	}
	sim_direct_end(world);
}

const struct sim_case sim_race_cases[] = {
	{ "m2_recall_overtakes_grant", recall_overtakes_grant },
	{ "m3_grant_after_giving_up", grant_after_giving_up },
	{ "m3_making_after_giving_up", making_after_giving_up },
	{ "m4_incarnation_goes_with_token", incarnation_goes_with_token },
	{ "m5_call_overtakes_call", call_overtakes_call },
	{ "m6_slow_channel_keeps_leaver", slow_channel_keeps_leaver },
	{ "m7_asks_again_before_passed", asks_again_before_passed },
	{ "m7_remove_before_passed", remove_before_passed },
	{ "swept_overtakes_pull", swept_overtakes_pull },
	{ "caller_comes_back", caller_comes_back },
	{ "same_object_twice", same_object_twice },
	{ 0 },
};
