/* SPDX-License-Identifier: BSD-3-Clause */
/* The NF of packet worlds. Its declared class is the session at port 0 (made), the account at port 1 (found only). Every packet
 * says what its handler shall do. */
#include "sim_world.h"
#include <errno.h>
#include <rte_byteorder.h>
#include <string.h>

enum drop { DROP_ASKED, DROP_TIMED_OUT, DROP_NO_ROOM, DROPS };

static const char *const drops[DROPS] = { "asked", "timed_out", "no_room" };

static uint8_t steer(const struct shoal_packet *packet)
{
	return (uint8_t)rte_be_to_cpu_16(packet->tuple.source_port);
}

static unsigned declared_class(uint8_t port)
{
	return port ? SIM_ACCOUNT : SIM_SESSION;
}

/* Loads are not aligned in their frames. */
static struct sim_load load_of(const struct shoal_packet *packet)
{
	struct sim_load load;

	memcpy(&load, sim_packet_load(packet), sizeof(load));
	return load;
}

static uint32_t write_keys(uint8_t port, struct shoal_packet *const packets[], unsigned n, uint8_t *keys)
{
	unsigned class = declared_class(port);
	uint8_t key[SHOAL_KEY_BYTES_MAX];
	uint32_t keyed = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct sim_load load = load_of(packets[i]);

		if (sim_flow_keyless(load.flow))
			continue;
		sim_key_write(class, sim_flow_key(load.flow), key);
		memcpy(keys + i * sim_classes[class]->key_bytes, key, sim_classes[class]->key_bytes);
		keyed |= 1u << i;
	}
	return keyed;
}

static uint32_t inside_keys(
	const struct shoal_context *context, struct shoal_packet *const packets[], unsigned n, void *keys)
{
	(void)context;
	return write_keys(0, packets, n, keys);
}

static uint32_t outside_keys(
	const struct shoal_context *context, struct shoal_packet *const packets[], unsigned n, void *keys)
{
	(void)context;
	return write_keys(1, packets, n, keys);
}

/* The verdict that the packet asks for; one that enters again has one pass less. */
static uint16_t verdict_of(struct shoal_packet *packet)
{
	struct sim_load load = load_of(packet);

	if (!load.passes)
		return load.verdict;
	load.passes--;
	memcpy(sim_packet_load(packet), &load, sizeof(load));
	return SHOAL_REENTER(1 - packet->port);
}

static void process(
	struct shoal_context *context, struct shoal_packet *const packets[], void *const objects[], unsigned n)
{
	struct sim_member *member = sim_member_of(context);

	for (unsigned i = 0; i < n; i++) {
		const struct sim_load load = load_of(packets[i]);
		unsigned class = declared_class(packets[i]->port);

		sim_note(member->world, "  member %ld: flow %ld packet %ld in the burst handler", member->number,
			load.flow, load.sequence);
		sim_ledger_compare(member->world, member->number, class, objects[i]);
		if (((struct sim_object *)objects[i])->key != sim_flow_key(load.flow))
			sim_fail(member->world, 3, "member %u: the burst handler was given another object",
				member->number);
		if (load.to_handler) {
			packets[i]->verdict = SHOAL_TO_PACKET_HANDLER;
			continue;
		}
		sim_ledger_update(member->world, class, objects[i]);
		packets[i]->verdict = verdict_of(packets[i]);
	}
}

static uint16_t handle(struct shoal_context *context, struct shoal_packet *packet, const void *key)
{
	struct sim_member *member = sim_member_of(context);
	struct sim_load load = load_of(packet);
	int error;

	/* What enters again is another flow, whose calls would be a strand of their own. */
	load.operation.is_call &= packet->port == load.flow % 2;
	/* The first object asked for is the declared one. */
	if (key && !load.operation.is_call) {
		load.operation.objects[0].class = (uint8_t)declared_class(packet->port);
		load.operation.objects[0].key = (uint16_t)sim_flow_key(load.flow);
		load.operation.objects[0].create = packet->port == 0;
	}
	sim_note(member->world, "  member %ld: flow %ld packet %ld in the packet handler", member->number, load.flow,
		load.sequence);
	member->begun++;
	error = sim_operation_run(member, (uint8_t)load.flow, &load.operation);
	member->ended++;
	if (error == -ETIMEDOUT && member->world->settings.gives_up)
		return SHOAL_DROP(DROP_TIMED_OUT);
	if (error == -ENOSPC && member->world->settings.fills)
		return SHOAL_DROP(DROP_NO_ROOM);
	if (error)
		sim_fail(member->world, 4, "member %u: a packet's operation answered %d", member->number, error);
	if (load.verdict == SHOAL_HOLD && member->held_count < SIM_HELD_MAX) {
		member->held[member->held_count++] = packet;
		return SHOAL_HOLD;
	}
	return load.verdict == SHOAL_HOLD ? SHOAL_DROP(DROP_ASKED) : verdict_of(packet);
}

/* Held packets leave when their steering slot moves, or with the timer. */
static void release_held(struct shoal_context *context, bool all, uint8_t steering_slot)
{
	struct sim_member *member = sim_member_of(context);
	unsigned left = 0;

	for (unsigned i = 0; i < member->held_count; i++) {
		struct shoal_packet *packet = member->held[i];

		if (all || packet->steering_slot == steering_slot)
			shoal_packet_release(context, packet, SHOAL_TRANSMIT(1 - packet->port));
		else
			member->held[left++] = packet;
	}
	member->held_count = left;
}

static void release(struct shoal_context *context, uint8_t steering_slot)
{
	release_held(context, false, steering_slot);
}

static void fire(struct shoal_context *context)
{
	release_held(context, true, 0);
}

static const struct shoal_nf_timer timers[] = { { .name = "release", .period_ms = 20, .fire = fire } };

static const struct shoal_nf_port ports[] = {
	{ .name = "inside", .steer = steer, .create = true, .keys = inside_keys },
	{ .name = "outside", .steer = steer, .create = false, .keys = outside_keys },
};

/* An NF's life, which here begins and ends with its member's. */
static void *create(void)
{
	return NULL;
}

static int configure(void *nf_state, const char *name, const char *value, char *error, size_t error_bytes)
{
	(void)nf_state, (void)name, (void)value, (void)error, (void)error_bytes;
	return -ENOENT;
}

static int init(void *nf_state, char *error, size_t error_bytes)
{
	(void)nf_state, (void)error, (void)error_bytes;
	return 0;
}

static void forget(void *nf_state)
{
	(void)nf_state;
}

const struct shoal_nf *sim_nf(void)
{
	static struct shoal_nf_port declared[2];
	static struct shoal_nf nf = { .abi = SHOAL_NF_ABI,
		.name = "sim",
		.version = "1",
		.classes = sim_classes,
		.classes_count = SIM_CLASSES,
		.ports = declared,
		.ports_count = 2,
		.drops = drops,
		.drops_count = DROPS,
		.timers = timers,
		.timers_count = 1,
		.create = create,
		.configure = configure,
		.init = init,
		.destroy = forget,
		.process = process,
		.packet = handle,
		.release = release };

	for (unsigned port = 0; port < 2; port++) {
		declared[port] = ports[port];
		declared[port].declared = sim_classes[declared_class((uint8_t)port)];
	}
	return &nf;
}
