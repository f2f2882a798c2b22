/* SPDX-License-Identifier: BSD-3-Clause */
/* A stream's field engine: a small program that runs before every packet on a fresh copy of the stream's frame, and
 * behaves byte for byte as a TRex v3.08 server does. Knows no mbuf and no EAL. Pure: the same program gives the same
 * frames, always. */
#ifndef SHOAL_IO_FIELD_ENGINE_H
#define SHOAL_IO_FIELD_ENGINE_H

#include <shoal/dataplane.h>

#define SHOAL_FRAME_BYTES_PADDED 60 /* shorter frames are padded to this with zeroes */
#define SHOAL_FIELD_OFFSET_MAX 512 /* nothing is written behind this offset */
#define SHOAL_FIELD_VARIABLES_BYTES 64
#define SHOAL_FIELD_LIST_MAX 65535

struct shoal_field_program;

/* Compiles n instructions for a frame of frame_bytes (already padded). Nothing of `instructions` is kept. NULL with
 * errno (EINVAL, ENOMEM) and in `error` a sentence that names the instruction and what is wrong with it.
 * Refused beyond what can't mean anything: a variable of 8 bytes over its full range (its size does not fit into 64 bits;
 * a real server divides by zero), and a step whose padding makes the range overflow the variable. */
struct shoal_field_program *shoal_field_program_create(const struct shoal_instruction *instructions, unsigned n,
	uint32_t frame_bytes, uint32_t random_seed, char *error, size_t error_bytes);
void shoal_field_program_destroy(struct shoal_field_program *program);

/* Back to the state before the first packet. */
void shoal_field_program_reset(struct shoal_field_program *program);

/* One packet: advances the variables and writes into `frame`, a copy of the stream's frame. Returns its length, which
 * differs from frame_bytes only after trim_pkt_size. */
uint32_t shoal_field_program_run(struct shoal_field_program *program, uint8_t *frame);

/* Mean length of the frames, from which rates in bits are computed. */
double shoal_field_program_expected_bytes(const struct shoal_field_program *program);

#endif
