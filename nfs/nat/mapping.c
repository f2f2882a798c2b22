/* SPDX-License-Identifier: BSD-3-Clause */
/* How a new flow gets its mapping. Holding nothing, it asks pools for a port; then it takes mapping and reverse in one
 * call. What it finds:
 *
 *   mapping     reverse     what it means                                     what is done
 *   not ready   not ready   new                                               both are filled in
 *   ready       not ready   another worker's packet was faster                reverse removed, port given back
 *   not ready   ready       the pool does not know that the port is in use    the port stays taken, next port
 *   ready       ready       both of these                                     the port stays taken
 *
 * "Not ready" is an object just made, or one that could not be removed because another microthread had a reference. */
#include "mapping.h"

#include <errno.h>

#include "expiry.h"
#include "halves.h"
#include "steering.h"

/* Pools asked for one flow: its own steering slot's and the next ones. */
#define POOLS_MAX 8
/* Ports tried for one flow where the pool's are in use. */
#define PORTS_MAX 4
/* Ports of a pool whose reverses are brought into the cache at once. */
#define PORTS_AHEAD 8

static uint8_t mapping_steering(const void *key)
{
	return nat_host_steering_slot(((const struct nat_mapping_key *)key)->address);
}

static uint8_t reverse_steering(const void *key)
{
	return nat_port_steering_slot(((const struct nat_reverse_key *)key)->port);
}

/* Not ready, but with the idle time of its protocol from the start. */
static void mapping_construct(struct shoal_context *context, const void *key, void *object)
{
	struct nat_mapping *mapping = object;

	mapping->protocol = ((const struct nat_mapping_key *)key)->protocol;
	mapping->state = nat_state_initial(mapping->protocol, 0);
}

static uint32_t mapping_idle_ms(const struct shoal_context *context, const void *object)
{
	return nat_worker_of(context)->configuration.idle_ms[((const struct nat_mapping *)object)->state];
}

static struct nat_translation mapping_translation(
	const struct nat_mapping_key *mapping, const struct nat_reverse_key *reverse)
{
	return nat_translation_make((struct nat_endpoint){ mapping->address, mapping->port },
		(struct nat_endpoint){ reverse->address, reverse->port }, mapping->protocol, NAT_SOURCE);
}

static struct nat_translation reverse_translation(
	const struct nat_mapping_key *mapping, const struct nat_reverse_key *reverse)
{
	return nat_translation_make((struct nat_endpoint){ reverse->address, reverse->port },
		(struct nat_endpoint){ mapping->address, mapping->port }, mapping->protocol, NAT_DESTINATION);
}

/* After a crash in the midst of a write: everything but the last-seen time follows from the two keys. */
static bool mapping_check(const void *key, const void *object)
{
	const struct nat_mapping *mapping = object;
	struct nat_reverse_key reverse = nat_mapping_reverse_key(mapping);
	struct nat_translation right;

	if (mapping->ready != 1)
		return mapping->ready == 0;
	right = mapping_translation(key, &reverse);
	return mapping->protocol == ((const struct nat_mapping_key *)key)->protocol && mapping->state < NAT_STATES &&
	       !memcmp(&right, &mapping->translation, sizeof(right));
}

static bool reverse_check(const void *key, const void *object)
{
	const struct nat_reverse *reverse = object;
	struct nat_mapping_key mapping = nat_reverse_mapping_key(reverse);
	struct nat_translation right;

	if (reverse->ready != 1)
		return reverse->ready == 0;
	right = reverse_translation(&mapping, key);
	return reverse->protocol == ((const struct nat_reverse_key *)key)->protocol &&
	       !memcmp(&right, &reverse->translation, sizeof(right));
}

/* A port is taken as long as its mapping or its reverse lives. */
static bool enter_port(const struct nat_reverse_key *reverse, void *registry_key, void *argument)
{
	*(struct nat_pool_key *)registry_key =
		nat_pool_key_make(reverse->address, reverse->protocol, nat_port_steering_slot(reverse->port));
	*(struct nat_pool_keep *)argument = (struct nat_pool_keep){ .port = ntohs(reverse->port) };
	return true;
}

static bool mapping_enter(const void *key, const void *object, void *registry_key, void *argument)
{
	const struct nat_mapping *mapping = object;
	struct nat_reverse_key reverse = nat_mapping_reverse_key(mapping);

	return mapping->ready && enter_port(&reverse, registry_key, argument);
}

static bool reverse_enter(const void *key, const void *object, void *registry_key, void *argument)
{
	return ((const struct nat_reverse *)object)->ready && enter_port(key, registry_key, argument);
}

static const struct shoal_registry mapping_registry = { &nat_pool_class, NAT_POOL_KEEP, mapping_enter };
static const struct shoal_registry reverse_registry = { &nat_pool_class, NAT_POOL_KEEP, reverse_enter };

SHOAL_CLASS_DEFINE(nat_mapping, "nat.mapping", SHOAL_SINGLE_WRITER, struct nat_mapping_key, struct nat_mapping,
	.steering = mapping_steering, .construct = mapping_construct, .idle_ms = mapping_idle_ms,
	.on_idle = nat_mapping_on_idle, .check = mapping_check, .registry = &mapping_registry,
	.after_loss = nat_mapping_after_loss)

SHOAL_CLASS_DEFINE(nat_reverse, "nat.reverse", SHOAL_SINGLE_WRITER, struct nat_reverse_key, struct nat_reverse,
	.steering = reverse_steering, .check = reverse_check, .registry = &reverse_registry,
	.after_loss = nat_reverse_after_loss)

bool nat_mapping_names(const struct nat_mapping *mapping, const struct nat_reverse_key *key)
{
	return mapping && mapping->ready && mapping->translation.address == key->address &&
	       mapping->translation.port == key->port && mapping->protocol == key->protocol;
}

bool nat_reverse_names(const struct nat_reverse *reverse, const struct nat_mapping_key *key)
{
	return reverse && reverse->ready && reverse->translation.address == key->address &&
	       reverse->translation.port == key->port && reverse->protocol == key->protocol;
}

/* The answers' fields are the take's to write. */
static void pair_request(struct nat_pair *pair, bool create)
{
	pair->requests[0].class = &nat_mapping_class;
	pair->requests[0].key = &pair->mapping_key;
	pair->requests[0].create = create;
	pair->requests[1].class = &nat_reverse_class;
	pair->requests[1].key = &pair->reverse_key;
	pair->requests[1].create = create;
}

int nat_pair_find(struct shoal_context *context, struct nat_pair *pair)
{
	pair->port_unused = false;
	pair_request(pair, false);
	return shoal_take(context, pair->requests, 2);
}

void nat_pair_release(struct shoal_context *context, struct nat_pair *pair)
{
	shoal_release(context, pair->requests, 2);
	if (pair->port_unused)
		nat_port_give_back(context, &pair->reverse_key);
}

void nat_port_give_back(struct shoal_context *context, const struct nat_reverse_key *key)
{
	struct nat_pool_key pool = nat_pool_key_make(key->address, key->protocol, nat_port_steering_slot(key->port));
	struct nat_pool_give_back argument = { .port = ntohs(key->port) };

	if (nat_pool_give_back(context, &pool, &argument))
		nat_worker_of(context)->counters[NAT_COUNT_LEAKED]++;
}

/* The pool's next ports are most likely those above: their reverses' places will be in the cache. */
static void expect_reverses(struct shoal_context *context, const struct nat_reverse_key *reverse, uint16_t port)
{
	struct nat_reverse_key next[PORTS_AHEAD];

	for (unsigned i = 0; i < PORTS_AHEAD; i++)
		next[i] = nat_reverse_key_make(
			reverse->address, htons((uint16_t)(port + (i + 1) * SHOAL_STEERING_SLOTS)), reverse->protocol);
	shoal_expect(context, &nat_reverse_class, next, PORTS_AHEAD);
}

/* The host's public address, and a port from its own steering slot's pool, else from the next ones in order. */
static int take_port(struct shoal_context *context, struct nat_pair *pair)
{
	struct nat_worker *nat = nat_worker_of(context);
	const struct nat_address_set *addresses = &nat->configuration.public_addresses;
	uint32_t inside = pair->mapping_key.address;
	uint32_t address = nat_address_set_at(addresses, nat_host_address_index(inside, (uint32_t)addresses->count));
	uint8_t protocol = pair->mapping_key.protocol, steering_slot = nat_host_steering_slot(inside);

	for (unsigned borrowed = 0; borrowed < POOLS_MAX; borrowed++, steering_slot++) {
		struct nat_pool_key pool = nat_pool_key_make(address, protocol, steering_slot);
		struct nat_pool_taken taken;
		int result = nat_pool_take(context, &pool, &nat->configuration.port_range, &taken);

		if (result)
			return result;
		if (!taken.found)
			continue;
		pair->reverse_key = nat_reverse_key_make(address, htons(taken.port), protocol);
		if (taken.port / SHOAL_STEERING_SLOTS % PORTS_AHEAD == 0)
			expect_reverses(context, &pair->reverse_key, taken.port);
		if (borrowed)
			nat->counters[NAT_COUNT_BORROWED]++;
		return 0;
	}
	return -EADDRNOTAVAIL;
}

static void fill(struct nat_pair *pair, uint8_t state, uint32_t now)
{
	*nat_pair_mapping(pair) = (struct nat_mapping){
		.translation = mapping_translation(&pair->mapping_key, &pair->reverse_key),
		.last_seen = now,
		.state = state,
		.protocol = pair->mapping_key.protocol,
		.ready = 1,
	};
	*nat_pair_reverse(pair) = (struct nat_reverse){
		.translation = reverse_translation(&pair->mapping_key, &pair->reverse_key),
		.protocol = pair->mapping_key.protocol,
		.ready = 1,
	};
}

/* Another's mapping is held. Our reverse, if it is ours, goes; its port is given back with the pair. */
static void yield_to_other(struct shoal_context *context, struct nat_pair *pair)
{
	if (nat_pair_reverse(pair)->ready)
		return;
	pair->port_unused = true;
	/* Refused where a packet from outside waits with a reference: it finds the reverse not ready, and removes it. */
	if (shoal_remove(context, &pair->requests[1]))
		nat_pair_reverse(pair)->ready = 0;
}

int nat_mapping_create(struct shoal_context *context, struct nat_pair *pair, uint8_t state)
{
	struct nat_worker *nat = nat_worker_of(context);
	int result;

	for (unsigned tried = 0; tried < PORTS_MAX; tried++) {
		pair->port_unused = false;
		result = take_port(context, pair);
		if (result)
			return result;
		pair_request(pair, true);
		result = shoal_take(context, pair->requests, 2);
		if (result) {
			nat_port_give_back(context, &pair->reverse_key);
			return result;
		}
		if (nat_pair_mapping(pair)->ready) {
			nat->counters[NAT_COUNT_RACES]++;
			yield_to_other(context, pair);
			return 0;
		}
		if (!nat_pair_reverse(pair)->ready) {
			nat->counters[NAT_COUNT_CREATED]++;
			fill(pair, state, nat_tick_now(context));
			return 0;
		}
		nat->counters[NAT_COUNT_CONFLICTS]++;
		nat_pair_release(context, pair);
	}
	return -EAGAIN;
}

uint16_t nat_drop_of(int error)
{
	switch (error) {
	case -EADDRNOTAVAIL:
		return SHOAL_DROP(NAT_DROP_PORT_EXHAUSTED);
	case -ENOSPC:
		return SHOAL_DROP(NAT_DROP_TABLE_FULL);
	case -EAGAIN:
		return SHOAL_DROP(NAT_DROP_CONFLICT);
	default:
		return SHOAL_DROP(NAT_DROP_TIMED_OUT);
	}
}
