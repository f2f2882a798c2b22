/* SPDX-License-Identifier: BSD-3-Clause */
/* Slots, tokens and routing. A slot's token is the right to be its key owner: exactly one exists, held by one worker or in
 * one message; that alone gives S6's R1 (never two owners) and R2 (never none). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "keyspace/reorganisation.h"
#include "object/map_inline.h"
#include "object/space.h"

#define CALLS_BYTES ((size_t)SHOAL_SLOTS * SHOAL_MEMBERS_MAX * sizeof(uint32_t))

int shoal_keyspace_init(struct shoal_keyspace *keyspace, bool touch)
{
	void *expected =
		mmap(NULL, CALLS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (expected != MAP_FAILED && touch) {
		madvise(expected, CALLS_BYTES, MADV_HUGEPAGE);
		memset(expected, 0, CALLS_BYTES);
	}
	memset(keyspace, 0, sizeof(*keyspace));
	keyspace->call_expected = expected == MAP_FAILED ? NULL : expected;
	keyspace->call_last = calloc(SHOAL_SLOTS, sizeof(*keyspace->call_last));
	keyspace->held_back = calloc(SHOAL_SLOTS, sizeof(*keyspace->held_back));
	memset(keyspace->owner, SHOAL_MEMBER_NONE, sizeof(keyspace->owner));
	if (keyspace->call_expected && keyspace->call_last && keyspace->held_back)
		return 0;
	shoal_keyspace_fini(keyspace);
	return -ENOMEM;
}

void shoal_keyspace_fini(struct shoal_keyspace *keyspace)
{
	if (keyspace->call_expected)
		munmap(keyspace->call_expected, CALLS_BYTES);
	free(keyspace->call_last);
	free(keyspace->held_back);
	keyspace->call_expected = NULL;
	keyspace->call_last = NULL;
	keyspace->held_back = NULL;
}

uint8_t shoal_keyspace_route(const struct shoal_space *space, uint16_t slot)
{
	const struct shoal_keyspace *keyspace = &space->keyspace;
	uint8_t self = space->config.self;

	if (SHOAL_LIKELY(shoal_slot_bit(keyspace->token, slot)))
		return self;
	switch (keyspace->stage) {
	case SHOAL_STAGE_HANDING_OVER:
	case SHOAL_STAGE_DONE:
	case SHOAL_STAGE_LEFT:
		/* The future owner without the token yet sends to the present one; everybody else to the future one. */
		if (keyspace->owner_next[slot] != self)
			return keyspace->owner_next[slot];
		return keyspace->owner[slot] == self ? SHOAL_MEMBER_NONE : keyspace->owner[slot];
	default:
		/* Before the first map, and where my own token has not come yet. A joiner asks nobody before it is handed its
		 * part: the plan may still be abandoned, and what it had taken would go with it. */
		if (keyspace->owner[slot] == self || !(keyspace->in_now >> self & 1))
			return SHOAL_MEMBER_NONE;
		return keyspace->owner[slot];
	}
}

/* --- Tokens --- */

static bool token_leaves(const struct shoal_keyspace *keyspace, uint8_t self, unsigned slot)
{
	return keyspace->owner[slot] == self && keyspace->owner_next[slot] != self &&
	       shoal_slot_bit(keyspace->token, (uint16_t)slot);
}

/* What has been received of each caller goes with the token. */
static unsigned callers_of(const struct shoal_space *space, uint16_t slot, struct shoal_waiter *callers)
{
	const uint32_t *expected = &space->keyspace.call_expected[(size_t)slot * SHOAL_MEMBERS_MAX];
	unsigned count = 0;

	if (!shoal_slot_bit(space->keyspace.called, slot))
		return 0;
	for (uint8_t caller = 0; caller < space->config.members_max; caller++)
		if (expected[caller])
			callers[count++] = (struct shoal_waiter){ .member = caller, .request = expected[caller] };
	return count;
}

/* Slots from this one on whose tokens can go in one message: to one member, and only the first with callers or calls. */
static unsigned token_run(const struct shoal_keyspace *keyspace, uint8_t self, uint16_t slot)
{
	unsigned count = 1;

	while (!keyspace->held_back[slot] && count < SHOAL_TOKEN_RUN_MAX && slot + count < SHOAL_SLOTS &&
		token_leaves(keyspace, self, slot + count) &&
		keyspace->owner_next[slot + count] == keyspace->owner_next[slot] &&
		!shoal_slot_bit(keyspace->called, (uint16_t)(slot + count)) && !keyspace->held_back[slot + count])
		count++;
	return count;
}

static unsigned send_tokens(struct shoal_space *space, uint16_t slot)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	uint8_t member = keyspace->owner_next[slot];
	struct shoal_waiter callers[SHOAL_MEMBERS_MAX];
	unsigned callers_count = callers_of(space, slot, callers);
	unsigned count = token_run(keyspace, space->config.self, slot);
	struct shoal_message head = { .kind = SHOAL_TOKEN,
		.origin = space->config.self,
		.holder = SHOAL_MEMBER_NONE,
		.granted = (uint32_t)keyspace->epoch_next,
		.incarnation = keyspace->incarnation[slot],
		.slot = slot };

	/* Cleared before it is sent: no moment with two. */
	for (unsigned i = 0; i < count; i++) {
		shoal_slot_set(keyspace->token, (uint16_t)(slot + i), SHOAL_PLANT(2));
		shoal_slot_set(keyspace->handed, (uint16_t)(slot + i), true);
	}
	keyspace->tokens -= count;
	keyspace->tokens_to_send -= count;
	shoal_space_send(space, member, &head, NULL, callers, callers_count, &keyspace->incarnation[slot + 1],
		(count - 1) * (unsigned)sizeof(keyspace->incarnation[0]));
	shoal_call_forward_held_back(space, slot, member);
	return count;
}

unsigned shoal_keyspace_send_tokens(struct shoal_space *space, unsigned budget)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	uint8_t self = space->config.self;
	unsigned sent = 0;

	while (keyspace->tokens_to_send && sent < budget && keyspace->send_cursor < SHOAL_SLOTS) {
		unsigned count = 1;

		if (token_leaves(keyspace, self, keyspace->send_cursor)) {
			count = send_tokens(space, (uint16_t)keyspace->send_cursor);
			sent += count;
		}
		keyspace->send_cursor += count;
	}
	return sent;
}

static void take_callers(
	struct shoal_keyspace *keyspace, uint16_t slot, const struct shoal_waiter *callers, unsigned count)
{
	uint32_t *expected = &keyspace->call_expected[(size_t)slot * SHOAL_MEMBERS_MAX];

	if (shoal_slot_bit(keyspace->called, slot))
		memset(expected, 0, SHOAL_MEMBERS_MAX * sizeof(*expected));
	for (unsigned i = 0; i < count; i++)
		expected[callers[i].member] = callers[i].request;
	shoal_slot_set(keyspace->called, slot, count != 0);
}

static void take_token(struct shoal_space *space, uint16_t slot, uint64_t incarnation,
	const struct shoal_waiter *callers, unsigned callers_count)
{
	struct shoal_keyspace *keyspace = &space->keyspace;

	if (keyspace->owner_next[slot] != space->config.self || shoal_slot_bit(keyspace->token, slot)) {
		space->counters.stale_messages++;
		return;
	}
	take_callers(keyspace, slot, callers, callers_count);
	keyspace->incarnation[slot] = incarnation;
	shoal_slot_set(keyspace->unswept, slot, true);
	shoal_slot_set(keyspace->token, slot, true);
	keyspace->tokens++;
	keyspace->tokens_to_receive--;
	keyspace->slots_unswept++;
}

static void take_tokens(struct shoal_space *space, const struct shoal_message *message)
{
	const uint64_t *incarnations = shoal_message_bytes(message);
	unsigned count = shoal_message_token_slots(message);

	if (!space->keyspace.epoch_next || message->granted != (uint32_t)space->keyspace.epoch_next) {
		space->counters.stale_messages++;
		return;
	}
	take_token(space, message->slot, message->incarnation, shoal_message_waiters(message), message->waiters);
	for (unsigned i = 1; i < count; i++)
		take_token(space, (uint16_t)(message->slot + i), incarnations[i - 1], NULL, 0);
}

/* The previous owner has sent the last record of all slots that it handed to me, or of those of one steering slot. */
static void take_swept(struct shoal_space *space, uint8_t from, const struct shoal_message *message)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	unsigned first = 0, end = SHOAL_SLOTS;

	if (message->flags & SHOAL_MESSAGE_SETTLED) {
		if (keyspace->epoch_next && message->incarnation == keyspace->epoch_next)
			keyspace->settled_from |= UINT64_C(1) << from;
		return;
	}
	if (message->flags & SHOAL_MESSAGE_ONE_STEERING) {
		first = message->slot / SHOAL_SLOTS_PER_STEERING * SHOAL_SLOTS_PER_STEERING;
		end = first + SHOAL_SLOTS_PER_STEERING;
	}
	for (unsigned slot = first; slot < end; slot++) {
		if (keyspace->owner[slot] != from || !shoal_slot_bit(keyspace->unswept, (uint16_t)slot))
			continue;
		shoal_slot_set(keyspace->unswept, (uint16_t)slot, false);
		keyspace->slots_unswept--;
	}
}

static void take_flush(struct shoal_space *space, uint8_t from, const struct shoal_message *message)
{
	struct shoal_keyspace *keyspace = &space->keyspace;

	if (!keyspace->epoch_next || message->incarnation != keyspace->epoch_next) {
		space->counters.stale_messages++;
		return;
	}
	if (message->kind == SHOAL_FLUSH1)
		keyspace->flush1_from |= UINT64_C(1) << from;
	else
		keyspace->flush2_from |= UINT64_C(1) << from;
}

/* The new owner asks for one record before the sweep has come to it. */
static void answer_record_request(struct shoal_space *space, uint8_t from, const struct shoal_message *message)
{
	const void *key = shoal_message_key(message);
	struct shoal_place place =
		shoal_place_find(space, message->class, key, shoal_map_hash(&space->maps[message->class], key));
	struct shoal_message head = { .kind = SHOAL_RECORD_ABSENT,
		.class = message->class,
		.origin = space->config.self,
		.holder = SHOAL_MEMBER_NONE };

	if (place.entry && place.entry->record != SHOAL_RECORD_NONE &&
		!shoal_slot_bit(space->keyspace.token, place.entry->slot))
		shoal_record_hand_over(space, &place, from);
	else
		shoal_space_send(space, from, &head, key, NULL, 0, NULL, 0);
}

void shoal_keyspace_handle(struct shoal_space *space, uint8_t from, const struct shoal_message *message)
{
	switch (message->kind) {
	case SHOAL_TOKEN:
		take_tokens(space, message);
		break;
	case SHOAL_RECORD_REQUEST:
		answer_record_request(space, from, message);
		break;
	case SHOAL_RECORD_MOVED:
		shoal_record_moved(space, from, message);
		break;
	case SHOAL_RECORD_ABSENT:
		shoal_record_absent(space, message);
		break;
	case SHOAL_SWEPT:
		take_swept(space, from, message);
		break;
	default:
		take_flush(space, from, message);
	}
}
