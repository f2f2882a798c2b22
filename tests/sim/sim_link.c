/* SPDX-License-Identifier: BSD-3-Clause */
#define XXH_INLINE_ALL
#include "sim_world.h"
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct sim_link {
	struct shoal_link link; /* first */
	struct sim_network *network; /* borrows */
	uint8_t self, peer;
	const struct sim_frame *untaken; /* the next one */
	uint8_t open[SHOAL_CHANNEL_FRAME_BYTES_MAX] __attribute__((aligned(8)));
};

void sim_frame_visit(
	const void *bytes, uint32_t length, void (*visit)(void *, const struct shoal_message *), void *owner)
{
	const struct shoal_message *message;

	for (uint32_t at = sizeof(struct shoal_frame); at < length; at += message->length) {
		message = (const void *)((const uint8_t *)bytes + at);
		visit(owner, message);
	}
}

static void token_leaves(void *owner, const struct shoal_message *message)
{
	struct sim_network *network = owner;

	if (message->kind != SHOAL_TOKEN)
		return;
	for (unsigned i = 0; i < shoal_message_token_slots(message); i++) {
		network->token_twice |= shoal_slot_bit(network->tokens, (uint16_t)(message->slot + i));
		shoal_slot_set(network->tokens, (uint16_t)(message->slot + i), true);
		network->tokens_count++;
	}
}

static void token_arrives(void *owner, const struct shoal_message *message)
{
	struct sim_network *network = owner;

	if (message->kind != SHOAL_TOKEN)
		return;
	for (unsigned i = 0; i < shoal_message_token_slots(message); i++) {
		shoal_slot_set(network->tokens, (uint16_t)(message->slot + i), false);
		network->tokens_count--;
	}
}

struct noted {
	struct sim_network *network;
	uint8_t from, to;
};

static void note(void *owner, const struct shoal_message *message)
{
	struct noted *noted = owner;

	noted->network->messages++;
	noted->network->of_kind[message->kind]++;
	/* Between two members its object would lie in no slab. */
	if (message->kind == SHOAL_RETURN && message->origin != noted->from)
		sim_fail(noted->network->world, 3, "member %u forwards a RETURN of member %u", noted->from,
			message->origin);
	if (message->kind == SHOAL_TOKEN)
		return; /* thousands; the slots that matter show in what follows */
	uint64_t key = 0;

	memcpy(&key, message->body, message->key_bytes < sizeof(key) ? message->key_bytes : sizeof(key));
	sim_note_text(noted->network->world, shoal_message_kind_name(message->kind),
		"  send %-14s %ld -> %ld class %ld key %ld lease %ld incarnation %ld request %ld holder %ld",
		noted->from, noted->to, message->class, (long)key, message->lease, (long)message->incarnation,
		message->request, message->holder);
}

/* --- Frames of a pair --- */

static void insert(
	struct sim_network *network, struct sim_pair *pair, const void *bytes, uint32_t length, uint64_t due_ns)
{
	struct sim_frame *frame = malloc(sizeof(*frame) + length), **link = &pair->first;

	if (!frame)
		abort();
	frame->due_ns = due_ns;
	frame->taken = false;
	frame->length = length;
	memcpy(frame->bytes, bytes, length);
	while (*link && (*link)->due_ns <= due_ns)
		link = &(*link)->next;
	frame->next = *link;
	*link = frame;
	pair->bytes += length;
	network->frames++;
}

static void deliver_later(
	struct sim_network *network, struct sim_pair *pair, bool dead, const void *bytes, uint32_t length)
{
	struct sim_random *random = &network->random;
	uint64_t due = network->world->now_ns + sim_random_between(random, pair->delay_min_ns, pair->delay_max_ns);

	if (network->reliable) {
		if (due < pair->last_due_ns)
			due = pair->last_due_ns;
		pair->last_due_ns = due;
		if (!dead)
			sim_frame_visit(bytes, length, token_leaves, network);
		insert(network, pair, bytes, length, due);
		return;
	}
	if (dead)
		return;
	if (sim_random_chance(random, network->overtake_percent))
		due += 3 * pair->delay_max_ns;
	if (sim_random_chance(random, network->repeat_percent))
		insert(network, pair, bytes, length, due + sim_random_below(random, 4 * pair->delay_max_ns + 1));
	if (!sim_random_chance(random, network->loss_percent))
		insert(network, pair, bytes, length, due);
}

static struct sim_pair *outwards(struct shoal_link *base)
{
	struct sim_link *link = (struct sim_link *)base;

	return &link->network->pairs[link->self][link->peer];
}

static struct sim_pair *inwards(struct shoal_link *base)
{
	struct sim_link *link = (struct sim_link *)base;

	return &link->network->pairs[link->peer][link->self];
}

static void *reserve(struct shoal_link *base, uint32_t length)
{
	struct sim_link *link = (struct sim_link *)base;

	if (length > sizeof(link->open) || outwards(base)->bytes + length > link->network->capacity_bytes)
		return NULL;
	return link->open;
}

static void commit(struct shoal_link *base, uint32_t length)
{
	struct sim_link *link = (struct sim_link *)base;
	struct noted noted = { link->network, link->self, link->peer };

	link->network->digest = XXH3_64bits_withSeed(link->open, length, link->network->digest);
	sim_frame_visit(link->open, length, note, &noted);
	deliver_later(link->network, outwards(base), link->network->dead >> link->peer & 1, link->open, length);
}

static struct sim_frame *oldest(const struct sim_pair *pair)
{
	struct sim_frame *frame = pair->first;

	while (frame && frame->taken)
		frame = frame->next;
	return frame;
}

static const void *peek(struct shoal_link *base, uint32_t *length)
{
	struct sim_link *link = (struct sim_link *)base;
	struct sim_pair *pair = inwards(base);
	const struct sim_frame *frame = oldest(pair);

	if (!frame || pair->held || frame->due_ns > link->network->world->now_ns)
		return NULL;
	*length = frame->length;
	return frame->bytes;
}

/* Its room is given back at the next poll, as a ring does it. */
static void consume(struct shoal_link *base)
{
	struct sim_link *link = (struct sim_link *)base;
	struct sim_frame *frame = oldest(inwards(base));

	frame->taken = true;
	if (link->network->reliable)
		sim_frame_visit(frame->bytes, frame->length, token_arrives, link->network);
}

static void drop_first(struct sim_network *network, struct sim_pair *pair)
{
	struct sim_frame *frame = pair->first;

	pair->first = frame->next;
	pair->bytes -= frame->length;
	network->frames--;
	free(frame);
}

static void poll(struct shoal_link *base, uint64_t now_ns)
{
	struct sim_pair *pair = inwards(base);

	(void)now_ns;
	while (pair->first && pair->first->taken)
		drop_first(((struct sim_link *)base)->network, pair);
}

static const void *untaken(struct shoal_link *base, bool first, uint32_t *length)
{
	struct sim_link *link = (struct sim_link *)base;
	const struct sim_frame *frame = first ? outwards(base)->first : link->untaken;

	if (!frame || !link->network->reliable)
		return NULL;
	link->untaken = frame->next;
	*length = frame->length;
	return frame->bytes;
}

static uint32_t depth(const struct shoal_link *base)
{
	return (uint32_t)outwards((struct shoal_link *)base)->bytes;
}

static void destroy(struct shoal_link *base)
{
	free(base);
}

static const struct shoal_link_operations operations = { .reserve = reserve,
	.commit = commit,
	.peek = peek,
	.consume = consume,
	.poll = poll,
	.depth = depth,
	.untaken = untaken,
	.destroy = destroy };

struct shoal_link *sim_link_create(struct sim_network *network, uint8_t self, uint8_t peer)
{
	struct sim_link *link = malloc(sizeof(*link));

	if (!link)
		abort();
	link->link =
		(struct shoal_link){ .operations = &operations, .state = SHOAL_LINK_UP, .reliable = network->reliable };
	link->network = network;
	link->self = self;
	link->peer = peer;
	return &link->link;
}

void sim_pair_clear(struct sim_network *network, uint8_t from, uint8_t to)
{
	struct sim_pair *pair = &network->pairs[from][to];

	while (pair->first) {
		if (network->reliable && !pair->first->taken && !(network->dead >> to & 1))
			sim_frame_visit(pair->first->bytes, pair->first->length, token_arrives, network);
		drop_first(network, pair);
	}
	pair->held = false;
}

void sim_network_died(struct sim_network *network, uint8_t member)
{
	for (uint8_t other = 0; other < SHOAL_MEMBERS_MAX; other++) {
		struct sim_pair *to = &network->pairs[other][member], *from = &network->pairs[member][other];

		if (!network->reliable) {
			sim_pair_clear(network, other, member);
			continue;
		}
		for (struct sim_frame *frame = to->first; frame; frame = frame->next)
			if (!frame->taken)
				sim_frame_visit(frame->bytes, frame->length, token_arrives, network);
		for (struct sim_frame *frame = from->first; frame; frame = frame->next)
			frame->due_ns = network->world->now_ns;
		from->held = false;
	}
	network->dead |= UINT64_C(1) << member;
}

void sim_network_buried(struct sim_network *network, uint8_t member)
{
	network->dead &= ~(UINT64_C(1) << member);
}

void sim_link_end(struct shoal_link *base)
{
	struct sim_link *link = (struct sim_link *)base;
	struct sim_frame **at = &inwards(base)->first;

	base->state = SHOAL_LINK_ENDED;
	base->reason = "process ended";
	while (*at && !link->network->reliable) {
		struct sim_frame *frame = *at;

		if (frame->taken || frame->due_ns <= link->network->world->now_ns) {
			at = &frame->next;
			continue;
		}
		*at = frame->next;
		inwards(base)->bytes -= frame->length;
		link->network->frames--;
		free(frame);
	}
}

void sim_network_init(struct sim_network *network, struct sim_world *world)
{
	memset(network, 0, sizeof(*network));
	network->world = world;
	network->reliable = true;
	network->capacity_bytes = (uint64_t)1 << 20;
}

void sim_network_fini(struct sim_network *network)
{
	for (uint8_t from = 0; from < SHOAL_MEMBERS_MAX; from++)
		for (uint8_t to = 0; to < SHOAL_MEMBERS_MAX; to++)
			sim_pair_clear(network, from, to);
}
