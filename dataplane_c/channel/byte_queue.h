/* SPDX-License-Identifier: BSD-3-Clause */
/* Bounded first-in first-out queue of variable-length records in reserved address space, used by one thread. Pages are
 * touched only as far as it fills. */
#ifndef SHOAL_CHANNEL_BYTE_QUEUE_H
#define SHOAL_CHANNEL_BYTE_QUEUE_H

#include <shoal/types.h>

struct shoal_byte_queue {
	uint8_t *bytes; /* owns the mapping */
	size_t capacity;
	uint64_t head, tail; /* only grow */
};

SHOAL_MUST_USE int shoal_byte_queue_init(struct shoal_byte_queue *queue, size_t capacity);
void shoal_byte_queue_fini(struct shoal_byte_queue *queue);
/* Room for one record at the tail, or NULL: full. */
void *shoal_byte_queue_push(struct shoal_byte_queue *queue, uint32_t length);
/* The record that starts `offset` bytes behind the head (0: the oldest), or NULL; *next is the following one's offset. */
const void *shoal_byte_queue_at(
	const struct shoal_byte_queue *queue, uint64_t offset, uint32_t *length, uint64_t *next);
void shoal_byte_queue_pop(struct shoal_byte_queue *queue);
void shoal_byte_queue_clear(struct shoal_byte_queue *queue);

static inline size_t shoal_byte_queue_depth(const struct shoal_byte_queue *queue)
{
	return (size_t)(queue->tail - queue->head);
}

#endif
