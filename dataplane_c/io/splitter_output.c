/* SPDX-License-Identifier: BSD-3-Clause */
/* Members' rings → the ports' output queues, or in again. A port that takes less than it is given keeps the rest waiting
 * in its queue; only when that is full are packets dropped, so that it stops no other port and no member. */
#include "io/splitter_stages.h"

/* Records read from one member in one poll: more than the ports may bring in, so that rings drain under full load. */
#define MEMBER_BUDGET (4 * SHOAL_BURST_MAX)

_Static_assert((SHOAL_SPLITTER_OUTPUT_MAX & (SHOAL_SPLITTER_OUTPUT_MAX - 1)) == 0, "the queue is indexed by a mask");

static void port_transmit(struct shoal_splitter *splitter, struct shoal_splitter_port *output)
{
	while (output->head != output->tail) {
		uint32_t start = output->head % SHOAL_SPLITTER_OUTPUT_MAX;
		uint32_t waiting = output->tail - output->head;
		uint32_t contiguous = SHOAL_SPLITTER_OUTPUT_MAX - start;
		unsigned n = waiting < contiguous ? waiting : contiguous;
		unsigned taken = output->port->operations->transmit(output->port, &output->queue[start], n);

		output->head += taken;
		splitter->transmitted += taken;
		if (taken < n)
			break;
	}
}

static void leave(struct shoal_splitter *splitter, struct shoal_packet *packet)
{
	struct shoal_splitter_port *output = &splitter->ports[packet->port];

	if (SHOAL_UNLIKELY(output->port == NULL)) {
		shoal_splitter_drop(splitter, SHOAL_SPLITTER_NO_PORT, packet);
		return;
	}
	if (SHOAL_UNLIKELY(output->tail - output->head == SHOAL_SPLITTER_OUTPUT_MAX)) {
		port_transmit(splitter, output);
		if (output->tail - output->head == SHOAL_SPLITTER_OUTPUT_MAX) {
			shoal_splitter_drop(splitter, SHOAL_SPLITTER_PORT_FULL, packet);
			return;
		}
	}
	output->queue[output->tail++ % SHOAL_SPLITTER_OUTPUT_MAX] = packet;
}

/* As if received at the port that the verdict names; the ring has checked that it is a port number. */
static void reenter(struct shoal_splitter *splitter, struct shoal_packet *packet, uint64_t now_ns)
{
	packet->port = (uint8_t)packet->verdict;
	packet->verdict = SHOAL_VERDICT_NONE;
	splitter->reentered++;
	if (packet->port < splitter->nf->ports_count)
		shoal_splitter_enter(splitter, packet, now_ns);
	else
		shoal_splitter_drop(splitter, SHOAL_SPLITTER_NO_PORT, packet);
}

unsigned shoal_splitter_member_receive(
	struct shoal_splitter *splitter, uint8_t member, unsigned records, uint64_t now_ns)
{
	struct shoal_splitter_member *from = &splitter->members[member];
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	uint32_t marker;
	uint8_t slot;
	unsigned n = from->port->operations->receive(from->port, packets, records, now_ns);
	unsigned work = n;

	from->returned += n;
	for (unsigned i = 0; i < n; i++) {
		if (SHOAL_UNLIKELY(packets[i]->verdict >> 8 == SHOAL_VERDICT_REENTER))
			reenter(splitter, packets[i], now_ns);
		else
			leave(splitter, packets[i]);
	}
	/* Behind the packets that came before them: those are in their port's queue now. */
	for (; shoal_packet_ring_take_marker(from->ring, &slot, &marker); work++)
		shoal_steering_marker_returned(&splitter->steering, slot, marker, member, now_ns);
	return work;
}

void shoal_splitter_ports_transmit(struct shoal_splitter *splitter)
{
	for (unsigned i = 0; i < splitter->nf->ports_count; i++) {
		struct shoal_splitter_port *output = &splitter->ports[i];

		if (output->port == NULL)
			continue;
		port_transmit(splitter, output);
		output->port->operations->flush(output->port);
	}
}

unsigned shoal_splitter_output(struct shoal_splitter *splitter, uint64_t now_ns)
{
	unsigned work = 0;

	for (uint64_t left = splitter->attached; left != 0; left &= left - 1) {
		uint8_t member = (uint8_t)__builtin_ctzll(left);

		for (unsigned records = 0; records < MEMBER_BUDGET; records += SHOAL_BURST_MAX) {
			unsigned n = shoal_splitter_member_receive(splitter, member, SHOAL_BURST_MAX, now_ns);

			work += n;
			if (n == 0)
				break;
		}
	}
	shoal_splitter_ports_transmit(splitter);
	return work;
}
