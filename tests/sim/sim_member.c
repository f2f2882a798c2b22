/* SPDX-License-Identifier: BSD-3-Clause */
/* A bare member: its object space and microthreads are the product's; what a worker's poll does around them is done here. */
#include "object/map_inline.h"
#include "sim_world.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define STACK_BYTES 16384
#define MICROTHREADS 48
#define READY_BUDGET 256

/* Kept from one world to the next, so that their pages need not be touched anew. */
struct bare {
	struct shoal_space_context context; /* first */
	struct shoal_space space;
	struct sim_member member;
	struct shoal_scheduler *scheduler;
};
static struct bare *bares[SHOAL_MEMBERS_MAX];

static struct bare *bare_of(uint8_t number)
{
	static const struct shoal_scheduler_config config = { .stacks = MICROTHREADS, .stack_bytes = STACK_BYTES };

	if (!bares[number])
		bares[number] = calloc(1, sizeof(*bares[number]));
	if (!bares[number])
		abort();
	/* Where a world ended early, microthreads may be suspended for ever. */
	if (bares[number]->scheduler && shoal_scheduler_suspended(bares[number]->scheduler)) {
		shoal_scheduler_destroy(bares[number]->scheduler);
		bares[number]->scheduler = NULL;
	}
	if (!bares[number]->scheduler)
		bares[number]->scheduler = shoal_scheduler_create(&config);
	if (!bares[number]->scheduler)
		abort();
	return bares[number];
}

/* Its stacks hold what will never go on. */
void sim_member_abandon(uint8_t number)
{
	shoal_scheduler_destroy(bares[number]->scheduler);
	bares[number]->scheduler = NULL;
}

static void connect_all(struct sim_member *member)
{
	struct sim_world *world = member->world;

	for (uint8_t peer = 0; peer < SHOAL_MEMBERS_MAX; peer++) {
		struct sim_member *other = world->members[peer];

		if (!other || other == member)
			continue;
		sim_pair_clear(&world->network, member->number, peer);
		sim_pair_clear(&world->network, peer, member->number);
		if (shoal_channel_attach(member->space->channel, peer, other->life,
			    sim_link_create(&world->network, member->number, peer)) ||
			shoal_channel_attach(other->space->channel, member->number, member->life,
				sim_link_create(&world->network, peer, member->number)))
			abort();
	}
}

static int init_space(struct sim_member *member, struct bare *bare)
{
	const struct sim_settings *settings = &member->world->settings;
	const char *slabs = sim_slab_directory(member->world, member);
	const struct shoal_space_config config = { .self = member->number,
		.life = member->life,
		.hash_seed = settings->seed,
		.classes = sim_classes,
		.classes_count = SIM_CLASSES,
		.objects_max = settings->objects_max,
		.window = settings->window,
		.microthreads_max = MICROTHREADS,
		.members_max = settings->members_most,
		.slab_directory = slabs ? member->slab_directory : NULL,
		.deadline_ns = settings->deadline_ns,
		.resend_ns = 4 * settings->delay_most_ns + 4 * settings->poll_most_ns,
		.pace_few = settings->seed & 1 };

	if (slabs)
		snprintf(member->slab_directory, sizeof(member->slab_directory), "%s", slabs);
	if (settings->packets)
		return sim_worker_start(member, &config);
	member->context = &bare->context;
	member->space = &bare->space;
	member->scheduler = bare->scheduler;
	bare->context.context = (struct shoal_context){ .runtime = &member->runtime, .nf_state = member };
	return shoal_space_init(&bare->space, &bare->context, &config, bare->scheduler);
}

struct sim_member *sim_member_start(struct sim_world *world, uint8_t number)
{
	struct bare *bare = bare_of(number);
	struct sim_member *member = &bare->member;

	*member = (struct sim_member){ .world = world,
		.number = number,
		.life = ++world->life_last,
		.runtime = { .take = shoal_space_take,
			.release = shoal_space_release,
			.remove = shoal_space_remove,
			.call = shoal_space_call },
		.random = { sim_random_next(&world->random) },
		.fetch_random = { world->settings.seed * 31 + world->life_last },
		.open = true };
	if (init_space(member, bare))
		abort();
	member->poll_mean_ns =
		sim_random_between(&world->random, world->settings.poll_least_ns, world->settings.poll_most_ns);
	member->poll_due_ns = world->now_ns + sim_random_below(&world->random, member->poll_mean_ns + 1);
	member->operations_left = world->settings.operations;
	world->members[number] = member;
	connect_all(member);
	sim_note(world, "member %ld starts, life %ld", number, (long)member->life);
	return member;
}

void sim_member_end(struct sim_world *world, uint8_t number)
{
	struct sim_member *member = world->members[number];

	for (unsigned peer = 0; peer < SHOAL_MEMBERS_MAX; peer++)
		if (world->members[peer] && world->members[peer] != member)
			shoal_channel_detach(world->members[peer]->space->channel, number);
	sim_deaths_keep_counts(world, member);
	if (member->worker)
		sim_worker_end(member);
	else
		shoal_space_fini(member->space);
	sim_slab_remove(member->slab_directory);
	world->members[number] = NULL;
	for (uint8_t peer = 0; peer < SHOAL_MEMBERS_MAX; peer++) {
		sim_pair_clear(&world->network, number, peer);
		sim_pair_clear(&world->network, peer, number);
	}
	sim_note(world, "member %ld ends", number);
}

/* --- One poll --- */

void sim_member_sleep(struct sim_member *member, uint64_t ns)
{
	struct sim_sleeper sleeper = { .next = member->sleepers,
		.microthread = shoal_microthread_current(member->scheduler),
		.due_ns = member->world->now_ns + ns };

	member->sleepers = &sleeper;
	if (member->space->suspending)
		member->space->suspending(member->context);
	shoal_microthread_suspend(member->scheduler, member->world->now_ns);
}

static void wake_sleepers(struct sim_member *member)
{
	struct sim_sleeper **link = &member->sleepers;

	while (*link) {
		struct sim_sleeper *sleeper = *link;

		if (sleeper->due_ns > member->world->now_ns) {
			link = &sleeper->next;
			continue;
		}
		*link = sleeper->next;
		shoal_microthread_wake(member->scheduler, sleeper->microthread);
	}
}

static bool death_untold(const struct sim_member *member)
{
	const struct sim_view *view = &member->world->controller.view;

	return view->active && member->space->view.number < view->death.view;
}

static void finish(struct sim_member *member, const struct sim_strand *strand, int error)
{
	struct sim_world *world = member->world;

	member->ended++;
	if (error == -ETIMEDOUT)
		member->timed_out++;
	/* Nobody answers a call to one that died. */
	if (error == -ETIMEDOUT && strand->calls && strand->since_ns <= world->deaths.latest_ns)
		return;
	/* Links end before survivors are told of the death: what is asked in between is refused at once. */
	if (error == -ETIMEDOUT && member->space->counters.owner_ended > strand->refused && death_untold(member))
		return;
	if (error && !(error == -ENOSPC && world->settings.fills) && !(error == -ETIMEDOUT && world->settings.gives_up))
		sim_fail(world, 4, "member %u: an operation of %.3f ms answered %d", member->number,
			(double)(world->now_ns - strand->since_ns) / 1e6, error);
}

static void run_strand(struct sim_member *member, uint8_t number)
{
	struct sim_strand *strand = &member->strands[number];
	struct sim_operation operation;

	sim_operation_draw(&member->random, &member->world->settings.mix, member->number, &operation);
	strand->busy = true;
	strand->calls = operation.is_call;
	strand->since_ns = member->world->now_ns;
	strand->refused = member->space->counters.owner_ended;
	member->begun++;
	member->operations_left -= member->operations_left > 0;
	finish(member, strand, sim_operation_run(member, number, &operation));
	strand->busy = false;
	strand->due_ns =
		member->world->now_ns + sim_random_below(&member->random, 2 * member->world->settings.pause_ns + 1);
}

static bool run_asked(struct sim_member *member)
{
	for (uint8_t i = 0; i < SIM_ASKS_MAX; i++) {
		struct sim_ask *ask = &member->asks[i];

		if (!ask->waiting)
			continue;
		ask->waiting = false;
		ask->answer = sim_operation_run(member, (uint8_t)(SIM_STRANDS_MAX - SIM_ASKS_MAX + i), &ask->operation);
		return true;
	}
	return false;
}

static bool lies_here(struct sim_member *member, const struct shoal_idle_task *task)
{
	struct shoal_map *map = &member->space->maps[task->class];
	uint32_t index = shoal_map_find(map, task->key, shoal_map_hash(map, task->key));
	const struct shoal_entry *entry = index ? shoal_map_entry(map, index) : NULL;

	return entry && (entry->handle == SHOAL_HANDLE_HELD || entry->record == SHOAL_RECORD_FREE);
}

/* Sessions have no on_idle: the space removes them by itself, and only its doing tells. */
static void run_idle(struct sim_member *member, const struct shoal_idle_task *task)
{
	bool here = lies_here(member, task);
	uint64_t step_number = member->world->steps;

	member->ending = (struct sim_ending){ here, task->class, (uint16_t)sim_key_number(task->key) };
	shoal_space_run_idle_task(member->space, task);
	member->ending.under_way = false;
	if (task->class != SIM_SESSION || !here || lies_here(member, task))
		return;
	if (member->world->steps != step_number)
		sim_fail(member->world, 10, "member %u waited for the end of an object that lay here", member->number);
	member->idle_ended++;
	sim_ledger_end(member->world, SIM_SESSION, sim_key_number(task->key));
}

/* One thing to do, in a microthread of its own. */
static bool step(void *argument)
{
	struct sim_member *member = argument;
	struct shoal_idle_task task;

	if (!shoal_scheduler_may_suspend(member->scheduler))
		return false;
	if (run_asked(member))
		return true;
	if (member->space->idle_tasks_head != member->space->idle_tasks_tail && shoal_window_open(member->space) &&
		shoal_space_idle_task(member->space, &task)) {
		run_idle(member, &task);
		return true;
	}
	for (uint8_t i = 0; i < member->world->settings.strands && member->open && !member->world->drained; i++) {
		if (member->strands[i].busy || member->strands[i].due_ns > member->world->now_ns)
			continue;
		run_strand(member, i);
		return true;
	}
	return false;
}

static void poll(void *argument)
{
	struct sim_member *member = argument;

	if (member->worker) {
		wake_sleepers(member);
		shoal_worker_poll(member->worker, member->world->now_ns);
		return;
	}
	shoal_space_poll(member->space, member->world->now_ns);
	wake_sleepers(member);
	if (shoal_scheduler_ready(member->scheduler))
		shoal_scheduler_run_ready(member->scheduler, READY_BUDGET);
	sim_fetch_poll(member);
	shoal_scheduler_run(member->scheduler, step, member);
	shoal_space_flush(member->space);
}

void sim_member_poll(struct sim_member *member)
{
	sim_mortal_run(member, poll, member);
}
