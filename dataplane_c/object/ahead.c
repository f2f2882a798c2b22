/* SPDX-License-Identifier: BSD-3-Clause */
/* What messages and acknowledgements will need is on its way into the cache before it is looked at: of each object two or three
 * lines lie apart in memory, and each is known from the one before. Where all of a class fits into the cache, nothing is done. */
#include "object/map_inline.h"
#include "object/space.h"

#define FITS_OBJECTS 65536u
#define ENTRIES_AHEAD 8u
#define BUCKETS_AHEAD 4u

void shoal_space_ahead_of_messages(void *owner, const struct shoal_message *const *messages, unsigned count)
{
	struct shoal_space *space = owner;
	const struct shoal_map *maps[SHOAL_CHANNEL_AHEAD];
	uint64_t hashes[SHOAL_CHANNEL_AHEAD];
	unsigned large = 0;

	for (unsigned i = 0; i < count; i++) {
		uint8_t class = messages[i]->class; /* once: it lies in memory that the peer writes */

		if (class >= space->config.classes_count || space->maps[class].count < FITS_OBJECTS)
			continue;
		maps[large] = &space->maps[class];
		hashes[large] = shoal_map_hash(maps[large], shoal_message_key(messages[i]));
		shoal_map_prefetch(maps[large], hashes[large]);
		large++;
	}
	for (unsigned i = 0; i < large; i++) {
		uint32_t index = shoal_map_candidate(maps[i], hashes[i]);

		if (!index)
			continue;
		__builtin_prefetch(shoal_map_lease(maps[i], index), 1);
		__builtin_prefetch(&maps[i]->timers[index], 1);
	}
}

void shoal_space_ahead_of_mailed(const struct shoal_space *space)
{
	uint32_t left = space->mailed_tail - space->mailed_head;
	const struct shoal_mailed *far = &space->mailed[(space->mailed_head + ENTRIES_AHEAD) % SHOAL_MAILED_ROOM];
	const struct shoal_mailed *near = &space->mailed[(space->mailed_head + BUCKETS_AHEAD) % SHOAL_MAILED_ROOM];

	if (left <= ENTRIES_AHEAD || space->maps[far->class].count < FITS_OBJECTS)
		return;
	__builtin_prefetch(shoal_map_entry(&space->maps[far->class], far->entry), 1);
	__builtin_prefetch(shoal_map_lease(&space->maps[far->class], far->entry), 1);
	__builtin_prefetch(&space->maps[far->class].timers[far->entry], 1);
	shoal_map_prefetch(&space->maps[near->class], shoal_map_entry(&space->maps[near->class], near->entry)->hash);
}
