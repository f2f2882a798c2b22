/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_trace.h"
#include <stdio.h>
#include <string.h>

static void write_event(const struct sim_event *event)
{
	const long *n = event->numbers;

	fprintf(stderr, "%12.6f ms step %-6lu ", (double)event->now_ns / 1e6, event->step);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
	if (event->text)
		fprintf(stderr, event->sentence, event->text, n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]);
	else
		fprintf(stderr, event->sentence, n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]);
#pragma GCC diagnostic pop
	fputc('\n', stderr);
}

void sim_trace_add(struct sim_trace *trace, const struct sim_event *event)
{
	trace->events[trace->count++ % SIM_TRACE_EVENTS] = *event;
	if (trace->aloud)
		write_event(event);
}

void sim_trace_write(const struct sim_trace *trace, unsigned most)
{
	uint64_t kept = trace->count < SIM_TRACE_EVENTS ? trace->count : SIM_TRACE_EVENTS;

	if (trace->aloud)
		return;
	if (kept > most)
		kept = most;
	for (uint64_t i = trace->count - kept; i < trace->count; i++)
		write_event(&trace->events[i % SIM_TRACE_EVENTS]);
}
