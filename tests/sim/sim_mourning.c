/* SPDX-License-Identifier: BSD-3-Clause */
/* The controller's part in a view change: the order of its commands is that of the product's recovery. */
#include <string.h>
#include "channel/transport.h"
#include "sim_world.h"
#include "worker/error.h"

#define COMMAND_MOST_NS (10 * SHOAL_NS_PER_MS)
#define RECOVERY_MOST_NS (120 * SHOAL_NS_PER_S)

static uint64_t bit(unsigned member)
{
	return UINT64_C(1) << member;
}

static uint64_t set_of(const uint8_t *members)
{
	uint64_t set = 0;

	for (unsigned member = 0; member < SHOAL_MEMBERS_MAX; member++)
		set |= members[member] ? bit(member) : 0;
	return set;
}

/* --- Who died --- */

/* Those whose end has been noticed by now and that nobody has dealt with. */
static uint64_t noticed(struct sim_world *world)
{
	uint64_t dead = 0;

	for (unsigned number = 0; number < SHOAL_MEMBERS_MAX; number++) {
		struct sim_corpse *corpse = &world->deaths.corpses[number];

		corpse->noticed |= corpse->lies_here && corpse->notice_ns <= world->now_ns;
		dead |= corpse->lies_here && corpse->noticed ? bit(number) : 0;
	}
	return dead;
}

/* It was no member, or is one no more: its links go, and what it left. */
static void bury(struct sim_world *world, unsigned number)
{
	struct sim_corpse *corpse = &world->deaths.corpses[number];

	for (unsigned other = 0; other < SHOAL_MEMBERS_MAX; other++)
		if (world->members[other])
			shoal_channel_detach(world->members[other]->space->channel, (uint8_t)number);
	sim_slab_remove(corpse->directory);
	*corpse = (struct sim_corpse){ 0 };
	for (uint8_t other = 0; other < SHOAL_MEMBERS_MAX; other++) {
		sim_pair_clear(&world->network, (uint8_t)number, other);
		sim_pair_clear(&world->network, other, (uint8_t)number);
	}
	sim_network_buried(&world->network, (uint8_t)number);
}

/* --- The plan of a view --- */

static uint8_t nth(uint64_t members, unsigned n)
{
	while (n--)
		members &= members - 1;
	return (uint8_t)__builtin_ctzll(members);
}

static uint8_t draw_member(struct sim_world *world, uint64_t members)
{
	return nth(members, (unsigned)sim_random_below(&world->random, (unsigned)__builtin_popcountll(members)));
}

static void choose_adopters(struct sim_world *world, uint64_t dead, uint64_t survivors)
{
	struct sim_view *view = &world->controller.view;

	memset(view->death.adopter, SHOAL_MEMBER_NONE, sizeof(view->death.adopter));
	for (; dead; dead &= dead - 1) {
		unsigned number = (unsigned)__builtin_ctzll(dead);

		view->death.dead[number] = 1;
		view->death.life[number] = world->deaths.corpses[number].life;
		if (world->deaths.corpses[number].usable && !(view->refused & bit(number)))
			view->death.adopter[number] = view->adopter_asked[number]
			                                      ? (uint8_t)(view->adopter_asked[number] - 1)
			                                      : draw_member(world, survivors);
	}
}

/* A token that nobody reports can only have been a dead owner's: its adopter has it, or an heir. */
static uint8_t minter(const struct sim_view *view, unsigned slot, const uint8_t *heirs)
{
	const uint8_t owners[] = { view->owner_next[slot], view->owner_now[slot] };
	bool gone = false;

	for (unsigned i = 0; i < 2; i++) {
		if (owners[i] >= SHOAL_MEMBERS_MAX || !view->death.dead[owners[i]])
			continue;
		if (view->death.adopter[owners[i]] != SHOAL_MEMBER_NONE)
			return view->death.adopter[owners[i]];
		gone = true;
	}
	return gone || owners[1] >= SHOAL_MEMBERS_MAX || !view->death.survivor[owners[1]] ? heirs[slot / 64]
	                                                                                  : owners[1];
}

static void fill_death(struct sim_world *world, uint64_t dead, uint64_t survivors)
{
	struct sim_controller *controller = &world->controller;
	struct shoal_death *death = &controller->view.death;
	uint8_t heirs[SHOAL_STEERING_SLOTS];

	memset(death, 0, sizeof(*death));
	death->term = controller->term;
	death->view = ++controller->view.number_last;
	death->epoch = ++controller->epoch_last;
	for (unsigned member = 0; member < SHOAL_MEMBERS_MAX; member++)
		death->survivor[member] = survivors >> member & 1;
	choose_adopters(world, dead, survivors);
	for (unsigned slot = 0; slot < SHOAL_STEERING_SLOTS; slot++)
		heirs[slot] = draw_member(world, survivors);
	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot++)
		death->mint[slot] = minter(&controller->view, slot, heirs);
}

static void command_all(struct sim_world *world, enum sim_view_phase phase)
{
	struct sim_view *view = &world->controller.view;

	view->phase = phase;
	view->told = 0;
	for (unsigned member = 0; member < SHOAL_MEMBERS_MAX; member++)
		view->due_ns[member] = world->now_ns + sim_random_below(&world->random, COMMAND_MOST_NS);
}

/* Where nobody is left, a fresh instance takes part alone. */
static uint64_t begin_fresh(struct sim_world *world)
{
	unsigned number = 0;

	while (world->members[number] || world->deaths.corpses[number].lies_here)
		number++;
	sim_member_start(world, (uint8_t)number);
	return bit(number);
}

static void begin_view(struct sim_world *world, uint64_t dead)
{
	struct sim_controller *controller = &world->controller;
	struct sim_view *view = &controller->view;
	uint64_t survivors;

	if (!view->active) {
		memcpy(view->owner_now, controller->owner, SHOAL_SLOTS);
		memcpy(view->owner_next, controller->plan.owner_next, SHOAL_SLOTS);
		view->members = sim_controller_interrupt(world);
		view->refused = 0;
	}
	view->active = true;
	survivors = view->members & ~dead;
	if (!survivors)
		survivors = begin_fresh(world);
	view->members |= survivors;
	fill_death(world, dead, survivors);
	sim_note(world, "view %ld: dead %lx, survivors %lx, epoch %ld", (long)view->death.view, (long)dead,
		(long)survivors, (long)view->death.epoch);
	command_all(world, SIM_VIEW_ADOPT);
}

/* --- Commands --- */

/* What each instance is told first: the dead's links are over. */
static void end_links(struct sim_world *world, struct sim_member *member)
{
	const struct shoal_death *death = &world->controller.view.death;
	struct shoal_space *space = member->space;

	for (uint64_t dead = set_of(death->dead); dead; dead &= dead - 1) {
		uint8_t number = (uint8_t)__builtin_ctzll(dead);
		struct shoal_link *link = shoal_channel_link(space->channel, number, death->life[number]);

		if (!link)
			continue;
		sim_link_end(link);
		if ((space->keyspace.in_now | space->keyspace.in_next) >> number & 1)
			space->owner_gone = true;
	}
}

/* 0, or why some slab can't be used: a new view does without. */
static int adopt(struct sim_world *world, struct sim_member *member)
{
	struct sim_view *view = &world->controller.view;
	int error = 0;

	for (unsigned dead = 0; dead < SHOAL_MEMBERS_MAX && !error; dead++) {
		if (!view->death.dead[dead] || view->death.adopter[dead] != member->number)
			continue;
		error = shoal_view_adopt(
			member->space, (uint8_t)dead, view->death.life[dead], world->deaths.corpses[dead].directory);
		view->refused |= error ? bit(dead) : 0;
	}
	return error;
}

struct told {
	struct sim_world *world;
	struct sim_member *member;
	int error;
};

static void tell(void *argument)
{
	struct told *told = argument;

	if (told->world->controller.view.phase == SIM_VIEW_TELL)
		told->error = shoal_view_death(told->member->space, &told->world->controller.view.death);
	else if (told->member->space->view.number < told->world->controller.view.death.view)
		told->error = adopt(told->world, told->member);
}

/* 0, or the adopter's answer. */
static int tell_one(struct sim_world *world, uint8_t number)
{
	struct sim_view *view = &world->controller.view;
	struct told told = { .world = world, .member = world->members[number] };

	if (view->phase == SIM_VIEW_ADOPT)
		end_links(world, told.member);
	if (!sim_mortal_run(told.member, tell, &told))
		return 0;
	sim_note(world, "member %ld: view %ld phase %ld answered %ld", number, (long)view->death.view, view->phase,
		told.error);
	if (told.error && view->phase == SIM_VIEW_TELL)
		sim_fail(world, 7, "member %u answered %d to view %lu: %s", number, told.error, view->death.view,
			shoal_last_error());
	if (!told.error && view->phase == SIM_VIEW_TELL) {
		sim_reign_check(world, number);
		sim_deaths_told(world);
		sim_calls_after_telling(world);
	}
	return told.error;
}

static bool give_commands(struct sim_world *world)
{
	struct sim_view *view = &world->controller.view;
	uint64_t survivors = set_of(view->death.survivor);

	for (uint64_t left = survivors & ~view->told; left; left &= left - 1) {
		uint8_t number = (uint8_t)__builtin_ctzll(left);

		if (view->due_ns[number] > world->now_ns || !world->members[number])
			continue;
		view->told |= bit(number);
		if (tell_one(world, number)) {
			begin_view(world, set_of(view->death.dead));
			return false;
		}
	}
	return view->told == survivors;
}

static bool all_resumed(const struct sim_world *world)
{
	const struct sim_view *view = &world->controller.view;

	for (uint64_t left = set_of(view->death.survivor); left; left &= left - 1) {
		const struct sim_member *member = world->members[__builtin_ctzll(left)];

		if (!member || member->space->view.resumed < view->death.view ||
			member->space->view.stage != SHOAL_VIEW_QUIET)
			return false;
	}
	return true;
}

static void finish(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;
	struct sim_view *view = &controller->view;
	uint64_t survivors = set_of(view->death.survivor);

	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot++) {
		controller->owner[slot] = SHOAL_MEMBER_NONE;
		for (uint64_t left = survivors; left; left &= left - 1)
			if (shoal_slot_bit(
				    world->members[__builtin_ctzll(left)]->space->keyspace.token, (uint16_t)slot))
				controller->owner[slot] = (uint8_t)__builtin_ctzll(left);
		if (controller->owner[slot] == SHOAL_MEMBER_NONE)
			sim_fail(world, 2, "slot %u has no token after view %lu", slot, view->death.view);
	}
	for (uint64_t dead = set_of(view->death.dead); dead; dead &= dead - 1)
		bury(world, (unsigned)__builtin_ctzll(dead));
	controller->members = survivors;
	controller->epoch = view->death.epoch;
	controller->next_ns = world->now_ns + sim_random_below(&world->random, 4 * COMMAND_MOST_NS);
	for (uint64_t left = survivors; left; left &= left - 1)
		world->members[__builtin_ctzll(left)]->open = true;
	view->active = false;
	world->deaths.views++;
	sim_note(world, "view %ld is complete", (long)view->death.view);
	sim_deaths_recovered(world);
}

bool sim_mourning_poll(struct sim_world *world)
{
	struct sim_controller *controller = &world->controller;
	struct sim_view *view = &controller->view;
	uint64_t dead = noticed(world), members;

	if (!view->active && dead) {
		members = sim_controller_members(world);
		for (uint64_t left = dead & ~members; left; left &= left - 1)
			sim_controller_other_died(world, (uint8_t)__builtin_ctzll(left));
		for (uint64_t left = dead & ~members; left; left &= left - 1)
			bury(world, (unsigned)__builtin_ctzll(left));
		if (dead & ~members)
			sim_deaths_recovered(world);
		if (dead & members)
			begin_view(world, dead & members);
		return dead & members;
	}
	if (!view->active)
		return false;
	if (world->now_ns - world->deaths.recovering_ns > RECOVERY_MOST_NS)
		sim_fail(world, 7, "view %lu is not complete", view->death.view);
	if (dead & set_of(view->death.survivor))
		begin_view(world, set_of(view->death.dead) | (dead & view->members));
	else if (view->phase == SIM_VIEW_SETTLE && all_resumed(world))
		finish(world);
	else if (view->phase != SIM_VIEW_SETTLE && give_commands(world))
		command_all(world, view->phase == SIM_VIEW_ADOPT ? SIM_VIEW_TELL : SIM_VIEW_SETTLE);
	return true;
}
