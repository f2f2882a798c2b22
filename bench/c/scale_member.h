/* SPDX-License-Identifier: BSD-3-Clause */
/* A NAT instance of the scaling event: a worker with its packet ring, polled by whoever holds it; and what two processes share of
 * one: commands to it, and what it publishes after each poll. */
#ifndef SHOAL_BENCH_SCALE_MEMBER_H
#define SHOAL_BENCH_SCALE_MEMBER_H

#include "bench.h"
#include "worker/worker.h"

#define SCALE_MARKS 65536u /* milliseconds, modulo: those in which somebody else had the core */

enum scale_command { SCALE_LEARN, SCALE_HAND_OVER, SCALE_MARKERS_BACK, SCALE_FORGET, SCALE_END };

struct scale_member_config {
	uint8_t number;
	int cpu;
	bool hugepages;
	uint64_t life, other_life;
	uint32_t objects;
};

/* Lies in a memfd that both processes map. */
struct scale_shared {
	struct scale_member_config config; /* set before the member begins */
	/* writer: who leads; `answered` and `answer`: the member. Release by the writer, acquire by the reader. */
	_Alignas(128) enum scale_command command;
	struct shoal_plan plan;
	uint32_t asked;
	_Alignas(128) uint32_t answered;
	int answer;
	/* writer: the member, after each poll; read as they are */
	_Alignas(128) int stage;
	bool begun; /* the worker is there */
	uint64_t ready[4]; /* bit s: all tokens of steering slot s are here */
	uint64_t forwarded, takes_remote, bytes_out, objects_out, drops, received, inside;
	uint32_t parked_most;
	uint8_t marks[SCALE_MARKS];
};

struct scale_member {
	struct bench *bench; /* borrows */
	struct shoal_worker worker;
	struct scale_shared *shared; /* borrows */
	uint64_t polled_ns; /* the last time */
	uint32_t tokens; /* held when `ready` was last looked through */
	long switches; /* involuntary ones so far */
	unsigned long long stolen; /* by the hypervisor so far */
};

/* shared->config says which one. `packets`: descriptor of a ring pair; side 1 is this member's. */
void scale_member_init(struct scale_member *member, struct bench *bench, struct scale_shared *shared, int packets,
	struct rte_mempool *pool);
void scale_member_fini(struct scale_member *member);
/* The channel to the other member; may come later. `descriptor`: of a ring pair; the side is the member's number. */
void scale_member_connect(struct scale_member *member, int descriptor, uint64_t other_life);
/* One poll: commands, worker, what it publishes. False: told to end. */
bool scale_member_poll(struct scale_member *member, uint64_t now_ns);

/* The shared part; from a descriptor of a memfd, or a new one (then *descriptor is set). */
struct scale_shared *scale_shared_map(const struct bench *bench, int *descriptor, bool create);
/* What a process does that was started as an instance: shared, packets and peer are descriptors. Never returns. */
void scale_member_process(int shared, int packets, int peer) __attribute__((noreturn));

#endif
