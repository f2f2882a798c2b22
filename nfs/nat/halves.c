/* SPDX-License-Identifier: BSD-3-Clause */
/* A death that costs objects may leave a mapping without its reverse, or a reverse without its mapping: they lay at different
 * workers, as with a borrowed port. Either alone is of no use to anybody: the one sends packets whose answers find no way back,
 * the other has no timer. Until it ends here its port is taken (nat_mapping's registry), so that nobody else has got it. */
#include "halves.h"

#include "mapping.h"

/* The pair is held. Ends one of its halves; -EBUSY: somebody has a reference, so it stays. */
static int end_half(struct shoal_context *context, struct nat_pair *pair, unsigned half)
{
	const struct nat_reverse *reverse = nat_pair_reverse(pair);
	bool port_is_ours = half == 1 || !reverse || !reverse->ready;
	int error = shoal_remove(context, &pair->requests[half]);

	if (error)
		return error;
	pair->port_unused = port_is_ours;
	nat_worker_of(context)->counters[NAT_COUNT_ORPHANS]++;
	return 0;
}

/* Holding nothing. Whether the object is ready; its other half's key is in the pair then. */
static int find_other_key(
	struct shoal_context *context, struct nat_pair *pair, struct shoal_request request, bool *ready)
{
	int result = shoal_take(context, &request, 1);

	*ready = false;
	if (result)
		return result;
	if (request.object && request.class == &nat_mapping_class) {
		*ready = nat_mapping_object(&request)->ready;
		pair->reverse_key = nat_mapping_reverse_key(nat_mapping_object(&request));
	} else if (request.object) {
		*ready = nat_reverse_object(&request)->ready;
		pair->mapping_key = nat_reverse_mapping_key(nat_reverse_object(&request));
	}
	shoal_release(context, &request, 1);
	return 0;
}

int nat_mapping_after_loss(struct shoal_context *context, const void *key)
{
	struct nat_pair pair = { 0 };
	bool ready;
	int result;

	memcpy(&pair.mapping_key, key, sizeof(pair.mapping_key));
	result = find_other_key(context, &pair, nat_mapping_request(&pair.mapping_key, false), &ready);
	if (result || !ready)
		return result;
	result = nat_pair_find(context, &pair);
	if (result)
		return result;
	if (nat_mapping_names(nat_pair_mapping(&pair), &pair.reverse_key) &&
		!nat_reverse_names(nat_pair_reverse(&pair), &pair.mapping_key))
		result = end_half(context, &pair, 0);
	nat_pair_release(context, &pair);
	return result;
}

int nat_reverse_after_loss(struct shoal_context *context, const void *key)
{
	struct nat_pair pair = { 0 };
	bool ready;
	int result;

	memcpy(&pair.reverse_key, key, sizeof(pair.reverse_key));
	result = find_other_key(context, &pair, nat_reverse_request(&pair.reverse_key, false), &ready);
	if (result || !ready)
		return result;
	result = nat_pair_find(context, &pair);
	if (result)
		return result;
	if (nat_reverse_names(nat_pair_reverse(&pair), &pair.mapping_key) &&
		!nat_mapping_names(nat_pair_mapping(&pair), &pair.reverse_key))
		result = end_half(context, &pair, 1);
	nat_pair_release(context, &pair);
	return result;
}
