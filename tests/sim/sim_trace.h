/* SPDX-License-Identifier: BSD-3-Clause */
/* The last events of a world, kept as numbers and only written out when a property is broken, or at once with --trace. */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_TRACE_EVENTS 512
#define SIM_TRACE_NUMBERS 8

struct sim_event {
	uint64_t now_ns, step;
	const char *sentence; /* static; conversions are %ld, or %s for the static text in `text` first */
	const char *text;
	long numbers[SIM_TRACE_NUMBERS];
};

struct sim_trace {
	struct sim_event events[SIM_TRACE_EVENTS];
	uint64_t count;
	bool aloud;
};

void sim_trace_add(struct sim_trace *trace, const struct sim_event *event);
/* Writes the last `most` events to stderr. */
void sim_trace_write(const struct sim_trace *trace, unsigned most);

#endif
