/* SPDX-License-Identifier: BSD-3-Clause */
#include "duration.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *name;
	uint32_t milliseconds;
};

static const struct unit units[] = { { "h", 3600000 }, { "min", 60000 }, { "s", 1000 }, { "ms", 1 } };

/* Bytes of the unit's name at `text`; 0: none. */
static size_t read_unit(const char *text, uint32_t *milliseconds)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz");

	for (size_t index = 0; index < sizeof(units) / sizeof(units[0]); index++) {
		if (strlen(units[index].name) != length || strncmp(text, units[index].name, length) != 0)
			continue;
		*milliseconds = units[index].milliseconds;
		return length;
	}
	return 0;
}

/* Sum of "number unit" parts; false where the text is none. Numbers have at most nine digits, so nothing overflows. */
static bool read_parts(const char *text, uint64_t *sum)
{
	uint32_t unit = 1000;

	*sum = 0;
	do {
		size_t digits = strspn(text, "0123456789");
		size_t length;

		if (!digits || digits > 9)
			return false;
		length = read_unit(text + digits, &unit);
		if (!length && (text[digits] || *sum))
			return false;
		*sum += strtoul(text, NULL, 10) * (uint64_t)unit;
		text += digits + length;
	} while (*text);
	return true;
}

int nat_duration_parse(const char *text, uint32_t most, uint32_t *milliseconds, char *error, size_t error_bytes)
{
	uint64_t sum;

	if (!read_parts(text, &sum)) {
		snprintf(error, error_bytes, "\"%.40s\" is not a duration such as 300s, 2h4min or 500ms", text);
		return -EINVAL;
	}
	if (!sum || sum > most) {
		snprintf(error, error_bytes, "\"%.40s\" is not between 1ms and %us", text, most / 1000);
		return -EINVAL;
	}
	*milliseconds = (uint32_t)sum;
	return 0;
}
