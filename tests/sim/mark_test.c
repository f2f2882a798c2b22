/* SPDX-License-Identifier: BSD-3-Clause */
/* A flow's mark is taken back by its own packets, never by another flow's. A packet that waits with its verdict, behind a suspended
 * one of its burst, was not queued for a handler: its key and candidate are what the memory's last use has left there. Taken for its
 * own, they took the mark of a flow whose suspended packet was then overtaken (simulator seed 2017 after seeds 1882 to 2016). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "blocked_pair.h"
#include "object/map_inline.h"

static struct pair pair;

static void poll_worker(void)
{
	pair_now_ns += 10000;
	shoal_worker_poll(pair.worker, pair_now_ns);
}

/* Its handler waits until the test ends the wait. */
static void feed_suspended(uint64_t key)
{
	pair_feed(&pair, key);
	pair_nf.declines = pair_nf.waits_for_test = 1;
}

/* As if its memory had been a packet of that flow, in a handler's queue. */
static void feed_recycled(uint64_t key, uint64_t former)
{
	struct shoal_packet *packet = pair_feed(&pair, key);
	const struct shoal_map *map = &pair.worker->space.maps[0];

	memcpy(packet->key, &former, sizeof(former));
	packet->traffic = true;
	packet->candidate = shoal_map_find(map, packet->key, shoal_map_hash(map, packet->key));
	assert_int_not_equal(packet->candidate, 0);
}

static void test_a_parked_packet_takes_no_other_flow_s_mark(void **state)
{
	uint64_t left = LOCAL_FLOWS;

	(void)state;
	pair_start(&pair, 64, 4096);
	memset(&pair_nf, 0, sizeof(pair_nf));
	feed_suspended(pair.local[0]);
	feed_recycled(pair.local[0], pair.local[1]);
	poll_worker();
	feed_suspended(pair.local[1]);
	poll_worker();
	assert_int_equal(pair_nf.waiting, 2);
	assert_int_equal(pair.worker->parked, 1);
	assert_int_equal(pair.source.left, left);
	/* The first flow goes on; then comes another packet of the second, which is to wait. */
	shoal_wait_end(&pair.worker->space, pair_nf.waits[0], SHOAL_WAIT_GRANTED);
	pair_feed(&pair, pair.local[1]);
	poll_worker();
	assert_int_equal(pair.source.left, left + 2);
	assert_int_equal(pair.worker->parked, 1);
	shoal_wait_end(&pair.worker->space, pair_nf.waits[1], SHOAL_WAIT_GRANTED);
	poll_worker();
	poll_worker();
	assert_int_equal(pair.source.left, left + 4);
	assert_int_equal(shoal_worker_inside(pair.worker), 0);
	pair_end(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_a_parked_packet_takes_no_other_flow_s_mark) };

	return pair_set_up(4096) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
