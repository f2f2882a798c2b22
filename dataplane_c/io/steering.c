/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a steering slot. transition() is the only writer of a slot's state.
 *
 *   who                    from                    to           why
 *   control: assign        EMPTY, LOST             STEADY       first table, or a table after a loss
 *   control: redirect      EMPTY, LOST             STEADY       nobody has a packet of it: no marker is needed
 *   control: redirect      STEADY                  QUEUED       packets go on to the old member until it is the slot's turn
 *   splitter               QUEUED                  MARKER_DUE   it is: packets are parked from now on
 *   splitter               MARKER_DUE              MARKER_OUT   the old member's ring had room for the marker
 *   ring: marker           MARKER_OUT              FORWARDING   all that the old member had has left
 *   ring: marker           MARKER_OUT              STRANDED     the same, but the new member was detached
 *   control: detach old    QUEUED                  FORWARDING   no marker was sent, and no packet is parked
 *   control: detach new    QUEUED                  STEADY       it stays where it is
 *   control: detach old    MARKER_DUE, MARKER_OUT  FORWARDING   the marker is void; STRANDED where the new one is gone too
 *   control: detach new    FORWARDING              STRANDED     what is parked stays
 *   control: redirect      STRANDED                FORWARDING   to the member now named
 *   splitter               FORWARDING              STEADY       the last parked packet has gone into the new ring
 *   control: detach        STEADY                  LOST
 *
 * The new member's detach in MARKER_DUE and MARKER_OUT only forgets `next`; a redirect then names another one.
 * Forbidden: everything else. Above all STEADY to STEADY of another member without a marker between, and a second marker
 * while one is out: an instance could then return the older one for the newer one's packets.
 *
 * Order within a slot holds because at any moment exactly one of these is true: packets go to the old member; they are
 * appended to the parked ones; they go to the new member and none is parked; and the old member's last output came back
 * before the first parked one leaves. */
#include "io/steering.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/port.h"

#define NOBODY SHOAL_MEMBERS_MAX
/* A member that doesn't return its markers, or doesn't take its parked packets, may fill all of the parking but an
 * eighth: that is left for the redirections of others. */
#define OTHERS_SHARE 8

static const struct {
	const char *name;
	uint32_t from; /* set of states from which it may be entered */
	bool pending;
} rules[] = {
	[SHOAL_STEERING_EMPTY] = { "empty", 0, false },
	[SHOAL_STEERING_STEADY] = { "steady",
		1 << SHOAL_STEERING_EMPTY | 1 << SHOAL_STEERING_LOST | 1 << SHOAL_STEERING_QUEUED |
			1 << SHOAL_STEERING_FORWARDING,
		false },
	[SHOAL_STEERING_LOST] = { "lost", 1 << SHOAL_STEERING_STEADY, false },
	[SHOAL_STEERING_QUEUED] = { "queued", 1 << SHOAL_STEERING_STEADY, true },
	[SHOAL_STEERING_MARKER_DUE] = { "marker due", 1 << SHOAL_STEERING_QUEUED, true },
	[SHOAL_STEERING_MARKER_OUT] = { "marker out", 1 << SHOAL_STEERING_MARKER_DUE, true },
	[SHOAL_STEERING_FORWARDING] = { "forwarding",
		1 << SHOAL_STEERING_QUEUED | 1 << SHOAL_STEERING_MARKER_DUE | 1 << SHOAL_STEERING_MARKER_OUT |
			1 << SHOAL_STEERING_STRANDED,
		true },
	[SHOAL_STEERING_STRANDED] = { "stranded",
		1 << SHOAL_STEERING_MARKER_DUE | 1 << SHOAL_STEERING_MARKER_OUT | 1 << SHOAL_STEERING_FORWARDING,
		true },
};

const char *shoal_steering_state_name(enum shoal_steering_state state)
{
	return rules[state].name;
}

static void set_put(struct shoal_steering_set *set, unsigned slot, bool present)
{
	uint64_t bit = UINT64_C(1) << slot % 64;

	if (present)
		set->words[slot / 64] |= bit;
	else
		set->words[slot / 64] &= ~bit;
}

unsigned shoal_steering_set_next(const struct shoal_steering_set *set, unsigned slot)
{
	while (slot < SHOAL_STEERING_SLOTS) {
		uint64_t word = set->words[slot / 64] >> slot % 64;

		if (word != 0)
			return slot + (unsigned)__builtin_ctzll(word);
		slot = (slot / 64 + 1) * 64;
	}
	return SHOAL_STEERING_SLOTS;
}

/* Whose answer the parked packets of a slot wait for. */
static unsigned waited_for(const struct shoal_steering_slot *slot)
{
	switch (slot->state) {
	case SHOAL_STEERING_MARKER_DUE:
	case SHOAL_STEERING_MARKER_OUT:
		return slot->member;
	case SHOAL_STEERING_FORWARDING:
		return slot->next;
	default:
		return NOBODY;
	}
}

static void transition(struct shoal_steering *steering, unsigned index, enum shoal_steering_state state)
{
	struct shoal_steering_slot *slot = &steering->slots[index];
	bool was_pending = rules[slot->state].pending;

	if ((rules[state].from >> slot->state & 1) == 0)
		abort();
	steering->parked_for[waited_for(slot)] -= slot->parked;
	slot->state = (uint8_t)state;
	steering->parked_for[waited_for(slot)] += slot->parked;
	steering->members[index] =
		state == SHOAL_STEERING_STEADY || state == SHOAL_STEERING_QUEUED ? slot->member : SHOAL_MEMBER_NONE;
	set_put(&steering->pending, index, rules[state].pending);
	set_put(&steering->queued, index, state == SHOAL_STEERING_QUEUED);
	set_put(&steering->due, index, state == SHOAL_STEERING_MARKER_DUE);
	set_put(&steering->forwarding, index, state == SHOAL_STEERING_FORWARDING);
	steering->pending_count += (uint32_t)rules[state].pending - (uint32_t)was_pending;
}

void shoal_steering_init(struct shoal_steering *steering, uint32_t parked_max)
{
	memset(steering, 0, sizeof(*steering));
	memset(steering->members, SHOAL_MEMBER_NONE, sizeof(steering->members));
	steering->parked_max = parked_max;
	for (unsigned i = 0; i < SHOAL_STEERING_SLOTS; i++)
		steering->slots[i].member = steering->slots[i].next = SHOAL_MEMBER_NONE;
}

void shoal_steering_fini(struct shoal_steering *steering)
{
	for (unsigned i = 0; i < SHOAL_STEERING_SLOTS; i++) {
		struct shoal_packet *packet = steering->slots[i].first, *next;

		for (; packet != NULL; packet = next) {
			next = packet->next;
			shoal_packet_free(packet);
		}
	}
	shoal_steering_init(steering, 0);
}

int shoal_steering_assign(struct shoal_steering *steering, const uint8_t *members, unsigned *slot)
{
	for (unsigned i = 0; i < SHOAL_STEERING_SLOTS; i++) {
		const struct shoal_steering_slot *present = &steering->slots[i];
		bool free = present->state == SHOAL_STEERING_EMPTY || present->state == SHOAL_STEERING_LOST;
		bool same = present->state == SHOAL_STEERING_STEADY && present->member == members[i];

		if (members[i] != SHOAL_MEMBER_NONE && !free && !same) {
			*slot = i;
			return -EEXIST;
		}
	}
	for (unsigned i = 0; i < SHOAL_STEERING_SLOTS; i++) {
		if (members[i] == SHOAL_MEMBER_NONE || steering->slots[i].state == SHOAL_STEERING_STEADY)
			continue;
		steering->slots[i].member = members[i];
		transition(steering, i, SHOAL_STEERING_STEADY);
	}
	return 0;
}

void shoal_steering_read(const struct shoal_steering *steering, uint8_t *members)
{
	for (unsigned i = 0; i < SHOAL_STEERING_SLOTS; i++)
		members[i] = steering->slots[i].member;
}

/* The last parked packet has gone. */
static void complete(struct shoal_steering *steering, unsigned index, uint64_t now_ns)
{
	struct shoal_steering_slot *slot = &steering->slots[index];

	slot->member = slot->next;
	transition(steering, index, SHOAL_STEERING_STEADY);
	slot->next = SHOAL_MEMBER_NONE;
	steering->redirects++;
	shoal_histogram_add(&steering->redirect_time, now_ns - slot->since_ns);
}

/* Nothing of the slot is at the old member any more. */
static void go_on_at_next(struct shoal_steering *steering, unsigned index, uint64_t now_ns)
{
	struct shoal_steering_slot *slot = &steering->slots[index];

	if (slot->next == SHOAL_MEMBER_NONE) {
		transition(steering, index, SHOAL_STEERING_STRANDED);
		return;
	}
	transition(steering, index, SHOAL_STEERING_FORWARDING);
	if (slot->parked == 0)
		complete(steering, index, now_ns);
}

static bool may_redirect(const struct shoal_steering_slot *slot, uint8_t member)
{
	return !rules[slot->state].pending || slot->next == SHOAL_MEMBER_NONE || slot->next == member;
}

static void redirect_one(struct shoal_steering *steering, unsigned index, uint8_t member, uint64_t now_ns)
{
	struct shoal_steering_slot *slot = &steering->slots[index];

	switch (slot->state) {
	case SHOAL_STEERING_EMPTY:
	case SHOAL_STEERING_LOST:
		slot->member = member;
		transition(steering, index, SHOAL_STEERING_STEADY);
		steering->redirects++;
		break;
	case SHOAL_STEERING_STEADY:
		if (slot->member == member)
			break;
		slot->next = member;
		slot->since_ns = now_ns;
		transition(steering, index, SHOAL_STEERING_QUEUED);
		break;
	case SHOAL_STEERING_STRANDED:
		slot->next = member;
		go_on_at_next(steering, index, now_ns);
		break;
	default:
		slot->next = member;
	}
}

int shoal_steering_redirect(struct shoal_steering *steering, const struct shoal_steering_set *slots, uint8_t member,
	uint64_t now_ns, unsigned *slot)
{
	unsigned i;

	for (i = shoal_steering_set_next(slots, 0); i < SHOAL_STEERING_SLOTS;
		i = shoal_steering_set_next(slots, i + 1)) {
		if (!may_redirect(&steering->slots[i], member)) {
			*slot = i;
			return -EBUSY;
		}
	}
	for (i = shoal_steering_set_next(slots, 0); i < SHOAL_STEERING_SLOTS; i = shoal_steering_set_next(slots, i + 1))
		redirect_one(steering, i, member, now_ns);
	shoal_steering_move(steering, now_ns);
	return 0;
}

void shoal_steering_begin(struct shoal_steering *steering, unsigned slot, uint64_t now_ns)
{
	steering->slots[slot].begun_ns = now_ns;
	steering->slots[slot].marker = ++steering->marker;
	transition(steering, slot, SHOAL_STEERING_MARKER_DUE);
}

enum shoal_steering_answer shoal_steering_park(
	struct shoal_steering *steering, struct shoal_packet *packet, uint64_t now_ns)
{
	struct shoal_steering_slot *slot = &steering->slots[packet->steering_slot];
	uint32_t *share = &steering->parked_for[waited_for(slot)];

	if (slot->state == SHOAL_STEERING_EMPTY)
		return SHOAL_STEERING_NO_TABLE;
	if (slot->state == SHOAL_STEERING_LOST)
		return SHOAL_STEERING_MEMBER_GONE;
	if (steering->parked >= steering->parked_max ||
		*share >= steering->parked_max - steering->parked_max / OTHERS_SHARE)
		return SHOAL_STEERING_PARKED_OVERFLOW;
	packet->next = NULL;
	packet->arrived_ns = now_ns;
	if (slot->last == NULL)
		slot->first = packet;
	else
		slot->last->next = packet;
	slot->last = packet;
	slot->parked++;
	(*share)++;
	steering->parked++;
	if (steering->parked > steering->parked_most)
		steering->parked_most = steering->parked;
	return SHOAL_STEERING_PARKED;
}

void shoal_steering_marker_sent(struct shoal_steering *steering, unsigned slot)
{
	transition(steering, slot, SHOAL_STEERING_MARKER_OUT);
}

void shoal_steering_marker_returned(
	struct shoal_steering *steering, unsigned slot, uint32_t marker, uint8_t member, uint64_t now_ns)
{
	const struct shoal_steering_slot *expected = &steering->slots[slot];

	if (expected->state != SHOAL_STEERING_MARKER_OUT || expected->member != member || expected->marker != marker) {
		steering->markers_stale++;
		return;
	}
	go_on_at_next(steering, slot, now_ns);
}

/* A burst of parked packets (there is one at least, and n is not 0) to the new member; returns how many it took. */
static unsigned forward_burst(struct shoal_steering *steering, unsigned index, unsigned n, shoal_steering_send send,
	void *context, uint64_t now_ns)
{
	struct shoal_steering_slot *slot = &steering->slots[index];
	struct shoal_packet *packets[SHOAL_BURST_MAX];
	uint64_t parked_ns[SHOAL_BURST_MAX];
	struct shoal_packet *packet = slot->first;
	unsigned count = 0, sent;

	do {
		packets[count] = packet;
		parked_ns[count++] = packet->arrived_ns;
		packet = packet->next;
	} while (packet != NULL && count < n);
	sent = send(context, slot->next, packets, count);
	/* What was sent may not be looked at any more: the first of the rest is known without it. */
	slot->first = sent < count ? packets[sent] : packet;
	if (slot->first == NULL)
		slot->last = NULL;
	for (unsigned i = 0; i < sent; i++)
		shoal_histogram_add(&steering->park_time, now_ns - parked_ns[i]);
	slot->parked -= sent;
	steering->parked -= sent;
	steering->parked_for[slot->next] -= sent;
	return sent;
}

unsigned shoal_steering_forward(struct shoal_steering *steering, unsigned slot, unsigned budget,
	shoal_steering_send send, void *context, uint64_t now_ns)
{
	unsigned total = 0;

	while (steering->slots[slot].parked > 0 && total < budget) {
		unsigned n = budget - total < SHOAL_BURST_MAX ? budget - total : SHOAL_BURST_MAX;
		unsigned sent = forward_burst(steering, slot, n, send, context, now_ns);

		total += sent;
		if (sent == 0)
			break;
	}
	if (steering->slots[slot].parked == 0)
		complete(steering, slot, now_ns);
	return total;
}

static void member_gone_one(struct shoal_steering *steering, unsigned index, uint8_t member, uint64_t now_ns)
{
	struct shoal_steering_slot *slot = &steering->slots[index];
	bool old = slot->member == member, new = slot->next == member;

	switch (slot->state) {
	case SHOAL_STEERING_STEADY:
		if (old) {
			slot->member = SHOAL_MEMBER_NONE;
			transition(steering, index, SHOAL_STEERING_LOST);
		}
		break;
	case SHOAL_STEERING_QUEUED:
		if (old)
			go_on_at_next(steering, index, now_ns);
		else if (new) {
			transition(steering, index, SHOAL_STEERING_STEADY);
			slot->next = SHOAL_MEMBER_NONE;
		}
		break;
	case SHOAL_STEERING_MARKER_DUE:
	case SHOAL_STEERING_MARKER_OUT:
		if (new)
			slot->next = SHOAL_MEMBER_NONE;
		if (old) {
			steering->markers_void++;
			go_on_at_next(steering, index, now_ns);
		}
		break;
	case SHOAL_STEERING_FORWARDING:
		if (new) {
			transition(steering, index, SHOAL_STEERING_STRANDED);
			slot->next = SHOAL_MEMBER_NONE;
		}
		break;
	default:
		break;
	}
}

void shoal_steering_member_gone(struct shoal_steering *steering, uint8_t member, uint64_t now_ns)
{
	for (unsigned i = 0; i < SHOAL_STEERING_SLOTS; i++)
		member_gone_one(steering, i, member, now_ns);
}
