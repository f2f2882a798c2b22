/* SPDX-License-Identifier: BSD-3-Clause */
#include "bare_client.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plane/remote_buffer.h"
#include "plane/remote_reply.h"
#include "worker/runner.h"

#define DEADLINE_NS (20 * SHOAL_NS_PER_S) /* another process may have the core for a while */

static void send_all(const struct bench *bench, int descriptor, struct shoal_remote_buffer *out)
{
	while (out->head != out->tail) {
		ssize_t sent = write(descriptor, out->bytes + out->head, out->tail - out->head);

		if (sent <= 0)
			bench_fail(bench, "the server does not take commands");
		shoal_remote_buffer_consumed(out, (uint32_t)sent);
	}
}

/* Looks again and again, as a worker does: to sleep for each answer costs another wake-up. */
static size_t receive(const struct bench *bench, int descriptor, uint8_t *bytes, size_t room)
{
	uint64_t deadline = shoal_clock_now() + DEADLINE_NS;
	ssize_t got;

	while ((got = recv(descriptor, bytes, room, MSG_DONTWAIT)) < 0 && (errno == EAGAIN || errno == EINTR))
		if (shoal_clock_now() > deadline)
			break;
	if (got <= 0)
		bench_fail(bench, "the server does not answer");
	return (size_t)got;
}

static void exchange(const struct bench *bench, int descriptor, struct shoal_remote_buffer *out, unsigned replies)
{
	static uint8_t in[1 << 20];
	struct shoal_reply nodes[4];
	size_t have = 0, at = 0;

	send_all(bench, descriptor, out);
	while (replies) {
		long bytes = shoal_reply_parse(in + at, have - at, nodes, 4);

		if (bytes < 0 || (bytes && nodes[0].kind == SHOAL_REPLY_ERROR))
			bench_fail(bench, "the server answers with an error");
		at += (size_t)bytes;
		replies -= bytes > 0;
		if (!bytes)
			have += receive(bench, descriptor, in + have, sizeof(in) - have);
	}
}

static void write_commands(struct shoal_remote_buffer *out, bool set, unsigned batch, uint32_t flows, uint64_t *random)
{
	static const uint8_t value[56];

	for (unsigned i = 0; i < batch; i++) {
		char key[32];
		int length =
			snprintf(key, sizeof(key), "bare/nat.mapping/%08x", (unsigned)(bench_random(random) % flows));

		shoal_remote_write_command(out, set ? 3 : 2);
		shoal_remote_write_text(out, set ? "SET" : "GET");
		shoal_remote_write_word(out, key, (uint32_t)length);
		if (set)
			shoal_remote_write_word(out, value, sizeof(value));
	}
}

double bare_client_ns(const struct bench *bench, const char *path, uint32_t flows, unsigned batch, unsigned packets)
{
	redisContext *context = redisConnectUnix(path);
	static uint8_t memory[1 << 20];
	struct shoal_remote_buffer out = { .bytes = memory, .room = sizeof(memory) };
	static struct bench_samples samples;
	uint64_t random = 7;

	if (!context || context->err)
		bench_fail(bench, "the server does not answer");
	samples.count = 0;
	for (unsigned done = 0; done < packets; done += batch) {
		uint64_t same_keys = random, begin = shoal_clock_now();

		write_commands(&out, false, batch, flows, &same_keys);
		exchange(bench, context->fd, &out, batch);
		write_commands(&out, true, batch, flows, &random);
		exchange(bench, context->fd, &out, batch);
		bench_sample(&samples, (double)(shoal_clock_now() - begin) / batch);
	}
	redisFree(context);
	return bench_median(&samples);
}
