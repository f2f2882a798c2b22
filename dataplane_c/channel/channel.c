/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "channel/byte_queue.h"
#include "channel/channel.h"
#include "channel/frame.h"
#include "channel/heartbeat.h"

/* Frames that may be under way, unacknowledged, on a link that is not reliable. */
#define UNACKNOWLEDGED_FRAMES 256
#define UNACKNOWLEDGED_BYTES ((size_t)(UNACKNOWLEDGED_FRAMES + 2) * (SHOAL_CHANNEL_FRAME_BYTES_MAX + 16))

/* Frames of so many bytes are taken of a peer before it learns that there is room again. */
#define RECEIVE_BYTES (128u << 10)
/* What may wait for an acknowledgement while objects are sent in bulk. */
#define UNTAKEN_BYTES ((size_t)256 << 10)

struct peer {
	struct shoal_link *link; /* owns */
	uint64_t life;
	uint64_t sent; /* number of the last frame made */
	uint64_t received; /* number of the last frame taken in order */
	uint64_t acknowledged_to; /* what we last told the peer */
	uint64_t acknowledged_by; /* what the peer last told us */
	struct shoal_frame *open; /* being filled: in the link's own room, or in `unacknowledged` */
	uint32_t open_length, open_room;
	struct shoal_byte_queue outbox; /* messages that no frame had room for */
	struct shoal_byte_queue unacknowledged; /* frames; links that are not reliable only */
	unsigned unacknowledged_frames;
	unsigned resend_next; /* frames of `unacknowledged` from here on are still to be (re)sent */
	uint64_t resend_at_ns;
	bool was_broken;
	struct shoal_heartbeat heartbeat;
	uint64_t messages_sent, messages_taken; /* by us, to the peer; of the peer's, by us */
	uint64_t taken_by; /* of messages_sent, as the peer last told */
	struct shoal_histogram round_trips; /* of heartbeats */
};

struct shoal_channel {
	struct shoal_channel_config config;
	uint64_t attached; /* bit for each member */
	/* The message that is being handed up; number 0: none. */
	struct {
		uint64_t number; /* of its frame */
		unsigned index; /* in it */
		uint8_t from;
	} hand;
	struct peer peers[SHOAL_MEMBERS_MAX];
	struct shoal_channel_counters counters;
};

struct shoal_channel *shoal_channel_create(const struct shoal_channel_config *config)
{
	struct shoal_channel *channel = calloc(1, sizeof(*channel));

	if (channel)
		channel->config = *config;
	return channel;
}

void shoal_channel_destroy(struct shoal_channel *channel)
{
	if (!channel)
		return;
	for (uint8_t member = 0; member < SHOAL_MEMBERS_MAX; member++)
		shoal_channel_detach(channel, member);
	free(channel);
}

int shoal_channel_attach(struct shoal_channel *channel, uint8_t member, uint64_t life, struct shoal_link *link)
{
	struct peer *peer = &channel->peers[member];
	int error = peer->link ? -EEXIST : 0;
	struct peer fresh = { .link = link, .life = life };

	if (!error)
		error = shoal_byte_queue_init(&fresh.outbox, channel->config.outbox_bytes);
	if (!error && !link->reliable)
		error = shoal_byte_queue_init(&fresh.unacknowledged, UNACKNOWLEDGED_BYTES);
	if (error) {
		if (fresh.outbox.bytes)
			shoal_byte_queue_fini(&fresh.outbox);
		link->operations->destroy(link);
		return error;
	}
	*peer = fresh;
	if (channel->config.received)
		channel->config.received[member] = 0;
	if (channel->config.taken)
		channel->config.taken[member] = 0;
	channel->attached |= UINT64_C(1) << member;
	return 0;
}

void shoal_channel_detach(struct shoal_channel *channel, uint8_t member)
{
	struct peer gone = channel->peers[member];

	if (!gone.link)
		return;
	/* Forgotten first: nothing is given back twice. */
	memset(&channel->peers[member], 0, sizeof(gone));
	channel->attached &= ~(UINT64_C(1) << member);
	gone.link->operations->destroy(gone.link);
	shoal_byte_queue_fini(&gone.outbox);
	shoal_byte_queue_fini(&gone.unacknowledged);
}

struct shoal_link *shoal_channel_link(const struct shoal_channel *channel, uint8_t member, uint64_t life)
{
	return channel->peers[member].life == life ? channel->peers[member].link : NULL;
}

bool shoal_channel_attached(const struct shoal_channel *channel, uint8_t member)
{
	return channel->peers[member].link != NULL;
}

bool shoal_channel_ended(const struct shoal_channel *channel, uint8_t member)
{
	const struct peer *peer = &channel->peers[member];

	return peer->link && peer->link->state == SHOAL_LINK_ENDED;
}

bool shoal_channel_up(const struct shoal_channel *channel, uint8_t member)
{
	const struct peer *peer = &channel->peers[member];

	return peer->link && peer->link->state == SHOAL_LINK_UP;
}

uint64_t shoal_channel_heard(const struct shoal_channel *channel, uint8_t member)
{
	return channel->peers[member].heartbeat.heard_ns;
}

uint64_t shoal_channel_silent_ns(const struct shoal_channel *channel, uint8_t member, uint64_t now_ns)
{
	return shoal_heartbeat_silent_ns(&channel->peers[member].heartbeat, now_ns);
}

const char *shoal_channel_reason(const struct shoal_channel *channel, uint8_t member)
{
	const struct peer *peer = &channel->peers[member];

	return peer->link && peer->link->state >= SHOAL_LINK_BROKEN && peer->link->reason ? peer->link->reason : "";
}

/* --- Sending --- */

static void close_frame(struct shoal_channel *channel, struct peer *peer)
{
	struct shoal_frame *frame = peer->open;

	if (!frame)
		return;
	frame->length = peer->open_length;
	frame->acknowledged = peer->acknowledged_to = peer->received;
	frame->taken = peer->messages_taken;
	peer->open = NULL;
	channel->counters.frames_sent++;
	if (peer->link->reliable)
		peer->link->operations->commit(peer->link, frame->length);
	else
		peer->unacknowledged_frames++;
}

/* Room for a message of `length` bytes in the open frame, or in a new one; NULL: none now. */
static void *frame_room(struct shoal_channel *channel, struct peer *peer, uint32_t length)
{
	uint32_t room = (uint32_t)sizeof(struct shoal_frame) + length;

	if (peer->open && peer->open_length + length <= peer->open_room)
		return (uint8_t *)peer->open + peer->open_length;
	close_frame(channel, peer);
	if (room < SHOAL_CHANNEL_FRAME_BYTES)
		room = SHOAL_CHANNEL_FRAME_BYTES;
	if (peer->link->reliable)
		peer->open = peer->link->operations->reserve(peer->link, room);
	else if (peer->unacknowledged_frames < UNACKNOWLEDGED_FRAMES)
		peer->open = shoal_byte_queue_push(&peer->unacknowledged, room);
	if (!peer->open)
		return NULL;
	*peer->open = (struct shoal_frame){ .magic = SHOAL_FRAME_MAGIC,
		.version = SHOAL_FRAME_VERSION,
		.from = channel->config.self,
		.life = channel->config.life,
		.number = ++peer->sent };
	peer->open_length = sizeof(struct shoal_frame);
	peer->open_room = room;
	return peer->open->messages;
}

/* Where a message of `length` bytes is to be written: in a frame, or behind others in the outbox. */
static void *message_room(struct shoal_channel *channel, struct peer *peer, uint32_t length)
{
	void *room = shoal_byte_queue_depth(&peer->outbox) ? NULL : frame_room(channel, peer, length);

	peer->messages_sent++;
	if (room) {
		peer->open_length += length;
		return room;
	}
	room = shoal_byte_queue_push(&peer->outbox, length);
	if (!room)
		abort(); /* the windows allow no more than it holds: a broken invariant, and going on would lose state */
	if (shoal_byte_queue_depth(&peer->outbox) > channel->counters.outbox_most)
		channel->counters.outbox_most = shoal_byte_queue_depth(&peer->outbox);
	return room;
}

void shoal_channel_send(struct shoal_channel *channel, uint8_t member, struct shoal_message *head, const void *key,
	const struct shoal_waiter *waiters, unsigned waiters_count, const void *bytes, unsigned bytes_count)
{
	struct peer *peer = &channel->peers[member];
	uint32_t key_bytes = key ? channel->config.classes[head->class]->key_bytes : 0;
	uint8_t *room;

	if (!peer->link) {
		channel->counters.no_link++;
		return;
	}
	head->key_bytes = (uint16_t)key_bytes;
	head->waiters = (uint8_t)waiters_count;
	head->bytes = (uint16_t)bytes_count;
	head->length = (uint16_t)shoal_message_length(key_bytes, waiters_count, bytes_count);
	room = message_room(channel, peer, head->length);
	memcpy(room, head, sizeof(*head));
	room += sizeof(*head);
	if (key_bytes == 8) {
		memcpy(room, key, 8);
		room += 8;
	} else if (key_bytes) {
		memset(room + key_bytes, 0, shoal_message_pad(key_bytes) - key_bytes);
		memcpy(room, key, key_bytes);
		room += shoal_message_pad(key_bytes);
	}
	if (waiters_count)
		memcpy(room, waiters, waiters_count * sizeof(*waiters));
	room += waiters_count * sizeof(*waiters);
	if (bytes_count) {
		memcpy(room, bytes, bytes_count);
		if (bytes_count % 8)
			memset(room + bytes_count, 0, shoal_message_pad(bytes_count) - bytes_count);
	}
	channel->counters.sent[head->kind]++;
}

void shoal_channel_forward(struct shoal_channel *channel, uint8_t member, const struct shoal_message *message)
{
	struct peer *peer = &channel->peers[member];

	if (!peer->link) {
		channel->counters.no_link++;
		return;
	}
	memcpy(message_room(channel, peer, message->length), message, message->length);
	channel->counters.sent[message->kind]++;
}

static void empty_outbox(struct shoal_channel *channel, struct peer *peer)
{
	const void *message;
	uint32_t length;
	uint64_t next;
	void *room;

	while ((message = shoal_byte_queue_at(&peer->outbox, 0, &length, &next)) != NULL) {
		room = frame_room(channel, peer, length);
		if (!room)
			return;
		memcpy(room, message, length);
		peer->open_length += length;
		shoal_byte_queue_pop(&peer->outbox);
	}
}

/* Hands frames that are not acknowledged to a link that is not reliable: new ones, and all again when overdue. */
static void send_unacknowledged(struct shoal_channel *channel, struct peer *peer, uint64_t now_ns)
{
	struct shoal_link *link = peer->link;
	uint64_t offset = 0, next;
	uint32_t length;
	const struct shoal_frame *frame;

	if (peer->was_broken || (peer->unacknowledged_frames && now_ns >= peer->resend_at_ns)) {
		channel->counters.frames_resent += peer->resend_next;
		peer->resend_next = 0;
	}
	peer->was_broken = false;
	for (unsigned i = 0; i < peer->unacknowledged_frames; i++, offset = next) {
		frame = shoal_byte_queue_at(&peer->unacknowledged, offset, &length, &next);
		if (i < peer->resend_next)
			continue;
		struct shoal_frame *room = link->operations->reserve(link, frame->length);

		if (!room)
			break;
		memcpy(room, frame, frame->length);
		room->acknowledged = peer->acknowledged_to = peer->received;
		room->taken = peer->messages_taken;
		link->operations->commit(link, frame->length);
		peer->resend_next = i + 1;
		peer->resend_at_ns = now_ns + channel->config.resend_ns;
	}
}

/* Tells the peer what has come, where no frame did so on its way. */
static void acknowledge(struct shoal_channel *channel, struct peer *peer)
{
	struct shoal_link *link = peer->link;
	struct shoal_frame *frame;

	if (peer->acknowledged_to == peer->received)
		return;
	/* On a reliable link nobody waits for it: only now and then, so that the sender can tell what has been taken. */
	if (link->reliable && peer->received - peer->acknowledged_to < 64)
		return;
	frame = link->operations->reserve(link, sizeof(*frame));
	if (!frame)
		return;
	*frame = (struct shoal_frame){ .magic = SHOAL_FRAME_MAGIC,
		.version = SHOAL_FRAME_VERSION,
		.from = channel->config.self,
		.length = sizeof(*frame),
		.life = channel->config.life,
		.acknowledged = peer->received,
		.taken = peer->messages_taken };
	peer->acknowledged_to = peer->received;
	link->operations->commit(link, sizeof(*frame));
}

/* Asks whether the peer hears us, and answers what it has asked; on the way it is told what has come. */
static void beat(struct shoal_channel *channel, struct peer *peer, uint64_t now_ns)
{
	struct shoal_link *link = peer->link;
	struct shoal_heartbeat_body body;
	struct shoal_frame *frame;
	uint64_t round_trip_ns;

	if (shoal_heartbeat_round_trip(&peer->heartbeat, now_ns, &round_trip_ns))
		shoal_histogram_add(&peer->round_trips, round_trip_ns);
	if (!shoal_heartbeat_due(&peer->heartbeat, now_ns, channel->config.heartbeat_ns))
		return;
	frame = link->operations->reserve(link, sizeof(*frame) + sizeof(body));
	if (!frame)
		return;
	*frame = (struct shoal_frame){ .magic = SHOAL_FRAME_MAGIC,
		.version = SHOAL_FRAME_VERSION,
		.from = channel->config.self,
		.length = sizeof(*frame) + sizeof(body),
		.life = channel->config.life,
		.acknowledged = peer->received,
		.taken = peer->messages_taken };
	peer->acknowledged_to = peer->received;
	body = shoal_heartbeat_say(&peer->heartbeat, now_ns, channel->config.heartbeat_ns);
	memcpy(frame->messages, &body, sizeof(body));
	link->operations->commit(link, frame->length);
	channel->counters.heartbeats_sent++;
}

void shoal_channel_flush(struct shoal_channel *channel, uint64_t now_ns)
{
	for (uint64_t members = channel->attached; members; members &= members - 1) {
		struct peer *peer = &channel->peers[__builtin_ctzll(members)];

		empty_outbox(channel, peer);
		close_frame(channel, peer);
		if (peer->link->state == SHOAL_LINK_UP) {
			if (!peer->link->reliable)
				send_unacknowledged(channel, peer, now_ns);
			beat(channel, peer, now_ns);
			acknowledge(channel, peer);
		} else {
			if (!peer->was_broken)
				shoal_heartbeat_hurry(&peer->heartbeat);
			peer->was_broken = true;
		}
		peer->link->operations->poll(peer->link, now_ns);
	}
}

/* --- Receiving --- */

static void take_acknowledgement(struct peer *peer, uint64_t number)
{
	uint32_t length;
	uint64_t next;
	const struct shoal_frame *frame;

	if (number <= peer->acknowledged_by || number > peer->sent)
		return;
	peer->acknowledged_by = number;
	while (peer->unacknowledged_frames) {
		frame = shoal_byte_queue_at(&peer->unacknowledged, 0, &length, &next);
		if (frame->number > number)
			return;
		shoal_byte_queue_pop(&peer->unacknowledged);
		peer->unacknowledged_frames--;
		if (peer->resend_next)
			peer->resend_next--;
	}
}

static void take_heartbeat(struct shoal_channel *channel, struct peer *peer, const struct shoal_frame *frame)
{
	struct shoal_heartbeat_body body;

	if (frame->length == sizeof(*frame))
		return;
	if (frame->length == sizeof(*frame) + sizeof(body)) {
		memcpy(&body, frame->messages, sizeof(body));
		if (shoal_heartbeat_take(&peer->heartbeat, &body))
			return;
	}
	channel->counters.heartbeats_malformed++;
}

/* Whether the frame is the next one from a live peer. */
static bool frame_wanted(struct shoal_channel *channel, struct peer *peer, uint8_t from,
	const struct shoal_frame *frame, uint32_t length)
{
	struct shoal_channel_counters *counters = &channel->counters;

	if (length < sizeof(*frame) || frame->magic != SHOAL_FRAME_MAGIC || frame->version != SHOAL_FRAME_VERSION ||
		frame->length != length || frame->from != from) {
		counters->frames_malformed++;
		return false;
	}
	if (frame->life != peer->life) {
		counters->frames_other_life++;
		return false;
	}
	counters->frames_received++;
	take_acknowledgement(peer, frame->acknowledged);
	if (frame->taken > peer->taken_by && frame->taken <= peer->messages_sent)
		peer->taken_by = frame->taken;
	if (!frame->number) {
		take_heartbeat(channel, peer, frame);
		return false;
	}
	if (frame->number <= peer->received) {
		/* The peer missed our acknowledgement: say it again. */
		counters->frames_repeated++;
		peer->acknowledged_to = 0;
		return false;
	}
	if (frame->number != peer->received + 1) {
		counters->frames_out_of_order++;
		return false;
	}
	return true;
}

/* Should this worker die, the messages of a member up to here have been handled. */
static void store_marks(struct shoal_channel *channel, uint8_t from, uint64_t number, unsigned index, uint64_t taken)
{
	if (channel->config.taken)
		__atomic_store_n(&channel->config.taken[from], taken, __ATOMIC_RELAXED);
	if (channel->config.received)
		__atomic_store_n(&channel->config.received[from], number << 16 | index, __ATOMIC_RELAXED);
}

void shoal_channel_mark_in_hand(struct shoal_channel *channel)
{
	if (channel->hand.number)
		store_marks(channel, channel->hand.from, channel->hand.number, channel->hand.index + 1,
			channel->peers[channel->hand.from].messages_taken + 1);
}

/* Names the messages from `offset` on to whoever fetches for them; returns the offset of the first that was not named. */
static uint32_t look_ahead(struct shoal_channel *channel, const struct shoal_frame *frame, uint32_t offset, void *owner)
{
	const struct shoal_message *messages[SHOAL_CHANNEL_AHEAD];
	unsigned count = 0, seen = 0;

	for (; seen < SHOAL_CHANNEL_AHEAD && offset + sizeof(struct shoal_message) <= frame->length; seen++) {
		const struct shoal_message *message = (const void *)((const uint8_t *)frame + offset);
		uint32_t length = message->length, key_bytes = message->key_bytes;
		uint8_t class = message->class;

		if (length < sizeof(*message) + key_bytes || length > frame->length - offset)
			break;
		if (key_bytes && class < channel->config.classes_count &&
			key_bytes == channel->config.classes[class]->key_bytes)
			messages[count++] = message;
		offset += length;
	}
	if (count)
		channel->config.ahead(owner, messages, count);
	return seen ? offset : frame->length;
}

static unsigned take_messages(struct shoal_channel *channel, uint8_t from, const struct shoal_frame *frame,
	shoal_channel_receive receive, void *owner)
{
	uint32_t offset = sizeof(*frame), named = channel->config.ahead ? offset : UINT32_MAX;
	uint64_t number = frame->number;
	const char *reason;
	unsigned taken = 0;

	while (offset < frame->length) {
		const struct shoal_message *message = (const void *)((const uint8_t *)frame + offset);

		if (offset >= named)
			named = look_ahead(channel, frame, offset, owner);
		if (!shoal_message_valid(message, frame->length - offset, channel->config.classes,
			    channel->config.classes_count, &reason)) {
			channel->counters.messages_malformed++;
			break;
		}
		channel->counters.received[message->kind]++;
		channel->hand.number = number;
		channel->hand.index = taken;
		channel->hand.from = from;
		receive(owner, from, message);
		offset += message->length;
		taken++;
		channel->peers[from].messages_taken++;
		store_marks(channel, from, number, taken, channel->peers[from].messages_taken);
	}
	channel->hand.number = 0;
	return taken;
}

static unsigned receive_from(
	struct shoal_channel *channel, uint8_t from, unsigned budget, shoal_channel_receive receive, void *owner)
{
	struct peer *peer = &channel->peers[from];
	unsigned taken = 0, bytes = 0;
	uint32_t length;
	const struct shoal_frame *frame;

	while (taken < budget && bytes < RECEIVE_BYTES && peer->link &&
		(frame = peer->link->operations->peek(peer->link, &length)) != NULL) {
		if (frame_wanted(channel, peer, from, frame, length)) {
			peer->received = frame->number;
			taken += take_messages(channel, from, frame, receive, owner);
			bytes += length;
		}
		peer->link->operations->consume(peer->link);
	}
	return taken;
}

unsigned shoal_channel_receive_all(
	struct shoal_channel *channel, unsigned budget, shoal_channel_receive receive, void *owner)
{
	unsigned taken = 0;

	for (uint64_t members = channel->attached; members; members &= members - 1)
		taken += receive_from(channel, (uint8_t)__builtin_ctzll(members), budget, receive, owner);
	return taken;
}

void shoal_channel_drain(struct shoal_channel *channel, uint8_t member, shoal_channel_receive receive, void *owner)
{
	while (receive_from(channel, member, 1u << 20, receive, owner))
		;
}

/* --- What a dead peer never handled --- */

static void take_back_frame(
	const struct shoal_frame *frame, uint64_t mark, shoal_channel_receive take, void *owner, uint8_t member)
{
	uint32_t skip = 0;

	if (!frame->number || (mark != UINT64_MAX && frame->number < mark >> 16))
		return;
	if (mark != UINT64_MAX && frame->number == mark >> 16)
		skip = mark & 0xffff;
	for (uint32_t at = sizeof(*frame); at < frame->length;) {
		const struct shoal_message *message = (const void *)((const uint8_t *)frame + at);

		if (skip)
			skip--;
		else
			take(owner, member, message);
		at += message->length;
	}
}

void shoal_channel_take_back(
	struct shoal_channel *channel, uint8_t member, uint64_t mark, shoal_channel_receive take, void *owner)
{
	struct peer *peer = &channel->peers[member];
	uint64_t offset = 0, next;
	const void *record;
	uint32_t length;
	bool first = true;

	if (!peer->link)
		return;
	close_frame(channel, peer);
	peer->link->operations->poll(peer->link, 0);
	for (; peer->link->operations->untaken &&
		(record = peer->link->operations->untaken(peer->link, first, &length)) != NULL;
		first = false)
		take_back_frame(record, mark, take, owner, member);
	for (unsigned i = 0; i < peer->unacknowledged_frames; i++, offset = next) {
		record = shoal_byte_queue_at(&peer->unacknowledged, offset, &length, &next);
		take_back_frame(record, mark, take, owner, member);
	}
	for (offset = 0; (record = shoal_byte_queue_at(&peer->outbox, offset, &length, &next)) != NULL; offset = next)
		take(owner, member, record);
}

/* --- Looking at it --- */

uint64_t shoal_channel_sent(const struct shoal_channel *channel, uint8_t member)
{
	return channel->peers[member].messages_sent;
}

uint64_t shoal_channel_taken(const struct shoal_channel *channel, uint8_t member)
{
	const struct peer *peer = &channel->peers[member];

	/* Nothing lies between us: all has been taken, whether the peer has said so or not. */
	if (peer->link && peer->link->reliable && peer->link->state == SHOAL_LINK_UP && !peer->open &&
		!shoal_byte_queue_depth(&peer->outbox) && !peer->link->operations->depth(peer->link))
		return peer->messages_sent;
	return peer->taken_by;
}

uint64_t shoal_channel_handled(const struct shoal_channel *channel, uint8_t member)
{
	return channel->peers[member].messages_taken;
}

size_t shoal_channel_waiting(const struct shoal_channel *channel, uint8_t member)
{
	const struct peer *peer = &channel->peers[member];

	return peer->link ? shoal_byte_queue_depth(&peer->outbox) + shoal_byte_queue_depth(&peer->unacknowledged) : 0;
}

uint32_t shoal_channel_under_way(const struct shoal_channel *channel, uint8_t member)
{
	const struct peer *peer = &channel->peers[member];

	return peer->link ? peer->link->operations->depth(peer->link) : 0;
}

bool shoal_channel_takes(const struct shoal_channel *channel, uint8_t member)
{
	const struct peer *peer = &channel->peers[member];

	return peer->link && !shoal_byte_queue_depth(&peer->outbox) &&
	       shoal_byte_queue_depth(&peer->unacknowledged) <= UNTAKEN_BYTES;
}

uint64_t shoal_channel_received_up_to(const struct shoal_channel *channel, uint8_t member)
{
	return channel->peers[member].received;
}

static void visit_frame(const struct shoal_frame *frame, uint32_t length, shoal_channel_visit visit, void *owner)
{
	const struct shoal_message *message;

	for (uint32_t at = sizeof(*frame); at < length; at += message->length) {
		message = (const void *)((const uint8_t *)frame + at);
		visit(owner, frame->number, message);
	}
}

void shoal_channel_visit_waiting(
	const struct shoal_channel *channel, uint8_t member, shoal_channel_visit visit, void *owner)
{
	const struct peer *peer = &channel->peers[member];
	const struct shoal_message *message;
	const struct shoal_frame *frame;
	uint64_t offset = 0, next;
	uint32_t length;

	if (!peer->link)
		return;
	for (unsigned i = 0; i < peer->unacknowledged_frames; i++, offset = next) {
		frame = shoal_byte_queue_at(&peer->unacknowledged, offset, &length, &next);
		visit_frame(frame, frame->length, visit, owner);
	}
	if (peer->open)
		visit_frame(peer->open, peer->open_length, visit, owner);
	for (offset = 0; (message = shoal_byte_queue_at(&peer->outbox, offset, &length, &next)) != NULL; offset = next)
		visit(owner, 0, message);
}

bool shoal_channel_idle(const struct shoal_channel *channel)
{
	for (uint64_t members = channel->attached; members; members &= members - 1) {
		unsigned member = (unsigned)__builtin_ctzll(members);

		if (channel->peers[member].open || shoal_channel_waiting(channel, (uint8_t)member))
			return false;
	}
	return true;
}

const struct shoal_channel_counters *shoal_channel_counters(const struct shoal_channel *channel)
{
	return &channel->counters;
}

void shoal_channel_statistics(const struct shoal_channel *channel, struct shoal_statistics *statistics)
{
	const struct shoal_channel_counters *counters = &channel->counters;
	uint64_t waiting = 0;
	char number[8];

	for (unsigned kind = 1; kind < SHOAL_MESSAGE_KINDS; kind++) {
		const char *name = shoal_message_kind_name(kind);

		shoal_statistics_counter(statistics, "channel_messages_sent_total", "kind", name, counters->sent[kind]);
		shoal_statistics_counter(
			statistics, "channel_messages_received_total", "kind", name, counters->received[kind]);
	}
	for (unsigned member = 0; member < SHOAL_MEMBERS_MAX; member++)
		waiting += shoal_channel_waiting(channel, (uint8_t)member);
	shoal_statistics_gauge(statistics, "channel_waiting_bytes", NULL, NULL, waiting);
	shoal_statistics_gauge(statistics, "channel_outbox_most_bytes", NULL, NULL, counters->outbox_most);
	shoal_statistics_counter(statistics, "channel_frames_sent_total", NULL, NULL, counters->frames_sent);
	shoal_statistics_counter(statistics, "channel_frames_received_total", NULL, NULL, counters->frames_received);
	shoal_statistics_counter(
		statistics, "channel_frames_refused_total", "reason", "repeated", counters->frames_repeated);
	shoal_statistics_counter(
		statistics, "channel_frames_refused_total", "reason", "out_of_order", counters->frames_out_of_order);
	shoal_statistics_counter(
		statistics, "channel_frames_refused_total", "reason", "other_life", counters->frames_other_life);
	shoal_statistics_counter(
		statistics, "channel_frames_refused_total", "reason", "malformed", counters->frames_malformed);
	shoal_statistics_counter(statistics, "channel_frames_resent_total", NULL, NULL, counters->frames_resent);
	shoal_statistics_counter(statistics, "channel_heartbeats_sent_total", NULL, NULL, counters->heartbeats_sent);
	shoal_statistics_counter(statistics, "channel_frames_refused_total", "reason", "malformed_heartbeat",
		counters->heartbeats_malformed);
	shoal_statistics_counter(
		statistics, "channel_messages_refused_total", "reason", "malformed", counters->messages_malformed);
	shoal_statistics_counter(statistics, "channel_messages_refused_total", "reason", "no_link", counters->no_link);
	for (uint64_t members = channel->attached; members; members &= members - 1) {
		unsigned member = (unsigned)__builtin_ctzll(members);

		snprintf(number, sizeof(number), "%u", member);
		shoal_statistics_labelled_histogram(statistics, "channel_round_trip_seconds", "member", number,
			&channel->peers[member].round_trips);
	}
}
