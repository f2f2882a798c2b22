/* SPDX-License-Identifier: BSD-3-Clause */
/* Durations as an operator writes them: "2h4min", "90s", "500ms"; a bare number is seconds. */
#ifndef SHOAL_NAT_DURATION_H
#define SHOAL_NAT_DURATION_H

#include <shoal/types.h>

/* 0 with *milliseconds in [1, most], or -EINVAL with a sentence in `error`. */
SHOAL_MUST_USE int nat_duration_parse(
	const char *text, uint32_t most, uint32_t *milliseconds, char *error, size_t error_bytes);

#endif
