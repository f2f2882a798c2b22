/* SPDX-License-Identifier: BSD-3-Clause */
/* What an operator may look at: objects as the server has them. In the control thread, each time over a connection of its own:
 * the worker knows nothing of it. A listing goes by the server's SCAN: it shows whatever is there all the time, perhaps twice
 * where the server's table grows meanwhile; what comes or goes in between it may show or not. */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include "plane/remote.h"
#include "worker/error.h"

/* The control thread has other things to do. */
#define DEADLINE_MS 500
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
};

static int failed(const struct asking *asking, const redisReply *reply)
{
	const char *reason = reply && reply->type == REDIS_REPLY_ERROR       ? reply->str
	                     : asking->context && asking->context->errstr[0] ? asking->context->errstr
	                                                                     : "it answers something else";

	return shoal_error(ENOTCONN, "the server at %s, where the objects lie, does not tell: %s",
		asking->remote->config.address, reason);
}

static int begin(struct asking *asking, const struct shoal_space *space, uint8_t class)
{
	redisReply *reply = NULL;
	int error = 0;

	*asking = (struct asking){ .remote = shoal_remote_of(space), .class = class };
	asking->context = shoal_remote_connect(asking->remote->config.address, DEADLINE_MS);
	if (asking->context && !asking->context->err)
		reply = redisCommand(asking->context, "TIME");
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

		reply = redisCommand(asking.context, "GET %b%b", remote->prefix[class],
			(size_t)remote->prefix_bytes[class], key, (size_t)class_of(&asking)->key_bytes);
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

static int scan(struct asking *asking, uint64_t cursor, unsigned keys, struct batch *batch)
{
	const struct shoal_remote *remote = asking->remote;
	uint32_t prefix = remote->prefix_bytes[asking->class], length = prefix + class_of(asking)->key_bytes;
	const redisReply *found;

	batch->count = 0;
	batch->following = 0;
	batch->reply = redisCommand(asking->context, "SCAN %llu COUNT %u", (unsigned long long)cursor, keys);
	if (!batch->reply || batch->reply->type != REDIS_REPLY_ARRAY || batch->reply->elements != 2)
		return failed(asking, batch->reply);
	batch->following = strtoull(batch->reply->element[0]->str, NULL, 10);
	if (batch->following >> CURSOR_BITS)
		return shoal_error(EOPNOTSUPP, "the server at %s is one of a cluster, whose keys can't be listed",
			remote->config.address);
	found = batch->reply->element[1];
	if (found->elements > sizeof(batch->keys) / sizeof(batch->keys[0]))
		return failed(asking, batch->reply);
	for (size_t i = 0; i < found->elements; i++)
		if (found->element[i]->len == length &&
			!memcmp(found->element[i]->str, remote->prefix[asking->class], prefix))
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

	redisReply *reply = redisCommandArgv(asking->context, (int)count + 1, words, lengths);

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
 * goes on there. Rows filled, or -errno; *cursor stays where the answer found no room. */
static long read_batch(
	struct asking *asking, uint64_t *cursor, unsigned keys, bool first, struct shoal_state_row *rows, long room)
{
	uint64_t at = *cursor & ((UINT64_C(1) << CURSOR_BITS) - 1);
	unsigned shown = (unsigned)(*cursor >> CURSOR_BITS), count;
	struct batch batch;
	long filled = scan(asking, at, keys, &batch);

	if (!filled) {
		count = batch.count > shown ? batch.count - shown : 0;
		if (count > room && !first) {
			count = 0;
		} else if (count > room) {
			count = (unsigned)room;
			*cursor = at | (uint64_t)(shown + count) << CURSOR_BITS;
		} else {
			*cursor = batch.following ? batch.following : CURSOR_END;
		}
		filled = read_values(asking, &batch, shown, count, rows);
	}
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
	if (error)
		return error;
	*cursor = at;
	return count;
}
