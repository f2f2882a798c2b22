/* SPDX-License-Identifier: BSD-3-Clause */
/* The same NAT on two planes gets the same packets at the same times: what comes out is the same, byte for byte, and so are
 * drops and counters. Sequences are random, from seeds. */
#include "world_flow.h"

#include "plane/made_server.h"
#include "plane/plane.h"

#define SEEDS 40
#define TWIN_SEEDS 10
#define LONG_SEEDS 4 /* of long bursts */
#define REMOTE_SEEDS 2
#define STEPS 400
#define PUBLIC_MAX 256
#define BURST 8
#define LONG_BURST 80 /* several bursts of the worker in one poll */

static const char *const few_ports[] = { "public_addresses", "198.51.100.1-198.51.100.2", "port_range", "49152-51199",
	NULL };
static const char *const short_lives[] = { "public_addresses", "198.51.100.1", "port_range", "50176-50431",
	"tcp_established_idle", "10min", NULL };
static const char *const one_port_each[] = { "public_addresses", "198.51.100.1", "port_range", "50176-50431", NULL };

struct random_source {
	uint64_t state;
};

static uint32_t draw(struct random_source *random, uint32_t below)
{
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return (uint32_t)((random->state * UINT64_C(2685821657736338717)) >> 33) % below;
}

/* Both worlds, and the public endpoints that have been seen. */
struct pair {
	struct world *worlds[2];
	struct endpoint public[PUBLIC_MAX];
	uint8_t protocol[PUBLIC_MAX];
	unsigned publics;
	struct random_source random;
	bool looked_for; /* one world finds idle objects in rounds, at other times: they all go when nothing is under way */
};

static uint8_t draw_flags(struct random_source *random, uint8_t protocol, bool outbound)
{
	static const uint8_t tcp[] = { 2, 16, 16, 16, 17, 4, 18, 20 };

	if (protocol == NAT_TCP)
		return tcp[draw(random, sizeof(tcp))];
	return protocol == NAT_ICMP ? (outbound || draw(random, 4) == 0 ? 8 : 0) : 0; /* the type */
}

static uint8_t draw_packet(struct pair *pair, struct made_frame *frame)
{
	static const uint8_t protocols[] = { NAT_TCP, NAT_TCP, NAT_UDP, NAT_ICMP };
	struct random_source *random = &pair->random;
	uint8_t protocol = protocols[draw(random, sizeof(protocols))];
	uint32_t server = draw(random, 20) ? htonl(0xc0000201u + draw(random, 3)) : inet_addr("224.0.0.1");
	uint32_t host = htonl(0x0a000000u + draw(random, 24) * 0x1001u);

	if (!pair->publics || draw(random, 2)) {
		make(frame, protocol, host, (uint16_t)(1000 + draw(random, 12)), server, 80,
			draw_flags(random, protocol, true));
		return NAT_INSIDE;
	}
	unsigned which = draw(random, pair->publics);
	struct endpoint to = pair->public[which];

	protocol = pair->protocol[which];
	if (draw(random, 10) == 0)
		to.port = (uint16_t)(to.port + 256);
	/* Another inside host may be the sender: a hairpin. */
	if (draw(random, 10) == 0 && protocol != NAT_ICMP) {
		make(frame, protocol, host, 1000, to.address, to.port, draw_flags(random, protocol, true));
		return NAT_INSIDE;
	}
	make(frame, protocol, htonl(0xc0000201u), protocol == NAT_ICMP ? to.port : 80, to.address, to.port,
		draw_flags(random, protocol, false));
	return NAT_OUTSIDE;
}

static void note_public(struct pair *pair, const struct made_frame *frame)
{
	if (pair->publics == PUBLIC_MAX)
		return;
	pair->protocol[pair->publics] = frame->bytes[23];
	pair->public[pair->publics++] = source_of(frame);
}

/* What one world sent is what the other sent. */
static void compare_outputs(struct pair *pair)
{
	struct made_frame frames[2];
	uint8_t ports[2];

	for (;;) {
		bool some = world_receive(pair->worlds[0], &frames[0], &ports[0]);

		assert_int_equal(world_receive(pair->worlds[1], &frames[1], &ports[1]), some);
		if (!some)
			return;
		assert_int_equal(ports[0], ports[1]);
		assert_int_equal(frames[0].length, frames[1].length);
		assert_memory_equal(frames[0].bytes, frames[1].bytes, frames[0].length);
		assert_sound(&frames[0]);
		if (ports[0] == NAT_OUTSIDE)
			note_public(pair, &frames[0]);
	}
}

/* Over all seeds: what the sequences must have met. */
static uint64_t full, exhausted, hairpins, expired;

static void compare_books(const struct pair *pair)
{
	full += world_drops(pair->worlds[0], NAT_DROP_TABLE_FULL);
	exhausted += world_drops(pair->worlds[0], NAT_DROP_PORT_EXHAUSTED);
	hairpins += world_count(pair->worlds[0], NAT_COUNT_HAIRPINNED);
	expired += world_count(pair->worlds[0], NAT_COUNT_EXPIRED);
	for (unsigned drop = 0; drop < NAT_DROPS; drop++)
		assert_int_equal(world_drops(pair->worlds[0], drop), world_drops(pair->worlds[1], drop));
	for (unsigned counter = 0; counter < NAT_COUNTERS; counter++)
		assert_int_equal(world_count(pair->worlds[0], counter), world_count(pair->worlds[1], counter));
}

static const struct shoal_space_counters *counters_of(const struct pair *pair, unsigned world)
{
	return &pair->worlds[world]->members[0].worker.space.counters;
}

static void compare_takes(const struct pair *pair)
{
	assert_int_equal(counters_of(pair, 0)->takes, counters_of(pair, 1)->takes);
	assert_int_equal(counters_of(pair, 0)->takes_local, counters_of(pair, 1)->takes_local);
	assert_int_equal(counters_of(pair, 0)->takes_remote, counters_of(pair, 1)->takes_remote);
	assert_int_equal(counters_of(pair, 0)->takes_no_room, counters_of(pair, 1)->takes_no_room);
}

/* `burst`: packets that the worker finds together. */
static void step(struct pair *pair, unsigned burst)
{
	unsigned packets = 1 + draw(&pair->random, burst);
	uint32_t passes = draw(&pair->random, 8) ? 0 : draw(&pair->random, pair->looked_for ? 500 : 90000);

	for (unsigned i = 0; i < packets; i++) {
		struct made_frame frame;
		uint8_t port = draw_packet(pair, &frame);

		for (unsigned world = 0; world < 2; world++)
			world_send_to(pair->worlds[world], 0, &frame, port);
	}
	for (unsigned world = 0; world < 2; world++)
		world_run(pair->worlds[world], passes);
	compare_outputs(pair);
}

/* Twice the longest idle time. */
static void end_all(struct pair *pair)
{
	for (unsigned world = 0; world < 2; world++) {
		world_run(pair->worlds[world], pair->looked_for ? 25 * 60 * 1000u : 5 * 3600 * 1000u);
		assert_empty(pair->worlds[world]);
		assert_int_equal(world_count(pair->worlds[world], NAT_COUNT_EXPIRED),
			world_count(pair->worlds[world], NAT_COUNT_CREATED));
	}
}

static void run_pair(
	uint64_t seed, const struct world_setup *left, const struct world_setup *right, unsigned steps, unsigned burst)
{
	struct pair pair = { .random.state = seed * UINT64_C(0x9e3779b97f4a7c15), .looked_for = right->server != NULL };

	pair.worlds[0] = world_create_on(left);
	pair.worlds[1] = world_create_on(right);
	for (unsigned i = 0; i < steps; i++) {
		step(&pair, burst);
		if (pair.looked_for && i % 100 == 99)
			end_all(&pair);
	}
	compare_books(&pair);
	if (!right->nf && (!right->plane || right->plane->poll == shoal_plane_shared.poll))
		compare_takes(&pair);
	assert_true(world_count(pair.worlds[0], NAT_COUNT_CREATED) > 0);
	end_all(&pair);
	for (unsigned world = 2; world--;)
		world_destroy(pair.worlds[world]); /* the first one is the last to go: it knows of no buffers before */
}

static void local_is_as_shared(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world_setup setup = {
			.members = 1, .objects = seed % 4 ? 1000 : 30, .settings = seed % 3 ? few_ports : one_port_each
		};
		struct world_setup local = setup;

		local.plane = &shoal_plane_local;
		run_pair(seed, &setup, &local, STEPS, BURST);
	}
	assert_true(full && exhausted && hairpins && expired);
}

/* A take that nobody has to wait for has a short way; the twin goes the long one, and expects nothing. */
static void short_takes_are_as_long(void **state)
{
	struct shoal_plane long_way = shoal_plane_shared;

	long_way.runtime.take = shoal_space_take_long;
	long_way.runtime.expect = NULL;
	for (uint64_t seed = 1; seed <= TWIN_SEEDS; seed++) {
		struct world_setup setup = {
			.members = 1, .objects = seed % 4 ? 1000 : 30, .settings = seed % 3 ? few_ports : one_port_each
		};
		struct world_setup twin = setup;

		twin.plane = &long_way;
		run_pair(seed, &setup, &twin, STEPS, BURST);
	}
}

static void to_packet_handlers(
	struct shoal_context *context, struct shoal_packet *const packets[], void *const objects[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		packets[i]->verdict = SHOAL_TO_PACKET_HANDLER;
}

/* The burst handler is the fast form of the packet handler, which is told of one packet at a time. */
static void burst_handler_is_as_packet_handler(void **state)
{
	struct shoal_nf alone = shoal_nf;

	alone.process = to_packet_handlers;
	for (uint64_t seed = 1; seed <= LONG_SEEDS; seed++) {
		struct world_setup setup = { .members = 1, .objects = 1000, .settings = few_ports };
		struct world_setup twin = setup;

		twin.nf = &alone;
		run_pair(seed, &setup, &twin, STEPS, seed % 2 ? BURST : LONG_BURST);
	}
}

static void overlapping_bursts_are_as_others(void **state)
{
	for (uint64_t seed = 1; seed <= LONG_SEEDS; seed++) {
		struct world_setup setup = {
			.members = 1, .objects = 1000, .settings = seed % 3 ? few_ports : one_port_each
		};
		struct world_setup twin = setup;

		twin.overlapping = true;
		run_pair(seed, &setup, &twin, STEPS, LONG_BURST);
	}
}

/* Expired objects go a little later where they are looked for, so the times between are short here. */
static void remote_is_as_shared(void **state)
{
	for (uint64_t seed = 1; seed <= REMOTE_SEEDS; seed++) {
		struct made_server server;
		struct world_setup setup = { .members = 1, .objects = 1000, .settings = short_lives };
		struct world_setup remote = setup;

		assert_int_equal(made_server_start(&server, false, -1), 0);
		remote.plane = &shoal_plane_remote;
		remote.server = server.address;
		run_pair(seed, &setup, &remote, STEPS, 1);
		assert_int_equal(made_server_keys(&server, "nat/nat.mapping/*"), 0);
		assert_int_equal(made_server_keys(&server, "nat/nat.reverse/*"), 0);
		assert_true(made_server_keys(&server, "nat/nat.pool/*") > 0);
		made_server_end(&server);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(local_is_as_shared),
		cmocka_unit_test(short_takes_are_as_long),
		cmocka_unit_test(burst_handler_is_as_packet_handler),
		cmocka_unit_test(overlapping_bursts_are_as_others),
		cmocka_unit_test(remote_is_as_shared),
	};

	return cmocka_run_group_tests_name("planes", tests, world_start, world_stop);
}
