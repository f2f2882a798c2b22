/* SPDX-License-Identifier: BSD-3-Clause */
/* The channel's transports: messages packed into frames as the channel packs them, one poll for a batch. */
#include <unistd.h>

#include "carrier.h"
#include "channel/ring_transport.h"
#include "channel/tcp_transport.h"
#include "worker/runner.h"

#define PATIENCE_MS                                                                                                    \
	60000u /* another process may have the core for a while: a link must not give its peer up meanwhile */

static unsigned messages_of_frame(const struct carrier *carrier)
{
	unsigned messages = SHOAL_CHANNEL_FRAME_BYTES / carrier->bytes;

	return messages ? messages : 1;
}

static unsigned link_send(struct carrier *carrier, unsigned side, unsigned batch)
{
	struct shoal_link *link = carrier->sides[side].state;
	unsigned sent = 0, most = messages_of_frame(carrier);

	while (sent < batch) {
		unsigned messages = batch - sent < most ? batch - sent : most;
		uint8_t *frame = link->operations->reserve(link, messages * carrier->bytes);

		if (!frame)
			break;
		for (unsigned i = 0; i < messages; i++)
			carrier_write(frame + i * carrier->bytes, carrier->sides[side].source, carrier->bytes);
		link->operations->commit(link, messages * carrier->bytes);
		sent += messages;
	}
	link->operations->poll(link, shoal_clock_now());
	return sent;
}

/* Whole frames are taken: at most one frame's messages more than asked for. */
static unsigned link_receive(struct carrier *carrier, unsigned side, unsigned batch)
{
	struct shoal_link *link = carrier->sides[side].state;
	unsigned received = 0;
	const uint8_t *frame;
	uint32_t length;

	while (received < batch && (frame = link->operations->peek(link, &length))) {
		carrier->sides[side].sum += carrier_read(frame, length);
		received += length / carrier->bytes;
		link->operations->consume(link);
	}
	link->operations->poll(link, shoal_clock_now());
	return received;
}

static void link_close(struct carrier *carrier)
{
	for (unsigned side = 0; side < 2; side++) {
		struct shoal_link *link = carrier->sides[side].state;

		link->operations->destroy(link);
	}
	if (carrier->shared)
		shoal_tcp_listener_destroy(carrier->shared);
}

static bool ring_open(struct carrier *carrier, unsigned bytes)
{
	int descriptor = shoal_ring_pair_create(SHOAL_RING_TRANSPORT_CAPACITY);

	for (unsigned side = 0; side < 2; side++)
		carrier->sides[side].state = shoal_ring_transport_create(descriptor, side);
	close(descriptor);
	return carrier->sides[0].state && carrier->sides[1].state;
}

const struct carrier_kind carrier_ring_link = { "ring_transport", 4096, ring_open, link_close, link_send,
	link_receive };

static bool up(const struct carrier *carrier)
{
	for (unsigned side = 0; side < 2; side++)
		if (((const struct shoal_link *)carrier->sides[side].state)->state != SHOAL_LINK_UP)
			return false;
	return true;
}

static bool tcp_open(struct carrier *carrier, unsigned bytes)
{
	static const struct shoal_tcp_identity identities[2] = { { .cluster = 1, .life = 1, .member = 0 },
		{ .cluster = 1, .life = 2, .member = 1 } };
	static const struct shoal_tcp_peer peers[2] = { { .member = 0, .life = 1 }, { .member = 1, .life = 2 } };
	struct shoal_tcp_timing timing = shoal_tcp_timing_default;
	struct shoal_tcp_listener *listener = shoal_tcp_listener_create("127.0.0.1", 0, &identities[0]);
	uint64_t end = shoal_clock_now() + PATIENCE_MS * SHOAL_NS_PER_MS;

	timing.connect = timing.silent = PATIENCE_MS;
	timing.user_timeout = 2 * PATIENCE_MS;
	carrier->shared = listener;
	if (!listener)
		return false;
	carrier->sides[0].state = shoal_tcp_link_listen(listener, &peers[1], &timing);
	carrier->sides[1].state = shoal_tcp_link_connect(
		&identities[1], &peers[0], "127.0.0.1", shoal_tcp_listener_port(listener), &timing);
	if (!carrier->sides[0].state || !carrier->sides[1].state)
		return false;
	while (!up(carrier) && shoal_clock_now() < end) {
		for (unsigned side = 0; side < 2; side++) {
			struct shoal_link *link = carrier->sides[side].state;

			link->operations->poll(link, shoal_clock_now());
		}
	}
	return up(carrier);
}

const struct carrier_kind carrier_tcp_link = { "tcp_transport", 4096, tcp_open, link_close, link_send, link_receive };
