/* SPDX-License-Identifier: BSD-3-Clause */
/* An instance as a process has it, on devices of its own: what they lost stands in its statistics, under a name. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <libgen.h>
#include <limits.h>
#include <rte_mempool.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/ethdev_port.h"
#include "io/made_port.h"
#include "worker/instance.h"
#include "worker/pipe.h"
#include "worker/runner.h"

#define ROWS_MAX 1024
#define FRAMES 40
#define DEADLINE_NS (20 * SHOAL_NS_PER_S)

static struct shoal_instance_config config = { .name = "echo-1",
	.life = 1,
	.cluster = 1,
	.objects_max = 64,
	.parked_max = 64,
	.microthreads_max = 16,
	.window = 16,
	.packets = 4095,
	.take_deadline_ms = 1000 };

/* The row's value; fails where there is none. */
static uint64_t row(struct shoal_instance *instance, const char *name, const char *value)
{
	static struct shoal_statistic rows[ROWS_MAX];
	long count = shoal_instance_statistics(instance, rows, ROWS_MAX);

	assert_in_range(count, 1, ROWS_MAX);
	for (long i = 0; i < count; i++)
		if (!strcmp(rows[i].name, name) && !strcmp(rows[i].label_value, value))
			return rows[i].value;
	fail_msg("no row %s of %s", name, value);
	return 0;
}

static struct shoal_instance *make_instance(void)
{
	struct shoal_instance *instance = shoal_instance_create(&config);

	if (!instance)
		fail_msg("%s", shoal_last_error());
	assert_int_equal(shoal_instance_init_nf(instance), 0);
	return instance;
}

/* Frames in a file; the second one is padded. */
static void write_capture(const char *path, uint16_t padded_to)
{
	static const uint32_t header[6] = { 0xa1b2c3d4, 4 << 16 | 2, 0, 0, 262144, 1 };
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(header, sizeof(header), 1, file), 1);
	for (uint16_t number = 0; number < FRAMES; number++) {
		struct made_frame frame;

		made_udp_frame(&frame, number);
		uint32_t length = number == 1 && padded_to ? padded_to : frame.length;
		uint32_t record[4] = { 0, 0, length, length };

		assert_int_equal(fwrite(record, sizeof(record), 1, file), 1);
		assert_int_equal(fwrite(frame.bytes, frame.length, 1, file), 1);
		while (length-- > frame.length)
			assert_int_equal(fputc(0, file), 0);
	}
	assert_int_equal(fclose(file), 0);
}

static void attach_capture(struct shoal_instance *instance, uint8_t nf_port, const char *path)
{
	char devargs[256];

	snprintf(devargs, sizeof(devargs), "net_pcap%u,rx_pcap=%s,tx_pcap=/dev/null", nf_port, path);
	if (shoal_instance_attach_port(instance, nf_port, devargs))
		fail_msg("%s", shoal_last_error());
}

static void poll_to_the_end(struct shoal_instance *instance)
{
	for (unsigned poll = 0; poll < FRAMES; poll++)
		shoal_worker_poll(&instance->worker, SHOAL_NS_PER_S + poll);
}

/* With its pool empty the device loses a frame, and the instance's figures say whose fault it was. */
static void what_devices_lose_has_a_name(void **state)
{
	static const char *const names[] = { "port_missed_total", "port_device_no_buffer_total",
		"port_receive_errors_total", "port_transmit_errors_total", "port_no_buffer_total",
		"port_too_long_total" };
	char path[] = "/tmp/shoal-instance-XXXXXX";
	struct shoal_instance *instance = make_instance();
	struct shoal_packet **packets = calloc(config.packets, sizeof(*packets));
	unsigned taken = 0;
	uint64_t lost;
	int file = mkstemp(path);

	assert_true(file >= 0 && packets);
	close(file);
	write_capture(path, 0);
	attach_capture(instance, 0, path);
	attach_capture(instance, 1, path);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(row(instance, names[i], "inside") + row(instance, names[i], "outside"), 0);
	while (taken < config.packets && (packets[taken] = shoal_packet_alloc(instance->pool, 60)))
		taken++;
	shoal_worker_poll(&instance->worker, SHOAL_NS_PER_S);
	lost = row(instance, "port_device_no_buffer_total", "inside");
	assert_in_range(lost, 1, FRAMES - 1);
	assert_in_range(row(instance, "port_device_no_buffer_total", "outside"), 1, FRAMES - 1);
	assert_int_equal(row(instance, "packets_received_total", "inside"), 0);
	while (taken)
		shoal_packet_free(packets[--taken]);
	poll_to_the_end(instance);
	assert_int_equal(row(instance, "packets_received_total", "inside"), FRAMES - lost);
	assert_int_equal(row(instance, "port_device_no_buffer_total", "inside"), lost);
	shoal_instance_destroy(instance);
	free(packets);
	unlink(path);
}

/* A frame longer than a packet buffer is a named drop too. */
static void frames_too_long_have_a_name(void **state)
{
	char path[] = "/tmp/shoal-instance-XXXXXX";
	struct shoal_instance *instance = make_instance();
	int file = mkstemp(path);

	assert_true(file >= 0);
	close(file);
	write_capture(path, 3000);
	attach_capture(instance, 0, path);
	poll_to_the_end(instance);
	assert_int_equal(row(instance, "packets_received_total", "inside"), FRAMES - 1);
	assert_int_equal(row(instance, "port_too_long_total", "inside"), 1);
	shoal_instance_destroy(instance);
	unlink(path);
}

/* Reads its devices no more, and says so once nothing is in hand; takes them up again if it is told to. */
static void a_draining_instance_takes_nothing_new(void **state)
{
	char path[] = "/tmp/shoal-instance-XXXXXX";
	struct shoal_instance *instance = make_instance();
	struct shoal_drain_progress progress;
	int file = mkstemp(path);

	assert_true(file >= 0);
	close(file);
	write_capture(path, 0);
	attach_capture(instance, 0, path);
	attach_capture(instance, 1, path);
	assert_int_equal(shoal_instance_drain(instance, 0, &progress), 0);
	assert_false(progress.draining || progress.empty);
	assert_int_equal(shoal_instance_drain(instance, 1, &progress), 0);
	assert_true(progress.draining);
	assert_false(progress.empty); /* it has not polled since */
	poll_to_the_end(instance);
	assert_int_equal(shoal_instance_drain(instance, 1, &progress), 0);
	assert_true(progress.empty);
	assert_int_equal(row(instance, "packets_received_total", "inside"), 0);
	assert_int_equal(shoal_instance_drain(instance, 0, &progress), 0);
	poll_to_the_end(instance);
	assert_int_equal(row(instance, "packets_received_total", "inside"), FRAMES);
	shoal_instance_destroy(instance);
	unlink(path);
}

static void wait_for_row(struct shoal_instance *instance, const char *name, const char *value, uint64_t wanted)
{
	uint64_t deadline = shoal_clock_now() + DEADLINE_NS;

	while (row(instance, name, value) != wanted) {
		assert_true(shoal_clock_now() < deadline);
		sched_yield();
	}
}

/* Two threads: one receives, the other does the rest; a device that comes while they run is read too, and one that drains is not. */
static void a_pipe_is_two_threads(void **state)
{
	const struct shoal_runner_config threads[] = { { "worker", -1, SHOAL_IDLE_YIELD, 4, 0 },
		{ "receiver", -1, SHOAL_IDLE_YIELD, 4, 0 } };
	char path[] = "/tmp/shoal-instance-XXXXXX";
	struct shoal_drain_progress progress = { .empty = 0 };
	struct shoal_runner *runners[2];
	struct shoal_instance *instance;
	int file = mkstemp(path);

	assert_true(file >= 0);
	close(file);
	write_capture(path, 0);
	config.pipe = 1;
	instance = make_instance();
	for (unsigned i = 0; i < 2; i++)
		assert_non_null(runners[i] = shoal_runner_create(&threads[i]));
	attach_capture(instance, 0, path);
	assert_int_equal(shoal_instance_run_on(instance, runners[0]), 0);
	assert_int_equal(shoal_instance_run_pipe_on(instance, runners[0]), -EINVAL); /* that is one thread */
	assert_int_equal(shoal_instance_run_pipe_on(instance, runners[1]), 0);
	assert_int_equal(shoal_instance_run_pipe_on(instance, runners[1]), -EBUSY);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(shoal_runner_start(runners[i]), 0);
	wait_for_row(instance, "packets_received_total", "inside", FRAMES);
	assert_int_equal(shoal_instance_drain(instance, 1, &progress), 0);
	attach_capture(instance, 1, path);
	for (uint64_t deadline = shoal_clock_now() + DEADLINE_NS; !progress.empty;) {
		assert_int_equal(shoal_instance_drain(instance, 1, &progress), 0);
		assert_true(shoal_clock_now() < deadline);
	}
	assert_int_equal(row(instance, "packets_received_total", "outside"), 0);
	assert_int_equal(shoal_instance_drain(instance, 0, &progress), 0);
	wait_for_row(instance, "packets_received_total", "outside", FRAMES);
	assert_int_equal(row(instance, "pipe_packets", ""), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(shoal_runner_stop(runners[i]), 0);
	shoal_instance_destroy(instance);
	for (unsigned i = 0; i < 2; i++)
		shoal_runner_destroy(runners[i]);
	config.pipe = 0;
	unlink(path);
}

/* A ring that comes and goes; what it has sent into the pipe when it goes has nowhere to leave by. */
static void a_ring_goes_with_what_it_sent(void **state)
{
	struct shoal_packet_ring *splitter;
	struct shoal_instance *instance;
	int descriptor = shoal_ring_pair_create(1 << 20);

	assert_true(descriptor >= 0);
	config.pipe = 1;
	instance = make_instance();
	assert_int_equal(shoal_instance_attach_packet_ring(instance, descriptor), 0);
	assert_int_equal(shoal_instance_attach_packet_ring(instance, descriptor), -EEXIST);
	assert_non_null(splitter = shoal_packet_ring_create(descriptor, 0, made_pool));
	for (uint16_t number = 0; number < FRAMES; number++) {
		struct made_frame frame;

		made_udp_frame(&frame, number);
		struct shoal_packet *packet = made_packet(&frame);
		struct shoal_port *port = shoal_packet_ring_port(splitter);

		assert_int_equal(port->operations->transmit(port, &packet, 1), 1);
	}
	assert_true(shoal_packet_ring_send_marker(splitter, 1, 1));
	shoal_packet_ring_port(splitter)->operations->flush(shoal_packet_ring_port(splitter));
	while (shoal_pipe_poll(instance->pipe, 1))
		;
	assert_int_equal(row(instance, "pipe_packets", ""), FRAMES);
	assert_int_equal(shoal_instance_detach_packet_ring(instance), 0);
	assert_int_equal(row(instance, "drops_total", "no_port"), FRAMES);
	assert_int_equal(row(instance, "pipe_packets", ""), 0);
	assert_int_equal(shoal_instance_detach_packet_ring(instance), -ENOENT);
	assert_int_equal(shoal_instance_attach_packet_ring(instance, descriptor), 0);
	shoal_worker_poll(&instance->worker, SHOAL_NS_PER_S);
	assert_int_equal(row(instance, "markers_returned_total", ""), 0);
	close(descriptor);
	shoal_packet_ring_port(splitter)->operations->destroy(shoal_packet_ring_port(splitter));
	shoal_instance_destroy(instance);
	config.pipe = 0;
}

/* Packets in a pipe need buffers; who has none has no thread for one. */
static void a_pipe_is_asked_for(void **state)
{
	const struct shoal_runner_config thread = { "receiver", -1, SHOAL_IDLE_YIELD, 4, 0 };
	struct shoal_runner *runner = shoal_runner_create(&thread);
	struct shoal_instance *instance = make_instance();

	assert_int_equal(shoal_instance_run_pipe_on(instance, runner), -EINVAL);
	assert_non_null(strstr(shoal_last_error(), "has no pipe"));
	shoal_instance_destroy(instance);
	shoal_runner_destroy(runner);
	config.pipe = 1;
	config.packets = 2047;
	assert_null(shoal_instance_create(&config));
	assert_non_null(strstr(shoal_last_error(), "2048 more are needed"));
	config.packets = 4095;
	config.pipe = 0;
}

/* What can be done about it depends on the machine's memory: the sentence says so. */
static void packets_that_find_no_memory(void **state)
{
	config.packets = 65535;
	errno = 0;
	assert_null(shoal_instance_create(&config));
	assert_int_equal(errno, ENOMEM);
	assert_non_null(strstr(shoal_last_error(), "echo-1: no memory for"));
	assert_non_null(strstr(shoal_last_error(), "MiB. EAL has no more ordinary memory: ask for fewer `packets`"));
	config.packets = 4095;
}

static int set_up(void **state)
{
	static char prefix[48];
	char program[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);

	snprintf(prefix, sizeof(prefix), "instance-test-%d", (int)getpid());
	if (length <= 0)
		return -1;
	program[length] = 0;
	if (snprintf(config.nf_path, sizeof(config.nf_path), "%s/io/nf_loader_echo.so", dirname(program)) >=
		(int)sizeof(config.nf_path))
		return -1;
	return made_pool_set_up(prefix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_devices_lose_has_a_name),
		cmocka_unit_test(frames_too_long_have_a_name),
		cmocka_unit_test(a_draining_instance_takes_nothing_new),
		cmocka_unit_test(a_pipe_is_two_threads),
		cmocka_unit_test(a_ring_goes_with_what_it_sent),
		cmocka_unit_test(a_pipe_is_asked_for),
		cmocka_unit_test(packets_that_find_no_memory),
	};

	return cmocka_run_group_tests_name("instance", tests, set_up, made_pool_tear_down);
}
