/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes on their way to or from the server, in memory allocated once; and commands as the protocol wants them. */
#ifndef SHOAL_PLANE_REMOTE_BUFFER_H
#define SHOAL_PLANE_REMOTE_BUFFER_H

#include <shoal/types.h>
#include <string.h>

struct shoal_remote_buffer {
	uint8_t *bytes; /* owns */
	uint32_t room;
	uint32_t head, tail; /* what is in it; at the bottom again when it was empty */
};

static inline uint32_t shoal_remote_buffer_left(const struct shoal_remote_buffer *buffer)
{
	return buffer->room - buffer->tail;
}

static inline void shoal_remote_buffer_consumed(struct shoal_remote_buffer *buffer, uint32_t bytes)
{
	buffer->head += bytes;
	if (buffer->head == buffer->tail)
		buffer->head = buffer->tail = 0;
}

/* --- Writing. The caller has seen to it that there is room. --- */

static inline void shoal_remote_write(struct shoal_remote_buffer *buffer, const void *bytes, uint32_t length)
{
	memcpy(buffer->bytes + buffer->tail, bytes, length);
	buffer->tail += length;
}

/* "$1234\r\n" */
static inline void shoal_remote_write_head(struct shoal_remote_buffer *buffer, char kind, uint32_t number)
{
	uint8_t digits[16];
	unsigned at = sizeof(digits);

	digits[--at] = '\n';
	digits[--at] = '\r';
	do
		digits[--at] = (uint8_t)('0' + number % 10);
	while (number /= 10);
	digits[--at] = (uint8_t)kind;
	shoal_remote_write(buffer, digits + at, sizeof(digits) - at);
}

static inline void shoal_remote_write_command(struct shoal_remote_buffer *buffer, unsigned words)
{
	shoal_remote_write_head(buffer, '*', words);
}

static inline void shoal_remote_write_end(struct shoal_remote_buffer *buffer)
{
	shoal_remote_write(buffer, "\r\n", 2);
}

/* One word of a command, in one piece; or its head, to be followed by pieces and the end. */
static inline void shoal_remote_write_word(struct shoal_remote_buffer *buffer, const void *bytes, uint32_t length)
{
	shoal_remote_write_head(buffer, '$', length);
	shoal_remote_write(buffer, bytes, length);
	shoal_remote_write_end(buffer);
}

static inline void shoal_remote_write_text(struct shoal_remote_buffer *buffer, const char *text)
{
	shoal_remote_write_word(buffer, text, (uint32_t)strlen(text));
}

static inline void shoal_remote_write_number(struct shoal_remote_buffer *buffer, uint32_t number)
{
	char digits[12];
	unsigned at = sizeof(digits);

	do
		digits[--at] = (char)('0' + number % 10);
	while (number /= 10);
	shoal_remote_write_word(buffer, digits + at, (uint32_t)(sizeof(digits) - at));
}

#endif
