/* SPDX-License-Identifier: BSD-3-Clause */
/* The controller's part after a death: the splitter gives the dead member up, survivors change the view, an adopter takes over
 * what lies in the slabs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "channel/ring_transport.h"
#include "nat_cluster.h"

#define POLLS_PER_COMMAND 20
#define LOOKS_MAX 200000

/* What the kernel does to a process that ends: its mappings go, its files stay. Of the worker's own memory nothing may be
 * read any more, so that nothing is tidied up in the slabs. */
static void end_process(struct nat_cluster *cluster, unsigned member)
{
	struct shoal_worker *worker = cluster->workers[member];
	struct shoal_port *port = shoal_packet_ring_port(worker->ring);

	for (unsigned other = 0; other < NAT_CLUSTER_INSTANCES; other++) {
		struct shoal_link *link = cluster->workers[other] && other != member
		                                  ? shoal_channel_link(cluster->workers[other]->space.channel,
							    (uint8_t)member, cluster->life[member])
		                                  : NULL;

		if (!link)
			continue;
		shoal_ring_transport_ended(link, "process ended");
		cluster->workers[other]->space.owner_gone = true;
	}
	/* The slabs' names are taken away first: fini would remove the files. */
	for (unsigned class = 0; class < worker->space.config.classes_count; class ++)
		worker->space.maps[class].path[0] = 0;
	worker->space.config.slab_directory = NULL;
	void *state = worker->context.context.nf_state;

	shoal_worker_fini(worker);
	port->operations->destroy(port);
	shoal_nf.destroy(state);
	free(worker);
	cluster->workers[member] = NULL;
}

static void give_up_at_splitter(struct nat_cluster *cluster, unsigned member)
{
	struct shoal_packet_ring *ring = NULL;

	nat_cluster_must(
		shoal_splitter_member_remove(&cluster->splitter, (uint16_t)member, cluster->now_ns, &ring), "removal");
	shoal_packet_ring_port(ring)->operations->destroy(shoal_packet_ring_port(ring));
}

static uint8_t choose_adopter(const struct nat_cluster *cluster)
{
	for (uint8_t member = 0; member < NAT_CLUSTER_INSTANCES; member++)
		if (cluster->workers[member] && cluster->in[member])
			return member;
	return SHOAL_MEMBER_NONE;
}

/* Where nobody adopts, the tokens go anywhere: by steering slot, or even one by one. */
static void spread_mint(struct nat_cluster *cluster, uint8_t *mint)
{
	unsigned together = nat_cluster_random(cluster) & 1 ? SHOAL_SLOTS_PER_STEERING : 1;
	uint8_t minter = SHOAL_MEMBER_NONE;

	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot++) {
		if (slot % together == 0)
			do
				minter = (uint8_t)(nat_cluster_random(cluster) % NAT_CLUSTER_INSTANCES);
			while (!cluster->workers[minter] || !cluster->in[minter]);
		mint[slot] = minter;
	}
}

static void tell_survivors(struct nat_cluster *cluster, unsigned dead, uint8_t adopter, bool usable_slab)
{
	struct shoal_death *death = calloc(1, sizeof(*death));

	nat_cluster_must(death ? 0 : ENOMEM, "death");
	death->term = 1;
	death->view = ++cluster->view;
	death->epoch = cluster->epoch = ++cluster->epoch_last;
	death->dead[dead] = 1;
	death->life[dead] = cluster->life[dead];
	memset(death->adopter, SHOAL_MEMBER_NONE, sizeof(death->adopter));
	memset(death->mint, adopter, sizeof(death->mint));
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++)
		death->survivor[member] = cluster->workers[member] != NULL;
	if (!usable_slab)
		spread_mint(cluster, death->mint);
	if (usable_slab) {
		nat_cluster_must(shoal_view_adopt(&cluster->workers[adopter]->space, (uint8_t)dead, cluster->life[dead],
					 cluster->slab_path[dead]),
			"adoption");
		death->adopter[dead] = adopter;
	}
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++) {
		if (!cluster->workers[member])
			continue;
		nat_cluster_run(cluster, POLLS_PER_COMMAND);
		nat_cluster_must(shoal_view_death(&cluster->workers[member]->space, death), "death");
	}
	free(death);
}

static bool all_resumed(const struct nat_cluster *cluster)
{
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++)
		if (cluster->workers[member] && (cluster->workers[member]->space.view.resumed != cluster->view ||
							cluster->workers[member]->space.aftermath.open))
			return false;
	return true;
}

/* By the splitter's own table: where tokens were spread, packets go elsewhere than to the key owner. */
static struct shoal_steering_set steered_to(const struct nat_cluster *cluster, unsigned dead)
{
	struct shoal_steering_set set = { 0 };

	for (unsigned slot = 0; slot < SHOAL_STEERING_SLOTS; slot++)
		if (cluster->splitter.steering.slots[slot].member == dead)
			set.words[slot / 64] |= UINT64_C(1) << slot % 64;
	return set;
}

static void fail_with_progress(const struct nat_cluster *cluster)
{
	for (unsigned member = 0; member < NAT_CLUSTER_INSTANCES; member++) {
		const struct shoal_space *space = &cluster->workers[member]->space;
		struct shoal_view_progress progress;

		if (!cluster->workers[member])
			continue;
		shoal_view_progress(space, &progress);
		fprintf(stderr,
			"member %u: view %lu, stage %d, waiting for %s; %u tasks after the loss; %u "
			"leases waiting, %u outstanding, %u suspended, %lu timed out\n",
			member, progress.view, progress.stage, progress.waiting_for, space->aftermath.tasks,
			space->waiting, space->outstanding, shoal_scheduler_suspended(space->scheduler),
			space->counters.takes_timed_out);
	}
	nat_cluster_must(ETIMEDOUT, "the view does not complete");
}

void nat_cluster_kill(struct nat_cluster *cluster, unsigned member, bool usable_slab)
{
	struct shoal_steering_set slots;
	unsigned refused;
	uint8_t adopter;

	end_process(cluster, member);
	cluster->in[member] = false;
	adopter = choose_adopter(cluster);
	slots = steered_to(cluster, member);
	give_up_at_splitter(cluster, member);
	nat_cluster_must(shoal_splitter_slots_redirect(&cluster->splitter, &slots, adopter, cluster->now_ns, &refused),
		"redirection to the adopter");
	tell_survivors(cluster, member, adopter, usable_slab);
	for (unsigned looks = 0; !all_resumed(cluster); looks++) {
		nat_cluster_run(cluster, POLLS_PER_COMMAND);
		if (looks > LOOKS_MAX)
			fail_with_progress(cluster);
	}
	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot++)
		for (uint8_t owner = 0; owner < NAT_CLUSTER_INSTANCES; owner++)
			if (cluster->workers[owner] &&
				shoal_slot_bit(cluster->workers[owner]->space.keyspace.token, (uint16_t)slot))
				cluster->owner[slot] = owner;
	if (!usable_slab && cluster->slab_path[member]) {
		struct shoal_legacy legacy;
		const char *reason;

		if (!shoal_legacy_open(&legacy, cluster->slab_path[member], cluster->life[member], shoal_nf.classes,
			    shoal_nf.classes_count, &reason))
			shoal_legacy_close(&legacy, cluster->slab_path[member], true);
	}
	if (cluster->slab_path[member])
		rmdir(cluster->slab_path[member]);
	free(cluster->slab_path[member]);
	cluster->slab_path[member] = NULL;
}
