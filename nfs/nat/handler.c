/* SPDX-License-Identifier: BSD-3-Clause */
/* The packet handler: first packets of flows, packets whose object is elsewhere, and those from outside that change the
 * state of a TCP connection. */
#include "handler.h"

#include "flow.h"
#include "forward.h"
#include "mapping.h"

/* Times that a packet from outside looks up its mapping again because the port has got another one meanwhile. */
#define LOOKUPS_MAX 4

/* RFC 792, RFC 950: the queries; their answers have odd or, for echo, no number. */
static bool is_icmp_request(const struct shoal_packet *packet)
{
	uint8_t type = packet->frame[packet->transport_offset];

	return type == 8 || type == 13 || type == 15 || type == 17;
}

/* Whether a packet from inside may begin a flow: 0, or the drop. */
static uint16_t refusal_to_create(const struct nat_worker *nat, const struct shoal_packet *packet)
{
	if (packet->flags & NAT_RARE || packet->tuple.tcp_flags & NAT_EVENT_RST)
		return SHOAL_DROP(NAT_DROP_NO_MAPPING);
	if (packet->flags & SHOAL_PACKET_ICMP_QUERY && !is_icmp_request(packet))
		return SHOAL_DROP(NAT_DROP_NO_MAPPING);
	if (!nat_address_set_contains(&nat->configuration.inside_prefixes, packet->tuple.source_address))
		return SHOAL_DROP(NAT_DROP_NOT_INSIDE);
	if (nat_ttl_expired(nat, packet))
		return SHOAL_DROP(NAT_DROP_TTL_EXPIRED);
	return 0;
}

static uint16_t create_and_send(
	struct shoal_context *context, struct shoal_packet *packet, const struct nat_mapping_key *key)
{
	struct nat_worker *nat = nat_worker_of(context);
	struct nat_pair pair = { .mapping_key = *key };
	uint16_t verdict = refusal_to_create(nat, packet);
	int result;

	if (verdict)
		return verdict;
	result = nat_mapping_create(context, &pair, nat_state_initial(key->protocol, packet->tuple.tcp_flags));
	if (result)
		return nat_drop_of(result);
	verdict = nat_outbound(nat, packet, nat_pair_mapping(&pair), nat_tick_now(context));
	nat_pair_release(context, &pair);
	return verdict;
}

static uint16_t packet_from_inside(
	struct shoal_context *context, struct shoal_packet *packet, const struct nat_mapping_key *packet_key)
{
	struct nat_mapping_key key = *packet_key;
	struct shoal_request request = nat_mapping_request(&key, false);
	struct nat_mapping *mapping;
	uint16_t verdict;
	int result = shoal_take(context, &request, 1);

	if (result)
		return nat_drop_of(result);
	mapping = nat_mapping_object(&request);
	if (!mapping || !mapping->ready) {
		if (mapping)
			shoal_release(context, &request, 1);
		return create_and_send(context, packet, &key);
	}
	verdict = nat_outbound(nat_worker_of(context), packet, mapping, nat_tick_now(context));
	shoal_release(context, &request, 1);
	return verdict;
}

static uint16_t refusal_from_outside(const struct nat_worker *nat, const struct shoal_packet *packet)
{
	if (!nat_address_set_contains(&nat->configuration.public_addresses, packet->tuple.destination_address))
		return SHOAL_DROP(NAT_DROP_NOT_PUBLIC);
	return SHOAL_DROP(NAT_DROP_NO_MAPPING);
}

/* Looks the reverse up alone: 0 and *key its mapping's (the packet is not translated yet), or the packet's verdict. */
static uint16_t look_up_reverse(struct shoal_context *context, struct shoal_packet *packet,
	const struct nat_reverse_key *reverse_key, struct nat_mapping_key *key)
{
	struct nat_worker *nat = nat_worker_of(context);
	struct shoal_request request = nat_reverse_request(reverse_key, false);
	struct nat_reverse *reverse;
	uint16_t verdict = 0;
	int result = shoal_take(context, &request, 1);

	if (result)
		return nat_drop_of(result);
	reverse = nat_reverse_object(&request);
	if (!reverse || !reverse->ready) {
		verdict = refusal_from_outside(nat, packet);
		if (reverse && !shoal_remove(context, &request))
			return verdict;
	} else if (packet->tuple.tcp_flags & NAT_EVENT_FLAGS) {
		*key = nat_reverse_mapping_key(reverse);
	} else {
		verdict = nat_inbound(nat, packet, reverse, nat_tick_now(context));
	}
	shoal_release(context, &request, 1);
	return verdict;
}

/* The reverse names a mapping that is gone or has another reverse: its worker died. It ends, and its port is free. */
static void remove_orphan(struct shoal_context *context, struct nat_pair *pair)
{
	if (shoal_remove(context, &pair->requests[1]))
		return;
	pair->port_unused = true;
	nat_worker_of(context)->counters[NAT_COUNT_ORPHANS]++;
}

/* SYN, FIN or RST from outside, with both held: 0 where the reverse is another mapping's now, else the verdict. */
static uint16_t send_and_note_state(struct shoal_context *context, struct shoal_packet *packet, struct nat_pair *pair)
{
	struct nat_worker *nat = nat_worker_of(context);
	struct nat_mapping *mapping = nat_pair_mapping(pair);

	if (!nat_pair_reverse(pair))
		return SHOAL_DROP(NAT_DROP_NO_MAPPING);
	if (!nat_reverse_names(nat_pair_reverse(pair), &pair->mapping_key))
		return 0;
	if (!nat_mapping_names(mapping, &pair->reverse_key)) {
		remove_orphan(context, pair);
		return SHOAL_DROP(NAT_DROP_NO_MAPPING);
	}
	mapping->state = nat_state_inbound[mapping->state][packet->tuple.tcp_flags & NAT_EVENT_FLAGS];
	return nat_inbound(nat, packet, nat_pair_reverse(pair), nat_tick_now(context));
}

static uint16_t packet_from_outside(
	struct shoal_context *context, struct shoal_packet *packet, const struct nat_reverse_key *packet_key)
{
	struct nat_pair pair = { .reverse_key = *packet_key };

	for (unsigned lookup = 0; lookup < LOOKUPS_MAX; lookup++) {
		uint16_t verdict = look_up_reverse(context, packet, &pair.reverse_key, &pair.mapping_key);
		int result;

		if (verdict)
			return verdict;
		result = nat_pair_find(context, &pair);
		if (result)
			return nat_drop_of(result);
		verdict = send_and_note_state(context, packet, &pair);
		nat_pair_release(context, &pair);
		if (verdict)
			return verdict;
	}
	return SHOAL_DROP(NAT_DROP_CONFLICT);
}

uint16_t nat_packet(struct shoal_context *context, struct shoal_packet *packet, const void *key)
{
	if (!key)
		return SHOAL_DROP(nat_flow_refusal(packet));
	if (packet->port == NAT_INSIDE)
		return packet_from_inside(context, packet, key);
	return packet_from_outside(context, packet, key);
}
