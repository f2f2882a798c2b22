/* SPDX-License-Identifier: BSD-3-Clause */
/* The splitter's stages, as its files call each other. Not for others. */
#ifndef SHOAL_IO_SPLITTER_STAGES_H
#define SHOAL_IO_SPLITTER_STAGES_H

#include "io/splitter.h"

/* splitter_input.c: one burst from each port. */
unsigned shoal_splitter_input(struct shoal_splitter *splitter, uint64_t now_ns);
/* A frame enters at packet->port: parse, classify, steer. Owns the packet. */
void shoal_splitter_enter(struct shoal_splitter *splitter, struct shoal_packet *packet, uint64_t now_ns);
/* Drops fragments whose first one did not come. */
void shoal_splitter_fragments_expire(struct shoal_splitter *splitter, uint64_t now_ns);

/* splitter_output.c: what the members have put out, and then what the ports take. */
unsigned shoal_splitter_output(struct shoal_splitter *splitter, uint64_t now_ns);
/* At most `records` records of one member's ring; returns how many there were. */
unsigned shoal_splitter_member_receive(
	struct shoal_splitter *splitter, uint8_t member, unsigned records, uint64_t now_ns);
void shoal_splitter_ports_transmit(struct shoal_splitter *splitter);

/* splitter_redirect.c: markers and parked packets. */
unsigned shoal_splitter_redirections(struct shoal_splitter *splitter, uint64_t now_ns);

/* splitter.c */
void shoal_splitter_drop(struct shoal_splitter *splitter, enum shoal_splitter_drop reason, struct shoal_packet *packet);
/* Puts a member's batch into its ring; what finds no room is dropped. */
void shoal_splitter_batch_send(struct shoal_splitter *splitter, uint8_t member);
/* The first k packets go into the member's ring; returns k. */
unsigned shoal_splitter_member_send(
	struct shoal_splitter *splitter, uint8_t member, struct shoal_packet *const packets[], unsigned n);

#endif
