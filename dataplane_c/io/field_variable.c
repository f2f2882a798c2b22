/* SPDX-License-Identifier: BSD-3-Clause */
/* Variables of a field engine program: ranges, their padding, and the state one step before the first packet. */
#include <errno.h>
#include <string.h>

#include "io/field_compile.h"

static int variable_add(struct field_compiler *compiler, const struct field_variable *variable)
{
	struct shoal_field_program *program = compiler->program;

	compiler->variables_bytes += variable->size;
	if (compiler->variables_bytes > SHOAL_FIELD_VARIABLES_BYTES)
		return field_refuse(
			compiler, "the stream's variables need more than %d bytes", SHOAL_FIELD_VARIABLES_BYTES);
	compiler->owners[program->variables_count] = &compiler->instructions[compiler->at];
	program->variables[program->variables_count++] = *variable;
	return 0;
}

static int name_check(const struct field_compiler *compiler)
{
	const char *name = compiler->instructions[compiler->at].name;

	if (!name[0])
		return field_refuse(compiler, "the variable has no name");
	for (uint32_t i = 0; i < compiler->program->variables_count; i++)
		if (!strcmp(compiler->owners[i]->name, name))
			return field_refuse(compiler, "the name is taken");
	return 0;
}

static int size_check(const struct field_compiler *compiler, uint32_t size)
{
	if (size != 1 && size != 2 && size != 4 && size != 8)
		return field_refuse(compiler, "a variable has 1, 2, 4 or 8 bytes, not %u", size);
	return 0;
}

static int bounds_check(const struct field_compiler *compiler)
{
	const struct shoal_instruction *instruction = &compiler->instructions[compiler->at];
	uint64_t most = field_size_mask(instruction->size);

	if (instruction->min_value > instruction->max_value)
		return field_refuse(compiler, "min_value %lu is above max_value %lu", instruction->min_value,
			instruction->max_value);
	if (instruction->max_value > most)
		return field_refuse(compiler, "max_value %lu does not fit into %u bytes", instruction->max_value,
			instruction->size);
	if (instruction->max_value - instruction->min_value == UINT64_MAX)
		return field_refuse(
			compiler, "the full range of 8 bytes can't be used: its size does not fit into 64 bits");
	return 0;
}

/* Rounds the range up to a multiple of the step: upwards for an increment, downwards for a decrement. */
static int range_pad(const struct field_compiler *compiler, struct field_variable *variable)
{
	uint64_t odd = (variable->max - variable->min + 1) % variable->step;
	uint64_t most = field_size_mask(variable->size), pad = variable->step - odd;

	if (odd == 0)
		return 0;
	if (variable->kind == FIELD_RING_INCREMENT) {
		if (pad > most - variable->max)
			return field_refuse(compiler, "step %lu rounds the range up to more than %u bytes hold",
				variable->step, variable->size);
		variable->max += pad;
	} else {
		if (variable->min < pad)
			return field_refuse(compiler, "step %lu rounds the range down to less than 0", variable->step);
		variable->min -= pad;
	}
	if (variable->max - variable->min == UINT64_MAX)
		return field_refuse(
			compiler, "step %lu rounds the range to all of 8 bytes, which can't be used", variable->step);
	return 0;
}

/* trim_pkt_size bends the range of its variable before the first value is taken: the maximum to the frame, the minimum
 * to 60 bytes; the initial value stays. */
static int range_trim(const struct field_compiler *compiler, struct field_variable *variable, uint64_t init)
{
	uint32_t frame = compiler->program->frame_bytes;

	if (variable->max > frame)
		variable->max = frame;
	if (variable->min < SHOAL_FRAME_BYTES_PADDED)
		variable->min = SHOAL_FRAME_BYTES_PADDED;
	if (variable->min > variable->max)
		return field_refuse(compiler, "trim_pkt_size leaves no length between %lu and %lu bytes", variable->min,
			variable->max);
	if (variable->kind == FIELD_RANDOM)
		return 0;
	if (init > variable->max)
		return field_refuse(compiler, "trim_pkt_size would begin with %lu bytes of a frame of %u", init, frame);
	if (init < SHOAL_FRAME_BYTES_MIN)
		return field_refuse(compiler, "trim_pkt_size would begin with frames of %lu bytes", init);
	if (variable->kind == FIELD_RING_DECREMENT && init < variable->min)
		return field_refuse(
			compiler, "trim_pkt_size counts down from %lu, which is below %lu bytes", init, variable->min);
	return 0;
}

static bool is_trimmed(const struct field_compiler *compiler)
{
	const char *name = compiler->instructions[compiler->at].name;

	for (unsigned i = 0; i < compiler->n; i++)
		if (compiler->instructions[i].kind == SHOAL_INSTRUCTION_TRIM_PKT_SIZE &&
			!strcmp(compiler->instructions[i].name, name))
			return true;
	return false;
}

static int operation_kind(const struct field_compiler *compiler, uint8_t increment, uint8_t decrement, uint8_t random)
{
	switch (compiler->instructions[compiler->at].operation) {
	case SHOAL_VARIABLE_INCREMENT:
		return increment;
	case SHOAL_VARIABLE_DECREMENT:
		return decrement;
	case SHOAL_VARIABLE_RANDOM:
		return random;
	default:
		return field_refuse(compiler, "op is neither inc, dec nor random");
	}
}

static int list_compile(struct field_compiler *compiler, struct field_variable *variable)
{
	const struct shoal_instruction *instruction = &compiler->instructions[compiler->at];
	uint32_t n = instruction->values_count;
	int kind = operation_kind(compiler, FIELD_LIST_INCREMENT, FIELD_LIST_DECREMENT, FIELD_LIST_RANDOM);

	if (kind < 0)
		return kind;
	if (n == 0 || n > SHOAL_FIELD_LIST_MAX)
		return field_refuse(
			compiler, "value_list has %u entries; 1 to %d are possible", n, SHOAL_FIELD_LIST_MAX);
	if (instruction->step == 0 || instruction->step > n)
		return field_refuse(compiler, "step %lu of a list of %u entries", instruction->step, n);
	for (uint32_t i = 0; i < n; i++)
		if (instruction->values[i] > field_size_mask(instruction->size))
			return field_refuse(
				compiler, "entry %u of value_list does not fit into %u bytes", i, instruction->size);
	variable->kind = (uint8_t)kind;
	variable->step = instruction->step;
	variable->values = compiler->program->values + compiler->values_used;
	variable->values_count = n;
	variable->index = kind == FIELD_LIST_DECREMENT ? n - 1 : 0;
	memcpy(compiler->program->values + compiler->values_used, instruction->values,
		n * sizeof(*instruction->values));
	compiler->values_used += n;
	return 0;
}

static int ring_compile(struct field_compiler *compiler, struct field_variable *variable)
{
	const struct shoal_instruction *instruction = &compiler->instructions[compiler->at];
	int kind = operation_kind(compiler, FIELD_RING_INCREMENT, FIELD_RING_DECREMENT, FIELD_RANDOM), rc;

	if (kind < 0)
		return kind;
	rc = bounds_check(compiler);
	if (rc)
		return rc;
	if (instruction->init_value < instruction->min_value || instruction->init_value > instruction->max_value)
		return field_refuse(compiler, "init_value %lu is outside of %lu to %lu", instruction->init_value,
			instruction->min_value, instruction->max_value);
	if (instruction->step == 0 && kind != FIELD_RANDOM)
		return field_refuse(compiler, "step is 0");
	variable->kind = (uint8_t)kind;
	variable->min = instruction->min_value;
	variable->max = instruction->max_value;
	variable->step = instruction->step;
	rc = kind == FIELD_RANDOM ? 0 : range_pad(compiler, variable);
	if (!rc && variable->size == 2 && is_trimmed(compiler)) /* any other size is refused where it trims */
		rc = range_trim(compiler, variable, instruction->init_value);
	if (rc)
		return rc;
	variable->range = variable->max - variable->min + 1;
	variable->step %= variable->range;
	variable->value = instruction->init_value;
	if (kind != FIELD_RANDOM) { /* one step before the first: the opposite operation */
		uint32_t unused = 0;

		variable->kind = kind == FIELD_RING_INCREMENT ? FIELD_RING_DECREMENT : FIELD_RING_INCREMENT;
		field_variable_advance(variable, &unused);
		variable->kind = (uint8_t)kind;
	}
	return 0;
}

static int rand_limit_compile(struct field_compiler *compiler, struct field_variable *variable)
{
	const struct shoal_instruction *instruction = &compiler->instructions[compiler->at];
	int rc = bounds_check(compiler);

	if (rc)
		return rc;
	if (instruction->limit == 0)
		return field_refuse(compiler, "limit is 0");
	variable->kind = FIELD_RAND_LIMIT;
	variable->min = instruction->min_value;
	variable->max = instruction->max_value;
	variable->range = variable->max - variable->min + 1;
	variable->limit = instruction->limit;
	variable->seed = variable->generator = instruction->seed;
	return 0;
}

static int tuple_compile(struct field_compiler *compiler)
{
	const struct shoal_instruction *instruction = &compiler->instructions[compiler->at];
	bool unlimited = instruction->tuple_flags & 1;
	struct field_variable address = { .kind = FIELD_TUPLE_ADDRESS, .size = 4, .unlimited = unlimited };
	struct field_variable port = { .kind = FIELD_TUPLE_PORT, .size = 2 };
	int rc;

	if (instruction->ip_min > instruction->ip_max)
		return field_refuse(compiler, "ip_min is above ip_max");
	if (instruction->port_max > UINT16_MAX || instruction->port_min > UINT16_MAX ||
		(!unlimited && instruction->port_min > instruction->port_max))
		return field_refuse(compiler, "ports %u to %u", instruction->port_min, instruction->port_max);
	/* One step before the first pair. */
	address.min = instruction->ip_min;
	address.max = address.value = instruction->ip_max;
	address.limit = instruction->limit;
	port.min = instruction->port_min;
	port.max = instruction->port_max;
	port.value = unlimited ? (instruction->port_min - 1) & UINT16_MAX : instruction->port_max;
	rc = variable_add(compiler, &address);
	return rc ? rc : variable_add(compiler, &port);
}

int field_variable_compile(struct field_compiler *compiler)
{
	const struct shoal_instruction *instruction = &compiler->instructions[compiler->at];
	struct field_variable variable = { .size = (uint8_t)instruction->size };
	int rc = name_check(compiler);

	if (rc)
		return rc;
	if (instruction->kind == SHOAL_INSTRUCTION_TUPLE_FLOW_VAR)
		return tuple_compile(compiler);
	rc = size_check(compiler, instruction->size);
	if (rc)
		return rc;
	if (instruction->kind == SHOAL_INSTRUCTION_FLOW_VAR_RAND_LIMIT)
		rc = rand_limit_compile(compiler, &variable);
	else if (instruction->values)
		rc = list_compile(compiler, &variable);
	else
		rc = ring_compile(compiler, &variable);
	return rc ? rc : variable_add(compiler, &variable);
}
