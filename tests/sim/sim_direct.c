/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_direct.h"
#include "object/map_inline.h"
#include "sim_scenario.h"
#include <errno.h>

#define MS SHOAL_NS_PER_MS
#define ANSWER_MOST_NS (5 * SHOAL_NS_PER_S)

struct sim_settings sim_direct_settings(unsigned members)
{
	return (struct sim_settings){ .seed = 1,
		.members = members,
		.members_most = members < 8 ? 8 : members,
		.window = 64,
		.objects_max = 4096,
		.mix = { .keys = 1 },
		.delay_least_ns = MS,
		.delay_most_ns = MS,
		.poll_least_ns = MS / 10,
		.poll_most_ns = MS / 10,
		.link_bytes = 1 << 20,
		.deadline_ns = 60 * SHOAL_NS_PER_S };
}

void sim_direct_begin_with(struct sim_world *world, const struct sim_settings *settings)
{
	bool aloud = world->trace.aloud;

	sim_world_init(world, settings);
	world->trace.aloud = aloud;
	sim_idle_ms = 0;
	for (uint8_t number = 0; number < settings->members; number++)
		sim_member_start(world, number);
	sim_controller_begin_first(world);
	while (!world->failed && !sim_controller_at_rest(world))
		sim_world_step(world);
}

void sim_direct_begin(struct sim_world *world, unsigned members)
{
	const struct sim_settings settings = sim_direct_settings(members);

	sim_direct_begin_with(world, &settings);
}

void sim_direct_end(struct sim_world *world)
{
	if (!world->failed)
		sim_world_run(world);
	sim_world_fini(world);
}

unsigned sim_key_owned(struct sim_world *world, unsigned class, uint8_t owner, uint8_t next, unsigned nth)
{
	const struct sim_controller *controller = &world->controller;
	struct sim_member *member = world->members[owner];
	uint8_t bytes[SHOAL_KEY_BYTES_MAX];

	for (unsigned key = 0; key < SIM_KEYS_MAX; key++) {
		struct shoal_map *map = &member->space->maps[class];

		sim_key_write(class, key, bytes);
		uint16_t slot = shoal_map_slot(map, bytes, shoal_map_hash(map, bytes));

		if (controller->owner[slot] != owner ||
			(next != SHOAL_MEMBER_NONE && controller->plan.owner_next[slot] != next))
			continue;
		if (!nth--)
			return key;
	}
	sim_fail(world, 7, "no key is owned by member %u and then by %u", owner, next);
	return 0;
}

/* --- Asking --- */

unsigned sim_ask(struct sim_world *world, uint8_t number, const struct sim_operation *operation)
{
	struct sim_member *member = world->members[number];

	for (unsigned i = 0; i < SIM_ASKS_MAX; i++) {
		struct sim_ask *ask = &member->asks[i];

		if (ask->waiting || ask->answer == -EINPROGRESS)
			continue;
		*ask = (struct sim_ask){ .operation = *operation, .waiting = true, .answer = -EINPROGRESS };
		return i;
	}
	sim_fail(world, 4, "member %u has too much to do at once", number);
	return 0;
}

unsigned sim_ask_take(
	struct sim_world *world, uint8_t member, unsigned class, unsigned key, bool create, uint64_t hold_ns)
{
	struct sim_operation operation = { .count = 1, .hold_ns = hold_ns };

	operation.objects[0].class = (uint8_t) class;
	operation.objects[0].key = (uint16_t)key;
	operation.objects[0].create = create;
	return sim_ask(world, member, &operation);
}

unsigned sim_ask_remove(struct sim_world *world, uint8_t member, unsigned class, unsigned key)
{
	struct sim_operation operation = { .count = 1, .removes = true };

	operation.objects[0].class = (uint8_t) class;
	operation.objects[0].key = (uint16_t)key;
	return sim_ask(world, member, &operation);
}

unsigned sim_ask_call(struct sim_world *world, uint8_t member, unsigned key, bool untethered)
{
	struct sim_operation operation = { .count = 1, .is_call = true, .untethered = untethered };

	operation.objects[0].key = (uint16_t)key;
	return sim_ask(world, member, &operation);
}

int sim_answer(struct sim_world *world, uint8_t member, unsigned ask)
{
	return world->members[member]->asks[ask].answer;
}

void sim_expect_answer(struct sim_world *world, uint8_t member, unsigned ask, int answer)
{
	uint64_t until = world->now_ns + ANSWER_MOST_NS;

	while (!world->failed && sim_answer(world, member, ask) == -EINPROGRESS && world->now_ns < until)
		sim_world_step(world);
	if (!world->failed && sim_answer(world, member, ask) != answer)
		sim_fail(world, 4, "member %u's operation answered %d instead of %d", member,
			sim_answer(world, member, ask), answer);
}

/* --- The network, time, and plans --- */

void sim_hold(struct sim_world *world, uint8_t from, uint8_t to)
{
	world->network.pairs[from][to].held = true;
}

void sim_let(struct sim_world *world, uint8_t from, uint8_t to)
{
	world->network.pairs[from][to].held = false;
}

void sim_run_ms(struct sim_world *world, unsigned milliseconds)
{
	uint64_t until = world->now_ns + milliseconds * MS;

	while (!world->failed && world->now_ns < until)
		sim_world_step(world);
}

void sim_plan_by_hand(struct sim_world *world, uint64_t members)
{
	world->controller.by_hand = true;
	sim_controller_begin(world, members, false);
}

int sim_learn(struct sim_world *world, uint8_t member)
{
	int error = shoal_keyspace_learn(world->members[member]->space, &world->controller.plan);

	if (!error)
		world->controller.told |= UINT64_C(1) << member;
	return error;
}

int sim_hand_over(struct sim_world *world, uint8_t member)
{
	struct sim_controller *controller = &world->controller;
	int error;

	/* The barrier: all have learnt. */
	if (controller->stage == SIM_LEARN) {
		controller->stage = SIM_HAND_OVER;
		controller->told = 0;
	}
	error = shoal_keyspace_hand_over(world->members[member]->space, controller->term, controller->plan.epoch_next);
	if (!error) {
		controller->told |= UINT64_C(1) << member;
		controller->handed |= UINT64_C(1) << member;
		controller->quiet_ns[member] = world->now_ns;
		world->members[member]->open = true;
	}
	return error;
}

void sim_plan_let(struct sim_world *world)
{
	world->controller.by_hand = false;
}

/* --- Deaths --- */

struct sim_settings sim_direct_mortal(unsigned members)
{
	struct sim_settings settings = sim_direct_settings(members);

	settings.deaths_by_hand = true;
	settings.objects_max = 64;
	return settings;
}

void sim_die(struct sim_world *world, uint8_t member, uint8_t adopter)
{
	world->controller.view.adopter_asked[member] = (uint8_t)(adopter + 1);
	sim_kill(world, world->members[member]);
}

void sim_run_to_stage(struct sim_world *world, uint8_t number, uint64_t view, int stage)
{
	uint64_t until = world->now_ns + ANSWER_MOST_NS;
	const struct shoal_view *of = &world->members[number]->space->view;

	while (!world->failed && (of->number != view || of->stage != stage) && world->now_ns < until)
		sim_world_step(world);
	sim_expect(world, of->number == view && of->stage == stage, "the member comes to that stage of the view");
}

void sim_run_to_recovery(struct sim_world *world)
{
	uint64_t until = world->now_ns + ANSWER_MOST_NS;

	while (!world->failed && !sim_deaths_over(world) && world->now_ns < until)
		sim_world_step(world);
	sim_expect(world, sim_deaths_over(world), "the view is complete");
}

struct shoal_entry *sim_entry(struct sim_world *world, uint8_t member, unsigned class, unsigned key)
{
	uint8_t bytes[SHOAL_KEY_BYTES_MAX];
	struct shoal_map *map = &world->members[member]->space->maps[class];
	uint32_t index;

	sim_key_write(class, key, bytes);
	index = shoal_map_find(map, bytes, shoal_map_hash(map, bytes));
	return index ? shoal_map_entry(map, index) : NULL;
}

void sim_expect(struct sim_world *world, bool so, const char *what)
{
	if (!so)
		sim_fail(world, 4, "expected: %s", what);
}
