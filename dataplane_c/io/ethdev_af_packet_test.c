/* SPDX-License-Identifier: BSD-3-Clause */
/* net_af_packet over a veth pair in a network namespace of the test's own; skipped where it may not make one:
 *
 *     port (net_af_packet) ── shoal0 ═══ shoal1 ── raw socket of the test
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/ethdev_port.h"
#include "io/made_port.h"

#define DEADLINE_S 5

static bool own_namespace;

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Receives one packet before the deadline. */
static struct shoal_packet *receive_one(struct shoal_port *port)
{
	double deadline = now_s() + DEADLINE_S;
	struct shoal_packet *packet;

	while (!port->operations->receive(port, &packet, 1, 0)) {
		if (now_s() > deadline)
			fail_msg("no packet within %d s", DEADLINE_S);
		sched_yield();
	}
	return packet;
}

static int run_command(const char *command)
{
	int status = system(command);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int open_socket(const char *interface)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htobe16(3 /* ETH_P_ALL */) };
	int raw = socket(AF_PACKET, SOCK_RAW, htobe16(3));

	address.sll_ifindex = (int)if_nametoindex(interface);
	assert_true(raw >= 0);
	assert_int_equal(bind(raw, (struct sockaddr *)&address, sizeof(address)), 0);
	return raw;
}

/* The kernel's own frames (router solicitations) are not ours: addresses of made frames tell. */
static bool is_made(const uint8_t *bytes, size_t length)
{
	return length > 12 && bytes[0] == 2 && bytes[5] == 2 && bytes[11] == 1;
}

static void make_veth(void **state)
{
	if (!own_namespace)
		skip();
	assert_int_equal(run_command("ip link add shoal0 type veth peer name shoal1 && ip link set shoal0 up && "
				     "ip link set shoal1 up && ip link set lo up"),
		0);
}

static void af_packet_carries_frames(void **state)
{
	struct shoal_port *port;
	struct made_frame frame;
	struct shoal_packet *packet;
	uint8_t bytes[4096];
	ssize_t length;
	int raw;

	make_veth(state);
	raw = open_socket("shoal1");
	port = made_port("net_af_packet0,iface=shoal0");
	for (uint16_t i = 0; i < 300; i++) {
		struct pollfd waiting = { .fd = raw, .events = POLLIN };

		made_udp_frame(&frame, i);
		assert_int_equal(send(raw, frame.bytes, frame.length, 0), frame.length);
		do {
			packet = receive_one(port);
			if (!is_made(packet->frame, packet->length))
				shoal_packet_free(packet);
			else
				break;
		} while (true);
		assert_int_equal(packet->length, frame.length);
		assert_memory_equal(packet->frame, frame.bytes, frame.length);
		packet->frame[20] ^= 0x40;
		assert_int_equal(port->operations->transmit(port, &packet, 1), 1);
		port->operations->flush(port);
		do {
			assert_int_equal(poll(&waiting, 1, DEADLINE_S * 1000), 1);
			length = recv(raw, bytes, sizeof(bytes), 0);
		} while (length <= 0 || !is_made(bytes, (size_t)length) || bytes[20] != (frame.bytes[20] ^ 0x40));
		assert_int_equal(length, frame.length);
	}
	close(raw);
	made_port_close(port);
}

/* The kernel takes the tag off and tells it beside the frame; the packet has it in place again. */
static void af_packet_keeps_vlan_tags(void **state)
{
	struct shoal_port *port;
	struct shoal_packet *packet;
	struct made_frame frame;
	int raw;

	make_veth(state);
	raw = open_socket("shoal1");
	port = made_port("net_af_packet0,iface=shoal0");
	made_ethernet(&frame, SHOAL_ETHER_VLAN);
	made_vlan(&frame, 0x2064, SHOAL_ETHER_IPV4);
	made_ipv4(&frame, SHOAL_PROTOCOL_UDP, 0, 0);
	made_udp(&frame, 1, 2, 50);
	made_finish(&frame);
	assert_int_equal(send(raw, frame.bytes, frame.length, 0), frame.length);
	while (packet = receive_one(port), !is_made(packet->frame, packet->length))
		shoal_packet_free(packet);
	assert_int_equal(packet->length, frame.length);
	assert_memory_equal(packet->frame, frame.bytes, frame.length);
	assert_int_equal(shoal_parse(packet), SHOAL_PARSE_OK);
	assert_true(packet->flags & SHOAL_PACKET_VLAN);
	shoal_packet_free(packet);
	close(raw);
	made_port_close(port);
}

static void af_packet_interface_down(void **state)
{
	make_veth(state);
	assert_int_equal(run_command("ip link set shoal0 down"), 0);
	made_port_refused("net_af_packet0,iface=shoal0", ENETDOWN, "interface shoal0 is down");
	assert_int_equal(run_command("ip link set shoal0 up && ip link set shoal1 down"), 0);
	made_port_refused("net_af_packet0,iface=shoal0", ENETDOWN, "its link is down");
	assert_int_equal(run_command("ip link set shoal1 up"), 0);
	made_port_close(made_port("net_af_packet0,iface=shoal0"));
}

static int remove_veth(void **state)
{
	if (own_namespace)
		run_command("ip link delete shoal0");
	return 0;
}

/* The frame stays in the kernel's ring until there is an mbuf for it. */
static void af_packet_without_buffers(void **state)
{
	struct shoal_packet *packets[MADE_PORT_PACKETS], *packet;
	struct shoal_port *port;
	struct made_frame frame;
	unsigned count = 0;
	int raw;

	make_veth(state);
	raw = open_socket("shoal1");
	port = made_port("net_af_packet0,iface=shoal0");
	while (count < MADE_PORT_PACKETS && (packets[count] = shoal_packet_alloc(made_pool, 60)))
		count++;
	assert_int_equal(count, MADE_PORT_PACKETS);
	made_udp_frame(&frame, 7);
	assert_int_equal(send(raw, frame.bytes, frame.length, 0), frame.length);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(port->operations->receive(port, &packet, 1, 0), 0);
	while (count)
		shoal_packet_free(packets[--count]);
	while (packet = receive_one(port), !is_made(packet->frame, packet->length))
		shoal_packet_free(packet);
	assert_memory_equal(packet->frame, frame.bytes, frame.length);
	shoal_packet_free(packet);
	close(raw);
	made_port_close(port);
}

static int set_up(void **state)
{
	own_namespace = !unshare(CLONE_NEWNET);
	return made_pool_set_up("shoal-ethdev-af-packet-test");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(af_packet_carries_frames, remove_veth),
		cmocka_unit_test_teardown(af_packet_keeps_vlan_tags, remove_veth),
		cmocka_unit_test_teardown(af_packet_interface_down, remove_veth),
		cmocka_unit_test_teardown(af_packet_without_buffers, remove_veth),
	};

	return cmocka_run_group_tests_name("ethdev_af_packet", tests, set_up, made_pool_tear_down);
}
