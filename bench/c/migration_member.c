/* SPDX-License-Identifier: BSD-3-Clause */
#include "migration_member.h"

#include <stdlib.h>
#include <string.h>

#include "worker/runner.h"

#define READY_BUDGET 256 /* as a worker's */

void member_init(struct member *member, struct bench *bench, uint8_t number, uint64_t life,
	const struct shoal_class *class, uint32_t objects)
{
	static const struct shoal_class *classes[1];
	const struct shoal_scheduler_config stacks = { .stacks = MEMBER_WINDOW + 64, .stack_bytes = 16384 };
	const struct shoal_space_config config = { .self = number,
		.life = life,
		.hash_seed = 42,
		.classes = classes,
		.classes_count = 1,
		.objects_max = objects,
		.window = MEMBER_WINDOW,
		.microthreads_max = MEMBER_WINDOW + 64,
		.members_max = 2,
		.deadline_ns = 10 * SHOAL_NS_PER_S,
		.resend_ns = SHOAL_NS_PER_MS,
		.touch = true };

	classes[0] = class;
	memset(member, 0, sizeof(*member));
	member->bench = bench;
	member->number = number;
	member->runtime = (struct shoal_runtime){ .take = shoal_space_take,
		.release = shoal_space_release,
		.remove = shoal_space_remove,
		.call = shoal_space_call };
	member->context.context.runtime = &member->runtime;
	member->scheduler = shoal_scheduler_create(&stacks);
	if (!member->scheduler || shoal_space_init(&member->space, &member->context, &config, member->scheduler))
		bench_fail(bench, "no memory for a member");
}

void member_fini(struct member *member)
{
	shoal_space_fini(&member->space);
	shoal_scheduler_destroy(member->scheduler);
}

/* Takes one object and gives it back; the lease stays. */
static bool take_one(void *argument)
{
	struct member *member = argument;
	uint64_t key = member->take_next;
	struct shoal_request request = { .class = member->space.config.classes[0], .key = &key, .create = true };

	if (key == member->take_end || !shoal_scheduler_may_suspend(member->scheduler) ||
		!shoal_window_open(&member->space))
		return false;
	member->take_next++;
	if (shoal_take(&member->context.context, &request, 1))
		bench_fail(member->bench, "an object could not be taken");
	shoal_release(&member->context.context, &request, 1);
	member->taken++;
	return true;
}

static void obey(struct member *member)
{
	if (__atomic_load_n(&member->mailbox.asked, __ATOMIC_ACQUIRE) == member->mailbox.answered)
		return;
	member->mailbox.answer = member->mailbox.command(member, member->mailbox.argument);
	__atomic_store_n(&member->mailbox.answered, member->mailbox.asked, __ATOMIC_RELEASE);
}

void member_poll(struct member *member)
{
	obey(member);
	shoal_space_poll(&member->space, shoal_clock_now());
	if (shoal_scheduler_ready(member->scheduler))
		shoal_scheduler_run_ready(member->scheduler, READY_BUDGET);
	if (member->take_next != member->take_end)
		shoal_scheduler_run(member->scheduler, take_one, member);
	shoal_space_flush(&member->space);
}

int member_learn(struct member *member, const void *plan)
{
	return shoal_keyspace_learn(&member->space, plan);
}

int member_hand_over(struct member *member, const void *argument)
{
	const struct shoal_plan *plan = argument;

	return shoal_keyspace_hand_over(&member->space, plan->term, plan->epoch_next);
}

int member_markers_back(struct member *member, const void *argument)
{
	const struct shoal_plan *plan = argument;

	return shoal_keyspace_markers_back(&member->space, plan->term, plan->epoch_next);
}

int member_forget(struct member *member, const void *argument)
{
	const struct shoal_plan *plan = argument;

	return shoal_keyspace_forget(&member->space, plan->term, plan->epoch_next);
}

int member_take(struct member *member, const void *objects)
{
	member->take_next = member->taken = 0;
	member->take_end = *(const uint32_t *)objects;
	return 0;
}

uint64_t member_messages(const struct member *member)
{
	const struct shoal_channel_counters *counters = shoal_channel_counters(member->space.channel);
	uint64_t sent = 0;

	for (unsigned kind = 0; kind < SHOAL_MESSAGE_KINDS; kind++)
		sent += kind == SHOAL_TOKEN ? 0 : counters->sent[kind];
	return sent;
}
