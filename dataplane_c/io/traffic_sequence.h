/* SPDX-License-Identifier: BSD-3-Clause */
/* Order of one direction of a flow: what is next, and which of the last 64 numbers have come. */
#ifndef SHOAL_IO_TRAFFIC_SEQUENCE_H
#define SHOAL_IO_TRAFFIC_SEQUENCE_H

#include <shoal/types.h>

#define SHOAL_SEQUENCE_WINDOW 64

struct shoal_traffic_sequence {
	uint32_t next; /* to be sent */
	uint32_t expected; /* one above the greatest that has come */
	uint64_t seen; /* bit i: expected - 1 - i has come */
};

enum shoal_sequence_verdict {
	SHOAL_SEQUENCE_GOOD, /* the expected one, or a later one: `skipped` are missing until they come */
	SHOAL_SEQUENCE_REORDERED, /* an earlier one, for the first time */
	SHOAL_SEQUENCE_DUPLICATE,
	SHOAL_SEQUENCE_UNSENT, /* none that was sent */
};

/* Numbers further back than the window count as reordered: a second copy that late can't be told from a first. */
static inline enum shoal_sequence_verdict shoal_traffic_sequence_receive(
	struct shoal_traffic_sequence *sequence, uint32_t number, uint32_t *skipped)
{
	int32_t ahead = (int32_t)(number - sequence->expected);
	uint32_t back;

	*skipped = 0;
	if ((int32_t)(number - sequence->next) >= 0)
		return SHOAL_SEQUENCE_UNSENT;
	if (ahead >= 0) {
		*skipped = (uint32_t)ahead;
		sequence->seen = ahead + 1 < SHOAL_SEQUENCE_WINDOW ? sequence->seen << (ahead + 1) | 1 : 1;
		sequence->expected = number + 1;
		return SHOAL_SEQUENCE_GOOD;
	}
	back = (uint32_t)-ahead - 1;
	if (back >= SHOAL_SEQUENCE_WINDOW)
		return SHOAL_SEQUENCE_REORDERED;
	if (sequence->seen >> back & 1)
		return SHOAL_SEQUENCE_DUPLICATE;
	sequence->seen |= UINT64_C(1) << back;
	return SHOAL_SEQUENCE_REORDERED;
}

#endif
