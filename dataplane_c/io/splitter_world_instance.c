/* SPDX-License-Identifier: BSD-3-Clause */
/* The test world's instances: they echo to the other port, send some flows round again, and return markers as a real
 * instance does: when every packet of the steering slot before the marker has left. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#include "io/splitter_world.h"

void world_attach(struct world *world, uint16_t member)
{
	struct world_instance *instance = &world->instances[member];
	int descriptor = shoal_ring_pair_create(world->ring_bytes);
	struct shoal_packet_ring *ring;

	assert_true(descriptor >= 0);
	assert_null(instance->ring);
	ring = shoal_packet_ring_create(descriptor, 0, world_pool);
	memset(instance, 0, sizeof(*instance));
	instance->ring = shoal_packet_ring_create(descriptor, 1, world_pool);
	close(descriptor);
	assert_non_null(ring);
	assert_non_null(instance->ring);
	instance->port = shoal_packet_ring_port(instance->ring);
	assert_int_equal(shoal_splitter_member_add(world->splitter, member, ring), 0);
}

void world_instance_end(struct world *world, struct world_instance *instance)
{
	for (; instance->head != instance->tail; instance->head++) {
		struct world_item *item = &instance->items[instance->head % WORLD_QUEUE];

		if (item->packet == NULL || item->done)
			continue;
		shoal_packet_free(item->packet);
		world->lost_inside++;
	}
	instance->port->operations->destroy(instance->port);
	instance->ring = NULL;
}

void world_kill(struct world *world, uint16_t member)
{
	struct world_instance *instance = &world->instances[member];
	struct shoal_packet_ring *ring;

	world_instance_end(world, instance);
	assert_int_equal(shoal_splitter_member_remove(world->splitter, member, world->now_ns, &ring), 0);
	shoal_packet_ring_port(ring)->operations->destroy(shoal_packet_ring_port(ring));
}

void world_table(struct world *world, const uint8_t *members, unsigned n)
{
	uint8_t table[SHOAL_STEERING_SLOTS];
	unsigned slot = 0;

	for (unsigned i = 0; i < SHOAL_STEERING_SLOTS; i++)
		table[i] = members[i % n];
	assert_int_equal(shoal_splitter_table_assign(world->splitter, table, &slot), 0);
}

int world_redirect(struct world *world, unsigned first_slot, unsigned n, uint16_t member)
{
	struct shoal_steering_set set = { { 0 } };
	unsigned slot = 0;

	for (unsigned i = 0; i < n; i++)
		set.words[(first_slot + i) % SHOAL_STEERING_SLOTS / 64] |= UINT64_C(1) << (first_slot + i) % 64;
	return shoal_splitter_slots_redirect(world->splitter, &set, member, world->now_ns, &slot);
}

void world_poll(struct world *world)
{
	shoal_splitter_poll(world->splitter, world->now_ns);
	world_check(world);
}

/* --- One instance ------------------------------------------------------------------------------------------------- */

static void take_in(struct world *world, struct world_instance *instance, unsigned n)
{
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	struct world_item item = { 0 };
	unsigned count;

	if (n > SHOAL_BURST_MAX)
		n = SHOAL_BURST_MAX;
	if (instance->tail - instance->head > WORLD_QUEUE - 2 * SHOAL_STEERING_SLOTS)
		return;
	count = instance->port->operations->receive(instance->port, packets, n, world->now_ns);
	for (unsigned i = 0; i < count; i++) {
		item.packet = packets[i];
		item.slot = packets[i]->steering_slot;
		instance->items[instance->tail++ % WORLD_QUEUE] = item;
	}
	item.packet = NULL;
	while (shoal_packet_ring_take_marker(instance->ring, &item.slot, &item.marker))
		instance->items[instance->tail++ % WORLD_QUEUE] = item;
}

/* What the NF does: to the other port, or round again to a steering slot of the destination's. */
static void treat(struct shoal_packet *packet)
{
	unsigned flow = (unsigned)packet->frame[28] << 8 | packet->frame[29];
	bool first = (packet->frame[20] & 0x1f) == 0 && packet->frame[21] == 0;

	if (packet->port == WORLD_OUTSIDE || !world_flow_reenters(flow)) {
		packet->port = 1 - packet->port;
		packet->verdict = SHOAL_TRANSMIT(packet->port);
		return;
	}
	if (first)
		packet->frame[37] = (uint8_t)(world_slot_of(flow) + 91);
	packet->verdict = SHOAL_REENTER(WORLD_OUTSIDE);
}

/* false: no room in the ring. */
static bool finish(struct world *world, struct world_instance *instance, struct world_item *item)
{
	if (item->packet == NULL) {
		item->done = shoal_packet_ring_return_marker(instance->ring, item->slot, item->marker);
		return item->done;
	}
	if (world->drop_one_in != 0 && world_random(world, world->drop_one_in) == 0) {
		shoal_packet_free(item->packet);
		world->instance_drops++;
		item->done = true;
		return true;
	}
	if (item->packet->verdict == SHOAL_VERDICT_NONE)
		treat(item->packet);
	item->done = instance->port->operations->transmit(instance->port, &item->packet, 1) == 1;
	return item->done;
}

static struct world_item *pick(struct world *world, struct world_instance *instance, bool shuffled)
{
	unsigned waiting = instance->tail - instance->head;
	unsigned start = instance->head + (shuffled ? (unsigned)world_random(world, waiting) : 0);
	struct world_item *item = &instance->items[start % WORLD_QUEUE];

	/* The oldest of that item's steering slot. */
	for (unsigned i = instance->head; i != instance->tail; i++) {
		struct world_item *other = &instance->items[i % WORLD_QUEUE];

		if (!other->done && other->slot == item->slot)
			return other;
	}
	return &instance->items[instance->head % WORLD_QUEUE];
}

void world_step(struct world *world, uint16_t member, unsigned n, bool shuffled)
{
	struct world_instance *instance = &world->instances[member];

	take_in(world, instance, n);
	for (unsigned i = 0; i < n && instance->head != instance->tail; i++) {
		struct world_item *item = pick(world, instance, shuffled);

		if (!item->done && !finish(world, instance, item))
			break;
		while (instance->head != instance->tail && instance->items[instance->head % WORLD_QUEUE].done)
			instance->head++;
	}
	instance->port->operations->flush(instance->port);
}

/* --- All of it ---------------------------------------------------------------------------------------------------- */

static uint64_t inside_instance(const struct world_instance *instance)
{
	uint64_t packets = 0;

	if (instance->ring == NULL)
		return 0;
	for (unsigned i = instance->head; i != instance->tail; i++)
		packets += instance->items[i % WORLD_QUEUE].packet != NULL && !instance->items[i % WORLD_QUEUE].done;
	return packets + shoal_packet_ring_inside(instance->ring);
}

uint64_t world_at_instances(const struct world *world)
{
	uint64_t packets = 0;

	for (unsigned i = 0; i < WORLD_MEMBERS; i++)
		packets += inside_instance(&world->instances[i]);
	return packets;
}

void world_check(struct world *world)
{
	struct shoal_splitter_balance balance;
	uint64_t waiting = 0;

	shoal_splitter_balance_read(world->splitter, &balance);
	for (unsigned i = 0; i < WORLD_PORTS; i++)
		waiting += world->ports[i].tail - world->ports[i].head;
	assert_int_equal(balance.received, world->fed - waiting);
	assert_int_equal(balance.transmitted, world->left);
	assert_int_equal(balance.at_members, world_at_instances(world) + world->instance_drops + world->lost_inside);
	assert_int_equal(balance.received,
		balance.transmitted + balance.dropped + balance.inside + (uint64_t)balance.at_members);
	assert_int_equal(world->disorder, 0);
	assert_true(world->splitter->steering.parked <= world->splitter->steering.parked_max);
}

static uint64_t moved(const struct world *world)
{
	struct shoal_splitter_balance balance;
	uint64_t sum;

	shoal_splitter_balance_read(world->splitter, &balance);
	sum = balance.received + balance.transmitted + balance.dropped + world->splitter->reentered +
	      world->instance_drops;
	for (unsigned i = 0; i < WORLD_MEMBERS; i++) {
		sum += world->splitter->members[i].sent + world->splitter->members[i].returned;
		sum += world->instances[i].head + world->instances[i].tail;
	}
	sum += shoal_fragment_table_entries(world->splitter->fragments);
	return sum + world->splitter->steering.redirects + world->splitter->steering.markers_void;
}

void world_settle(struct world *world)
{
	for (unsigned quiet = 0, rounds = 0; quiet < 4; rounds++) {
		uint64_t before = moved(world);

		assert_true(rounds < 100000);
		world_poll(world);
		for (uint16_t i = 0; i < WORLD_MEMBERS; i++)
			if (world->instances[i].ring != NULL)
				world_step(world, i, SHOAL_BURST_MAX, false);
		world_poll(world);
		quiet = moved(world) == before ? quiet + 1 : 0;
	}
}
