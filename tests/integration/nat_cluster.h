/* SPDX-License-Identifier: BSD-3-Clause */
/* The NAT on one splitter and up to four instances, joined by real rings, all polled by one thread in made-up time. What
 * runs is the production code; only the ports, the clock and the controller are the test's.
 *
 *     port 0: hosts   ─── splitter ═══ packet rings ═══ instances 0 … 3 ─── ring channels between each two
 *     port 1: servers ──┘
 *
 * Everything that happens follows from the seed. What must not fail and does ends the program. */
#ifndef SHOAL_TESTS_NAT_CLUSTER_H
#define SHOAL_TESTS_NAT_CLUSTER_H

#include "io/splitter.h"
#include "worker/worker.h"

#define NAT_CLUSTER_INSTANCES 4
#define NAT_CLUSTER_START_NS SHOAL_NS_PER_S
#define NAT_CLUSTER_COUNTERS_MAX 16

/* Sums over the instances, those that have left included. */
struct nat_cluster_figures {
	uint64_t nf_drops[SHOAL_NF_DROPS_MAX];
	uint64_t parse_drops[SHOAL_PARSE_RESULTS];
	uint64_t worker_drops[SHOAL_WORKER_DROPS];
	uint64_t nf_counters[NAT_CLUSTER_COUNTERS_MAX];
	uint64_t objects_moved, takes_remote, packets_suspended;
};

struct nat_cluster {
	struct shoal_splitter splitter;
	struct shoal_worker *workers[NAT_CLUSTER_INSTANCES]; /* owns; NULL: not running */
	struct rte_mempool *pool; /* borrows */
	struct shoal_port *ports[2]; /* the splitter's */
	uint64_t now_ns, random;
	/* Nanoseconds until the next poll; NULL: any number below 2000. */
	uint64_t (*elapse)(struct nat_cluster *cluster, void *user);
	void *user;
	uint64_t epoch; /* 0: no instance yet */
	uint64_t epoch_last; /* of any plan, abandoned ones included */
	uint8_t owner[SHOAL_SLOTS];
	bool in[NAT_CLUSTER_INSTANCES];
	uint64_t life[NAT_CLUSTER_INSTANCES], life_last; /* a member that comes back has another */
	/* At times one component is not polled for a while, as happens to threads. */
	unsigned stalled, stalled_polls;
	uint64_t view; /* of the last death; 0: none */
	const char *port_range; /* the NAT's setting; NULL: its default */
	char *slab_path[NAT_CLUSTER_INSTANCES]; /* owns */
	char directory[64]; /* slabs with files lie below it, a folder for each life; "": slabs without */
	/* Components polled without work since any had some; full rounds of such polls. */
	unsigned idle_components, idle_rounds;
	struct nat_cluster_figures of_ended;
};

/* Begins the EAL, once for a program, and makes a pool for frames of up to frame_bytes. */
struct rte_mempool *nat_cluster_pool(const char *program, unsigned packets, unsigned frame_bytes);

/* No instance yet: the first nat_cluster_scale adds some. The ports are the splitter's from then on. */
void nat_cluster_init(
	struct nat_cluster *cluster, uint64_t seed, struct rte_mempool *pool, struct shoal_port *const ports[2]);
void nat_cluster_fini(struct nat_cluster *cluster);

uint64_t nat_cluster_random(struct nat_cluster *cluster);
/* That many polls, each of a component chosen at random: any interleaving may happen, stalls of one of them too. */
void nat_cluster_run(struct nat_cluster *cluster, unsigned polls);
/* Every component was polled three times in a row without finding anything to do, and no packet waits for its steering slot to move:
 * what it waits for may be nothing but time. */
bool nat_cluster_idle(const struct nat_cluster *cluster);
/* Packet handlers or tasks wait somewhere. */
bool nat_cluster_suspended(const struct nat_cluster *cluster);

void nat_cluster_figures_read(const struct nat_cluster *cluster, struct nat_cluster_figures *figures);

/* nat_cluster_plan.c: one plan from the members of today to those of `in_next`, with traffic going on all the while; returns
 * when it is complete and leavers are gone. */
void nat_cluster_scale(struct nat_cluster *cluster, const bool *in_next);
/* Such a plan is begun, and abandoned when some members have learnt it: everything is as it was. */
void nat_cluster_scale_abandoned(struct nat_cluster *cluster, const bool *in_next);

/* nat_cluster_death.c: the process of a member ends between two polls, without warning; its slabs stay, but for those that went
 * with their host. Returns when all survivors have resumed, and have looked at what is left after a loss. */
void nat_cluster_kill(struct nat_cluster *cluster, unsigned member, bool usable_slab);

/* --- Between the files of the cluster --- */

/* Where the slabs of a member's present life lie; NULL: without files. */
const char *nat_cluster_slabs(const struct nat_cluster *cluster, unsigned member, char path[128]);

/* Ends the program where error is not 0. */
void nat_cluster_must(int error, const char *what);
void nat_cluster_instance_add(struct nat_cluster *cluster, unsigned member);
/* A leaver has nothing left that anybody could miss. */
void nat_cluster_instance_remove(struct nat_cluster *cluster, unsigned member);

#endif
