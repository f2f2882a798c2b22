/* SPDX-License-Identifier: BSD-3-Clause */
/* Our parser against hiredis' reader, and our commands against its formatter, over random ones. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "plane/remote_buffer.h"
#include "plane/remote_reply.h"

#define RANDOM_REPLIES 20000
#define RANDOM_COMMANDS 5000
#define ROOM 65536
#define NODES 512

static uint32_t draw(uint32_t below)
{
	return (uint32_t)random() % below;
}

static void add(char *text, size_t *length, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add(char *text, size_t *length, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	*length += (size_t)vsnprintf(text + *length, ROOM - *length, format, arguments);
	va_end(arguments);
}

/* Appends a random reply as a server would write it. */
static void make_reply(char *text, size_t *length, unsigned depth)
{
	unsigned kind = draw(depth < 3 ? 7 : 6), bytes = draw(40);

	switch (kind) {
	case 0:
		add(text, length, "+OK %u\r\n", draw(1000));
		break;
	case 1:
		add(text, length, "-ERR %u\r\n", draw(1000));
		break;
	case 2:
		add(text, length, ":%ld\r\n", (long)(random() - random()) * (long)draw(100000));
		break;
	case 3:
		add(text, length, "$-1\r\n");
		break;
	case 6:
		add(text, length, "*%u\r\n", bytes = draw(6));
		for (unsigned i = 0; i < bytes; i++)
			make_reply(text, length, depth + 1);
		break;
	default:
		add(text, length, "$%u\r\n", bytes);
		for (unsigned i = 0; i < bytes; i++)
			text[(*length)++] = (char)draw(256);
		add(text, length, "\r\n");
	}
}

/* Returns the nodes that it has taken up. */
static unsigned assert_same(const redisReply *reply, const struct shoal_reply *nodes)
{
	static const int kinds[] = { [SHOAL_REPLY_NIL] = REDIS_REPLY_NIL,
		[SHOAL_REPLY_STATUS] = REDIS_REPLY_STATUS,
		[SHOAL_REPLY_ERROR] = REDIS_REPLY_ERROR,
		[SHOAL_REPLY_INTEGER] = REDIS_REPLY_INTEGER,
		[SHOAL_REPLY_BULK] = REDIS_REPLY_STRING,
		[SHOAL_REPLY_ARRAY] = REDIS_REPLY_ARRAY };
	unsigned count = 1;

	assert_int_equal(kinds[nodes[0].kind], reply->type);
	switch (nodes[0].kind) {
	case SHOAL_REPLY_NIL:
		return 1;
	case SHOAL_REPLY_INTEGER:
		assert_int_equal(nodes[0].integer, reply->integer);
		return 1;
	case SHOAL_REPLY_ARRAY:
		assert_int_equal(nodes[0].length, reply->elements);
		for (size_t i = 0; i < reply->elements; i++)
			count += assert_same(reply->element[i], nodes + count);
		return count;
	default:
		assert_int_equal(nodes[0].length, reply->len);
		assert_memory_equal(nodes[0].bytes, reply->str, reply->len);
		return 1;
	}
}

static void replies_are_as_hiredis_reads_them(void **state)
{
	static char text[ROOM];
	static struct shoal_reply nodes[NODES];

	srandom(4);
	for (unsigned round = 0; round < RANDOM_REPLIES; round++) {
		redisReader *reader = redisReaderCreate();
		void *reply = NULL;
		size_t length = 0, have;
		uint8_t *exact;

		make_reply(text, &length, 0);
		/* Any beginning of it is not all of it; behind it another one may have begun. */
		have = draw((uint32_t)length);
		exact = malloc(have + 1); /* so that a sanitizer sees a byte too many */
		memcpy(exact, text, have);
		assert_int_equal(shoal_reply_parse(exact, have, nodes, NODES), 0);
		free(exact);
		add(text, &length, "$5\r\nab");
		assert_int_equal(shoal_reply_parse((uint8_t *)text, length, nodes, NODES), (long)length - 6);
		assert_int_equal(redisReaderFeed(reader, text, length), REDIS_OK);
		assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
		assert_non_null(reply);
		assert_same(reply, nodes);
		freeReplyObject(reply);
		redisReaderFree(reader);
	}
}

static void what_is_no_reply_is_refused(void **state)
{
	static const char *const wrong[] = { "!5\r\n", "$x\r\n", "$-2\r\n", ":\r\n", ":12a\r\n",
		":99999999999999999999\r\n", "*-3\r\n", "$3\r\nabcd\r\n", "+no end\n", ":1\n", "$99999999999\r\n",
		"*1\r\n*1\r\n!\r\n", ":000000000000000000000000000000000000000000000000000000000000000000000" };
	struct shoal_reply nodes[16];

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(shoal_reply_parse((const uint8_t *)wrong[i], strlen(wrong[i]), nodes, 16), -EPROTO);
	assert_int_equal(shoal_reply_parse((const uint8_t *)"*3\r\n:1\r\n:2\r\n:3\r\n", 16, nodes, 3), -E2BIG);
	assert_int_equal(
		shoal_reply_parse((const uint8_t *)"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", 24, nodes, 16), -E2BIG);
	assert_int_equal(shoal_reply_parse((const uint8_t *)":-9223372036854775808\r\n", 23, nodes, 16), 23);
	assert_true(nodes[0].integer == INT64_MIN);
}

static void commands_are_as_hiredis_formats_them(void **state)
{
	static uint8_t memory[ROOM];

	srandom(5);
	for (unsigned round = 0; round < RANDOM_COMMANDS; round++) {
		struct shoal_remote_buffer buffer = { .bytes = memory, .room = ROOM };
		unsigned words = 1 + draw(12);
		char texts[12][300];
		const char *arguments[12];
		size_t lengths[12];
		char *command;
		int length;

		shoal_remote_write_command(&buffer, words);
		for (unsigned i = 0; i < words; i++) {
			uint32_t number = (uint32_t)random() >> draw(31);

			arguments[i] = texts[i];
			lengths[i] = draw(300);
			for (size_t at = 0; at < lengths[i]; at++)
				texts[i][at] = (char)draw(256);
			if (i % 3 == 2) {
				lengths[i] = (size_t)snprintf(texts[i], sizeof(texts[i]), "%u", number);
				shoal_remote_write_number(&buffer, number);
			} else {
				shoal_remote_write_word(&buffer, texts[i], (uint32_t)lengths[i]);
			}
		}
		length = redisFormatCommandArgv(&command, (int)words, arguments, lengths);
		assert_int_equal(buffer.tail, length);
		assert_memory_equal(memory, command, (size_t)length);
		redisFreeCommand(command);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_are_as_hiredis_reads_them),
		cmocka_unit_test(what_is_no_reply_is_refused),
		cmocka_unit_test(commands_are_as_hiredis_formats_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
