/* SPDX-License-Identifier: BSD-3-Clause */
/* A ring's consumer and producer over a mapping that a hostile peer wrote: every record lies within the mapping, every
 * loop ends, and what is broken stays broken. Input: tail and head (8 bytes each), then the ring's bytes, repeated. */
#include <string.h>

#include "queue/ring.h"
#include "target.h"

#define CAPACITY 4096u

static void check_consumer(void *mapping)
{
	struct shoal_ring ring;
	uint64_t sum = 0;
	uint32_t length, records = 0;
	const uint8_t *record;

	if (shoal_ring_open(&ring, mapping, CAPACITY, SHOAL_RING_CONSUMER))
		return;
	while ((record = shoal_ring_peek(&ring, &length))) {
		FUZZ_REQUIRE(length <= CAPACITY / 4);
		FUZZ_REQUIRE(record >= ring.bytes && record + length <= ring.bytes + CAPACITY);
		for (uint32_t i = 0; i < length; i++)
			sum += record[i];
		shoal_ring_pop(&ring);
		if (records++ % 3 == 0)
			shoal_ring_consumed(&ring);
		/* What was there when it came, and a run: either of less than two laps. */
		FUZZ_REQUIRE(records <= 4 * (CAPACITY / 8));
		if (records == 2 && sum % 2)
			*shoal_ring_word(&ring, ring.other) = shoal_ring_run(&ring, ring.other, (uint32_t)sum);
	}
	FUZZ_REQUIRE(length == (shoal_ring_broken(&ring) ? UINT32_MAX : 0));
	bool broken = shoal_ring_broken(&ring);

	FUZZ_REQUIRE(!shoal_ring_peek(&ring, &length) && (!broken || length == UINT32_MAX));
}

static void check_producer(void *mapping, uint64_t head)
{
	struct shoal_ring_shared *shared = mapping;
	struct shoal_ring ring;

	if (shoal_ring_open(&ring, mapping, CAPACITY, SHOAL_RING_PRODUCER))
		return;
	for (uint32_t step = 0; step < 64; step++) {
		uint32_t length = (uint32_t)(head * (step + 1) * 31) % (CAPACITY / 4 + 2);
		bool broken = shoal_ring_broken(&ring); /* reserve and flush look at head */
		uint8_t *record = shoal_ring_reserve(&ring, length);

		if (record) {
			FUZZ_REQUIRE(record >= ring.bytes && record + length <= ring.bytes + CAPACITY);
			memset(record, 0xee, length);
			shoal_ring_push(&ring, length);
		}
		shoal_ring_flush(&ring);
		if (step % 8 == 7)
			shared->head += head % 4096;
		FUZZ_REQUIRE(shoal_ring_depth(&ring) <= CAPACITY);
		FUZZ_REQUIRE(!record || !broken);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	size_t mapping_bytes = shoal_ring_mapping_bytes(CAPACITY);
	uint64_t tail, head;

	if (length < 24)
		return 0;
	memcpy(&tail, bytes, 8);
	memcpy(&head, bytes + 8, 8);
	for (int producer = 0; producer < 2; producer++) {
		/* Of exactly that size, so that ASan sees every byte beyond it. */
		void *mapping = aligned_alloc(2 * SHOAL_CACHE_LINE, mapping_bytes);
		struct shoal_ring_shared *shared = mapping;

		FUZZ_REQUIRE(mapping);
		memset(mapping, 0, mapping_bytes);
		FUZZ_REQUIRE(shoal_ring_init(mapping, CAPACITY) == 0);
		shared->tail = tail;
		shared->head = head;
		for (size_t offset = 0; offset < CAPACITY; offset++)
			shared->bytes[offset] = bytes[16 + offset % (length - 16)];
		if (producer)
			check_producer(mapping, head);
		else
			check_consumer(mapping);
		free(mapping);
	}
	return 0;
}
