/* SPDX-License-Identifier: BSD-3-Clause */
/* A member that is a production worker with the simulated NF, fed by the splitter. */
#include "sim_world.h"
#include <errno.h>
#include <stdlib.h>

#define STACK_BYTES 16384
#define BACKLOG_MAX 256

/* The plain twin of what fetches: every packet whose object is not at rest here goes to its packet handler. */
static const struct shoal_plane *plane_of(const struct sim_member *member)
{
	static struct shoal_plane plain;

	plain = shoal_plane_shared;
	plain.fetch = NULL;
	return member->number % 4 == 3 ? &plain : &shoal_plane_shared;
}

/* Kept from one world to the next, as in sim_member.c. */
static struct shoal_worker *workers[SHOAL_MEMBERS_MAX];

int sim_worker_start(struct sim_member *member, const struct shoal_space_config *config)
{
	const struct sim_settings *settings = &member->world->settings;
	struct shoal_worker_config worker_config = { .space = *config,
		.nf = sim_nf(),
		.nf_state = member,
		.parked_max = settings->parked_max,
		.backlog_max = BACKLOG_MAX,
		.stack_bytes = STACK_BYTES,
		.plane = plane_of(member) };
	int error;

	if (!workers[member->number])
		workers[member->number] = aligned_alloc(SHOAL_CACHE_LINE, (sizeof(struct shoal_worker) + 63) / 64 * 64);
	if (!workers[member->number])
		return -ENOMEM;
	member->worker = workers[member->number];
	worker_config.space.microthreads_max = settings->microthreads;
	error = shoal_worker_init(member->worker, &worker_config);
	if (error)
		return error;
	if (member->number % 2)
		member->worker->ahead_from = 0; /* its bursts overlap from the first object on */
	member->context = &member->worker->context;
	member->space = &member->worker->space;
	member->scheduler = member->worker->scheduler;
	sim_traffic_member_add(member->world, member);
	return 0;
}

void sim_worker_end(struct sim_member *member)
{
	struct shoal_packet_ring *ring = member->worker->ring;

	sim_traffic_member_remove(member->world, member);
	/* Where a world ended early. */
	for (unsigned i = 0; i < member->held_count; i++)
		shoal_packet_free(member->held[i]);
	shoal_worker_fini(member->worker);
	shoal_packet_ring_port(ring)->operations->destroy(shoal_packet_ring_port(ring));
}
