/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "channel/ring_transport.h"
#include "queue/ring.h"

struct links {
	struct shoal_link *side[2];
	struct shoal_ring_pair raw; /* side 0 once more: what a bad peer would write */
};

static void links_create(struct links *links, uint32_t capacity)
{
	int descriptor = shoal_ring_pair_create(capacity);

	assert_true(descriptor >= 0);
	for (unsigned side = 0; side < 2; side++) {
		links->side[side] = shoal_ring_transport_create(descriptor, side);
		assert_non_null(links->side[side]);
		assert_int_equal(links->side[side]->state, SHOAL_LINK_UP);
		assert_true(links->side[side]->reliable);
	}
	assert_int_equal(shoal_ring_pair_open(&links->raw, descriptor, 0), 0);
	close(descriptor); /* the mappings keep it */
}

static void links_destroy(struct links *links)
{
	for (unsigned side = 0; side < 2; side++)
		links->side[side]->operations->destroy(links->side[side]);
	shoal_ring_pair_close(&links->raw);
}

static bool send_frame(struct shoal_link *link, uint32_t length, uint8_t fill)
{
	void *frame = link->operations->reserve(link, length);

	if (!frame)
		return false;
	memset(frame, fill, length);
	link->operations->commit(link, length);
	return true;
}

static void expect_frame(struct shoal_link *link, uint32_t expected, uint8_t fill)
{
	uint32_t length;
	const uint8_t *frame = link->operations->peek(link, &length);

	assert_non_null(frame);
	assert_int_equal(length, expected);
	for (uint32_t i = 0; i < length; i++)
		assert_int_equal(frame[i], fill);
	link->operations->consume(link);
}

static void test_frames_both_ways(void **state)
{
	struct links links;
	uint32_t length;

	(void)state;
	links_create(&links, SHOAL_RING_TRANSPORT_CAPACITY);
	for (unsigned round = 0; round < 500; round++) {
		for (unsigned side = 0; side < 2; side++) {
			struct shoal_link *here = links.side[side], *there = links.side[1 - side];
			uint32_t bytes = 1 + (round * 4177 + side) % SHOAL_CHANNEL_FRAME_BYTES_MAX;

			assert_true(send_frame(here, bytes, (uint8_t)round));
			assert_true(send_frame(here, SHOAL_CHANNEL_FRAME_BYTES_MAX, (uint8_t)(round + 1)));
			assert_null(there->operations->peek(there, &length)); /* only poll shows it */
			here->operations->poll(here, round);
			assert_true(here->operations->depth(here) >= bytes + SHOAL_CHANNEL_FRAME_BYTES_MAX);
			expect_frame(there, bytes, (uint8_t)round);
			expect_frame(there, SHOAL_CHANNEL_FRAME_BYTES_MAX, (uint8_t)(round + 1));
			assert_null(there->operations->peek(there, &length));
			there->operations->poll(there, round);
			assert_int_equal(here->operations->depth(here), 0);
		}
	}
	assert_null(links.side[0]->operations->reserve(links.side[0], SHOAL_CHANNEL_FRAME_BYTES_MAX + 1));
	links_destroy(&links);
}

static void test_full_is_back_pressure(void **state)
{
	struct links links;
	unsigned sent = 0;

	(void)state;
	links_create(&links, 1u << 17);
	while (send_frame(links.side[1], 4096, (uint8_t)sent))
		sent++;
	assert_in_range(sent, 28, 32);
	links.side[1]->operations->poll(links.side[1], 1);
	assert_int_equal(links.side[1]->state, SHOAL_LINK_UP);
	for (unsigned i = 0; i < sent; i++)
		expect_frame(links.side[0], 4096, (uint8_t)i);
	assert_false(send_frame(links.side[1], 4096, 0)); /* consumed, but not polled yet */
	links.side[0]->operations->poll(links.side[0], 1);
	assert_true(send_frame(links.side[1], 4096, 0));
	links_destroy(&links);
}

static void test_ended(void **state)
{
	struct links links;

	(void)state;
	links_create(&links, SHOAL_RING_TRANSPORT_CAPACITY);
	assert_true(send_frame(links.side[0], 100, 5));
	links.side[0]->operations->poll(links.side[0], 1);
	shoal_ring_transport_ended(links.side[1], "process ended");
	assert_int_equal(links.side[1]->state, SHOAL_LINK_ENDED);
	assert_string_equal(links.side[1]->reason, "process ended");
	assert_false(send_frame(links.side[1], 100, 5));
	expect_frame(links.side[1], 100, 5); /* came before the end */
	shoal_ring_transport_ended(links.side[1], "again");
	assert_string_equal(links.side[1]->reason, "process ended");
	links_destroy(&links);
}

static void test_bad_peer(void **state)
{
	(void)state;
	for (int lie = 0; lie < 2; lie++) {
		struct links links;
		struct shoal_link *link;
		uint32_t length;

		links_create(&links, SHOAL_RING_TRANSPORT_CAPACITY);
		link = links.side[1];
		assert_non_null(shoal_ring_reserve(&links.raw.out, SHOAL_CHANNEL_FRAME_BYTES_MAX + 1));
		shoal_ring_push(&links.raw.out, SHOAL_CHANNEL_FRAME_BYTES_MAX + 1); /* a record, but no frame */
		shoal_ring_flush(&links.raw.out);
		if (lie)
			memset(links.raw.out.bytes, 0xff, 8);
		assert_null(link->operations->peek(link, &length));
		assert_null(link->operations->peek(link, &length));
		link->operations->poll(link, 1);
		assert_int_equal(link->state, SHOAL_LINK_BROKEN);
		assert_non_null(strstr(link->reason, "ring"));
		assert_false(send_frame(link, 10, 0));
		shoal_ring_transport_ended(link, "gone");
		assert_int_equal(link->state, SHOAL_LINK_ENDED);
		links_destroy(&links);
	}
}

static void test_create_refuses(void **state)
{
	(void)state;
	int small = shoal_ring_pair_create(1u << 16);

	assert_true(small >= 0);
	errno = 0;
	assert_null(shoal_ring_transport_create(small, 0));
	assert_int_equal(errno, EMSGSIZE);
	close(small);
	assert_null(shoal_ring_transport_create(-1, 0));
	assert_int_equal(errno, EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_both_ways),
		cmocka_unit_test(test_full_is_back_pressure),
		cmocka_unit_test(test_ended),
		cmocka_unit_test(test_bad_peer),
		cmocka_unit_test(test_create_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
