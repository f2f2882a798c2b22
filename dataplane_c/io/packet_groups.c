/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/packet_groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/checksum.h"
#include "io/frame_inline.h"
#include "io/latency.h"
#include "worker/error.h"

#define PAYLOAD_MAGIC 0xab
#define FIRST_SEQUENCE 0xfffffffeu

struct payload {
	uint8_t magic;
	uint8_t start;
	uint16_t group;
	uint32_t sequence;
	uint64_t time_ns;
} __attribute__((packed));

_Static_assert(sizeof(struct payload) == SHOAL_GROUP_PAYLOAD_BYTES, "as a TRex server writes it");

struct group {
	struct shoal_packet_group counters;
	uint16_t number; /* within its kind */
	uint32_t next_sequence, expected_sequence;
	int64_t last_latency_ns;
	uint64_t row_sum_ns, row_count, row_max_ns;
};

struct shoal_packet_groups {
	struct group *all[SHOAL_GROUPS_MAX + SHOAL_GROUPS_LATENCY_MAX]; /* in order of joining */
	uint32_t count;
	struct group *by_number[3][SHOAL_GROUPS_MAX]; /* borrows; first index: enum shoal_packet_group_kind */
	uint32_t counts[3];
	uint8_t start;
	uint64_t warm_until_ns;
};

struct shoal_packet_groups *shoal_packet_groups_create(void)
{
	struct shoal_packet_groups *groups = calloc(1, sizeof(*groups));

	if (!groups)
		shoal_error(ENOMEM, "no memory for packet groups");
	return groups;
}

void shoal_packet_groups_destroy(struct shoal_packet_groups *groups)
{
	for (uint32_t i = 0; groups && i < groups->count; i++)
		free(groups->all[i]);
	free(groups);
}

static struct group *group_find(const struct shoal_packet_groups *groups, uint32_t name)
{
	for (uint32_t i = 0; i < groups->count; i++)
		if (groups->all[i]->counters.group == name)
			return groups->all[i];
	return NULL;
}

static int group_add(struct shoal_packet_groups *groups, const struct shoal_stream_config *config, struct group **added)
{
	uint32_t number = groups->counts[config->group_kind];
	uint32_t most = config->group_kind == SHOAL_GROUP_LATENCY ? SHOAL_GROUPS_LATENCY_MAX : SHOAL_GROUPS_MAX;
	struct group *group;

	if (number == most)
		return shoal_error(ENOSPC, "pg_id %u: at most %u groups of its kind", config->group, most);
	group = calloc(1, sizeof(*group));
	if (!group)
		return shoal_error(ENOMEM, "no memory for pg_id %u", config->group);
	group->counters.kind = config->group_kind;
	group->counters.group = config->group;
	group->number = (uint16_t)number;
	group->next_sequence = group->expected_sequence = FIRST_SEQUENCE;
	groups->by_number[config->group_kind][number] = group;
	groups->counts[config->group_kind]++;
	groups->all[groups->count++] = group;
	*added = group;
	return 0;
}

static void mark_ipv4(uint8_t *network, uint16_t mark)
{
	uint16_t sum = shoal_frame_load16(network + 10), before = shoal_frame_load16(network);
	uint16_t old_mark = shoal_frame_load16(network + 4), new_mark = __builtin_bswap16(mark);

	network[1] |= 1;
	sum = shoal_checksum_update16(sum, before, shoal_frame_load16(network));
	shoal_frame_store16(network + 10, shoal_checksum_update16(sum, old_mark, new_mark));
	shoal_frame_store16(network + 4, new_mark);
}

static void mark_ipv6(uint8_t *network, uint16_t mark)
{
	network[1] = (uint8_t)((network[1] | 1 << 4) & 0xf0); /* traffic class' lowest bit; label's high four are 0 */
	network[2] = (uint8_t)(mark >> 8);
	network[3] = (uint8_t)mark;
}

static uint32_t headers_bytes(const struct shoal_packet *shape)
{
	uint32_t transport = shape->transport_offset;

	if (!(shape->flags & SHOAL_PACKET_TRANSPORT))
		return shape->network_offset + (shape->flags & SHOAL_PACKET_IPV4 ? SHOAL_IPV4_BYTES : SHOAL_IPV6_BYTES);
	if (shape->tuple.protocol == SHOAL_PROTOCOL_TCP)
		return transport + (shape->frame[transport + 12] >> 4) * 4u;
	return transport + SHOAL_UDP_BYTES;
}

int shoal_packet_groups_join(struct shoal_packet_groups *groups, struct shoal_stream *stream)
{
	const struct shoal_stream_config *config = &stream->config;
	bool latency = config->group_kind == SHOAL_GROUP_LATENCY;
	struct group *group;
	int rc = 0;

	if (config->group_kind == SHOAL_GROUP_NONE)
		return 0;
	if (latency && headers_bytes(&stream->shape) + SHOAL_GROUP_PAYLOAD_BYTES > stream->config.packet_bytes)
		return shoal_error(EINVAL, "stream %u (%s): a latency stream needs 16 bytes of payload", stream->number,
			config->name);
	group = group_find(groups, config->group);
	if (group && (latency || group->counters.kind != config->group_kind))
		return shoal_error(EINVAL, "stream %u (%s): pg_id %u is taken, and a latency group has one stream",
			stream->number, config->name, config->group);
	if (!group)
		rc = group_add(groups, config, &group);
	if (rc)
		return rc;
	stream->group_number = group->number;
	if (stream->shape.flags & SHOAL_PACKET_IPV4)
		mark_ipv4(stream->frame + stream->shape.network_offset,
			(uint16_t)(latency ? SHOAL_GROUP_LATENCY_MARK : SHOAL_GROUP_MARK + group->number));
	else
		mark_ipv6(stream->frame + stream->shape.network_offset,
			(uint16_t)(latency ? SHOAL_GROUP_LATENCY_MARK : SHOAL_GROUP_MARK + group->number));
	return 0;
}

void shoal_packet_groups_reset(struct shoal_packet_groups *groups)
{
	groups->start++;
	for (uint32_t i = 0; i < groups->count; i++) {
		struct group *group = groups->all[i];
		struct group fresh = { .number = group->number,
			.next_sequence = FIRST_SEQUENCE,
			.expected_sequence = FIRST_SEQUENCE,
			.counters = { .kind = group->counters.kind, .group = group->counters.group } };

		*group = fresh;
	}
}

void shoal_packet_groups_warm_up(struct shoal_packet_groups *groups, uint64_t until_ns)
{
	groups->warm_until_ns = until_ns;
}

void shoal_packet_groups_send(struct shoal_packet_groups *groups, const struct shoal_stream *stream, uint8_t nf_port,
	uint8_t *frame, uint32_t length, uint64_t now_ns)
{
	struct group *group;

	if (stream->config.group_kind == SHOAL_GROUP_NONE)
		return;
	group = groups->by_number[stream->config.group_kind][stream->group_number];
	group->counters.sent_packets[nf_port]++;
	group->counters.sent_bytes[nf_port] += length + SHOAL_FCS_BYTES;
	if (stream->config.group_kind == SHOAL_GROUP_LATENCY && length >= SHOAL_GROUP_PAYLOAD_BYTES) {
		const struct payload payload = { .magic = PAYLOAD_MAGIC,
			.start = groups->start,
			.group = group->number,
			.sequence = group->next_sequence++,
			.time_ns = now_ns };

		memcpy(frame + length - sizeof(payload), &payload, sizeof(payload));
	}
}

/* --- receiving --- */

static void sequence_check(struct group *group, uint32_t sequence)
{
	struct shoal_packet_group *counters = &group->counters;
	int32_t ahead = (int32_t)(sequence - group->expected_sequence);

	if (ahead >= 0) {
		counters->dropped += (uint32_t)ahead;
		counters->sequence_too_high += ahead > 0;
		group->expected_sequence = sequence + 1;
		return;
	}
	counters->sequence_too_low++;
	if (ahead == -1) {
		counters->duplicated++;
		return;
	}
	counters->out_of_order++;
	counters->dropped -= counters->dropped > 0;
}

/* Below 10 us; then nine buckets for each power of ten, named by the leading digit. */
static unsigned decade(uint64_t latency_ns)
{
	uint64_t unit_ns = 10000;

	if (latency_ns < unit_ns)
		return 0;
	for (unsigned power = 0; power < 5; power++, unit_ns *= 10)
		if (latency_ns < unit_ns * 10)
			return 1 + power * 9 + (unsigned)(latency_ns / unit_ns) - 1;
	return 45;
}

static void latency_check(struct group *group, uint64_t latency_ns, bool warm)
{
	struct shoal_packet_group *counters = &group->counters;
	int64_t difference = (int64_t)latency_ns - group->last_latency_ns;

	group->last_latency_ns = (int64_t)latency_ns;
	counters->jitter_us += ((double)(difference < 0 ? -difference : difference) / 1000 - counters->jitter_us) / 16;
	if (latency_ns > group->row_max_ns)
		group->row_max_ns = latency_ns;
	group->row_sum_ns += latency_ns;
	group->row_count++;
	if (!warm)
		return;
	counters->decades[decade(latency_ns)]++;
	shoal_latency_add(&counters->latency, latency_ns);
}

static bool latency_receive(
	struct shoal_packet_groups *groups, uint8_t nf_port, const struct shoal_packet *packet, uint64_t now_ns)
{
	struct payload payload;
	struct group *group;

	if (packet->length < sizeof(payload))
		return false;
	memcpy(&payload, packet->frame + packet->length - sizeof(payload), sizeof(payload));
	if (payload.magic != PAYLOAD_MAGIC || payload.start != groups->start ||
		payload.group >= groups->counts[SHOAL_GROUP_LATENCY])
		return false;
	group = groups->by_number[SHOAL_GROUP_LATENCY][payload.group];
	group->counters.received_packets[nf_port]++;
	group->counters.received_bytes[nf_port] += packet->length + SHOAL_FCS_BYTES;
	sequence_check(group, payload.sequence);
	latency_check(group, now_ns > payload.time_ns ? now_ns - payload.time_ns : 0, now_ns >= groups->warm_until_ns);
	return true;
}

bool shoal_packet_groups_receive(
	struct shoal_packet_groups *groups, uint8_t nf_port, const struct shoal_packet *packet, uint64_t now_ns)
{
	const uint8_t *network = shoal_packet_network(packet);
	uint16_t mark;

	if (!groups->count || !(packet->flags & (SHOAL_PACKET_IPV4 | SHOAL_PACKET_IPV6)))
		return false;
	mark = shoal_frame_number16(packet->flags & SHOAL_PACKET_IPV4 ? network + 4 : network + 2);
	if (mark == SHOAL_GROUP_LATENCY_MARK)
		return latency_receive(groups, nf_port, packet, now_ns);
	if (mark >= SHOAL_GROUP_MARK && mark - SHOAL_GROUP_MARK < groups->counts[SHOAL_GROUP_STATISTICS]) {
		struct shoal_packet_group *counters =
			&groups->by_number[SHOAL_GROUP_STATISTICS][mark - SHOAL_GROUP_MARK]->counters;

		counters->received_packets[nf_port]++;
		counters->received_bytes[nf_port] += packet->length + SHOAL_FCS_BYTES;
	}
	return false;
}

void shoal_packet_groups_end_row(struct shoal_packet_groups *groups)
{
	for (uint32_t i = 0; i < groups->count; i++) {
		struct group *group = groups->all[i];
		struct shoal_packet_group *counters = &group->counters;
		double mean_us = group->row_count ? (double)group->row_sum_ns / (double)group->row_count / 1000 : 0;

		counters->last_max_ns = group->row_max_ns;
		if (!group->row_count)
			continue;
		counters->average_us = counters->average_us > 0 ? (counters->average_us + mean_us) / 2 : mean_us;
		group->row_sum_ns = group->row_count = group->row_max_ns = 0;
	}
}

const struct shoal_packet_group *shoal_packet_groups_at(const struct shoal_packet_groups *groups, uint32_t index)
{
	return index < groups->count ? &groups->all[index]->counters : NULL;
}
