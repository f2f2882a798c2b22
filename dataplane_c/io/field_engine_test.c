/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames equal byte for byte to those of a real server, and the refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "io/schedule.h"

/* A test names what differs from the usual initializers. */
#pragma GCC diagnostic ignored "-Woverride-init"

struct field_frame {
	uint32_t length;
	const uint8_t *bytes;
};

struct field_case {
	const char *name;
	struct shoal_stream_config stream;
	uint32_t frames_count;
	struct field_frame frames[32];
};

#include "field_engine_cases.h"

#define CASES (sizeof(field_cases) / sizeof(field_cases[0]))

static void frame_check(const struct field_case *expected, uint32_t at, const uint8_t *frame, uint32_t length)
{
	const struct field_frame *wanted = &expected->frames[at];

	if (length != wanted->length)
		fail_msg("%s, frame %u: %u bytes, a real server sent %u", expected->name, at, length, wanted->length);
	for (uint32_t i = 0; i < length; i++)
		if (frame[i] != wanted->bytes[i])
			fail_msg("%s, frame %u, byte %u: %02x, a real server sent %02x", expected->name, at, i,
				frame[i], wanted->bytes[i]);
}

/* Through schedule and stream, as the generator and the packet file take them. */
static void frames_equal_a_real_servers(void **state)
{
	for (unsigned i = 0; i < CASES; i++) {
		struct shoal_schedule *schedule = shoal_schedule_create(0, 1);
		uint8_t frame[SHOAL_FRAME_BYTES_MAX];
		struct shoal_stream *stream;
		uint32_t at = 0;
		double due;

		assert_int_equal(shoal_schedule_add(schedule, &field_cases[i].stream), 0);
		shoal_schedule_start(schedule, 1, 0);
		while ((stream = shoal_schedule_due(schedule, 1e9, &due)) != NULL) {
			assert_true(at < field_cases[i].frames_count);
			frame_check(&field_cases[i], at++, frame, shoal_stream_build(stream, frame));
			shoal_schedule_advance(schedule);
		}
		assert_int_equal(at, field_cases[i].frames_count);
		shoal_schedule_destroy(schedule);
	}
}

/* A second run begins like the first: variables, random numbers and cache. */
static void start_again_repeats(void **state)
{
	for (unsigned i = 0; i < CASES; i++) {
		struct shoal_stream stream;
		uint8_t frame[SHOAL_FRAME_BYTES_MAX];

		assert_int_equal(shoal_stream_init(&stream, &field_cases[i].stream, 0, 0, 1), 0);
		for (unsigned packet = 0; packet < 7; packet++)
			shoal_stream_build(&stream, frame);
		shoal_stream_reset(&stream, 1);
		for (uint32_t at = 0; at < field_cases[i].frames_count; at++)
			frame_check(&field_cases[i], at, frame, shoal_stream_build(&stream, frame));
		shoal_stream_fini(&stream);
	}
}

#define VARIABLE(...)                                                                                                  \
	{                                                                                                              \
		.kind = SHOAL_INSTRUCTION_FLOW_VAR, .name = "a", .size = 1, .step = 1, .max_value = 9, __VA_ARGS__     \
	}
#define WRITE(...)                                                                                                     \
	{                                                                                                              \
		.kind = SHOAL_INSTRUCTION_WRITE_FLOW_VAR, .name = "a", .packet_offset = 50, .big_endian = 1,           \
		__VA_ARGS__                                                                                            \
	}

/* Values of a variable over n packets, read from where the program writes it (offset 50, big-endian). */
static void values_check(const struct shoal_instruction *instructions, unsigned count, uint32_t size,
	const uint64_t *expected, unsigned n)
{
	char error[256] = "";
	struct shoal_field_program *program =
		shoal_field_program_create(instructions, count, 100, 1, error, sizeof(error));

	if (!program)
		fail_msg("%s", error);
	for (unsigned packet = 0; packet < n; packet++) {
		uint8_t frame[100] = { 0 };
		uint64_t value = 0;

		shoal_field_program_run(program, frame);
		for (uint32_t i = 0; i < size; i++)
			value = value << 8 | frame[50 + i];
		if (value != expected[packet])
			fail_msg("packet %u: %lu instead of %lu", packet, value, expected[packet]);
	}
	shoal_field_program_destroy(program);
}

static void init_may_lead_beyond_the_stated_maximum(void **state)
{
	const struct shoal_instruction program[] = { VARIABLE(.max_value = 10, .step = 3, .init_value = 2), WRITE() };

	values_check(program, 2, 1, (const uint64_t[]){ 2, 5, 8, 11, 2 }, 5);
}

static void step_of_a_whole_range_stands_still(void **state)
{
	const struct shoal_instruction program[] = { VARIABLE(.max_value = 10, .step = 20, .init_value = 4), WRITE() };

	values_check(program, 2, 1, (const uint64_t[]){ 4, 4, 4 }, 3);
}

static void eight_bytes_and_negative_additions(void **state)
{
	const struct shoal_instruction program[] = {
		VARIABLE(.size = 8, .min_value = 1, .max_value = UINT64_MAX, .init_value = UINT64_MAX),
		WRITE(.add_value = -1),
	};

	values_check(program, 2, 8, (const uint64_t[]){ UINT64_MAX - 1, 0, 1 }, 3);
}

static void lists_count_down_and_chain(void **state)
{
	static const uint64_t list[] = { 3, 1, 4 };
	const struct shoal_instruction program[] = {
		VARIABLE(.name = "b", .next_name = "a", .values = list, .values_count = 3,
			.operation = SHOAL_VARIABLE_DECREMENT),
		VARIABLE(.max_value = 5),
		WRITE(.name = "b"),
		WRITE(.packet_offset = 51),
	};

	values_check(program, 4, 2, (const uint64_t[]){ 0x0400, 0x0100, 0x0300, 0x0401, 0x0101, 0x0301, 0x0402 }, 7);
}

static void unlimited_tuples_go_round_at_1025(void **state)
{
	const struct shoal_instruction program[] = {
		{ .kind = SHOAL_INSTRUCTION_TUPLE_FLOW_VAR,
			.name = "t",
			.ip_min = 1,
			.ip_max = 1,
			.port_min = 65534,
			.port_max = 1,
			.tuple_flags = 1 },
		WRITE(.name = "t.port"),
	};

	values_check(program, 2, 2, (const uint64_t[]){ 65534, 65535, 1025, 1026 }, 4);
}

static void masks_shift_right_and_little_endian(void **state)
{
	const struct shoal_instruction right[] = {
		VARIABLE(.size = 2, .init_value = 0x1234, .max_value = 0x1234, .min_value = 0x1234),
		{ .kind = SHOAL_INSTRUCTION_WRITE_MASK_FLOW_VAR,
			.name = "a",
			.packet_offset = 50,
			.cast_size = 1,
			.mask = 0xff,
			.shift = -4,
			.big_endian = 1 },
	};
	const struct shoal_instruction little[] = {
		VARIABLE(.size = 2, .init_value = 0x1234, .max_value = 0x1234, .min_value = 0x1234),
		{ .kind = SHOAL_INSTRUCTION_WRITE_MASK_FLOW_VAR,
			.name = "a",
			.packet_offset = 50,
			.cast_size = 1,
			.mask = 0xffff },
	};

	values_check(right, 2, 1, (const uint64_t[]){ 0x23 }, 1);
	values_check(little, 2, 2, (const uint64_t[]){ 0x3412 }, 1);
}

static void trim_keeps_a_small_first_length(void **state)
{
	const struct shoal_instruction program[] = {
		VARIABLE(.size = 2, .min_value = 30, .max_value = 4000, .init_value = 30, .step = 10),
		{ .kind = SHOAL_INSTRUCTION_TRIM_PKT_SIZE, .name = "a" },
	};
	static const uint32_t lengths[] = { 30, 40, 50, 60, 70, 80, 90, 100, 69 };
	char error[256];
	struct shoal_field_program *made = shoal_field_program_create(program, 2, 100, 1, error, sizeof(error));
	uint8_t frame[100];

	assert_non_null(made);
	assert_true(shoal_field_program_expected_bytes(made) == 80);
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		assert_int_equal(shoal_field_program_run(made, frame), lengths[i]);
	shoal_field_program_destroy(made);
}

static void refused(const struct shoal_instruction *instructions, unsigned n, const char *because)
{
	char error[256] = "";
	struct shoal_field_program *program = shoal_field_program_create(instructions, n, 100, 1, error, sizeof(error));

	if (program || !strstr(error, because))
		fail_msg("should be refused because of '%s': %s", because, program ? "was not" : error);
}

#define REFUSED(because, ...)                                                                                          \
	do {                                                                                                           \
		const struct shoal_instruction program_[] = { __VA_ARGS__ };                                           \
		refused(program_, sizeof(program_) / sizeof(program_[0]), because);                                    \
	} while (0)

static void bad_variables_are_refused(void **state)
{
	static const uint64_t list[] = { 1, 256 };

	REFUSED("full range of 8 bytes", VARIABLE(.size = 8, .max_value = UINT64_MAX));
	REFUSED("full range of 8 bytes", { .kind = SHOAL_INSTRUCTION_FLOW_VAR_RAND_LIMIT,
						 .name = "a",
						 .size = 8,
						 .limit = 1,
						 .max_value = UINT64_MAX });
	REFUSED("more than 1 bytes hold", VARIABLE(.max_value = 255, .step = 3));
	REFUSED("less than 0", VARIABLE(.max_value = 9, .step = 3, .operation = SHOAL_VARIABLE_DECREMENT));
	REFUSED("step is 0", VARIABLE(.step = 0));
	REFUSED("does not fit into 1 bytes", VARIABLE(.max_value = 256));
	REFUSED("above max_value", VARIABLE(.min_value = 10));
	REFUSED("outside of", VARIABLE(.init_value = 10));
	REFUSED("1, 2, 4 or 8", VARIABLE(.size = 3));
	REFUSED("no name", VARIABLE(.name = ""));
	REFUSED("name is taken", VARIABLE(), VARIABLE());
	REFUSED("neither inc", VARIABLE(.operation = 7));
	REFUSED("entry 1", VARIABLE(.values = list, .values_count = 2));
	REFUSED("0 entries", VARIABLE(.values = list, .values_count = 0));
	REFUSED("step 3 of a list", VARIABLE(.values = list, .values_count = 1, .step = 3));
	REFUSED("limit is 0",
		{ .kind = SHOAL_INSTRUCTION_FLOW_VAR_RAND_LIMIT, .name = "a", .size = 1, .max_value = 1 });
	REFUSED("ip_min", { .kind = SHOAL_INSTRUCTION_TUPLE_FLOW_VAR, .name = "t", .ip_min = 2, .ip_max = 1 });
	REFUSED("ports 2 to 1",
		{ .kind = SHOAL_INSTRUCTION_TUPLE_FLOW_VAR, .name = "t", .port_min = 2, .port_max = 1 });
	REFUSED("more than 64 bytes", VARIABLE(.size = 8, .name = "b"), VARIABLE(.size = 8, .name = "c"),
		VARIABLE(.size = 8, .name = "d"), VARIABLE(.size = 8, .name = "e"), VARIABLE(.size = 8, .name = "f"),
		VARIABLE(.size = 8, .name = "g"), VARIABLE(.size = 8, .name = "h"), VARIABLE(.size = 8, .name = "i"),
		VARIABLE());
	REFUSED("not the variable that follows", VARIABLE(.next_name = "b"), WRITE(), VARIABLE(.name = "b"));
	REFUSED("variables that count", VARIABLE(.next_name = "b"),
		VARIABLE(.name = "b", .operation = SHOAL_VARIABLE_RANDOM));
}

static void bad_writes_are_refused(void **state)
{
	REFUSED("no such variable", WRITE(), VARIABLE());
	REFUSED("beyond the frame", VARIABLE(.size = 4), WRITE(.packet_offset = 97));
	REFUSED("beyond the frame", VARIABLE(), WRITE(.packet_offset = UINT32_MAX));
	REFUSED("beyond the frame", { .kind = SHOAL_INSTRUCTION_FIX_CHECKSUM_IPV4, .packet_offset = UINT32_MAX });
	REFUSED("pkt_cast_size", VARIABLE(),
		{ .kind = SHOAL_INSTRUCTION_WRITE_MASK_FLOW_VAR, .name = "a", .cast_size = 3 });
	REFUSED("shift 32", VARIABLE(),
		{ .kind = SHOAL_INSTRUCTION_WRITE_MASK_FLOW_VAR, .name = "a", .cast_size = 2, .shift = 32 });
	REFUSED("beyond the frame", VARIABLE(.size = 4),
		{ .kind = SHOAL_INSTRUCTION_WRITE_MASK_FLOW_VAR, .name = "a", .cast_size = 1, .packet_offset = 98 });
	REFUSED("flow_var of 2 bytes", VARIABLE(), { .kind = SHOAL_INSTRUCTION_TRIM_PKT_SIZE, .name = "a" });
	REFUSED("beyond the frame", { .kind = SHOAL_INSTRUCTION_FIX_CHECKSUM_IPV4, .packet_offset = 90 });
	REFUSED("l4_type", { .kind = SHOAL_INSTRUCTION_FIX_CHECKSUM_HW, .l2_bytes = 14, .l3_bytes = 20, .l4_type = 1 });
	REFUSED("l3_len is 0",
		{ .kind = SHOAL_INSTRUCTION_FIX_CHECKSUM_HW, .l2_bytes = 14, .l4_type = SHOAL_CHECKSUM_UDP });
	REFUSED("no such instruction", { .kind = 99 });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_equal_a_real_servers),
		cmocka_unit_test(start_again_repeats),
		cmocka_unit_test(init_may_lead_beyond_the_stated_maximum),
		cmocka_unit_test(step_of_a_whole_range_stands_still),
		cmocka_unit_test(eight_bytes_and_negative_additions),
		cmocka_unit_test(lists_count_down_and_chain),
		cmocka_unit_test(unlimited_tuples_go_round_at_1025),
		cmocka_unit_test(masks_shift_right_and_little_endian),
		cmocka_unit_test(trim_keeps_a_small_first_length),
		cmocka_unit_test(bad_variables_are_refused),
		cmocka_unit_test(bad_writes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
