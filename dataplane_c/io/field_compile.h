/* SPDX-License-Identifier: BSD-3-Clause */
/* The compiler's state, shared by its two halves: variables (field_variable.c) and all other instructions
 * (field_compile.c). */
#ifndef SHOAL_IO_FIELD_COMPILE_H
#define SHOAL_IO_FIELD_COMPILE_H

#include "io/field_program.h"

struct field_compiler {
	struct shoal_field_program *program;
	const struct shoal_instruction *instructions; /* borrows */
	unsigned n, at; /* `at`: the instruction that is being compiled */
	const struct shoal_instruction **owners; /* of each variable: the instruction that made it */
	uint32_t variables_bytes;
	uint32_t values_used;
	char *error;
	size_t error_bytes;
};

/* Writes the sentence, with the instruction's number and kind; -EINVAL. */
__attribute__((format(printf, 2, 3))) int field_refuse(const struct field_compiler *compiler, const char *format, ...);

/* Compiles the flow_var, flow_var_rand_limit or tuple_flow_var at `at`. 0 or -EINVAL. */
int field_variable_compile(struct field_compiler *compiler);

#endif
