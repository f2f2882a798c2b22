/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks and compiles a field engine program. Everything that the engine relies on is proved here: offsets inside the
 * frame, ranges that are not empty, steps within the range, lists that are not empty. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/field_compile.h"
#include "io/frame_inline.h"

#define RANDOM_SEED_FACTOR 514229u

static const char *const kind_names[] = { "flow_var", "flow_var_rand_limit", "tuple_flow_var", "write_flow_var",
	"write_mask_flow_var", "trim_pkt_size", "fix_checksum_ipv4", "fix_checksum_hw", "fix_checksum_icmpv6" };

int field_refuse(const struct field_compiler *compiler, const char *format, ...)
{
	const struct shoal_instruction *instruction = &compiler->instructions[compiler->at];
	const char *kind = instruction->kind >= 0 && instruction->kind <= SHOAL_INSTRUCTION_FIX_CHECKSUM_ICMPV6
	                           ? kind_names[instruction->kind]
	                           : "unknown";
	char reason[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	snprintf(compiler->error, compiler->error_bytes, "instruction %u (%s%s%.64s): %s", compiler->at, kind,
		instruction->name[0] ? " " : "", instruction->name, reason);
	return -EINVAL;
}

/* The variable that `name` means; a tuple's are "name.ip" and "name.port". */
static uint32_t variable_find(const struct field_compiler *compiler, const char *name)
{
	for (uint32_t i = 0; i < compiler->program->variables_count; i++) {
		const char *owner = compiler->owners[i]->name;
		size_t length = strnlen(owner, sizeof(compiler->owners[i]->name));

		if (strncmp(owner, name, length))
			continue;
		switch (compiler->program->variables[i].kind) {
		case FIELD_TUPLE_ADDRESS:
			if (!strcmp(name + length, ".ip"))
				return i;
			break;
		case FIELD_TUPLE_PORT:
			if (!strcmp(name + length, ".port"))
				return i;
			break;
		default:
			if (!name[length])
				return i;
			break;
		}
	}
	return FIELD_VARIABLE_NONE;
}

static int written_check(const struct field_compiler *compiler, uint32_t width, uint32_t *variable)
{
	const struct shoal_instruction *instruction = &compiler->instructions[compiler->at];

	*variable = variable_find(compiler, instruction->name);
	if (*variable == FIELD_VARIABLE_NONE)
		return field_refuse(compiler, "there is no such variable before it");
	if (width == 0)
		width = compiler->program->variables[*variable].size;
	if ((uint64_t)instruction->packet_offset + width > compiler->program->frame_bytes)
		return field_refuse(compiler, "%u bytes at offset %u lie beyond the frame of %u bytes", width,
			instruction->packet_offset, compiler->program->frame_bytes);
	if (instruction->packet_offset + width > SHOAL_FIELD_OFFSET_MAX)
		return field_refuse(compiler, "%u bytes at offset %u: nothing can be written behind offset %d", width,
			instruction->packet_offset, SHOAL_FIELD_OFFSET_MAX);
	return 0;
}

static int write_compile(struct field_compiler *compiler, struct field_operation *operation)
{
	const struct shoal_instruction *instruction = &compiler->instructions[compiler->at];
	int rc = written_check(compiler, 0, &operation->variable);

	if (rc)
		return rc;
	operation->kind = FIELD_WRITE;
	operation->width = compiler->program->variables[operation->variable].size;
	operation->offset = (uint16_t)instruction->packet_offset;
	operation->big_endian = instruction->big_endian;
	operation->add = (uint64_t)instruction->add_value;
	return 0;
}

/* The little-endian form takes its width from the variable, not from pkt_cast_size: so does a real server. Of a variable
 * of 8 bytes four are used. */
static int write_mask_compile(struct field_compiler *compiler, struct field_operation *operation)
{
	const struct shoal_instruction *instruction = &compiler->instructions[compiler->at];
	uint32_t size;
	int rc;

	if (instruction->cast_size != 1 && instruction->cast_size != 2 && instruction->cast_size != 4)
		return field_refuse(compiler, "pkt_cast_size is 1, 2 or 4, not %u", instruction->cast_size);
	if (instruction->shift < -31 || instruction->shift > 31)
		return field_refuse(compiler, "shift %d: -31 to 31 are possible", instruction->shift);
	rc = written_check(compiler, instruction->cast_size, &operation->variable);
	if (rc)
		return rc;
	size = compiler->program->variables[operation->variable].size;
	operation->kind = FIELD_WRITE_MASK;
	operation->width = (uint8_t)(instruction->big_endian ? instruction->cast_size : size < 4 ? size : 4);
	operation->offset = (uint16_t)instruction->packet_offset;
	operation->big_endian = instruction->big_endian;
	operation->add = (uint64_t)instruction->add_value;
	operation->mask = instruction->mask;
	operation->shift = (int8_t)instruction->shift;
	return written_check(compiler, operation->width, &operation->variable);
}

static int trim_compile(struct field_compiler *compiler, struct field_operation *operation)
{
	const struct field_variable *variable;

	operation->kind = FIELD_TRIM;
	operation->variable = variable_find(compiler, compiler->instructions[compiler->at].name);
	if (operation->variable == FIELD_VARIABLE_NONE)
		return field_refuse(compiler, "there is no such variable before it");
	variable = &compiler->program->variables[operation->variable];
	if (variable->size != 2 || variable->kind > FIELD_LIST_RANDOM)
		return field_refuse(compiler, "a length comes from a flow_var of 2 bytes");
	if (compiler->program->trim != FIELD_VARIABLE_NONE)
		return field_refuse(compiler, "a stream has one trim_pkt_size");
	for (uint32_t i = 0; i < variable->values_count; i++)
		if (variable->values[i] < SHOAL_FRAME_BYTES_MIN)
			return field_refuse(
				compiler, "entry %u of the value_list is a frame of %lu bytes", i, variable->values[i]);
	compiler->program->trim = operation->variable;
	return 0;
}

static int checksum_compile(struct field_compiler *compiler, struct field_operation *operation)
{
	const struct shoal_instruction *instruction = &compiler->instructions[compiler->at];
	bool ipv4 = instruction->kind == SHOAL_INSTRUCTION_FIX_CHECKSUM_IPV4;
	uint64_t network = ipv4 ? instruction->packet_offset : instruction->l2_bytes;
	uint64_t transport = ipv4 || !instruction->l3_bytes ? 0 : network + instruction->l3_bytes;

	operation->kind = FIELD_CHECKSUM_IPV4;
	if (instruction->kind == SHOAL_INSTRUCTION_FIX_CHECKSUM_ICMPV6) {
		operation->kind = FIELD_CHECKSUM_ICMPV6;
		operation->protocol = SHOAL_PROTOCOL_ICMPV6;
	} else if (!ipv4) {
		operation->kind = FIELD_CHECKSUM_HARDWARE;
		if (instruction->l4_type == SHOAL_CHECKSUM_UDP)
			operation->protocol = SHOAL_PROTOCOL_UDP;
		else if (instruction->l4_type == SHOAL_CHECKSUM_TCP)
			operation->protocol = SHOAL_PROTOCOL_TCP;
		else if (instruction->l4_type != SHOAL_CHECKSUM_IP)
			return field_refuse(
				compiler, "l4_type is 11 (UDP), 13 (TCP) or 17 (IP), not %u", instruction->l4_type);
	}
	if (operation->protocol && !transport)
		return field_refuse(compiler, "l3_len is 0: only l4_type 17 takes it from the header");
	if (network + 20 > compiler->program->frame_bytes ||
		(transport && transport + 8 > compiler->program->frame_bytes))
		return field_refuse(compiler, "headers at offsets %lu and %lu lie beyond the frame of %u bytes",
			network, transport, compiler->program->frame_bytes);
	operation->offset = (uint16_t)network;
	operation->transport_offset = (uint16_t)transport;
	return 0;
}

static bool is_variable(const struct shoal_instruction *instruction)
{
	return instruction->kind >= SHOAL_INSTRUCTION_FLOW_VAR && instruction->kind <= SHOAL_INSTRUCTION_TUPLE_FLOW_VAR;
}

static int instruction_compile(struct field_compiler *compiler, struct field_operation *operation)
{
	uint32_t variable = compiler->program->variables_count;
	int rc;

	switch (compiler->instructions[compiler->at].kind) {
	case SHOAL_INSTRUCTION_FLOW_VAR:
	case SHOAL_INSTRUCTION_FLOW_VAR_RAND_LIMIT:
	case SHOAL_INSTRUCTION_TUPLE_FLOW_VAR:
		rc = field_variable_compile(compiler);
		operation->kind = FIELD_ADVANCE;
		operation->variable = variable;
		return rc;
	case SHOAL_INSTRUCTION_WRITE_FLOW_VAR:
		return write_compile(compiler, operation);
	case SHOAL_INSTRUCTION_WRITE_MASK_FLOW_VAR:
		return write_mask_compile(compiler, operation);
	case SHOAL_INSTRUCTION_TRIM_PKT_SIZE:
		return trim_compile(compiler, operation);
	case SHOAL_INSTRUCTION_FIX_CHECKSUM_IPV4:
	case SHOAL_INSTRUCTION_FIX_CHECKSUM_HW:
	case SHOAL_INSTRUCTION_FIX_CHECKSUM_ICMPV6:
		return checksum_compile(compiler, operation);
	default:
		return field_refuse(compiler, "there is no such instruction");
	}
}

static bool can_wrap(const struct field_variable *variable)
{
	return variable->kind == FIELD_RING_INCREMENT || variable->kind == FIELD_RING_DECREMENT ||
	       variable->kind == FIELD_LIST_INCREMENT || variable->kind == FIELD_LIST_DECREMENT;
}

/* Chains: each successor follows at once, and both ends of a link are variables that wrap. */
static int chains_compile(struct field_compiler *compiler)
{
	struct shoal_field_program *program = compiler->program;

	for (compiler->at = compiler->n; compiler->at-- > 0;) {
		const struct shoal_instruction *instruction = &compiler->instructions[compiler->at];
		struct field_operation *operation = &program->operations[compiler->at];

		operation->chain_end = compiler->at + 1;
		if (!is_variable(instruction) || !instruction->next_name[0])
			continue;
		if (compiler->at + 1 == compiler->n || !is_variable(instruction + 1) ||
			strcmp(instruction->next_name, instruction[1].name))
			return field_refuse(
				compiler, "next_var '%.64s' is not the variable that follows", instruction->next_name);
		if (!can_wrap(&program->variables[operation->variable]) ||
			!can_wrap(&program->variables[operation[1].variable]))
			return field_refuse(compiler,
				"a chain joins variables that count; '%.64s' or its successor does not",
				instruction->name);
		program->variables[operation->variable].chained = true;
		operation->chain_end = operation[1].chain_end;
	}
	return 0;
}

static struct shoal_field_program *program_allocate(const struct shoal_instruction *instructions, unsigned n)
{
	struct shoal_field_program *program = calloc(1, sizeof(*program));
	size_t values = 1;

	if (!program)
		return NULL;
	for (unsigned i = 0; i < n; i++)
		values += instructions[i].values ? instructions[i].values_count : 0;
	program->operations = calloc(n + 1, sizeof(*program->operations));
	program->variables = calloc(2 * n + 1, sizeof(*program->variables)); /* a tuple is two */
	program->initial = calloc(2 * n + 1, sizeof(*program->initial));
	program->values = calloc(values, sizeof(*program->values));
	if (program->operations && program->variables && program->initial && program->values)
		return program;
	shoal_field_program_destroy(program);
	return NULL;
}

struct shoal_field_program *shoal_field_program_create(const struct shoal_instruction *instructions, unsigned n,
	uint32_t frame_bytes, uint32_t random_seed, char *error, size_t error_bytes)
{
	struct field_compiler compiler = {
		.instructions = instructions, .n = n, .error = error, .error_bytes = error_bytes
	};
	int rc = 0;

	compiler.program = program_allocate(instructions, n);
	compiler.owners = calloc(2 * n + 1, sizeof(*compiler.owners));
	if (!compiler.program || !compiler.owners) {
		snprintf(error, error_bytes, "no memory for the field engine");
		rc = -ENOMEM;
		goto out;
	}
	compiler.program->frame_bytes = frame_bytes;
	compiler.program->trim = FIELD_VARIABLE_NONE;
	compiler.program->random_initial = random_seed * RANDOM_SEED_FACTOR; /* of transmitting core 0 */
	for (compiler.at = 0; !rc && compiler.at < n; compiler.at++) {
		struct field_operation *operation = &compiler.program->operations[compiler.at];

		operation->variable = FIELD_VARIABLE_NONE;
		rc = instruction_compile(&compiler, operation);
	}
	compiler.program->operations_count = n;
	rc = rc ? rc : chains_compile(&compiler);
	if (!rc) {
		memcpy(compiler.program->initial, compiler.program->variables,
			compiler.program->variables_count * sizeof(struct field_variable));
		shoal_field_program_reset(compiler.program);
	}
out:
	free(compiler.owners);
	if (!rc)
		return compiler.program;
	shoal_field_program_destroy(compiler.program);
	errno = -rc;
	return NULL;
}

void shoal_field_program_destroy(struct shoal_field_program *program)
{
	if (!program)
		return;
	free(program->operations);
	free(program->variables);
	free(program->initial);
	free(program->values);
	free(program);
}

/* Mean of value % range over the 32768 values of the 15-bit generator. */
static double random_mean(uint64_t range)
{
	uint64_t whole = range < 32768 ? 32768 / range : 0, rest = 32768 - whole * range;
	double sum = (double)whole * (double)range * ((double)range - 1) / 2 + (double)rest * ((double)rest - 1) / 2;

	return sum / 32768;
}

double shoal_field_program_expected_bytes(const struct shoal_field_program *program)
{
	const struct field_variable *variable = program->variables + program->trim;
	double sum = 0;

	if (program->trim == FIELD_VARIABLE_NONE)
		return program->frame_bytes;
	if (variable->values_count) {
		for (uint32_t i = 0; i < variable->values_count; i++)
			sum += (double)variable->values[i];
		return sum / variable->values_count;
	}
	if (variable->kind == FIELD_RANDOM)
		return (double)variable->min + random_mean(variable->range);
	return (double)(variable->min + variable->max) / 2;
}
