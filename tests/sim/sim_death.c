/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_death.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "object/map_inline.h"
#include "sim_world.h"

#define NOTICE_MOST_NS (20 * SHOAL_NS_PER_MS)
#define INSTRUCTIONS_MOST_LOG 13

/* --- Slabs --- */

static char base[] = "/dev/shm/sim-XXXXXX";
static bool base_made;

static void remove_base(void)
{
	rmdir(base);
}

const char *sim_slab_directory(struct sim_world *world, const struct sim_member *member)
{
	static char path[sizeof(base) + 24];

	if (!world->settings.deaths && !world->settings.deaths_by_hand)
		return NULL;
	if (!base_made && !mkdtemp(base))
		abort();
	if (!base_made)
		atexit(remove_base);
	base_made = true;
	snprintf(path, sizeof(path), "%s/%lu", base, member->life);
	if (mkdir(path, 0700))
		abort();
	return path;
}

void sim_slab_remove(const char *directory)
{
	DIR *files = *directory ? opendir(directory) : NULL;
	const struct dirent *file;
	char path[512];

	if (!files)
		return;
	while ((file = readdir(files)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", directory, file->d_name);
		unlink(path);
	}
	closedir(files);
	rmdir(directory);
}

/* --- What the ledger makes of it --- */

struct known {
	bool safe; /* a survivor has it, and no death may take it away */
	bool named; /* a survivor's record names it */
};

static struct known know(struct sim_world *world, unsigned class, unsigned key)
{
	uint8_t bytes[SHOAL_KEY_BYTES_MAX];
	struct known known = { false, false };

	sim_key_write(class, key, bytes);
	for (unsigned number = 0; number < world->settings.members_most; number++) {
		struct shoal_map *map = world->members[number] ? &world->members[number]->space->maps[class] : NULL;
		uint32_t index = map ? shoal_map_find(map, bytes, shoal_map_hash(map, bytes)) : 0;
		const struct shoal_entry *entry = index ? shoal_map_entry(map, index) : NULL;

		if (!entry)
			continue;
		known.safe |= (entry->handle == SHOAL_HANDLE_HELD && !(entry->flags & SHOAL_ENTRY_ADOPTED)) ||
		              entry->record == SHOAL_RECORD_FREE || entry->record == SHOAL_RECORD_SHARED;
		known.named |= (entry->record == SHOAL_RECORD_LEASED || entry->record == SHOAL_RECORD_RECALLED) &&
		               shoal_slot_bit(world->members[number]->space->keyspace.token, entry->slot) &&
		               !world->members[number]->doomed;
	}
	return known;
}

/* An object that the dead one made in its last poll: that it had got the grant has gone with its slab, so that the owner, whose
 * record names the object, can't tell it from one that was never made. */
static bool unheard_of(const struct sim_world *world, const struct sim_single *single, uint8_t dead, bool usable)
{
	return !usable && single->maker == dead && single->absent_last_step == world->steps;
}

/* What nobody could adopt may be gone, or be again what it once was. */
static void shake(struct sim_world *world, uint8_t dead, bool usable)
{
	for (unsigned key = 0; key < SIM_KEYS_MAX; key++) {
		for (unsigned class = 0; class < SIM_SINGLE_CLASSES; class ++) {
			struct sim_single *single = &world->ledger.single[class][key];
			struct known known = know(world, class, key);

			if (!usable && !known.safe && !single->shaken)
				single->shaken = single->named = true;
			single->named &= known.named && !unheard_of(world, single, dead, usable);
		}
		if (!usable && !know(world, SIM_COUNTER, key).safe)
			world->ledger.shared[key].shaken = true;
	}
}

void sim_deaths_told(struct sim_world *world)
{
	for (unsigned key = 0; key < SIM_KEYS_MAX; key++)
		for (unsigned class = 0; class < SIM_SINGLE_CLASSES; class ++) {
			struct sim_single *single = &world->ledger.single[class][key];

			if (single->shaken && single->named)
				single->named = know(world, class, key).named;
		}
}

/* What it had made, and had not been told of, may live or not. */
static void doubt_makings(struct sim_world *world, uint8_t member)
{
	for (unsigned key = 0; key < SIM_KEYS_MAX; key++)
		for (unsigned class = 0; class < SIM_SINGLE_CLASSES; class ++) {
			struct sim_single *single = &world->ledger.single[class][key];

			if (!single->alive && single->constructions && single->maker == member &&
				single->life != single->constructions)
				single->may_live = single->constructions;
		}
}

static void end_is_in_doubt(struct sim_world *world, unsigned class, unsigned key)
{
	world->ledger.single[class][key].may_have_ended = true;
}

/* It was writing: what it left of the object is neither what was nor what was to be. */
static void tear(struct sim_member *member, struct sim_object *object, unsigned class)
{
	struct sim_world *world = member->world;
	struct sim_single *single = &world->ledger.single[class][object->key];

	object->fill[sim_random_below(&member->random, 40)] ^= 0x5a;
	single->alive = false;
	single->absent_last_step = world->steps;
	world->deaths.objects_torn++;
	sim_note(world, "  class %ld key %ld was being written", class, object->key);
}

static unsigned class_number(const struct shoal_class *class)
{
	unsigned number = 0;

	while (sim_classes[number] != class)
		number++;
	return number;
}

static void doubt_strand(struct sim_member *member, const struct sim_strand *strand, bool usable)
{
	for (unsigned i = 0; i < strand->held_count; i++) {
		struct sim_object *object = strand->held[i].object;
		unsigned class = class_number(strand->held[i].class);

		/* What is being removed is in doubt anyhow. */
		if (object && usable && !member->ending.under_way && sim_random_chance(&member->random, 30) &&
			member->world->ledger.single[class][object->key].alive)
			tear(member, object, class);
	}
}

/* --- The end of a process --- */

static void note_losses(struct sim_world *world, const struct sim_member *member)
{
	struct shoal_fate_row row;
	uint64_t cursor = 0;

	while (shoal_view_fates_read(&member->space->view, SHOAL_FATE_LOST, &cursor, &row, 1) > 0)
		sim_note(world, "member %ld counted as lost in view %ld: class %ld key %ld", member->number,
			(long)row.view, row.class_index, sim_key_number(row.key));
}

void sim_deaths_keep_counts(struct sim_world *world, const struct sim_member *member)
{
	const struct shoal_view *view = &member->space->view;

	note_losses(world, member);

	for (unsigned class = 0; class < SIM_CLASSES; class ++) {
		world->deaths.adopted += view->adopted[class];
		world->deaths.checked += view->checked[class];
		world->deaths.rejected += view->rejected[class];
		world->deaths.lost += view->lost[class];
		world->deaths.rolled_back += view->rolled_back[class];
	}
}

/* The kernel takes its memory; its files stay as they are, and so do those that it was adopting. */
static void end_process(struct sim_member *member)
{
	struct shoal_space *space = member->space;

	sim_deaths_keep_counts(member->world, member);
	for (unsigned class = 0; class < SIM_CLASSES; class ++)
		space->maps[class].path[0] = 0;
	space->config.slab_directory = NULL;
	for (unsigned dead = 0; dead < SHOAL_MEMBERS_MAX; dead++)
		if (space->view.adoptions[dead])
			space->view.adoptions[dead]->adopted = false;
	shoal_space_fini(space);
	sim_member_abandon(member->number);
}

void sim_kill(struct sim_world *world, struct sim_member *member)
{
	struct sim_deaths *deaths = &world->deaths;
	struct sim_corpse *corpse = &deaths->corpses[member->number];
	uint8_t number = member->number;

	if (!member->torn_off)
		sim_calls_check(world);
	*corpse = (struct sim_corpse){ .lies_here = true,
		.usable = !sim_random_chance(&world->random, world->settings.unusable_percent),
		.life = member->life,
		.died_ns = world->now_ns,
		.notice_ns = world->now_ns + sim_random_below(&world->random, NOTICE_MOST_NS) };
	memcpy(corpse->received, member->space->image->received, sizeof(corpse->received));
	memcpy(corpse->directory, member->slab_directory, sizeof(corpse->directory));
	sim_note(world, "member %ld dies, in the middle of a poll: %ld, slab usable: %ld", member->number,
		member->torn_off, corpse->usable);
	for (unsigned i = 0; i < SIM_STRANDS_MAX; i++)
		doubt_strand(member, &member->strands[i], corpse->usable);
	if (member->ending.under_way)
		end_is_in_doubt(world, member->ending.class, member->ending.key);
	end_process(member);
	world->members[member->number] = NULL;
	sim_network_died(&world->network, member->number);
	deaths->slabs_lost += !corpse->usable;
	deaths->exact &= corpse->usable;
	shake(world, number, corpse->usable);
	doubt_makings(world, number);
	deaths->done++;
	sim_calls_after_death(world, number);
	deaths->latest_ns = world->now_ns;
	if (!deaths->recovering_ns)
		deaths->recovering_ns = world->now_ns;
}

/* --- Whose turn it is --- */

static uint64_t alive(const struct sim_world *world)
{
	uint64_t members = 0;

	for (unsigned number = 0; number < SHOAL_MEMBERS_MAX; number++)
		if (world->members[number] && !world->members[number]->doomed)
			members |= UINT64_C(1) << number;
	return members;
}

static struct sim_member *choose(struct sim_world *world)
{
	uint64_t members = alive(world), adopters = 0;

	for (unsigned dead = 0; dead < SHOAL_MEMBERS_MAX && world->controller.view.active; dead++)
		if (world->controller.view.death.dead[dead] &&
			world->controller.view.death.adopter[dead] < SHOAL_MEMBERS_MAX)
			adopters |= UINT64_C(1) << world->controller.view.death.adopter[dead];
	if (adopters & members && sim_random_chance(&world->random, 40))
		members &= adopters;
	if (!members)
		return NULL;
	for (unsigned skip = (unsigned)sim_random_below(&world->random, (unsigned)__builtin_popcountll(members)); skip;
		skip--)
		members &= members - 1;
	return world->members[__builtin_ctzll(members)];
}

void sim_deaths_poll(struct sim_world *world)
{
	struct sim_deaths *deaths = &world->deaths;
	struct sim_member *member;

	if (!deaths->left || world->now_ns < deaths->next_ns || !world->controller.epoch)
		return;
	member = choose(world);
	if (!member)
		return;
	deaths->left--;
	deaths->next_ns = world->now_ns + (sim_random_chance(&world->random, world->settings.together_percent)
							  ? sim_random_below(&world->random, 80 * SHOAL_NS_PER_MS)
							  : sim_random_below(&world->random, 800 * SHOAL_NS_PER_MS));
	sim_calls_check(world);
	member->doomed = true;
	member->instructions_left =
		1 + sim_random_below(&world->random,
			    UINT64_C(1) << sim_random_between(&world->random, 4, INSTRUCTIONS_MOST_LOG));
	if (sim_random_chance(&world->random, 40))
		sim_kill(world, member); /* between two polls */
}

void sim_deaths_recovered(struct sim_world *world)
{
	struct sim_deaths *deaths = &world->deaths;

	deaths->latest_ns = world->now_ns;
	for (unsigned number = 0; number < SHOAL_MEMBERS_MAX; number++)
		if (deaths->corpses[number].lies_here)
			return;
	deaths->recovered_ns += world->now_ns - deaths->recovering_ns;
	deaths->recovering_ns = 0;
}

struct sim_recoveries sim_recoveries(const struct sim_world *world)
{
	const struct sim_deaths *deaths = &world->deaths;

	return (struct sim_recoveries){
		.lasted_ns = deaths->recovered_ns + (deaths->recovering_ns ? world->now_ns - deaths->recovering_ns : 0),
		.views = (unsigned)world->controller.view.number_last
	};
}

bool sim_deaths_over(const struct sim_world *world)
{
	return !world->deaths.left && !world->deaths.recovering_ns;
}

void sim_deaths_fini(struct sim_world *world)
{
	for (unsigned number = 0; number < SHOAL_MEMBERS_MAX; number++)
		if (world->deaths.corpses[number].lies_here)
			sim_slab_remove(world->deaths.corpses[number].directory);
}
