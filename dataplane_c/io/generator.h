/* SPDX-License-Identifier: BSD-3-Clause */
/* The built-in traffic generator as a component: for each NF port a port (io/port.h) that gives the packets that are due
 * and takes what comes out of the NF. It never reads a clock: time is the caller's. Public part in shoal/dataplane.h. */
#ifndef SHOAL_IO_GENERATOR_H
#define SHOAL_IO_GENERATOR_H

#include <shoal/dataplane.h>

#include "io/port.h"

/* The generator's end at one NF port; lives as long as the generator, and its destroy does nothing.
 * receive: packets that are due now, answers first. transmit: the sink. It has no time of its own: latency ends at the
 * latest `now` that receive or poll was given, so both ends belong to one thread. */
struct shoal_port *shoal_generator_port(struct shoal_generator *generator, uint8_t nf_port);

/* Commands, rows of the time series, ends of flows. receive does the same, so that a splitter that polls the ports need not
 * call it. */
unsigned shoal_generator_poll(void *generator, uint64_t now_ns);

/* How to know whether some thread polls it: then commands go through its mailbox, else they run at once. NULL: nobody does.
 * Forgotten when the port that it is about is destroyed. */
void shoal_generator_set_polled(
	struct shoal_generator *generator, bool (*is_polled)(const void *argument), const void *argument);

#endif
