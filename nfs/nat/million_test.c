/* SPDX-License-Identifier: BSD-3-Clause */
/* A million mappings on one worker: every one has a public endpoint of its own, still has it at its second packet, and is
 * reached from outside by it. */
#include "steering.h"
#include "world_flow.h"

#define HOSTS 8192u
#define FLOWS 128u
#define MAPPINGS (HOSTS * FLOWS)
#define BURST 32u

static const char *const settings[] = { "public_addresses", "198.51.100.0/26", "udp_idle", "24h", NULL };

/* By mapping: its public endpoint; address and port in one word. */
static uint64_t *endpoints;

static void make_flow(struct made_frame *frame, unsigned mapping)
{
	make(frame, NAT_UDP, htonl(0x0a000000 + mapping / FLOWS), (uint16_t)(1000 + mapping % FLOWS), inet_addr(SERVER),
		80, 0);
	made_store32(frame->bytes + 46, mapping); /* in the payload */
	made_finish(frame);
}

static unsigned mapping_of(const struct made_frame *frame)
{
	return shoal_frame_number32(frame->bytes + 46);
}

/* Takes what has come out; returns how many. `note` for packets to outside whose endpoint is not known yet. */
static unsigned take_output(struct world *world, bool note)
{
	struct made_frame frame;
	unsigned count = 0;
	uint8_t port;

	for (; world_receive(world, &frame, &port); count++) {
		unsigned mapping = mapping_of(&frame);
		struct endpoint source = source_of(&frame), destination = destination_of(&frame);
		uint64_t endpoint = (uint64_t)ntohl(source.address) << 16 | source.port;

		assert_true(mapping < MAPPINGS);
		if (port == NAT_INSIDE) {
			assert_int_equal(ntohl(destination.address), 0x0a000000 + mapping / FLOWS);
			assert_int_equal(destination.port, 1000 + mapping % FLOWS);
		} else if (note) {
			endpoints[mapping] = endpoint;
		} else {
			assert_int_equal(endpoints[mapping], endpoint);
		}
	}
	return count;
}

static void pass(struct world *world, uint8_t port, bool note)
{
	unsigned received = 0;

	for (unsigned mapping = 0; mapping < MAPPINGS; mapping += BURST) {
		for (unsigned index = mapping; index < mapping + BURST; index++) {
			struct made_frame frame;

			make_flow(&frame, index);
			if (port == NAT_OUTSIDE) {
				made_store32(frame.bytes + 26, 0xc0000250);
				made_store32(frame.bytes + 30, (uint32_t)(endpoints[index] >> 16));
				made_store16(frame.bytes + 36, (uint16_t)endpoints[index]);
				made_finish(&frame);
			}
			world_send_to(world, 0, &frame, port);
		}
		world->now_ns += 1000;
		world_poll(world);
		received += take_output(world, note);
	}
	world_run(world, 0);
	received += take_output(world, note);
	assert_int_equal(received, MAPPINGS);
}

static int ascending(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static void a_million_mappings(void **state)
{
	struct world *world = world_create(1, MAPPINGS + 100, settings);

	endpoints = calloc(MAPPINGS, sizeof(*endpoints));
	assert_non_null(endpoints);
	pass(world, NAT_INSIDE, true);
	assert_int_equal(world_count(world, NAT_COUNT_CREATED), MAPPINGS);
	pass(world, NAT_INSIDE, false);
	pass(world, NAT_OUTSIDE, false);
	assert_int_equal(world_objects(world, &nat_mapping_class), MAPPINGS);
	assert_int_equal(world_objects(world, &nat_reverse_class), MAPPINGS);
	qsort(endpoints, MAPPINGS, sizeof(*endpoints), ascending);
	for (unsigned mapping = 1; mapping < MAPPINGS; mapping++)
		assert_true(endpoints[mapping - 1] < endpoints[mapping]);
	free(endpoints);
	world_destroy(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_million_mappings) };

	return cmocka_run_group_tests_name("nat_million", tests, world_start, world_stop);
}
