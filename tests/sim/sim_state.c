/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes what each member knows of objects that somebody waits for, when a property is broken. */
#include "sim_world.h"
#include <stdio.h>

static void write_waiters(const struct shoal_space *space, const char *what, uint32_t list)
{
	for (; list; list = space->contention.nodes[list].next) {
		const struct shoal_waiter *waiter = &space->contention.nodes[list].waiter;

		fprintf(stderr, " %s %u(request %u%s%s)", what, waiter->member, waiter->request,
			waiter->flags & SHOAL_WAITER_TOLD ? " told" : "",
			waiter->flags & SHOAL_WAITER_CREATE ? " create" : "");
	}
}

static void write_contention(const struct shoal_space *space, const struct shoal_contention *contention)
{
	unsigned local = 0, parked = 0;

	for (const struct shoal_wait *wait = contention->local_first; wait; wait = wait->next)
		local++;
	for (const struct shoal_parked *at = contention->parked_first; at; at = at->next)
		parked++;
	fprintf(stderr, " local %u parked %u keep %u kept recall %lu/%u", local, parked, contention->keep,
		contention->recall_incarnation, contention->recall_lease);
	write_waiters(space, "successor", contention->successors);
	write_waiters(space, "waiter", contention->waiters);
}

static void write_entries(struct sim_member *member, uint8_t class)
{
	static const char *const handles[] = { "ABSENT", "WAITING", "HELD", "REMOVING" };
	static const char *const records[] = { "NONE", "FREE", "LEASED", "RECALLED", "PULLING", "SHARED" };
	struct shoal_space *space = member->space;

	for (uint32_t index = 1; index < space->maps[class].high_water; index++) {
		struct shoal_place place = shoal_place_at(space, class, index);

		if ((place.entry->handle == SHOAL_HANDLE_ABSENT && place.entry->record == SHOAL_RECORD_NONE) ||
			(!place.lease->contention && place.entry->handle != SHOAL_HANDLE_WAITING &&
				place.entry->handle != SHOAL_HANDLE_REMOVING))
			continue;
		fprintf(stderr,
			"  class %u key %u slot %u%s: %s%s references %u request %u, record %s holder %u, %lu/%u",
			class, sim_key_number(place.entry->bytes), place.entry->slot,
			shoal_slot_bit(space->keyspace.token, place.entry->slot) ? " (token)" : "",
			handles[place.entry->handle], place.entry->flags & SHOAL_ENTRY_RECALLED ? " recalled" : "",
			place.entry->references, place.lease->request, records[place.entry->record],
			place.entry->holder, place.lease->incarnation, place.lease->number);
		if (place.lease->contention)
			write_contention(space, &space->contention.contentions[place.lease->contention]);
		fputc('\n', stderr);
	}
}

static void write_list(const char *what, const struct shoal_parked *parked)
{
	for (; parked; parked = parked->next)
		fprintf(stderr, "  %s: %s of member %u, class %u key %u\n", what,
			shoal_message_kind_name(parked->message.kind), parked->message.origin, parked->message.class,
			parked->message.key_bytes ? sim_key_number(parked->message.body) : 0);
}

static void write_held_back(const struct shoal_space *space)
{
	for (unsigned slot = 0; slot < SHOAL_SLOTS && space->keyspace.held_back_count; slot++)
		for (const struct shoal_parked *at = space->keyspace.held_back[slot]; at; at = at->next)
			fprintf(stderr, "  slot %u: call %u of member %u is held back, the last one was %u\n", slot,
				at->message.lease, at->message.origin,
				space->keyspace.call_expected[(size_t)slot * SHOAL_MEMBERS_MAX + at->message.origin]);
}

static void write_losses(const struct shoal_space *space)
{
	struct shoal_fate_row rows[8];
	uint64_t cursor = 0;
	long count;

	while ((count = shoal_view_fates_read(&space->view, SHOAL_FATE_LOST, &cursor, rows, 8)) > 0)
		for (long i = 0; i < count; i++)
			fprintf(stderr, "  lost in view %lu: class %u key %u\n", rows[i].view, rows[i].class_index,
				sim_key_number(rows[i].key));
}

void sim_state_write(struct sim_world *world)
{
	for (unsigned number = 0; number < SHOAL_MEMBERS_MAX; number++) {
		struct sim_member *member = world->members[number];
		struct shoal_progress progress;

		if (!member)
			continue;
		shoal_keyspace_progress(member->space, &progress);
		fprintf(stderr,
			" member %u stage %d epoch %lu, tokens %u -%u +%u, unswept %u, held %u, outstanding %u of %u, "
			"%u "
			"untethered, view %lu in stage %d, waiting for: %s\n",
			number, progress.stage, progress.epoch, progress.tokens, progress.tokens_to_send,
			progress.tokens_to_receive, progress.slots_unswept, progress.objects_held,
			member->space->outstanding, member->space->config.window, member->space->outstanding_untethered,
			member->space->view.number, member->space->view.stage, progress.waiting_for);
		write_losses(member->space);
		write_held_back(member->space);
		write_list("to itself", member->space->loopback_first);
		write_list("after the view", member->space->view.after_first);
		write_list("early", member->space->view.early_first);
		for (uint8_t class = 0; class < SIM_CLASSES; class ++)
			write_entries(member, class);
	}
}
