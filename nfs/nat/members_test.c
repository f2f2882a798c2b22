/* SPDX-License-Identifier: BSD-3-Clause */
/* The NAT on two members of one space: races for a flow, borrowed ports, and objects in states that should not be. */
#include <errno.h>
#include <stdio.h>

#include "object/map_inline.h"
#include "steering.h"
#include "world_flow.h"

#define MINUTE_MS 60000

static const char *const plain[] = { "public_addresses", "198.51.100.1-198.51.100.16", NULL };
static const char *const one_port_each[] = { "public_addresses", "198.51.100.1", "port_range", "50176-50431", NULL };

/* Ports taken of one address and protocol. */
static unsigned ports_taken(struct world *world, const char *what)
{
	char reply[200];
	unsigned taken;

	world_task(world, 0, shoal_nf.tasks[0].run, what, reply, sizeof(reply));
	assert_int_equal(sscanf(reply, "%u of", &taken), 1);
	return taken;
}

/* All mappings, reverses and ports of the world end, and fit each other till then. */
static void assert_all_ends(struct world *world, const char *what)
{
	assert_int_equal(world_objects(world, &nat_reverse_class) > 0, 1);
	world_run(world, 7 * MINUTE_MS);
	assert_empty(world);
	assert_int_equal(ports_taken(world, what), 0);
}

static struct endpoint receive_out(struct world *world)
{
	struct made_frame frame;
	uint8_t port;

	assert_true(world_receive(world, &frame, &port));
	assert_int_equal(port, NAT_OUTSIDE);
	assert_sound(&frame);
	return source_of(&frame);
}

/* The first packets of one flow come to both members at once, as around a redirection: one mapping, one port. */
static void both_get_the_first_packet(void **state)
{
	const char *what[] = { "198.51.100.1 udp" };

	for (unsigned host = 1; host < 60; host++) {
		const char *const settings[] = { "public_addresses", "198.51.100.1", NULL };
		struct world *world = world_create(2, 1000, settings);
		struct made_frame frame;
		struct endpoint first;

		make(&frame, NAT_UDP, htonl(0x0a000000 + host), 5000, inet_addr(SERVER), 80, 0);
		for (unsigned packet = 0; packet < 6; packet++) {
			world_send_to(world, packet % 2, &frame, NAT_INSIDE);
			if (packet % 3 == host % 3)
				world_poll(world);
		}
		world_run(world, 0);
		first = receive_out(world);
		for (unsigned packet = 1; packet < 6; packet++)
			assert_true(same(receive_out(world), first));
		assert_int_equal(world_count(world, NAT_COUNT_CREATED), 1);
		assert_int_equal(world_objects(world, &nat_pool_class), 1);
		assert_int_equal(ports_taken(world, what[0]), 1);
		assert_all_ends(world, what[0]);
		world_destroy(world);
	}
}

/* Many flows at once from both sides: the races are counted, and lose nothing. */
static void races(void **state)
{
	struct world *world = world_create(2, 2000, plain);
	struct endpoint public[100];
	struct made_frame any;
	uint64_t lost_races;
	unsigned owner;

	make(&any, NAT_UDP, inet_addr(HOST), 0, inet_addr(SERVER), 80, 0);
	owner = world_member_of(world, &any, NAT_INSIDE);

	/* One of the two is no key owner and has to ask first: a lead of some polls makes up for it. */
	for (uint16_t flow = 0; flow < 100; flow++) {
		struct made_frame frame;

		make(&frame, NAT_UDP, inet_addr(HOST), flow, inet_addr(SERVER), 80, 0);
		world_send_to(world, owner ^ 1, &frame, NAT_INSIDE);
		for (unsigned lead = flow % 4; lead; lead--)
			world_poll(world);
		world_send_to(world, owner, &frame, NAT_INSIDE);
	}
	world_run(world, 100);
	for (unsigned packet = 0; packet < 200; packet++)
		receive_out(world);
	lost_races = world_count(world, NAT_COUNT_RACES);
	assert_true(lost_races > 0);
	assert_int_equal(world_count(world, NAT_COUNT_CREATED), 100);
	assert_int_equal(world_count(world, NAT_COUNT_CONFLICTS), 0);
	for (uint16_t flow = 0; flow < 100; flow++) {
		public[flow] = send_out(world, NAT_UDP, HOST, flow, 0);
		assert_true(send_in(world, NAT_UDP, public[flow], HOST, flow, 0));
		for (unsigned other = 0; other < flow; other++)
			assert_false(same(public[flow], public[other]));
	}
	world_run(world, 7 * MINUTE_MS);
	assert_empty(world);
	world_destroy(world);
}

/* A borrowed port belongs to another steering slot, here the other member's: slow, but right, up to its end. */
static void borrowed_ports(void **state)
{
	struct world *world = world_create(2, 1000, one_port_each);
	struct endpoint public[8];

	for (uint16_t flow = 0; flow < 8; flow++) {
		public[flow] = send_out(world, NAT_TCP, HOST, 5000 + flow, 2);
		assert_true(send_in(world, NAT_TCP, public[flow], HOST, 5000 + flow, 0x12));
		assert_true(same(send_out(world, NAT_TCP, HOST, 5000 + flow, 0x10), public[flow]));
	}
	assert_int_equal(world_count(world, NAT_COUNT_BORROWED), 7);
	world_run(world, 100 * MINUTE_MS);
	for (uint16_t flow = 0; flow < 8; flow++) /* from one side only, and at another member than the mapping */
		assert_true(send_in(world, NAT_TCP, public[flow], HOST, 5000 + flow, 0x10));
	world_run(world, 100 * MINUTE_MS);
	assert_int_equal(world_objects(world, &nat_mapping_class) >= 8, 1);
	for (uint16_t flow = 0; flow < 8; flow++)
		assert_true(send_in(world, NAT_TCP, public[flow], HOST, 5000 + flow, 0x14));
	assert_all_ends(world, "198.51.100.1 tcp");
	assert_int_equal(world_count(world, NAT_COUNT_EXPIRED), 8);
	world_destroy(world);
}

/* --- What is being written --- */

static unsigned bursts_whole, bursts_partly;

/* The image lists just the entries of the objects that the burst handler has. */
static void process_listed(
	struct shoal_context *context, struct shoal_packet *const packets[], void *const objects[], unsigned count)
{
	const struct shoal_worker *worker = (const struct shoal_worker *)context;
	const struct shoal_image *image = worker->space.image;
	const struct shoal_map *map = &worker->space.maps[image->writing_class];

	assert_int_equal(image->writing_count, count);
	for (unsigned i = 0; i < count; i++)
		assert_ptr_equal(objects[i],
			shoal_map_object(map, shoal_map_entry(map, image->writing[image->writing_list][i])));
	bursts_whole += image->writing_list < 2;
	bursts_partly += image->writing_list == 2;
	shoal_nf.process(context, packets, objects, count);
}

/* Member 1 has two bursts in hand at a time. */
static void what_is_written_is_listed(void **state)
{
	struct world *world = world_create(2, 4000, plain);
	struct shoal_nf listed = shoal_nf;
	uint16_t flows = 0;

	listed.process = process_listed;
	bursts_whole = bursts_partly = 0;
	for (unsigned member = 0; member < 2; member++)
		world->members[member].worker.nf = &listed;
	for (unsigned round = 0; round < 16; round++) {
		uint16_t fresh = round % 2 ? 5 : 0; /* else all are known */

		flows += round ? fresh : 100;
		for (uint16_t flow = 0; flow < flows; flow++) {
			struct made_frame frame;

			make(&frame, NAT_UDP, inet_addr(HOST), flow * 7 % flows, inet_addr(SERVER), 80, 0);
			world_send_to(world, round / 8, &frame, NAT_INSIDE);
		}
		world_run(world, 0);
		for (uint16_t flow = 0; flow < flows; flow++)
			receive_out(world);
		for (unsigned member = 0; member < 2; member++)
			assert_int_equal(world->members[member].worker.space.image->writing_count, 0);
	}
	assert_true(bursts_whole > 10 && bursts_partly > 10);
	world_run(world, 7 * MINUTE_MS);
	assert_empty(world);
	world_destroy(world);
}

/* --- No room at the key owner --- */

/* Fills member 1's table of pools, then calls once more of each kind; the answers' errors in the reply. */
static int overfill_pools(struct shoal_context *context, const char *arguments, char *reply, size_t reply_bytes)
{
	struct nat_pool_key key = { .protocol = NAT_UDP, .steering_slot = 1 };
	struct nat_pool_take take = { 1024, 65535 };
	struct nat_pool_give_back give_back = { 1025 };
	struct nat_pool_taken taken;
	unsigned made = 0;
	int exact;

	while ((exact = nat_pool_take(context, &key, &take, &taken)) == 0 && ++made < 10000)
		key.address++;
	snprintf(reply, reply_bytes, "%u %d %d", made, exact, nat_pool_give_back(context, &key, &give_back));
	return 0;
}

/* Nobody waits for an untethered call: that there was no room for it must be a figure at least. */
static void calls_without_room_are_counted(void **state)
{
	struct world *world = world_create(2, 100, plain);
	const struct shoal_space_counters *owner = &world->members[1].worker.space.counters;
	unsigned made;
	int exact, untethered;
	char reply[64];

	world_task(world, 0, overfill_pools, "", reply, sizeof(reply));
	assert_int_equal(sscanf(reply, "%u %d %d", &made, &exact, &untethered), 3);
	world_run(world, 0);
	assert_in_range(made, 1, 9999);
	assert_int_equal(exact, -ENOSPC);
	assert_int_equal(untethered, 0);
	assert_int_equal(owner->calls_no_room, 1);
	assert_int_equal(owner->calls_untethered_no_room, 1);
	assert_int_equal(world->members[0].worker.space.counters.calls_untethered_no_room, 0);
	world_destroy(world);
}

/* --- States that only a death can leave ----------------------------------------------------------------------------- */

static struct endpoint orphan;

/* Makes a reverse that names a mapping which there is not, with a port that the pool takes for free. */
static int make_orphan(struct shoal_context *context, const char *arguments, char *reply, size_t reply_bytes)
{
	struct nat_reverse_key key = { orphan.address, htons(orphan.port), NAT_TCP, 0 };
	struct shoal_request request = nat_reverse_request(&key, true);
	struct nat_endpoint public = { key.address, key.port }, inside = { inet_addr(HOST), htons(4444) };
	int result = shoal_take(context, &request, 1);

	if (result)
		return result;
	*nat_reverse_object(&request) = (struct nat_reverse){
		.translation = nat_translation_make(public, inside, NAT_TCP, NAT_DESTINATION),
		.protocol = NAT_TCP,
		.ready = 1,
	};
	shoal_release(context, &request, 1);
	return 0;
}

/* A new flow whose port turns out to be in use gets the next one. */
static void port_in_use(void **state)
{
	struct world *world = world_create(1, 1000, one_port_each);
	uint8_t slot = nat_host_steering_slot(inet_addr(HOST));

	orphan = (struct endpoint){ inet_addr("198.51.100.1"), (uint16_t)(50176 + slot) };
	world_task(world, 0, make_orphan, "", NULL, 0);
	assert_int_equal(send_out(world, NAT_TCP, HOST, 5000, 2).port, 50176 + (uint8_t)(slot + 1));
	assert_int_equal(world_count(world, NAT_COUNT_CONFLICTS), 1);
	assert_int_equal(world_count(world, NAT_COUNT_CREATED), 1);
	assert_int_equal(ports_taken(world, "198.51.100.1 tcp"), 2);
	/* SYN, FIN or RST from outside shows that the other one is an orphan; its port is free again. */
	assert_false(send_in(world, NAT_TCP, orphan, HOST, 4444, 2));
	assert_int_equal(world_count(world, NAT_COUNT_ORPHANS), 1);
	assert_int_equal(world_drops(world, NAT_DROP_NO_MAPPING), 1);
	assert_int_equal(ports_taken(world, "198.51.100.1 tcp"), 1);
	assert_int_equal(world_objects(world, &nat_reverse_class), 1);
	world_destroy(world);
}

/* When every port tried is in use the flow is refused, and leaves a mapping that is no trouble: the next packet uses it,
 * or it ends. */
static void only_ports_in_use(void **state)
{
	struct world *world = world_create(1, 1000, one_port_each);
	uint8_t slot = nat_host_steering_slot(inet_addr(HOST));
	struct made_frame frame;

	for (unsigned port = 0; port < 4; port++) {
		orphan = (struct endpoint){ inet_addr("198.51.100.1"), (uint16_t)(50176 + (uint8_t)(slot + port)) };
		world_task(world, 0, make_orphan, "", NULL, 0);
	}
	for (uint16_t flow = 5000; flow < 5002; flow++) {
		make(&frame, NAT_TCP, inet_addr(HOST), flow, inet_addr(SERVER), 80, 2);
		if (flow == 5000)
			assert_int_equal(world_pass(world, &frame, NAT_INSIDE), -1);
		else
			assert_int_equal(world_pass(world, &frame, NAT_INSIDE), NAT_OUTSIDE);
	}
	assert_int_equal(world_drops(world, NAT_DROP_CONFLICT), 1);
	assert_int_equal(world_objects(world, &nat_mapping_class), 2);
	make(&frame, NAT_TCP, inet_addr(HOST), 5000, inet_addr(SERVER), 80, 2);
	assert_int_equal(world_pass(world, &frame, NAT_INSIDE), NAT_OUTSIDE);
	assert_sound(&frame);
	world_run(world, 7 * MINUTE_MS);
	assert_int_equal(world_objects(world, &nat_mapping_class), 0);
	assert_int_equal(world_objects(world, &nat_reverse_class), 4);
	world_destroy(world);
}

/* A mapping that is not ready, and never used again, ends without a reverse or a port. */
static void not_ready_mapping_ends(void **state)
{
	struct world *world = world_create(1, 1000, one_port_each);
	uint8_t slot = nat_host_steering_slot(inet_addr(HOST));
	struct made_frame frame;

	for (unsigned port = 0; port < 4; port++) {
		orphan = (struct endpoint){ inet_addr("198.51.100.1"), (uint16_t)(50176 + (uint8_t)(slot + port)) };
		world_task(world, 0, make_orphan, "", NULL, 0);
	}
	make(&frame, NAT_TCP, inet_addr(HOST), 5000, inet_addr(SERVER), 80, 2);
	assert_int_equal(world_pass(world, &frame, NAT_INSIDE), -1);
	assert_int_equal(world_objects(world, &nat_mapping_class), 1);
	world_run(world, 7 * MINUTE_MS);
	assert_int_equal(world_objects(world, &nat_mapping_class), 0);
	assert_int_equal(world_count(world, NAT_COUNT_EXPIRED), 0);
	world_destroy(world);
}

/* What a crash may leave half written is told from what may be kept. */
static int check_objects(struct shoal_context *context, const char *arguments, char *reply, size_t reply_bytes)
{
	struct nat_mapping_key key = { inet_addr(HOST), htons(5000), NAT_UDP, 0 };
	struct nat_pair pair = { .mapping_key = key };
	struct shoal_request request = nat_mapping_request(&key, false);
	bool right;

	if (shoal_take(context, &request, 1))
		return -1;
	pair.reverse_key = nat_mapping_reverse_key(nat_mapping_object(&request));
	shoal_release(context, &request, 1);
	if (nat_pair_find(context, &pair))
		return -1;
	struct nat_mapping mapping = *nat_pair_mapping(&pair);
	struct nat_reverse reverse = *nat_pair_reverse(&pair);

	right = nat_mapping_class.check(&key, &mapping) && nat_reverse_class.check(&pair.reverse_key, &reverse);
	mapping.translation.transport_delta ^= 1;
	reverse.translation.port ^= 1;
	right = right && !nat_mapping_class.check(&key, &mapping) &&
	        !nat_reverse_class.check(&pair.reverse_key, &reverse);
	mapping.ready = reverse.ready = 0;
	right = right && nat_mapping_class.check(&key, &mapping) &&
	        nat_reverse_class.check(&pair.reverse_key, &reverse);
	nat_pair_release(context, &pair);
	return right ? 0 : -2;
}

static void half_written_objects(void **state)
{
	struct world *world = world_create(1, 1000, plain);

	send_out(world, NAT_UDP, HOST, 5000, 0);
	world_task(world, 0, check_objects, "", NULL, 0);
	world_destroy(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_get_the_first_packet),
		cmocka_unit_test(races),
		cmocka_unit_test(borrowed_ports),
		cmocka_unit_test(what_is_written_is_listed),
		cmocka_unit_test(calls_without_room_are_counted),
		cmocka_unit_test(port_in_use),
		cmocka_unit_test(only_ports_in_use),
		cmocka_unit_test(not_ready_mapping_ends),
		cmocka_unit_test(half_written_objects),
	};

	return cmocka_run_group_tests_name("nat_members", tests, world_start, world_stop);
}
