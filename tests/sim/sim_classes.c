/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_world.h"
#include <string.h>

uint32_t sim_idle_ms;

static const uint16_t object_bytes[SIM_SINGLE_CLASSES] = { SIM_ACCOUNT_BYTES, SIM_SESSION_BYTES };

void sim_key_write(unsigned class, unsigned number, uint8_t *key)
{
	uint64_t word = number;

	memset(key, 0, SHOAL_KEY_BYTES_MAX);
	memcpy(key, &word, sizeof(word));
	if (class == SIM_SESSION)
		key[offsetof(struct sim_session_key, steering)] = (uint8_t)(number * 37);
}

static uint8_t fill_byte(const struct sim_object *object, unsigned i)
{
	return (uint8_t)(object->key * 5 + object->life * 31 + object->updates * 7 + i);
}

void sim_object_fill(unsigned class, struct sim_object *object)
{
	for (unsigned i = 0; i < object_bytes[class] - sizeof(*object); i++)
		object->fill[i] = fill_byte(object, i);
}

bool sim_object_filled(unsigned class, const struct sim_object *object)
{
	for (unsigned i = 0; i < object_bytes[class] - sizeof(*object); i++)
		if (object->fill[i] != fill_byte(object, i))
			return false;
	return true;
}

static void construct(struct shoal_context *context, unsigned class, const void *key, void *bytes)
{
	struct sim_member *member = sim_member_of(context);
	struct sim_object *object = bytes;

	object->key = sim_key_number(key);
	sim_ledger_construct(member->world, member->number, class, object);
}

static void account_construct(struct shoal_context *context, const void *key, void *object)
{
	construct(context, SIM_ACCOUNT, key, object);
}

static void session_construct(struct shoal_context *context, const void *key, void *object)
{
	construct(context, SIM_SESSION, key, object);
}

static bool account_check(const void *key, const void *object)
{
	return ((const struct sim_object *)object)->key == sim_key_number(key) &&
	       sim_object_filled(SIM_ACCOUNT, object);
}

static bool session_check(const void *key, const void *object)
{
	return ((const struct sim_object *)object)->key == sim_key_number(key) &&
	       sim_object_filled(SIM_SESSION, object);
}

/* A call is applied in code of the NF, which no simulated death interrupts. */
static bool counter_check(const void *key, const void *object)
{
	(void)key, (void)object;
	return true;
}

static uint8_t session_steering(const void *key)
{
	return ((const struct sim_session_key *)key)->steering;
}

static uint32_t idle_ms(const struct shoal_context *context, const void *object)
{
	(void)context, (void)object;
	return sim_idle_ms;
}

/* As an NF does it: take, look again, remove. */
static void account_on_idle(struct shoal_context *context, const void *key)
{
	struct sim_member *member = sim_member_of(context);
	struct shoal_request request = { .class = sim_classes[SIM_ACCOUNT], .key = key };
	unsigned number = sim_key_number(key);

	if (shoal_take(context, &request, 1) || !request.object)
		return;
	sim_ledger_compare(member->world, member->number, SIM_ACCOUNT, request.object);
	member->ending = (struct sim_ending){ true, SIM_ACCOUNT, (uint16_t)number };
	int error = shoal_remove(context, &request);

	member->ending.under_way = false;
	if (error) {
		shoal_release(context, &request, 1);
		return;
	}
	member->idle_ended++;
	sim_ledger_end(member->world, SIM_ACCOUNT, number);
}

static void apply(struct shoal_context *context, const void *key, void *object, const void *argument, void *result)
{
	struct sim_member *member = sim_member_of(context);
	struct sim_counter *counter = object;
	const struct sim_add *add = argument;

	sim_ledger_apply(member->world, member->number, sim_key_number(key), counter, add);
	counter->sum += add->amount;
	counter->applications++;
	if (result)
		*(struct sim_sum *)result = (struct sim_sum){ .sum = counter->sum, .sequence = add->sequence };
}

static const struct shoal_method methods[SIM_METHODS] = {
	[SIM_ADD_EXACT] = { "add_exact", sizeof(struct sim_add), sizeof(struct sim_sum), false, apply },
	[SIM_ADD_UNTETHERED] = { "add_untethered", sizeof(struct sim_add), 0, true, apply },
};

static const struct shoal_class account_class = { .name = "sim.account",
	.pattern = SHOAL_SINGLE_WRITER,
	.key_bytes = sizeof(struct sim_account_key),
	.object_bytes = SIM_ACCOUNT_BYTES,
	.construct = account_construct,
	.check = account_check,
	.idle_ms = idle_ms,
	.on_idle = account_on_idle };

static const struct shoal_class session_class = { .name = "sim.session",
	.pattern = SHOAL_SINGLE_WRITER,
	.key_bytes = offsetof(struct sim_session_key, zero) + 3,
	.object_bytes = SIM_SESSION_BYTES,
	.steering = session_steering,
	.construct = session_construct,
	.check = session_check,
	.idle_ms = idle_ms };

static const struct shoal_class counter_class = { .name = "sim.counter",
	.pattern = SHOAL_MULTI_WRITER,
	.key_bytes = sizeof(struct sim_account_key),
	.object_bytes = sizeof(struct sim_counter),
	.check = counter_check,
	.methods = methods,
	.methods_count = SIM_METHODS };

const struct shoal_class *const sim_classes[SIM_CLASSES] = { &account_class, &session_class, &counter_class };
