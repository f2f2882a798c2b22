/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs a fuzz target over the files of a corpus folder, without a fuzzer. An empty or missing corpus is an error. */
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "target.h"

/* The file's bytes in a heap buffer of exactly their length; NULL: can't be read. */
static uint8_t *read_file(const char *path, size_t *length)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes = NULL;
	struct stat status;

	if (!file)
		return NULL;
	if (!fstat(fileno(file), &status)) {
		*length = (size_t)status.st_size;
		bytes = malloc(*length ? *length : 1);
	}
	if (bytes && fread(bytes, 1, *length, file) != *length) {
		free(bytes);
		bytes = NULL;
	}
	fclose(file);
	return bytes;
}

static int is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int replay(const char *folder, const char *name)
{
	char path[PATH_MAX];
	size_t length = 0;
	uint8_t *bytes;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	bytes = read_file(path, &length);
	if (!bytes) {
		fprintf(stderr, "%s: can't be read\n", path);
		return -1;
	}
	printf("%s\n", path);
	fflush(stdout); /* so that the last line names the input that aborts */
	LLVMFuzzerTestOneInput(bytes, length);
	free(bytes);
	return 0;
}

int main(int count, char **arguments)
{
	struct dirent **entries;
	int files, faults = 0;

	if (count != 2) {
		fprintf(stderr, "usage: %s FOLDER\n", arguments[0]);
		return 2;
	}
	files = scandir(arguments[1], &entries, is_input, alphasort);
	if (files <= 0) {
		fprintf(stderr, "%s: no corpus there\n", arguments[1]);
		return 1;
	}
	for (int i = 0; i < files; i++) {
		faults += !!replay(arguments[1], entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	printf("%d inputs, %d unreadable\n", files, faults);
	return faults ? 1 : 0;
}
