/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets of all ports in virtual time, without EAL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include <shoal/dataplane.h>

/* A test names what differs from the usual initializers. */
#pragma GCC diagnostic ignored "-Woverride-init"

static const uint8_t frame[70];
static const struct shoal_preview_config config = { .seed = 1 };

#define STREAM(...)                                                                                                    \
	(&(struct shoal_stream_config){ .enabled = 1,                                                                  \
		.self_start = 1,                                                                                       \
		.next = -1,                                                                                            \
		.packet = frame,                                                                                       \
		.packet_bytes = sizeof(frame),                                                                         \
		__VA_ARGS__ })

static void ports_are_merged_by_time(void **state)
{
	struct shoal_preview *preview = shoal_preview_create(&config);
	static struct shoal_preview_packet packet;
	static const uint8_t ports[] = { 0, 1, 0, 0, 1, 0, 0 };
	double pps, bytes;

	assert_int_equal(shoal_preview_add_stream(preview, 0, STREAM(.rate = 300)), 0);
	assert_int_equal(shoal_preview_add_stream(preview, 1, STREAM(.rate = 101)), 0);
	assert_int_equal(shoal_preview_next(preview, &packet), -EINVAL);
	assert_int_equal(shoal_preview_start(preview, 1, 0.02), 0);
	for (unsigned i = 0; i < sizeof(ports); i++) {
		assert_int_equal(shoal_preview_next(preview, &packet), 1);
		assert_int_equal(packet.nf_port, ports[i]);
		assert_int_equal(packet.length, sizeof(frame));
	}
	assert_true(packet.time_s < 0.0134 && packet.time_s > 0.0133);
	assert_int_equal(shoal_preview_rate(preview, 1, 0, &pps, &bytes), 0);
	assert_true(pps == 101 && bytes == sizeof(frame));
	assert_int_equal(shoal_preview_rate(preview, 1, 1, &pps, &bytes), -ENOENT);
	while (shoal_preview_next(preview, &packet) == 1)
		assert_true(packet.time_s < 0.02);
	assert_int_equal(shoal_preview_next(preview, &packet), 0);
	shoal_preview_destroy(preview);
}

/* Nothing but dummies is left: that is an end. */
static void silence_is_an_end(void **state)
{
	struct shoal_preview *preview = shoal_preview_create(&config);
	static struct shoal_preview_packet packet;

	assert_int_equal(shoal_preview_add_stream(preview, 0, STREAM(.rate = 300, .flags = SHOAL_STREAM_DUMMY)), 0);
	assert_int_equal(shoal_preview_start(preview, 1, 0), 0);
	assert_int_equal(shoal_preview_next(preview, &packet), 0);
	shoal_preview_destroy(preview);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_are_merged_by_time),
		cmocka_unit_test(silence_is_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
