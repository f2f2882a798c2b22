/* SPDX-License-Identifier: BSD-3-Clause */
/* Verdicts, transmission, and the splitter's markers. */
#include <string.h>
#include "worker/worker.h"

#define RING SHOAL_NF_PORTS_MAX /* index of the ring's output */

void shoal_worker_drop(struct shoal_worker *worker, struct shoal_packet *packet, enum shoal_worker_drop reason)
{
	worker->drops[reason] += !SHOAL_PLANT(6);
	shoal_packet_free(packet);
}

static struct shoal_port *port_of(struct shoal_worker *worker, unsigned output)
{
	return output == RING ? shoal_packet_ring_port(worker->ring) : worker->ports[output];
}

static void keep_back(struct shoal_worker *worker, unsigned output, struct shoal_packet *packet)
{
	if (packet->entry == SHOAL_PACKET_IN_BURST)
		packet->arrived_ns = worker->space.now_ns;
	if (worker->output[output].backlog.count >= worker->config.backlog_max) {
		shoal_worker_drop(worker, packet, SHOAL_WORKER_DROP_TRANSMIT_FULL);
		return;
	}
	shoal_packet_list_push(&worker->output[output].backlog, packet);
	worker->backlogged++;
}

static void empty_backlog(struct shoal_worker *worker, unsigned output)
{
	struct shoal_packet_list *backlog = &worker->output[output].backlog;
	struct shoal_port *port = port_of(worker, output);
	struct shoal_packet *packets[SHOAL_BURST_MAX], *rest;
	uint64_t arrived_ns[SHOAL_BURST_MAX];

	while (backlog->first) {
		unsigned count = 0, taken;

		/* What has gone belongs to the port: it is unlinked by what was read before. */
		for (rest = backlog->first; rest && count < SHOAL_BURST_MAX; rest = rest->next) {
			arrived_ns[count] = rest->arrived_ns;
			packets[count++] = rest;
		}
		taken = port->operations->transmit(port, packets, count);
		for (unsigned i = 0; i < taken; i++)
			shoal_histogram_add(&worker->latencies, worker->space.now_ns - arrived_ns[i]);
		backlog->first = taken < count ? packets[taken] : rest;
		if (!backlog->first)
			backlog->last = NULL;
		backlog->count -= taken;
		worker->backlogged -= taken;
		if (taken < count)
			return;
	}
}

static void transmit(struct shoal_worker *worker, unsigned output, struct shoal_packet *const packets[], unsigned count)
{
	struct shoal_port *port = port_of(worker, output);
	unsigned taken = 0;

	if (worker->output[output].backlog.count && output != RING)
		empty_backlog(worker, output); /* what was set aside is not yet known to find its port full */
	if (!worker->output[output].backlog.count)
		taken = port->operations->transmit(port, packets, count);
	worker->left += taken;
	for (unsigned i = taken; i < count; i++)
		keep_back(worker, output, packets[i]);
}

/* Packets that have gone are no longer the worker's: when they arrived is read before. */
static __attribute__((noinline)) void transmit_late(
	struct shoal_worker *worker, unsigned output, unsigned count, uint32_t late)
{
	struct shoal_packet *const *packets = worker->output[output].packets;
	uint32_t left = worker->left;
	uint64_t arrived_ns[SHOAL_BURST_MAX];

	for (uint32_t some = late; some; some &= some - 1) {
		unsigned i = (unsigned)__builtin_ctz(some);

		arrived_ns[i] = packets[i]->arrived_ns;
	}
	transmit(worker, output, packets, count);
	late &= (uint32_t)((UINT64_C(1) << (worker->left - left)) - 1);
	worker->left -= (uint32_t)__builtin_popcount(late);
	for (; late; late &= late - 1)
		shoal_histogram_add(&worker->latencies, worker->space.now_ns - arrived_ns[__builtin_ctz(late)]);
}

static void transmit_output(struct shoal_worker *worker, unsigned output)
{
	unsigned count = worker->output[output].count;
	uint32_t late = worker->output[output].late;

	worker->output[output].count = 0;
	worker->output[output].late = 0;
	if (SHOAL_UNLIKELY(late))
		transmit_late(worker, output, count, late);
	else
		transmit(worker, output, worker->output[output].packets, count);
}

/* A late packet may leave from within a microthread, whose stack has no room for a device's driver: what has gathered then waits
 * for the worker's own. (The ring to the splitter needs next to none.) */
static void set_aside(struct shoal_worker *worker, unsigned output)
{
	for (unsigned i = 0; i < worker->output[output].count; i++) {
		struct shoal_packet *packet = worker->output[output].packets[i];

		if (packet->entry == SHOAL_PACKET_IN_BURST)
			packet->arrived_ns = worker->space.now_ns;
		shoal_packet_list_push(&worker->output[output].backlog, packet);
	}
	worker->backlogged += worker->output[output].count;
	worker->output[output].count = 0;
	worker->output[output].late = 0;
}

static inline void to_output(struct shoal_worker *worker, unsigned output, struct shoal_packet *packet, bool late)
{
	unsigned i = worker->output[output].count++;

	worker->output[output].packets[i] = packet;
	worker->output[output].late |= (uint32_t)late << i;
	if (worker->output[output].count < SHOAL_BURST_MAX)
		return;
	if (late && output != RING && shoal_microthread_current(worker->scheduler))
		set_aside(worker, output);
	else
		transmit_output(worker, output);
}

static void reenter(struct shoal_worker *worker, struct shoal_packet *packet, uint8_t port)
{
	packet->port = port;
	worker->reentered++;
	if (worker->ring) {
		to_output(worker, RING, packet, packet->entry != SHOAL_PACKET_IN_BURST);
		return;
	}
	shoal_packet_list_push(&worker->reentering, packet);
}

/* The NF has the packet in its own list by now, so the worker can't take it away: when too many are held, the NF is asked to
 * let those of this steering slot go, the new one among them. */
static void hold(struct shoal_worker *worker, struct shoal_packet *packet)
{
	uint8_t steering_slot = packet->steering_slot;

	if (packet->entry == SHOAL_PACKET_IN_BURST)
		packet->arrived_ns = worker->space.now_ns;
	packet->entry = SHOAL_PACKET_HELD;
	worker->held++;
	worker->inside[steering_slot]++;
	if (worker->held <= worker->config.parked_max)
		return;
	worker->held_overflows++;
	worker->nf->release(&worker->context.context, steering_slot);
}

static void emit_rare(struct shoal_worker *worker, struct shoal_packet *packet)
{
	uint8_t argument = packet->verdict & 0xff;

	switch (packet->verdict >> 8) {
	case SHOAL_VERDICT_DROP:
		worker->nf_drops[argument % SHOAL_NF_DROPS_MAX]++;
		shoal_packet_free(packet);
		return;
	case SHOAL_VERDICT_REENTER:
		if (argument < worker->nf->ports_count) {
			reenter(worker, packet, argument);
			return;
		}
		break;
	case SHOAL_VERDICT_HOLD:
		if (!worker->nf->release)
			break;
		hold(worker, packet);
		return;
	case SHOAL_VERDICT_NOT_WRITTEN:
		shoal_worker_drop(worker, packet, SHOAL_WORKER_DROP_NOT_WRITTEN);
		return;
	default:
		break;
	}
	shoal_worker_drop(worker, packet, SHOAL_WORKER_DROP_VERDICT);
}

static inline __attribute__((always_inline)) void emit(
	struct shoal_worker *worker, struct shoal_packet *packet, bool late)
{
	uint8_t argument = packet->verdict & 0xff;

	if (SHOAL_UNLIKELY(packet->verdict >> 8 != SHOAL_VERDICT_TRANSMIT)) {
		emit_rare(worker, packet);
		return;
	}
	if (SHOAL_UNLIKELY(argument >= worker->nf->ports_count || (!worker->ring && !worker->ports[argument]))) {
		shoal_worker_drop(worker, packet, SHOAL_WORKER_DROP_NO_PORT);
		return;
	}
	packet->port = argument;
	worker->transmitted[argument]++;
	to_output(worker, worker->ring ? RING : argument, packet, late);
}

void shoal_worker_emit(struct shoal_worker *worker, struct shoal_packet *packet)
{
	emit(worker, packet, false);
}

void shoal_worker_emit_late(struct shoal_worker *worker, struct shoal_packet *packet)
{
	emit(worker, packet, true);
}

static inline __attribute__((always_inline)) unsigned emit_run(
	struct shoal_worker *worker, struct shoal_packet *const packets[], unsigned n, bool late)
{
	struct shoal_packet *packet = packets[0];
	uint16_t verdict = packet->verdict;
	uint8_t argument = verdict & 0xff;
	unsigned output = worker->ring ? RING : argument, count = 0;

	if (SHOAL_UNLIKELY(verdict >> 8 != SHOAL_VERDICT_TRANSMIT || argument >= worker->nf->ports_count ||
			   (!worker->ring && !worker->ports[argument]))) {
		emit(worker, packet, late);
		return 1;
	}
	do {
		packet->port = argument;
		if (++count == n)
			break;
		packet = packets[count];
	} while (packet->verdict == verdict);
	worker->transmitted[argument] += count;
	if (worker->output[output].count + count > SHOAL_BURST_MAX)
		transmit_output(worker, output);
	if (count == SHOAL_BURST_MAX && !late) {
		transmit(worker, output, packets, count);
		return count;
	}
	memcpy(worker->output[output].packets + worker->output[output].count, packets, count * sizeof(packets[0]));
	if (late)
		worker->output[output].late |= UINT32_MAX >> (SHOAL_BURST_MAX - count) << worker->output[output].count;
	worker->output[output].count += count;
	if (worker->output[output].count == SHOAL_BURST_MAX)
		transmit_output(worker, output);
	return count;
}

unsigned shoal_worker_emit_run(struct shoal_worker *worker, struct shoal_packet *const packets[], unsigned n)
{
	return emit_run(worker, packets, n, false);
}

unsigned shoal_worker_emit_late_run(struct shoal_worker *worker, struct shoal_packet *const packets[], unsigned n)
{
	return emit_run(worker, packets, n, true);
}

void shoal_worker_release_held(struct shoal_context *context, struct shoal_packet *packet, uint16_t verdict)
{
	struct shoal_worker *worker = (struct shoal_worker *)context;

	/* Held again would never end. */
	packet->verdict = verdict >> 8 == SHOAL_VERDICT_HOLD ? SHOAL_VERDICT(SHOAL_VERDICT_INVALID, 0) : verdict;
	/* Its turn to be held has not come: it is in its burst yet, or waits behind a suspended packet of its flow. */
	if (packet->entry != SHOAL_PACKET_HELD)
		return;
	worker->held--;
	worker->inside[packet->steering_slot]--;
	shoal_worker_emit_late(worker, packet);
}

static unsigned empty_output(struct shoal_worker *worker, unsigned output)
{
	struct shoal_port *port = port_of(worker, output);
	unsigned sent = worker->output[output].count;

	if (worker->output[output].backlog.count)
		empty_backlog(worker, output);
	if (sent)
		transmit_output(worker, output);
	port->operations->flush(port);
	return sent;
}

unsigned shoal_worker_transmit(struct shoal_worker *worker)
{
	unsigned sent = worker->ring ? empty_output(worker, RING) : 0;

	for (unsigned output = 0; output < worker->nf->ports_count; output++)
		if (worker->ports[output])
			sent += empty_output(worker, output);
	return sent;
}

/* --- Markers (architecture.md, "Reorganisation") --- */

static void take_markers(struct shoal_worker *worker)
{
	uint8_t steering_slot;
	uint32_t marker;

	while (shoal_worker_take_marker(worker, &steering_slot, &marker)) {
		worker->markers_waiting += !worker->marker[steering_slot];
		worker->marker[steering_slot] = (uint64_t)marker + 1;
		if (worker->nf->release)
			worker->nf->release(&worker->context.context, steering_slot);
	}
}

void shoal_worker_markers(struct shoal_worker *worker)
{
	worker->space.keyspace.markers_come = worker->ring != NULL;
	if (!worker->ring)
		return;
	take_markers(worker);
	if (!worker->markers_waiting)
		return;
	/* What was to leave before the marker must be in the ring before it. */
	shoal_worker_transmit(worker);
	if (worker->output[RING].backlog.count)
		return;
	for (unsigned slot = 0; slot < SHOAL_STEERING_SLOTS && worker->markers_waiting; slot++) {
		if (!worker->marker[slot] || worker->inside[slot] ||
			!shoal_keyspace_packets_gone(&worker->space, (uint8_t)slot))
			continue;
		if (!shoal_packet_ring_return_marker(worker->ring, (uint8_t)slot, (uint32_t)(worker->marker[slot] - 1)))
			break;
		worker->marker[slot] = 0;
		worker->markers_waiting--;
		worker->markers_returned++;
	}
	shoal_packet_ring_port(worker->ring)->operations->flush(shoal_packet_ring_port(worker->ring));
}
