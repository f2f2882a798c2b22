/* SPDX-License-Identifier: BSD-3-Clause */
/* Boost.Context's fiber, on pooled stacks of the same size as our microthreads'. Built where Boost is installed. */
#ifndef SHOAL_BENCH_BOOST_FIBER_H
#define SHOAL_BENCH_BOOST_FIBER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct boost_fibers;
struct boost_fibers *boost_fibers_create(unsigned fibers, size_t stack_bytes); /* NULL: no memory */
void boost_fibers_destroy(struct boost_fibers *fibers);
/* Fibers that begin and end without a suspension, one after the other. */
void boost_fibers_step(struct boost_fibers *fibers, unsigned steps);
/* New ones that suspend, the first of them as number `from`. */
void boost_fibers_suspend(struct boost_fibers *fibers, unsigned from, unsigned count);
/* Resumes them; they end. */
void boost_fibers_resume(struct boost_fibers *fibers, unsigned from, unsigned count);

#ifdef __cplusplus
}
#endif

#endif
