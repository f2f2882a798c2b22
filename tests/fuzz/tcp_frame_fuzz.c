/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a TCP peer's: first its hello, then frames. However the stream is cut, the same frames come out, whole and
 * within bounds, and the same fault is found at the same place. Input: one byte that seeds the cuts, then the stream. */
#include <endian.h>
#include <string.h>

#include "channel/tcp_frame.h"
#include "channel/tcp_hello.h"
#include "target.h"

/* What a stream holds, said once more and without buffers. */
struct expected {
	uint32_t frames; /* that are no heartbeats */
	uint64_t bytes;
	bool fault;
};

static struct expected read_stream(const uint8_t *bytes, size_t length)
{
	struct expected expected = { 0 };
	size_t offset = 0;

	for (uint32_t number = 0; length - offset >= 8; number++) {
		uint32_t words[2];

		memcpy(words, bytes + offset, sizeof(words));
		uint64_t frame = le32toh(words[0]);

		if (frame > SHOAL_CHANNEL_FRAME_BYTES_MAX || le32toh(words[1]) != number) {
			expected.fault = true;
			break;
		}
		size_t padded = 8 + (frame + 7) / 8 * 8;

		if (length - offset < padded)
			break;
		offset += padded;
		expected.frames += frame > 0;
		expected.bytes += frame;
	}
	return expected;
}

static void take_frames(struct shoal_tcp_in *in, struct expected *taken)
{
	const uint8_t *frame;
	uint32_t length;

	while ((frame = shoal_tcp_in_peek(in, &length))) {
		FUZZ_REQUIRE(length > 0 && length <= SHOAL_CHANNEL_FRAME_BYTES_MAX);
		FUZZ_REQUIRE(frame + length <= in->bytes + in->checked);
		taken->frames++;
		taken->bytes += length;
		shoal_tcp_in_consume(in);
	}
}

static void check_cut(const uint8_t *bytes, size_t length, uint32_t cut, struct expected expected)
{
	struct shoal_tcp_in in;
	struct expected taken = { 0 };

	FUZZ_REQUIRE(shoal_tcp_in_init(&in) == 0);
	for (size_t offset = 0; offset < length && !taken.fault;) {
		uint32_t room;
		uint8_t *place = shoal_tcp_in_room(&in, &room);
		size_t part = length - offset < cut ? length - offset : cut;

		FUZZ_REQUIRE(room > 0); /* frames are taken at once, so there always is */
		part = part < room ? part : room;
		memcpy(place, bytes + offset, part);
		offset += part;
		taken.fault = shoal_tcp_in_received(&in, (uint32_t)part) != NULL;
		take_frames(&in, &taken);
	}
	FUZZ_REQUIRE(taken.fault == expected.fault && taken.frames == expected.frames && taken.bytes == expected.bytes);
	shoal_tcp_in_reset(&in);
	FUZZ_REQUIRE(in.start == in.end);
	shoal_tcp_in_fini(&in);
}

static void check_hello(const uint8_t *bytes)
{
	const struct shoal_tcp_identity self = { .cluster = 1, .life = 2, .member = 3 };
	struct shoal_tcp_hello hello;
	uint8_t again[SHOAL_TCP_HELLO_BYTES];

	if (!shoal_tcp_hello_read(&hello, bytes))
		return;
	if (shoal_tcp_hello_check(&hello, &self) == SHOAL_TCP_ACCEPTED)
		FUZZ_REQUIRE(hello.from.member < SHOAL_MEMBERS_MAX && hello.from.cluster == 1 && hello.to_life == 2);
	FUZZ_REQUIRE(shoal_tcp_refusal_text(hello.refusal, true) != NULL);
	shoal_tcp_hello_write(&hello, again);
	FUZZ_REQUIRE(memcmp(bytes, again, SHOAL_TCP_HELLO_BYTES - 4) == 0); /* the last word is not read */
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	if (length < 1)
		return 0;

	uint32_t cut = 1u + bytes[0] * 16u;
	const uint8_t *stream = bytes + 1;
	size_t stream_bytes = length - 1;

	if (stream_bytes >= SHOAL_TCP_HELLO_BYTES)
		check_hello(stream);
	struct expected expected = read_stream(stream, stream_bytes);

	check_cut(stream, stream_bytes, cut, expected);
	check_cut(stream, stream_bytes, SHOAL_TCP_BUFFER_BYTES, expected);
	return 0;
}
