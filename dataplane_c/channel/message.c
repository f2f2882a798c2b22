/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel/message.h"
#include "object/entry.h"

/* What each kind may carry. */
enum body {
	BODY_KEY = 1 << 0,
	BODY_WAITERS = 1 << 1,
	BODY_OBJECT = 1 << 2, /* the class's object, or nothing */
	BODY_ARGUMENT = 1 << 3,
	BODY_RESULT = 1 << 4, /* of a method, or nothing */
	BODY_CALLERS = 1 << 5, /* TOKEN: (member, number) pairs, written as waiters */
	BODY_SLOT = 1 << 6,
	BODY_SINGLE_WRITER = 1 << 7, /* the class is one */
	BODY_TOKENS = 1 << 8, /* a bit for each slot */
	BODY_RUN = 1 << 9, /* TOKEN: incarnations of the slots after the first */
};

static const struct {
	const char *name;
	unsigned body;
} kinds[SHOAL_MESSAGE_KINDS] = {
	[SHOAL_LEASE_REQUEST] = { "lease_request", BODY_KEY | BODY_SINGLE_WRITER },
	[SHOAL_PASSED] = { "passed", BODY_KEY | BODY_SINGLE_WRITER },
	[SHOAL_RETURN] = { "return", BODY_KEY | BODY_SINGLE_WRITER | BODY_WAITERS | BODY_OBJECT },
	[SHOAL_REMOVE] = { "remove", BODY_KEY | BODY_SINGLE_WRITER },
	[SHOAL_CALL] = { "call", BODY_KEY | BODY_ARGUMENT },
	[SHOAL_ABSENT] = { "absent", BODY_KEY | BODY_SINGLE_WRITER },
	[SHOAL_RECALL] = { "recall", BODY_KEY | BODY_SINGLE_WRITER | BODY_WAITERS },
	[SHOAL_GRANT] = { "grant", BODY_KEY | BODY_SINGLE_WRITER | BODY_WAITERS | BODY_OBJECT },
	[SHOAL_REMOVED] = { "removed", BODY_KEY | BODY_SINGLE_WRITER },
	[SHOAL_REPLY] = { "reply", BODY_RESULT },
	[SHOAL_CALL_APPLIED] = { "call_applied", 0 },
	[SHOAL_TOKEN] = { "token", BODY_SLOT | BODY_CALLERS | BODY_RUN },
	[SHOAL_RECORD_REQUEST] = { "record_request", BODY_KEY },
	[SHOAL_RECORD_MOVED] = { "record", BODY_KEY | BODY_WAITERS | BODY_OBJECT },
	[SHOAL_RECORD_ABSENT] = { "record_absent", BODY_KEY },
	[SHOAL_SWEPT] = { "swept", BODY_SLOT },
	[SHOAL_FLUSH1] = { "flush1", 0 },
	[SHOAL_FLUSH2] = { "flush2", 0 },
	[SHOAL_VIEW_STEP] = { "view_step", 0 },
	[SHOAL_VIEW_TOKENS] = { "view_tokens", BODY_TOKENS },
	[SHOAL_VIEW_MARK] = { "view_mark", 0 },
	[SHOAL_VIEW_CLAIM] = { "view_claim", BODY_KEY | BODY_SINGLE_WRITER },
	[SHOAL_VIEW_BYTES] = { "view_bytes", BODY_KEY | BODY_OBJECT },
	[SHOAL_VIEW_DROP] = { "view_drop", BODY_KEY | BODY_SINGLE_WRITER },
	[SHOAL_VIEW_ENTER] = { "view_enter", BODY_KEY | BODY_ARGUMENT },
};

const char *shoal_message_kind_name(unsigned kind)
{
	return kind && kind < SHOAL_MESSAGE_KINDS ? kinds[kind].name : "unknown";
}

/* A record travels in one of these states, with bytes where the object lies at its key owner. */
static const char *wrong_record(const struct shoal_message *message, const struct shoal_class *class)
{
	switch (message->method) {
	case SHOAL_RECORD_FREE:
		return class->pattern == SHOAL_SINGLE_WRITER && message->bytes ? NULL
		                                                               : "free record without its object";
	case SHOAL_RECORD_LEASED:
	case SHOAL_RECORD_RECALLED:
		return class->pattern == SHOAL_SINGLE_WRITER && !message->bytes && message->holder < SHOAL_MEMBERS_MAX
		               ? NULL
		               : "leased record without its holder";
	case SHOAL_RECORD_SHARED:
		return class->pattern == SHOAL_MULTI_WRITER && message->bytes ? NULL
		                                                              : "shared record without its object";
	default:
		return "no state of a record";
	}
}

/* What a kind needs beyond its parts' sizes. */
static const char *wrong_meaning(const struct shoal_message *message, const struct shoal_class *class)
{
	switch (message->kind) {
	case SHOAL_RECORD_MOVED:
		return wrong_record(message, class);
	case SHOAL_GRANT:
		return !message->bytes == !(message->flags & SHOAL_MESSAGE_CONSTRUCT) ? "grant without its object"
		                                                                      : NULL;
	case SHOAL_VIEW_BYTES:
		return message->flags & SHOAL_MESSAGE_CONSTRUCT ? NULL : wrong_record(message, class);
	case SHOAL_VIEW_MARK:
	case SHOAL_VIEW_CLAIM:
	case SHOAL_PASSED:
		return message->holder < SHOAL_MEMBERS_MAX ? NULL : "passed to nobody";
	case SHOAL_RETURN:
		return message->bytes ? NULL : "return without the object";
	default:
		return NULL;
	}
}

static const char *wrong_bytes(const struct shoal_message *message, unsigned body, const struct shoal_class *class)
{
	if (body & BODY_OBJECT)
		return message->bytes && message->bytes != class->object_bytes ? "object of another size" : NULL;
	if (body & BODY_TOKENS)
		return message->bytes != SHOAL_VIEW_TOKENS_BYTES ? "tokens of another number of slots" : NULL;
	if (body & BODY_RUN)
		return message->bytes % sizeof(uint64_t) || message->bytes >= SHOAL_TOKEN_RUN_MAX * sizeof(uint64_t) ||
		                       message->slot + shoal_message_token_slots(message) > SHOAL_SLOTS
		               ? "tokens of no slots"
		               : NULL;
	if (body & BODY_RESULT)
		return message->bytes > SHOAL_METHOD_BYTES_MAX ? "result too long" : NULL;
	if (!(body & BODY_ARGUMENT))
		return message->bytes ? "bytes where none belong" : NULL;
	if (class->pattern != SHOAL_MULTI_WRITER || message->method >= class->methods_count)
		return "no such method";
	return message->bytes != class->methods[message->method].argument_bytes ? "argument of another size" : NULL;
}

static const char *wrong_waiters(const struct shoal_message *message, unsigned body)
{
	const struct shoal_waiter *waiters = shoal_message_waiters(message);

	if (message->waiters && !(body & (BODY_WAITERS | BODY_CALLERS)))
		return "waiters where none belong";
	for (unsigned i = 0; i < message->waiters; i++)
		if (waiters[i].member >= SHOAL_MEMBERS_MAX)
			return "waiter is no member";
	return NULL;
}

static const char *wrong_body(
	const struct shoal_message *message, const struct shoal_class *const *classes, unsigned classes_count)
{
	unsigned body = kinds[message->kind].body;
	const struct shoal_class *class = NULL;
	const char *wrong;

	if (body & BODY_KEY) {
		if (message->class >= classes_count)
			return "no such class";
		class = classes[message->class];
		if (message->key_bytes != class->key_bytes)
			return "key of another size";
		if ((body & BODY_SINGLE_WRITER) && class->pattern != SHOAL_SINGLE_WRITER)
			return "lease of a multi-writer class";
	} else if (message->key_bytes) {
		return "key where none belongs";
	}
	if ((body & BODY_SLOT) && message->slot >= SHOAL_SLOTS)
		return "no such slot";
	wrong = wrong_bytes(message, body, class);
	if (!wrong)
		wrong = wrong_waiters(message, body);
	return wrong ? wrong : wrong_meaning(message, class);
}

bool shoal_message_valid(const struct shoal_message *message, uint32_t available,
	const struct shoal_class *const *classes, unsigned classes_count, const char **reason)
{
	*reason = NULL;
	if (available < sizeof(*message) || message->length < sizeof(*message) || message->length > available ||
		message->length % 8)
		*reason = "length beyond the frame";
	else if (!message->kind || message->kind >= SHOAL_MESSAGE_KINDS)
		*reason = "unknown kind";
	else if (message->origin >= SHOAL_MEMBERS_MAX)
		*reason = "origin is no member";
	else if (message->holder >= SHOAL_MEMBERS_MAX && message->holder != SHOAL_MEMBER_NONE)
		*reason = "holder is no member";
	else if (message->length != shoal_message_length(message->key_bytes, message->waiters, message->bytes))
		*reason = "length does not match its parts";
	else
		*reason = wrong_body(message, classes, classes_count);
	return !*reason;
}
