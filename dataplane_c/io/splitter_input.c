/* SPDX-License-Identifier: BSD-3-Clause */
/* Port → parse → fragment table → steering key → slot → member's batch. */
#include <rte_prefetch.h>

#include "io/splitter_stages.h"

/* Datagrams forgotten in one poll: bounds the poll's length after a flood of fragments. */
#define EXPIRE_BUDGET 64
/* Frames fetched ahead of the parser: their headers are a cache miss each. */
#define AHEAD 4

static void park(struct shoal_splitter *splitter, struct shoal_packet *packet, uint64_t now_ns)
{
	switch (shoal_steering_park(&splitter->steering, packet, now_ns)) {
	case SHOAL_STEERING_PARKED:
		break;
	case SHOAL_STEERING_NO_TABLE:
		shoal_splitter_drop(splitter, SHOAL_SPLITTER_NO_TABLE, packet);
		break;
	case SHOAL_STEERING_MEMBER_GONE:
		shoal_splitter_drop(splitter, SHOAL_SPLITTER_UNKNOWN_MEMBER, packet);
		break;
	case SHOAL_STEERING_PARKED_OVERFLOW:
		shoal_splitter_drop(splitter, SHOAL_SPLITTER_PARKED_OVERFLOW, packet);
		break;
	}
}

/* The packet's steering slot is known: to its member's batch. */
static inline void steer(struct shoal_splitter *splitter, struct shoal_packet *packet, uint64_t now_ns)
{
	uint8_t index = splitter->steering.members[packet->steering_slot];
	struct shoal_splitter_member *member;

	if (SHOAL_UNLIKELY(index == SHOAL_MEMBER_NONE)) {
		park(splitter, packet, now_ns);
		return;
	}
	member = &splitter->members[index];
	member->batch[member->batch_count++] = packet;
	splitter->touched |= UINT64_C(1) << index;
	if (member->batch_count == SHOAL_BURST_MAX)
		shoal_splitter_batch_send(splitter, index);
}

static void enter_first(struct shoal_splitter *splitter, struct shoal_packet *packet,
	const struct shoal_fragment_key *key, uint64_t now_ns)
{
	struct shoal_packet *held, *next;

	packet->steering_slot = splitter->nf->ports[packet->port].steer(packet);
	held = shoal_fragment_table_first(splitter->fragments, key, packet, now_ns);
	steer(splitter, packet, now_ns);
	/* Those that came too early follow now, before any fragment that comes later. */
	for (; held != NULL; held = next) {
		next = held->next;
		steer(splitter, held, now_ns);
	}
}

static void enter_later(struct shoal_splitter *splitter, struct shoal_packet *packet,
	const struct shoal_fragment_key *key, uint64_t now_ns)
{
	switch (shoal_fragment_table_later(splitter->fragments, key, packet, now_ns)) {
	case SHOAL_FRAGMENT_KNOWN:
		steer(splitter, packet, now_ns);
		break;
	case SHOAL_FRAGMENT_HELD:
		break;
	case SHOAL_FRAGMENT_TABLE_FULL:
		shoal_splitter_drop(splitter, SHOAL_SPLITTER_FRAGMENT_TABLE_FULL, packet);
		break;
	case SHOAL_FRAGMENT_HELD_FULL:
		shoal_splitter_drop(splitter, SHOAL_SPLITTER_FRAGMENT_HELD_OVERFLOW, packet);
		break;
	}
}

static void parse_drop(struct shoal_splitter *splitter, struct shoal_packet *packet, enum shoal_parse_result result)
{
	splitter->parse_drops[result]++;
	shoal_packet_free(packet);
}

static void enter_fragment(struct shoal_splitter *splitter, struct shoal_packet *packet, uint64_t now_ns)
{
	struct shoal_fragment_key key;

	if (!shoal_parse_fragment_key(packet, &key))
		parse_drop(splitter, packet, SHOAL_PARSE_FRAGMENT);
	else if (packet->flags & SHOAL_PACKET_FRAGMENT_FIRST)
		enter_first(splitter, packet, &key, now_ns);
	else
		enter_later(splitter, packet, &key, now_ns);
}

static inline void enter(struct shoal_splitter *splitter, struct shoal_packet *packet, uint64_t now_ns)
{
	enum shoal_parse_result result;

	/* Else the parser would keep ports that an earlier trip's fragment table had found. */
	packet->flags = 0;
	result = shoal_parse(packet);
	if (SHOAL_UNLIKELY(result != SHOAL_PARSE_OK)) {
		parse_drop(splitter, packet, result);
		return;
	}
	if (SHOAL_UNLIKELY(packet->flags & (SHOAL_PACKET_FRAGMENT_FIRST | SHOAL_PACKET_FRAGMENT_LATER))) {
		enter_fragment(splitter, packet, now_ns);
		return;
	}
	packet->steering_slot = splitter->nf->ports[packet->port].steer(packet);
	steer(splitter, packet, now_ns);
}

void shoal_splitter_enter(struct shoal_splitter *splitter, struct shoal_packet *packet, uint64_t now_ns)
{
	enter(splitter, packet, now_ns);
}

static unsigned receive_burst(struct shoal_splitter *splitter, uint8_t nf_port, uint64_t now_ns)
{
	struct shoal_port *port = splitter->ports[nf_port].port;
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	unsigned n = port->operations->receive(port, packets, SHOAL_BURST_MAX, now_ns);

	for (unsigned i = 0; i < n && i < AHEAD; i++)
		rte_prefetch0(packets[i]->frame);
	for (unsigned i = 0; i < n; i++) {
		if (i + AHEAD < n)
			rte_prefetch0(packets[i + AHEAD]->frame);
		packets[i]->port = nf_port;
		enter(splitter, packets[i], now_ns);
	}
	splitter->received += n;
	return n;
}

unsigned shoal_splitter_input(struct shoal_splitter *splitter, uint64_t now_ns)
{
	unsigned work = 0;

	for (uint8_t i = 0; i < splitter->nf->ports_count; i++)
		if (splitter->ports[i].port != NULL)
			work += receive_burst(splitter, i, now_ns);
	return work;
}

void shoal_splitter_fragments_expire(struct shoal_splitter *splitter, uint64_t now_ns)
{
	struct shoal_packet *packet, *next;

	for (packet = shoal_fragment_table_expire(splitter->fragments, EXPIRE_BUDGET, now_ns); packet != NULL;
		packet = next) {
		next = packet->next;
		shoal_splitter_drop(splitter, SHOAL_SPLITTER_FRAGMENT_TIMEOUT, packet);
	}
}
