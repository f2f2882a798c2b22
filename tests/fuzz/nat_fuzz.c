/* SPDX-License-Identifier: BSD-3-Clause */
/* The NAT's burst handler on any frame that the parser lets through: it writes inside the frame only (which the sanitizer
 * sees: nothing lies behind it), and only what it should; the frame still parses the same, with the new endpoint, and
 * checksums that were right stay right.
 *
 * What the fuzzer may choose beside the frame lies in the MAC addresses, which neither parser nor NAT reads: the new
 * endpoint, the direction, and whether to make the frame's checksums right first. */
#include <string.h>

#include "../../nfs/nat/worker.h"
#include "io/checksum.h"
#include "io/parse.h"
#include "target.h"

#define FRAME_BYTES_MAX 16384

struct choice {
	struct nat_endpoint to;
	enum nat_port port;
	bool right_checksums;
};

union object {
	struct nat_mapping mapping;
	struct nat_reverse reverse;
};

static struct nat_worker *worker(void)
{
	static struct nat_worker *nat;
	char error[256];

	if (nat)
		return nat;
	nat = shoal_nf.create();
	FUZZ_REQUIRE(nat && !shoal_nf.configure(nat, "public_addresses", "198.51.100.0/24", error, sizeof(error)));
	FUZZ_REQUIRE(!shoal_nf.init(nat, error, sizeof(error)));
	return nat;
}

static enum shoal_parse_result parse(struct shoal_packet *packet, uint8_t *frame, size_t length, enum nat_port port)
{
	memset(packet, 0xa5, sizeof(*packet));
	packet->frame = frame;
	packet->length = (uint16_t)length;
	packet->port = (uint8_t)port;
	packet->flags = SHOAL_PACKET_PORTS_KNOWN;
	packet->tuple.source_port = packet->tuple.destination_port = 0x1111;
	return shoal_parse(packet);
}

static size_t datagram_bytes(const uint8_t *network)
{
	return shoal_frame_number16(network + 2);
}

/* From the innermost header outwards. */
static void make_right(struct shoal_packet *packet)
{
	uint8_t *network = packet->frame + packet->network_offset;
	uint8_t *transport = packet->frame + packet->transport_offset;
	uint8_t *quoted = packet->frame + packet->inner_network_offset;
	uint16_t bytes = (uint16_t)(network + datagram_bytes(network) - transport);
	uint8_t protocol = network[9];

	if (packet->inner_network_offset)
		shoal_frame_store16(quoted + 10, shoal_checksum_ipv4_header(quoted));
	if (packet->transport_offset)
		shoal_frame_store16(transport + shoal_checksum_field_offset(protocol),
			shoal_checksum_transport(network, transport, bytes, protocol));
	shoal_frame_store16(network + 10, shoal_checksum_ipv4_header(network));
}

static void assert_right(const struct shoal_packet *packet)
{
	const uint8_t *network = shoal_packet_network(packet);
	const uint8_t *transport = packet->frame + packet->transport_offset;
	const uint8_t *quoted = packet->frame + packet->inner_network_offset;
	uint16_t bytes = (uint16_t)(network + datagram_bytes(network) - transport);

	FUZZ_REQUIRE(shoal_frame_load16(network + 10) == shoal_checksum_ipv4_header(network));
	if (packet->inner_network_offset)
		FUZZ_REQUIRE(shoal_frame_load16(quoted + 10) == shoal_checksum_ipv4_header(quoted));
	if (!packet->transport_offset)
		return;
	if (network[9] == NAT_ICMP) /* may be 0xffff for 0 */
		FUZZ_REQUIRE(!shoal_checksum_fold(shoal_checksum_sum(0, transport, bytes)));
	else
		FUZZ_REQUIRE(shoal_frame_load16(transport + shoal_checksum_field_offset(network[9])) ==
			     shoal_checksum_transport(network, transport, bytes, network[9]));
}

static void make_object(union object *object, const struct shoal_packet *packet, const struct choice *choice)
{
	const struct shoal_tuple *tuple = &packet->tuple;
	struct nat_endpoint source = { tuple->source_address, tuple->source_port };
	struct nat_endpoint destination = { tuple->destination_address, tuple->destination_port };

	memset(object, 0, sizeof(*object));
	if (choice->port == NAT_INSIDE)
		object->mapping = (struct nat_mapping){
			.translation = nat_translation_make(source, choice->to, tuple->protocol, NAT_SOURCE),
			.state = nat_state_initial(tuple->protocol, tuple->tcp_flags),
			.protocol = tuple->protocol,
			.ready = 1,
		};
	else
		object->reverse = (struct nat_reverse){
			.translation = nat_translation_make(destination, choice->to, tuple->protocol, NAT_DESTINATION),
			.protocol = tuple->protocol,
			.ready = 1,
		};
}

/* The translated frame, parsed again. */
static void check_translated(const struct shoal_packet *before, const struct choice *choice)
{
	struct shoal_packet after;
	bool inside = choice->port == NAT_INSIDE;

	FUZZ_REQUIRE(parse(&after, before->frame, before->length, choice->port) == SHOAL_PARSE_OK);
	FUZZ_REQUIRE(after.flags == before->flags);
	FUZZ_REQUIRE(!memcmp(&after.network_offset, &before->network_offset, 8));
	FUZZ_REQUIRE(after.tuple.protocol == before->tuple.protocol);
	FUZZ_REQUIRE((inside ? after.tuple.source_address : after.tuple.destination_address) == choice->to.address);
	FUZZ_REQUIRE((inside ? after.tuple.destination_address : after.tuple.source_address) ==
		     (inside ? before->tuple.destination_address : before->tuple.source_address));
	if (!(after.flags & SHOAL_PACKET_FRAGMENT_LATER))
		FUZZ_REQUIRE((inside ? after.tuple.source_port : after.tuple.destination_port) == choice->to.port);
	if (choice->right_checksums)
		assert_right(&after);
}

static void check(uint8_t *frame, size_t length, const struct choice *choice)
{
	struct shoal_context context = { .nf_state = worker(), .now_ns = SHOAL_NS_PER_S };
	struct shoal_packet packet;
	struct shoal_packet *packets[1] = { &packet };
	union object object;
	void *objects[1] = { &object };
	uint64_t key;

	if (parse(&packet, frame, length, choice->port) != SHOAL_PARSE_OK)
		return;
	shoal_nf.ports[choice->port].steer(&packet);
	if (!shoal_nf.ports[choice->port].keys(&context, packets, 1, &key)) {
		FUZZ_REQUIRE(shoal_nf.packet(&context, &packet, NULL) >> 8 == SHOAL_VERDICT_DROP);
		return;
	}
	if (choice->right_checksums)
		make_right(&packet);
	make_object(&object, &packet, choice);
	shoal_nf.process(&context, packets, objects, 1);
	if (packet.verdict >> 8 == SHOAL_VERDICT_TRANSMIT || packet.verdict >> 8 == SHOAL_VERDICT_REENTER)
		check_translated(&packet, choice);
	else
		FUZZ_REQUIRE(packet.verdict == SHOAL_TO_PACKET_HANDLER ||
			     packet.verdict == SHOAL_DROP(NAT_DROP_ICMP_CHECKSUM));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct choice choice = { .port = NAT_INSIDE };
	uint8_t *frame;

	if (length < SHOAL_ETHERNET_BYTES || length > FRAME_BYTES_MAX)
		return 0;
	choice.to.address = shoal_frame_load32(bytes);
	choice.to.port = shoal_frame_load16(bytes + 4);
	choice.port = bytes[6] & 1 ? NAT_OUTSIDE : NAT_INSIDE;
	choice.right_checksums = bytes[6] & 2;
	frame = malloc(length);
	if (!frame)
		abort();
	memcpy(frame, bytes, length);
	check(frame, length, &choice);
	FUZZ_REQUIRE(!memcmp(frame, bytes, 12)); /* no router: the MACs stay */
	free(frame);
	return 0;
}
