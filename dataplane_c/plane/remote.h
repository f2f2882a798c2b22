/* SPDX-License-Identifier: BSD-3-Clause */
/* The plane `remote`: every object lies in a Redis or Valkey server (docs/planes.md). Inside one worker:
 *     remote.c             the plane: open, close, poll, flush, statistics
 *     remote_script.c      what the server carries out at one go
 *     remote_access.c      take, release, remove: reads and locks, writes and unlocks
 *     remote_thread.c      microthreads: settle, and those that wait for room
 *     remote_call.c        methods of multi-writer objects: read, apply here, write if nobody else has
 *     remote_idle.c        looks through the server's keys for idle objects
 *     remote_state.c       objects for an operator, in a thread of the operator's
 *     remote_encode.c      requests as commands
 *     remote_request.c     what is under way, in order; says it again after a new connection
 *     remote_connection.c  the socket, and what a new connection begins with
 *     remote_reply.c       replies, where they lie */
#ifndef SHOAL_PLANE_REMOTE_H
#define SHOAL_PLANE_REMOTE_H

#include "plane/plane.h"
#include "plane/remote_buffer.h"
#include "plane/remote_reply.h"

/* A value in the server: lock or stamp, last use, and the object; one without an object is only locked. */
#define SHOAL_REMOTE_LOCK_BYTES 16u /* owner and number, as they lie in memory */
#define SHOAL_REMOTE_HEAD_BYTES (SHOAL_REMOTE_LOCK_BYTES + 8u)

/* A worker that has not been heard for so long has ended: its locks are nobody's. */
#define SHOAL_REMOTE_LIFE_MS 1500
#define SHOAL_REMOTE_BEAT_NS (300 * SHOAL_NS_PER_MS)

enum shoal_remote_script {
	SHOAL_SCRIPT_TAKE,
	SHOAL_SCRIPT_PUT, /* a write by whoever may have lost the lock meanwhile */
	SHOAL_SCRIPT_APPLY,
	SHOAL_SCRIPT_BEAT,
	SHOAL_SCRIPTS,
};
extern const char *const shoal_remote_scripts[SHOAL_SCRIPTS];

struct shoal_remote_lock {
	uint64_t owner, number;
};

/* What a microthread has under way; its own word points here. */
struct shoal_remote_thread {
	uint32_t held; /* references */
	uint32_t writes; /* that the server has not confirmed */
	bool failed; /* one of them is not there, or it is not known */
	bool ended; /* the microthread has given up waiting */
	struct shoal_wait *wait;
	uint32_t next; /* among the free */
};

/* One object, from a take until the server has what was made of it. */
struct shoal_remote_hold {
	uint8_t key[SHOAL_KEY_BYTES_MAX] __attribute__((aligned(8)));
	uint8_t class;
	bool create;
	bool present; /* in the server, or made here */
	bool ends; /* is removed, not written */
	uint16_t references;
	uint32_t session; /* connection under which it was locked */
	uint32_t thread; /* whose write it is */
	uint64_t number; /* of the lock */
	uint64_t used_ms; /* the server's time; before this take */
	uint32_t next; /* among the free */
};

/* One shoal_take under way. */
struct shoal_remote_take {
	struct shoal_wait *wait; /* NULL: has given up */
	uint64_t number; /* of the lock */
	uint64_t stale; /* number of a lock of this worker that nobody here knows of any more; 0: none */
	uint64_t since_ns;
	uint32_t holds[SHOAL_TAKE_MAX];
	uint8_t count;
	uint32_t next; /* among the free */
};

struct shoal_remote_call {
	uint8_t argument[SHOAL_METHOD_BYTES_MAX] __attribute__((aligned(8)));
	uint8_t result[SHOAL_METHOD_BYTES_MAX] __attribute__((aligned(8)));
	uint16_t method;
	struct shoal_wait *wait; /* NULL: untethered, or has given up */
	uint32_t thread; /* whose write it is: untethered; 0: none */
	uint32_t next; /* in its queue, or among the free */
};

struct shoal_remote_queue {
	uint32_t first, last;
};

/* A multi-writer object that calls are under way to. Lane: its index, under which the server remembers the last number
 * applied, so that what is said again is not done again. */
struct shoal_remote_target {
	uint8_t key[SHOAL_KEY_BYTES_MAX] __attribute__((aligned(8)));
	uint8_t class;
	bool there; /* `expected` is what the server has; else there is no object */
	struct shoal_remote_lock expected;
	uint64_t number; /* of what is being written */
	struct shoal_remote_queue applied, waiting; /* in what is being written; the next */
	uint32_t next; /* in its bucket, or among the free */
};

/* --- What is under way --- */

enum shoal_remote_kind {
	SHOAL_REQUEST_TAKE,
	SHOAL_REQUEST_PUT,
	SHOAL_REQUEST_READ, /* of a target */
	SHOAL_REQUEST_APPLY,
	SHOAL_REQUEST_BEAT,
	SHOAL_REQUEST_SCAN,
	SHOAL_REQUEST_LOOK,
};

struct shoal_remote_request {
	uint8_t kind;
	bool again; /* it was said in an earlier connection: it may have been done */
	bool plain; /* put: said as a SET or DEL */
	uint32_t index;
};

struct shoal_remote_later {
	uint64_t due_ns;
	struct shoal_remote_request request;
};

enum shoal_remote_state { SHOAL_REMOTE_DOWN, SHOAL_REMOTE_CONNECTING, SHOAL_REMOTE_GREETING, SHOAL_REMOTE_UP };

struct shoal_remote_counters {
	uint64_t requests, repeated, replies, sends, connections;
	uint64_t busy; /* takes that found the object locked, and asked again */
	uint64_t conflicts; /* calls applied anew because somebody else was faster */
	uint64_t errors; /* replies that are errors; what was asked is asked again */
	uint64_t writes_lost; /* not known to be in the server: the packets are dropped */
	uint64_t locks_forgotten; /* of this worker, which the server still had */
	uint64_t looked_at; /* objects, for idleness */
	uint64_t starved; /* takes and calls that waited for room of their own */
};

#define SHOAL_REMOTE_TARGETS 256
#define SHOAL_REMOTE_NODES 4096 /* of one reply */
#define SHOAL_REMOTE_LOOK_MAX 64 /* objects that are looked at together for idleness */

/* writer: worker. */
struct shoal_remote {
	struct shoal_space *space; /* borrows */
	struct shoal_remote_config config;
	char sha[SHOAL_SCRIPTS][41];
	char prefix[SHOAL_CLASSES_MAX][SHOAL_NAME_BYTES * 2 + 2]; /* of keys, by class */
	uint32_t prefix_bytes[SHOAL_CLASSES_MAX];
	uint32_t object_stride;

	struct shoal_remote_thread *threads; /* owns each of these; index 0 unused, 0: none is free */
	struct shoal_remote_hold *holds;
	struct shoal_remote_take *takes;
	struct shoal_remote_call *calls;
	struct shoal_remote_target *targets;
	uint8_t *objects; /* of holds, then of targets */
	uint32_t threads_free, holds_free, takes_free, calls_free, targets_free;
	uint32_t holds_count, holds_used;
	uint32_t target_buckets[SHOAL_REMOTE_TARGETS];
	struct shoal_wait *starved_first, *starved_last; /* microthreads that wait for room in one of these */
	uint64_t numbers; /* of locks and stamps, the last one */

	/* Requests by their place in the order: answered < encoded <= sent later <= asked. */
	struct shoal_remote_request *requests; /* owns; a ring */
	uint32_t requests_mask;
	uint32_t answered, encoded, asked;
	struct shoal_remote_later *later; /* owns; a ring, by due time */
	uint32_t later_head, later_tail;

	/* Connection. */
	void *context; /* owns; hiredis' */
	bool near; /* by a unix socket: what is sent has come */
	int descriptor;
	enum shoal_remote_state state;
	uint32_t session; /* counts connections, and lives that had ended in between */
	bool doubt; /* this worker's life had ended in the server when the connection came: its locks may have been taken */
	unsigned greetings; /* replies still to come before it is up */
	uint64_t retry_ns, retry_after_ns;
	uint64_t heard_ns; /* when the last bytes came, or the connection did */
	uint64_t waiting_ns; /* since when there is something to send */
	struct shoal_remote_buffer out, in;
	struct shoal_reply nodes[SHOAL_REMOTE_NODES];

	uint64_t beat_due_ns, beat_sent_ns,
		beat_confirmed_ns; /* sent: of the one under way; confirmed: when it was sent */
	bool beating;
	int64_t clock_ms; /* the server's time less this worker's */
	bool clock_known;

	/* remote_idle.c */
	bool scanner; /* this worker looks for idle objects */
	bool scanning; /* a request of it is under way */
	uint64_t scan_due_ns;
	uint8_t cursor[24];
	uint32_t cursor_bytes;
	struct shoal_idle_task *scanned; /* owns */
	uint32_t scanned_count, scanned_at, scanned_asked;

	struct shoal_remote_counters counters;
};

static inline struct shoal_remote *shoal_remote_of(const struct shoal_space *space)
{
	return space->context->plane;
}

static inline void *shoal_remote_object(const struct shoal_remote *remote, uint32_t hold)
{
	return remote->objects + (size_t)hold * remote->object_stride;
}

static inline void *shoal_remote_target_object(const struct shoal_remote *remote, uint32_t target)
{
	return shoal_remote_object(remote, remote->holds_count + 1 + target);
}

/* The server's time in milliseconds: last uses are compared between workers and over lives. */
static inline uint64_t shoal_remote_now_ms(const struct shoal_remote *remote)
{
	return (uint64_t)((int64_t)(remote->space->now_ns / SHOAL_NS_PER_MS) + remote->clock_ms);
}

/* remote_request.c */
void shoal_remote_ask(struct shoal_remote *remote, enum shoal_remote_kind kind, uint32_t index);
void shoal_remote_ask_later(struct shoal_remote *remote, const struct shoal_remote_request *request, uint64_t after_ns);
/* Writes what is asked into the send buffer, as far as there is room. */
void shoal_remote_encode_all(struct shoal_remote *remote);
/* The connection has ended: what was said and not answered is said again in the next one, in order. */
void shoal_remote_begin_again(struct shoal_remote *remote);
/* The reply to the oldest request. */
void shoal_remote_answer(struct shoal_remote *remote, const struct shoal_reply *nodes);
bool shoal_remote_beat_answered(
	struct shoal_remote *remote, const struct shoal_reply *nodes); /* false: with an error */
/* Asks what is due. */
unsigned shoal_remote_ask_due(struct shoal_remote *remote);
/* Requests said and not answered; and those not said yet. */
static inline uint32_t shoal_remote_under_way(const struct shoal_remote *remote)
{
	return remote->encoded - remote->answered;
}

/* remote_encode.c */
void shoal_remote_encode(struct shoal_remote *remote, struct shoal_remote_request *request);
/* Of the longest command. */
uint32_t shoal_remote_command_bytes_max(const struct shoal_remote *remote);
void shoal_remote_write_end_of_life(struct shoal_remote *remote);
void shoal_remote_write_key(struct shoal_remote *remote, uint8_t class, const uint8_t *key);
void shoal_remote_write_script(
	struct shoal_remote *remote, enum shoal_remote_script script, unsigned keys, unsigned words);

/* remote_connection.c */
unsigned shoal_remote_connection_poll(struct shoal_remote *remote);
void shoal_remote_connection_flush(struct shoal_remote *remote);
void shoal_remote_connection_close(struct shoal_remote *remote);
/* Control thread: whether the server is there and fit, with a sentence where not; learns the scripts' names. May block for
 * two seconds. 0 or -errno. */
int shoal_remote_connection_check(struct shoal_remote *remote);

/* Control thread: a connection whose commands wait no longer than that; with its error in it, or NULL: no address. Hiredis', and
 * owned by the caller. */
void *shoal_remote_connect(const char *address, unsigned milliseconds);

/* remote_state.c */
int shoal_remote_state_get(
	const struct shoal_space *space, uint8_t class, const void *key, struct shoal_state_row *row);
long shoal_remote_state_list(
	const struct shoal_space *space, uint8_t class, uint64_t *cursor, struct shoal_state_row *rows, long n);
int shoal_remote_state_count(const struct shoal_space *space, uint64_t *cursor, uint64_t *counts);

/* remote_thread.c */
struct shoal_remote_thread *shoal_remote_thread(struct shoal_remote *remote); /* of the running microthread; makes it */
void shoal_remote_thread_wrote(struct shoal_remote *remote, uint32_t thread, bool failed);
/* Suspends until something of this worker's own has become free. 0 or -ETIMEDOUT. */
int shoal_remote_starve(struct shoal_remote *remote, uint64_t since_ns) SHOAL_MAY_SUSPEND;
void shoal_remote_feed(struct shoal_remote *remote);
int shoal_remote_settle(struct shoal_context *context) SHOAL_MAY_SUSPEND;

/* remote_access.c */
void shoal_remote_hold_put(struct shoal_remote *remote, uint32_t hold);
void shoal_remote_take_answered(
	struct shoal_remote *remote, const struct shoal_remote_request *request, const struct shoal_reply *nodes);
void shoal_remote_put_answered(
	struct shoal_remote *remote, const struct shoal_remote_request *request, const struct shoal_reply *nodes);
int shoal_remote_take(struct shoal_context *context, struct shoal_request *requests, unsigned n) SHOAL_MAY_SUSPEND;
void shoal_remote_release(struct shoal_context *context, struct shoal_request *requests, unsigned n);
int shoal_remote_remove(struct shoal_context *context, struct shoal_request *request);

/* remote_call.c */
int shoal_remote_call(struct shoal_context *context, const struct shoal_class *class, const void *key, unsigned method,
	const void *argument, void *result) SHOAL_MAY_SUSPEND;
void shoal_remote_read_answered(
	struct shoal_remote *remote, const struct shoal_remote_request *request, const struct shoal_reply *nodes);
void shoal_remote_apply_answered(
	struct shoal_remote *remote, const struct shoal_remote_request *request, const struct shoal_reply *nodes);

/* remote_idle.c */
unsigned shoal_remote_idle_poll(struct shoal_remote *remote);
void shoal_remote_scan_answered(struct shoal_remote *remote, const struct shoal_reply *nodes);
void shoal_remote_look_answered(struct shoal_remote *remote, const struct shoal_reply *nodes);
void shoal_remote_run_idle_task(struct shoal_space *space, const struct shoal_idle_task *task) SHOAL_MAY_SUSPEND;

#endif
