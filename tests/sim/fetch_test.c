/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets whose declared object is elsewhere: they wait without a microthread, and go to the burst handler when it has come; what
 * else may happen to them ends as if they had waited in their packet handler, which is the plain twin of this. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "blocked_pair.h"
#include "object/map_inline.h"

#define KEYS 64u

static struct pair pair;

static void start(const struct shoal_plane *plane)
{
	pair_start(&pair, 64, 4096);
	pair.worker->plane = pair.peer->plane = plane;
	memset(&pair_nf, 0, sizeof(pair_nf));
}

static void run(unsigned polls)
{
	while (polls--)
		pair_poll(&pair);
}

/* A key whose object the peer has. */
static uint64_t key_of_peer(bool owned_by_peer)
{
	uint64_t key = pair_find_key(&pair, UINT64_C(1) << 32, !owned_by_peer);

	pair_feed_peer(&pair, key);
	run(8);
	assert_int_equal(pair.peer_source.left, 1);
	memset(&pair_nf, 0, sizeof(pair_nf));
	return key;
}

static void expect_left(uint64_t packets)
{
	run(8);
	assert_int_equal(pair.source.left, LOCAL_FLOWS + packets);
	assert_int_equal(pair.worker->space.fetches, 0);
	assert_int_equal(pair.worker->flows.busy, 0);
	assert_int_equal(shoal_worker_inside(pair.worker), 0);
}

static void comes_to_the_burst_handler(bool owned_by_peer)
{
	uint64_t key, blocked;

	start(&shoal_plane_shared);
	key = key_of_peer(owned_by_peer);
	blocked = pair.worker->blocked;
	/* Two of the flow, the second behind the first; another one does not wait. */
	pair_feed(&pair, key);
	pair_feed(&pair, key);
	pair_feed(&pair, pair.local[0]);
	pair_now_ns += 10000;
	shoal_worker_poll(pair.worker, pair_now_ns);
	assert_int_equal(pair.source.left, LOCAL_FLOWS + 1);
	assert_int_equal(pair.worker->space.fetches, 1);
	assert_int_equal(pair.worker->parked, 1);
	assert_int_equal(shoal_scheduler_suspended(pair.worker->scheduler), 0);
	assert_int_equal(shoal_worker_inside(pair.worker), 2);
	expect_left(3);
	assert_int_equal(pair.worker->blocked, blocked + 1);
	assert_int_equal(pair_nf.in_bursts, 2);
	assert_int_equal(pair_nf.in_handlers, 1);
	pair_end(&pair);
}

static void test_what_has_come_goes_to_the_burst_handler(void **state)
{
	(void)state;
	comes_to_the_burst_handler(true);
	comes_to_the_burst_handler(false);
}

static void test_what_is_nowhere_is_made_by_the_packet_handler(void **state)
{
	(void)state;
	start(&shoal_plane_shared);
	pair_feed(&pair, pair_find_key(&pair, UINT64_C(1) << 32, false));
	pair_now_ns += 10000;
	shoal_worker_poll(pair.worker, pair_now_ns);
	assert_int_equal(pair.worker->space.fetches, 1);
	expect_left(1);
	assert_int_equal(pair_nf.in_handlers, 1);
	pair_end(&pair);
}

static void test_what_the_burst_handler_declines_goes_to_the_packet_handler(void **state)
{
	uint64_t key;

	(void)state;
	start(&shoal_plane_shared);
	key = key_of_peer(true);
	pair_nf.declines = 1;
	pair_feed(&pair, key);
	expect_left(1);
	assert_int_equal(pair_nf.in_bursts, 0);
	assert_int_equal(pair_nf.in_handlers, 1);
	pair_end(&pair);
}

/* The NF is told, and names the drop; the packet does not wait for a second deadline. */
static void test_who_waits_in_vain_is_the_nf_s_drop(void **state)
{
	const uint64_t deadline_ns = 1000 * SHOAL_NS_PER_S;

	(void)state;
	start(&shoal_plane_shared);
	pair_feed(&pair, pair_find_key(&pair, UINT64_C(1) << 32, false));
	for (unsigned polls = 0; polls < 4; polls++) {
		assert_int_equal(pair.worker->nf_drops[0], 0);
		pair_now_ns += polls == 1 ? deadline_ns : 10000;
		shoal_worker_poll(pair.worker, pair_now_ns);
	}
	assert_int_equal(pair.worker->nf_drops[0], 1);
	assert_int_equal(shoal_worker_inside(pair.worker), 0);
	assert_int_equal(pair.worker->flows.busy, 0);
	pair_end(&pair);
}

static void test_the_end_frees_those_that_wait(void **state)
{
	unsigned packets = pair_packets();

	(void)state;
	start(&shoal_plane_shared);
	for (unsigned i = 0; i < 3; i++)
		pair_feed(&pair, pair_find_key(&pair, UINT64_C(1) << 32, false));
	pair_now_ns += 10000;
	shoal_worker_poll(pair.worker, pair_now_ns);
	assert_int_equal(pair_packets(), packets + 3);
	pair_end(&pair);
	assert_int_equal(pair_packets(), packets);
}

/* As many as there are microthreads; further ones go to their handlers, and what these can't begin is counted. */
static void test_no_more_wait_than_may(void **state)
{
	uint64_t key = UINT64_C(1) << 32;

	(void)state;
	start(&shoal_plane_shared);
	for (unsigned i = 0; i < 5 * SHOAL_BURST_MAX; i++) {
		key = pair_find_key(&pair, key + 1, false);
		pair_feed(&pair, key);
		if (pair.source.count < SHOAL_BURST_MAX)
			continue;
		pair_now_ns += 10000;
		shoal_worker_poll(pair.worker, pair_now_ns);
	}
	assert_int_equal(pair.worker->space.fetches, 64);
	assert_int_equal(shoal_scheduler_suspended(pair.worker->scheduler), 64);
	assert_int_equal(pair.worker->drops[SHOAL_WORKER_DROP_MICROTHREADS], SHOAL_BURST_MAX);
	expect_left(4 * SHOAL_BURST_MAX);
	pair_end(&pair);
}

/* How often each object was counted up, by both workers. */
static void play(const struct shoal_plane *plane, uint64_t counts[KEYS])
{
	uint64_t random = 1, value;
	struct shoal_map *maps[2];

	start(plane);
	for (unsigned burst = 0; burst < 300; burst++) {
		for (unsigned i = 0; i < SHOAL_BURST_MAX; i++) {
			random = random * UINT64_C(6364136223846793005) + 1;
			pair_feed(&pair, random >> 33 & (KEYS - 1));
			pair_feed_peer(&pair, random >> 43 & (KEYS - 1));
		}
		run(1 + burst % 3);
	}
	run(200);
	assert_int_equal(pair.source.left, LOCAL_FLOWS + 300 * SHOAL_BURST_MAX);
	assert_int_equal(pair.peer_source.left, 300 * SHOAL_BURST_MAX);
	maps[0] = &pair.worker->space.maps[0];
	maps[1] = &pair.peer->space.maps[0];
	for (uint64_t key = 0; key < KEYS; key++)
		for (unsigned side = 0; side < 2; side++) {
			uint64_t bytes[SHOAL_KEY_BYTES_MAX / 8] = { key };
			uint32_t index = shoal_map_find(maps[side], bytes, shoal_map_hash(maps[side], bytes));
			struct shoal_entry *entry = shoal_map_entry(maps[side], index);

			if (!index || entry->handle != SHOAL_HANDLE_HELD)
				continue;
			memcpy(&value, shoal_map_object(maps[side], entry), sizeof(value));
			counts[key] += value;
		}
	pair_end(&pair);
}

static void test_twin(void **state)
{
	static uint64_t fetched[KEYS], handled[KEYS];
	struct shoal_plane plain = shoal_plane_shared;

	(void)state;
	plain.fetch = NULL;
	play(&shoal_plane_shared, fetched);
	play(&plain, handled);
	assert_memory_equal(fetched, handled, sizeof(fetched));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_has_come_goes_to_the_burst_handler),
		cmocka_unit_test(test_what_is_nowhere_is_made_by_the_packet_handler),
		cmocka_unit_test(test_what_the_burst_handler_declines_goes_to_the_packet_handler),
		cmocka_unit_test(test_who_waits_in_vain_is_the_nf_s_drop),
		cmocka_unit_test(test_the_end_frees_those_that_wait),
		cmocka_unit_test(test_no_more_wait_than_may),
		cmocka_unit_test(test_twin),
	};

	return pair_set_up(4096) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
