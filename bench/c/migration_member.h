/* SPDX-License-Identifier: BSD-3-Clause */
/* A member of an object space without packets, on a thread and a core of its own: it polls, and does what it is told between two
 * polls. */
#ifndef SHOAL_BENCH_MIGRATION_MEMBER_H
#define SHOAL_BENCH_MIGRATION_MEMBER_H

#include "bench.h"
#include "object/space.h"

#define MEMBER_WINDOW 512u

struct member;
/* Between two polls of the member's thread; 0 or -errno. */
typedef int (*member_command)(struct member *member, const void *argument);

struct member {
	struct bench *bench; /* borrows */
	struct shoal_space_context context; /* an NF's context, as the space sees it */
	struct shoal_runtime runtime;
	struct shoal_space space;
	struct shoal_scheduler *scheduler; /* owns */
	uint8_t number;
	/* Objects that this member is to take, one after the other, as many at once as the window allows. */
	uint64_t take_next, take_end, taken;
	_Alignas(128) struct {
		member_command command;
		const void *argument;
		int answer;
		uint32_t asked, answered; /* atomic: release by who writes the rest, acquire by who reads it */
	} mailbox;
};

/* Life must be new for each start of a member. */
void member_init(struct member *member, struct bench *bench, uint8_t number, uint64_t life,
	const struct shoal_class *class, uint32_t objects);
void member_fini(struct member *member);
/* One poll of its thread. */
void member_poll(struct member *member);

/* Commands. Arguments: struct shoal_plan, or a count of objects. */
int member_learn(struct member *member, const void *plan);
int member_hand_over(struct member *member, const void *plan);
int member_markers_back(struct member *member, const void *plan);
int member_forget(struct member *member, const void *plan);
int member_take(struct member *member, const void *objects);

/* Messages sent so far, those that hand over slots not counted: their number does not depend on the objects. */
uint64_t member_messages(const struct member *member);

#endif
