/* SPDX-License-Identifier: BSD-3-Clause */
/* The least that a store on Redis costs: one GET and one SET for each packet, and nothing else. */
#ifndef SHOAL_BENCH_BARE_CLIENT_H
#define SHOAL_BENCH_BARE_CLIENT_H

#include "bench.h"

/* ns a packet, the median over batches: the GETs of as many packets as a batch has, then their SETs. Keys are drawn evenly from
 * `flows`. `path`: the server's socket. */
double bare_client_ns(const struct bench *bench, const char *path, uint32_t flows, unsigned batch, unsigned packets);

#endif
