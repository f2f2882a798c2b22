/* SPDX-License-Identifier: BSD-3-Clause */
/* What the generator's sink reads of any frame: a segment lies within the frame; a stamp that is written there is read
 * again, leaves both checksums right, and is not proven any more when a bit of the payload changes. */
#include <string.h>

#include "io/parse.h"
#include "io/stamp.h"
#include "target.h"

#define SEED 99

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	const struct shoal_stamp written = {
		.flow = 0x12345678, .sequence = 9, .time_ns = UINT64_C(0x123456780), .stream = 0xabcd
	};
	uint8_t *frame = malloc(length ? length : 1);
	struct shoal_packet packet = { .frame = frame, .length = (uint16_t)length };
	struct shoal_segment segment;
	struct shoal_stamp stamp;

	FUZZ_REQUIRE(frame);
	memcpy(frame, bytes, length);
	if (length > 16384 || shoal_parse(&packet) != SHOAL_PARSE_OK || !shoal_segment_find(&packet, &segment)) {
		free(frame);
		return 0;
	}
	FUZZ_REQUIRE(segment.header < segment.payload);
	FUZZ_REQUIRE(segment.payload + SHOAL_STAMP_BYTES <= segment.end && segment.end <= length);
	shoal_stamp_read(frame, &segment, &stamp, SEED);
	shoal_stamp_write(frame, &segment, &written, SEED);
	shoal_segment_checksums_write(&packet, &segment);
	FUZZ_REQUIRE(shoal_segment_checksums_good(&packet, &segment));
	FUZZ_REQUIRE(shoal_stamp_read(frame, &segment, &stamp, SEED));
	FUZZ_REQUIRE(
		stamp.flow == written.flow && stamp.sequence == written.sequence && stamp.time_ns == written.time_ns);
	FUZZ_REQUIRE(stamp.stream == written.stream);
	FUZZ_REQUIRE(!shoal_stamp_read(frame, &segment, &stamp, SEED + 1));
	frame[segment.payload] ^= 1;
	FUZZ_REQUIRE(!shoal_stamp_read(frame, &segment, &stamp, SEED));
	free(frame);
	return 0;
}
