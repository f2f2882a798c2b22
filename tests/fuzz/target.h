/* SPDX-License-Identifier: BSD-3-Clause */
/* What a fuzz target is made of: the entry that libFuzzer and the replay call, and a check that always counts. */
#ifndef SHOAL_FUZZ_TARGET_H
#define SHOAL_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* One input; borrows `bytes`, which lie in a buffer of exactly `length`. Returns 0; aborts where a property does not
 * hold. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define FUZZ_REQUIRE(condition)                                                                                        \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                 \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

#endif
