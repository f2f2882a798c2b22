/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a splitter steers: the records of a steering slot go when its last packet has gone, and its marker after them, one
 * steering slot after the other. So few packets wait for records, and not for long; and what goes goes so slowly that the others
 * hardly notice. */
#include "keyspace/reorganisation.h"
#include "object/map_inline.h"

/* How often a record of a steering slot goes. Where packets come that is a tenth of a core's time on either side, unless the slot's
 * packets had to wait for long then. What was not done in time is made up for, within bounds; packets of the present poll take
 * precedence until so many records are due. */
#define RECORD_NS 250u
#define RECORD_BUSY_NS 2000u
/* A plan that moves no more is not paced: as fast as packets let them records take some milliseconds, and the packets of one slot
 * after the other would wait for longer. */
#define RECORDS_FEW 16384u
/* Packets have come here so short a while ago: they go on where the records go, whose core is spared like one's own. */
#define BUSY_NS (100 * SHOAL_NS_PER_MS)
#define STEERING_NS (20 * SHOAL_NS_PER_MS)
#define DUE_MAX 256u
#define DUE_BUSY 8u
/* Of them that the receiver has not taken. */
#define UNDER_WAY_BYTES (64u << 10)

/* Entries that are fetched ahead. */
#define AHEAD 8u
/* Entries whose steering slots are looked at together, and how often in one poll: a few hundred nanoseconds. */
#define LOOK_ENTRIES 4096u
#define LOOKS 8u

bool shoal_keyspace_packets_gone(struct shoal_space *space, uint8_t steering_slot)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	uint64_t *gone_ns = &keyspace->packets_gone_ns[steering_slot];

	if (keyspace->stage != SHOAL_STAGE_HANDING_OVER || !keyspace->handed[steering_slot])
		return true;
	if (!*gone_ns) {
		*gone_ns = keyspace->quiet_since_ns = space->now_ns;
		keyspace->steering_gone++;
	}
	return space->now_ns - *gone_ns > SHOAL_PACKETS_GO_NS || SHOAL_PLANT(SHOAL_PLANT_MARKER_BEFORE_RECORDS);
}

static void say_steering_swept(struct shoal_space *space, uint8_t steering)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	uint16_t slot = (uint16_t)(steering * SHOAL_SLOTS_PER_STEERING);
	struct shoal_message head = { .kind = SHOAL_SWEPT,
		.flags = SHOAL_MESSAGE_ONE_STEERING,
		.origin = space->config.self,
		.holder = SHOAL_MEMBER_NONE,
		.slot = slot };
	uint64_t receivers = 0;

	for (unsigned i = 0; i < SHOAL_SLOTS_PER_STEERING; i++)
		if (keyspace->handed[steering] >> i & 1)
			receivers |= UINT64_C(1) << keyspace->owner_next[slot + i];
	keyspace->handed[steering] = 0;
	for (; receivers && !SHOAL_PLANT(7); receivers &= receivers - 1)
		shoal_space_send(space, (uint8_t)__builtin_ctzll(receivers), &head, NULL, NULL, 0, NULL, 0);
}

/* As if every slot had as many records as one's own have in the mean. */
static uint32_t record_ns(const struct shoal_space *space, uint32_t slots_moving)
{
	uint64_t entries = shoal_space_entries(space), slots = space->keyspace.tokens ? space->keyspace.tokens : 1;
	uint64_t each_ns = STEERING_NS / (entries * SHOAL_SLOTS_PER_STEERING / slots + 1);
	bool few = entries * slots_moving / slots <= RECORDS_FEW && !space->config.pace_few;

	if (few || each_ns < RECORD_NS)
		return RECORD_NS;
	return each_ns < RECORD_BUSY_NS ? (uint32_t)each_ns : RECORD_BUSY_NS;
}

void shoal_sweep_steering_plan(struct shoal_space *space, uint32_t slots_moving)
{
	struct shoal_keyspace *keyspace = &space->keyspace;

	keyspace->steering_sweep.on = false;
	keyspace->steering_sweep.record_ns = record_ns(space, slots_moving);
	keyspace->steering_gone = 0;
	memset(keyspace->packets_gone_ns, 0, sizeof(keyspace->packets_gone_ns));
}

/* The next one whose packets have gone, and whose records are here. */
static bool begin_steering(struct shoal_space *space)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	struct shoal_steering_sweep *sweep = &keyspace->steering_sweep;

	for (unsigned steering = 0; keyspace->steering_gone && steering < SHOAL_STEERING_SLOTS; steering++) {
		if (!keyspace->packets_gone_ns[steering] || !keyspace->handed[steering])
			continue;
		*sweep = (struct shoal_steering_sweep){ .on = true,
			.steering = (uint8_t)steering,
			.index = 1,
			.record_ns = sweep->record_ns,
			.due_ns = space->now_ns };
		keyspace->steering_gone--;
		return true;
	}
	keyspace->steering_gone = 0;
	return false;
}

/* Up to `most` entries of the steering slot that come next, fetched ahead. Returns how many. */
static unsigned find_entries(
	struct shoal_space *space, struct shoal_steering_sweep *sweep, uint32_t *found, unsigned most)
{
	const struct shoal_map *map = &space->maps[sweep->class];
	unsigned count = 0;

	for (unsigned looks = 0; looks < LOOKS && count < most && sweep->index < map->high_water; looks++) {
		uint32_t left = map->high_water - sweep->index, look = left < LOOK_ENTRIES ? left : LOOK_ENTRIES;
		const uint8_t *at = memchr(map->steering + sweep->index, sweep->steering, look);

		sweep->index = at ? (uint32_t)(at - map->steering) + 1 : sweep->index + look;
		if (!at)
			continue;
		found[count++] = sweep->index - 1;
		shoal_sweep_fetch(map, sweep->index - 1);
	}
	return count;
}

/* How many records are due; 0: none, or packets come first. */
static unsigned records_due(const struct shoal_space *space, struct shoal_steering_sweep *sweep)
{
	bool busy = space->now_ns - space->packets_ns < BUSY_NS;
	unsigned each_ns = busy ? sweep->record_ns : RECORD_NS;
	uint64_t due = (space->now_ns - sweep->due_ns) / each_ns;

	if (!due || (space->packets_ns == space->now_ns && due < DUE_BUSY))
		return 0;
	sweep->due_ns = due > DUE_MAX ? space->now_ns : sweep->due_ns + due * each_ns;
	return due > DUE_MAX ? DUE_MAX : (unsigned)due;
}

/* Every entry of the class has been looked at: the next class, or the end. */
static void next_class(struct shoal_space *space, struct shoal_steering_sweep *sweep)
{
	sweep->index = 1;
	if (++sweep->class < space->config.classes_count && !SHOAL_PLANT(SHOAL_PLANT_SWEPT_TOO_EARLY))
		return;
	sweep->on = false;
	say_steering_swept(space, sweep->steering);
}

static void sweep_steering(struct shoal_space *space)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	struct shoal_steering_sweep *sweep = &keyspace->steering_sweep;
	uint32_t found[AHEAD];
	unsigned due, work = 0, count, most;

	if (!sweep->on && !begin_steering(space))
		return;
	due = records_due(space, sweep);
	if (!due || shoal_channel_under_way(space->channel,
			    keyspace->owner_next[sweep->steering * SHOAL_SLOTS_PER_STEERING]) > UNDER_WAY_BYTES)
		return;
	do {
		most = due - work < AHEAD ? due - work : AHEAD;
		count = find_entries(space, sweep, found, most);
		for (unsigned i = 0; i < count; i++) {
			if (shoal_sweep_entry(space, sweep->class, found[i], &work))
				continue;
			sweep->index = found[i]; /* from there on again, when it takes more */
			return;
		}
	} while (count == most && work < due);
	if (sweep->index >= space->maps[sweep->class].high_water)
		next_class(space, sweep);
}

void shoal_keyspace_background(struct shoal_space *space)
{
	if (SHOAL_UNLIKELY(space->keyspace.stage == SHOAL_STAGE_HANDING_OVER) && space->view.stage == SHOAL_VIEW_QUIET)
		sweep_steering(space);
}
