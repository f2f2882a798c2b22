/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of multi-writer calls share. */
#ifndef SHOAL_OBJECT_CALL_H
#define SHOAL_OBJECT_CALL_H

#include "object/space.h"

/* Exact calls under way, each with its place in the window until its answer comes, also where the caller has given up. CALL
 * and REPLY carry the place in this table and the request number. */
struct shoal_pending_call {
	struct shoal_wait *wait; /* NULL: the caller has given up */
	bool under_way;
	uint32_t request;
	uint32_t free_next;
	uint8_t member; /* to which it was sent */
};

struct shoal_call_table {
	uint32_t room;
	uint32_t free_first; /* index + 1 */
	struct shoal_pending_call calls[];
};

/* Its answer has come, or will not. */
static inline void shoal_call_forget(struct shoal_call_table *table, uint32_t index)
{
	table->calls[index].wait = NULL;
	table->calls[index].under_way = false;
	table->calls[index].free_next = table->free_first;
	table->free_first = index + 1;
}

#endif
