/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames of a hostile or broken peer, through channel and object space: whatever they hold, nothing is read or written outside
 * of them, and nothing crashes. Input: a byte of how to mend the frame, then messages; each begins with a byte of how to
 * mend it. Mended ones get past the codec's checks, to the protocol behind. */
#include <string.h>
#include "channel/channel.h"
#include "channel/frame.h"
#include "object/map_inline.h"
#include "object/space.h"
#include "target.h"

#define PEER 1
#define ROOM 8192

static void add(struct shoal_context *context, const void *key, void *object, const void *argument, void *result)
{
	uint64_t amount;

	(void)context;
	(void)key;
	memcpy(&amount, argument, sizeof(amount));
	*(uint64_t *)object += amount;
	memcpy(result, object, sizeof(amount));
}

static const struct shoal_method methods[] = {
	{ .name = "add", .argument_bytes = 8, .result_bytes = 8, .apply = add }
};
static const struct shoal_class account = {
	.name = "fuzz.account", .pattern = SHOAL_SINGLE_WRITER, .key_bytes = 8, .object_bytes = 24
};
static const struct shoal_class counter = { .name = "fuzz.counter",
	.pattern = SHOAL_MULTI_WRITER,
	.key_bytes = 8,
	.object_bytes = 8,
	.methods = methods,
	.methods_count = 1 };
static const struct shoal_class *const classes[] = { &account, &counter };

/* Gives the input's frame once, and takes everything. */
struct fuzz_link {
	struct shoal_link link;
	const uint8_t *frame;
	uint32_t length;
	_Alignas(8) uint8_t sent[ROOM * 4];
};

static void *reserve(struct shoal_link *link, uint32_t length)
{
	struct fuzz_link *fuzz = (struct fuzz_link *)link;

	return length <= sizeof(fuzz->sent) ? fuzz->sent : NULL;
}

static void commit(struct shoal_link *link, uint32_t length)
{
	(void)link;
	(void)length;
}

static const void *peek(struct shoal_link *link, uint32_t *length)
{
	struct fuzz_link *fuzz = (struct fuzz_link *)link;

	*length = fuzz->length;
	return fuzz->frame;
}

static void consume(struct shoal_link *link)
{
	((struct fuzz_link *)link)->frame = NULL;
}

static void poll(struct shoal_link *link, uint64_t now_ns)
{
	(void)link;
	(void)now_ns;
}

static uint32_t depth(const struct shoal_link *link)
{
	(void)link;
	return 0;
}

static void destroy(struct shoal_link *link)
{
	(void)link;
}

static const struct shoal_link_operations operations = { .reserve = reserve,
	.commit = commit,
	.peek = peek,
	.consume = consume,
	.poll = poll,
	.depth = depth,
	.destroy = destroy };

/* Sizes and sets as the codec wants them; what they say stays the input's. */
static uint32_t mend(struct shoal_message *message, uint32_t room)
{
	const struct shoal_class *class;

	message->kind = (uint8_t)(1 + message->kind % (SHOAL_MESSAGE_KINDS - 1));
	message->class %= 2;
	class = classes[message->class];
	message->origin %= SHOAL_MEMBERS_MAX;
	message->holder %= SHOAL_MEMBERS_MAX;
	message->slot %= SHOAL_SLOTS;
	message->method %= 6;
	message->waiters %= 3;
	message->key_bytes = message->key_bytes % 4 ? class->key_bytes : 0;
	message->bytes = message->bytes % 3 ? class->object_bytes : 0;
	if (message->kind == SHOAL_TOKEN)
		message->bytes = (uint16_t)(message->request % SHOAL_TOKEN_RUN_MAX * sizeof(uint64_t));
	if (message->kind == SHOAL_VIEW_TOKENS)
		message->bytes = SHOAL_VIEW_TOKENS_BYTES;
	message->length = (uint16_t)shoal_message_length(message->key_bytes, message->waiters, message->bytes);
	if (message->length > room)
		return 0;
	for (unsigned i = 0; i < message->waiters; i++)
		((struct shoal_waiter *)shoal_message_waiters(message))[i].member %= SHOAL_MEMBERS_MAX;
	/* Few keys, so that messages meet. */
	if (message->key_bytes)
		memset(message->body + 1, 0, 7);
	return message->length;
}

/* The input as one frame; returns its length. */
static uint32_t make_frame(uint8_t *room, const uint8_t *data, size_t size)
{
	struct shoal_frame *frame = (struct shoal_frame *)room;
	uint32_t length = sizeof(*frame);

	for (size_t at = 1; at + 1 + sizeof(struct shoal_message) < size;) {
		struct shoal_message *message = (struct shoal_message *)(room + length);
		size_t left = size - at - 1, copied = left < 256 ? left : 256;
		uint32_t taken;

		if (length + SHOAL_VIEW_TOKENS_BYTES + 512 > ROOM)
			break;
		memset(message, 0, SHOAL_VIEW_TOKENS_BYTES + 512);
		memcpy(message, data + at + 1, copied);
		taken = data[at] % 8 ? mend(message, SHOAL_VIEW_TOKENS_BYTES + 512) : (uint32_t)copied / 8 * 8;
		length += taken;
		at += 1 + (taken < copied ? (taken ? taken : copied) : copied);
	}
	memcpy(frame, data, size < sizeof(*frame) ? size : sizeof(*frame));
	if (data[0] % 8) {
		frame->magic = SHOAL_FRAME_MAGIC;
		frame->version = SHOAL_FRAME_VERSION;
		frame->from = PEER;
		frame->length = length;
		frame->life = 2;
		frame->number = 1;
	}
	return length;
}

static void own_all_slots(struct shoal_space *space)
{
	memset(space->keyspace.token, 0xff, sizeof(space->keyspace.token));
	memset(space->keyspace.owner, 0, sizeof(space->keyspace.owner));
	space->keyspace.tokens = SHOAL_SLOTS;
	space->keyspace.stage = SHOAL_STAGE_NORMAL;
	space->keyspace.epoch = 1;
	space->keyspace.in_now = space->keyspace.in_next = 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(64) uint8_t room[ROOM + SHOAL_VIEW_TOKENS_BYTES + 1024];
	const struct shoal_scheduler_config stacks = { .stacks = 2, .stack_bytes = 16384 };
	const struct shoal_space_config config = { .life = 1,
		.hash_seed = 7,
		.classes = classes,
		.classes_count = 2,
		.objects_max = 64,
		.window = 4,
		.microthreads_max = 2,
		.members_max = SHOAL_MEMBERS_MAX,
		.deadline_ns = SHOAL_NS_PER_S,
		.resend_ns = SHOAL_NS_PER_MS };
	static struct shoal_space_context context;
	static struct shoal_space space;
	static struct fuzz_link link;
	struct shoal_scheduler *scheduler;

	if (size < 2)
		return 0;
	scheduler = shoal_scheduler_create(&stacks);
	FUZZ_REQUIRE(scheduler);
	FUZZ_REQUIRE(!shoal_space_init(&space, &context, &config, scheduler));
	own_all_slots(&space);
	link.link = (struct shoal_link){ .operations = &operations, .state = SHOAL_LINK_UP, .reliable = true };
	FUZZ_REQUIRE(!shoal_channel_attach(space.channel, PEER, 2, &link.link));
	link.length = make_frame(room, data, size);
	link.frame = room;
	for (uint64_t now = 1; now < 4; now++) {
		shoal_space_poll(&space, now * SHOAL_NS_PER_MS);
		shoal_space_flush(&space);
	}
	shoal_space_fini(&space);
	shoal_scheduler_destroy(scheduler);
	return 0;
}
