/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of a mapping. Only the mapping has a timer; packets from outside touch the reverse alone, perhaps at another
 * worker. So the task takes both and goes by the later of the two last-seen times. Reverse, mapping, port are given up
 * in this order: a port that is in a pool never has a reverse, and nobody finds a reverse without its mapping. */
#include "expiry.h"

#include "mapping.h"

/* Ticks and the space's idle times are cut off in different units. */
#define SLACK_TICKS 2

/* Reads which reverse the mapping has. One without a reverse ends here. */
static bool find_reverse_key(struct shoal_context *context, struct nat_pair *pair)
{
	struct shoal_request request = nat_mapping_request(&pair->mapping_key, false);
	const struct nat_mapping *mapping;
	bool ready;

	if (shoal_take(context, &request, 1))
		return false; /* the next idle time tries again */
	mapping = nat_mapping_object(&request);
	ready = mapping && mapping->ready;
	if (ready)
		pair->reverse_key = nat_mapping_reverse_key(mapping);
	if (ready || !mapping || shoal_remove(context, &request))
		shoal_release(context, &request, 1);
	return ready;
}

/* Both held. Whether no packet of either direction came within the idle time. */
static bool is_idle(struct shoal_context *context, const struct nat_pair *pair)
{
	struct nat_mapping *mapping = nat_pair_mapping(pair);
	const struct nat_reverse *reverse = nat_pair_reverse(pair);
	uint32_t now = nat_tick_now(context);
	uint32_t age = nat_tick_age(now, mapping->last_seen);

	if (nat_reverse_names(reverse, &pair->mapping_key) && reverse->last_seen) {
		uint32_t reverse_age = nat_tick_age(now, reverse->last_seen);

		if (reverse_age < age)
			age = reverse_age;
		/* Plain packets have come: a connection whose beginning was not seen is one after all. */
		mapping->state = nat_state_inbound[mapping->state][0];
	}
	return age + SLACK_TICKS >= nat_worker_of(context)->idle_ticks[mapping->state];
}

/* Both held. Removes them; whether the port is to be given back. */
static bool remove_pair(struct shoal_context *context, struct nat_pair *pair)
{
	const struct nat_reverse *reverse = nat_pair_reverse(pair);
	bool reverse_is_ours = nat_reverse_names(reverse, &pair->mapping_key);
	bool reverse_is_lost = !reverse || !reverse->ready; /* the port is nobody else's */

	if (reverse_is_ours && shoal_remove(context, &pair->requests[1]))
		return false; /* a packet from outside waits for it: in use after all */
	nat_worker_of(context)->counters[NAT_COUNT_EXPIRED]++;
	if (shoal_remove(context, &pair->requests[0]))
		nat_pair_mapping(pair)->ready = 0; /* somebody has a reference: he finds it as good as new */
	return reverse_is_ours || reverse_is_lost;
}

void nat_mapping_on_idle(struct shoal_context *context, const void *key)
{
	struct nat_pair pair = { 0 };

	memcpy(&pair.mapping_key, key, sizeof(pair.mapping_key)); /* tasks keep keys as bytes, at any address */
	if (!find_reverse_key(context, &pair) || nat_pair_find(context, &pair))
		return;
	if (nat_mapping_names(nat_pair_mapping(&pair), &pair.reverse_key) && is_idle(context, &pair))
		pair.port_unused = remove_pair(context, &pair);
	nat_pair_release(context, &pair);
}
