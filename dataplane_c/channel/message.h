/* SPDX-License-Identifier: BSD-3-Clause */
/* The one codec between workers: every message has this head, then the key (padded to 8), then waiters, then bytes.
 * Host byte order is little-endian on every machine that Shoal runs on. dso.md's tables say who sends what and why. */
#ifndef SHOAL_CHANNEL_MESSAGE_H
#define SHOAL_CHANNEL_MESSAGE_H

#include <shoal/nf.h>

enum shoal_message_kind {
	/* To the key owner: without the slot's token a worker forwards them. */
	SHOAL_LEASE_REQUEST = 1,
	SHOAL_PASSED,
	SHOAL_RETURN,
	SHOAL_REMOVE,
	SHOAL_CALL,
	/* To one worker, whoever owns the slot. */
	SHOAL_ABSENT,
	SHOAL_RECALL,
	SHOAL_GRANT,
	SHOAL_REMOVED,
	SHOAL_REPLY,
	SHOAL_CALL_APPLIED,
	/* Reorganisation. */
	SHOAL_TOKEN,
	SHOAL_RECORD_REQUEST,
	SHOAL_RECORD_MOVED,
	SHOAL_RECORD_ABSENT,
	SHOAL_SWEPT,
	SHOAL_FLUSH1,
	SHOAL_FLUSH2,
	/* View change after a death (keyspace/view.h). */
	SHOAL_VIEW_STEP,
	SHOAL_VIEW_TOKENS,
	SHOAL_VIEW_MARK,
	SHOAL_VIEW_CLAIM,
	SHOAL_VIEW_BYTES,
	SHOAL_VIEW_DROP,
	SHOAL_VIEW_ENTER,
	SHOAL_MESSAGE_KINDS,
};

/* VIEW_MARK: what `incarnation` is of the dead member `holder`: the receiver's messages up to which it had handled them, or
 * (method MARK_TAKEN) how many of its own the member `granted` has. */
#define SHOAL_MARK_TAKEN 1
#define SHOAL_VIEW_TOKENS_BYTES (SHOAL_SLOTS / 8)
#define SHOAL_MESSAGE_FOR_KEY_OWNER(kind) ((kind) >= SHOAL_LEASE_REQUEST && (kind) <= SHOAL_CALL)

enum shoal_message_flag {
	SHOAL_MESSAGE_CREATE = 1 << 0, /* LEASE_REQUEST: make it if there is none */
	SHOAL_MESSAGE_CONSTRUCT = 1 << 1, /* GRANT: no bytes, construct it */
	SHOAL_MESSAGE_NO_ROOM = 1 << 2, /* ABSENT, REPLY: the table there is full */
	SHOAL_MESSAGE_UNTETHERED = 1 << 3, /* CALL: no REPLY, but CALL_APPLIED */
	SHOAL_MESSAGE_PASSED_TOO = 1 << 4, /* GRANT to the key owner: counts as PASSED as well */
	SHOAL_MESSAGE_FIRST = 1 << 6, /* CALL: none of this caller's before it is under way, after a death */
	SHOAL_MESSAGE_COUNTED = 1 << 7, /* CALL that is kept here: its number has been expected and has come */
	SHOAL_MESSAGE_MAIL = 1 << 5, /* VIEW_BYTES: was on its way to a dead member, or from one */
	SHOAL_MESSAGE_SETTLED = 1 << 6, /* SWEPT to a leaver: all records of the sender's slots have come to it */
	SHOAL_MESSAGE_ONE_STEERING =
		1 << 5, /* SWEPT: the slots of the steering slot that `slot` is in, and no others */
	SHOAL_MESSAGE_LOSSY = 1 << 6, /* VIEW_STEP settled: the deaths have cost objects */
};

enum shoal_waiter_flag {
	SHOAL_WAITER_CREATE = 1 << 0,
	SHOAL_WAITER_TOLD = 1 << 1, /* the holder knows of it; the key owner's own mark */
};

/* Who waits for a lease, as it travels. */
struct shoal_waiter {
	uint8_t member;
	uint8_t flags;
	uint16_t zero;
	uint32_t request;
};

struct shoal_message {
	uint16_t length; /* of the whole message; a multiple of 8 */
	uint8_t kind;
	uint8_t class;
	uint8_t flags;
	uint8_t origin; /* member that began it; forwarding keeps it */
	uint8_t holder; /* PASSED: the new one; RECORD: the one of record */
	uint8_t waiters;
	uint32_t lease; /* CALL: its number for (caller, slot) */
	uint32_t
		request; /* origin's request number; PASSED, RETURN, REMOVE: the one under which it had got the lease */
	uint32_t granted; /* PASSED: the new holder's request number; GRANT: the old one's; CALL, REPLY: the
			   * caller's place; CALL_APPLIED: how many; TOKEN: epoch */
	uint32_t age_ms; /* of the object's last use */
	uint64_t incarnation; /* TOKEN: the last one drawn; FLUSH: the epoch */
	uint16_t slot; /* TOKEN: the first one; SWEPT: see its flag */
	uint16_t method; /* CALL; RECORD: its state, enum shoal_record */
	uint16_t key_bytes;
	uint16_t bytes; /* object, argument or result */
	uint8_t body[];
};

_Static_assert(sizeof(struct shoal_message) == 40, "the codec's head");

#define SHOAL_MESSAGE_BYTES_MAX (sizeof(struct shoal_message) + SHOAL_KEY_BYTES_MAX + 256 * 8 + SHOAL_OBJECT_BYTES_MAX)

/* Slots whose tokens one TOKEN brings: `slot`, which alone may have callers, and as many after it as its bytes have
 * incarnations. */
#define SHOAL_TOKEN_RUN_MAX 64
static inline unsigned shoal_message_token_slots(const struct shoal_message *message)
{
	return 1 + message->bytes / (unsigned)sizeof(uint64_t);
}

static inline uint32_t shoal_message_pad(uint32_t bytes)
{
	return (bytes + 7) & ~7u;
}

static inline uint32_t shoal_message_length(uint32_t key_bytes, uint32_t waiters, uint32_t bytes)
{
	return (uint32_t)sizeof(struct shoal_message) + shoal_message_pad(key_bytes) +
	       waiters * (uint32_t)sizeof(struct shoal_waiter) + shoal_message_pad(bytes);
}

static inline const void *shoal_message_key(const struct shoal_message *message)
{
	return message->body;
}

static inline const struct shoal_waiter *shoal_message_waiters(const struct shoal_message *message)
{
	return (const struct shoal_waiter *)(message->body + shoal_message_pad(message->key_bytes));
}

static inline const void *shoal_message_bytes(const struct shoal_message *message)
{
	return message->body + shoal_message_pad(message->key_bytes) + message->waiters * sizeof(struct shoal_waiter);
}

/* Whether a received message is one that a correct peer may have sent: kind, lengths against its class, members, slot.
 * `available` are the bytes that lie there. On false `reason` says why (static text). */
bool shoal_message_valid(const struct shoal_message *message, uint32_t available,
	const struct shoal_class *const *classes, unsigned classes_count, const char **reason);
/* "lease_request" */
const char *shoal_message_kind_name(unsigned kind);

#endif
