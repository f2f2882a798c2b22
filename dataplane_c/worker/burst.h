/* SPDX-License-Identifier: BSD-3-Clause */
/* A burst: packets of one NF port on their way through the stages of the look-up. */
#ifndef SHOAL_WORKER_BURST_H
#define SHOAL_WORKER_BURST_H

#include "worker/worker.h"

struct shoal_burst {
	struct shoal_packet *packets[SHOAL_BURST_MAX]; /* in order of arrival; parsed, once it has begun */
	unsigned count;
	uint8_t port;
	uint8_t list; /* which one */
	uint32_t keyed; /* bit i: packet i has a declared key */
	uint32_t local; /* bit i: packet i goes to the burst handler */
	uint64_t hashes[SHOAL_BURST_MAX];
	uint32_t buckets[SHOAL_BURST_MAX];
	uint32_t *candidates; /* one of the lists of what is being written, in the image; borrows */
	void *objects[SHOAL_BURST_MAX]; /* of the local ones, without gaps */
	uint8_t keys[SHOAL_BURST_MAX * SHOAL_KEY_BYTES_MAX] __attribute__((aligned(8)));
};

/* Once: which of the image's lists its candidates lie in, 0 or 1. */
void shoal_burst_place(struct shoal_worker *worker, struct shoal_burst *burst, uint8_t list);
/* Once: which class the packets of each port declare. */
void shoal_burst_declare(struct shoal_worker *worker);
/* The stages, one after the other for each burst; those of two bursts may alternate. packets, count and port are set. */
void shoal_burst_begin(struct shoal_worker *worker, struct shoal_burst *burst); /* parse, hash, prefetch buckets */
void shoal_burst_match(struct shoal_worker *worker, struct shoal_burst *burst); /* match tags, prefetch objects */
void shoal_burst_end(struct shoal_worker *worker, struct shoal_burst *burst); /* verify, run the handlers, emit */

#endif
