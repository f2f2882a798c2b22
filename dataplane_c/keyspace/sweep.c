/* SPDX-License-Identifier: BSD-3-Clause */
/* Background work of a reorganisation. One pass over the local maps hands over the records of all slots whose tokens have gone,
 * but for those that go with their steering slot (sweep_steering.c); a leaver then gives back what it holds. All pause while the
 * receiver is slow. */
#include "keyspace/reorganisation.h"

/* An object that goes counts as much as looking at so many bytes' worth of entries: packets do not wait for megabytes, and the
 * receiver takes what one poll has sent while the next one fills the ring. */
#define BYTES_OF_A_LOOK 128u
/* Entries, and bytes of each, that are fetched ahead of the pass. */
#define AHEAD 8u
#define AHEAD_BYTES 512u
void shoal_sweep_fetch(const struct shoal_map *map, uint32_t index)
{
	const uint8_t *entry = map->slab + (size_t)index * map->stride;
	uint32_t bytes = map->stride < AHEAD_BYTES ? map->stride : AHEAD_BYTES;

	for (uint32_t at = 0; at < bytes; at += SHOAL_CACHE_LINE)
		__builtin_prefetch(entry + at, 1);
	__builtin_prefetch(shoal_map_lease(map, index), 1);
	__builtin_prefetch(&map->timers[index], 1);
}

/* What lies some entries further on is on its way into the cache. */
static void fetch_ahead(const struct shoal_map *map, uint32_t index)
{
	if (index + AHEAD < map->high_water)
		shoal_sweep_fetch(map, index + AHEAD);
}

static bool receiver_slow(const struct shoal_space *space, uint8_t member)
{
	/* What is under way is remembered, each object of it, until it has come. */
	if (space->mailed_tail - space->mailed_head > SHOAL_MAILED_ROOM / 2)
		return true;
	return member < SHOAL_MEMBERS_MAX && member != space->config.self &&
	       !shoal_channel_takes(space->channel, member);
}

bool shoal_sweep_left(const struct shoal_keyspace *keyspace)
{
	uint64_t left = 0;

	for (unsigned word = 0; word < SHOAL_SLOT_WORDS; word++)
		left |= keyspace->handed[word];
	return left != 0;
}

static void say_swept(struct shoal_space *space)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	uint64_t receivers = 0;

	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot++)
		if (shoal_slot_bit(keyspace->handed, (uint16_t)slot))
			receivers |= UINT64_C(1) << keyspace->owner_next[slot];
	memset(keyspace->handed, 0, sizeof(keyspace->handed));
	keyspace->sweeping = false;
	keyspace->swept = true;
	for (; receivers && !SHOAL_PLANT(7); receivers &= receivers - 1) {
		struct shoal_message head = {
			.kind = SHOAL_SWEPT, .origin = space->config.self, .holder = SHOAL_MEMBER_NONE
		};

		shoal_space_send(space, (uint8_t)__builtin_ctzll(receivers), &head, NULL, NULL, 0, NULL, 0);
	}
}

/* No packet will ask for the object here: this worker leaves and gets none any more, or those that are steered like it go to the
 * new owner. */
static bool unused_from_here_on(const struct shoal_space *space, const struct shoal_place *place)
{
	const struct shoal_keyspace *keyspace = &space->keyspace;

	return (keyspace->leaving && keyspace->markers_back) ||
	       (place->map->class->steering &&
		       keyspace->packets_gone_ns[place->entry->slot / SHOAL_SLOTS_PER_STEERING]);
}

/* Such an object is given back with its record: one message instead of two, and none when its next packet asks for it. Whoever
 * waits for either, or a PASSED that has not come, makes it go the long way. */
static void give_back_here(struct shoal_space *space, struct shoal_place *place)
{
	struct shoal_entry *entry = place->entry;

	if (!unused_from_here_on(space, place) || entry->record != SHOAL_RECORD_LEASED ||
		entry->holder != space->config.self || entry->handle != SHOAL_HANDLE_HELD || entry->references ||
		entry->flags & (SHOAL_ENTRY_RECALLED | SHOAL_ENTRY_FRESH) || place->lease->contention)
		return;
	entry->record = SHOAL_RECORD_FREE;
	entry->holder = SHOAL_MEMBER_NONE;
	shoal_holder_let_go(space, place);
	space->counters.leases_out++;
}

bool shoal_sweep_entry(struct shoal_space *space, uint8_t class, uint32_t index, unsigned *work)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	struct shoal_place place = shoal_place_at(space, class, index);
	uint8_t next;

	++*work;
	if (place.entry->record == SHOAL_RECORD_NONE || !shoal_slot_bit(keyspace->handed, place.entry->slot))
		return true;
	next = keyspace->owner_next[place.entry->slot];
	if (receiver_slow(space, next))
		return false;
	give_back_here(space, &place);
	if (place.entry->record == SHOAL_RECORD_FREE || place.entry->record == SHOAL_RECORD_SHARED)
		*work += place.map->class->object_bytes / BYTES_OF_A_LOOK;
	shoal_record_hand_over(space, &place, next);
	return true;
}

unsigned shoal_sweep_poll(struct shoal_space *space, unsigned budget)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	unsigned work = 0;

	if (!shoal_sweep_left(keyspace))
		keyspace->sweep_class = (uint8_t)space->config.classes_count;
	while (work < budget && keyspace->sweep_class < space->config.classes_count) {
		const struct shoal_map *map = &space->maps[keyspace->sweep_class];

		if (keyspace->sweep_index >= map->high_water) {
			keyspace->sweep_class++;
			keyspace->sweep_index = 1;
			continue;
		}
		fetch_ahead(map, keyspace->sweep_index);
		if (!shoal_sweep_entry(space, keyspace->sweep_class, keyspace->sweep_index, &work))
			return work;
		keyspace->sweep_index++;
	}
	if (keyspace->sweep_class == space->config.classes_count)
		say_swept(space);
	return work;
}

void shoal_sweep_say_settled(struct shoal_space *space)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	uint64_t leavers = keyspace->in_now & ~keyspace->in_next & ~(UINT64_C(1) << space->config.self);

	keyspace->settled = true;
	for (; leavers; leavers &= leavers - 1) {
		struct shoal_message head = { .kind = SHOAL_SWEPT,
			.flags = SHOAL_MESSAGE_SETTLED,
			.origin = space->config.self,
			.holder = SHOAL_MEMBER_NONE,
			.incarnation = keyspace->epoch_next };

		shoal_space_send(space, (uint8_t)__builtin_ctzll(leavers), &head, NULL, NULL, 0, NULL, 0);
	}
}

/* Whether the slot's next owner is certain to have the record when the object comes. If not it would have to keep the object
 * until that has been pulled, and no window bounds how many a leaver holds. My own records go before, in the same channel. */
static bool record_comes_first(const struct shoal_space *space, uint16_t slot)
{
	const struct shoal_keyspace *keyspace = &space->keyspace;
	uint8_t next = keyspace->owner_next[slot];

	return keyspace->owner[slot] == space->config.self || keyspace->owner[slot] == next ||
	       keyspace->settled_from >> next & 1;
}

unsigned shoal_sweep_push_held(struct shoal_space *space, unsigned budget)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	unsigned work = 0;

	for (; work < budget && space->held; work++) {
		struct shoal_map *map = &space->maps[keyspace->push_class];
		struct shoal_place place;

		if (keyspace->push_index >= map->high_water) {
			keyspace->push_class = (uint8_t)((keyspace->push_class + 1u) % space->config.classes_count);
			keyspace->push_index = 1;
			continue;
		}
		fetch_ahead(map, keyspace->push_index);
		place = shoal_place_at(space, keyspace->push_class, keyspace->push_index);
		/* One that is in use, or promised to somebody, goes later or by itself. */
		if (place.entry->handle == SHOAL_HANDLE_HELD && !place.entry->references &&
			!(place.entry->flags & SHOAL_ENTRY_RECALLED) && record_comes_first(space, place.entry->slot)) {
			if (receiver_slow(space, shoal_keyspace_route(space, place.entry->slot)))
				return work;
			shoal_holder_return(space, &place);
			work += map->class->object_bytes / BYTES_OF_A_LOOK;
		}
		keyspace->push_index++;
	}
	return work;
}
