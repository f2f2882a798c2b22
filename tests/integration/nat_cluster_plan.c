/* SPDX-License-Identifier: BSD-3-Clause */
/* The controller's part: one plan at a time, its stages told to the members one by one with polls in between, steering slots
 * redirected as their tokens arrive. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nat_cluster.h"

/* Polls between two commands at most, and between two looks at the progress. */
#define POLLS_PER_COMMAND 60
#define POLLS_PER_LOOK 50
#define LOOKS_MAX 20000

static void spread(const bool *in, uint8_t *owner)
{
	uint8_t members[NAT_CLUSTER_INSTANCES];
	unsigned count = 0;

	for (uint8_t member = 0; member < NAT_CLUSTER_INSTANCES; member++)
		if (in[member])
			members[count++] = member;
	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot++)
		owner[slot] = members[slot / SHOAL_SLOTS_PER_STEERING % count];
}

static bool all_done(const struct nat_cluster *cluster)
{
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++)
		if (cluster->workers[member] && cluster->workers[member]->space.keyspace.stage != SHOAL_STAGE_DONE)
			return false;
	return true;
}

static bool redirect_pending(const struct nat_cluster *cluster, unsigned slot)
{
	struct shoal_redirect_progress progress;

	shoal_splitter_progress_read((struct shoal_splitter *)&cluster->splitter, false, &progress);
	return progress.pending_slots[slot / 8] >> slot % 8 & 1;
}

static void redirect(struct nat_cluster *cluster, unsigned slot, uint8_t owner)
{
	struct shoal_steering_set set = { 0 };
	unsigned refused;

	set.words[slot / 64] |= UINT64_C(1) << slot % 64;
	nat_cluster_must(shoal_splitter_slots_redirect(&cluster->splitter, &set, owner, cluster->now_ns, &refused),
		"redirection");
}

/* Redirects what has come to its new owner; true: all steering slots are where the plan wants them. */
static bool redirect_ready(struct nat_cluster *cluster, const uint8_t *next)
{
	bool all = true;

	for (unsigned slot = 0; slot < SHOAL_STEERING_SLOTS; slot++) {
		uint8_t owner = next[slot * SHOAL_SLOTS_PER_STEERING];

		if (cluster->owner[slot * SHOAL_SLOTS_PER_STEERING] == owner &&
			cluster->splitter.steering.slots[slot].member == owner)
			continue;
		if (redirect_pending(cluster, slot) ||
			cluster->workers[owner]->space.keyspace.token[slot] != UINT64_MAX) {
			all = false;
			continue;
		}
		if (cluster->splitter.steering.slots[slot].member == owner)
			continue;
		redirect(cluster, slot, owner);
		all = false;
	}
	return all;
}

/* --- Stages --- */

static void make_plan(struct nat_cluster *cluster, const bool *in_next, struct shoal_plan *plan)
{
	plan->term = 1;
	plan->epoch_now = cluster->epoch;
	plan->epoch_next = ++cluster->epoch_last;
	memcpy(plan->owner_now, cluster->owner, SHOAL_SLOTS);
	spread(in_next, plan->owner_next);
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++) {
		plan->in_now[member] = cluster->epoch && cluster->in[member];
		plan->in_next[member] = in_next[member];
		if (in_next[member] && !cluster->workers[member])
			nat_cluster_instance_add(cluster, member);
		plan->life[member] = cluster->life[member];
	}
}

static void pause_for_polls(struct nat_cluster *cluster)
{
	nat_cluster_run(cluster, (unsigned)(nat_cluster_random(cluster) % POLLS_PER_COMMAND));
}

static void learn_and_hand_over(struct nat_cluster *cluster, const struct shoal_plan *plan)
{
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++) {
		if (!cluster->workers[member])
			continue;
		pause_for_polls(cluster);
		nat_cluster_must(shoal_keyspace_learn(&cluster->workers[member]->space, plan), "learn");
	}
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++) {
		if (!cluster->workers[member])
			continue;
		pause_for_polls(cluster);
		nat_cluster_must(
			shoal_keyspace_hand_over(&cluster->workers[member]->space, 1, plan->epoch_next), "hand over");
	}
}

static void first_table(struct nat_cluster *cluster, const struct shoal_plan *plan)
{
	uint8_t table[SHOAL_STEERING_SLOTS];
	unsigned slot;

	for (slot = 0; slot < SHOAL_STEERING_SLOTS; slot++)
		table[slot] = plan->owner_next[slot * SHOAL_SLOTS_PER_STEERING];
	nat_cluster_must(shoal_splitter_table_assign(&cluster->splitter, table, &slot), "steering table");
	memcpy(cluster->owner, plan->owner_next, SHOAL_SLOTS);
}

static void tell_markers_back(struct nat_cluster *cluster, const struct shoal_plan *plan)
{
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++)
		if (cluster->workers[member])
			nat_cluster_must(
				shoal_keyspace_markers_back(&cluster->workers[member]->space, 1, plan->epoch_next),
				"markers");
}

static void fail_with_progress(const struct nat_cluster *cluster, uint64_t epoch)
{
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++) {
		const struct shoal_space *space = &cluster->workers[member]->space;
		struct shoal_progress progress;

		if (!cluster->workers[member])
			continue;
		shoal_keyspace_progress(space, &progress);
		fprintf(stderr,
			"member %u: stage %d, waiting for %s; %u waiting, %u outstanding, %u suspended, %u parked, %lu "
			"stale\n",
			member, progress.stage, progress.waiting_for, space->waiting, space->outstanding,
			shoal_scheduler_suspended(space->scheduler), space->contention.parked,
			space->counters.stale_messages);
	}
	fprintf(stderr, "cluster: the plan for epoch %lu does not end\n", epoch);
	abort();
}

static void wait_until_done(struct nat_cluster *cluster, const struct shoal_plan *plan)
{
	bool markers_told = false;

	/* Also where nobody leaves, and so nobody waits for markers: what is not redirected yet would never be. */
	for (unsigned looks = 0; !all_done(cluster) || !markers_told; looks++) {
		nat_cluster_run(cluster, POLLS_PER_LOOK);
		if (!markers_told && redirect_ready(cluster, plan->owner_next)) {
			markers_told = true;
			tell_markers_back(cluster, plan);
		}
		if (looks > LOOKS_MAX)
			fail_with_progress(cluster, plan->epoch_next);
	}
}

static void finish(struct nat_cluster *cluster, const struct shoal_plan *plan)
{
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++)
		if (cluster->workers[member])
			nat_cluster_must(
				shoal_keyspace_forget(&cluster->workers[member]->space, 1, plan->epoch_next), "forget");
	cluster->epoch = plan->epoch_next;
	memcpy(cluster->owner, plan->owner_next, SHOAL_SLOTS);
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++) {
		cluster->in[member] = plan->in_next[member];
		if (!plan->in_next[member] && cluster->workers[member])
			nat_cluster_instance_remove(cluster, member);
	}
}

void nat_cluster_scale(struct nat_cluster *cluster, const bool *in_next)
{
	struct shoal_plan *plan = calloc(1, sizeof(*plan));

	nat_cluster_must(plan ? 0 : ENOMEM, "plan");
	make_plan(cluster, in_next, plan);
	learn_and_hand_over(cluster, plan);
	if (!cluster->epoch)
		first_table(cluster, plan);
	wait_until_done(cluster, plan);
	finish(cluster, plan);
	free(plan);
}

void nat_cluster_scale_abandoned(struct nat_cluster *cluster, const bool *in_next)
{
	struct shoal_plan *plan = calloc(1, sizeof(*plan));
	unsigned learning = (unsigned)(nat_cluster_random(cluster) % (1u << NAT_CLUSTER_INSTANCES));

	nat_cluster_must(plan ? 0 : ENOMEM, "plan");
	make_plan(cluster, in_next, plan);
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++) {
		if (!cluster->workers[member] || !(learning >> member & 1))
			continue;
		pause_for_polls(cluster);
		nat_cluster_must(shoal_keyspace_learn(&cluster->workers[member]->space, plan), "learn");
	}
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++) {
		if (!cluster->workers[member])
			continue;
		pause_for_polls(cluster);
		nat_cluster_must(
			shoal_keyspace_abandon(&cluster->workers[member]->space, 1, plan->epoch_next), "abandon");
	}
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++)
		if (cluster->workers[member] && !cluster->in[member])
			nat_cluster_instance_remove(cluster, member);
	free(plan);
}
