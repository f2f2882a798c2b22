/* SPDX-License-Identifier: BSD-3-Clause */
/* Fetches of a bare member, beside its microthreads: what a worker does for packets whose declared object is elsewhere. */
#ifndef SHOAL_SIM_FETCH_H
#define SHOAL_SIM_FETCH_H

#include "object/fetch.h"

struct sim_member;

#define SIM_FETCHES_MAX 3

struct sim_fetch {
	struct shoal_fetch fetch; /* first */
	bool under_way;
	uint16_t key;
	uint8_t key_bytes[SHOAL_KEY_BYTES_MAX] __attribute__((aligned(8)));
	uint64_t since_step;
};

/* In the member's poll: looks at what has come, and asks for more. */
void sim_fetch_poll(struct sim_member *member);

#endif
