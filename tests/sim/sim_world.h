/* SPDX-License-Identifier: BSD-3-Clause */
/* A whole cluster in one thread and in virtual time: members, the network between them, a controller, and a ledger of what
 * they were asked to do. One step polls one member, then every property that can have been broken by it is looked at. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <errno.h>
#include "object/space.h"
#include "sim_controller.h"
#include "sim_death.h"
#include "sim_fetch.h"
#include "sim_ledger.h"
#include "sim_link.h"
#include "sim_operation.h"
#include "sim_random.h"
#include "sim_trace.h"
#include "sim_traffic.h"
#include "worker/worker.h"

/* What a run looks like; drawn from the seed, or set by a named case. */
struct sim_settings {
	uint64_t seed;
	unsigned members; /* at the start */
	unsigned members_most;
	unsigned strands; /* operations of one member at once */
	uint32_t microthreads; /* in packet worlds */
	uint32_t window;
	uint32_t objects_max;
	unsigned plans; /* reorganisations, one after the other */
	unsigned abandon_percent, second_plan_percent; /* of plans */
	uint64_t operations; /* of each member that stays */
	uint64_t pause_ns; /* between two operations of a strand, on average */
	struct sim_mix mix;
	uint64_t delay_least_ns, delay_most_ns; /* each pair draws its own range from these */
	uint64_t poll_least_ns, poll_most_ns; /* each member draws its own mean */
	unsigned stall_permille; /* of polls, after which a member is not polled for a while */
	uint64_t stall_ns;
	bool lossy;
	uint64_t link_bytes;
	uint64_t deadline_ns; /* of a take or a call */
	bool gives_up; /* the deadline may pass */
	bool fills; /* the table may be full */
	bool formula; /* P4's formula holds: one reference each, no plan, no stall */
	uint64_t packets; /* a packet world: that many are fed; 0: operations without packets */
	uint32_t parked_max, ring_bytes; /* of packets */
	unsigned port_full_percent;
	bool sparse_checks; /* objects are too many to look at after each step */
	bool fetches; /* bare members fetch, too */
	unsigned deaths; /* members that are killed */
	bool deaths_by_hand; /* a directed schedule kills them */
	unsigned controller_deaths;
	unsigned unusable_percent; /* of slabs, that can't be adopted */
	unsigned together_percent; /* of deaths, that follow the one before at once */
	bool steady; /* ends with every member working on what it holds: no message (P10) */
};

struct sim_sleeper {
	struct sim_sleeper *next;
	struct shoal_microthread *microthread;
	uint64_t due_ns;
};

/* An object whose removal has been asked for, and not answered yet. */
struct sim_ending {
	bool under_way;
	uint8_t class;
	uint16_t key;
};

/* An operation that a directed schedule asks for; run by the member's next poll. */
struct sim_ask {
	struct sim_operation operation;
	bool waiting; /* has not begun */
	int answer; /* -EINPROGRESS until it is over */
};
#define SIM_ASKS_MAX 8

/* One worker. Its object space is the production one; where it is bare, the simulator does what a worker's poll would. */
struct sim_member {
	struct sim_world *world;
	uint8_t number;
	uint64_t life;
	struct shoal_worker *worker; /* in packet worlds; NULL: bare */
	struct shoal_packet *held[SIM_HELD_MAX]; /* by the NF */
	unsigned held_count;
	struct shoal_space_context *context;
	struct shoal_space *space;
	struct shoal_scheduler *scheduler;
	struct shoal_runtime runtime; /* of a bare one */
	struct sim_random random, fetch_random;
	struct sim_fetch fetches[SIM_FETCHES_MAX]; /* of a bare one */
	uint64_t poll_mean_ns, poll_due_ns, poll_latest_ns;
	bool open; /* begins operations */
	uint64_t operations_left;
	struct sim_strand strands[SIM_STRANDS_MAX];
	struct sim_sleeper *sleepers;
	struct sim_ask asks[SIM_ASKS_MAX]; /* a directed schedule's */
	uint64_t begun, ended, timed_out;
	uint64_t idle_ended; /* objects that idle tasks removed */
	char slab_directory[64]; /* "": none */
	bool doomed, torn_off; /* dies soon; died in the middle of a poll */
	uint64_t instructions_left; /* of the library, until it dies */
	struct sim_ending ending; /* what an idle task is about to remove */
};

struct sim_world {
	struct sim_settings settings;
	struct sim_random random;
	uint64_t now_ns, steps;
	struct sim_network network;
	struct sim_member *members[SHOAL_MEMBERS_MAX];
	struct sim_controller controller;
	struct sim_traffic traffic; /* of packet worlds */
	struct sim_ledger ledger;
	struct sim_deaths deaths;
	struct sim_trace trace;
	uint64_t life_last;
	uint64_t formula_from_ns;
	unsigned failed; /* number of the property that was broken; 0: none */
	char failure[512];
	bool drained; /* no new operations */
};

/* Makes a world without members, after the settings. */
void sim_world_init(struct sim_world *world, const struct sim_settings *settings);
void sim_world_fini(struct sim_world *world);
/* Starts a member and connects it with all others. */
struct sim_member *sim_member_start(struct sim_world *world, uint8_t number);
/* Ends it: its memory goes, the others forget their links to it. */
void sim_member_end(struct sim_world *world, uint8_t number);
/* Polls whoever is due next, moves the controller, checks. */
void sim_world_step(struct sim_world *world);
/* Steps until all plans and operations are over and nothing is under way, then checks what must be true at rest. */
void sim_world_run(struct sim_world *world);
/* Whether nothing at all is under way. */
bool sim_world_at_rest(const struct sim_world *world);

/* sim_worker.c: a member that is a whole worker. 0 or -errno. */
int sim_worker_start(struct sim_member *member, const struct shoal_space_config *config);
void sim_worker_end(struct sim_member *member);
/* Forgets what a dead member's microthreads were doing. */
void sim_member_abandon(uint8_t number);
/* One poll of a member at the world's time; it may die in it. */
void sim_member_poll(struct sim_member *member);
static inline struct sim_member *sim_member_of(const struct shoal_context *context)
{
	return context->nf_state;
}
/* Whether a directed schedule's operation is not over. */
static inline bool sim_member_asked(const struct sim_member *member)
{
	for (unsigned i = 0; i < SIM_ASKS_MAX; i++)
		if (member->asks[i].answer == -EINPROGRESS)
			return true;
	return false;
}
/* Suspends the running microthread for that time. */
void sim_member_sleep(struct sim_member *member, uint64_t ns) SHOAL_MAY_SUSPEND;

/* A property is broken. The first one counts; the world ends with this step. */
void sim_fail(struct sim_world *world, unsigned property, const char *sentence, ...)
	__attribute__((format(printf, 3, 4)));

/* Notes an event: a sentence with up to eight %ld. */
#define sim_note(world, sentence, ...)                                                                                 \
	sim_trace_add(&(world)->trace,                                                                                 \
		&(struct sim_event){ (world)->now_ns, (world)->steps, sentence, NULL, { __VA_ARGS__ } })
#define sim_note_text(world, text, sentence, ...)                                                                      \
	sim_trace_add(&(world)->trace,                                                                                 \
		&(struct sim_event){ (world)->now_ns, (world)->steps, sentence, text, { __VA_ARGS__ } })

/* sim_check.c */
/* After a poll of that member. */
void sim_check_step(struct sim_world *world, struct sim_member *member);
void sim_check_tokens(struct sim_world *world);
void sim_check_at_rest(struct sim_world *world);
/* sim_state.c: who waits for what, to stderr. */
void sim_state_write(struct sim_world *world);

#endif
