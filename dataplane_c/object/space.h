/* SPDX-License-Identifier: BSD-3-Clause */
/* One worker's part of the object space: its local maps, its key records, and what waits. The protocol is that of
 * docs/object-space.md; who holds which part:
 *     access.c        take, release, remove, call: the only place that asks "local or not"
 *     holder.c        the holder's side of a lease: GRANT, RECALL, ABSENT, REMOVED; pass_on.c: how an object leaves
 *     keyspace/record.c   the key owner's side: LEASE_REQUEST, PASSED, RETURN, REMOVE
 *     call.c          multi-writer calls, both sides
 *     wait.c          microthreads that wait, and their deadline
 *     idle.c          idle expiry
 *     keyspace/       slots, tokens, reorganisation, sweep */
#ifndef SHOAL_OBJECT_SPACE_H
#define SHOAL_OBJECT_SPACE_H

#include "channel/channel.h"
#include "keyspace/keyspace.h"
#include "keyspace/view.h"
#include "object/contention.h"
#include "object/idle.h"
#include "object/map.h"
#include "object/plant.h"
#include "sched/microthread.h"

struct shoal_space;
struct shoal_place;

/* What a context is the first member of. */
struct shoal_space_context {
	struct shoal_context context;
	struct shoal_space *space;
	void *plane; /* what the state plane keeps for this worker (plane/plane.h) */
};

struct shoal_space_config {
	uint8_t self;
	uint64_t life;
	uint64_t hash_seed;
	const struct shoal_class *const *classes; /* borrows */
	unsigned classes_count;
	uint32_t objects_max; /* of each class */
	uint32_t window; /* origin messages under way; and one of each microthread that holds references already */
	uint32_t microthreads_max;
	uint32_t members_max; /* members that the cluster may have; sizes what is reserved for their messages */
	uint64_t deadline_ns; /* of a take or an exact call */
	uint64_t resend_ns;
	uint64_t heartbeat_ns; /* between two questions whether a peer hears us; 0: none is asked */
	const char *slab_directory; /* NULL: slabs without a file */
	bool touch; /* the memory of single-writer classes at start, so that packets find it there */
	bool pace_few; /* the simulator's: a steering slot's records are paced, however few move (keyspace/sweep_steering.c) */
};

struct shoal_space_counters {
	uint64_t takes, takes_local, takes_remote, takes_timed_out, takes_refused_deadlock, takes_no_room;
	uint64_t owner_ended; /* takes and calls refused at once: their key owner's life has ended */
	uint64_t calls, calls_remote, calls_timed_out;
	/* Refused here, at the key owner, because the table is full: the caller of an exact one is told, an untethered one
	 * ends here. */
	uint64_t calls_no_room, calls_untethered_no_room;
	uint64_t removes;
	uint64_t leases_in, leases_out; /* objects that migrated here, away */
	uint64_t records_in, records_out;
	uint64_t bytes_out; /* of objects */
	uint64_t stale_messages; /* of an older incarnation or lease: ignored */
	uint64_t late_answers; /* replies whose caller had given up */
	uint64_t forwarded; /* addressed to the key owner, without the token here */
	uint64_t pulls;
	uint64_t idle_tasks;
	uint64_t looked_at_after_loss;
	uint64_t waited_ns_most;
};

/* A task that the space wants run in a microthread (on_idle). */
struct shoal_idle_task {
	/* Aligned for the NF, which reads it as its own structure. */
	uint8_t key[SHOAL_KEY_BYTES_MAX] __attribute__((aligned(8)));
	uint8_t class;
	bool after_loss; /* run the class's after_loss instead */
};

/* After a view in which objects were lost: every object whose record is here is looked at once (aftermath.c). */
struct shoal_aftermath {
	bool open;
	uint8_t class;
	uint32_t index; /* entries below have their task */
	uint32_t tasks; /* queued or running */
};

/* Entries on their way that are remembered at once; more than all windows and sweeps have. */
#define SHOAL_MAILED_ROOM (1u << 16)

struct shoal_space {
	struct shoal_space_context *context; /* borrows */
	struct shoal_space_config config;
	struct shoal_scheduler *scheduler; /* borrows */
	/* Told before the running microthread is suspended; may be NULL. */
	void (*suspending)(struct shoal_space_context *context);
	struct shoal_channel *channel; /* owns */
	uint64_t now_ns;
	uint32_t now_ms;
	uint64_t packets_ns; /* when packets came last; set by the worker */
	uint32_t request_last; /* request numbers are compared as serial numbers: they may wrap */
	struct shoal_map maps[SHOAL_CLASSES_MAX];
	struct shoal_idle_wheel wheels[SHOAL_CLASSES_MAX];
	uint32_t idle_tick; /* up to which all wheels have been looked at */
	struct shoal_contention_pool contention;
	struct shoal_keyspace keyspace;
	struct shoal_view view;
	struct shoal_aftermath aftermath;
	struct shoal_image *image; /* owns; outlives the process */
	bool owner_gone; /* a peer's life has ended, and no view change has dealt with it yet: nothing is asked */
	uint32_t held; /* handles HELD now, all classes */
	uint32_t waiting; /* handles WAITING or REMOVING now */
	uint32_t outstanding; /* origin messages under way */
	uint32_t outstanding_untethered; /* of these, calls that nobody waits for */
	struct shoal_wait *window_first, *window_last; /* microthreads that wait for the window to open */
	struct shoal_wait *deadline_first, *deadline_last; /* all that wait, oldest first */
	struct shoal_wait *fetched_first, *fetched_last; /* of fetches: waits that have ended */
	uint32_t fetches; /* that are under way */
	/* 0, or: the running microthread has waited in vain since then, and its first wait counts from there. */
	uint64_t waited_since_ns;
	struct shoal_call_table *calls; /* owns */
	struct shoal_parked *loopback_first, *loopback_last; /* messages to myself */
	/* Recalled objects with no references: passed on at the end of the poll, so that packets queued here go first. */
	struct {
		uint8_t class;
		uint32_t entry;
	} settle[1024];
	uint32_t settle_count;
	/* Entries whose bytes have been sent, until the receiver has them; in order of sending. */
	struct shoal_mailed {
		uint64_t number; /* of the message to that member */
		uint32_t entry;
		uint8_t class;
		uint8_t member;
	} * mailed; /* owns; a ring */
	uint32_t mailed_head, mailed_tail;
	uint32_t applied[SHOAL_MEMBERS_MAX]; /* untethered calls applied since the last CALL_APPLIED */
	uint64_t applied_members; /* bit for each member whose number is not 0 */
	struct shoal_idle_task idle_tasks[256]; /* ring */
	uint32_t idle_tasks_head, idle_tasks_tail;
	struct shoal_histogram wait_times;
	struct shoal_space_counters counters;
};

/* Borrows context and scheduler. 0 or -errno. */
SHOAL_MUST_USE int shoal_space_init(struct shoal_space *space, struct shoal_space_context *context,
	const struct shoal_space_config *config, struct shoal_scheduler *scheduler);
void shoal_space_fini(struct shoal_space *space);

/* Begin of a poll: sets the time, takes messages, gives up what is overdue, moves the reorganisation on. Returns work
 * done. */
unsigned shoal_space_poll(struct shoal_space *space, uint64_t now_ns);
/* End of a poll: everything that was sent leaves. */
void shoal_space_flush(struct shoal_space *space);

/* Functions for contexts (struct shoal_runtime without packet_release). */
int shoal_space_take(struct shoal_context *context, struct shoal_request *requests, unsigned n) SHOAL_MAY_SUSPEND;
/* The same by the long way alone; the twin of the short one. */
int shoal_space_take_long(struct shoal_context *context, struct shoal_request *requests, unsigned n) SHOAL_MAY_SUSPEND;
/* take_at_once.c. The same where nobody has to wait: `held` counts the references that were got. False: somebody may have to, or
 * a request is wrong; nothing is done. */
bool shoal_take_at_once(struct shoal_space *space, struct shoal_request *requests, unsigned n, uintptr_t *held);
void shoal_space_expect(struct shoal_context *context, const struct shoal_class *class, const void *keys, unsigned n);
void shoal_space_release(struct shoal_context *context, struct shoal_request *requests, unsigned n);
int shoal_space_remove(struct shoal_context *context, struct shoal_request *request);
int shoal_space_call(struct shoal_context *context, const struct shoal_class *class, const void *key, unsigned method,
	const void *argument, void *result) SHOAL_MAY_SUSPEND;

/* Queues a task; false: no room now. */
bool shoal_space_idle_task_add(struct shoal_space *space, const struct shoal_place *place, bool after_loss);
/* Takes one due idle task; false: none. */
bool shoal_space_idle_task(struct shoal_space *space, struct shoal_idle_task *task);
/* Runs it; in a microthread. */
void shoal_space_run_idle_task(struct shoal_space *space, const struct shoal_idle_task *task) SHOAL_MAY_SUSPEND;

/* Of all tables: objects here, and records of those elsewhere. */
uint32_t shoal_space_entries(const struct shoal_space *space);
void shoal_space_statistics(const struct shoal_space *space, struct shoal_statistics *statistics);

/* --- Between the files of the space --- */

static inline uint8_t shoal_space_class_index(const struct shoal_space *space, const struct shoal_class *class)
{
	for (unsigned i = 0; i < space->config.classes_count; i++)
		if (space->config.classes[i] == class)
			return (uint8_t)i;
	return SHOAL_CLASSES_MAX;
}

static inline uint32_t shoal_space_next_request(struct shoal_space *space)
{
	return ++space->request_last;
}

/* Serial comparison: a was issued after b. */
static inline bool shoal_request_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

/* Sends to any member, myself included (then it is handled after what runs now). The origin is set by the caller. */
void shoal_space_send(struct shoal_space *space, uint8_t member, struct shoal_message *head, const void *key,
	const struct shoal_waiter *waiters, unsigned waiters_count, const void *bytes, unsigned bytes_count);
/* Whether whoever owns the slot, as far as I know, has ended: asking would only wait for the deadline. */
bool shoal_space_owner_ended(const struct shoal_space *space, uint16_t slot);
/* Sends on, or hands to myself. */
void shoal_space_forward(struct shoal_space *space, uint8_t member, const struct shoal_message *message);
/* To whoever owns the slot, as far as I know. */
void shoal_space_send_to_owner(struct shoal_space *space, uint16_t slot, struct shoal_message *head, const void *key,
	const void *bytes, unsigned bytes_count);
void shoal_space_handle(void *space, uint8_t from, const struct shoal_message *message);
/* Handles what I have sent to myself. */
void shoal_space_drain(struct shoal_space *space);

/* One entry, found or made. */
struct shoal_place {
	struct shoal_map *map;
	struct shoal_entry *entry; /* NULL: there is none */
	struct shoal_entry_lease *lease;
	uint32_t index;
	uint8_t class;
};
static inline struct shoal_place shoal_place_at(struct shoal_space *space, uint8_t class, uint32_t index)
{
	struct shoal_map *map = &space->maps[class];

	return (struct shoal_place){ .map = map,
		.entry = index ? (struct shoal_entry *)(map->slab + (size_t)index * map->stride) : NULL,
		.lease = shoal_map_lease(map, index),
		.index = index,
		.class = class };
}
static inline struct shoal_place shoal_place_find(
	struct shoal_space *space, uint8_t class, const void *key, uint64_t hash)
{
	return shoal_place_at(space, class, shoal_map_find(&space->maps[class], key, hash));
}
/* Makes it if there is none; entry NULL then means: the map is full. */
struct shoal_place shoal_place_make(struct shoal_space *space, uint8_t class, const void *key, uint64_t hash);
/* Its bytes have just been sent to a member: they stay in the slab until that member has them, so that they are not lost if
 * this worker dies before. */
void shoal_place_mailed(struct shoal_space *space, struct shoal_place *place, uint8_t member);
/* Forgets the entry if nothing keeps it. */
void shoal_place_tidy(struct shoal_space *space, struct shoal_place *place);
struct shoal_contention *shoal_place_contention(struct shoal_space *space, struct shoal_place *place); /* makes it */
/* NULL: nobody waits for anything there. */
static inline struct shoal_contention *shoal_place_contended(struct shoal_space *space, const struct shoal_place *place)
{
	return place->lease->contention ? &space->contention.contentions[place->lease->contention] : NULL;
}
static inline void *shoal_place_object(const struct shoal_place *place)
{
	return (uint8_t *)place->entry + place->map->object_offset;
}
static inline const void *shoal_place_key(const struct shoal_place *place)
{
	return place->entry->bytes;
}

/* holder.c */
void shoal_holder_handle(struct shoal_space *space, const struct shoal_message *message);
/* The lease is mine now, granted without a message: construct, or keep the bytes that lie here. */
void shoal_holder_install(
	struct shoal_space *space, struct shoal_place *place, uint64_t incarnation, uint32_t lease, bool construct);
/* Every microthread that waits here gets its reference now. */
void shoal_holder_grant_to_waiting(struct shoal_space *space, struct shoal_place *place);
/* pass_on.c. Called when references became zero, or a RECALL came: has the object passed on at the end of the poll if somebody waits for
 * it. */
void shoal_holder_settle_later(struct shoal_space *space, struct shoal_place *place);
void shoal_holder_settle_all(struct shoal_space *space);
/* Asks the key owner for the lease: handle → WAITING. The caller has entered the window. */
void shoal_holder_request(struct shoal_space *space, struct shoal_place *place, bool create);
/* The same for a microthread, which runs between messages: a record that is here is asked at once, unless what I have sent to
 * myself before is still to come. The message would say no more. */
void shoal_holder_ask(struct shoal_space *space, struct shoal_place *place, bool create);
/* Gives the object back to its key owner (a leaver). References must be zero. */
void shoal_holder_return(struct shoal_space *space, struct shoal_place *place);
/* Ends the life of an object that is held without references. */
void shoal_holder_remove(struct shoal_space *space, struct shoal_place *place);
/* The maker of a FRESH object has all that it asked for; or has given its references back before that. */
void shoal_holder_made(struct shoal_space *space, struct shoal_place *place);
void shoal_holder_unmade(struct shoal_space *space, struct shoal_place *place);
/* Successors and a kept RECALL are forgotten; an object held here is nobody's but ours again. */
void shoal_holder_forget_waiters(struct shoal_space *space, struct shoal_place *place);
/* After a view change: a WAITING or REMOVING handle says its request once more, with its old number. */
void shoal_holder_ask_again(struct shoal_space *space, struct shoal_place *place);
/* Handle → ABSENT, or → WAITING anew if microthreads here wait. */
void shoal_holder_let_go(struct shoal_space *space, struct shoal_place *place);

/* keyspace/record.c */
void shoal_record_handle(struct shoal_space *space, const struct shoal_message *message);
/* A view changes, so that nobody waits and no PASSED is missing: the object is free at once. False: its record is not here, or
 * knows better. */
bool shoal_record_returned_while_frozen(struct shoal_space *space, const struct shoal_message *message);
/* True: the record is here to be used, or it is certain that there is none. False: it is being pulled. */
bool shoal_record_here_while_moving(
	struct shoal_space *space, uint8_t class, const void *key, uint64_t hash, uint16_t slot);
static inline bool shoal_record_here(
	struct shoal_space *space, uint8_t class, const void *key, uint64_t hash, uint16_t slot)
{
	if (SHOAL_LIKELY(!space->keyspace.pulling && !shoal_slot_bit(space->keyspace.unswept, slot)))
		return true;
	return shoal_record_here_while_moving(space, class, key, hash, slot);
}
/* The lease that my handle has by now is newer than what the record here knew (lease_before): the GRANT proves what its
 * PASSED would say; whether that comes too, or the GRANT was both. An entry that is both handle and record thus has one
 * incarnation and one lease. */
void shoal_record_adopt_own_lease(
	struct shoal_space *space, struct shoal_place *place, uint32_t lease_before, bool passed_too);
/* At the key owner, for a request of its own: grants at once what is free, or makes it. False: somebody else has it, or
 * there is none and create is unset. */
bool shoal_record_grant_here(struct shoal_space *space, struct shoal_place *place, bool create);
/* At the key owner: somebody else has it, and my request for it waits in the record; `request` of the place is its number. */
void shoal_record_wait_here(struct shoal_space *space, struct shoal_place *place, bool create);
/* Asks the previous owner for the record, and keeps the message until it comes. */
void shoal_record_pull(struct shoal_space *space, const struct shoal_message *message, uint64_t hash);
void shoal_record_moved(struct shoal_space *space, uint8_t from, const struct shoal_message *message);
void shoal_record_absent(struct shoal_space *space, const struct shoal_message *message);
/* Hands the record to the new owner of its slot; record → NONE. */
void shoal_record_hand_over(struct shoal_space *space, struct shoal_place *place, uint8_t member);

/* ahead.c */
void shoal_space_ahead_of_messages(void *space, const struct shoal_message *const *messages, unsigned count);
void shoal_space_ahead_of_mailed(const struct shoal_space *space);

/* call.c */
struct shoal_call_table *shoal_call_table_create(uint32_t room);
void shoal_call_table_destroy(struct shoal_call_table *table);
void shoal_call_handle(struct shoal_space *space, const struct shoal_message *message); /* at the owner */
/* Applies a call whose number is in order and whose object, if there is one, is here. */
void shoal_call_apply(struct shoal_space *space, const struct shoal_message *message);
void shoal_call_answered(struct shoal_space *space, const struct shoal_message *message); /* REPLY, CALL_APPLIED */
/* While a view changes: the calls that were kept go to the owners that the view gives their slots. */
void shoal_calls_to_owners(struct shoal_space *space);
/* After a view change: calls to dead members that nobody will answer end; untethered ones leave the window; those that were
 * kept here are handled. */
void shoal_calls_after_view(struct shoal_space *space);
/* Calls that were held back for a gap follow their slot's token. */
void shoal_call_forward_held_back(struct shoal_space *space, uint16_t slot, uint8_t member);
/* Makes a multi-writer object here. */
bool shoal_call_make_object(struct shoal_space *space, struct shoal_place *place);

/* A registry of mine gets an entry; its calls' numbers are not touched. */
void shoal_call_enter(struct shoal_space *space, const struct shoal_message *message);

/* aftermath.c */
void shoal_aftermath_begin(struct shoal_space *space);
unsigned shoal_aftermath_poll(struct shoal_space *space);
/* Runs one of its tasks; in a microthread. */
void shoal_aftermath_run(struct shoal_space *space, const struct shoal_idle_task *task) SHOAL_MAY_SUSPEND;

/* wait.c */
enum shoal_wait_outcome {
	SHOAL_WAIT_PENDING,
	SHOAL_WAIT_GRANTED,
	SHOAL_WAIT_GONE,
	SHOAL_WAIT_NO_ROOM,
	SHOAL_WAIT_AGAIN,
	SHOAL_WAIT_TIMED_OUT
};

struct shoal_wait {
	struct shoal_microthread *microthread; /* that waits, and on whose stack this lies; NULL: a fetch */
	struct shoal_wait *next; /* among those that wait for the same thing */
	struct shoal_wait *deadline_next, *deadline_previous;
	uint64_t since_ns, began_ns; /* the latter is set when it begins */
	enum shoal_wait_outcome outcome;
	uint8_t class;
	bool create;
	bool in_window; /* waits for the window, not for an object */
	uint32_t entry; /* 0: waits for something else */
	void *result; /* of a call */
};
/* Suspends until somebody ends the wait, whose outcome it then has; its deadline counts from since_ns, which the caller sets. */
void shoal_wait(struct shoal_space *space, struct shoal_wait *wait) SHOAL_MAY_SUSPEND;
void shoal_wait_end(struct shoal_space *space, struct shoal_wait *wait, enum shoal_wait_outcome outcome);
/* The key plane stands still: only what is held here is used. */
static inline bool shoal_space_frozen(const struct shoal_space *space)
{
	return SHOAL_UNLIKELY(space->view.stage != SHOAL_VIEW_QUIET || space->owner_gone);
}
/* I am the key's owner, and may answer for it now. */
static inline bool shoal_space_owner_here(
	struct shoal_space *space, uint8_t class, const void *key, uint64_t hash, uint16_t slot)
{
	return shoal_slot_bit(space->keyspace.token, slot) && !shoal_space_frozen(space) &&
	       shoal_record_here(space, class, key, hash, slot);
}
/* The window of origin messages. Whoever has entered sends one, or leaves again; for one that was sent, the answer leaves. */
static inline bool shoal_window_open(const struct shoal_space *space)
{
	return space->outstanding < space->config.window && !space->window_first && !shoal_space_frozen(space);
}
bool shoal_window_try(struct shoal_space *space);
/* `holding`: the caller has references already, and must not wait for a place. False: timed out. */
bool shoal_window_enter(struct shoal_space *space, uint64_t since_ns, bool holding) SHOAL_MAY_SUSPEND;
void shoal_window_leave(struct shoal_space *space);
/* After a view change: those who wait for places get the free ones. */
void shoal_window_reopen(struct shoal_space *space);

#endif
