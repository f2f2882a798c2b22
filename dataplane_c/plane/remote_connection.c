/* SPDX-License-Identifier: BSD-3-Clause */
/* The socket to the server: hiredis makes the connection, and all that is done in the control thread; on the packet path bytes
 * go from our own buffers to the socket and back. Never waits in a poll.
 *
 *     DOWN        after a while -> CONNECTING
 *     CONNECTING  connected -> GREETING (scripts and the first beat are sent); refused, or too long -> DOWN
 *     GREETING    all answered -> UP; an error (the server is loading its data) -> DOWN
 *     UP          error, or silence for too long -> DOWN; what was not answered is said again in the next UP */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include "channel/tcp_socket.h"
#include "plane/remote.h"
#include "worker/error.h"

#define RETRY_FIRST_NS SHOAL_NS_PER_MS
#define RETRY_MOST_NS (100 * SHOAL_NS_PER_MS)
#define SILENCE_NS (2 * SHOAL_NS_PER_S)
#define CHECK_MS 2000
/* Commands that wait for company: as many as a quarter of those under way, at most this many, for at most this long. */
#define COMPANY_MOST 64
#define COMPANY_NS 20000

/* --- Addresses --- */

static const char *unix_path(const char *address)
{
	return strncmp(address, "unix:", 5) ? NULL : address + 5;
}

/* "192.0.2.1:6379", "[2001:db8::1]:6379"; never asks a name server. */
static int host_and_port(const char *address, char *host, size_t room, int *port)
{
	const char *colon = strrchr(address, ':');
	size_t length = colon ? (size_t)(colon - address) : 0;
	struct shoal_tcp_address parsed;
	char *end;

	if (!length)
		return -EINVAL;
	*port = (int)strtol(colon + 1, &end, 10);
	if (*address == '[' && address[length - 1] == ']') {
		address++;
		length -= 2;
	}
	if (*end || end == colon + 1 || *port < 1 || *port > 65535 || length >= room)
		return -EINVAL;
	memcpy(host, address, length);
	host[length] = '\0';
	return shoal_tcp_address_parse(&parsed, host, (uint16_t)*port);
}

/* --- The control thread --- */

void *shoal_remote_connect(const char *address, unsigned milliseconds)
{
	const struct timeval deadline = { .tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000 };
	redisContext *context = NULL;
	char host[64];
	int port;

	if (unix_path(address))
		context = redisConnectUnixWithTimeout(unix_path(address), deadline);
	else if (!host_and_port(address, host, sizeof(host), &port))
		context = redisConnectWithTimeout(host, port, deadline);
	if (context && !context->err)
		redisSetTimeout(context, deadline);
	return context;
}

/* The server answers a script's name, which it makes of its text. */
static int learn_scripts(struct shoal_remote *remote, redisContext *context)
{
	for (unsigned script = 0; script < SHOAL_SCRIPTS; script++) {
		redisReply *reply = redisCommand(context, "SCRIPT LOAD %s", shoal_remote_scripts[script]);
		bool good = reply && reply->type == REDIS_REPLY_STRING && reply->len == 40;

		if (good)
			memcpy(remote->sha[script], reply->str, 40);
		else
			shoal_error(EPROTO, "remote: the server at %s takes no scripts: %s", remote->config.address,
				reply && reply->str ? reply->str : context->errstr);
		if (reply)
			freeReplyObject(reply);
		if (!good)
			return -EPROTO;
	}
	return 0;
}

/* What lies there under this name must be of the same classes. */
static int check_format(struct shoal_remote *remote, redisContext *context)
{
	const struct shoal_space_config *config = &remote->space->config;
	char format[SHOAL_CLASSES_MAX * (SHOAL_NAME_BYTES + 24)];
	size_t at = 0;
	redisReply *reply;
	int error = 0;

	for (unsigned i = 0; i < config->classes_count; i++)
		at += (size_t)snprintf(format + at, sizeof(format) - at, "%s:%u:%u ", config->classes[i]->name,
			config->classes[i]->key_bytes, config->classes[i]->object_bytes);
	reply = redisCommand(context, "SET %s/format %s NX", remote->config.name, format);
	if (reply)
		freeReplyObject(reply);
	reply = redisCommand(context, "GET %s/format", remote->config.name);
	if (!reply || reply->type != REDIS_REPLY_STRING)
		error = shoal_error(EIO, "remote: the server at %s does not keep what is written: %s",
			remote->config.address, reply && reply->str ? reply->str : context->errstr);
	else if (strcmp(reply->str, format))
		error = shoal_error(EPROTO,
			"remote: under the name %s the server at %s keeps the state of another version (%s, here %s); "
			"take "
			"another name, or remove the keys %s/*",
			remote->config.name, remote->config.address, reply->str, format, remote->config.name);
	if (reply)
		freeReplyObject(reply);
	return error;
}

int shoal_remote_connection_check(struct shoal_remote *remote)
{
	const char *address = remote->config.address;
	redisContext *context = shoal_remote_connect(address, CHECK_MS);
	int error = 0;

	if (!context)
		return shoal_error(EINVAL,
			"remote: address %s: it is unix:/path/of/socket, or a numeric host:port as 192.0.2.1:6379",
			address);
	if (context->err)
		error = shoal_error(ECONNREFUSED,
			"remote: no Redis or Valkey server answers at %s: %s; start one there (redis-server "
			"--unixsocket PATH, "
			"or redis-server --port PORT), or correct the address",
			address, context->errstr);
	if (!error)
		error = learn_scripts(remote, context);
	if (!error)
		error = check_format(remote, context);
	redisFree(context);
	return error;
}

/* --- The worker --- */

void shoal_remote_connection_close(struct shoal_remote *remote)
{
	if (remote->context)
		redisFree(remote->context);
	remote->context = NULL;
	if (remote->state == SHOAL_REMOTE_UP)
		shoal_remote_begin_again(remote);
	remote->state = SHOAL_REMOTE_DOWN;
	remote->out.head = remote->out.tail = remote->in.head = remote->in.tail = 0;
	remote->retry_ns = remote->space->now_ns + remote->retry_after_ns;
	remote->retry_after_ns *= 2;
	if (remote->retry_after_ns > RETRY_MOST_NS)
		remote->retry_after_ns = RETRY_MOST_NS;
}

static void begin_to_connect(struct shoal_remote *remote)
{
	const char *path = unix_path(remote->config.address);
	redisContext *context = NULL;
	char host[64];
	int port;

	if (path)
		context = redisConnectUnixNonBlock(path);
	else if (!host_and_port(remote->config.address, host, sizeof(host), &port))
		context = redisConnectNonBlock(host, port);
	remote->context = context;
	remote->heard_ns = remote->space->now_ns;
	if (!context || context->err) {
		shoal_remote_connection_close(remote);
		return;
	}
	remote->descriptor = context->fd;
	remote->state = SHOAL_REMOTE_CONNECTING;
}

/* A server that was started anew knows no scripts. The beat comes before all else: until it is answered, nobody knows whether
 * this worker's locks are still its own. */
static void greet(struct shoal_remote *remote)
{
	struct shoal_remote_request beat = { .kind = SHOAL_REQUEST_BEAT };

	remote->state = SHOAL_REMOTE_GREETING;
	remote->session++;
	remote->doubt = false;
	remote->counters.connections++;
	remote->greetings = SHOAL_SCRIPTS + 1;
	for (unsigned script = 0; script < SHOAL_SCRIPTS; script++) {
		shoal_remote_write_command(&remote->out, 3);
		shoal_remote_write_text(&remote->out, "SCRIPT");
		shoal_remote_write_text(&remote->out, "LOAD");
		shoal_remote_write_text(&remote->out, shoal_remote_scripts[script]);
	}
	shoal_remote_encode(remote, &beat);
	if (!unix_path(remote->config.address))
		shoal_tcp_socket_prepare(remote->descriptor, SILENCE_NS / SHOAL_NS_PER_MS);
}

static void send_out(struct shoal_remote *remote)
{
	struct shoal_remote_buffer *out = &remote->out;
	ssize_t sent;

	if (out->head == out->tail)
		return;
	sent = shoal_tcp_socket_send(remote->descriptor, out->bytes + out->head, out->tail - out->head);
	remote->counters.sends += sent > 0;
	if (sent < 0)
		shoal_remote_connection_close(remote);
	else
		shoal_remote_buffer_consumed(out, (uint32_t)sent);
}

/* A reply to the greeting; false: the connection has ended. */
static bool greeted(struct shoal_remote *remote, const struct shoal_reply *nodes)
{
	bool last = remote->greetings == 1;
	bool good = last ? shoal_remote_beat_answered(remote, nodes)
	                 : nodes[0].kind == SHOAL_REPLY_BULK && nodes[0].length == 40;

	if (!good) {
		remote->counters.errors++;
		shoal_remote_connection_close(remote);
		return false;
	}
	if (!last)
		memcpy(remote->sha[SHOAL_SCRIPTS + 1 - remote->greetings], nodes[0].bytes, 40);
	remote->greetings--;
	if (last) {
		remote->state = SHOAL_REMOTE_UP;
		remote->retry_after_ns = RETRY_FIRST_NS;
	}
	return true;
}

static bool has_no_script(const struct shoal_reply *reply)
{
	return reply->kind == SHOAL_REPLY_ERROR && reply->length >= 8 && !memcmp(reply->bytes, "NOSCRIPT", 8);
}

/* Every whole reply that has come. */
static unsigned answer_all(struct shoal_remote *remote)
{
	struct shoal_remote_buffer *in = &remote->in;
	unsigned count = 0;

	while (in->head != in->tail) {
		long bytes =
			shoal_reply_parse(in->bytes + in->head, in->tail - in->head, remote->nodes, SHOAL_REMOTE_NODES);

		if (!bytes)
			break;
		if (bytes < 0 || (remote->state == SHOAL_REMOTE_UP &&
					 (remote->answered == remote->encoded || has_no_script(remote->nodes)))) {
			remote->counters.errors++;
			shoal_remote_connection_close(remote);
			return count;
		}
		if (remote->state == SHOAL_REMOTE_UP)
			shoal_remote_answer(remote, remote->nodes);
		else if (!greeted(remote, remote->nodes))
			return count;
		shoal_remote_buffer_consumed(in, (uint32_t)bytes);
		count++;
	}
	return count;
}

static unsigned receive(struct shoal_remote *remote)
{
	struct shoal_remote_buffer *in = &remote->in;
	ssize_t received;

	if (shoal_remote_buffer_left(in) < in->room / 2 && in->head) {
		/* The beginning of one reply. */
		memmove(in->bytes, in->bytes + in->head, in->tail - in->head);
		in->tail -= in->head;
		in->head = 0;
	}
	received = shoal_remote_buffer_left(in) ? shoal_tcp_socket_receive(remote->descriptor, in->bytes + in->tail,
							  shoal_remote_buffer_left(in))
	                                        : -E2BIG;
	if (received < 0) {
		shoal_remote_connection_close(remote);
		return 0;
	}
	if (!received)
		return 0;
	remote->heard_ns = remote->space->now_ns;
	in->tail += (uint32_t)received;
	return answer_all(remote);
}

/* Somebody should have answered by now. */
static bool is_silent(const struct shoal_remote *remote)
{
	bool expected = remote->state != SHOAL_REMOTE_UP || shoal_remote_under_way(remote);

	return expected && remote->space->now_ns - remote->heard_ns > SILENCE_NS;
}

unsigned shoal_remote_connection_poll(struct shoal_remote *remote)
{
	int error;

	switch (remote->state) {
	case SHOAL_REMOTE_DOWN:
		if (remote->space->now_ns >= remote->retry_ns)
			begin_to_connect(remote);
		return 0;
	case SHOAL_REMOTE_CONNECTING:
		error = shoal_tcp_socket_connected(remote->descriptor);
		if (!error)
			greet(remote);
		else if (error != -EINPROGRESS || is_silent(remote))
			shoal_remote_connection_close(remote);
		return !error;
	default:
		if (!is_silent(remote))
			return receive(remote);
		shoal_remote_connection_close(remote);
		return 0;
	}
}

/* Small sends cost the server more than they are worth to those in them; but nobody waits long for company. */
static bool worth_sending(const struct shoal_remote *remote)
{
	uint32_t waiting = remote->asked - remote->encoded, answered = remote->answered;
	uint32_t company = (remote->encoded - answered) / 4;

	if (company > COMPANY_MOST)
		company = COMPANY_MOST;
	return waiting && (waiting >= company || remote->space->now_ns - remote->waiting_ns >= COMPANY_NS);
}

void shoal_remote_connection_flush(struct shoal_remote *remote)
{
	if (remote->state == SHOAL_REMOTE_UP && worth_sending(remote)) {
		if (remote->encoded == remote->answered)
			remote->heard_ns = remote->space->now_ns; /* what was silent had nothing to say */
		shoal_remote_encode_all(remote);
		remote->waiting_ns = remote->encoded == remote->asked ? 0 : remote->space->now_ns;
	}
	if (remote->state >= SHOAL_REMOTE_GREETING)
		send_out(remote);
}
