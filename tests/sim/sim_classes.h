/* SPDX-License-Identifier: BSD-3-Clause */
/* The classes of the simulated NF. */
#ifndef SIM_CLASSES_H
#define SIM_CLASSES_H

#include <shoal/nf.h>

struct sim_world;

/* Keys are numbers below this, of each class. */
#define SIM_KEYS_MAX 256

enum sim_class { SIM_ACCOUNT, SIM_SESSION, SIM_SINGLE_CLASSES, SIM_COUNTER = SIM_SINGLE_CLASSES, SIM_CLASSES };
enum sim_method { SIM_ADD_EXACT, SIM_ADD_UNTETHERED, SIM_METHODS };

struct sim_account_key {
	uint64_t number;
};
/* Affine. */
struct sim_session_key {
	uint64_t number;
	uint8_t steering;
	uint8_t zero[3];
};

/* Head of every single-writer object; behind it bytes that follow from it, so that a torn copy shows. */
struct sim_object {
	uint32_t key;
	uint32_t life;
	uint64_t updates;
	uint8_t fill[];
};
#define SIM_ACCOUNT_BYTES 64
#define SIM_SESSION_BYTES 1400

struct sim_counter {
	uint64_t sum;
	uint64_t applications;
};

struct sim_add {
	uint8_t member, strand;
	uint16_t zero;
	uint32_t sequence; /* 1, 2, 3 … for each (member, strand, key) */
	uint64_t amount;
};

struct sim_sum {
	uint64_t sum;
	uint32_t sequence;
	uint32_t zero;
};

extern const struct shoal_class *const sim_classes[SIM_CLASSES];

/* Key bytes of a number; a buffer of SHOAL_KEY_BYTES_MAX. */
void sim_key_write(unsigned class, unsigned number, uint8_t *key);
static inline unsigned sim_key_number(const void *key)
{
	return (unsigned)*(const uint64_t *)key;
}
void sim_object_fill(unsigned class, struct sim_object *object);
bool sim_object_filled(unsigned class, const struct sim_object *object);
/* Virtual milliseconds after which objects are idle; 0: never. The worlds of one process run one after the other. */
extern uint32_t sim_idle_ms;

#endif
