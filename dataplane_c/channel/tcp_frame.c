/* SPDX-License-Identifier: BSD-3-Clause */
/* Both buffers are flat: what is left moves to the front only when at least half of the buffer lies unused before it, so
 * that a byte moves at most once on average. A frame is far shorter than half of the buffer, so this never blocks. */
#include "channel/tcp_frame.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(
	SHOAL_TCP_BUFFER_BYTES / 2 > 2 * (SHOAL_CHANNEL_FRAME_BYTES_MAX + SHOAL_TCP_FRAME_HEADER_BYTES), "see above");

static uint32_t frame_bytes(uint32_t length)
{
	return SHOAL_TCP_FRAME_HEADER_BYTES + ((length + 7u) & ~7u);
}

static uint8_t *buffer_create(void)
{
	uint8_t *bytes = malloc(SHOAL_TCP_BUFFER_BYTES);

	if (bytes)
		memset(bytes, 0, SHOAL_TCP_BUFFER_BYTES); /* touched now, not in a poll */
	return bytes;
}

int shoal_tcp_out_init(struct shoal_tcp_out *out)
{
	memset(out, 0, sizeof(*out));
	out->bytes = buffer_create();
	return out->bytes ? 0 : -ENOMEM;
}

void shoal_tcp_out_fini(struct shoal_tcp_out *out)
{
	free(out->bytes);
	memset(out, 0, sizeof(*out));
}

static bool out_has_room(struct shoal_tcp_out *out, uint32_t needed)
{
	if (SHOAL_TCP_BUFFER_BYTES - out->end >= needed)
		return true;
	if (out->start < SHOAL_TCP_BUFFER_BYTES / 2)
		return false;
	/* The socket takes any number of bytes: keep frames aligned by moving to the same remainder. */
	uint32_t target = out->start % 8;

	memmove(out->bytes + target, out->bytes + out->start, out->end - out->start);
	out->end -= out->start - target;
	out->start = target;
	return SHOAL_TCP_BUFFER_BYTES - out->end >= needed;
}

static void out_frame(struct shoal_tcp_out *out, uint32_t length)
{
	uint32_t header[2] = { htole32(length), htole32(out->number++) };
	uint8_t *frame = out->bytes + out->end;

	memcpy(frame, header, sizeof(header));
	memset(frame + sizeof(header) + length, 0, frame_bytes(length) - sizeof(header) - length);
	out->end += frame_bytes(length);
}

void *shoal_tcp_out_reserve(struct shoal_tcp_out *out, uint32_t length)
{
	if (length == 0 || length > SHOAL_CHANNEL_FRAME_BYTES_MAX || !out_has_room(out, frame_bytes(length)))
		return NULL;
	out->reserved = length;
	return out->bytes + out->end + SHOAL_TCP_FRAME_HEADER_BYTES;
}

void shoal_tcp_out_commit(struct shoal_tcp_out *out, uint32_t length)
{
	assert(length > 0 && length <= out->reserved);
	out->reserved = 0;
	out_frame(out, length);
}

bool shoal_tcp_out_heartbeat(struct shoal_tcp_out *out)
{
	if (!out_has_room(out, SHOAL_TCP_FRAME_HEADER_BYTES))
		return false;
	out_frame(out, 0);
	return true;
}

void shoal_tcp_out_sent(struct shoal_tcp_out *out, uint32_t bytes)
{
	out->start += bytes;
	if (out->start == out->end)
		out->start = out->end = 0;
}

void shoal_tcp_out_reset(struct shoal_tcp_out *out)
{
	out->start = out->end = out->reserved = out->number = 0;
}

int shoal_tcp_in_init(struct shoal_tcp_in *in)
{
	memset(in, 0, sizeof(*in));
	in->bytes = buffer_create();
	return in->bytes ? 0 : -ENOMEM;
}

void shoal_tcp_in_fini(struct shoal_tcp_in *in)
{
	free(in->bytes);
	memset(in, 0, sizeof(*in));
}

uint8_t *shoal_tcp_in_room(struct shoal_tcp_in *in, uint32_t *bytes)
{
	if (in->start == in->end) {
		in->start = in->checked = in->end = 0;
	} else if (in->start >= SHOAL_TCP_BUFFER_BYTES / 2) {
		memmove(in->bytes, in->bytes + in->start, in->end - in->start);
		in->checked -= in->start;
		in->end -= in->start;
		in->start = 0;
	}
	*bytes = SHOAL_TCP_BUFFER_BYTES - in->end;
	return in->bytes + in->end;
}

static uint32_t header_word(const struct shoal_tcp_in *in, uint32_t offset)
{
	uint32_t word;

	memcpy(&word, in->bytes + offset, sizeof(word));
	return le32toh(word);
}

const char *shoal_tcp_in_received(struct shoal_tcp_in *in, uint32_t bytes)
{
	in->end += bytes;
	while (in->end - in->checked >= SHOAL_TCP_FRAME_HEADER_BYTES) {
		uint32_t length = header_word(in, in->checked);

		/* Refused by its header: no memory is held for what could not be a frame. */
		if (length > SHOAL_CHANNEL_FRAME_BYTES_MAX)
			return "a frame's length is out of bounds";
		if (header_word(in, in->checked + 4) != in->number)
			return "a frame's number is not the next";
		if (in->end - in->checked < frame_bytes(length))
			break;
		in->checked += frame_bytes(length);
		in->number++;
	}
	return NULL;
}

const void *shoal_tcp_in_peek(struct shoal_tcp_in *in, uint32_t *length)
{
	while (in->start < in->checked) {
		*length = header_word(in, in->start);
		if (*length)
			return in->bytes + in->start + SHOAL_TCP_FRAME_HEADER_BYTES;
		in->start += SHOAL_TCP_FRAME_HEADER_BYTES; /* a heartbeat */
	}
	*length = 0;
	return NULL;
}

void shoal_tcp_in_consume(struct shoal_tcp_in *in)
{
	if (in->start < in->checked)
		in->start += frame_bytes(header_word(in, in->start));
}

void shoal_tcp_in_reset(struct shoal_tcp_in *in)
{
	in->end = in->checked;
	in->number = 0;
}
