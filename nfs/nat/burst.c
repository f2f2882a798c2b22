/* SPDX-License-Identifier: BSD-3-Clause */
/* The burst handler: packets whose mapping (from inside) or reverse (from outside) is here and at rest. One tight loop for
 * each port; a NAT with a router's duties takes the general way, so that the plain one pays nothing for them. */
#include "burst.h"

#include "forward.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

static __attribute__((noinline)) uint16_t rare_outbound(
	struct nat_worker *nat, struct shoal_packet *packet, struct nat_mapping *mapping, uint32_t now)
{
	return mapping->ready ? nat_outbound(nat, packet, mapping, now) : SHOAL_TO_PACKET_HANDLER;
}

static ALWAYS_INLINE void process_inside(
	struct nat_worker *nat, struct shoal_packet *const packets[], void *const objects[], unsigned n, uint32_t now)
{
	for (unsigned index = 0; index < n; index++) {
		struct shoal_packet *packet = packets[index];
		struct nat_mapping *mapping = objects[index];

		if (SHOAL_UNLIKELY((packet->flags & NAT_RARE) | (mapping->ready ^ 1))) {
			packet->verdict = rare_outbound(nat, packet, mapping, now);
			continue;
		}
		/* Reads of the packet first: after a write to the frame the compiler would do them again. */
		mapping->last_seen = now;
		nat_note_outbound(mapping, packet);
		packet->verdict = nat_forward_out(nat, packet, packet->tuple.destination_address, false);
		nat_translate_plain(packet, &mapping->translation, NAT_SOURCE);
	}
}

/* SYN, FIN and RST change the mapping's state, and the mapping is not at hand here. */
static ALWAYS_INLINE unsigned changes_state(const struct shoal_packet *packet)
{
	return packet->tuple.tcp_flags & NAT_EVENT_FLAGS;
}

static __attribute__((noinline)) uint16_t rare_inbound(
	struct nat_worker *nat, struct shoal_packet *packet, struct nat_reverse *reverse, uint32_t now)
{
	if (changes_state(packet) || !reverse->ready)
		return SHOAL_TO_PACKET_HANDLER;
	return nat_inbound(nat, packet, reverse, now);
}

static ALWAYS_INLINE void process_outside(
	struct nat_worker *nat, struct shoal_packet *const packets[], void *const objects[], unsigned n, uint32_t now)
{
	uint32_t seen = now | !now;

	for (unsigned index = 0; index < n; index++) {
		struct shoal_packet *packet = packets[index];
		struct nat_reverse *reverse = objects[index];

		if (SHOAL_UNLIKELY((packet->flags & NAT_RARE) | changes_state(packet) | (reverse->ready ^ 1))) {
			packet->verdict = rare_inbound(nat, packet, reverse, now);
			continue;
		}
		reverse->last_seen = seen;
		packet->verdict = nat_forward_in(nat, packet, false);
		nat_translate_plain(packet, &reverse->translation, NAT_DESTINATION);
	}
}

/* As a router, every packet takes the general way. */
static void process_router(
	struct nat_worker *nat, struct shoal_packet *const packets[], void *const objects[], unsigned n, uint32_t now)
{
	for (unsigned index = 0; index < n; index++) {
		struct shoal_packet *packet = packets[index];

		if (packet->port == NAT_INSIDE)
			packet->verdict = rare_outbound(nat, packet, objects[index], now);
		else
			packet->verdict = rare_inbound(nat, packet, objects[index], now);
	}
}

void nat_process(struct shoal_context *context, struct shoal_packet *const packets[], void *const objects[], unsigned n)
{
	struct nat_worker *nat = nat_worker_of(context);
	uint32_t now = nat_tick_now(context);

	if (nat->router)
		process_router(nat, packets, objects, n, now);
	else if (packets[0]->port == NAT_INSIDE)
		process_inside(nat, packets, objects, n, now);
	else
		process_outside(nat, packets, objects, n, now);
}
