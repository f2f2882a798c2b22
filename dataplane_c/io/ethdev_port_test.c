/* SPDX-License-Identifier: BSD-3-Clause */
/* Ports on real drivers: net_null, net_ring (whose transmit queue is its receive queue) and net_pcap. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "io/ethdev_port.h"
#include "io/made_port.h"

static void null_device(void **state)
{
	struct shoal_port *port = made_port("net_null0,size=100,copy=0");
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	uint64_t missed = 1, nombuf = 1, received_errors = 1, sent_errors = 1;

	assert_string_equal(port->name, "net_null0");
	for (unsigned round = 0; round < 100; round++) {
		assert_int_equal(port->operations->receive(port, packets, SHOAL_BURST_MAX, 0), SHOAL_BURST_MAX);
		for (unsigned i = 0; i < SHOAL_BURST_MAX; i++) {
			assert_int_equal(packets[i]->length, 100);
			assert_int_equal(packets[i]->port, 3);
			assert_int_equal(packets[i]->flags, 0);
			assert_int_equal(packets[i]->traffic, 0);
			assert_ptr_equal(rte_mbuf_to_priv(packets[i]->mbuf), packets[i]);
		}
		assert_int_equal(port->operations->transmit(port, packets, SHOAL_BURST_MAX), SHOAL_BURST_MAX);
		port->operations->flush(port);
	}
	assert_int_equal(port->received_packets, 3200);
	assert_int_equal(port->received_bytes, 320000);
	assert_int_equal(port->transmitted_packets, 3200);
	assert_int_equal(port->transmitted_bytes, 320000);
	shoal_ethdev_port_missed(port, &missed, &nombuf);
	shoal_ethdev_port_errors(port, &received_errors, &sent_errors);
	assert_int_equal(missed + nombuf + received_errors + sent_errors, 0);
	made_port_close(port);
}

/* What the NF did to frame and length is what leaves. */
static void ring_device_keeps_frames(void **state)
{
	struct shoal_port *port = made_port("net_ring0");
	struct shoal_packet *sent[SHOAL_BURST_MAX], *received[SHOAL_BURST_MAX];
	struct made_frame frame;

	for (uint16_t i = 0; i < SHOAL_BURST_MAX; i++) {
		made_udp_frame(&frame, i);
		sent[i] = made_packet(&frame);
		sent[i]->flags = UINT16_MAX;
	}
	sent[1]->frame += 4;
	sent[1]->length -= 4;
	sent[2]->length -= 7;
	assert_int_equal(port->operations->transmit(port, sent, SHOAL_BURST_MAX), SHOAL_BURST_MAX);
	assert_int_equal(port->operations->receive(port, received, 0, 0), 0);
	assert_int_equal(port->operations->receive(port, received, 2, 0), 2);
	assert_int_equal(port->operations->receive(port, received + 2, SHOAL_BURST_MAX, 0), SHOAL_BURST_MAX - 2);
	for (uint16_t i = 0; i < SHOAL_BURST_MAX; i++) {
		unsigned start = i == 1 ? 4 : 0, end = i == 2 ? 7 : 0;

		made_udp_frame(&frame, i);
		assert_int_equal(received[i]->length, frame.length - start - end);
		assert_memory_equal(received[i]->frame, frame.bytes + start, received[i]->length);
		assert_int_equal(received[i]->flags, 0);
		shoal_packet_free(received[i]);
	}
	assert_int_equal(port->transmitted_bytes, port->received_bytes);
	made_port_close(port);
}

/* A full device takes what it has room for; the rest stays the caller's. */
static void transmit_to_a_full_device(void **state)
{
	struct shoal_port *port = made_port("net_ring1");
	struct shoal_packet *packets[MADE_PORT_PACKETS], *packet;
	struct made_frame frame;
	unsigned sent;

	made_udp_frame(&frame, 1);
	for (unsigned i = 0; i < MADE_PORT_PACKETS; i++)
		packets[i] = made_packet(&frame);
	sent = port->operations->transmit(port, packets, MADE_PORT_PACKETS);
	assert_in_range(sent, 1, MADE_PORT_PACKETS - 1);
	assert_int_equal(port->transmitted_packets, sent);
	assert_int_equal(port->transmitted_bytes, (uint64_t)sent * frame.length);
	for (unsigned i = sent; i < MADE_PORT_PACKETS; i++)
		shoal_packet_free(packets[i]);
	for (unsigned i = 0; i < sent; i++) {
		assert_int_equal(port->operations->receive(port, &packet, 1, 0), 1);
		shoal_packet_free(packet);
	}
	made_port_close(port);
}

/* --- Capture files --- */

struct capture_record {
	uint32_t seconds, microseconds, captured, length;
};

static void write_capture(const char *path, const struct made_frame *frames, unsigned count)
{
	static const uint32_t header[6] = { 0xa1b2c3d4, 4 << 16 | 2, 0, 0, 262144, 1 };
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(header, sizeof(header), 1, file), 1);
	for (unsigned i = 0; i < count; i++) {
		struct capture_record record = { .captured = frames[i].length, .length = frames[i].length };

		assert_int_equal(fwrite(&record, sizeof(record), 1, file), 1);
		assert_int_equal(fwrite(frames[i].bytes, frames[i].length, 1, file), 1);
	}
	assert_int_equal(fclose(file), 0);
}

/* Frames of the sent capture, behind its header. */
static void assert_capture_holds(const char *path, const struct made_frame *frames, unsigned count)
{
	struct capture_record record;
	uint8_t bytes[4096];
	FILE *file = fopen(path, "rb");

	assert_non_null(file);
	assert_int_equal(fread(bytes, 24, 1, file), 1);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(fread(&record, sizeof(record), 1, file), 1);
		assert_int_equal(record.captured, frames[i].length);
		assert_int_equal(fread(bytes, record.captured, 1, file), 1);
		assert_memory_equal(bytes, frames[i].bytes, record.captured);
	}
	assert_int_equal(fread(bytes, 1, 1, file), 0);
	fclose(file);
}

static void pcap_device(void **state)
{
	char folder[] = "/tmp/shoal-ethdev-XXXXXX", in[64], out[64], devargs[256];
	struct made_frame frames[3];
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	struct shoal_port *port;

	assert_non_null(mkdtemp(folder));
	snprintf(in, sizeof(in), "%s/in.pcap", folder);
	snprintf(out, sizeof(out), "%s/out.pcap", folder);
	made_udp_frame(&frames[0], 1);
	made_udp_frame(&frames[1], 2);
	memset(made_append(&frames[1], 1400), 0x5a, 1400); /* near an Ethernet frame's end */
	made_udp_frame(&frames[2], 3);
	write_capture(in, frames, 3);
	snprintf(devargs, sizeof(devargs), "net_pcap0,rx_pcap=%s,tx_pcap=%s", in, out);
	port = made_port(devargs);
	assert_int_equal(port->operations->receive(port, packets, SHOAL_BURST_MAX, 0), 3);
	assert_int_equal(port->operations->transmit(port, packets, 3), 3);
	made_port_close(port);
	assert_capture_holds(out, frames, 3);
	unlink(in);
	unlink(out);
	assert_int_equal(rmdir(folder), 0);
}

/* As to a foreign process (TRex, VPP): one end serves the socket, the other one comes later. */
static void memif_devices(void **state)
{
	char folder[] = "/tmp/shoal-ethdev-XXXXXX", server[128], client[128];
	struct shoal_packet *sent, *received;
	struct shoal_port *ports[2];
	struct made_frame frame;
	uint64_t deadline;

	assert_non_null(mkdtemp(folder));
	snprintf(server, sizeof(server), "net_memif0,role=server,socket=%s/memif,socket-abstract=no", folder);
	snprintf(client, sizeof(client), "net_memif1,role=client,socket=%s/memif,socket-abstract=no", folder);
	ports[0] = made_port(server);
	ports[1] = made_port(client);
	for (uint16_t i = 0; i < 200; i++) {
		struct shoal_port *from = ports[i % 2], *to = ports[!(i % 2)];
		bool left = false;

		made_udp_frame(&frame, i);
		sent = made_packet(&frame);
		deadline = rte_get_timer_cycles() + 10 * rte_get_timer_hz();
		/* The driver's thread connects them; the server sends into buffers that the client's receiving offers. */
		while (!to->operations->receive(to, &received, 1, 0)) {
			left = left || from->operations->transmit(from, &sent, 1);
			assert_true(rte_get_timer_cycles() < deadline);
		}
		assert_int_equal(received->length, frame.length);
		assert_memory_equal(received->frame, frame.bytes, frame.length);
		shoal_packet_free(received);
	}
	ports[1]->operations->destroy(ports[1]);
	made_port_close(ports[0]);
	assert_int_equal(rmdir(folder), 0);
}

/* A frame longer than an mbuf comes as several segments: a named drop, and the packets around it live. */
static void too_long_frames_are_dropped(void **state)
{
	char path[] = "/tmp/shoal-ethdev-XXXXXX", devargs[256];
	struct rte_mempool *small = shoal_packet_pool_create("small", 255, 512);
	struct made_frame frames[3];
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	struct shoal_port *port;
	int file = mkstemp(path);

	assert_non_null(small);
	assert_true(file >= 0);
	close(file);
	for (uint16_t i = 0; i < 3; i++)
		made_udp_frame(&frames[i], i);
	memset(made_append(&frames[1], 1000), 0x5a, 1000);
	write_capture(path, frames, 3);
	snprintf(devargs, sizeof(devargs), "net_pcap1,rx_pcap=%s,tx_pcap=/dev/null", path);
	port = shoal_ethdev_port_create(devargs, 0, small, made_error, sizeof(made_error));
	if (!port)
		fail_msg("%s", made_error);
	assert_int_equal(port->operations->receive(port, packets, SHOAL_BURST_MAX, 0), 2);
	assert_int_equal(packets[0]->length, frames[0].length);
	assert_int_equal(packets[1]->length, frames[2].length);
	assert_int_equal(port->dropped_too_long, 1);
	assert_int_equal(port->received_packets, 2);
	shoal_packet_free(packets[0]);
	shoal_packet_free(packets[1]);
	made_port_close(port);
	assert_int_equal(rte_mempool_avail_count(small), 255);
	rte_mempool_free(small);
	unlink(path);
}

/* What the driver loses for want of an mbuf, it counts. */
static void empty_pool_is_counted(void **state)
{
	char path[] = "/tmp/shoal-ethdev-XXXXXX", devargs[256];
	struct shoal_packet *packets[MADE_PORT_PACKETS], *received[SHOAL_BURST_MAX];
	uint64_t missed = 0, nombuf = 0;
	struct made_frame frames[2];
	struct shoal_port *port;
	int file = mkstemp(path);

	assert_true(file >= 0);
	close(file);
	made_udp_frame(&frames[0], 1);
	made_udp_frame(&frames[1], 2);
	write_capture(path, frames, 2);
	snprintf(devargs, sizeof(devargs), "net_pcap2,rx_pcap=%s,tx_pcap=/dev/null", path);
	port = made_port(devargs);
	for (unsigned i = 0; i < MADE_PORT_PACKETS; i++)
		assert_non_null(packets[i] = shoal_packet_alloc(made_pool, 60));
	assert_int_equal(port->operations->receive(port, received, SHOAL_BURST_MAX, 0), 0);
	shoal_ethdev_port_missed(port, &missed, &nombuf);
	assert_int_equal(nombuf, 1);
	assert_int_equal(missed, 0);
	for (unsigned i = 0; i < MADE_PORT_PACKETS; i++)
		shoal_packet_free(packets[i]);
	assert_int_equal(port->operations->receive(port, received, SHOAL_BURST_MAX, 0), 1);
	shoal_packet_free(received[0]);
	made_port_close(port);
	unlink(path);
}

static int set_up(void **state)
{
	return made_pool_set_up("shoal-ethdev-port-test");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(null_device),
		cmocka_unit_test(ring_device_keeps_frames),
		cmocka_unit_test(transmit_to_a_full_device),
		cmocka_unit_test(pcap_device),
		cmocka_unit_test(memif_devices),
		cmocka_unit_test(too_long_frames_are_dropped),
		cmocka_unit_test(empty_pool_is_counted),
	};

	return cmocka_run_group_tests_name("ethdev_port", tests, set_up, made_pool_tear_down);
}
