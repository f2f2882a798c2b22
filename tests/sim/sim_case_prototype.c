/* SPDX-License-Identifier: BSD-3-Clause */
/* The cases that broke S6's published prototype, by their numbers in dso.md (docs/object-space.md says where the others
 * are). */
#include "sim_direct.h"
#include <errno.h>

#define NONE SHOAL_MEMBER_NONE
#define MS SHOAL_NS_PER_MS

static void learn_all(struct sim_world *world, unsigned members)
{
	for (uint8_t member = 0; member < members; member++)
		sim_expect(world, !sim_learn(world, member), "learn");
}

/* 1, 2: the new owner is asked before the old one has started to hand over; a third worker asks in that window. */
static void new_owner_first(struct sim_world *world, bool third)
{
	sim_direct_begin(world, 4);
	sim_plan_by_hand(world, 0xe); /* 0 leaves */
	unsigned key = sim_key_owned(world, SIM_ACCOUNT, 0, 1, 0), second, other;

	learn_all(world, 4);
	sim_expect(world, !sim_hand_over(world, 1) && !sim_hand_over(world, 2), "hand over");
	second = sim_ask_take(world, 2, SIM_ACCOUNT, key, true, 5 * MS);
	if (third) {
		other = sim_ask_take(world, 3, SIM_ACCOUNT, key, true, 0); /* it routes by the present map */
		sim_expect_answer(world, 3, other, 0);
	}
	sim_expect_answer(world, 2, second, 0);
	sim_expect(world, !sim_hand_over(world, 3) && !sim_hand_over(world, 0), "hand over");
	sim_plan_let(world);
	sim_expect_answer(world, 1, sim_ask_take(world, 1, SIM_ACCOUNT, key, false, 0), 0);
	sim_direct_end(world);
}

static void case_01(struct sim_world *world)
{
	new_owner_first(world, false);
}

static void case_02(struct sim_world *world)
{
	new_owner_first(world, true);
}

/* 3: the old owner has started, the new one not: an object that exists, a new one, a third requester. */
static void case_03(struct sim_world *world)
{
	sim_direct_begin(world, 4);
	sim_plan_by_hand(world, 0xe);
	unsigned old = sim_key_owned(world, SIM_ACCOUNT, 0, 1, 0), fresh = sim_key_owned(world, SIM_ACCOUNT, 0, 1, 1);

	sim_expect_answer(world, 2, sim_ask_take(world, 2, SIM_ACCOUNT, old, true, 0), 0);
	learn_all(world, 4);
	sim_expect(world, !sim_hand_over(world, 0), "hand over");
	sim_run_ms(world, 10);
	unsigned first = sim_ask_take(world, 3, SIM_ACCOUNT, old, false, 5 * MS);
	unsigned second = sim_ask_take(world, 2, SIM_ACCOUNT, fresh, true, 0);
	unsigned third = sim_ask_take(world, 1, SIM_ACCOUNT, old, false, 0);

	sim_expect_answer(world, 3, first, 0);
	sim_expect_answer(world, 2, second, 0);
	sim_expect_answer(world, 1, third, 0);
	for (uint8_t member = 1; member < 4; member++)
		sim_expect(world, !sim_hand_over(world, member), "hand over");
	sim_plan_let(world);
	sim_direct_end(world);
}

/* 4: a worker that joins gets its first packet before the maps are set. */
static void case_04(struct sim_world *world)
{
	sim_direct_begin(world, 2);
	sim_plan_by_hand(world, 0x7);
	unsigned key = sim_key_owned(world, SIM_ACCOUNT, 0, 2, 0), other = sim_key_owned(world, SIM_ACCOUNT, 1, 1, 0);
	unsigned first = sim_ask_take(world, 2, SIM_ACCOUNT, key, true, 0);
	unsigned second = sim_ask_take(world, 2, SIM_ACCOUNT, other, true, 0);
	unsigned call = sim_ask_call(world, 2, key, false);

	sim_run_ms(world, 50);
	sim_expect(world, sim_answer(world, 2, first) == -EINPROGRESS, "it waits for the maps");
	sim_plan_let(world);
	sim_expect_answer(world, 2, first, 0);
	sim_expect_answer(world, 2, second, 0);
	sim_expect_answer(world, 2, call, 0);
	sim_direct_end(world);
}

/* 5: contenders on one key, with delete and re-create in between. */
static void contend(struct sim_world *world, unsigned members)
{
	struct sim_settings settings = sim_direct_settings(members);

	settings.strands = 3;
	settings.operations = 400;
	settings.mix = (struct sim_mix){
		.keys = 1, .remove_percent = 25, .find_percent = 20, .hold_percent = 30, .hold_ns = 3 * MS
	};
	settings.pause_ns = MS;
	sim_direct_begin_with(world, &settings);
	sim_direct_end(world);
}

static void case_05_three(struct sim_world *world)
{
	contend(world, 3);
}

static void case_05_five(struct sim_world *world)
{
	contend(world, 5);
}

/* 6: several wait while the record moves. */
static void case_06(struct sim_world *world)
{
	sim_direct_begin(world, 5);
	sim_plan_by_hand(world, 0x1e);
	unsigned key = sim_key_owned(world, SIM_ACCOUNT, 0, 1, 0), asks[5];

	for (uint8_t member = 0; member < 5; member++) {
		asks[member] = sim_ask_take(world, (uint8_t)((member + 2) % 5), SIM_ACCOUNT, key, true, 30 * MS);
		sim_run_ms(world, 5);
	}
	sim_plan_let(world);
	for (uint8_t member = 0; member < 5; member++)
		sim_expect_answer(world, (uint8_t)((member + 2) % 5), asks[member], 0);
	sim_direct_end(world);
}

/* 7: delete while another microthread holds a reference: refused, and the object lives. */
static void case_07(struct sim_world *world)
{
	sim_direct_begin(world, 2);
	unsigned key = sim_key_owned(world, SIM_ACCOUNT, 0, NONE, 0);
	unsigned holding = sim_ask_take(world, 1, SIM_ACCOUNT, key, true, 20 * MS);

	sim_run_ms(world, 8);
	sim_expect_answer(world, 1, sim_ask_remove(world, 1, SIM_ACCOUNT, key), 0);
	sim_expect(world, world->ledger.single[SIM_ACCOUNT][key].alive, "the object lives");
	sim_expect_answer(world, 1, holding, 0);
	sim_expect_answer(world, 1, sim_ask_remove(world, 1, SIM_ACCOUNT, key), 0);
	sim_expect(world, !world->ledger.single[SIM_ACCOUNT][key].alive, "it is removed");
	sim_direct_end(world);
}

/* 8: a late message of an earlier life: the RECALL of one that was removed meanwhile, and made again. */
static void case_08(struct sim_world *world)
{
	sim_direct_begin(world, 3);
	unsigned key = sim_key_owned(world, SIM_ACCOUNT, 0, NONE, 0), second;
	uint64_t stale = world->members[1]->space->counters.stale_messages;

	sim_expect_answer(world, 1, sim_ask_take(world, 1, SIM_ACCOUNT, key, true, 0), 0);
	sim_hold(world, 0, 1);
	second = sim_ask_take(world, 2, SIM_ACCOUNT, key, true, 0);
	sim_run_ms(world, 10); /* the RECALL is under way */
	sim_expect_answer(world, 1, sim_ask_remove(world, 1, SIM_ACCOUNT, key), 0);
	sim_expect_answer(world, 2, second, 0);
	sim_let(world, 0, 1);
	sim_run_ms(world, 10);
	sim_expect(
		world, world->members[1]->space->counters.stale_messages == stale + 1, "the late RECALL was counted");
	sim_expect_answer(world, 1, sim_ask_take(world, 1, SIM_ACCOUNT, key, false, 0), 0);
	sim_direct_end(world);
}

/* 10: counters across 2 → 3 → 2: exact. */
static void case_10(struct sim_world *world)
{
	struct sim_settings settings = sim_direct_settings(2);

	settings.strands = 4;
	settings.operations = 3000;
	settings.mix =
		(struct sim_mix){ .keys = 32, .call_percent = 100, .untethered_percent = 70, .several_percent = 40 };
	settings.pause_ns = MS / 5;
	sim_direct_begin_with(world, &settings);
	for (unsigned turn = 0; turn < 3; turn++)
		for (unsigned step = 0; step < 2 && !world->failed; step++) {
			sim_run_ms(world, 20);
			sim_controller_begin(world, step == 0 ? 7 : 3, false);
			while (!world->failed && !sim_controller_at_rest(world))
				sim_world_step(world);
		}
	sim_direct_end(world);
}

/* 13: loss, duplication and overtaking far beyond what links do. */
static void case_13(struct sim_world *world)
{
	struct sim_settings settings = sim_direct_settings(4);

	settings.lossy = true;
	settings.strands = 4;
	settings.operations = 300;
	settings.plans = 4;
	settings.mix =
		(struct sim_mix){ .keys = 16, .call_percent = 40, .untethered_percent = 50, .remove_percent = 10 };
	settings.pause_ns = MS;
	sim_direct_begin_with(world, &settings);
	world->network.loss_percent = 30;
	world->network.repeat_percent = 30;
	world->network.overtake_percent = 30;
	sim_direct_end(world);
}

/* 14: untethered updates, then silence: all are applied without new traffic. */
static void case_14(struct sim_world *world)
{
	sim_direct_begin(world, 3);
	unsigned key = sim_key_owned(world, SIM_COUNTER, 0, NONE, 0);

	for (unsigned call = 0; call < 20; call++)
		sim_expect_answer(world, 1 + call % 2, sim_ask_call(world, 1 + call % 2, key, true), 0);
	sim_run_ms(world, 5);
	sim_expect(world, world->ledger.shared[key].applications == 20, "all are applied");
	sim_direct_end(world);
}

/* 16: two objects taken in opposite orders by many. */
static void case_16(struct sim_world *world)
{
	struct sim_operation operation = { .count = 2, .hold_ns = 2 * MS };

	sim_direct_begin(world, 4);
	for (unsigned round = 0; round < 20 && !world->failed; round++) {
		unsigned asks[4][2];

		for (uint8_t member = 0; member < 4; member++)
			for (unsigned turn = 0; turn < 2; turn++) {
				for (unsigned i = 0; i < 2; i++) {
					operation.objects[i].class = (uint8_t)((i + turn) % 2);
					operation.objects[i].key = (uint16_t)((i + turn + member) % 2);
					operation.objects[i].create = true;
				}
				asks[member][turn] = sim_ask(world, member, &operation);
			}
		for (uint8_t member = 0; member < 4; member++)
			for (unsigned turn = 0; turn < 2; turn++)
				sim_expect_answer(world, member, asks[member][turn], 0);
	}
	sim_direct_end(world);
}

/* 17: an answer that comes after its caller gave up does not answer the next call. */
static void case_17(struct sim_world *world)
{
	struct sim_settings settings = sim_direct_settings(2);

	settings.deadline_ns = 30 * MS;
	settings.gives_up = true;
	sim_direct_begin_with(world, &settings);
	unsigned key = sim_key_owned(world, SIM_COUNTER, 0, NONE, 0), next;

	sim_hold(world, 0, 1);
	sim_expect_answer(world, 1, sim_ask_call(world, 1, key, false), -ETIMEDOUT);
	next = sim_ask_call(world, 1, key, false);
	sim_run_ms(world, 5);
	sim_let(world, 0, 1);
	sim_expect_answer(world, 1, next, 0); /* the simulator compares its number */
	sim_expect(world, world->members[1]->space->counters.late_answers == 1, "the late answer was counted");
	sim_direct_end(world);
}

/* 19: many workers start. */
static void start_many(struct sim_world *world, unsigned members)
{
	struct sim_settings settings = sim_direct_settings(members);

	settings.strands = 1;
	settings.operations = 10;
	settings.mix = (struct sim_mix){ .keys = 32, .call_percent = 30, .untethered_percent = 50 };
	settings.pause_ns = MS;
	settings.objects_max = 256;
	sim_direct_begin_with(world, &settings);
	if (!world->failed)
		sim_controller_begin(world, (UINT64_C(1) << (members - 1)) - 1, false); /* the last one leaves */
	sim_direct_end(world);
}

static void case_19_12(struct sim_world *world)
{
	start_many(world, 12);
}

static void case_19_32(struct sim_world *world)
{
	start_many(world, 32);
}

static void case_19_64(struct sim_world *world)
{
	start_many(world, 64);
}

/* 23: a second plan while one is active is refused, plans are abandoned; 25 in a row. */
static void case_23(struct sim_world *world)
{
	struct sim_settings settings = sim_direct_settings(3);

	settings.strands = 3;
	settings.operations = 200;
	settings.plans = 25;
	settings.abandon_percent = 25;
	settings.second_plan_percent = 60;
	settings.mix = (struct sim_mix){
		.keys = 24, .call_percent = 30, .untethered_percent = 50, .remove_percent = 10, .several_percent = 30
	};
	settings.pause_ns = 2 * MS;
	sim_direct_begin_with(world, &settings);
	while (!world->failed && !sim_controller_at_rest(world))
		sim_world_step(world);
	sim_expect(world,
		world->controller.plans_done + world->controller.plans_abandoned == 26 &&
			world->controller.plans_abandoned && world->controller.plans_refused,
		"26 plans with the first, some abandoned, a second one refused");
	sim_direct_end(world);
}

const struct sim_case sim_prototype_cases[] = {
	{ "01_new_owner_asked_first", case_01 },
	{ "02_third_asks_in_window", case_02 },
	{ "03_old_owner_started", case_03 },
	{ "04_packet_before_maps", case_04 },
	{ "05_three_contenders", case_05_three },
	{ "05_five_contenders", case_05_five },
	{ "06_waiters_while_record_moves", case_06 },
	{ "07_delete_while_held", case_07 },
	{ "08_late_message_of_earlier_life", case_08 },
	{ "10_counters_across_2_3_2", case_10 },
	{ "13_loss_and_duplication", case_13 },
	{ "14_untethered_then_silence", case_14 },
	{ "16_opposite_orders", case_16 },
	{ "17_late_answer", case_17 },
	{ "19_12_workers", case_19_12 },
	{ "19_32_workers", case_19_32 },
	{ "19_64_workers", case_19_64 },
	{ "23_25_plans", case_23 },
	{ 0 },
};
