/* SPDX-License-Identifier: BSD-3-Clause */
/* The properties, over all members' real structures. What a step can have changed lies in the member that was polled, so
 * that a step costs a look at one member only. */
#include "object/map_inline.h"
#include "sim_world.h"

/* --- P1: one writable copy of a key --- */

static bool holds(const struct sim_member *member, unsigned class, unsigned key)
{
	uint8_t bytes[SHOAL_KEY_BYTES_MAX];
	struct shoal_map *map = &member->space->maps[class];
	uint32_t index;

	sim_key_write(class, key, bytes);
	index = shoal_map_find(map, bytes, shoal_map_hash(map, bytes));
	return index && shoal_map_entry(map, index)->handle == SHOAL_HANDLE_HELD &&
	       !(shoal_map_entry(map, index)->flags & SHOAL_ENTRY_ADOPTED);
}

static void check_copies(struct sim_world *world, struct sim_member *member, unsigned class)
{
	struct shoal_map *map = &member->space->maps[class];

	for (uint32_t index = 1; index < map->high_water; index++) {
		struct shoal_entry *entry = shoal_map_entry(map, index);
		struct sim_single *single;

		/* An adopted one is not used before somebody has found that nobody has a newer one. */
		if (entry->handle != SHOAL_HANDLE_HELD || entry->flags & SHOAL_ENTRY_ADOPTED)
			continue;
		single = &world->ledger.single[class][sim_key_number(entry->bytes)];
		if (single->holder == member->number)
			continue;
		if (single->holder != SHOAL_MEMBER_NONE && world->members[single->holder] &&
			holds(world->members[single->holder], class, sim_key_number(entry->bytes)))
			sim_fail(world, 1, "members %u and %u both hold class %u key %u", single->holder,
				member->number, class, sim_key_number(entry->bytes));
		single->holder = member->number;
	}
}

/* --- P2: one token of a slot, held or on its way --- */

struct token_search {
	uint64_t *found;
	uint64_t received; /* by the peer: what lies in frames up to it is there */
	bool twice;
};

static void find_token(void *owner, uint64_t frame, const struct shoal_message *message)
{
	struct token_search *search = owner;

	if (message->kind != SHOAL_TOKEN || (frame && frame <= search->received))
		return;
	for (unsigned i = 0; i < shoal_message_token_slots(message); i++) {
		search->twice |= shoal_slot_bit(search->found, (uint16_t)(message->slot + i));
		shoal_slot_set(search->found, (uint16_t)(message->slot + i), true);
	}
}

static void find_waiting(struct sim_world *world, struct sim_member *from, struct token_search *search)
{
	for (uint8_t to = 0; to < world->settings.members_most; to++) {
		if (!world->members[to] || to == from->number || !shoal_channel_waiting(from->space->channel, to))
			continue;
		search->received = shoal_channel_received_up_to(world->members[to]->space->channel, from->number);
		shoal_channel_visit_waiting(from->space->channel, to, find_token, search);
	}
}

static void count_tokens(uint64_t *seen, uint64_t *twice, const uint64_t *bits)
{
	for (unsigned word = 0; word < SHOAL_SLOT_WORDS; word++) {
		twice[word] |= seen[word] & bits[word];
		seen[word] |= bits[word];
	}
}

/* Before the first map has been handed over everywhere, tokens begin at each owner at its own time; those that a dead member
 * had are minted anew. */
static bool may_be_missing(const struct sim_world *world)
{
	return !world->controller.epoch || world->deaths.recovering_ns;
}

static bool all_once(const struct sim_world *world, const uint64_t *seen, const uint64_t *twice)
{
	uint64_t wrong = 0;

	for (unsigned word = 0; word < SHOAL_SLOT_WORDS; word++)
		wrong |= twice[word] | (may_be_missing(world) ? 0 : ~seen[word]);
	return !wrong;
}

static void report_tokens(struct sim_world *world, const uint64_t *seen, const uint64_t *twice)
{
	if (all_once(world, seen, twice))
		return;
	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot++) {
		if (shoal_slot_bit(twice, (uint16_t)slot))
			sim_fail(world, 2, "slot %u has two tokens", slot);
		else if (!may_be_missing(world) && !shoal_slot_bit(seen, (uint16_t)slot))
			sim_fail(world, 2, "slot %u has no token", slot);
	}
}

void sim_check_tokens(struct sim_world *world)
{
	uint64_t seen[SHOAL_SLOT_WORDS] = { 0 }, twice[SHOAL_SLOT_WORDS] = { 0 }, waiting[SHOAL_SLOT_WORDS] = { 0 };
	struct token_search search = { .found = waiting };

	for (unsigned number = 0; number < world->settings.members_most; number++) {
		if (!world->members[number])
			continue;
		count_tokens(seen, twice, world->members[number]->space->keyspace.token);
		find_waiting(world, world->members[number], &search);
	}
	count_tokens(seen, twice, waiting);
	count_tokens(seen, twice, world->network.tokens);
	if (search.twice || world->network.token_twice)
		sim_fail(world, 2, "two tokens of one slot are on their way");
	report_tokens(world, seen, twice);
}

/* --- P8: memory --- */

static void check_memory(struct sim_world *world, const struct sim_member *member)
{
	const struct shoal_space *space = member->space;
	/* One request more for each microthread that holds references; one that gave up may have left its own behind. */
	uint32_t window = space->config.window +
	                  (world->settings.gives_up ? space->config.microthreads_max : world->settings.strands);
	uint32_t allowed = world->settings.members_most * window;

	if (space->outstanding > window)
		sim_fail(world, 8, "member %u has %u origin messages under way, allowed are %u", member->number,
			space->outstanding, window);
	if (space->contention.blocks_used > 2 * allowed)
		sim_fail(world, 8, "member %u keeps %u messages, the windows allow %u", member->number,
			space->contention.blocks_used, 2 * allowed);
}

void sim_check_step(struct sim_world *world, struct sim_member *member)
{
	for (unsigned class = 0; class < SIM_SINGLE_CLASSES && !world->settings.sparse_checks; class ++)
		check_copies(world, member, class);
	/* Where all queues have to be searched, or many members' tokens, not after each step. */
	if ((world->controller.stage != SIM_AT_REST || world->controller.view.active) &&
		((world->network.reliable && world->settings.members_most <= 8) || world->steps % 16 == 0))
		sim_check_tokens(world);
	check_memory(world, member);
}
