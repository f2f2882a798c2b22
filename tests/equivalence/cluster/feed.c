/* SPDX-License-Identifier: BSD-3-Clause */
#include "feed.h"

#include <stdlib.h>
#include <string.h>

/* Packets among which the next one is chosen. */
#define WINDOW 48
#define PHASE_GAP_NS UINT64_C(1000000000)
#define INSIDE_PREFIX 0x10000000u /* 16.0.0.0/8 */
#define INSIDE_MASK 0xff000000u

static void *allocate(size_t count, size_t bytes)
{
	void *memory = calloc(count + 1, bytes);

	if (memory)
		return memory;
	fprintf(stderr, "feed: no memory\n");
	exit(2);
}

static bool is_inside(const struct wire_endpoint *endpoint)
{
	return (endpoint->address & INSIDE_MASK) == INSIDE_PREFIX;
}

/* --- Reading --- */

static uint32_t key_of(struct feed *feed, const struct wire_endpoint *endpoint)
{
	for (uint32_t i = 0; i < feed->keys_count; i++)
		if (wire_endpoint_equal(&feed->keys[i].inside, endpoint))
			return i;
	feed->keys[feed->keys_count] = (struct feed_key){ .inside = *endpoint };
	return feed->keys_count++;
}

static uint32_t key_at(struct feed *feed, const struct wire *wire, enum wire_end end)
{
	struct wire_endpoint endpoint;

	if (!wire_endpoint(wire, end, &endpoint) || !is_inside(&endpoint))
		return FEED_NONE;
	return key_of(feed, &endpoint);
}

static void describe(struct feed *feed, struct feed_input *input)
{
	struct wire wire;

	input->keys[0] = input->keys[1] = FEED_NONE;
	if (!wire_read(&wire, input->frame, input->length))
		return;
	if (wire.number < FEED_NUMBERS && wire.kind != WIRE_LATER)
		feed->input_of_number[wire.number] = (uint32_t)(input - feed->inputs);
	if (input->port == 0)
		input->keys[0] = key_at(feed, &wire, WIRE_SOURCE);
	input->keys[1] = key_at(feed, &wire, WIRE_DESTINATION);
	input->placeholder = input->keys[1] != FEED_NONE;
	input->alone = input->placeholder || wire.tcp_flags & (WIRE_SYN | WIRE_FIN | WIRE_RST);
}

/* Later fragments have the endpoints of their datagram's first, wherever that stands. */
static void describe_later_fragment(struct feed *feed, struct feed_input *input)
{
	const struct feed_input *first;
	struct wire wire;

	if (!wire_read(&wire, input->frame, input->length) || wire.kind != WIRE_LATER || wire.number >= FEED_NUMBERS)
		return;
	if (feed->input_of_number[wire.number] == FEED_NONE)
		return;
	first = &feed->inputs[feed->input_of_number[wire.number]];
	memcpy(input->keys, first->keys, sizeof(input->keys));
	input->placeholder = first->placeholder;
	input->alone = first->alone;
}

static void merge(struct feed *feed)
{
	unsigned at[2] = { 0, 0 }, phase = 0;

	for (unsigned i = 0; i < feed->count; i++) {
		const struct pcap_record *inside = &feed->files[0].records[at[0]];
		const struct pcap_record *outside = &feed->files[1].records[at[1]];
		bool port = at[0] == feed->files[0].count ||
		            (at[1] < feed->files[1].count && outside->time_ns < inside->time_ns);
		const struct pcap_record *record = port ? outside : inside;

		at[port]++;
		if (i && record->time_ns > feed->inputs[i - 1].time_ns + PHASE_GAP_NS)
			phase++;
		feed->inputs[i] = (struct feed_input){ .time_ns = record->time_ns,
			.length = record->length,
			.frame = record->frame,
			.phase = phase,
			.port = port };
	}
}

void feed_init(struct feed *feed, const char *folder)
{
	memset(feed, 0, sizeof(*feed));
	memset(feed->input_of_number, 0xff, sizeof(feed->input_of_number));
	pcap_file_read(&feed->files[0], folder, "inside.pcap");
	pcap_file_read(&feed->files[1], folder, "outside.pcap");
	feed->count = feed->files[0].count + feed->files[1].count;
	feed->inputs = allocate(feed->count, sizeof(*feed->inputs));
	feed->keys = allocate(FEED_KEYS_MAX * feed->count, sizeof(*feed->keys));
	merge(feed);
	for (unsigned i = 0; i < feed->count; i++)
		describe(feed, &feed->inputs[i]);
	for (unsigned i = 0; i < feed->count; i++)
		describe_later_fragment(feed, &feed->inputs[i]);
}

void feed_fini(struct feed *feed)
{
	for (unsigned i = 0; i < 2; i++)
		pcap_file_fini(&feed->files[i]);
	free(feed->inputs);
	free(feed->keys);
}

/* --- Sending --- */

static bool keys_free(const struct feed *feed, const struct feed_input *input)
{
	for (unsigned i = 0; i < FEED_KEYS_MAX; i++) {
		const struct feed_key *key = input->keys[i] == FEED_NONE ? NULL : &feed->keys[input->keys[i]];

		if (key && key->on_its_way && (input->alone || key->alone))
			return false;
	}
	return !input->placeholder || feed->keys[input->keys[1]].public_known;
}

static bool share_a_key(const struct feed_input *a, const struct feed_input *b)
{
	for (unsigned i = 0; i < FEED_KEYS_MAX; i++)
		for (unsigned j = 0; j < FEED_KEYS_MAX; j++)
			if (a->keys[i] != FEED_NONE && a->keys[i] == b->keys[j])
				return true;
	return false;
}

/* The packets of the window that may be sent now; returns how many. */
static unsigned sendable(struct feed *feed, struct feed_input *found[WINDOW])
{
	struct feed_input *waiting[WINDOW];
	unsigned waiting_count = 0, count = 0;

	for (unsigned i = feed->first_unsent; i < feed->count && waiting_count < WINDOW; i++) {
		struct feed_input *input = &feed->inputs[i];
		bool may_be_sent = keys_free(feed, input);

		if (input->phase != feed->phase)
			break;
		if (input->sent)
			continue;
		for (unsigned j = 0; j < waiting_count && may_be_sent; j++)
			may_be_sent = !share_a_key(input, waiting[j]);
		waiting[waiting_count++] = input;
		if (may_be_sent)
			found[count++] = input;
	}
	return count;
}

static void mark_sent(struct feed *feed, struct feed_input *input)
{
	input->sent = true;
	while (feed->first_unsent < feed->count && feed->inputs[feed->first_unsent].sent)
		feed->first_unsent++;
}

static unsigned send(struct feed *feed, struct feed_input *input, uint8_t *frame)
{
	struct wire wire;

	memcpy(frame, input->frame, input->length);
	if (input->placeholder && wire_read(&wire, frame, input->length))
		wire_endpoint_set(&wire, WIRE_DESTINATION, &feed->keys[input->keys[1]].public);
	for (unsigned i = 0; i < FEED_KEYS_MAX; i++) {
		if (input->keys[i] == FEED_NONE)
			continue;
		feed->keys[input->keys[i]].on_its_way++;
		feed->keys[input->keys[i]].alone = input->alone;
	}
	mark_sent(feed, input);
	feed->sent++;
	return input->length;
}

unsigned feed_next(struct feed *feed, uint8_t port, uint64_t random, uint8_t *frame)
{
	struct feed_input *found[WINDOW];
	unsigned count = sendable(feed, found), of_port = 0;

	for (unsigned i = 0; i < count; i++)
		if (found[i]->port == port)
			found[of_port++] = found[i];
	return of_port ? send(feed, found[random % of_port], frame) : 0;
}

/* --- What becomes of it --- */

static void leave(struct feed *feed, uint32_t key)
{
	if (key != FEED_NONE && feed->keys[key].on_its_way)
		feed->keys[key].on_its_way--;
}

static void learn_public(struct feed *feed, uint32_t key, const struct wire *wire)
{
	struct wire_endpoint public;

	if (key == FEED_NONE || wire->kind == WIRE_ERROR || !wire_endpoint(wire, WIRE_SOURCE, &public))
		return;
	feed->keys[key].public = public;
	feed->keys[key].public_known = true;
}

const struct feed_input *feed_arrived(struct feed *feed, uint8_t port, const struct wire *wire)
{
	uint32_t index = feed->input_of_number[wire->number % FEED_NUMBERS];
	const struct feed_input *input = index == FEED_NONE ? NULL : &feed->inputs[index];

	if (!input)
		return NULL;
	if (wire->number >= FEED_NUMBERS) {
		leave(feed, input->keys[0]);
		return input;
	}
	if (input->port == 0)
		learn_public(feed, input->keys[0], wire);
	for (unsigned i = 0; i < FEED_KEYS_MAX; i++)
		leave(feed, input->keys[i]);
	return input;
}

void feed_answered(struct feed *feed, const struct feed_input *input)
{
	struct feed_key *key = input->keys[0] == FEED_NONE ? NULL : &feed->keys[input->keys[0]];

	if (!key)
		return;
	key->on_its_way++;
	key->alone = input->alone;
}

bool feed_ended(const struct feed *feed)
{
	return feed->first_unsent == feed->count;
}

bool feed_phase_sent(const struct feed *feed)
{
	return feed_ended(feed) || feed->inputs[feed->first_unsent].phase != feed->phase;
}

uint64_t feed_next_phase_ns(const struct feed *feed)
{
	return feed_ended(feed) ? 0 : feed->inputs[feed->first_unsent].time_ns;
}

void feed_unblock(struct feed *feed)
{
	struct feed_input *found[WINDOW];

	for (unsigned i = 0; i < feed->keys_count; i++)
		feed->keys[i].on_its_way = 0;
	if (sendable(feed, found))
		return;
	mark_sent(feed, &feed->inputs[feed->first_unsent]);
	feed->skipped++;
}
