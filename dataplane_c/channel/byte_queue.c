/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "channel/byte_queue.h"

/* A record is its length in a word of eight bytes, then itself, padded to eight; one that would wrap is preceded by a
 * skip to the start. */
#define SKIP UINT64_MAX

static size_t record_bytes(uint32_t length)
{
	return 8 + ((size_t)length + 7) / 8 * 8;
}

int shoal_byte_queue_init(struct shoal_byte_queue *queue, size_t capacity)
{
	void *memory = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	*queue = (struct shoal_byte_queue){ .bytes = memory, .capacity = capacity };
	return 0;
}

void shoal_byte_queue_fini(struct shoal_byte_queue *queue)
{
	if (queue->bytes)
		munmap(queue->bytes, queue->capacity);
	queue->bytes = NULL;
}

void *shoal_byte_queue_push(struct shoal_byte_queue *queue, uint32_t length)
{
	size_t bytes = record_bytes(length), offset = queue->tail % queue->capacity;
	size_t skip = offset + bytes > queue->capacity ? queue->capacity - offset : 0;
	uint64_t word = length;

	/* An empty queue starts at the beginning again: fewer pages are ever touched. */
	if (queue->head == queue->tail) {
		queue->head = queue->tail = 0;
		offset = skip = 0;
	}
	if (shoal_byte_queue_depth(queue) + skip + bytes > queue->capacity)
		return NULL;
	if (skip) {
		memcpy(queue->bytes + offset, &(uint64_t){ SKIP }, 8);
		queue->tail += skip;
		offset = 0;
	}
	memcpy(queue->bytes + offset, &word, 8);
	queue->tail += bytes;
	return queue->bytes + offset + 8;
}

const void *shoal_byte_queue_at(const struct shoal_byte_queue *queue, uint64_t offset, uint32_t *length, uint64_t *next)
{
	uint64_t position = queue->head + offset, word;

	if (position == queue->tail)
		return NULL;
	memcpy(&word, queue->bytes + position % queue->capacity, 8);
	if (word == SKIP) {
		position += queue->capacity - position % queue->capacity;
		memcpy(&word, queue->bytes, 8);
	}
	*length = (uint32_t)word;
	*next = position + record_bytes(*length) - queue->head;
	return queue->bytes + position % queue->capacity + 8;
}

void shoal_byte_queue_pop(struct shoal_byte_queue *queue)
{
	uint32_t length;
	uint64_t next;

	if (shoal_byte_queue_at(queue, 0, &length, &next))
		queue->head += next;
}

void shoal_byte_queue_clear(struct shoal_byte_queue *queue)
{
	queue->head = queue->tail = 0;
}
