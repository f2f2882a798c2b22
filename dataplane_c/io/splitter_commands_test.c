/* SPDX-License-Identifier: BSD-3-Clause */
/* The splitter as a process has it: created from a configuration with an NF's shared object, polled by a runner's thread,
 * told what to do by this one. Its ports are packet rings, whose other ends are this test's. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <rte_mempool.h>

#include "io/splitter.h"
#include "worker/runner.h"

#define POOL_PACKETS 2047
#define DEADLINE_NS (10 * SHOAL_NS_PER_S)
#define INSIDE 0
#define OUTSIDE 1

static struct rte_mempool *pool;
static struct shoal_splitter_config config = {
	.name = "splitter", .packets = 4095, .parked_max = 1024, .fragments_max = 256, .ring_bytes = 1 << 17
};
static struct shoal_splitter *splitter;
static struct shoal_runner *runner;

struct end {
	struct shoal_packet_ring *ring;
	struct shoal_port *port;
};
static struct end outer[2]; /* the test's end of each port */

static struct end end_open(int descriptor, unsigned side)
{
	struct end end = { .ring = shoal_packet_ring_create(descriptor, side, pool) };

	assert_non_null(end.ring);
	end.port = shoal_packet_ring_port(end.ring);
	return end;
}

static void end_close(struct end *end)
{
	end->port->operations->destroy(end->port);
	*end = (struct end){ 0 };
}

static void expect_error(int code, int expected, const char *words)
{
	assert_int_equal(code, -expected);
	if (strstr(shoal_last_error(), words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", shoal_last_error(), words);
}

/* --- Life --------------------------------------------------------------------------------------------------------- */

static void expect_refused(struct shoal_splitter_config wrong, const char *words)
{
	assert_null(shoal_splitter_create(&wrong));
	expect_error(-errno, errno, words);
}

#define WRONG(words, ...)                                                                                              \
	do {                                                                                                           \
		struct shoal_splitter_config wrong = config;                                                           \
		__VA_ARGS__;                                                                                           \
		expect_refused(wrong, words);                                                                          \
	} while (0)

static void test_create_refuses(void **state)
{
	(void)state;
	WRONG("parked_max is 0", wrong.parked_max = 0);
	WRONG("fragments_max is 1", wrong.fragments_max = 1);
	WRONG("at least 3328", wrong.packets = 3327);
	WRONG("a power of two", wrong.ring_bytes = 100000);
	WRONG("a power of two", wrong.ring_bytes = 32768);
	WRONG("no such file", wrong.nf_path[0] = 'x');
}

static void test_settings(void **state)
{
	struct shoal_splitter *made = shoal_splitter_create(&config);

	(void)state;
	assert_non_null(made);
	expect_error(shoal_splitter_set(made, "colour", "red"), EINVAL, "echo has no setting colour");
	assert_int_equal(shoal_splitter_set(made, "greeting", "hello"), 0);
	assert_int_equal(shoal_splitter_init_nf(made), 0);
	expect_error(shoal_splitter_init_nf(made), EBUSY, "initialised already");
	expect_error(shoal_splitter_set(made, "greeting", "again"), EBUSY, "initialised already");
	shoal_splitter_destroy(made);
	shoal_splitter_destroy(NULL);
}

static void port_attach(uint8_t nf_port)
{
	int descriptor = shoal_ring_pair_create(config.ring_bytes);
	struct end inner;

	assert_true(descriptor >= 0);
	outer[nf_port] = end_open(descriptor, 0);
	inner = end_open(descriptor, 1);
	close(descriptor);
	assert_int_equal(shoal_splitter_attach_given_port(splitter, nf_port, inner.port), 0);
}

static int begin(void **state)
{
	struct shoal_runner_config runs = {
		.name = "splitter", .cpu = -1, .idle_policy = SHOAL_IDLE_YIELD, .idle_polls = 10
	};

	(void)state;
	splitter = shoal_splitter_create(&config);
	runner = shoal_runner_create(&runs);
	if (splitter == NULL || runner == NULL || shoal_splitter_init_nf(splitter) != 0)
		return -1;
	port_attach(INSIDE); /* one before, one while it is polled */
	if (shoal_splitter_run_on(splitter, runner) != 0 || shoal_runner_start(runner) != 0)
		return -1;
	port_attach(OUTSIDE);
	return 0;
}

static int end(void **state)
{
	(void)state;
	assert_int_equal(shoal_runner_stop(runner), 0);
	end_close(&outer[INSIDE]);
	end_close(&outer[OUTSIDE]);
	shoal_splitter_destroy(splitter);
	shoal_runner_destroy(runner);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	return 0;
}

/* --- Traffic ------------------------------------------------------------------------------------------------------ */

static struct end member_attach(uint16_t member)
{
	int descriptor = shoal_splitter_attach_member(splitter, member);
	struct end instance;

	if (descriptor < 0)
		fail_msg("%s", shoal_last_error());
	instance = end_open(descriptor, 1);
	close(descriptor);
	return instance;
}

static void table_set(uint8_t member)
{
	uint8_t table[SHOAL_STEERING_SLOTS];

	memset(table, member, sizeof(table));
	assert_int_equal(shoal_splitter_set_table(splitter, table), 0);
}

/* A UDP packet from inside, of the flow with that source port. */
static void send_packet(uint16_t port, uint8_t number)
{
	static const uint8_t head[] = { [12] = 8,
		[14] = 0x45,
		[17] = 46,
		[22] = 64,
		[23] = 17,
		[26] = 10,
		[30] = 20,
		[36] = 35,
		[37] = 40,
		[39] = 26 };
	struct shoal_packet *packet = shoal_packet_alloc(pool, 60);

	assert_non_null(packet);
	memset(packet->frame, 0, 60);
	memcpy(packet->frame, head, sizeof(head));
	packet->frame[34] = (uint8_t)(port >> 8);
	packet->frame[35] = (uint8_t)port;
	packet->frame[42] = number;
	packet->port = INSIDE;
	assert_int_equal(outer[INSIDE].port->operations->transmit(outer[INSIDE].port, &packet, 1), 1);
	outer[INSIDE].port->operations->flush(outer[INSIDE].port);
}

/* What an instance does in one poll: all to the other port; markers back. */
static void echo(struct end *instance)
{
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	unsigned n = instance->port->operations->receive(instance->port, packets, SHOAL_BURST_MAX, 0);
	uint32_t marker;
	uint8_t slot;

	for (unsigned i = 0; i < n; i++)
		packets[i]->port = 1 - packets[i]->port;
	assert_int_equal(instance->port->operations->transmit(instance->port, packets, n), n);
	while (shoal_packet_ring_take_marker(instance->ring, &slot, &marker))
		assert_true(shoal_packet_ring_return_marker(instance->ring, slot, marker));
	instance->port->operations->flush(instance->port);
}

/* Until n packets have come out at the outside, numbered from `number` on. */
static void expect_packets(struct end *instances[], unsigned instances_count, unsigned n, uint8_t number)
{
	uint64_t deadline = shoal_clock_now() + DEADLINE_NS;
	struct shoal_packet *packets[SHOAL_BURST_MAX];

	for (unsigned got = 0; got < n;) {
		unsigned came =
			outer[OUTSIDE].port->operations->receive(outer[OUTSIDE].port, packets, SHOAL_BURST_MAX, 0);

		for (unsigned i = 0; i < came; i++, got++) {
			assert_int_equal(packets[i]->frame[42], (uint8_t)(number + got));
			shoal_packet_free(packets[i]);
		}
		for (unsigned i = 0; i < instances_count; i++)
			echo(instances[i]);
		assert_true(shoal_clock_now() < deadline);
	}
}

static void expect_redirected(struct end *instances[], unsigned instances_count, uint32_t done)
{
	uint64_t deadline = shoal_clock_now() + DEADLINE_NS;
	struct shoal_redirect_progress progress;

	do {
		for (unsigned i = 0; i < instances_count; i++)
			echo(instances[i]);
		assert_int_equal(shoal_splitter_redirect_progress(splitter, 0, &progress), 0);
		assert_true(shoal_clock_now() < deadline);
	} while (progress.pending != 0);
	assert_int_equal(progress.done, done);
}

static uint64_t row(const char *name, const char *label_value)
{
	static struct shoal_statistic rows[1024];
	long n = shoal_splitter_statistics(splitter, rows, 1024);

	assert_in_range(n, 1, 1024);
	for (long i = 0; i < n; i++)
		if (strcmp(rows[i].name, name) == 0 && strcmp(rows[i].label_value, label_value) == 0)
			return rows[i].value;
	fail_msg("no row %s %s", name, label_value);
	return 0;
}

static void test_a_redirection_while_it_is_polled(void **state)
{
	struct end one = member_attach(1), two = member_attach(2);
	struct end *both[] = { &one, &two }, *first[] = { &one };
	uint8_t slots[32] = { [5] = 1 << 2 }, table[SHOAL_STEERING_SLOTS]; /* slot 42 */

	(void)state;
	table_set(1);
	for (uint8_t i = 0; i < 50; i++)
		send_packet(0x1000 + 42, i);
	expect_packets(first, 1, 50, 0);
	assert_int_equal(shoal_splitter_redirect(splitter, slots, 2), 0);
	for (uint8_t i = 50; i < 120; i++)
		send_packet(0x1000 + 42, i);
	expect_redirected(both, 2, 1);
	expect_packets(both, 2, 70, 50);
	assert_int_equal(shoal_splitter_get_table(splitter, table), 0);
	assert_int_equal(table[42], 2);
	assert_int_equal(table[41], 1);
	assert_int_equal(row("splitter_transmitted_packets_total", ""), 120);
	assert_int_equal(
		row("splitter_member_sent_packets_total", "1") + row("splitter_member_sent_packets_total", "2"), 120);
	assert_int_equal(row("splitter_inside_packets", ""), 0);
	end_close(&one);
	end_close(&two);
}

static void test_detach_counts_what_was_inside(void **state)
{
	struct end one = member_attach(1), two = member_attach(2);
	struct end *second[] = { &two };
	uint8_t all[32];
	uint64_t deadline = shoal_clock_now() + DEADLINE_NS;

	(void)state;
	memset(all, 0xff, sizeof(all));
	table_set(1);
	for (uint8_t i = 0; i < 30; i++)
		send_packet(7, i);
	while (row("splitter_member_sent_packets_total", "1") < 30)
		assert_true(shoal_clock_now() < deadline);
	end_close(&one); /* it dies with all of them in its ring */
	assert_int_equal(shoal_splitter_detach_member(splitter, 1), 0);
	expect_error(shoal_splitter_detach_member(splitter, 1), ENOENT, "member 1 is not attached");
	assert_int_equal(row("splitter_drops_total", "instance_died"), 30);
	assert_int_equal(shoal_splitter_redirect(splitter, all, 2), 0);
	send_packet(7, 30);
	expect_packets(second, 1, 1, 30);
	end_close(&two);
}

static void test_commands_refuse_in_words(void **state)
{
	struct end one = member_attach(1), two = member_attach(2), three = member_attach(3);
	uint8_t slots[32] = { 1 }, table[SHOAL_STEERING_SLOTS];

	(void)state;
	memset(table, SHOAL_MEMBER_NONE, sizeof(table));
	table[9] = 4;
	expect_error(shoal_splitter_set_table(splitter, table), ENOENT, "steering slot 9 is given to member 4");
	table_set(1);
	table[9] = 2;
	expect_error(
		shoal_splitter_set_table(splitter, table), EEXIST, "steering slot 9 is at member 1 already (steady)");
	expect_error(shoal_splitter_attach_member(splitter, 1), EEXIST, "member 1 is attached already");
	expect_error(shoal_splitter_attach_member(splitter, 64), EINVAL, "no member 64");
	expect_error(shoal_splitter_redirect(splitter, slots, 7), ENOENT, "member 7 is not attached");
	assert_int_equal(shoal_splitter_redirect(splitter, slots, 2), 0);
	expect_error(
		shoal_splitter_redirect(splitter, slots, 3), EBUSY, "steering slot 0 is under redirection already");
	expect_error(shoal_splitter_attach_port(splitter, 2, "net_null0"), EINVAL, "NF echo has no port 2");
	expect_error(
		shoal_splitter_attach_port(splitter, 0, "net_null0"), EEXIST, "port inside has packet_ring already");
	expect_error(shoal_splitter_run_on(splitter, runner), EBUSY, "has its runner already");
	end_close(&one);
	end_close(&two);
	end_close(&three);
}

/* net_null gives zeroed frames without end: not IP. */
static void test_a_device_as_port(void **state)
{
	struct shoal_runner_config runs = { .name = "splitter", .cpu = -1, .idle_policy = SHOAL_IDLE_YIELD };
	uint64_t deadline = shoal_clock_now() + DEADLINE_NS;

	(void)state;
	splitter = shoal_splitter_create(&config);
	runner = shoal_runner_create(&runs);
	assert_int_equal(shoal_splitter_init_nf(splitter), 0);
	assert_int_equal(shoal_splitter_run_on(splitter, runner), 0);
	assert_true(shoal_splitter_attach_port(splitter, 0, "no_such_driver0") < 0);
	assert_non_null(strstr(shoal_last_error(), "no_such_driver0"));
	assert_int_equal(shoal_splitter_attach_port(splitter, 0, "net_null0,size=64"), 0);
	assert_int_equal(shoal_runner_start(runner), 0);
	while (row("splitter_drops_total", "not_ip") == 0)
		assert_true(shoal_clock_now() < deadline);
	assert_true(row("splitter_port_received_packets_total", "inside") > 0);
	assert_int_equal(row("splitter_port_missed_total", "inside"), 0);
	assert_int_equal(shoal_runner_stop(runner), 0);
	shoal_splitter_destroy(splitter);
	shoal_runner_destroy(runner);
}

/* --- EAL ---------------------------------------------------------------------------------------------------------- */

static int start(void **state)
{
	static char prefix[48];
	const char *arguments[] = { "splitter-commands-test", "--no-huge", "-m", "128", "--no-pci", "--no-telemetry",
		"--no-shconf", "--file-prefix", prefix };
	char program[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);

	(void)state;
	snprintf(prefix, sizeof(prefix), "splitter-commands-test-%d", (int)getpid());
	if (length <= 0 || shoal_eal_start(sizeof(arguments) / sizeof(arguments[0]), arguments) != 0)
		return -1;
	program[length] = 0;
	if (snprintf(config.nf_path, sizeof(config.nf_path), "%s/io/nf_loader_echo.so", dirname(program)) >=
		(int)sizeof(config.nf_path))
		return -1;
	pool = shoal_packet_pool_create("test", POOL_PACKETS, 2048);
	return pool != NULL ? 0 : -1;
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
		cmocka_unit_test(test_create_refuses),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_a_device_as_port),
		cmocka_unit_test_setup_teardown(test_a_redirection_while_it_is_polled, begin, end),
		cmocka_unit_test_setup_teardown(test_detach_counts_what_was_inside, begin, end),
		cmocka_unit_test_setup_teardown(test_commands_refuse_in_words, begin, end),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
