/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests as commands. A write by whoever surely has the lock is one plain SET or DEL; all else that changes something is a
 * script. */
#include "plane/remote.h"

static const struct shoal_remote_lock no_lock;

uint32_t shoal_remote_command_bytes_max(const struct shoal_remote *remote)
{
	const struct shoal_space_config *config = &remote->space->config;
	uint32_t key = 0, object = 0;

	for (unsigned i = 0; i < config->classes_count; i++) {
		uint32_t bytes = remote->prefix_bytes[i] + config->classes[i]->key_bytes;

		key = bytes > key ? bytes : key;
		object = config->classes[i]->object_bytes > object ? config->classes[i]->object_bytes : object;
	}
	/* The longest ones: a look at as many keys as were found, or a value. */
	return 1024 + (SHOAL_REMOTE_LOOK_MAX + SHOAL_TAKE_MAX) * (key + 32) + object;
}

void shoal_remote_write_key(struct shoal_remote *remote, uint8_t class, const uint8_t *key)
{
	uint32_t key_bytes = remote->space->config.classes[class]->key_bytes;

	shoal_remote_write_head(&remote->out, '$', remote->prefix_bytes[class] + key_bytes);
	shoal_remote_write(&remote->out, remote->prefix[class], remote->prefix_bytes[class]);
	shoal_remote_write(&remote->out, key, key_bytes);
	shoal_remote_write_end(&remote->out);
}

/* A key that is no object's: NAME/kind, with the owner behind it or without. */
static void write_own_key(struct shoal_remote *remote, const char *kind, bool owner)
{
	uint32_t name = (uint32_t)strlen(remote->config.name), length = (uint32_t)strlen(kind);
	uint32_t owner_bytes = owner ? sizeof(remote->config.owner) : 0;

	shoal_remote_write_head(&remote->out, '$', name + length + owner_bytes);
	shoal_remote_write(&remote->out, remote->config.name, name);
	shoal_remote_write(&remote->out, kind, length);
	shoal_remote_write(&remote->out, &remote->config.owner, owner_bytes);
	shoal_remote_write_end(&remote->out);
}

void shoal_remote_write_script(
	struct shoal_remote *remote, enum shoal_remote_script script, unsigned keys, unsigned words)
{
	shoal_remote_write_command(&remote->out, 3 + words);
	shoal_remote_write_text(&remote->out, "EVALSHA");
	shoal_remote_write_word(&remote->out, remote->sha[script], 40);
	shoal_remote_write_number(&remote->out, keys);
}

static void encode_take(struct shoal_remote *remote, struct shoal_remote_take *take)
{
	const struct shoal_remote_lock lock = { remote->config.owner, take->number };
	const struct shoal_remote_lock stale = { remote->config.owner, take->stale };
	char create[SHOAL_TAKE_MAX];

	shoal_remote_write_script(remote, SHOAL_SCRIPT_TAKE, take->count, take->count + 4);
	for (unsigned i = 0; i < take->count; i++) {
		struct shoal_remote_hold *hold = &remote->holds[take->holds[i]];

		hold->session = remote->session;
		create[i] = hold->create ? '1' : '0';
		shoal_remote_write_key(remote, hold->class, hold->key);
	}
	shoal_remote_write_word(&remote->out, &lock, sizeof(lock));
	write_own_key(remote, "/life/", false);
	shoal_remote_write_word(&remote->out, create, take->count);
	shoal_remote_write_word(&remote->out, take->stale ? &stale : &no_lock, sizeof(stale));
}

static void write_value(
	struct shoal_remote *remote, const struct shoal_remote_lock *head, uint8_t class, const void *object)
{
	uint32_t bytes = remote->space->config.classes[class]->object_bytes;
	uint64_t used_ms = shoal_remote_now_ms(remote);

	shoal_remote_write_head(&remote->out, '$', SHOAL_REMOTE_HEAD_BYTES + bytes);
	shoal_remote_write(&remote->out, head, sizeof(*head));
	shoal_remote_write(&remote->out, &used_ms, sizeof(used_ms));
	shoal_remote_write(&remote->out, object, bytes);
	shoal_remote_write_end(&remote->out);
}

/* The server still holds the lock for this worker: it was given in this connection, this worker's life was confirmed not long
 * ago, and what is said now does not come later. */
static bool surely_locked(const struct shoal_remote *remote, const struct shoal_remote_hold *hold)
{
	return remote->near && hold->session == remote->session &&
	       remote->space->now_ns - remote->beat_confirmed_ns < SHOAL_REMOTE_LIFE_MS * SHOAL_NS_PER_MS / 2;
}

static void encode_put(struct shoal_remote *remote, struct shoal_remote_request *request)
{
	const struct shoal_remote_hold *hold = &remote->holds[request->index];
	const struct shoal_remote_lock lock = { remote->config.owner, hold->number };
	const void *object = shoal_remote_object(remote, request->index);
	bool plain = request->plain = !request->again && surely_locked(remote, hold);

	if (!plain) {
		shoal_remote_write_script(remote, SHOAL_SCRIPT_PUT, 1, 3);
	} else {
		shoal_remote_write_command(&remote->out, hold->ends ? 2 : 3);
		shoal_remote_write_text(&remote->out, hold->ends ? "DEL" : "SET");
	}
	shoal_remote_write_key(remote, hold->class, hold->key);
	if (!plain)
		shoal_remote_write_word(&remote->out, &lock, sizeof(lock));
	if (!hold->ends)
		write_value(remote, &no_lock, hold->class, object);
	else if (!plain)
		shoal_remote_write_word(&remote->out, "", 0);
}

static void encode_read(struct shoal_remote *remote, const struct shoal_remote_target *target)
{
	shoal_remote_write_command(&remote->out, 2);
	shoal_remote_write_text(&remote->out, "GET");
	shoal_remote_write_key(remote, target->class, target->key);
}

static void encode_apply(struct shoal_remote *remote, uint32_t index)
{
	const struct shoal_remote_target *target = &remote->targets[index];
	const struct shoal_remote_lock stamp = { remote->config.owner, target->number };

	shoal_remote_write_script(remote, SHOAL_SCRIPT_APPLY, 2, 6);
	shoal_remote_write_key(remote, target->class, target->key);
	write_own_key(remote, "/lanes/", true);
	shoal_remote_write_word(&remote->out, &target->expected, target->there ? sizeof(target->expected) : 0);
	write_value(remote, &stamp, target->class, shoal_remote_target_object(remote, index));
	shoal_remote_write_number(&remote->out, index);
	shoal_remote_write_word(&remote->out, &target->number, sizeof(target->number));
}

static void encode_beat(struct shoal_remote *remote)
{
	remote->beat_sent_ns = remote->space->now_ns;
	shoal_remote_write_script(remote, SHOAL_SCRIPT_BEAT, 3, 5);
	write_own_key(remote, "/life/", true);
	write_own_key(remote, "/scanner", false);
	write_own_key(remote, "/lanes/", true);
	shoal_remote_write_number(&remote->out, SHOAL_REMOTE_LIFE_MS);
	shoal_remote_write_word(&remote->out, &remote->config.owner, sizeof(remote->config.owner));
}

void shoal_remote_write_end_of_life(struct shoal_remote *remote)
{
	shoal_remote_write_command(&remote->out, 3);
	shoal_remote_write_text(&remote->out, "DEL");
	write_own_key(remote, "/life/", true);
	write_own_key(remote, "/lanes/", true);
}

static void encode_scan(struct shoal_remote *remote)
{
	shoal_remote_write_command(&remote->out, 6);
	shoal_remote_write_text(&remote->out, "SCAN");
	shoal_remote_write_word(&remote->out, remote->cursor, remote->cursor_bytes);
	shoal_remote_write_text(&remote->out, "MATCH");
	write_own_key(remote, "/*", false);
	shoal_remote_write_text(&remote->out, "COUNT");
	shoal_remote_write_number(&remote->out, SHOAL_REMOTE_LOOK_MAX);
}

static void encode_look(struct shoal_remote *remote)
{
	shoal_remote_write_command(&remote->out, 1 + remote->scanned_asked);
	shoal_remote_write_text(&remote->out, "MGET");
	for (uint32_t i = 0; i < remote->scanned_asked; i++) {
		const struct shoal_idle_task *found = &remote->scanned[remote->scanned_at + i];

		shoal_remote_write_key(remote, found->class, found->key);
	}
}

void shoal_remote_encode(struct shoal_remote *remote, struct shoal_remote_request *request)
{
	remote->counters.requests++;
	remote->counters.repeated += request->again;
	switch (request->kind) {
	case SHOAL_REQUEST_TAKE:
		encode_take(remote, &remote->takes[request->index]);
		break;
	case SHOAL_REQUEST_PUT:
		encode_put(remote, request);
		break;
	case SHOAL_REQUEST_READ:
		encode_read(remote, &remote->targets[request->index]);
		break;
	case SHOAL_REQUEST_APPLY:
		encode_apply(remote, request->index);
		break;
	case SHOAL_REQUEST_BEAT:
		encode_beat(remote);
		break;
	case SHOAL_REQUEST_SCAN:
		encode_scan(remote);
		break;
	default:
		encode_look(remote);
	}
}
