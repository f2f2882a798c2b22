/* SPDX-License-Identifier: BSD-3-Clause */
/* Any stream of traffic: refused with a reason, or its frames lie within their buffer, and a second run gives the same.
 * Input, little-endian: u16 bytes of the packet, u8 mode, u8 bursts, u8 cache, u8 flow statistics, then instructions of
 * INSTRUCTION_BYTES each, then the packet's first bytes. make_stream_corpus.py writes the same. */
#include <string.h>

#include "io/packet_groups.h"
#include "target.h"

#define INSTRUCTIONS_MAX 12
#define FRAMES 40
#define LIST_MAX 4
#define HEAD_BYTES 6

/* u8 kind, u8 name, u8 next name, u8 operation, u8 size, u8 list length, u64 init, min, max, step, u32 offset, u32 mask, i8 shift,
 * u8 cast size, u8 big endian, u8 l4 type */
#define INSTRUCTION_BYTES 50

static const uint8_t *take(const uint8_t **bytes, size_t n)
{
	const uint8_t *taken = *bytes;

	*bytes += n;
	return taken;
}

static void put_name(char *target, uint8_t letter, bool suffix)
{
	static const char *const suffixes[] = { "", ".ip", ".port", "" };

	if (letter)
		snprintf(target, 64, "%c%s", 'a' + letter % 8, suffix ? suffixes[letter >> 6] : "");
}

static void decode(struct shoal_instruction *instruction, uint64_t values[LIST_MAX], const uint8_t *bytes)
{
	uint64_t numbers[4];
	uint32_t words[2];
	bool variable;

	*instruction = (struct shoal_instruction){ .kind = bytes[0] % 10, .operation = bytes[3] % 4, .size = bytes[4] };
	variable = instruction->kind <= SHOAL_INSTRUCTION_TUPLE_FLOW_VAR;
	put_name(instruction->name, bytes[1], !variable);
	put_name(instruction->next_name, bytes[2], false);
	memcpy(numbers, bytes + 6, sizeof(numbers));
	memcpy(words, bytes + 38, sizeof(words));
	memcpy(values, numbers, sizeof(numbers));
	if (bytes[5])
		instruction->values = values;
	instruction->values_count = bytes[5] % (LIST_MAX + 1);
	instruction->init_value = numbers[0];
	instruction->min_value = instruction->limit = numbers[1];
	instruction->max_value = numbers[2];
	instruction->step = instruction->seed = (uint32_t)numbers[3];
	instruction->add_value = (int64_t)numbers[0];
	instruction->ip_min = (uint32_t)numbers[2];
	instruction->ip_max = (uint32_t)(numbers[2] >> 32);
	instruction->port_min = (uint16_t)numbers[3];
	instruction->port_max = (uint16_t)(numbers[3] >> 16);
	instruction->tuple_flags = bytes[3];
	instruction->packet_offset = words[0];
	instruction->mask = words[1];
	instruction->l2_bytes = words[0] & 0xff;
	instruction->l3_bytes = words[0] >> 8 & 0xff;
	instruction->shift = (int8_t)bytes[46];
	instruction->cast_size = bytes[47];
	instruction->big_endian = bytes[48] & 1;
	instruction->l4_type = bytes[49];
}

static void run(struct shoal_stream *stream)
{
	uint8_t *frame = malloc(stream->frame_bytes), *again = malloc((size_t)FRAMES * stream->frame_bytes);
	uint32_t lengths[FRAMES];

	FUZZ_REQUIRE(frame && again);
	for (unsigned i = 0; i < FRAMES; i++) {
		lengths[i] = shoal_stream_build(stream, again + (size_t)i * stream->frame_bytes);
		FUZZ_REQUIRE(lengths[i] <= stream->frame_bytes && lengths[i] >= SHOAL_FRAME_BYTES_MIN);
	}
	shoal_stream_reset(stream, 2);
	for (unsigned i = 0; i < FRAMES; i++) {
		FUZZ_REQUIRE(shoal_stream_build(stream, frame) == lengths[i]);
		FUZZ_REQUIRE(!memcmp(frame, again + (size_t)i * stream->frame_bytes, lengths[i]));
	}
	free(frame);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct shoal_instruction instructions[INSTRUCTIONS_MAX];
	uint64_t values[INSTRUCTIONS_MAX][LIST_MAX];
	uint8_t packet[SHOAL_FRAME_BYTES_MAX + 100] = { 0 };
	struct shoal_packet_groups *groups;
	struct shoal_stream_config config;
	struct shoal_stream stream;
	const uint8_t *end = bytes + length, *head;

	if (length < HEAD_BYTES)
		return 0;
	head = take(&bytes, HEAD_BYTES);
	config = (struct shoal_stream_config){ .name = "fuzz",
		.enabled = 1,
		.self_start = 1,
		.next = -1,
		.packet = packet,
		.packet_bytes = (uint32_t)(head[0] | head[1] << 8) % sizeof(packet),
		.mode = head[2] % 4,
		.burst_packets = head[3],
		.bursts = head[3],
		.cache = head[4],
		.group_kind = head[5] % 4,
		.rate = 1,
		.instructions = instructions };
	while (config.instructions_count < INSTRUCTIONS_MAX && end - bytes >= INSTRUCTION_BYTES) {
		decode(&instructions[config.instructions_count], values[config.instructions_count],
			take(&bytes, INSTRUCTION_BYTES));
		config.instructions_count++;
	}
	memcpy(packet, bytes, (size_t)(end - bytes) < sizeof(packet) ? (size_t)(end - bytes) : sizeof(packet));
	if (shoal_stream_init(&stream, &config, 0, 0, 1)) {
		FUZZ_REQUIRE(shoal_last_error()[0]);
		return 0;
	}
	groups = shoal_packet_groups_create();
	FUZZ_REQUIRE(groups);
	if (!shoal_packet_groups_join(groups, &stream))
		run(&stream);
	shoal_packet_groups_destroy(groups);
	shoal_stream_fini(&stream);
	return 0;
}
