/* SPDX-License-Identifier: BSD-3-Clause */
/* Deaths at chosen moments: what random ones found, one by one, and independent of how the library was compiled. */
#include "sim_direct.h"

#define NONE SHOAL_MEMBER_NONE

static bool holds(struct sim_world *world, uint8_t member, unsigned key)
{
	const struct shoal_entry *entry = sim_entry(world, member, SIM_ACCOUNT, key);

	return entry && entry->handle == SHOAL_HANDLE_HELD;
}

/* Those members, and the key of an object that one of them has made and holds, in a slot of the owner's. */
static unsigned begin_with_taken(struct sim_world *world, unsigned members, uint8_t owner, uint8_t taker)
{
	const struct sim_settings settings = sim_direct_mortal(members);
	unsigned key;

	sim_direct_begin_with(world, &settings);
	key = sim_key_owned(world, SIM_ACCOUNT, owner, NONE, 0);
	sim_expect_answer(world, taker, sim_ask_take(world, taker, SIM_ACCOUNT, key, true, 0), 0);
	return key;
}

/* The record of that key says that somebody else than its owner has claimed it. */
static bool claimed_at(struct sim_world *world, uint8_t owner, unsigned key, uint8_t claimer)
{
	const struct shoal_entry *entry = sim_entry(world, owner, SIM_ACCOUNT, key);

	return entry && entry->record == SHOAL_RECORD_LEASED && entry->holder == claimer;
}

static void run_until_held(struct sim_world *world, uint8_t member, unsigned key)
{
	uint64_t until = world->now_ns + SHOAL_NS_PER_S;

	while (!world->failed && !holds(world, member, key) && world->now_ns < until)
		sim_world_step(world);
	sim_expect(world, holds(world, member, key), "the member has the object");
}

static void expect_one_holder(struct sim_world *world, unsigned key)
{
	unsigned holders = 0;

	for (uint8_t member = 0; member < SHOAL_MEMBERS_MAX; member++)
		holders += world->members[member] && holds(world, member, key);
	sim_expect(world, holders == 1, "one member holds the object");
}

/* 4 adopts what 3 had, and dies before the view is complete: now two slabs have the lease. The one that adopts 4's owns
 * the key's slot, and hears the claim of the one that adopts 3's before it has adopted anything itself. */
static void claim_before_adoption(struct sim_world *world)
{
	unsigned key = begin_with_taken(world, 5, 4, 3);

	sim_die(world, 3, 4);
	run_until_held(world, 4, key);
	world->controller.view.adopter_asked[3] = 1 + 1;
	sim_die(world, 4, 0);
	sim_run_to_stage(world, 0, 2, SHOAL_VIEW_READYING);
	sim_hold(world, 2, 0); /* 0 does not hear that 2 is ready, and adopts nothing yet */
	sim_run_ms(world, 20);
	sim_expect(world, claimed_at(world, 0, key, 1), "1 has claimed the object");
	sim_let(world, 2, 0);
	sim_run_to_recovery(world);
	expect_one_holder(world, key);
	sim_expect_answer(world, 2, sim_ask_take(world, 2, SIM_ACCOUNT, key, false, 0), 0);
	sim_direct_end(world);
}

/* Of two slabs with the lease 1 and 2 adopt one each; 2 is told to drop it, and dies when 1 has gone on and it has not: the
 * slab that it adopted still counts. By then 1 has had the lease anew, and says so before the slab is adopted once more. */
static void claim_before_stale_adoption(struct sim_world *world)
{
	unsigned key = begin_with_taken(world, 6, 0, 4);

	sim_die(world, 4, 5);
	run_until_held(world, 5, key);
	world->controller.view.adopter_asked[4] = 2 + 1;
	sim_die(world, 5, 1);
	sim_run_to_stage(world, 2, 2, SHOAL_VIEW_REPORTING);
	sim_hold(world, 2, 0); /* 1's claim comes first */
	sim_run_ms(world, 20);
	sim_let(world, 2, 0);
	sim_run_to_stage(world, 2, 2, SHOAL_VIEW_FINISHING);
	sim_hold(world, 3, 2); /* 2 does not hear that 3 is done */
	sim_run_to_stage(world, 0, 2, SHOAL_VIEW_QUIET);
	sim_run_to_stage(world, 1, 2, SHOAL_VIEW_QUIET);
	sim_expect(world, holds(world, 1, key) && !holds(world, 2, key), "1 has it, and 2 has dropped it");
	sim_expect_answer(world, 3, sim_ask_take(world, 3, SIM_ACCOUNT, key, false, 0), 0);
	sim_expect_answer(world, 1, sim_ask_take(world, 1, SIM_ACCOUNT, key, false, 0), 0);
	sim_expect(world, world->members[2]->space->view.stage == SHOAL_VIEW_FINISHING, "2 has not gone on");
	world->controller.view.adopter_asked[4] = 0 + 1;
	sim_die(world, 2, 3);
	sim_run_to_stage(world, 0, 3, SHOAL_VIEW_READYING);
	sim_hold(world, 3, 0);
	sim_run_ms(world, 20);
	sim_expect(world, claimed_at(world, 0, key, 1), "1 has claimed its newer lease");
	sim_let(world, 3, 0);
	sim_run_to_recovery(world);
	sim_expect(world, holds(world, 1, key), "the newer lease counts");
	expect_one_holder(world, key);
	sim_expect_answer(world, 3, sim_ask_take(world, 3, SIM_ACCOUNT, key, false, 0), 0);
	sim_direct_end(world);
}

/* 1 has been told what it is to adopt in the next view, and completes the one before, in which `before` adopts it. */
static void go_on_between_commands(struct sim_world *world, uint8_t before)
{
	unsigned key = begin_with_taken(world, 5, 0, 3);
	const struct sim_view *view = &world->controller.view;

	sim_die(world, 3, before);
	sim_run_to_stage(world, 1, 1, SHOAL_VIEW_FINISHING);
	sim_hold(world, 2, 1); /* 1 and 4 do not hear that 2 is done */
	sim_hold(world, 2, 4);
	sim_run_ms(world, 5);
	sim_run_to_stage(world, 4, 1, SHOAL_VIEW_FINISHING);
	world->controller.view.adopter_asked[3] = 1 + 1;
	sim_die(world, 4, 0);
	while (!world->failed && (view->phase != SIM_VIEW_TELL || view->death.view != 2))
		sim_world_step(world);
	world->controller.view.due_ns[1] = world->now_ns + 5 * SHOAL_NS_PER_MS;
	sim_let(world, 2, 1);
	sim_run_to_stage(world, 1, 1, SHOAL_VIEW_QUIET);
	sim_run_to_recovery(world);
	sim_expect(world, view->number_last == 2, "no third view was needed");
	expect_one_holder(world, key);
	sim_expect_answer(world, 2, sim_ask_take(world, 2, SIM_ACCOUNT, key, false, 0), 0);
	sim_direct_end(world);
}

/* It has become its own. */
static void adopter_goes_on_between_commands(struct sim_world *world)
{
	go_on_between_commands(world, 1);
}

/* It is still to be adopted as far as 1 knows. */
static void next_adopter_goes_on_between_commands(struct sim_world *world)
{
	go_on_between_commands(world, 4);
}

/* Over links that may lose: 1 passes an object to its owner, 0, which has it, removes it, and dies before 1 hears that the
 * message has come. 0's image says so: the object does not come back. */
static void handled_mail_stays_handled(struct sim_world *world)
{
	struct sim_settings settings = sim_direct_mortal(3);

	settings.lossy = true;
	sim_direct_begin_with(world, &settings);
	world->network.loss_percent = world->network.repeat_percent = world->network.overtake_percent = 0;
	unsigned key = sim_key_owned(world, SIM_ACCOUNT, 0, NONE, 0), ask;

	sim_expect_answer(world, 1, sim_ask_take(world, 1, SIM_ACCOUNT, key, true, 0), 0);
	ask = sim_ask_remove(world, 0, SIM_ACCOUNT, key);
	while (!world->failed && holds(world, 1, key))
		sim_world_step(world);
	sim_hold(world, 0, 1);
	sim_expect_answer(world, 0, ask, 0);
	sim_die(world, 0, 2);
	sim_run_to_recovery(world);
	sim_expect_answer(world, 2, sim_ask_take(world, 2, SIM_ACCOUNT, key, false, 0), 0); /* there is none */
	sim_expect(world, !holds(world, 2, key), "what was removed does not come back");
	sim_direct_end(world);
}

/* A slot is minted in a view that a second death ends: its records are not complete in the next one either, and a holder's
 * claim there counts. */
static void minted_slot_over_two_views(struct sim_world *world)
{
	unsigned key = begin_with_taken(world, 5, 3, 1);

	sim_die(world, 3, 2);
	sim_run_to_stage(world, 2, 1, SHOAL_VIEW_READYING); /* it has minted, and nobody has claimed anything */
	sim_die(world, 4, 0);
	sim_run_to_recovery(world);
	sim_expect(world, world->controller.view.number_last == 2, "the second death ended the first view");
	sim_expect(world, holds(world, 1, key) && claimed_at(world, 2, key, 1), "the holder's claim counts");
	sim_expect_answer(world, 0, sim_ask_take(world, 0, SIM_ACCOUNT, key, false, 0), 0);
	sim_direct_end(world);
}

/* The controller comes back and gives the same view's command with its next term: from then on the one before is refused. */
static void same_view_of_the_next_term(struct sim_world *world)
{
	const struct sim_settings settings = sim_direct_mortal(3);
	struct shoal_death before, again;
	struct shoal_space *space;

	sim_direct_begin_with(world, &settings);
	space = world->members[1]->space;
	sim_die(world, 2, 1);
	sim_hold(world, 0, 1);
	sim_run_to_stage(world, 1, 1, SHOAL_VIEW_FLUSHING);
	before = again = world->controller.view.death;
	again.term = ++world->controller.term;
	sim_expect(world, !shoal_view_death(space, &again), "the same view is accepted");
	sim_expect(world, space->keyspace.term == again.term, "the next term is listened to");
	before.view++;
	sim_expect(world, shoal_view_death(space, &before) == -ESTALE, "the one before is refused");
	world->controller.view.death.term = again.term;
	sim_let(world, 0, 1);
	sim_run_to_recovery(world);
	sim_direct_end(world);
}

/* --- Objects on their way home, and those who wait for them --- */

static void run_until_received(struct sim_world *world, uint8_t member, unsigned kind)
{
	uint64_t until = world->now_ns + SHOAL_NS_PER_S;
	const struct shoal_channel_counters *counters = shoal_channel_counters(world->members[member]->space->channel);

	while (!world->failed && !counters->received[kind] && world->now_ns < until)
		sim_world_step(world);
	sim_expect(world, counters->received[kind] == 1, "the message has come");
}

/* 2 has it from 1, whose PASSED is slow, and leaves; its RETURN has to wait at 0, which owns the key. */
static unsigned return_before_passed(struct sim_world *world, unsigned members)
{
	unsigned key = begin_with_taken(world, members, 0, 1);

	sim_hold(world, 1, 0);
	sim_expect_answer(world, 2, sim_ask_take(world, 2, SIM_ACCOUNT, key, false, 0), 0);
	return key;
}

/* 0 dies while the object that came back waits there for a PASSED: it lies in 0's slab, for 2 counts it as delivered. */
static void returned_before_passed(struct sim_world *world)
{
	unsigned key = return_before_passed(world, 4);

	sim_controller_begin(world, 0xb, false); /* 2 leaves */
	run_until_received(world, 0, SHOAL_RETURN);
	sim_expect(world, world->members[0]->space->contention.parked == 1, "the RETURN waits for a PASSED");
	sim_run_ms(world, 20);
	sim_die(world, 0, 3);
	sim_run_to_recovery(world);
	sim_expect_answer(world, 3, sim_ask_take(world, 3, SIM_ACCOUNT, key, false, 0), 0);
	sim_expect(world, holds(world, 3, key), "the object is there");
	sim_direct_end(world);
}

/* The same while a view changes: the RETURN comes to 0 when all stands still, and 0 dies before it has reported anything. */
static void returned_while_frozen(struct sim_world *world)
{
	unsigned key = return_before_passed(world, 5);

	sim_let(world, 1, 0);
	sim_run_ms(world, 10);
	sim_hold(world, 2, 0);
	sim_controller_begin(world, 0x1b, false); /* 2 leaves */
	while (!world->failed && holds(world, 2, key))
		sim_world_step(world);
	sim_hold(world, 3, 0); /* 3's FLUSH does not come */
	sim_die(world, 4, 1);
	sim_run_to_stage(world, 0, 1, SHOAL_VIEW_FLUSHING);
	sim_let(world, 2, 0);
	run_until_received(world, 0, SHOAL_RETURN);
	sim_run_ms(world, 5);
	sim_expect(world, world->members[0]->space->view.stage == SHOAL_VIEW_FLUSHING, "0 waits for 3");
	sim_die(world, 0, 3);
	sim_run_to_recovery(world);
	sim_expect_answer(world, 3, sim_ask_take(world, 3, SIM_ACCOUNT, key, false, 0), 0);
	sim_expect(world, holds(world, 3, key), "the object is there");
	sim_direct_end(world);
}

/* Two wait at 0 for what 3 holds, when 0's slot goes to 1 and one of them dies. 1 forgets who waits there when it is told; the
 * record that is still under way brings both back. They are forgotten again: the one that lives asks anew, and is not left
 * behind the dead one, whom nobody will serve or strike. */
static void waiters_come_back(struct sim_world *world)
{
	const struct sim_settings settings = sim_direct_mortal(5);

	sim_direct_begin_with(world, &settings);
	sim_plan_by_hand(world, 0x1e); /* 0 leaves */
	unsigned key = sim_key_owned(world, SIM_ACCOUNT, 0, 1, 0), holder, living;

	holder = sim_ask_take(world, 3, SIM_ACCOUNT, key, true, 200 * SHOAL_NS_PER_MS);
	sim_run_ms(world, 10);
	sim_ask_take(world, 4, SIM_ACCOUNT, key, false, 0);
	sim_run_ms(world, 10);
	living = sim_ask_take(world, 2, SIM_ACCOUNT, key, false, 0);
	sim_run_ms(world, 10);
	for (uint8_t member = 0; member < 5; member++)
		sim_expect(world, !sim_learn(world, member), "learn");
	sim_hold(world, 0, 1); /* the token, and behind it the record */
	for (uint8_t member = 0; member < 5; member++)
		sim_expect(world, !sim_hand_over(world, member), "hand over");
	sim_plan_let(world);
	while (!world->failed && sim_entry(world, 0, SIM_ACCOUNT, key))
		sim_world_step(world);
	sim_die(world, 4, 2);
	sim_run_to_stage(world, 1, 1, SHOAL_VIEW_FLUSHING);
	sim_let(world, 0, 1);
	sim_run_to_recovery(world);
	sim_expect_answer(world, 3, holder, 0);
	sim_expect_answer(world, 2, living, 0);
	sim_expect(world, holds(world, 2, key), "who waited has it");
	sim_direct_end(world);
}

/* 1 waits for what 2 has, and that fills its window, for which a call waits. 2 dies, and 1 adopts the object: the place is free
 * while the view changes, but the call is not sent by a map that may be void before it is complete. */
static void call_waits_for_the_view(struct sim_world *world)
{
	struct sim_settings settings = sim_direct_mortal(3);
	unsigned key, counter, take, call;

	settings.window = 1;
	sim_direct_begin_with(world, &settings);
	key = sim_key_owned(world, SIM_ACCOUNT, 0, NONE, 0);
	counter = sim_key_owned(world, SIM_COUNTER, 0, NONE, 0);
	sim_expect_answer(world, 2, sim_ask_take(world, 2, SIM_ACCOUNT, key, true, 0), 0);
	sim_hold(world, 0, 2); /* it does not hear of the RECALL */
	take = sim_ask_take(world, 1, SIM_ACCOUNT, key, false, 0);
	sim_run_ms(world, 5);
	call = sim_ask_call(world, 1, counter, false);
	sim_run_ms(world, 5);
	sim_die(world, 2, 1);
	sim_run_to_stage(world, 1, 1, SHOAL_VIEW_SETTLING);
	sim_expect(world, holds(world, 1, key), "it has adopted the object");
	sim_expect(world, !shoal_channel_counters(world->members[1]->space->channel)->sent[SHOAL_CALL],
		"no call is sent while the view changes");
	sim_run_to_recovery(world);
	sim_expect_answer(world, 1, take, 0);
	sim_expect_answer(world, 1, call, 0);
	sim_direct_end(world);
}

const struct sim_case sim_death_cases[] = {
	{ "call_waits_for_the_view", call_waits_for_the_view },
	{ "returned_before_passed", returned_before_passed },
	{ "returned_while_frozen", returned_while_frozen },
	{ "waiters_come_back", waiters_come_back },
	{ "minted_slot_over_two_views", minted_slot_over_two_views },
	{ "same_view_of_the_next_term", same_view_of_the_next_term },
	{ "handled_mail_stays_handled", handled_mail_stays_handled },
	{ "adopter_goes_on_between_commands", adopter_goes_on_between_commands },
	{ "next_adopter_goes_on_between_commands", next_adopter_goes_on_between_commands },
	{ "claim_before_adoption", claim_before_adoption },
	{ "claim_before_stale_adoption", claim_before_stale_adoption },
	{ 0 },
};
