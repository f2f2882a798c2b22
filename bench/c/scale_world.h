/* SPDX-License-Identifier: BSD-3-Clause */
/* Generator, splitter and instance 0 on one core, instance 1 in a process and on a core of its own; and the controller's part of
 * a scaling event, done by the loop that polls, so that nothing but the event itself is seen. */
#ifndef SHOAL_BENCH_SCALE_WORLD_H
#define SHOAL_BENCH_SCALE_WORLD_H

#include <sys/types.h>

#include "io/generator.h"
#include "io/splitter.h"
#include "scale_member.h"

#define SCALE_ROWS 65536u
#define SCALE_DEADLINE_NS (30 * SHOAL_NS_PER_S)

struct scale_traffic {
	uint32_t flows;
	bool round_robin; /* packets in turn over the steering slots, whatever their flow: each meets its object elsewhere */
	double rate; /* packets a second wanted */
};

/* How far an event has come. */
enum scale_step { SCALE_REST, SCALE_HANDING_OVER, SCALE_REDIRECTED };

struct scale_world {
	struct bench *bench; /* borrows */
	struct scale_traffic traffic;
	struct rte_mempool *pool; /* borrows */
	struct shoal_generator *generator; /* owns */
	struct shoal_splitter splitter;
	struct shoal_nf nf; /* as the splitter sees it */
	struct scale_member member; /* instance 0 */
	struct scale_shared *shared[2]; /* owns the mappings */
	int shared_descriptors[2];
	pid_t child; /* instance 1; 0: none */
	uint64_t life;
	uint64_t epoch;
	bool two; /* both are members */
	/* The event under way. */
	enum scale_step step;
	uint8_t owner_next[SHOAL_STEERING_SLOTS];
	uint64_t redirected[4], looked_ns;
	/* Rows of 1 ms, and when the generator began. */
	struct shoal_traffic_row *rows; /* owns */
	uint32_t rows_count;
	uint64_t began_ns, now_ns;
};

void scale_world_init(
	struct scale_world *world, struct bench *bench, struct rte_mempool *pool, const struct scale_traffic *traffic);
void scale_world_fini(struct scale_world *world);
/* One round over all that lies on this core, and a step of the event. */
void scale_world_poll(struct scale_world *world);
void scale_world_poll_for(struct scale_world *world, uint64_t nanoseconds);

/* Makes instance 1, without a part in anything yet. */
void scale_world_instance_start(struct scale_world *world);
/* Begins an event: to two instances, or back to one; scale_world_poll carries it on until step is SCALE_REST. Instance 1 goes
 * on living after it has left. */
void scale_world_event_begin(struct scale_world *world, bool two);
void scale_world_instance_end(struct scale_world *world);

/* Sum over the instances. */
uint64_t scale_world_forwarded(const struct scale_world *world);
uint64_t scale_world_bytes_out(const struct scale_world *world);
/* Packets dropped, by the name of a reason: at the splitter; at the instances. */
uint64_t scale_world_splitter_drops(const struct scale_world *world);
uint64_t scale_world_instance_drops(const struct scale_world *world);
/* Stops sending until everything has come back or is in a named drop, 2 s at most; packets lost since the start. */
uint64_t scale_world_settle(struct scale_world *world);
/* Whether somebody else had one of the two cores in that millisecond. */
bool scale_world_preempted(const struct scale_world *world, uint64_t at_ns);

/* --- Between the files of the world --- */

/* One round without the event. */
void scale_world_poll_round(struct scale_world *world);
/* Tells an instance, or all, what shared->plan is about; polls until it is done. Ends the process where it is refused. */
void scale_world_tell(struct scale_world *world, unsigned number, enum scale_command command);
void scale_world_tell_all(struct scale_world *world, enum scale_command command);

/* scale_plan.c: instance 0 owns everything; an event goes on. */
void scale_plan_first(struct scale_world *world);
void scale_plan_step(struct scale_world *world);

#endif
