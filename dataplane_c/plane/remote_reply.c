/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include "plane/remote_reply.h"

#define DEPTH_MAX 4
/* No number of the protocol is longer; no bulk is longer either. */
#define LINE_MAX 64
#define BULK_MAX (64 << 20)

struct parser {
	const uint8_t *bytes;
	size_t have, at;
};

/* The line at `at` without its end, and `at` behind it. Its length; -1: not here yet; -EPROTO. */
static long take_line(struct parser *parser, const uint8_t **line, size_t most)
{
	size_t left = parser->have - parser->at;
	const uint8_t *start = parser->bytes + parser->at, *end = memchr(start, '\n', left < most ? left : most);

	if (!end)
		return left < most ? -1 : -EPROTO;
	if (end == start || end[-1] != '\r')
		return -EPROTO;
	*line = start;
	parser->at += (size_t)(end - start) + 1;
	return end - start - 1;
}

/* 0; or as take_line. */
static long take_number(struct parser *parser, int64_t *number)
{
	const uint8_t *line;
	long length = take_line(parser, &line, LINE_MAX), at = 0;
	uint64_t value = 0;
	bool negative;

	if (length < 0)
		return length;
	negative = length && line[0] == '-';
	at = negative || (length && line[0] == '+');
	if (at == length)
		return -EPROTO;
	for (; at < length; at++) {
		uint8_t digit = (uint8_t)(line[at] - '0');

		if (digit > 9 || value > (uint64_t)INT64_MAX / 10 ||
			value * 10 > (uint64_t)INT64_MAX + negative - digit)
			return -EPROTO;
		value = value * 10 + digit;
	}
	*number = negative ? (int64_t)(0 - value) : (int64_t)value;
	return 0;
}

static long take_bulk(struct parser *parser, struct shoal_reply *node)
{
	long error = take_number(parser, &node->integer);
	int64_t length = node->integer;

	if (error)
		return error;
	if (length == -1) {
		node->kind = SHOAL_REPLY_NIL;
		return 0;
	}
	if (length < 0 || length > BULK_MAX)
		return -EPROTO;
	if (parser->have - parser->at < (size_t)length + 2)
		return -1;
	node->kind = SHOAL_REPLY_BULK;
	node->bytes = parser->bytes + parser->at;
	node->length = (uint32_t)length;
	parser->at += (size_t)length + 2;
	return node->bytes[length] == '\r' && node->bytes[length + 1] == '\n' ? 0 : -EPROTO;
}

static long take_array(struct parser *parser, struct shoal_reply *node)
{
	long error = take_number(parser, &node->integer);

	if (error)
		return error;
	if (node->integer < -1 || node->integer > BULK_MAX)
		return -EPROTO;
	node->kind = node->integer < 0 ? SHOAL_REPLY_NIL : SHOAL_REPLY_ARRAY;
	node->length = node->integer < 0 ? 0 : (uint32_t)node->integer;
	return 0;
}

static long take_text(struct parser *parser, struct shoal_reply *node, enum shoal_reply_kind kind)
{
	long length = take_line(parser, &node->bytes, BULK_MAX);

	if (length < 0)
		return length;
	node->kind = kind;
	node->length = (uint32_t)length;
	return 0;
}

static long take_node(struct parser *parser, struct shoal_reply *node)
{
	if (parser->at == parser->have)
		return -1;
	*node = (struct shoal_reply){ 0 };
	switch (parser->bytes[parser->at++]) {
	case '+':
		return take_text(parser, node, SHOAL_REPLY_STATUS);
	case '-':
		return take_text(parser, node, SHOAL_REPLY_ERROR);
	case ':':
		node->kind = SHOAL_REPLY_INTEGER;
		return take_number(parser, &node->integer);
	case '$':
		return take_bulk(parser, node);
	case '*':
		return take_array(parser, node);
	default:
		return -EPROTO;
	}
}

long shoal_reply_parse(const uint8_t *bytes, size_t have, struct shoal_reply *nodes, unsigned room)
{
	struct parser parser = { .bytes = bytes, .have = have };
	uint32_t left[DEPTH_MAX + 1] = { 1 }; /* nodes still to come, at each depth */
	unsigned depth = 0, count = 0;

	while (left[0] || depth) {
		long error;

		if (!left[depth]) {
			depth--;
			continue;
		}
		if (count == room)
			return -E2BIG;
		error = take_node(&parser, &nodes[count]);
		if (error)
			return error == -1 ? 0 : error;
		left[depth]--;
		if (nodes[count].kind == SHOAL_REPLY_ARRAY && nodes[count].length) {
			if (depth == DEPTH_MAX)
				return -E2BIG;
			left[++depth] = nodes[count].length;
		}
		count++;
	}
	return (long)parser.at;
}
