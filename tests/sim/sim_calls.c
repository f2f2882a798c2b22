/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_calls.h"
#include <stdlib.h>
#include "object/call.h"
#include "object/map_inline.h"
#include "sim_world.h"

/* --- Sets of calls, and of answers --- */

struct set {
	uint64_t *codes;
	unsigned count, room;
};

static struct {
	struct set lying; /* with the living, or where they will find it */
	struct set coming; /* from the dead, on links that may lose */
	struct set open; /* calls that were coming when somebody died, in this world */
	struct set *into; /* of what is being visited */
	uint8_t to; /* whoever gets it */
	uint64_t frame, beyond; /* what lies in frames up to `beyond` has been taken … */
	unsigned index, taken; /* … and of the one after it so many messages */
} found;

static uint64_t code_of(struct sim_call call)
{
	return (uint64_t)call.key << 48 | (uint64_t)call.member << 40 | (uint64_t)call.strand << 32 | call.sequence;
}

#define ANSWER (UINT64_C(1) << 63) /* keys have eight bits */

static uint64_t code_of_answer(uint8_t to, uint32_t request)
{
	return ANSWER | (uint64_t)to << 32 | request;
}

static void add(struct set *set, uint64_t code)
{
	if (set->count == set->room) {
		set->room = set->room ? 2 * set->room : 1024;
		set->codes = realloc(set->codes, set->room * sizeof(set->codes[0]));
		if (!set->codes)
			abort();
	}
	set->codes[set->count++] = code;
}

static int compare(const void *first, const void *second)
{
	uint64_t a = *(const uint64_t *)first, b = *(const uint64_t *)second;

	return a < b ? -1 : a > b;
}

static void sort(struct set *set)
{
	if (set->count)
		qsort(set->codes, set->count, sizeof(set->codes[0]), compare);
}

static bool has(const struct set *set, uint64_t code)
{
	return set->count && bsearch(&code, set->codes, set->count, sizeof(set->codes[0]), compare);
}

/* --- Where they lie --- */

static void find(void *owner, const struct shoal_message *message)
{
	const struct sim_add *argument = (const void *)shoal_message_waiters(message);

	(void)owner;
	if (message->kind == SHOAL_REPLY)
		add(found.into, code_of_answer(found.to, message->request));
	else if (message->kind == SHOAL_CALL)
		add(found.into, code_of((struct sim_call){ argument->sequence,
					(uint16_t)sim_key_number(shoal_message_key(message)), argument->member,
					argument->strand }));
}

/* Of the messages to a peer, in their order: whether it has not taken this one. */
static bool untaken(uint64_t frame)
{
	found.index = frame == found.frame ? found.index + 1 : 0;
	found.frame = frame;
	return !frame || frame > found.beyond + 1 || (frame == found.beyond + 1 && found.index >= found.taken);
}

static void find_untaken(void *owner, uint64_t frame, const struct shoal_message *message)
{
	if (untaken(frame))
		find(owner, message);
}

static void find_taken(void *owner, uint64_t frame, const struct shoal_message *message)
{
	if (!untaken(frame))
		find(owner, message);
}

static void find_parked(const struct shoal_parked *parked)
{
	for (; parked; parked = parked->next)
		find(NULL, &parked->message);
}

static void find_inside(struct sim_member *member)
{
	struct shoal_space *space = member->space;

	found.into = &found.lying;
	found.to = member->number;
	find_parked(space->loopback_first);
	find_parked(space->view.after_first);
	find_parked(space->view.early_first);
	for (unsigned slot = 0; slot < SHOAL_SLOTS && space->keyspace.held_back_count; slot++)
		find_parked(space->keyspace.held_back[slot]);
	for (uint32_t index = 1; index < space->maps[SIM_COUNTER].high_water; index++) {
		struct shoal_place place = shoal_place_at(space, SIM_COUNTER, index);
		const struct shoal_contention *contention = shoal_place_contended(space, &place);

		find_parked(contention ? contention->parked_first : NULL);
	}
}

/* Up to where a dead one had handled what `from` sent. */
static void read_mark(const struct sim_corpse *corpse, uint8_t from, bool known)
{
	uint64_t mark = known ? corpse->received[from] : 0;

	found.beyond = mark ? (mark >> 16) - 1 : 0;
	found.taken = mark & 0xffff;
	found.frame = UINT64_MAX;
}

static void find_in_frames(const struct sim_pair *pair)
{
	for (const struct sim_frame *at = pair->first; at; at = at->next) {
		const struct shoal_frame *frame = (const void *)at->bytes;
		const struct shoal_message *message;

		if (!frame->number)
			continue;
		found.frame = frame->number - 1;
		for (uint32_t offset = sizeof(*frame); offset < at->length; offset += message->length) {
			message = (const void *)((const uint8_t *)frame + offset);
			find_untaken(NULL, frame->number, message);
		}
	}
}

/* What a survivor has sent to somebody who died lies there until it is taken back. */
static void find_sent_to_dead(struct sim_world *world, const struct sim_member *from, uint8_t dead)
{
	const struct sim_corpse *corpse = &world->deaths.corpses[dead];
	bool known = corpse->usable && !(world->controller.view.refused >> dead & 1);

	if (from->space->view.calls_taken_back >> dead & 1 || !shoal_channel_attached(from->space->channel, dead))
		return;
	found.into = &found.lying;
	found.to = dead;
	/* As those who take it back are told. */
	read_mark(corpse, from->number, known);
	shoal_channel_visit_waiting(from->space->channel, dead, find_untaken, NULL);
	find_in_frames(&world->network.pairs[from->number][dead]);
	if (known || world->network.reliable)
		return;
	/* What had been taken has gone with the slab if its acknowledgement still comes: the sender forgets it then. */
	found.into = &found.coming;
	read_mark(corpse, from->number, true);
	shoal_channel_visit_waiting(from->space->channel, dead, find_taken, NULL);
}

static void find_sent(struct sim_world *world, const struct sim_member *from, const struct sim_member *to)
{
	found.into = &found.lying;
	found.to = to->number;
	found.beyond = shoal_channel_received_up_to(to->space->channel, from->number);
	found.taken = 0;
	found.frame = UINT64_MAX;
	shoal_channel_visit_waiting(from->space->channel, to->number, find_untaken, NULL);
	if (world->network.reliable)
		find_in_frames(&world->network.pairs[from->number][to->number]);
}

/* What comes from the dead: rings are emptied; of links that may lose nothing more is taken once one has been told. */
static void find_from_dead(struct sim_world *world, uint8_t dead, const struct sim_member *to)
{
	const struct shoal_death *death = to->space->view.death;

	if (!shoal_channel_attached(to->space->channel, dead) ||
		(!world->network.reliable && death->dead[dead] &&
			death->life[dead] == world->deaths.corpses[dead].life))
		return;
	found.into = world->network.reliable ? &found.lying : &found.coming;
	found.to = to->number;
	found.beyond = shoal_channel_received_up_to(to->space->channel, dead);
	found.taken = 0;
	find_in_frames(&world->network.pairs[dead][to->number]);
}

static void find_all(struct sim_world *world)
{
	found.lying.count = found.coming.count = 0;
	for (uint8_t number = 0; number < world->settings.members_most; number++) {
		struct sim_member *member = world->members[number];

		if (!member)
			continue;
		find_inside(member);
		for (uint8_t other = 0; other < world->settings.members_most; other++) {
			if (other == number)
				continue;
			if (world->members[other])
				find_sent(world, member, world->members[other]);
			else if (world->deaths.corpses[other].lies_here) {
				find_sent_to_dead(world, member, other);
				find_from_dead(world, other, member);
			}
		}
	}
	sort(&found.lying);
	sort(&found.coming);
}

/* --- What becomes of them --- */

/* The member's own note of an exact call that has been sent and not been answered. */
static const struct shoal_pending_call *pending(const struct sim_member *member, const struct sim_calling *calling)
{
	const struct shoal_call_table *table = member->space->calls;

	for (uint32_t i = 0; i < table->room; i++)
		if (table->calls[i].under_way && table->calls[i].wait &&
			(const void *)table->calls[i].wait->microthread == calling->microthread)
			return &table->calls[i];
	return NULL;
}

static bool not_sent_yet(const struct sim_world *world, struct sim_call call)
{
	const struct sim_member *member = world->members[call.member];
	const struct sim_calling *calling = member ? &member->strands[call.strand].calling : NULL;

	return calling && calling->under_way && code_of(calling->call) == code_of(call) &&
	       !(calling->exact && pending(member, calling));
}

static bool nowhere(const struct sim_world *world, struct sim_call call)
{
	return !has(&found.lying, code_of(call)) && !has(&found.coming, code_of(call)) && !not_sent_yet(world, call);
}

/* Calls `visit` for each call that is not applied, not gone, and lies nowhere. */
static void visit_missing(struct sim_world *world, void (*visit)(struct sim_world *, struct sim_call))
{
	for (unsigned key = 0; key < SIM_KEYS_MAX; key++)
		for (uint8_t member = 0; member < world->settings.members_most; member++)
			for (uint8_t strand = 0; strand < SIM_STRANDS_MAX; strand++) {
				const struct sim_shared *shared = &world->ledger.shared[key];
				struct sim_call call = { 0, (uint16_t)key, member, strand };

				for (call.sequence = shared->seen[member][strand] + 1;
					call.sequence <= shared->issued[member][strand]; call.sequence++)
					if (nowhere(world, call) && !sim_ledger_gone(world, call))
						visit(world, call);
			}
}

static void lose(struct sim_world *world, struct sim_call call)
{
	sim_note(world, "  call %ld of member %ld strand %ld on counter %ld is gone", call.sequence, call.member,
		call.strand, call.key);
	sim_ledger_lose(world, call);
}

static void lose_or_complain(struct sim_world *world, struct sim_call call)
{
	if (has(&found.open, code_of(call)))
		lose(world, call); /* it has not come */
	else
		sim_fail(world, 3,
			"call %u of member %u strand %u on counter %u lies nowhere, and nobody has died who had it",
			call.sequence, call.member, call.strand, call.key);
}

static bool applied(const struct sim_world *world, struct sim_call call)
{
	return call.sequence <= world->ledger.shared[call.key].seen[call.member][call.strand];
}

/* Whose callers will hear nothing, or may have heard that one died to whom they had been sent. */
static void excuse(struct sim_world *world, uint8_t dead)
{
	for (uint8_t number = 0; number < world->settings.members_most; number++) {
		struct sim_member *member = world->members[number];

		for (unsigned strand = 0; member && strand < SIM_STRANDS_MAX; strand++) {
			struct sim_calling *calling = &member->strands[strand].calling;
			const struct shoal_pending_call *call =
				calling->under_way && calling->exact ? pending(member, calling) : NULL;
			uint64_t answer = call ? code_of_answer(number, call->request) : 0;

			if (call && (call->member == dead || sim_ledger_gone(world, calling->call) ||
					    (applied(world, calling->call) && !has(&found.lying, answer) &&
						    !has(&found.coming, answer))))
				calling->excused = true;
		}
	}
}

void sim_calls_after_death(struct sim_world *world, uint8_t dead)
{
	if (world->deaths.done == 1)
		found.open.count = 0; /* what is left of another world */
	find_all(world);
	visit_missing(world, lose);
	for (unsigned i = 0; i < found.coming.count; i++)
		add(&found.open, found.coming.codes[i]);
	sort(&found.open);
	excuse(world, dead);
}

void sim_calls_after_telling(struct sim_world *world)
{
	if (world->network.reliable)
		return; /* nothing was open */
	find_all(world);
	visit_missing(world, lose_or_complain);
	excuse(world, SHOAL_MEMBER_NONE);
}

void sim_calls_check(struct sim_world *world)
{
	find_all(world);
	visit_missing(world, lose_or_complain);
}

void sim_call_failed(struct sim_world *world, const struct sim_calling *calling, int error)
{
	bool there;

	find_all(world);
	there = has(&found.lying, code_of(calling->call));
	if (!there && !applied(world, calling->call) && !has(&found.coming, code_of(calling->call)) &&
		!sim_ledger_gone(world, calling->call))
		lose(world, calling->call);
	if (error == -ETIMEDOUT && !world->settings.gives_up && !calling->excused &&
		(there || applied(world, calling->call)))
		sim_fail(world, 4,
			"member %u: call %u of strand %u on counter %u ended with -ETIMEDOUT, but its answer %s",
			calling->call.member, calling->call.sequence, calling->call.strand, calling->call.key,
			there ? "will come" : "was not lost");
}
