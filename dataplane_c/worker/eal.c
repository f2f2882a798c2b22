/* SPDX-License-Identifier: BSD-3-Clause */
/* Starts EAL as a guest in somebody else's process: afterwards the process has the signal handlers, the signal mask and the
 * CPU affinity that it had before, and EAL's own threads take no signal that is meant for the host's. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>

#include <shoal/dataplane.h>

#include "worker/eal.h"
#include "worker/error.h"
#include "worker/signals.h"

/* writer: the control thread that starts and stops. */
static struct {
	bool attempted;
	bool started;
	bool stopped;
	char **arguments; /* owns; while the process lives: EAL and its drivers keep pointers into them */
	FILE *log;
} eal;

/* Of EAL's log the first line since it was forgotten, and the last two different ones: the cause, and what failed for it. */
static struct {
	char first[192];
	char cause[192];
	char failure[192];
} log_tail;

static ssize_t log_write(void *cookie, const char *text, size_t length)
{
	size_t line = length < sizeof(log_tail.failure) - 1 ? length : sizeof(log_tail.failure) - 1;

	(void)cookie;
	while (line && text[line - 1] == '\n')
		line--;
	if (line && (strlen(log_tail.failure) != line || strncmp(log_tail.failure, text, line))) {
		memcpy(log_tail.cause, log_tail.failure, sizeof(log_tail.cause));
		memcpy(log_tail.failure, text, line);
		log_tail.failure[line] = 0;
		if (!log_tail.first[0])
			memcpy(log_tail.first, log_tail.failure, sizeof(log_tail.first));
	}
	/* The log is a courtesy: a host that has closed its stderr still runs. */
	if (write(STDERR_FILENO, text, length) < 0)
		return (ssize_t)length;
	return (ssize_t)length;
}

void shoal_eal_log_forget(void)
{
	memset(&log_tail, 0, sizeof(log_tail));
}

const char *shoal_eal_log_first(void)
{
	return log_tail.first;
}

static int log_open(int count, const char *const *arguments)
{
	static const cookie_io_functions_t functions = { .write = log_write };
	bool level_asked = false;

	if (!eal.log) {
		eal.log = fopencookie(NULL, "w", functions);
		if (!eal.log)
			return shoal_error(ENOMEM, "no memory for EAL's log");
		setvbuf(eal.log, NULL, _IOLBF, 0);
	}
	rte_openlog_stream(eal.log);
	for (int i = 1; i < count; i++)
		level_asked = level_asked || !strncmp(arguments[i], "--log-level", 11);
	if (!level_asked)
		rte_log_set_global_level(RTE_LOG_WARNING);
	return 0;
}

/* EAL permutes the array that it is given, and keeps some of the strings: it gets the second half, the first one owns. */
static int copy_arguments(int count, const char *const *arguments)
{
	size_t half = (size_t)count + 1;

	eal.arguments = calloc(2 * half, sizeof(*eal.arguments));
	if (!eal.arguments)
		return shoal_error(ENOMEM, "no memory for EAL's arguments");
	for (size_t i = 0; i + 1 < half; i++) {
		eal.arguments[i] = strdup(arguments[i]);
		if (!eal.arguments[i])
			return shoal_error(ENOMEM, "no memory for EAL's arguments");
		eal.arguments[half + i] = eal.arguments[i];
	}
	return 0;
}

/* rte_eal_init with the host's signals and affinity put back after it. */
static int init_as_guest(int count)
{
	struct shoal_signal_handlers handlers;
	cpu_set_t affinity;
	sigset_t mask;
	int result, has_affinity;

	has_affinity = !pthread_getaffinity_np(pthread_self(), sizeof(affinity), &affinity);
	shoal_signal_handlers_save(&handlers);
	shoal_signals_block(&mask);
	result = rte_eal_init(count, eal.arguments + count + 1);
	shoal_signals_restore(&mask);
	shoal_signal_handlers_restore(&handlers);
	/* EAL pins its caller to the main lcore; threads that the host starts later would inherit that. */
	if (has_affinity)
		pthread_setaffinity_np(pthread_self(), sizeof(affinity), &affinity);
	return result;
}

/* MiB; 0 where there are none, or nobody says. */
static unsigned long free_hugepages_mib(void)
{
	unsigned long pages = 0, page_kib = 0;
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128];

	while (file && fgets(line, sizeof(line), file)) {
		sscanf(line, "HugePages_Free: %lu", &pages);
		sscanf(line, "Hugepagesize: %lu", &page_kib);
	}
	if (file)
		fclose(file);
	return pages * page_kib / 1024;
}

const char *shoal_eal_memory_advice(void)
{
	static _Thread_local char advice[192];

	if (!rte_eal_has_hugepages())
		return "EAL has no more ordinary memory: ask for fewer `packets`, or give it more by -m in `eal`";
	snprintf(advice, sizeof(advice),
		"%lu MiB of hugepages are free: reserve more (`shoal doctor` says how), ask for fewer `packets`, or do "
		"without hugepages by `eal: [--no-huge]`",
		free_hugepages_mib());
	return advice;
}

int shoal_eal_start(int count, const char *const *arguments)
{
	int error;

	if (shoal_eal_running())
		return shoal_error(EALREADY, "EAL runs already in this process");
	/* What it was told the first time stays in EAL's own globals, after a failure too. */
	if (eal.attempted)
		return shoal_error(EALREADY, "EAL starts once in a process, and this one has tried before");
	if (count < 1 || !arguments)
		return shoal_error(EINVAL, "EAL needs at least the program's name as argument");
	error = log_open(count, arguments);
	if (!error)
		error = copy_arguments(count, arguments);
	if (error)
		return error;
	shoal_eal_log_forget();
	eal.attempted = true;
	if (init_as_guest(count) < 0) {
		error = rte_errno ? rte_errno : EINVAL;
		rmdir(rte_eal_get_runtime_dir());
		shoal_error(error, "EAL did not start (%s)%s%s%s%s", strerror(error), log_tail.cause[0] ? ": " : "",
			log_tail.cause, log_tail.failure[0] ? ": " : "", log_tail.failure);
		return error == ENOMEM ? shoal_error(error, "%s. %s", shoal_last_error(), shoal_eal_memory_advice())
		                       : -error;
	}
	eal.started = true;
	/* Without a shared configuration nothing will lie there; so a kill leaves nothing of it. */
	rmdir(rte_eal_get_runtime_dir());
	return 0;
}

void shoal_eal_stop(void)
{
	char directory[PATH_MAX];

	if (!eal.started)
		return;
	eal.started = false;
	eal.stopped = true;
	snprintf(directory, sizeof(directory), "%s", rte_eal_get_runtime_dir());
	rte_eal_cleanup();
	rmdir(directory);
}

bool shoal_eal_running(void)
{
	return !eal.stopped && (eal.started || (!eal.attempted && rte_lcore_count() > 0));
}
