/* SPDX-License-Identifier: BSD-3-Clause */
/* What the generator's files share: generator.c makes it, generator_send.c sends, generator_sink.c checks,
 * generator_rows.c keeps the time series. Nobody else includes it. */
#ifndef SHOAL_IO_GENERATOR_STATE_H
#define SHOAL_IO_GENERATOR_STATE_H

#include "io/traffic_flows.h"
#include "io/generator.h"
#include "io/packet_groups.h"
#include "io/schedule.h"
#include "io/stamp.h"
#include "worker/mailbox.h"

struct generator_port {
	struct shoal_port port; /* first */
	struct shoal_generator *generator;
	uint8_t nf_port;
	/* answers that wait to be sent, a ring of config.responses_max */
	struct shoal_packet **answers;
	uint32_t answers_first, answers_count;
};

/* Streams of all ports, and their counters. */
struct generator_profile {
	struct shoal_schedule *schedules[SHOAL_NF_PORTS_MAX]; /* owns */
	struct shoal_packet_groups *groups; /* owns */
	struct shoal_generator_stream *streams;
	uint32_t count, room;
};

/* Rows wait for control in a ring of one writer (the generator) and one reader (control). */
struct generator_rows {
	struct shoal_traffic_row *ring;
	uint32_t most;
	uint64_t written; /* atomic; writer: generator (release), reader: control */
	uint64_t read; /* atomic; writer: control (release), reader: generator */
	uint64_t begun_ns; /* of the present row */
	struct shoal_traffic_row before; /* sums at its beginning */
	struct shoal_latency latency; /* in it */
};

/* writer: the polling thread, unless a comment says otherwise; readers: control, word by word. */
struct shoal_generator {
	struct shoal_generator_config config;
	struct shoal_generator_run run; /* the present one; changed only by the start command */
	struct generator_port ports[SHOAL_NF_PORTS_MAX];
	struct rte_mempool *pool; /* in use: one of pools */
	struct rte_mempool
		*pools[2]; /* own: for frames of usual size, and for great ones; made by control when needed */
	struct generator_profile *profile; /* owns; the one that was started last; changed only by the start command */
	struct generator_profile *next; /* owns; control's own: streams added since */
	struct shoal_traffic_flows flows;
	struct shoal_mailbox mailbox;
	bool (*is_polled)(const void *argument); /* writer: control; NULL: nobody polls it */
	const void *is_polled_argument;
	bool starting; /* the next moment is the beginning */
	bool answering; /* from start to stop: answers are sent also when the streams have ended */
	uint64_t now_ns;
	uint64_t started_ns, ended_ns;
	uint64_t warm_ns; /* from here on latencies enter the histogram */
	uint64_t origin_ns; /* where virtual time 0 lies: started_ns and all slips */
	struct shoal_generator_totals totals;
	struct shoal_latency latency;
	struct generator_rows rows;
};

struct generator_profile *generator_profile_create(uint64_t link_bps, uint32_t seed);
void generator_profile_destroy(struct generator_profile *profile);
SHOAL_MUST_USE int generator_profile_add(
	struct generator_profile *profile, uint8_t nf_port, const struct shoal_stream_config *config);
SHOAL_MUST_USE int generator_profile_check(const struct generator_profile *profile);
uint32_t generator_profile_frame_bytes(const struct generator_profile *profile);
/* Counters to zero. */
void generator_profile_reset(struct generator_profile *profile);

/* What a moment has brought: commands, rows, ends of flows, the end of all streams. */
void generator_advance(struct shoal_generator *generator, uint64_t now_ns);
unsigned generator_send(struct generator_port *port, struct shoal_packet *packets[], unsigned n);
void generator_take(struct generator_port *port, struct shoal_packet *const packets[], unsigned n);
/* A good packet asks for an answer; true: it became one, and is not the caller's any more. */
bool generator_answer(struct generator_port *port, struct shoal_packet *packet, const struct shoal_segment *segment,
	struct shoal_traffic_flow *flow);
/* Frees the answers that wait, as dropped. */
void generator_answers_drop(struct generator_port *port);

SHOAL_MUST_USE int generator_rows_init(struct shoal_generator *generator);
void generator_rows_start(struct shoal_generator *generator);
void generator_rows_advance(struct shoal_generator *generator);

#endif
