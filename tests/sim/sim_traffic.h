/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets of a world: a source, the production splitter with its ring to each member, a sink, and the books. */
#ifndef SIM_TRAFFIC_H
#define SIM_TRAFFIC_H

#include "io/splitter.h"
#include "sim_port.h"

struct sim_world;
struct sim_member;

/* A flow is what must stay in order: the packets of one port with one declared key. Even ones enter at port 0. */
#define SIM_FLOWS_MAX 8 /* of one port; each is a strand of its own */
#define SIM_HELD_MAX 16

static inline unsigned sim_flow_key(uint32_t flow)
{
	return flow / 2;
}
/* Its packets have no declared key and may be held, so that they need not leave in order. */
static inline bool sim_flow_keyless(uint32_t flow)
{
	return flow == 5;
}
static inline uint8_t sim_flow_steering(uint32_t flow)
{
	return (uint8_t)(flow / 2 * 37);
}

struct sim_traffic {
	bool on;
	struct shoal_splitter splitter;
	struct sim_port ports[2];
	uint32_t flows;
	uint32_t fed_sequence[2 * SIM_FLOWS_MAX], left_sequence[2 * SIM_FLOWS_MAX];
	uint64_t packets_left; /* to feed */
	uint64_t fed, left;
	uint64_t dropped_before; /* by members that have ended */
	uint64_t poll_mean_ns, poll_due_ns;
	unsigned burst_most; /* packets fed before one poll of the splitter */
	struct shoal_steering_set redirected; /* in the plan under way */
};

extern struct rte_mempool *sim_traffic_pool;

/* Starts the EAL once in the process; a splitter without members. */
void sim_traffic_init(struct sim_world *world);
void sim_traffic_fini(struct sim_world *world);
/* A ring to the member, which has been started; the member's own end is its worker's. */
void sim_traffic_member_add(struct sim_world *world, struct sim_member *member);
/* Takes its books over. Its worker still lives. */
void sim_traffic_member_remove(struct sim_world *world, struct sim_member *member);
/* The first table, after the first map. */
void sim_traffic_begin(struct sim_world *world);
/* Feeds and polls the splitter. */
void sim_traffic_poll(struct sim_world *world);
/* A packet has left through a port. */
void sim_traffic_left(struct sim_world *world, const struct sim_load *load);
/* Redirects what the plan moves, as soon as its tokens are there. */
void sim_traffic_redirect(struct sim_world *world);
/* All steering slots of the plan that leave `member` (or, MEMBER_NONE, all that move) are redirected, and no marker is out. */
bool sim_traffic_redirected(struct sim_world *world, uint8_t member);
bool sim_traffic_at_rest(const struct sim_world *world);
/* P6. */
void sim_traffic_check(struct sim_world *world);

const struct shoal_nf *sim_nf(void);

#endif
