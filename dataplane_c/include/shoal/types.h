/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits and small types that every part of the data plane shares. Read through cffi by the control plane too:
 * a constant that both languages need is defined here and nowhere else. */
#ifndef SHOAL_TYPES_H
#define SHOAL_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHOAL_CACHE_LINE 64

/* Members of one object space; a member number is an index below this. */
#define SHOAL_MEMBERS_MAX 64
#define SHOAL_MEMBER_NONE 255

/* Slots of the key space, and steering slots of the splitter: two different tables (docs/glossary.md). An affine
 * key's slot is steering slot * SHOAL_SLOTS_PER_STEERING + six bits of its hash. */
#define SHOAL_SLOTS 16384
#define SHOAL_STEERING_SLOTS 256
#define SHOAL_SLOTS_PER_STEERING 64

#define SHOAL_NF_PORTS_MAX 8
#define SHOAL_CLASSES_MAX 16
#define SHOAL_METHODS_MAX 16
#define SHOAL_KEY_BYTES_MAX 64
#define SHOAL_OBJECT_BYTES_MAX 16384
#define SHOAL_METHOD_BYTES_MAX 256
#define SHOAL_TAKE_MAX 8
#define SHOAL_BURST_MAX 32
#define SHOAL_NF_DROPS_MAX 32
#define SHOAL_NAME_BYTES 64
#define SHOAL_REMOTE_ADDRESS_BYTES 128

/* Marks a function that may suspend the calling microthread: a borrowed pointer is dead after it, and nothing locked
 * may be held across it. */
#define SHOAL_MAY_SUSPEND
#define SHOAL_MUST_USE __attribute__((warn_unused_result))
#define SHOAL_CACHE_ALIGNED __attribute__((aligned(SHOAL_CACHE_LINE)))
#define SHOAL_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define SHOAL_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#define SHOAL_NS_PER_MS UINT64_C(1000000)
#define SHOAL_NS_PER_S UINT64_C(1000000000)

#endif
