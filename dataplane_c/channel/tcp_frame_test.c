/* SPDX-License-Identifier: BSD-3-Clause */
/* Framing and buffers without sockets: every way in which a stream can be cut, and what is no stream of frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <endian.h>
#include <string.h>

#include "channel/tcp_frame.h"
#include "channel/tcp_hello.h"

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static uint32_t length_of(uint64_t number)
{
	return 1 + (uint32_t)(number * 2654435761u % (number % 8 ? 300 : SHOAL_CHANNEL_FRAME_BYTES_MAX));
}

static bool frame_put(struct shoal_tcp_out *out, uint64_t number)
{
	uint32_t length = length_of(number);
	uint8_t *frame = shoal_tcp_out_reserve(out, length + (number % 3 ? 0 : 5) <= SHOAL_CHANNEL_FRAME_BYTES_MAX
							    ? length + (number % 3 ? 0 : 5)
							    : length);

	if (!frame)
		return false;
	assert_int_equal((uintptr_t)frame % 8, 0);
	memset(frame, (int)(number & 0xff), length);
	shoal_tcp_out_commit(out, length);
	return true;
}

static bool frame_take(struct shoal_tcp_in *in, uint64_t number)
{
	uint32_t length;
	const uint8_t *frame = shoal_tcp_in_peek(in, &length);

	if (!frame)
		return false;
	assert_int_equal((uintptr_t)frame % 8, 0);
	assert_int_equal(length, length_of(number));
	for (uint32_t i = 0; i < length; i++)
		if (frame[i] != (number & 0xff))
			fail_msg("byte %u of frame %u", i, (unsigned)number);
	shoal_tcp_in_consume(in);
	return true;
}

/* Moves up to `most` bytes from one buffer to the other, as two sockets would. */
static const char *carry(struct shoal_tcp_out *out, struct shoal_tcp_in *in, uint32_t most)
{
	uint32_t room, bytes = shoal_tcp_out_waiting(out);
	uint8_t *place = shoal_tcp_in_room(in, &room);

	bytes = bytes < most ? bytes : most;
	bytes = bytes < room ? bytes : room;
	memcpy(place, out->bytes + out->start, bytes);
	shoal_tcp_out_sent(out, bytes);
	return shoal_tcp_in_received(in, bytes);
}

static void test_random_cuts(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15), put = 0, taken = 0;
		struct shoal_tcp_out out;
		struct shoal_tcp_in in;

		assert_int_equal(shoal_tcp_out_init(&out), 0);
		assert_int_equal(shoal_tcp_in_init(&in), 0);
		for (int step = 0; step < 3000; step++) {
			switch (random_next(&random) % 8) {
			case 0:
			case 1:
			case 2:
				put += frame_put(&out, put);
				break;
			case 3:
				shoal_tcp_out_heartbeat(&out);
				break;
			case 4:
			case 5:
				taken += frame_take(&in, taken);
				break;
			default:
				assert_null(
					carry(&out, &in, (uint32_t)(random_next(&random) % (step % 2 ? 40 : 40000))));
			}
		}
		for (int step = 0; step < 100000 && taken < put; step++) {
			assert_null(carry(&out, &in, 1 + (uint32_t)(random_next(&random) % 5000)));
			taken += frame_take(&in, taken);
		}
		assert_int_equal(taken, put);
		assert_true(put > 500);
		shoal_tcp_out_fini(&out);
		shoal_tcp_in_fini(&in);
	}
}

static void test_full_buffers(void **state)
{
	struct shoal_tcp_out out;
	struct shoal_tcp_in in;
	uint64_t put = 0, taken = 0;
	uint32_t room;

	(void)state;
	assert_int_equal(shoal_tcp_out_init(&out), 0);
	assert_int_equal(shoal_tcp_in_init(&in), 0);
	assert_null(shoal_tcp_out_reserve(&out, 0));
	assert_null(shoal_tcp_out_reserve(&out, SHOAL_CHANNEL_FRAME_BYTES_MAX + 1));
	for (int round = 0; round < 50; round++) {
		while (frame_put(&out, put))
			put++;
		assert_in_range(shoal_tcp_out_waiting(&out), SHOAL_TCP_BUFFER_BYTES / 2, SHOAL_TCP_BUFFER_BYTES);
		assert_null(carry(&out, &in, SHOAL_TCP_BUFFER_BYTES));
		while (frame_put(&out, put))
			put++;
		assert_null(carry(&out, &in, SHOAL_TCP_BUFFER_BYTES));
		shoal_tcp_in_room(&in, &room);
		assert_true(room < SHOAL_TCP_BUFFER_BYTES / 2);
		while (frame_take(&in, taken))
			taken++;
	}
	assert_true(taken > 100);
	shoal_tcp_out_fini(&out);
	shoal_tcp_in_fini(&in);
}

static const char *receive_words(struct shoal_tcp_in *in, const uint32_t *words, uint32_t count)
{
	uint32_t room;
	uint8_t *place = shoal_tcp_in_room(in, &room);

	assert_true(room >= 4 * count);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t word = htole32(words[i]);

		memcpy(place + 4 * i, &word, 4);
	}
	return shoal_tcp_in_received(in, 4 * count);
}

static void test_refused_streams(void **state)
{
	static const struct {
		uint32_t words[6];
		uint32_t count;
		const char *part; /* of the reason; NULL: nothing wrong yet */
		bool frame; /* a frame came before it */
	} streams[] = {
		{ { 8, 0, 1, 1 }, 4, NULL, true },
		{ { 8, 0, 1 }, 3, NULL, false },
		{ { 8, 0 }, 2, NULL, false },
		{ { SHOAL_CHANNEL_FRAME_BYTES_MAX, 0 }, 2, NULL, false },
		{ { SHOAL_CHANNEL_FRAME_BYTES_MAX + 1, 0 }, 2, "length", false },
		{ { UINT32_MAX, 0 }, 2, "length", false },
		{ { UINT32_MAX - 7, 0 }, 2, "length", false },
		{ { 8, 1 }, 2, "number", false },
		{ { 8, 0, 1, 1, 8, 0 }, 6, "number", true } /* twice */,
		{ { 8, 0, 1, 1, 0x80000000u, 1 }, 6, "length", true },
		{ { 0, 0, 0, 1, 0, 2 }, 6, NULL, false } /* heartbeats */,
		{ { 0, 0, 0, 2 }, 4, "number", false },
	};
	(void)state;
	for (unsigned i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
		struct shoal_tcp_in in;
		uint32_t length;

		assert_int_equal(shoal_tcp_in_init(&in), 0);
		const char *reason = receive_words(&in, streams[i].words, streams[i].count);

		assert_int_equal(reason != NULL, streams[i].part != NULL);
		if (reason)
			assert_non_null(strstr(reason, streams[i].part));
		assert_int_equal(shoal_tcp_in_peek(&in, &length) != NULL, streams[i].frame);

		/* The next connection starts clean, and what was whole is still there, once. */
		shoal_tcp_in_reset(&in);
		assert_null(receive_words(&in, (uint32_t[]){ 4, 0, 7, 0 }, 4));
		if (streams[i].frame) {
			assert_non_null(shoal_tcp_in_peek(&in, &length));
			assert_int_equal(length, 8);
			shoal_tcp_in_consume(&in);
		}
		assert_non_null(shoal_tcp_in_peek(&in, &length));
		assert_int_equal(length, 4);
		shoal_tcp_in_consume(&in);
		shoal_tcp_in_consume(&in); /* nothing there: nothing happens */
		assert_null(shoal_tcp_in_peek(&in, &length));
		shoal_tcp_in_fini(&in);
	}
}

static void test_hello(void **state)
{
	const struct shoal_tcp_identity self = { .cluster = 0x1122334455667788, .life = 42, .member = 3 };
	const struct shoal_tcp_hello good = { .from = { .cluster = self.cluster, .life = UINT64_MAX, .member = 63 },
		.to_member = 3,
		.to_life = 42,
		.version = SHOAL_TCP_VERSION };
	uint8_t bytes[SHOAL_TCP_HELLO_BYTES];
	struct shoal_tcp_hello read, bad;

	(void)state;
	shoal_tcp_hello_write(&good, bytes);
	assert_true(shoal_tcp_hello_read(&read, bytes));
	assert_int_equal(read.from.cluster, good.from.cluster);
	assert_int_equal(read.from.life, good.from.life);
	assert_int_equal(read.from.member, good.from.member);
	assert_int_equal(shoal_tcp_hello_check(&read, &self), SHOAL_TCP_ACCEPTED);
	for (unsigned i = 0; i < 8; i++) {
		bytes[i] ^= 1;
		assert_false(shoal_tcp_hello_read(&read, bytes));
		bytes[i] ^= 1;
	}
	bad = good, bad.version = 2;
	assert_int_equal(shoal_tcp_hello_check(&bad, &self), SHOAL_TCP_VERSION_REFUSED);
	bad = good, bad.from.cluster++;
	assert_int_equal(shoal_tcp_hello_check(&bad, &self), SHOAL_TCP_CLUSTER_REFUSED);
	bad = good, bad.to_member = 4;
	assert_int_equal(shoal_tcp_hello_check(&bad, &self), SHOAL_TCP_MEMBER_REFUSED);
	bad = good, bad.from.member = SHOAL_MEMBERS_MAX;
	assert_int_equal(shoal_tcp_hello_check(&bad, &self), SHOAL_TCP_MEMBER_REFUSED);
	bad = good, bad.to_life = 41;
	assert_int_equal(shoal_tcp_hello_check(&bad, &self), SHOAL_TCP_LIFE_REFUSED);
	for (uint32_t refusal = 0; refusal < SHOAL_TCP_REFUSALS + 2; refusal++)
		assert_true(strlen(shoal_tcp_refusal_text(refusal, true)) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_cuts),
		cmocka_unit_test(test_full_buffers),
		cmocka_unit_test(test_refused_streams),
		cmocka_unit_test(test_hello),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
