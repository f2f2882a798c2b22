/* SPDX-License-Identifier: BSD-3-Clause */
/* State of the link, and who changes it (transition() alone):
 *
 *   from        to      by        why
 *   UP          BROKEN  poll      the mapping holds what no peer of ours writes
 *   UP, BROKEN  ENDED   ended     somebody knows that the peer's process is gone
 * Forbidden: any other; a broken mapping cannot be trusted again. */
#include "channel/ring_transport.h"

#include <errno.h>
#include <stdlib.h>

#include "queue/ring.h"

struct ring_transport {
	struct shoal_link link;
	struct shoal_ring_pair pair;
	struct shoal_ring untaken; /* a consumer's view of what we produced, once the peer is gone */
};

static struct ring_transport *transport_of(struct shoal_link *link)
{
	return (struct ring_transport *)link;
}

static void transition(struct shoal_link *link, enum shoal_link_state state, const char *reason)
{
	if (link->state == SHOAL_LINK_ENDED || link->state == state)
		return;
	link->reason = reason;
	link->state = state;
}

static void *ring_transport_reserve(struct shoal_link *link, uint32_t length)
{
	if (SHOAL_UNLIKELY(link->state != SHOAL_LINK_UP || length > SHOAL_CHANNEL_FRAME_BYTES_MAX))
		return NULL;
	return shoal_ring_reserve(&transport_of(link)->pair.out, length);
}

static void ring_transport_commit(struct shoal_link *link, uint32_t length)
{
	shoal_ring_push(&transport_of(link)->pair.out, length);
}

static const void *ring_transport_peek(struct shoal_link *link, uint32_t *length)
{
	const void *frame = shoal_ring_peek(&transport_of(link)->pair.in, length);

	/* A record may be longer than a frame only if no transport of ours wrote it. */
	if (SHOAL_UNLIKELY(frame && *length > SHOAL_CHANNEL_FRAME_BYTES_MAX)) {
		shoal_ring_reject(&transport_of(link)->pair.in);
		frame = NULL;
	}
	return frame;
}

static void ring_transport_consume(struct shoal_link *link)
{
	shoal_ring_pop(&transport_of(link)->pair.in);
}

static void ring_transport_poll(struct shoal_link *link, uint64_t now_ns)
{
	struct ring_transport *transport = transport_of(link);

	(void)now_ns;
	shoal_ring_flush(&transport->pair.out);
	shoal_ring_consumed(&transport->pair.in);
	if (SHOAL_UNLIKELY(shoal_ring_broken(&transport->pair.in) || shoal_ring_broken(&transport->pair.out)))
		transition(link, SHOAL_LINK_BROKEN, "the shared ring holds what no peer writes");
}

static uint32_t ring_transport_depth(const struct shoal_link *link)
{
	return shoal_ring_depth(&((const struct ring_transport *)link)->pair.out);
}

static const void *ring_transport_untaken(struct shoal_link *link, bool first, uint32_t *length)
{
	struct ring_transport *transport = transport_of(link);
	const void *frame;

	if (first && shoal_ring_open(&transport->untaken, transport->pair.out.shared, transport->pair.out.capacity,
			     SHOAL_RING_CONSUMER))
		return NULL;
	frame = shoal_ring_peek(&transport->untaken, length);
	if (frame)
		shoal_ring_pop(&transport->untaken); /* its bytes stay: nobody else writes there any more */
	return frame;
}

static void ring_transport_destroy(struct shoal_link *link)
{
	shoal_ring_pair_close(&transport_of(link)->pair);
	free(link);
}

struct shoal_link *shoal_ring_transport_create(int descriptor, unsigned side)
{
	static const struct shoal_link_operations operations = {
		.reserve = ring_transport_reserve,
		.commit = ring_transport_commit,
		.peek = ring_transport_peek,
		.consume = ring_transport_consume,
		.poll = ring_transport_poll,
		.depth = ring_transport_depth,
		.untaken = ring_transport_untaken,
		.destroy = ring_transport_destroy,
	};
	struct ring_transport *transport = calloc(1, sizeof(*transport));

	if (!transport)
		return NULL;

	int result = shoal_ring_pair_open(&transport->pair, descriptor, side);

	if (!result && transport->pair.out.capacity / 4 < SHOAL_CHANNEL_FRAME_BYTES_MAX) {
		shoal_ring_pair_close(&transport->pair);
		result = -EMSGSIZE;
	}
	if (result) {
		free(transport);
		errno = -result;
		return NULL;
	}
	transport->link.operations = &operations;
	transport->link.state = SHOAL_LINK_UP;
	transport->link.reliable = true;
	transport->link.reason = "";
	return &transport->link;
}

void shoal_ring_transport_ended(struct shoal_link *link, const char *reason)
{
	transition(link, SHOAL_LINK_ENDED, reason);
}
