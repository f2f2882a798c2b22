/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: a shared object that is no NF. */
#include <shoal/types.h>

extern const int not_an_nf;
const int not_an_nf = SHOAL_SLOTS;
