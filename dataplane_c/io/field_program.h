/* SPDX-License-Identifier: BSD-3-Clause */
/* A compiled field engine program: what the compiler (field_compile.c) makes and the engine (field_engine.c) runs. */
#ifndef SHOAL_IO_FIELD_PROGRAM_H
#define SHOAL_IO_FIELD_PROGRAM_H

#include "io/field_engine.h"

enum field_variable_kind {
	FIELD_RING_INCREMENT,
	FIELD_RING_DECREMENT,
	FIELD_RANDOM,
	FIELD_LIST_INCREMENT,
	FIELD_LIST_DECREMENT,
	FIELD_LIST_RANDOM,
	FIELD_RAND_LIMIT,
	FIELD_TUPLE_ADDRESS, /* the variable behind it is its FIELD_TUPLE_PORT */
	FIELD_TUPLE_PORT,
};

#define FIELD_VARIABLE_NONE UINT32_MAX

struct field_variable {
	uint8_t kind;
	uint8_t size; /* bytes; the value is kept modulo 2^(8 size) */
	bool unlimited; /* tuple */
	bool chained; /* the next operation is the successor: skipped unless this variable wraps */
	uint32_t index; /* list: of the next value */
	uint32_t generator; /* rand_limit: its own generator's state */
	uint32_t seed;
	uint64_t value;
	uint64_t min, max, step;
	uint64_t range; /* max - min + 1 */
	uint64_t count, limit; /* rand_limit: values since the seed; tuple: flow number */
	const uint64_t *values; /* owned by the program */
	uint32_t values_count;
};

enum field_operation_kind {
	FIELD_ADVANCE,
	FIELD_WRITE,
	FIELD_WRITE_MASK,
	FIELD_TRIM,
	FIELD_CHECKSUM_IPV4,
	FIELD_CHECKSUM_HARDWARE,
	FIELD_CHECKSUM_ICMPV6,
};

struct field_operation {
	uint8_t kind;
	uint8_t width; /* bytes written */
	bool big_endian;
	int8_t shift;
	uint8_t protocol; /* checksum: of the transport header; 0 for none */
	uint16_t offset; /* write: in the frame; checksum: of the network header */
	uint16_t transport_offset; /* 0: none */
	uint32_t variable;
	uint32_t chain_end; /* advance: index of the first operation behind the chain */
	uint32_t mask;
	uint64_t add;
};

struct shoal_field_program {
	uint32_t frame_bytes;
	uint32_t random; /* state of the generator that all random variables of the stream share */
	uint32_t random_initial;
	uint32_t operations_count, variables_count;
	uint32_t trim; /* variable, or FIELD_VARIABLE_NONE */
	struct field_operation *operations;
	struct field_variable *variables;
	struct field_variable *initial; /* the state before the first packet */
	uint64_t *values; /* all lists */
};

/* One step of a variable; true when it wrapped, so that its successor in a chain advances too. */
bool field_variable_advance(struct field_variable *variable, uint32_t *random);

/* 15 bits of the linear congruential generator. */
static inline uint32_t field_random15(uint32_t *state)
{
	*state = *state * 214013u + 2531011u;
	return *state >> 16 & 0x7fff;
}

static inline uint64_t field_size_mask(unsigned size)
{
	return size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;
}

#endif
