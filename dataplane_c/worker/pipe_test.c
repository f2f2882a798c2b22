/* SPDX-License-Identifier: BSD-3-Clause */
/* The pipe's two ends in one thread, on a real packet ring; and in two threads. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <rte_mempool.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/made_port.h"
#include "worker/pipe.h"
#include "worker/runner.h"

#define DEADLINE_NS (30 * SHOAL_NS_PER_S)

struct made {
	struct shoal_pipe *pipe;
	struct shoal_packet_ring *ring; /* the instance's end */
	struct shoal_packet_ring *splitter;
	struct shoal_port *input; /* the splitter's end as a port */
};

static void make(struct made *made)
{
	int descriptor = shoal_ring_pair_create(1 << 20);

	assert_true(descriptor >= 0);
	made->splitter = shoal_packet_ring_create(descriptor, 0, made_pool);
	made->ring = shoal_packet_ring_create(descriptor, 1, made_pool);
	made->pipe = shoal_pipe_create();
	assert_true(made->splitter && made->ring && made->pipe);
	close(descriptor);
	made->input = shoal_packet_ring_port(made->splitter);
	shoal_pipe_set_ring(made->pipe, made->ring);
}

static void end(struct made *made)
{
	assert_int_equal(shoal_pipe_waiting(made->pipe), 0);
	shoal_pipe_destroy(made->pipe);
	made->input->operations->destroy(made->input);
	shoal_packet_ring_port(made->ring)->operations->destroy(shoal_packet_ring_port(made->ring));
	assert_int_equal(rte_mempool_in_use_count(made_pool), 0);
}

static void send_numbers(struct made *made, uint32_t first, uint32_t end)
{
	for (uint32_t number = first; number < end; number++) {
		struct shoal_packet *packet = shoal_packet_alloc(made_pool, 60);

		assert_non_null(packet);
		memcpy(packet->frame, &number, sizeof(number));
		packet->steering_slot = (uint8_t)number;
		assert_int_equal(made->input->operations->transmit(made->input, &packet, 1), 1);
	}
	made->input->operations->flush(made->input);
}

/* Takes up to n at once until there are none; the number after the last one. */
static uint32_t expect_numbers(struct made *made, uint32_t first, unsigned n)
{
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	unsigned received;

	while ((received = shoal_pipe_receive(made->pipe, packets, n)) > 0) {
		assert_in_range(received, 1, n);
		for (unsigned i = 0; i < received; i++, first++) {
			uint32_t number;

			memcpy(&number, packets[i]->frame, sizeof(number));
			assert_int_equal(number, first);
			assert_int_equal(packets[i]->steering_slot, (uint8_t)number);
			shoal_packet_free(packets[i]);
		}
	}
	return first;
}

/* However many the worker takes at once, a marker stays behind all packets before it and before all behind it. */
static void markers_keep_their_places(void **state)
{
	struct made made;
	uint32_t marker;
	uint8_t slot;

	for (unsigned n = 1; n <= SHOAL_BURST_MAX; n += 6) {
		make(&made);
		send_numbers(&made, 0, 40);
		assert_true(shoal_packet_ring_send_marker(made.splitter, 7, 700));
		assert_true(shoal_packet_ring_send_marker(made.splitter, 8, 800));
		made.input->operations->flush(made.input);
		while (shoal_pipe_poll(made.pipe, 1))
			;
		send_numbers(&made, 40, 50);
		while (shoal_pipe_poll(made.pipe, 1))
			;
		assert_int_equal(shoal_pipe_waiting(made.pipe), 50);
		assert_false(shoal_pipe_take_marker(made.pipe, &slot, &marker));
		assert_int_equal(expect_numbers(&made, 0, n), 40);
		assert_true(shoal_pipe_take_marker(made.pipe, &slot, &marker));
		assert_true(slot == 7 && marker == 700);
		assert_int_equal(expect_numbers(&made, 40, n), 40);
		assert_true(shoal_pipe_take_marker(made.pipe, &slot, &marker));
		assert_true(slot == 8 && marker == 800);
		assert_false(shoal_pipe_take_marker(made.pipe, &slot, &marker));
		assert_int_equal(expect_numbers(&made, 40, n), 50);
		end(&made);
	}
}

/* Full, it leaves packets where they are, and goes on when there is room; one packet is room for one. */
static void a_full_pipe_loses_nothing(void **state)
{
	struct made made;
	struct shoal_packet *packet;
	uint32_t number;

	make(&made);
	send_numbers(&made, 0, 2 * SHOAL_PIPE_PACKETS);
	while (shoal_pipe_poll(made.pipe, 1))
		;
	assert_int_equal(shoal_pipe_waiting(made.pipe), SHOAL_PIPE_PACKETS);
	assert_int_equal(shoal_packet_ring_inside(made.ring), SHOAL_PIPE_PACKETS);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(shoal_pipe_receive(made.pipe, &packet, 1), 1);
		memcpy(&number, packet->frame, sizeof(number));
		assert_int_equal(number, i);
		shoal_packet_free(packet);
		assert_int_equal(shoal_pipe_poll(made.pipe, 1), 1);
		assert_int_equal(shoal_pipe_poll(made.pipe, 1), 0);
	}
	for (number = 100; number < 2 * SHOAL_PIPE_PACKETS;) {
		number = expect_numbers(&made, number, 13);
		while (shoal_pipe_poll(made.pipe, 1))
			;
	}
	end(&made);
}

/* Draining, it reads its devices no more; what the splitter sends it takes. */
static void draining_reads_the_ring_alone(void **state)
{
	struct made made, device;

	make(&made);
	make(&device);
	shoal_pipe_set_port(made.pipe, 3, shoal_packet_ring_port(device.ring));
	shoal_pipe_set_draining(made.pipe, true);
	send_numbers(&device, 10, 20);
	send_numbers(&made, 0, 10);
	while (shoal_pipe_poll(made.pipe, 1))
		;
	assert_int_equal(expect_numbers(&made, 0, 32), 10);
	shoal_pipe_set_draining(made.pipe, false);
	while (shoal_pipe_poll(made.pipe, 1))
		;
	assert_int_equal(expect_numbers(&made, 10, 32), 20);
	shoal_pipe_set_port(made.pipe, 3, NULL);
	send_numbers(&device, 20, 30);
	assert_int_equal(shoal_pipe_poll(made.pipe, 1), 0);
	while (shoal_pipe_poll(device.pipe, 1))
		;
	assert_int_equal(expect_numbers(&device, 20, 32), 30);
	/* Of whose rings some buffers are kept. */
	shoal_pipe_destroy(device.pipe);
	device.input->operations->destroy(device.input);
	shoal_packet_ring_port(device.ring)->operations->destroy(shoal_packet_ring_port(device.ring));
	end(&made);
}

/* --- Two threads --- */

#define PACKETS 4096u /* more than can be in the pipe and in the worker's hand */
#define ROUNDS 40u

struct counting_port {
	struct shoal_port port;
	struct shoal_packet packets[PACKETS];
	uint64_t next, polls;
};

/* Bursts of all lengths, none among them. */
static unsigned count_up(struct shoal_port *port, struct shoal_packet *packets[], unsigned n, uint64_t now_ns)
{
	struct counting_port *counting = (struct counting_port *)port;
	unsigned wanted = (unsigned)(counting->polls++ * 7 % (SHOAL_BURST_MAX + 1)), count = 0;

	for (; count < wanted && count < n && counting->next < PACKETS * ROUNDS; count++) {
		struct shoal_packet *packet = &counting->packets[counting->next % PACKETS];

		packet->hash = counting->next++;
		packet->length = (uint16_t)packet->hash;
		packets[count] = packet;
	}
	return count;
}

static void two_threads_lose_and_swap_nothing(void **state)
{
	static const struct shoal_port_operations operations = { .receive = count_up };
	static struct counting_port counting;
	const struct shoal_runner_config config = { "receiver", -1, SHOAL_IDLE_YIELD, 4, 0 };
	struct shoal_runner *runner = shoal_runner_create(&config);
	struct shoal_pipe *pipe = shoal_pipe_create();
	uint64_t expected = 1, deadline = shoal_clock_now() + DEADLINE_NS;

	assert_true(runner && pipe);
	counting = (struct counting_port){ .port.operations = &operations, .next = 1 };
	shoal_pipe_set_port(pipe, 0, &counting.port);
	assert_int_equal(shoal_runner_add(runner, shoal_pipe_poll, pipe), 0);
	assert_int_equal(shoal_runner_start(runner), 0);
	while (expected < PACKETS * ROUNDS) {
		struct shoal_packet *packets[SHOAL_BURST_MAX];
		unsigned n = shoal_pipe_receive(pipe, packets, 1 + (unsigned)(expected % SHOAL_BURST_MAX));

		assert_in_range(shoal_pipe_waiting(pipe), 0, SHOAL_PIPE_PACKETS);
		for (unsigned i = 0; i < n; i++, expected++) {
			assert_int_equal(packets[i]->hash, expected);
			assert_int_equal(packets[i]->length, (uint16_t)expected);
		}
		if (!n)
			sched_yield();
		assert_true(shoal_clock_now() < deadline);
	}
	assert_int_equal(shoal_runner_stop(runner), 0);
	assert_int_equal(shoal_pipe_waiting(pipe), 0);
	shoal_runner_destroy(runner);
	shoal_pipe_destroy(pipe);
}

static int set_up(void **state)
{
	static char prefix[48];

	snprintf(prefix, sizeof(prefix), "pipe-test-%d", (int)getpid());
	return made_pool_set_up(prefix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(markers_keep_their_places),
		cmocka_unit_test(a_full_pipe_loses_nothing),
		cmocka_unit_test(draining_reads_the_ring_alone),
		cmocka_unit_test(two_threads_lose_and_swap_nothing),
	};

	return cmocka_run_group_tests_name("pipe", tests, set_up, made_pool_tear_down);
}
