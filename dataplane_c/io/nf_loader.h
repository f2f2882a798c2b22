/* SPDX-License-Identifier: BSD-3-Clause */
/* Loads an NF from its shared object, and says in one sentence what is wrong with one that can't be used. Used by the
 * splitter (steering keys) and by the instance. */
#ifndef SHOAL_IO_NF_LOADER_H
#define SHOAL_IO_NF_LOADER_H

#include <shoal/nf.h>

struct shoal_nf_library;

/* NULL with errno: -ENOENT (no such file), -ELIBBAD (not loadable), -ENOSYS (no symbol `shoal_nf`), -EPROTO (another
 * version of the interface), -EINVAL (an incomplete NF); `error` then holds the sentence. */
struct shoal_nf_library *shoal_nf_library_open(const char *path, char *error, size_t error_bytes);
/* Borrowed: lives until close. */
const struct shoal_nf *shoal_nf_library_nf(const struct shoal_nf_library *library);
/* NULL is allowed. Nothing of the NF may be in use any more. */
void shoal_nf_library_close(struct shoal_nf_library *library);

/* Whether everything that the data plane calls or indexes is there. 0, -EPROTO or -EINVAL with the sentence. */
SHOAL_MUST_USE int shoal_nf_check(const struct shoal_nf *nf, char *error, size_t error_bytes);

#endif
