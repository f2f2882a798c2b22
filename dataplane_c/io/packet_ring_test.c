/* SPDX-License-Identifier: BSD-3-Clause */
/* A packet ring's two ends in one thread, on a real EAL and pool. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <rte_mempool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/packet_ring.h"
#include <shoal/dataplane.h>

#define POOL_PACKETS 255u
#define SPLITTER 0
#define INSTANCE 1

static struct rte_mempool *pool;

struct ends {
	struct shoal_packet_ring *ring[2];
	struct shoal_port *port[2];
	struct shoal_ring_pair raw; /* the splitter's side once more: what a bad peer would write */
};

static void ends_create(struct ends *ends, uint32_t capacity)
{
	int descriptor = shoal_ring_pair_create(capacity);

	assert_true(descriptor >= 0);
	for (unsigned side = 0; side < 2; side++) {
		ends->ring[side] = shoal_packet_ring_create(descriptor, side, pool);
		assert_non_null(ends->ring[side]);
		ends->port[side] = shoal_packet_ring_port(ends->ring[side]);
	}
	assert_int_equal(shoal_ring_pair_open(&ends->raw, descriptor, SPLITTER), 0);
	close(descriptor);
}

static void ends_destroy(struct ends *ends)
{
	for (unsigned side = 0; side < 2; side++)
		ends->port[side]->operations->destroy(ends->port[side]);
	shoal_ring_pair_close(&ends->raw);
	assert_int_equal(rte_mempool_in_use_count(pool), 0); /* no packet leaked, no spare kept */
}

static struct shoal_packet *packet_make(uint16_t length, uint32_t number)
{
	struct shoal_packet *packet = shoal_packet_alloc(pool, length);

	assert_non_null(packet);
	memset(packet->frame, (int)(number & 0xff), length);
	memcpy(packet->frame, &number, sizeof(number));
	packet->port = (uint8_t)(number % SHOAL_NF_PORTS_MAX);
	packet->steering_slot = (uint8_t)(number * 7);
	return packet;
}

static void packet_expect(struct shoal_packet *packet, uint16_t length, uint32_t number)
{
	assert_int_equal(packet->length, length);
	assert_memory_equal(packet->frame, &number, sizeof(number));
	for (uint16_t i = sizeof(number); i < length; i++)
		assert_int_equal(packet->frame[i], number & 0xff);
	assert_int_equal(packet->port, number % SHOAL_NF_PORTS_MAX);
	assert_int_equal(packet->steering_slot, (uint8_t)(number * 7));
	assert_int_equal(packet->flags, 0);
	assert_int_equal(packet->verdict, SHOAL_VERDICT_NONE);
	shoal_packet_free(packet);
}

static unsigned receive(struct ends *ends, unsigned side, struct shoal_packet *packets[], unsigned n)
{
	return ends->port[side]->operations->receive(ends->port[side], packets, n, 1);
}

static unsigned transmit(struct ends *ends, unsigned side, struct shoal_packet *packets[], unsigned n)
{
	unsigned taken = ends->port[side]->operations->transmit(ends->port[side], packets, n);

	ends->port[side]->operations->flush(ends->port[side]);
	return taken;
}

static void test_bursts_both_ways(void **state)
{
	struct ends ends;
	uint32_t number = 0;

	(void)state;
	ends_create(&ends, 1u << 17);
	for (unsigned round = 0; round < 400; round++) {
		struct shoal_packet *packets[SHOAL_BURST_MAX];
		unsigned n = 1 + round % SHOAL_BURST_MAX, from = round % 2;

		for (unsigned i = 0; i < n; i++)
			packets[i] = packet_make((uint16_t)(14 + (number + i) * 37 % 1505), number + i);
		assert_int_equal(transmit(&ends, from, packets, n), n);
		assert_int_equal(receive(&ends, 1 - from, packets, SHOAL_BURST_MAX), n);
		for (unsigned i = 0; i < n; i++)
			packet_expect(packets[i], (uint16_t)(14 + (number + i) * 37 % 1505), number + i);
		assert_int_equal(receive(&ends, 1 - from, packets, SHOAL_BURST_MAX), 0);
		number += n;
	}
	assert_int_equal(ends.port[0]->transmitted_packets + ends.port[1]->transmitted_packets, number);
	assert_int_equal(ends.port[0]->received_packets, ends.port[1]->transmitted_packets);
	assert_int_equal(ends.port[1]->received_bytes, ends.port[0]->transmitted_bytes);
	ends_destroy(&ends);
}

static void test_full_ring_takes_a_part(void **state)
{
	struct ends ends;
	struct shoal_packet *packets[SHOAL_BURST_MAX], *received[SHOAL_BURST_MAX];

	(void)state;
	ends_create(&ends, 1u << 14);
	for (uint32_t i = 0; i < SHOAL_BURST_MAX; i++)
		packets[i] = packet_make(1500, i);

	unsigned taken = transmit(&ends, SPLITTER, packets, SHOAL_BURST_MAX);

	assert_in_range(taken, 8, 11);
	assert_int_equal(receive(&ends, INSTANCE, received, SHOAL_BURST_MAX), taken);
	assert_int_equal(transmit(&ends, SPLITTER, packets + taken, 5), 5); /* the others are still the caller's */
	assert_int_equal(receive(&ends, INSTANCE, received + taken, SHOAL_BURST_MAX - taken), 5);
	for (uint32_t i = 0; i < taken + 5; i++)
		packet_expect(received[i], 1500, i);
	for (uint32_t i = taken + 5; i < SHOAL_BURST_MAX; i++)
		shoal_packet_free(packets[i]);
	ends_destroy(&ends);
}

static void test_empty_pool_leaves_records(void **state)
{
	struct ends ends;
	struct shoal_packet *hoard[POOL_PACKETS], *packets[4], *received[SHOAL_BURST_MAX];
	unsigned hoarded = 0, got = 0;

	(void)state;
	ends_create(&ends, 1u << 17);
	for (uint32_t i = 0; i < 4; i++)
		packets[i] = packet_make(100, i);
	assert_int_equal(transmit(&ends, SPLITTER, packets, 4), 4);
	while (hoarded < POOL_PACKETS && (hoard[hoarded] = shoal_packet_alloc(pool, 64)))
		hoarded++;
	assert_int_equal(receive(&ends, INSTANCE, received, SHOAL_BURST_MAX), 0);
	assert_int_equal(ends.port[INSTANCE]->dropped_no_buffer, 0);
	while (got < 4) { /* one buffer at a time */
		shoal_packet_free(hoard[--hoarded]);
		assert_int_equal(receive(&ends, INSTANCE, received, SHOAL_BURST_MAX), 1);
		packet_expect(received[0], 100, got++);
		hoard[hoarded] = shoal_packet_alloc(pool, 64);
		assert_non_null(hoard[hoarded++]);
	}
	while (hoarded)
		shoal_packet_free(hoard[--hoarded]);
	ends_destroy(&ends);
}

static void test_what_crosses_beside_the_frame(void **state)
{
	struct ends ends;
	struct shoal_packet *packet, *received[4];

	(void)state;
	ends_create(&ends, 1u << 17);
	packet = packet_make(60, 1);
	packet->flags = SHOAL_PACKET_IPV4 | SHOAL_PACKET_FRAGMENT_LATER | SHOAL_PACKET_PORTS_KNOWN;
	packet->tuple.source_port = 0x1234;
	packet->tuple.destination_port = 0x5678;
	assert_int_equal(transmit(&ends, SPLITTER, &packet, 1), 1);
	assert_int_equal(receive(&ends, INSTANCE, received, 4), 1);
	assert_int_equal(received[0]->flags, SHOAL_PACKET_PORTS_KNOWN);
	assert_int_equal(received[0]->tuple.source_port, 0x1234);
	assert_int_equal(received[0]->tuple.destination_port, 0x5678);

	/* Instance → splitter: re-enter; and back again as an ordinary packet. */
	received[0]->verdict = SHOAL_REENTER(5);
	assert_int_equal(transmit(&ends, INSTANCE, received, 1), 1);
	assert_int_equal(receive(&ends, SPLITTER, received, 4), 1);
	assert_int_equal(received[0]->verdict, SHOAL_REENTER(5));
	assert_int_equal(received[0]->port, 5);
	assert_int_equal(received[0]->flags, SHOAL_PACKET_PORTS_KNOWN);
	assert_int_equal(transmit(&ends, SPLITTER, received, 1), 1);
	assert_int_equal(receive(&ends, INSTANCE, received, 4), 1);
	assert_int_equal(received[0]->verdict, SHOAL_VERDICT_NONE);
	assert_int_equal(received[0]->port, 5);
	shoal_packet_free(received[0]);
	ends_destroy(&ends);
}

static void test_markers_keep_their_place(void **state)
{
	struct ends ends;
	struct shoal_packet *packets[3], *received[SHOAL_BURST_MAX];
	uint8_t steering_slot;
	uint32_t marker;

	(void)state;
	ends_create(&ends, 1u << 17);
	for (uint32_t i = 0; i < 3; i++)
		packets[i] = packet_make(64, i);
	assert_int_equal(transmit(&ends, SPLITTER, packets, 2), 2);
	assert_true(shoal_packet_ring_send_marker(ends.ring[SPLITTER], 200, 0xdeadbeef));
	assert_true(shoal_packet_ring_send_marker(ends.ring[SPLITTER], 7, 2));
	assert_int_equal(transmit(&ends, SPLITTER, packets + 2, 1), 1);

	assert_false(shoal_packet_ring_take_marker(ends.ring[INSTANCE], &steering_slot, &marker));
	assert_int_equal(receive(&ends, INSTANCE, received, 1), 1);
	assert_false(shoal_packet_ring_take_marker(ends.ring[INSTANCE], &steering_slot, &marker));
	assert_int_equal(receive(&ends, INSTANCE, received + 1, 2), 1);
	assert_true(shoal_packet_ring_take_marker(ends.ring[INSTANCE], &steering_slot, &marker));
	assert_int_equal(steering_slot, 200);
	assert_int_equal(marker, 0xdeadbeef);
	assert_int_equal(receive(&ends, INSTANCE, received + 2, 8), 1);
	assert_true(shoal_packet_ring_take_marker(ends.ring[INSTANCE], &steering_slot, &marker));
	assert_int_equal(steering_slot, 7);
	assert_false(shoal_packet_ring_take_marker(ends.ring[INSTANCE], &steering_slot, &marker));
	for (uint32_t i = 0; i < 3; i++)
		packet_expect(received[i], 64, i);

	assert_true(shoal_packet_ring_return_marker(ends.ring[INSTANCE], 200, 0xdeadbeef));
	ends.port[INSTANCE]->operations->flush(ends.port[INSTANCE]);
	assert_int_equal(receive(&ends, SPLITTER, received, 4), 0);
	assert_true(shoal_packet_ring_take_marker(ends.ring[SPLITTER], &steering_slot, &marker));
	assert_int_equal(marker, 0xdeadbeef);
	ends_destroy(&ends);
}

/* More markers than the queue holds, on a ring that is full of them: none is lost, none overtakes. */
static void test_many_markers(void **state)
{
	struct ends ends;
	struct shoal_packet *received[SHOAL_BURST_MAX];
	uint32_t sent = 0, taken = 0, marker;
	uint8_t steering_slot;

	(void)state;
	ends_create(&ends, 1u << 14);
	while (shoal_packet_ring_send_marker(ends.ring[SPLITTER], (uint8_t)sent, sent))
		sent++;
	assert_int_equal(sent, (1u << 14) / 16 - 1); /* a run's word, and the place of the next */
	ends.port[SPLITTER]->operations->flush(ends.port[SPLITTER]);
	for (int poll = 0; poll < 100; poll++)
		assert_int_equal(receive(&ends, INSTANCE, received, SHOAL_BURST_MAX), 0);
	assert_int_equal(shoal_ring_depth(&ends.raw.out), 16 * (sent - SHOAL_STEERING_SLOTS));
	for (int poll = 0; poll < 100; poll++) {
		receive(&ends, INSTANCE, received, SHOAL_BURST_MAX);
		while (shoal_packet_ring_take_marker(ends.ring[INSTANCE], &steering_slot, &marker)) {
			assert_int_equal(marker, taken);
			assert_int_equal(steering_slot, (uint8_t)taken);
			taken++;
		}
	}
	assert_int_equal(taken, sent);
	ends_destroy(&ends);
}

static void raw_record(struct ends *ends, const struct shoal_packet_record *record, uint32_t bytes, uint32_t length)
{
	uint8_t *place = shoal_ring_reserve(&ends->raw.out, length);

	assert_non_null(place);
	memset(place, 0, length);
	memcpy(place, record, bytes);
	shoal_ring_push(&ends->raw.out, length);
	shoal_ring_flush(&ends->raw.out);
}

static void test_malformed_records(void **state)
{
	static const struct {
		struct shoal_packet_record record;
		uint32_t length;
	} bad[] = {
		{ { .kind = SHOAL_RECORD_PACKET }, 7 },
		{ { .kind = SHOAL_RECORD_PACKET }, 0 },
		{ { .kind = SHOAL_RECORD_PACKET }, 8 } /* no frame */,
		{ { .kind = 0 }, 72 },
		{ { .kind = 9 }, 72 },
		{ { .kind = SHOAL_RECORD_PACKET, .port = SHOAL_NF_PORTS_MAX }, 72 },
		{ { .kind = SHOAL_RECORD_PACKET, .flags = 0x80 }, 72 },
		{ { .kind = SHOAL_RECORD_PACKET, .flags = SHOAL_RECORD_REENTER }, 72 } /* from a splitter */,
		{ { .kind = SHOAL_RECORD_MARKER }, 16 },
		{ { .kind = SHOAL_RECORD_PACKET }, 8 + 4000 } /* beyond a buffer */,
	};
	struct ends ends;
	struct shoal_packet *packet, *received[SHOAL_BURST_MAX];
	unsigned count = sizeof(bad) / sizeof(bad[0]);
	uint8_t steering_slot;
	uint32_t marker;

	(void)state;
	ends_create(&ends, 1u << 17);
	for (unsigned i = 0; i < count; i++)
		raw_record(&ends, &bad[i].record, bad[i].length < 8 ? bad[i].length : 8, bad[i].length);
	assert_int_equal(receive(&ends, INSTANCE, received, SHOAL_BURST_MAX), 0);
	assert_int_equal(ends.port[INSTANCE]->dropped_malformed, count);
	assert_false(shoal_packet_ring_take_marker(ends.ring[INSTANCE], &steering_slot, &marker));
	assert_false(shoal_packet_ring_broken(ends.ring[INSTANCE]));
	shoal_ring_pair_close(&ends.raw);
	ends_destroy(&ends);

	/* A header that cannot be is another matter. */
	ends_create(&ends, 1u << 17);
	packet = packet_make(64, 1);
	assert_int_equal(transmit(&ends, SPLITTER, &packet, 1), 1);
	memset(ends.raw.out.bytes, 0xff, 8);
	assert_int_equal(receive(&ends, INSTANCE, received, 4), 0);
	assert_true(shoal_packet_ring_broken(ends.ring[INSTANCE]));
	ends_destroy(&ends);
}

static void test_create_refuses(void **state)
{
	int small = shoal_ring_pair_create(4096); /* a quarter of it holds no full frame */

	(void)state;
	assert_true(small >= 0);
	assert_null(shoal_packet_ring_create(small, 0, pool));
	assert_int_equal(errno, EMSGSIZE);
	close(small);
	assert_null(shoal_packet_ring_create(-1, 0, pool));
	assert_int_equal(errno, EBADF);
}

static int start(void **state)
{
	static char prefix[48];
	const char *arguments[] = { "packet-ring-test", "--no-huge", "-m", "64", "--no-pci", "--no-telemetry",
		"--no-shconf", "--file-prefix", prefix };

	(void)state;
	snprintf(prefix, sizeof(prefix), "packet-ring-test-%d", (int)getpid());
	if (shoal_eal_start(sizeof(arguments) / sizeof(arguments[0]), arguments))
		return -1;
	pool = shoal_packet_pool_create("packets", POOL_PACKETS, 1600);
	return pool ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	rte_mempool_free(pool);
	shoal_eal_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bursts_both_ways),
		cmocka_unit_test(test_full_ring_takes_a_part),
		cmocka_unit_test(test_empty_pool_leaves_records),
		cmocka_unit_test(test_what_crosses_beside_the_frame),
		cmocka_unit_test(test_markers_keep_their_place),
		cmocka_unit_test(test_many_markers),
		cmocka_unit_test(test_malformed_records),
		cmocka_unit_test(test_create_refuses),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
