/* SPDX-License-Identifier: BSD-3-Clause */
/* equivalence_run INPUT OUTPUT SEED INSTANCES [FAULT]
 *
 * Feeds the captures of INPUT through the NAT on 1 to INSTANCES instances, which join and leave at random times, and
 * writes to OUTPUT what went into and came out of it: a run as shoal verify reads it, with books.json. All that happens
 * follows from SEED. INSTANCES 1: nothing ever joins or leaves. FAULT (fault.h) spoils one packet that leaves.
 * Exit status 2: it can't be done; an assertion of the cluster that fails aborts. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "fault.h"
#include "feed.h"
#include "nat_cluster.h"
#include "servers.h"

#define ANSWERS 8192 /* a power of two */
#define LEAP_NS_MOST (SHOAL_NS_PER_S / 2)
/* After the last packet: longer than the NAT keeps anything. */
#define END_NS (20000 * SHOAL_NS_PER_S)
#define POLLS_BETWEEN_EVENTS 300
#define POLLS_BETWEEN_EVENTS_LEAPING 20000
#define PLANS_PER_ABANDONED_ONE 6

struct end_port {
	struct shoal_port port;
	struct world *world;
	uint8_t number;
	FILE *in, *out; /* as seen from the NAT */
};

struct world {
	struct nat_cluster cluster;
	struct end_port ends[2];
	struct feed feed;
	struct fault fault;
	struct servers_answer *answers; /* ring of ANSWERS, on their way from the servers */
	uint32_t answers_head, answers_tail;
	uint64_t leap_until_ns; /* 0: time goes step by step */
	bool ended;
	unsigned events;
};

/* --- The ends --- */

static unsigned next_frame(struct world *world, uint8_t port, uint8_t *frame)
{
	bool answers = port == 1 && world->answers_head != world->answers_tail;
	uint64_t random = nat_cluster_random(&world->cluster);
	unsigned length = answers && random & 1 ? 0 : feed_next(&world->feed, port, random >> 1, frame);

	if (length || !answers)
		return length;
	const struct servers_answer *answer = &world->answers[world->answers_head++ % ANSWERS];
	memcpy(frame, answer->frame, answer->length);
	return answer->length;
}

static unsigned receive(struct shoal_port *port, struct shoal_packet *packets[], unsigned n, uint64_t now_ns)
{
	struct end_port *end = (struct end_port *)port;
	bool begun = end->world->cluster.epoch; /* without instances everything would be dropped */
	unsigned want = begun ? (unsigned)(nat_cluster_random(&end->world->cluster) % 4) : 0, count = 0;
	uint8_t frame[PCAP_FRAME_MAX];

	while (count < n && count < want) {
		unsigned length = next_frame(end->world, end->number, frame);
		struct shoal_packet *packet;

		if (!length)
			break;
		packet = shoal_packet_alloc(end->world->cluster.pool, (uint16_t)length);
		nat_cluster_must(packet ? 0 : ENOMEM, "packet");
		memcpy(packet->frame, frame, length);
		packet->port = end->number;
		packets[count++] = packet;
		pcap_file_append(end->in, now_ns, frame, length);
	}
	return count;
}

static void answer(struct world *world, const struct feed_input *input, uint8_t *frame, unsigned length)
{
	struct servers_answer made[SERVERS_ANSWERS_MAX];
	unsigned count = servers_answer(frame, length, made);

	for (unsigned i = 0; i < count; i++) {
		nat_cluster_must(world->answers_tail - world->answers_head == ANSWERS ? ENOBUFS : 0, "answers");
		world->answers[world->answers_tail++ % ANSWERS] = made[i];
		if (input)
			feed_answered(&world->feed, input);
	}
}

/* A frame has left the NAT, and comes to a host or server. */
static void arrive(void *user, uint8_t *frame, unsigned length)
{
	struct end_port *end = user;
	struct world *world = end->world;
	const struct feed_input *input = NULL;
	struct wire wire;

	pcap_file_append(end->out, world->cluster.now_ns, frame, length);
	if (wire_read(&wire, frame, length))
		input = feed_arrived(&world->feed, end->number, &wire);
	if (end->number == 1)
		answer(world, input, frame, length);
}

static unsigned transmit(struct shoal_port *port, struct shoal_packet *const packets[], unsigned n)
{
	struct end_port *end = (struct end_port *)port;

	for (unsigned i = 0; i < n; i++) {
		if (end->number == fault_port(end->world->fault.kind))
			fault_apply(&end->world->fault, packets[i]->frame, packets[i]->length, arrive, end);
		else
			arrive(end, packets[i]->frame, packets[i]->length);
		shoal_packet_free(packets[i]);
	}
	return n;
}

static void nothing(struct shoal_port *port)
{
}

static const struct shoal_port_operations end_operations = {
	.receive = receive, .transmit = transmit, .flush = nothing, .destroy = nothing
};

/* --- Time --- */

/* Nothing moves in the NAT, and nothing is on its way to it. */
static void go_on(struct world *world)
{
	struct feed *feed = &world->feed;

	if (world->fault.held_length) {
		fault_release(&world->fault, arrive, &world->ends[fault_port(world->fault.kind)]);
		return;
	}
	if (!feed_phase_sent(feed)) {
		feed_unblock(feed);
		return;
	}
	world->leap_until_ns =
		feed_ended(feed) ? world->cluster.now_ns + END_NS : NAT_CLUSTER_START_NS + feed_next_phase_ns(feed);
}

static void end_leap(struct world *world)
{
	world->leap_until_ns = 0;
	world->cluster.idle_rounds = 0;
	if (feed_ended(&world->feed))
		world->ended = true;
	else
		world->feed.phase++;
}

/* Time leaps only while nobody waits for an answer: the NAT's deadlines are not what is looked at here. */
static uint64_t elapse(struct nat_cluster *cluster, void *user)
{
	struct world *world = user;
	uint64_t random = nat_cluster_random(cluster);

	if (world->leap_until_ns && cluster->now_ns >= world->leap_until_ns)
		end_leap(world);
	if (!nat_cluster_idle(cluster) || nat_cluster_suspended(cluster) || world->ended || !cluster->epoch ||
		world->answers_head != world->answers_tail)
		return random % 2000;
	if (!world->leap_until_ns)
		go_on(world);
	return world->leap_until_ns ? random % LEAP_NS_MOST : random % 2000;
}

/* --- The run --- */

/* Any set of members but the present one and the empty one. */
static void scale(struct world *world, unsigned instances)
{
	bool in_next[NAT_CLUSTER_INSTANCES] = { 0 };
	unsigned chosen;

	do {
		chosen = (unsigned)(nat_cluster_random(&world->cluster) % (1u << instances));
		for (unsigned member = 0; member < instances; member++)
			in_next[member] = chosen >> member & 1;
	} while (!chosen || (world->cluster.epoch && !memcmp(in_next, world->cluster.in, sizeof(in_next))));
	if (world->cluster.epoch && nat_cluster_random(&world->cluster) % PLANS_PER_ABANDONED_ONE == 0) {
		nat_cluster_scale_abandoned(&world->cluster, in_next);
		return;
	}
	nat_cluster_scale(&world->cluster, in_next);
	world->events++;
}

static void run(struct world *world, unsigned instances)
{
	scale(world, instances);
	while (!world->ended) {
		uint64_t most = world->leap_until_ns ? POLLS_BETWEEN_EVENTS_LEAPING : POLLS_BETWEEN_EVENTS;

		nat_cluster_run(&world->cluster, (unsigned)(nat_cluster_random(&world->cluster) % most));
		if (instances > 1 && !world->ended)
			scale(world, instances);
	}
}

static void write_row(FILE *file, bool *first, const char *name, uint64_t value)
{
	fprintf(file, "%s\n    \"%s\": %" PRIu64, *first ? "" : ",", name, value);
	*first = false;
}

static void write_drops(const struct world *world, const struct nat_cluster_figures *figures, FILE *file)
{
	const struct shoal_splitter *splitter = &world->cluster.splitter;
	bool first = true;

	for (unsigned i = 0; i < SHOAL_SPLITTER_DROPS; i++)
		write_row(file, &first, shoal_splitter_drop_name(i), splitter->drops[i]);
	for (unsigned i = SHOAL_PARSE_OK + 1; i < SHOAL_PARSE_RESULTS; i++)
		write_row(file, &first, shoal_parse_result_name(i), splitter->parse_drops[i] + figures->parse_drops[i]);
	for (unsigned i = 0; i < shoal_nf.drops_count; i++)
		write_row(file, &first, shoal_nf.drops[i], figures->nf_drops[i]);
	for (unsigned i = 0; i < SHOAL_WORKER_DROPS; i++)
		write_row(file, &first, shoal_worker_drop_name(i), figures->worker_drops[i]);
}

static void write_counters(const struct world *world, const struct nat_cluster_figures *figures, FILE *file)
{
	bool first = true;

	for (unsigned i = 0; i < shoal_nf.counters_count; i++)
		write_row(file, &first, shoal_nf.counters[i], figures->nf_counters[i]);
	write_row(file, &first, "events", world->events);
	write_row(file, &first, "objects_moved", figures->objects_moved);
	write_row(file, &first, "takes_remote", figures->takes_remote);
	write_row(file, &first, "packets_suspended", figures->packets_suspended);
	write_row(file, &first, "packets_parked_most", world->cluster.splitter.steering.parked_most);
	write_row(file, &first, "packets_sent", world->feed.sent);
	write_row(file, &first, "packets_skipped", world->feed.skipped);
	write_row(file, &first, "fault_struck", world->fault.struck);
}

static void write_books(const struct world *world, const char *folder)
{
	struct nat_cluster_figures figures;
	char path[4096];
	FILE *file;

	nat_cluster_figures_read(&world->cluster, &figures);
	snprintf(path, sizeof(path), "%s/books.json", folder);
	file = fopen(path, "w");
	nat_cluster_must(file ? 0 : errno, path);
	fprintf(file, "{\n  \"drops\": {");
	write_drops(world, &figures, file);
	fprintf(file, "\n  },\n  \"counters\": {");
	write_counters(world, &figures, file);
	fprintf(file, "\n  }\n}\n");
	nat_cluster_must(fclose(file) ? errno : 0, path);
}

static void open_ends(struct world *world, const char *folder)
{
	static const char *const names[2][2] = { { "inside-in.pcap", "inside-out.pcap" },
		{ "outside-in.pcap", "outside-out.pcap" } };

	for (uint8_t end = 0; end < 2; end++)
		world->ends[end] = (struct end_port){ .port.operations = &end_operations,
			.world = world,
			.number = end,
			.in = pcap_file_create(folder, names[end][0]),
			.out = pcap_file_create(folder, names[end][1]) };
}

static void close_ends(struct world *world)
{
	for (unsigned end = 0; end < 2; end++) {
		pcap_file_close(world->ends[end].in);
		pcap_file_close(world->ends[end].out);
	}
}

int main(int argc, char **argv)
{
	struct world *world = aligned_alloc(64, (sizeof(*world) + 63) / 64 * 64);
	unsigned instances = argc >= 5 ? (unsigned)atoi(argv[4]) : 0;
	enum fault_kind fault = fault_kind_find(argc == 6 ? argv[5] : "none");
	uint64_t seed = argc >= 5 ? strtoull(argv[3], NULL, 10) : 0;

	if (!world || argc > 6 || !instances || instances > NAT_CLUSTER_INSTANCES || fault == FAULT_KINDS) {
		fprintf(stderr, "usage: equivalence_run INPUT OUTPUT SEED INSTANCES(1-%d) [FAULT]\n",
			NAT_CLUSTER_INSTANCES);
		return 2;
	}
	memset(world, 0, sizeof(*world));
	world->answers = calloc(ANSWERS, sizeof(*world->answers));
	nat_cluster_must(world->answers ? 0 : ENOMEM, "answers");
	feed_init(&world->feed, argv[1]);
	open_ends(world, argv[2]);
	nat_cluster_init(&world->cluster, seed, nat_cluster_pool("equivalence", 8191, 2048),
		(struct shoal_port *[]){ &world->ends[0].port, &world->ends[1].port });
	world->cluster.elapse = elapse;
	world->cluster.user = world;
	world->fault.kind = fault;
	world->fault.countdown = (unsigned)(nat_cluster_random(&world->cluster) % 200);
	run(world, instances);
	write_books(world, argv[2]);
	close_ends(world);
	nat_cluster_fini(&world->cluster);
	feed_fini(&world->feed);
	free(world->answers);
	free(world);
	return 0;
}
