/* SPDX-License-Identifier: BSD-3-Clause */
#include "translate.h"

/* --- ICMP errors ---------------------------------------------------------------------------------------------------
 *
 * The error's own checksum covers the quoted packet, so every word written there is counted into `difference`. All fields
 * lie at even distances from the ICMP header, as the sum of words asks. */

static void rewrite16(uint8_t *field, uint16_t value, uint32_t *difference)
{
	*difference = shoal_checksum_change16(*difference, shoal_frame_load16(field), value);
	shoal_frame_store16(field, value);
}

static void rewrite32(uint8_t *field, uint32_t value, uint32_t *difference)
{
	*difference = shoal_checksum_change32(*difference, shoal_frame_load32(field), value);
	shoal_frame_store32(field, value);
}

/* First byte behind the outer datagram: what follows is the link's padding. */
static const uint8_t *datagram_end(const struct shoal_packet *packet)
{
	const uint8_t *network = shoal_packet_network(packet);

	return network + shoal_frame_number16(network + 2);
}

/* RFC 5508 REQ-3: the error and the quoted header must be sound; the quoted transport need not be. An error that comes
 * in fragments cannot be checked here: its corrected checksum still tells the receiver. */
static bool icmp_error_is_sound(const struct shoal_packet *packet)
{
	const uint8_t *icmp = packet->frame + packet->transport_offset;
	const uint8_t *quoted = packet->frame + packet->inner_network_offset;
	size_t bytes = (size_t)(datagram_end(packet) - icmp);

	if (shoal_checksum_fold(shoal_checksum_sum(0, quoted, (quoted[0] & 15u) * 4)))
		return false;
	return packet->flags & SHOAL_PACKET_FRAGMENT_FIRST || !shoal_checksum_fold(shoal_checksum_sum(0, icmp, bytes));
}

/* The quoted transport header may end before its checksum; it has eight bytes at least. */
static void translate_quoted_transport(const struct shoal_packet *packet, const struct nat_translation *translation,
	enum nat_end end, uint32_t *difference)
{
	uint8_t *transport = packet->frame + packet->inner_transport_offset;
	uint8_t *checksum = transport + translation->checksum_offset;

	rewrite16(transport + nat_port_offset(packet->tuple.protocol, end), translation->port, difference);
	if (checksum + 2 <= datagram_end(packet))
		rewrite16(
			checksum, nat_transport_checksum_apply(shoal_frame_load16(checksum), translation), difference);
}

static void translate_icmp_error(
	struct shoal_packet *packet, const struct nat_translation *translation, enum nat_end end)
{
	uint8_t *network = packet->frame + packet->network_offset;
	uint8_t *quoted = packet->frame + packet->inner_network_offset;
	uint8_t *icmp_checksum = packet->frame + packet->transport_offset + NAT_ICMP_CHECKSUM;
	uint8_t *quoted_checksum = quoted + NAT_IPV4_CHECKSUM;
	enum nat_end quoted_end = end == NAT_SOURCE ? NAT_DESTINATION : NAT_SOURCE;
	uint32_t outer = 0, inner = 0;

	/* The quoted end is what the translation was made for. The error itself may come from a router in between. */
	rewrite32(network + end, translation->address, &outer);
	shoal_frame_store16(network + NAT_IPV4_CHECKSUM,
		shoal_checksum_adjust(shoal_frame_load16(network + NAT_IPV4_CHECKSUM), outer));

	rewrite32(quoted + quoted_end, translation->address, &inner);
	rewrite16(quoted_checksum, nat_checksum_apply(shoal_frame_load16(quoted_checksum), translation->network_delta),
		&inner);
	translate_quoted_transport(packet, translation, quoted_end, &inner);
	shoal_frame_store16(icmp_checksum, shoal_checksum_adjust(shoal_frame_load16(icmp_checksum), inner));
}

enum nat_translate_result nat_translate_rare(
	struct shoal_packet *packet, const struct nat_translation *translation, enum nat_end end)
{
	if (packet->flags & SHOAL_PACKET_FRAGMENT_LATER) {
		nat_translate_network(packet->frame + packet->network_offset, translation, end);
		return NAT_TRANSLATED;
	}
	if (!icmp_error_is_sound(packet))
		return NAT_BAD_CHECKSUM;
	translate_icmp_error(packet, translation, end);
	return NAT_TRANSLATED;
}
