/* SPDX-License-Identifier: BSD-3-Clause */
/* S6 figures 5 and 6: one instance becomes two and one again, under load. Generator, splitter and instance 0 on one core, instance 1
 * on another; a period without an event before each event is its control. A bin is a millisecond. */
#include <stdlib.h>
#include <string.h>

#include "scale_world.h"
#include "worker/runner.h"

#define RATE_WANTED 700e3
#define SLOWER 0.7
#define TRIALS_MAX 6
#define LOOK_NS 20000 /* between two looks at what is still forwarded */
#define SLIP_MAX 0.02 /* of the time: more, and this machine can't send so fast */
#define BINS_MAX 16384u

/* One period of measurement: which rows are its own. */
struct period {
	uint64_t from_ns, to_ns; /* since the generator began */
	uint32_t first_row, rows;
	uint64_t last_forwarded_ns, done_ns; /* since from_ns; 0: none */
	uint64_t lost, bytes, splitter_drops, instance_drops;
	uint32_t parked;
};

struct figures {
	double p99_us; /* the median bin's */
	double packets; /* received in a bin, the mean */
	uint32_t disturbed_ms, preempted;
};

static uint64_t period_ns(const struct scale_world *world)
{
	if (world->bench->quick)
		return 60 * SHOAL_NS_PER_MS;
	return (world->traffic.flows > 200000 ? 2500 : 500) * SHOAL_NS_PER_MS;
}

static uint64_t since_start(const struct scale_world *world)
{
	return world->now_ns - world->began_ns;
}

/* Runs one period; event: begun after its first tenth, towards `two`. */
static struct period run_period(struct scale_world *world, bool event, bool two)
{
	struct period period = { .from_ns = since_start(world), .first_row = world->rows_count };
	uint64_t bytes = scale_world_bytes_out(world), forwarded, begun_ns = 0, looked_ns = 0;
	uint64_t length = period_ns(world);
	uint64_t splitter_drops = scale_world_splitter_drops(world), instance_drops = scale_world_instance_drops(world);
	struct shoal_redirect_progress progress;

	shoal_splitter_progress_read(&world->splitter, true, &progress);
	scale_world_poll_for(world, length / 10);
	forwarded = scale_world_forwarded(world);
	if (event) {
		begun_ns = shoal_clock_now();
		scale_world_event_begin(world, two);
	}
	do {
		scale_world_poll(world);
		if (world->now_ns - looked_ns >= LOOK_NS) { /* the other core's lines: not in each round */
			uint64_t now = scale_world_forwarded(world);

			if (now != forwarded)
				period.last_forwarded_ns = world->now_ns - begun_ns;
			forwarded = now;
			looked_ns = world->now_ns;
		}
		if (event && !period.done_ns && world->step == SCALE_REST)
			period.done_ns = world->now_ns - begun_ns;
	} while (since_start(world) < period.from_ns + length || world->step != SCALE_REST);
	period.to_ns = since_start(world);
	period.rows = world->rows_count - period.first_row;
	period.bytes = scale_world_bytes_out(world) - bytes;
	period.splitter_drops = scale_world_splitter_drops(world) - splitter_drops;
	period.instance_drops = scale_world_instance_drops(world) - instance_drops;
	shoal_splitter_progress_read(&world->splitter, true, &progress);
	period.parked = progress.parked_most;
	return period;
}

static int ascending(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return (a > b) - (a < b);
}

static bool preempted(const struct scale_world *world, const struct shoal_traffic_row *row)
{
	return scale_world_preempted(world, world->began_ns + row->end_ns) ||
	       scale_world_preempted(world, world->began_ns + row->end_ns - row->length_ns);
}

/* Packets received in a bin, the mean of the bins that begin in [from, to); of those in which nobody else had a core if there
 * are such. */
static double received_in_bin(
	const struct scale_world *world, const struct period *period, uint64_t from_ns, uint64_t to_ns)
{
	double nanoseconds[2] = { 0 }, packets[2] = { 0 };
	unsigned which;

	for (uint32_t i = 0; i < period->rows; i++) {
		const struct shoal_traffic_row *row = &world->rows[period->first_row + i];

		if (row->end_ns < from_ns || row->end_ns - row->length_ns >= to_ns)
			continue;
		which = preempted(world, row);
		nanoseconds[which] += (double)row->length_ns;
		packets[which] += (double)row->received_packets;
	}
	which = nanoseconds[0] > 0 ? 0 : 1;
	return nanoseconds[which] > 0 ? packets[which] / nanoseconds[which] * 1e6 : 0;
}

/* The longest run of bins whose p99 is above the limit; bins in which somebody else had a core neither end nor lengthen it. */
static uint32_t disturbed(
	const struct scale_world *world, const struct period *period, double limit_us, uint32_t *skipped)
{
	uint32_t longest = 0, run = 0;

	*skipped = 0;
	for (uint32_t i = 0; i < period->rows; i++) {
		const struct shoal_traffic_row *row = &world->rows[period->first_row + i];

		if (preempted(world, row)) {
			(*skipped)++;
			continue;
		}
		run = (double)row->p99_ns / 1e3 > limit_us ? run + (uint32_t)(row->length_ns / SHOAL_NS_PER_MS) : 0;
		longest = run > longest ? run : longest;
	}
	return longest;
}

static struct figures figures_of(const struct scale_world *world, const struct period *period, double limit_us)
{
	static double p99[BINS_MAX];
	struct figures figures = { 0 };
	uint32_t count = period->rows < BINS_MAX ? period->rows : BINS_MAX;

	for (uint32_t i = 0; i < count; i++)
		p99[i] = (double)world->rows[period->first_row + i].p99_ns / 1e3;
	qsort(p99, count, sizeof(p99[0]), ascending);
	figures.p99_us = count ? p99[count / 2] : 0;
	figures.packets = received_in_bin(world, period, period->from_ns, period->to_ns);
	figures.disturbed_ms =
		disturbed(world, period, limit_us > 0 ? limit_us : 2 * figures.p99_us, &figures.preempted);
	return figures;
}

/* What was received from the event's begin until it was done, at least 10 ms, a bin. */
static double received_during(const struct scale_world *world, const struct period *period)
{
	uint64_t begin = period->from_ns + period_ns(world) / 10;
	uint64_t least = 10 * SHOAL_NS_PER_MS, length = period->done_ns > least ? period->done_ns : least;

	return received_in_bin(world, period, begin, begin + length);
}

/* What limits the figures of an event; set before they are printed. */
static const char *limit = "";

static void set_limit(const struct figures *event, const struct period *period)
{
	if (event->preempted > period->rows / 4)
		limit = "somebody else had a core in more than a quarter of the event's bins: these figures say little";
	else
		limit = "generator, splitter and one instance share a core";
}

static void print(struct scale_world *world, const char *event, const char *metric, double value, const char *unit)
{
	const struct bench_figure figure = { value, unit, 0, limit };

	bench_row(world->bench, &figure,
		"\"nf\": \"nat\", \"plane\": \"shared\", \"event\": \"%s\", \"metric\": \"%s\", \"flows\": %u, "
		"\"distribution\": "
		"\"uniform\", \"packet_bytes\": 64, \"blocked\": 0, \"new_flows\": 0, \"steering\": \"%s\"",
		event, metric, world->traffic.flows, world->traffic.round_robin ? "round_robin" : "by_flow");
}

static void draw(struct scale_world *world, const char *name, const struct period *period)
{
	static double x[BINS_MAX], y[BINS_MAX], marked[BINS_MAX];
	uint32_t marked_count = 0, count = period->rows < BINS_MAX ? period->rows : BINS_MAX;
	char panel[96];

	for (uint32_t i = 0; i < count; i++) {
		const struct shoal_traffic_row *row = &world->rows[period->first_row + i];

		x[i] = (double)(row->end_ns - period->from_ns) / 1e6;
		y[i] = (double)row->p99_ns / 1e3;
		if (preempted(world, row))
			marked[marked_count++] = x[i];
	}
	snprintf(panel, sizeof(panel), "scale_event, %u flows%s: p99 latency (us) over milliseconds",
		world->traffic.flows, world->traffic.round_robin ? ", round robin" : "");
	bench_series(world->bench, &(struct bench_line){ panel, name, x, y, count, marked, marked_count });
}

/* The median bin's p99 in the last third of an event's period, when it is over: two instances on two cores have another level than
 * one beside the generator, and a window ends where packets are as fast as they will stay. */
static double settled_p99(const struct scale_world *world, const struct period *event)
{
	struct period last = *event;
	uint32_t skipped = event->rows - event->rows / 3;

	last.first_row += skipped;
	last.rows -= skipped;
	return figures_of(world, &last, 0).p99_us;
}

static void report(
	struct scale_world *world, const char *name, const struct period *control, const struct period *event)
{
	struct figures of_control = figures_of(world, control, 0);
	double settled_us = settled_p99(world, event);
	double usual_us = settled_us > of_control.p99_us ? settled_us : of_control.p99_us;
	struct figures of_event = figures_of(world, event, 2 * of_control.p99_us);
	char control_name[32];

	set_limit(&of_event, event);
	snprintf(control_name, sizeof(control_name), "before %s", name);
	draw(world, control_name, control);
	draw(world, name, event);
	print(world, name, "packets_lost", (double)event->lost, "packets");
	print(world, name, "dropped_at_splitter", (double)event->splitter_drops, "packets");
	print(world, name, "dropped_at_instances", (double)event->instance_drops, "packets");
	print(world, name, "disturbed_window_ms", of_event.disturbed_ms, "ms");
	print(world, name, "disturbed_window_settled_ms", figures_of(world, event, 2 * usual_us).disturbed_ms, "ms");
	print(world, name, "control_disturbed_window_ms", of_control.disturbed_ms, "ms");
	print(world, name, "throughput_ratio", received_during(world, event) / of_control.packets, "times");
	print(world, name, "two_hop_ms", (double)event->last_forwarded_ns / 1e6, "ms");
	print(world, name, "duration_ms", (double)event->done_ns / 1e6, "ms");
	print(world, name, "max_parked", event->parked, "packets");
	print(world, name, "bytes_moved", (double)event->bytes, "bytes");
	print(world, name, "p99_before", of_control.p99_us, "us");
	print(world, name, "p99_during", of_event.p99_us, "us");
	print(world, name, "p99_after", settled_us, "us");
	print(world, name, "offered", of_control.packets / 1000, "Mpps");
	print(world, name, "preempted_bins", of_event.preempted + of_control.preempted, "bins");
}

/* Sends every flow's first packet, and finds a rate that one instance bears. Packets lost until then. */
static uint64_t warm_up(struct scale_world *world)
{
	uint64_t all = (uint64_t)((double)world->traffic.flows / world->traffic.rate * 1.2e9), lost;
	uint64_t length = world->bench->quick ? 20 * SHOAL_NS_PER_MS : 200 * SHOAL_NS_PER_MS;
	double multiplier = 1;

	for (unsigned trial = 0; trial < TRIALS_MAX; trial++) {
		struct shoal_generator_totals before, after;
		uint64_t lost_before = scale_world_settle(world);

		shoal_generator_totals(world->generator, &before);
		scale_world_poll_for(world, length + (uint64_t)((double)all / multiplier));
		shoal_generator_totals(world->generator, &after);
		lost = scale_world_settle(world);
		all = 0;
		if (lost == lost_before && (double)(after.slipped_ns - before.slipped_ns) < SLIP_MAX * (double)length)
			return lost;
		multiplier *= SLOWER;
		shoal_generator_set_multiplier(world->generator, multiplier);
	}
	return lost;
}

static void settle_period(struct scale_world *world, struct period *period, uint64_t *lost)
{
	uint64_t now_lost = scale_world_settle(world);

	period->lost = now_lost - *lost;
	*lost = now_lost;
}

static void print_distance(struct bench *bench, const struct scale_traffic *traffic)
{
	char parameters[192];

	snprintf(parameters, sizeof(parameters),
		"\"nf\": \"nat\", \"plane\": \"shared\", \"event\": \"none\", \"flows\": %u, \"distribution\": "
		"\"uniform\", "
		"\"packet_bytes\": 64, \"blocked\": 0, \"new_flows\": 0, \"steering\": \"%s\"",
		traffic->flows, traffic->round_robin ? "round_robin" : "by_flow");
	bench_distance(bench, parameters);
}

static void measure(struct bench *bench, struct rte_mempool *pool, const struct scale_traffic *traffic)
{
	struct scale_world *world = aligned_alloc(128, (sizeof(*world) + 127) / 128 * 128);
	struct period control[2], event[2];
	uint64_t lost;

	if (!world)
		bench_fail(bench, "no memory");
	print_distance(bench, traffic);
	scale_world_init(world, bench, pool, traffic);
	lost = warm_up(world);
	scale_world_instance_start(world);
	lost += scale_world_settle(world) - lost;
	for (unsigned back = 0; back < 2; back++) {
		control[back] = run_period(world, false, false);
		event[back] = run_period(world, true, !back);
		settle_period(world, &event[back], &lost);
	}
	report(world, "out", &control[0], &event[0]);
	report(world, "back", &control[1], &event[1]);
	scale_world_instance_end(world);
	scale_world_fini(world);
	free(world);
}

int main(int argc, char **argv)
{
	static const struct scale_traffic traffic[] = { { .flows = 8192, .rate = RATE_WANTED },
		{ .flows = 65536, .rate = RATE_WANTED }, { .flows = 65536, .rate = RATE_WANTED, .round_robin = true },
		{ .flows = 1048576, .rate = RATE_WANTED } };
	struct rte_mempool *pool;
	struct bench bench;

	if (argc == 5 && !strcmp(argv[1], "--instance"))
		scale_member_process(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
	bench_start(&bench, "scale_event", argc, argv);
	if (bench.other_cpu < 0)
		bench_fail(&bench, "needs a second core (--other-cpu)");
	bench_eal_start(&bench, 768);
	pool = shoal_packet_pool_create("bench", 65535, 2048);
	if (!pool)
		bench_fail(&bench, "no packet pool");
	for (unsigned i = 0; i < (bench.quick ? 1 : sizeof(traffic) / sizeof(traffic[0])); i++)
		measure(&bench, pool, &traffic[i]);
	bench_finish(&bench);
	return 0;
}
