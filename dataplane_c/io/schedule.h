/* SPDX-License-Identifier: BSD-3-Clause */
/* When each stream of one port sends: a queue of virtual times in seconds since the start, first come first served among
 * equal ones. Behaves as TRex v3.08 does; needs no clock. */
#ifndef SHOAL_IO_SCHEDULE_H
#define SHOAL_IO_SCHEDULE_H

#include "io/stream.h"

#define SHOAL_STREAMS_MAX 65536 /* of one port */

struct shoal_schedule;

struct shoal_schedule *shoal_schedule_create(uint64_t link_bps, uint32_t default_seed);
void shoal_schedule_destroy(struct shoal_schedule *schedule);

/* Adds the next stream, whose number is how many there were. 0 or -errno with shoal_last_error(). Not between start and
 * stop. The stream borrowed from `stream` stays where it is. */
SHOAL_MUST_USE int shoal_schedule_add(struct shoal_schedule *schedule, const struct shoal_stream_config *config);
/* Takes back the stream that was added last. */
void shoal_schedule_remove_last(struct shoal_schedule *schedule);
uint32_t shoal_schedule_count(const struct shoal_schedule *schedule);
struct shoal_stream *shoal_schedule_stream(struct shoal_schedule *schedule, uint32_t number);
/* Greatest frame of all its streams, in bytes. */
uint32_t shoal_schedule_frame_bytes(const struct shoal_schedule *schedule);

/* Checks how the streams follow one another (each that is started by another has one that starts it, none follows a
 * disabled one, a chain is all latency or all not, none runs in a circle without time passing). 0 or -EINVAL. */
SHOAL_MUST_USE int shoal_schedule_check(const struct shoal_schedule *schedule);

/* Back to the beginning; streams that start themselves are due after their gaps. Packets due at duration_s or later are not
 * sent (0: no end). */
void shoal_schedule_start(struct shoal_schedule *schedule, double multiplier, double duration_s);
void shoal_schedule_stop(struct shoal_schedule *schedule);
void shoal_schedule_set_multiplier(struct shoal_schedule *schedule, double multiplier);

/* The stream that sends next, and when, if that is not after until_s; NULL if none does. Dummy and paused streams
 * take their time inside of it, a bounded number of times a call: NULL then only means "ask again". Nothing is used up until
 * shoal_schedule_advance. */
struct shoal_stream *shoal_schedule_due(struct shoal_schedule *schedule, double until_s, double *due_s);
/* The packet that shoal_schedule_due named has been sent. */
void shoal_schedule_advance(struct shoal_schedule *schedule);
/* No stream will ever send again. */
bool shoal_schedule_finished(const struct shoal_schedule *schedule);

#endif
