/* SPDX-License-Identifier: BSD-3-Clause */
/* The controller's commands after a death, carried to the worker. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "worker/error.h"
#include "worker/instance.h"

struct view_command {
	const struct shoal_death *death; /* NULL: adopt */
	uint8_t member;
	uint64_t life;
	const char *directory;
	char sentence[512]; /* the worker's, which is another thread's */
};

static int run_in_worker(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_space *space = &((struct shoal_instance *)component)->worker.space;
	struct view_command *command = argument;
	int error = command->death ? shoal_view_death(space, command->death)
	                           : shoal_view_adopt(space, command->member, command->life, command->directory);

	if (error)
		snprintf(command->sentence, sizeof(command->sentence), "%s", shoal_last_error());
	return error;
}

static int run(struct shoal_instance *instance, struct view_command *command)
{
	int error = shoal_instance_command(instance, run_in_worker, command);

	if (error && !command->sentence[0])
		return shoal_error(-error, "instance %s: its worker did not take the command: %s",
			instance->config.name, strerror(-error));
	return error ? shoal_error(-error, "%s", command->sentence) : 0;
}

int shoal_instance_death(struct shoal_instance *instance, const struct shoal_death *death)
{
	struct view_command command = { .death = death };

	return run(instance, &command);
}

int shoal_instance_adopt(struct shoal_instance *instance, uint16_t member, uint64_t life, const char *slab_directory)
{
	struct view_command command = { .member = (uint8_t)member, .life = life, .directory = slab_directory };

	if (member >= SHOAL_MEMBERS_MAX || member == instance->config.member)
		return shoal_error(EINVAL, "member %u can't be adopted by member %u", member, instance->config.member);
	return run(instance, &command);
}

static int look(void *component, void *argument, uint64_t now_ns)
{
	shoal_view_progress(&((struct shoal_instance *)component)->worker.space, argument);
	return 0;
}

int shoal_instance_view_progress(struct shoal_instance *instance, struct shoal_view_progress *progress)
{
	int error = shoal_instance_command(instance, look, progress);

	return error ? shoal_error(-error, "instance %s: its worker did not answer", instance->config.name) : 0;
}

struct fates_argument {
	enum shoal_fate fate;
	uint64_t *cursor;
	struct shoal_fate_row *rows;
	long n, count;
};

static int read_fates(void *component, void *argument, uint64_t now_ns)
{
	struct fates_argument *fates = argument;

	fates->count = shoal_view_fates_read(&((struct shoal_instance *)component)->worker.space.view, fates->fate,
		fates->cursor, fates->rows, fates->n);
	return 0;
}

long shoal_instance_fates(
	struct shoal_instance *instance, int fate, uint64_t *cursor, struct shoal_fate_row *rows, long n)
{
	struct fates_argument fates = { .fate = (enum shoal_fate)fate, .cursor = cursor, .rows = rows, .n = n };
	int error;

	if (fate < 0 || fate >= SHOAL_FATES)
		return shoal_error(EINVAL, "there is no fate %d", fate);
	error = shoal_instance_command(instance, read_fates, &fates);
	return error ? shoal_error(-error, "instance %s: its worker did not answer", instance->config.name)
	             : fates.count;
}
