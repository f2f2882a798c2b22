/* SPDX-License-Identifier: BSD-3-Clause */
/* What an operator may look at: objects as the server has them. In any thread but the worker's, each time over a connection of its
 * own: the worker knows nothing of it, and only what never changes of the plane is read. Each call ends within its deadline, however
 * the server answers, or drips. A listing goes by the server's SCAN: it shows whatever is there all the time, perhaps twice where the
 * server's table grows meanwhile; what comes or goes in between it may show or not. */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "plane/remote.h"
#include "worker/error.h"

/* Of a whole call; the caller waits a little longer. */
#define DEADLINE_MS 1000
/* A count of many objects takes several calls of about this long. */
#define COUNT_MS 500
#define COUNT_KEYS 1000
/* Keys that the server looks at for one answer, at most; and answers for one page. */
#define KEYS_MOST 256
#define ANSWERS_MOST 64
/* A cursor is the server's, and above it how many keys of its answer are shown already. */
#define CURSOR_BITS 48
#define CURSOR_END UINT64_MAX

struct asking {
	const struct shoal_remote *remote;
	redisContext *context; /* owns */
	uint8_t class;
	uint64_t now_ms; /* the server's time */
	uint64_t since_ms; /* monotonic */
};

static uint64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t spent_ms(const struct asking *asking)
{
	return monotonic_ms() - asking->since_ms;
}

static int failed(const struct asking *asking, const redisReply *reply)
{
	const struct shoal_remote_config *config = &asking->remote->config;
	const char *reason = reply && reply->type == REDIS_REPLY_ERROR       ? reply->str
	                     : asking->context && asking->context->errstr[0] ? asking->context->errstr
	                                                                     : "it answers something else";

	if (!reply && spent_ms(asking) >= DEADLINE_MS)
		return shoal_error(ENOTCONN,
			"the server at %s, where the objects lie, does not tell: no answer within %u ms",
			config->address, DEADLINE_MS);
	return shoal_error(
		ENOTCONN, "the server at %s, where the objects lie, does not tell: %s", config->address, reason);
}

/* What was appended leaves, and the next answer comes: NULL where it does not within the call's deadline. The timeout of hiredis is one
 * of each read: a server that drips would never pass it. */
static redisReply *receive(struct asking *asking)
{
	redisContext *context = asking->context;
	void *reply = NULL;
	int sent = 0;

	while (!context->err && redisGetReplyFromReader(context, &reply) == REDIS_OK && !reply) {
		uint64_t spent = spent_ms(asking), left = spent < DEADLINE_MS ? DEADLINE_MS - spent : 0;
		const struct timeval deadline = { .tv_sec = (time_t)(left / 1000),
			.tv_usec = (suseconds_t)(left % 1000 * 1000) };

		if (!left || redisSetTimeout(context, deadline) != REDIS_OK)
			return NULL;
		if (!sent)
			redisBufferWrite(context, &sent);
		else
			redisBufferRead(context);
	}
	return reply;
}

static redisReply *ask(struct asking *asking, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	redisvAppendCommand(asking->context, format, arguments);
	va_end(arguments);
	return receive(asking);
}

static int begin(struct asking *asking, const struct shoal_space *space, uint8_t class)
{
	redisReply *reply = NULL;
	int error = 0;

	*asking = (struct asking){ .remote = shoal_remote_of(space), .class = class, .since_ms = monotonic_ms() };
	asking->context = shoal_remote_connect(asking->remote->config.address, DEADLINE_MS);
	if (asking->context && !asking->context->err)
		reply = ask(asking, "TIME");
	if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
		asking->now_ms = strtoull(reply->element[0]->str, NULL, 10) * 1000 +
		                 strtoull(reply->element[1]->str, NULL, 10) / 1000;
	else
		error = failed(asking, reply);
	if (reply)
		freeReplyObject(reply);
	return error;
}

static void end(struct asking *asking)
{
	if (asking->context)
		redisFree(asking->context);
}

static const struct shoal_class *class_of(const struct asking *asking)
{
	return asking->remote->space->config.classes[asking->class];
}

/* False: what lies there is no object; it is only locked, or has gone. */
static bool fill_row(const struct asking *asking, const void *key, const redisReply *value, struct shoal_state_row *row)
{
	const struct shoal_class *class = class_of(asking);
	struct shoal_remote_lock lock;
	uint64_t used_ms;

	if (value->type != REDIS_REPLY_STRING || value->len != SHOAL_REMOTE_HEAD_BYTES + class->object_bytes)
		return false;
	memcpy(&lock, value->str, sizeof(lock));
	memcpy(&used_ms, value->str + SHOAL_REMOTE_LOCK_BYTES, sizeof(used_ms));
	memset(row, 0, offsetof(struct shoal_state_row, key));
	row->place = SHOAL_STATE_STORE;
	row->holder = class->pattern == SHOAL_SINGLE_WRITER && lock.owner == asking->remote->config.owner
	                      ? asking->remote->space->config.self
	                      : SHOAL_MEMBER_NONE;
	row->idle_ms = asking->now_ms <= used_ms               ? 0
	               : asking->now_ms - used_ms > UINT32_MAX ? UINT32_MAX
	                                                       : (uint32_t)(asking->now_ms - used_ms);
	row->key_bytes = class->key_bytes;
	row->object_bytes = class->object_bytes;
	memcpy(row->key, key, class->key_bytes);
	memcpy(row->object, value->str + SHOAL_REMOTE_HEAD_BYTES, class->object_bytes);
	return true;
}

int shoal_remote_state_get(const struct shoal_space *space, uint8_t class, const void *key, struct shoal_state_row *row)
{
	struct asking asking;
	redisReply *reply = NULL;
	int error = begin(&asking, space, class);

	if (!error) {
		const struct shoal_remote *remote = asking.remote;

		reply = ask(&asking, "GET %b%b", remote->prefix[class], (size_t)remote->prefix_bytes[class], key,
			(size_t)class_of(&asking)->key_bytes);
		if (!reply || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_NIL))
			error = failed(&asking, reply);
		else if (!fill_row(&asking, key, reply, row))
			error = -ENOENT;
	}
	if (reply)
		freeReplyObject(reply);
	end(&asking);
	return error;
}

/* --- A page --- */

/* Of an answer to SCAN: keys of the class, in the order in which they came. */
struct batch {
	redisReply *reply; /* owns */
	const redisReply *keys[4 * KEYS_MOST]; /* borrows from reply */
	unsigned count;
	uint64_t following; /* the server's cursor */
};

/* The server's answer, with its cursor; the caller frees it, also of a failure. */
static int scan(struct asking *asking, uint64_t cursor, unsigned keys, redisReply **reply, uint64_t *following)
{
	*reply = ask(asking, "SCAN %llu COUNT %u", (unsigned long long)cursor, keys);
	*following = 0;
	if (!*reply || (*reply)->type != REDIS_REPLY_ARRAY || (*reply)->elements != 2)
		return failed(asking, *reply);
	*following = strtoull((*reply)->element[0]->str, NULL, 10);
	if (*following >> CURSOR_BITS)
		return shoal_error(EOPNOTSUPP, "the server at %s is one of a cluster, whose keys can't be listed",
			asking->remote->config.address);
	return 0;
}

static bool is_of_class(const struct shoal_remote *remote, unsigned class, const redisReply *key)
{
	uint32_t prefix = remote->prefix_bytes[class];

	return key->len == prefix + remote->space->config.classes[class]->key_bytes &&
	       !memcmp(key->str, remote->prefix[class], prefix);
}

static int read_keys(struct asking *asking, uint64_t cursor, unsigned keys, struct batch *batch)
{
	int error = scan(asking, cursor, keys, &batch->reply, &batch->following);
	const redisReply *found;

	batch->count = 0;
	if (error)
		return error;
	found = batch->reply->element[1];
	if (found->elements > sizeof(batch->keys) / sizeof(batch->keys[0]))
		return failed(asking, batch->reply);
	for (size_t i = 0; i < found->elements; i++)
		if (is_of_class(asking->remote, asking->class, found->element[i]))
			batch->keys[batch->count++] = found->element[i];
	return 0;
}

/* Rows of the batch's keys from `first` on, of those that are objects. Their number, or -errno. */
static long read_values(
	struct asking *asking, const struct batch *batch, unsigned first, unsigned count, struct shoal_state_row *rows)
{
	const char *words[4 * KEYS_MOST + 1] = { "MGET" };
	size_t lengths[4 * KEYS_MOST + 1] = { strlen("MGET") };
	long filled = 0;

	for (unsigned i = 0; i < count; i++) {
		words[i + 1] = batch->keys[first + i]->str;
		lengths[i + 1] = batch->keys[first + i]->len;
	}
	if (!count)
		return 0;

	redisAppendCommandArgv(asking->context, (int)count + 1, words, lengths);

	redisReply *reply = receive(asking);

	if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != count)
		filled = failed(asking, reply);
	for (unsigned i = 0; filled >= 0 && i < count; i++)
		filled += fill_row(asking, words[i + 1] + asking->remote->prefix_bytes[asking->class],
			reply->element[i], &rows[filled]);
	if (reply)
		freeReplyObject(reply);
	return filled;
}

/* One answer's keys, if there is room for all of them; the first page takes a part of them if it has room for no more, and the next page
 * goes on there. Rows filled, or -errno; *cursor stays where the answer found no room, or failed. */
static long read_batch(
	struct asking *asking, uint64_t *cursor, unsigned keys, bool first, struct shoal_state_row *rows, long room)
{
	uint64_t at = *cursor & ((UINT64_C(1) << CURSOR_BITS) - 1), following = *cursor;
	unsigned shown = (unsigned)(*cursor >> CURSOR_BITS), count;
	struct batch batch;
	long filled = read_keys(asking, at, keys, &batch);

	if (!filled) {
		count = batch.count > shown ? batch.count - shown : 0;
		if (count > room && !first) {
			count = 0;
		} else if (count > room) {
			count = (unsigned)room;
			following = at | (uint64_t)(shown + count) << CURSOR_BITS;
		} else {
			following = batch.following ? batch.following : CURSOR_END;
		}
		filled = read_values(asking, &batch, shown, count, rows);
	}
	if (filled >= 0)
		*cursor = following;
	if (batch.reply)
		freeReplyObject(batch.reply);
	return filled;
}

long shoal_remote_state_list(
	const struct shoal_space *space, uint8_t class, uint64_t *cursor, struct shoal_state_row *rows, long n)
{
	unsigned keys = n < 2 ? 1 : n / 2 < KEYS_MOST ? (unsigned)(n / 2) : KEYS_MOST;
	uint64_t at = *cursor, before = ~at;
	struct asking asking;
	long count = 0, error = begin(&asking, space, class);

	for (unsigned answers = 0; !error && answers < ANSWERS_MOST && count < n && at != CURSOR_END && at != before;
		answers++) {
		long filled;

		before = at;
		filled = read_batch(&asking, &at, keys, !count, rows + count, n - count);
		if (filled < 0)
			error = filled;
		else
			count += filled;
	}
	end(&asking);
	if (error && at == *cursor)
		return error;
	*cursor = at; /* where it failed later on, the next page says so */
	return count;
}

/* --- How many --- */

static bool class_of_key(const struct shoal_remote *remote, const redisReply *key, unsigned *class)
{
	for (*class = 0; *class < remote->space->config.classes_count; (*class)++)
		if (is_of_class(remote, *class, key))
			return true;
	return false;
}

/* Of one answer's keys: values that are only locked are no objects. */
static int count_objects(struct asking *asking, const redisReply *keys, uint64_t *counts)
{
	const struct shoal_remote *remote = asking->remote;
	unsigned class;
	int error = 0;

	for (size_t i = 0; i < keys->elements; i++)
		if (class_of_key(remote, keys->element[i], &class))
			redisAppendCommand(
				asking->context, "STRLEN %b", keys->element[i]->str, (size_t)keys->element[i]->len);
	for (size_t i = 0; !error && i < keys->elements; i++) {
		redisReply *reply;

		if (!class_of_key(remote, keys->element[i], &class))
			continue;
		reply = receive(asking);
		if (!reply || reply->type != REDIS_REPLY_INTEGER)
			error = failed(asking, reply);
		else if (reply->integer ==
			 (long long)SHOAL_REMOTE_HEAD_BYTES + remote->space->config.classes[class]->object_bytes)
			counts[class]++;
		if (reply)
			freeReplyObject(reply);
	}
	return error;
}

int shoal_remote_state_count(const struct shoal_space *space, uint64_t *cursor, uint64_t *counts)
{
	uint64_t at = *cursor;
	struct asking asking;
	int error = begin(&asking, space, 0);

	while (!error && at != CURSOR_END && (at == *cursor || spent_ms(&asking) < COUNT_MS)) {
		uint64_t more[SHOAL_CLASSES_MAX] = { 0 }, following;
		redisReply *reply;

		error = scan(&asking, at, COUNT_KEYS, &reply, &following);
		if (!error)
			error = count_objects(&asking, reply->element[1], more);
		for (unsigned i = 0; !error && i < space->config.classes_count; i++)
			counts[i] += more[i];
		if (!error)
			at = following ? following : CURSOR_END;
		if (reply)
			freeReplyObject(reply);
	}
	end(&asking);
	if (error && at == *cursor)
		return error;
	*cursor = at;
	return 0;
}
