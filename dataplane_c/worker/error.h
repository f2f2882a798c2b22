/* SPDX-License-Identifier: BSD-3-Clause */
/* The sentence behind shoal_last_error(): what went wrong in words for the operator, one for each thread. Control side
 * only. */
#ifndef SHOAL_WORKER_ERROR_H
#define SHOAL_WORKER_ERROR_H

/* Stores the sentence for the calling thread, cut at 512 bytes, and returns -errno_value, so that a caller can write
 * `return shoal_error(ENOENT, "…", …)`. It stays until the thread's next error. */
int shoal_error(int errno_value, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
