/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <getopt.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_version.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/clock.h"

void bench_fail(const struct bench *bench, const char *what)
{
	fprintf(stderr, "%s_bench: %s\n", bench->name, what);
	exit(1);
}

void bench_pin(const struct bench *bench, int cpu)
{
	char sentence[64];
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (!pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		return;
	snprintf(sentence, sizeof(sentence), "cannot run on cpu %d", cpu);
	bench_fail(bench, sentence);
}

static int number(const struct bench *bench, const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || end == text || value < 0 || value >= CPU_SETSIZE)
		bench_fail(bench, "--cpu and --other-cpu want the number of a cpu");
	return (int)value;
}

static void usage(const struct bench *bench)
{
	fprintf(stderr, "usage: %s_bench [--quick] [--no-hugepages] [--cpu N] [--other-cpu N]\n", bench->name);
	exit(2);
}

static void read_arguments(struct bench *bench, int argc, char **argv)
{
	static const struct option options[] = { { "quick", no_argument, NULL, 'q' },
		{ "no-hugepages", no_argument, NULL, 'n' }, { "cpu", required_argument, NULL, 'c' },
		{ "other-cpu", required_argument, NULL, 'o' }, { NULL, 0, NULL, 0 } };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'q')
			bench->quick = true;
		else if (option == 'n')
			bench->ordinary_pages = true;
		else if (option == 'c')
			bench->cpu = number(bench, optarg);
		else if (option == 'o')
			bench->other_cpu = number(bench, optarg);
		else
			usage(bench);
	}
	if (optind != argc)
		usage(bench);
}

void bench_start(struct bench *bench, const char *name, int argc, char **argv)
{
	*bench = (struct bench){ .name = name, .cpu = sched_getcpu(), .other_cpu = -1 };
	read_arguments(bench, argc, argv);
	bench_pin(bench, bench->cpu);
	shoal_clock_calibrate();
	printf("{\"rows\": [");
}

static bool enough_hugepages(unsigned megabytes)
{
	FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
	unsigned pages = 0;

	if (!file)
		return false;
	if (fscanf(file, "%u", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages >= megabytes / 2;
}

void bench_eal_start(struct bench *bench, unsigned megabytes)
{
	char memory[16], prefix[48], cores[16];
	char *huge[] = { "bench", "--in-memory", "-m", memory, "--lcores", cores, "--no-pci", "--no-telemetry",
		"--log-level", "lib.eal:error" };
	char *small[] = { "bench", "--no-huge", "--no-shconf", "--file-prefix", prefix, "-m", memory, "--lcores", cores,
		"--no-pci", "--no-telemetry", "--log-level", "lib.eal:error" };

	bench->eal = true;
	bench->hugepages = !bench->ordinary_pages && enough_hugepages(megabytes);
	snprintf(memory, sizeof(memory), "%u", megabytes);
	snprintf(prefix, sizeof(prefix), "bench-%d", (int)getpid());
	snprintf(cores, sizeof(cores), "0@%d", bench->cpu);
	if (bench->hugepages ? rte_eal_init(sizeof(huge) / sizeof(huge[0]), huge) >= 0
			     : rte_eal_init(sizeof(small) / sizeof(small[0]), small) >= 0)
		return;
	bench_fail(bench, rte_strerror(rte_errno));
}

void bench_row(struct bench *bench, const struct bench_figure *figure, const char *parameters, ...)
{
	va_list arguments;

	printf("%s{", bench->rows++ ? ",\n" : "");
	va_start(arguments, parameters);
	vprintf(parameters, arguments);
	va_end(arguments);
	printf(", \"value\": %.6g, \"unit\": \"%s\"", figure->value, figure->unit);
	if (figure->ratio_to_ideal > 0)
		printf(", \"ratio_to_ideal\": %.4f", figure->ratio_to_ideal);
	printf(", \"limited_by\": \"%s\"}", figure->limited_by);
	fflush(stdout);
}

static void put_numbers(FILE *file, const char *name, const double *values, unsigned count)
{
	fprintf(file, "\"%s\": [", name);
	for (unsigned i = 0; i < count; i++)
		fprintf(file, "%s%.5g", i ? ", " : "", values[i]);
	fprintf(file, "]");
}

void bench_series(struct bench *bench, const struct bench_line *line)
{
	if (!bench->series)
		bench->series = open_memstream(&bench->series_text, &bench->series_bytes);
	if (!bench->series)
		bench_fail(bench, "no memory for a series");
	fprintf(bench->series, "%s{\"panel\": \"%s\", \"name\": \"%s\", ", ftell(bench->series) ? ",\n" : "",
		line->panel, line->name);
	put_numbers(bench->series, "x", line->x, line->count);
	fprintf(bench->series, ", ");
	put_numbers(bench->series, "y", line->y, line->count);
	fprintf(bench->series, ", ");
	put_numbers(bench->series, "marked", line->marked, line->marked_count);
	fprintf(bench->series, "}");
}

static void finish_series(struct bench *bench)
{
	if (!bench->series)
		return;
	fclose(bench->series);
	printf("],\n\"series\": [%s", bench->series_text);
	free(bench->series_text);
}

void bench_finish(struct bench *bench)
{
	finish_series(bench);
	printf("],\n\"machine\": {\"dpdk\": \"%s\", \"compiler\": \"%s\", \"compiler_flags\": \"%s\", \"cpu\": %d",
		rte_version(), "gcc-compatible " __VERSION__, BENCH_COMPILER_FLAGS, bench->cpu);
	if (bench->other_cpu >= 0)
		printf(", \"other_cpu\": %d", bench->other_cpu);
	if (bench->eal) /* else what memory there is, is not EAL's */
		printf(", \"memory_pages\": \"%s\"", bench->hugepages ? "2 MiB" : "4 KiB");
	printf("}}\n");
}

static int ascending(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return (a > b) - (a < b);
}

double bench_percentile(struct bench_samples *samples, unsigned percent)
{
	qsort(samples->values, samples->count, sizeof(samples->values[0]), ascending);
	return samples->count ? samples->values[(uint64_t)(samples->count - 1) * percent / 100] : 0;
}
