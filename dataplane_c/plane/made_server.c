/* SPDX-License-Identifier: BSD-3-Clause */
#include "plane/made_server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 10000

static void run(const struct made_server *server)
{
	int nothing = open("/dev/null", O_RDWR);
	cpu_set_t cpus;

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashes leaves none behind */
	dup2(nothing, 0);
	dup2(nothing, 1);
	if (server->cpu >= 0) {
		CPU_ZERO(&cpus);
		CPU_SET((unsigned)server->cpu, &cpus);
		sched_setaffinity(0, sizeof(cpus), &cpus);
	}
	execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", server->address + strlen("unix:"),
		"--dir", server->directory, "--save", "", "--appendonly", server->keeps ? "yes" : "no", "--appendfsync",
		"always", "--loglevel", "warning", (char *)NULL);
	_exit(127);
}

long made_server_keys(const struct made_server *server, const char *pattern)
{
	redisContext *context = redisConnectUnix(server->address + strlen("unix:"));
	redisReply *reply = context && !context->err ? redisCommand(context, "KEYS %s", pattern) : NULL;
	long count = reply && reply->type == REDIS_REPLY_ARRAY ? (long)reply->elements : -1;

	if (reply)
		freeReplyObject(reply);
	if (context)
		redisFree(context);
	return count;
}

static bool answers(const struct made_server *server)
{
	redisContext *context = redisConnectUnix(server->address + strlen("unix:"));
	redisReply *reply = context && !context->err ? redisCommand(context, "PING") : NULL;
	bool good = reply && reply->type == REDIS_REPLY_STATUS;

	if (reply)
		freeReplyObject(reply);
	if (context)
		redisFree(context);
	return good;
}

int made_server_restart(struct made_server *server)
{
	const struct timespec nap = { .tv_nsec = 1000000 };

	server->process = fork();
	if (server->process < 0)
		return -errno;
	if (!server->process)
		run(server);
	for (unsigned waited = 0; waited < DEADLINE_MS; waited++) {
		if (answers(server))
			return 0;
		if (waitpid(server->process, NULL, WNOHANG)) {
			server->process = 0;
			return -ENOENT;
		}
		nanosleep(&nap, NULL);
	}
	made_server_kill(server);
	return -ETIMEDOUT;
}

int made_server_start(struct made_server *server, bool keeps, int cpu)
{
	int error;

	*server = (struct made_server){ .directory = "/tmp/shoal-server-XXXXXX", .keeps = keeps, .cpu = cpu };
	if (!mkdtemp(server->directory))
		return -errno;
	snprintf(server->address, sizeof(server->address), "unix:%s/socket", server->directory);
	error = made_server_restart(server);
	if (error)
		made_server_end(server);
	return error;
}

void made_server_kill(struct made_server *server)
{
	if (!server->process)
		return;
	kill(server->process, SIGKILL);
	waitpid(server->process, NULL, 0);
	server->process = 0;
}

static void remove_tree(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	char below[512];

	while (directory && (entry = readdir(directory)) != NULL) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		if (unlink(below))
			remove_tree(below);
	}
	if (directory)
		closedir(directory);
	rmdir(path);
}

void made_server_end(struct made_server *server)
{
	made_server_kill(server);
	remove_tree(server->directory);
}
