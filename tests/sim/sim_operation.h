/* SPDX-License-Identifier: BSD-3-Clause */
/* What a member is asked to do: one operation is what a packet's handler does. */
#ifndef SIM_OPERATION_H
#define SIM_OPERATION_H

#include <shoal/types.h>
#include "sim_calls.h"
#include "sim_random.h"

struct sim_member;
struct shoal_request;

#define SIM_TAKES_MAX 3

/* How often what is asked, in percent, and of how many keys. */
struct sim_mix {
	unsigned keys; /* of each class */
	unsigned call_percent; /* else a take */
	unsigned untethered_percent; /* of calls */
	unsigned several_percent; /* of takes, that ask for 2 or 3 objects */
	unsigned find_percent; /* of objects asked for, without create */
	unsigned remove_percent; /* of takes */
	unsigned hold_percent; /* of takes */
	uint64_t hold_ns; /* longest */
	unsigned home_percent; /* of objects asked for: one of the member's own favourite keys */
	bool idle; /* accounts expire */
};

struct sim_operation {
	bool is_call, untethered, removes;
	uint8_t count; /* of objects; calls in a row */
	struct {
		uint8_t class;
		bool create;
		uint16_t key;
	} objects[SIM_TAKES_MAX];
	uint64_t hold_ns;
};

/* Operations of one strand never overlap, as packets of one flow. */
struct sim_strand {
	bool busy, calls;
	uint64_t due_ns; /* the next operation */
	uint64_t since_ns; /* the running one */
	uint64_t refused; /* when that began: the member's takes and calls refused since their owner had ended */
	struct shoal_request *held; /* what it holds; NULL: nothing */
	unsigned held_count;
	struct sim_calling calling;
};

void sim_operation_draw(
	struct sim_random *random, const struct sim_mix *mix, uint8_t member, struct sim_operation *operation);
/* In a microthread of the member. 0 or what take or call answered. */
int sim_operation_run(
	struct sim_member *member, uint8_t strand, const struct sim_operation *operation) SHOAL_MAY_SUSPEND;

#endif
