/* SPDX-License-Identifier: BSD-3-Clause */
/* What the TCP tests share: virtual time that the test moves, and a real-time deadline on every wait for the kernel. */
#ifndef SHOAL_CHANNEL_TCP_TEST_H
#define SHOAL_CHANNEL_TCP_TEST_H

#include <arpa/inet.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "channel/tcp_socket.h"
#include "channel/tcp_transport.h"

#define CLUSTER UINT64_C(0xc0ffee)
#define WAIT_S 20

/* In virtual time: far beyond what a wait can move it, unless the test jumps. */
static const struct shoal_tcp_timing patient = {
	.connect = 1000000,
	.heartbeat = 1000,
	.silent = 1000000,
	.user_timeout = 20000,
	.backoff_first = 1,
	.backoff_most = 8,
	.idle_gap_us = 4,
};

struct tcp_test {
	uint64_t now_ns;
	struct shoal_link *links[2]; /* NULL: a raw socket's place */
};

static inline time_t tcp_test_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static inline void tcp_test_step(struct tcp_test *test)
{
	test->now_ns += 100 * UINT64_C(1000);
	for (int i = 0; i < 2; i++)
		if (test->links[i])
			test->links[i]->operations->poll(test->links[i], test->now_ns);
	sched_yield();
}

/* Polls until the condition is true. */
#define tcp_test_until(test, condition)                                                                                \
	do {                                                                                                           \
		time_t wait_until = tcp_test_seconds() + WAIT_S;                                                       \
                                                                                                                       \
		while (!(condition)) {                                                                                 \
			tcp_test_step(test);                                                                           \
			if (tcp_test_seconds() > wait_until)                                                           \
				fail_msg("waited in vain for: %s", #condition);                                        \
		}                                                                                                      \
	} while (0)

static inline bool tcp_test_send(struct shoal_link *link, uint32_t length, uint8_t fill)
{
	void *frame = link->operations->reserve(link, length);

	if (!frame)
		return false;
	memset(frame, fill, length);
	link->operations->commit(link, length);
	return true;
}

/* false: none there; else checked and consumed. */
static inline bool tcp_test_take(struct shoal_link *link, uint32_t expected, uint8_t fill)
{
	uint32_t length;
	const uint8_t *frame = link->operations->peek(link, &length);

	if (!frame)
		return false;
	assert_int_equal(length, expected);
	for (uint32_t i = 0; i < length; i++)
		if (frame[i] != fill)
			fail_msg("byte %u is %u, not %u", i, frame[i], fill);
	link->operations->consume(link);
	return true;
}

#endif
