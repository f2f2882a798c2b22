/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <shoal/dataplane.h>

#include "worker/error.h"

#define SENTENCE_BYTES 512

static _Thread_local char sentence[SENTENCE_BYTES];

int shoal_error(int errno_value, const char *format, ...)
{
	/* By way of a copy: an argument may be the last sentence itself, where a caller puts it into a wider one. */
	char next[SENTENCE_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(next, sizeof(next), format, arguments);
	va_end(arguments);
	memcpy(sentence, next, sizeof(next));
	return -errno_value;
}

const char *shoal_last_error(void)
{
	return sentence;
}
