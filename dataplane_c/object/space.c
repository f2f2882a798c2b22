/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "object/map_inline.h"
#include "object/wait.h"

/* Messages taken from each peer in one poll, objects looked at for idleness. */
#define RECEIVE_BUDGET 512
#define IDLE_BUDGET 64
/* Entries that are freed in one poll after their objects have come elsewhere; while packets come, and else. */
#define MAILED_BUDGET_BUSY 4
#define MAILED_BUDGET 512

static uint32_t message_bytes_max(const struct shoal_space_config *config)
{
	uint32_t bytes = SHOAL_METHOD_BYTES_MAX;

	for (unsigned i = 0; i < config->classes_count; i++)
		if (config->classes[i]->object_bytes > bytes)
			bytes = config->classes[i]->object_bytes;
	return shoal_message_length(SHOAL_KEY_BYTES_MAX, config->members_max, bytes);
}

/* Room for what the windows of all members allow at once (dso.md, "Memory and credit"). */
static int init_pools(struct shoal_space *space)
{
	const struct shoal_space_config *config = &space->config;
	uint32_t under_way = config->members_max * (config->window + config->microthreads_max);

	return shoal_contention_init(&space->contention, 2 * under_way + config->microthreads_max, 4 * under_way,
		2 * under_way + 1024, message_bytes_max(config));
}

static int init_channel(struct shoal_space *space)
{
	const struct shoal_space_config *config = &space->config;
	/* Answers to all windows, a sweep's bound, and a reorganisation's tokens. */
	size_t outbox = (size_t)config->members_max * (config->window + config->microthreads_max) *
	                        (message_bytes_max(config) + 8) +
	                ((size_t)8 << 20);
	const struct shoal_channel_config channel = { .self = config->self,
		.life = config->life,
		.classes = config->classes,
		.classes_count = config->classes_count,
		.outbox_bytes = outbox,
		.resend_ns = config->resend_ns,
		.heartbeat_ns = config->heartbeat_ns,
		.received = space->image->received,
		.taken = space->image->taken,
		.ahead = shoal_space_ahead_of_messages };

	space->channel = shoal_channel_create(&channel);
	return space->channel ? 0 : -errno;
}

static int init_image(struct shoal_space *space)
{
	const struct shoal_space_config *config = &space->config;
	int error = shoal_view_init(&space->view);

	space->image = shoal_image_create(config->slab_directory, config->self, config->life, config->hash_seed,
		config->classes, config->classes_count, config->objects_max);
	if (!error && !space->image)
		error = -errno;
	/* Written, so that no poll takes a page fault. */
	space->mailed = aligned_alloc(SHOAL_CACHE_LINE, SHOAL_MAILED_ROOM * sizeof(*space->mailed));
	if (space->mailed)
		memset(space->mailed, 0, SHOAL_MAILED_ROOM * sizeof(*space->mailed));
	return error ? error : space->mailed ? 0 : -ENOMEM;
}

int shoal_space_init(struct shoal_space *space, struct shoal_space_context *context,
	const struct shoal_space_config *config, struct shoal_scheduler *scheduler)
{
	int error;

	memset(space, 0, sizeof(*space));
	space->context = context;
	space->config = *config;
	space->scheduler = scheduler;
	error = init_image(space);
	if (!error)
		error = init_pools(space);
	if (!error)
		error = init_channel(space);
	if (!error)
		error = shoal_keyspace_init(&space->keyspace, config->touch);
	space->calls = error ? NULL : shoal_call_table_create(config->window + config->microthreads_max);
	if (!error && !space->calls)
		error = -ENOMEM;
	for (unsigned i = 0; i < config->classes_count && !error; i++)
		error = shoal_map_init(&space->maps[i], config->classes[i], config->objects_max, config->hash_seed,
			config->slab_directory, config->touch && config->classes[i]->pattern == SHOAL_SINGLE_WRITER);
	if (error) {
		shoal_space_fini(space);
		return error;
	}
	context->space = space;
	return 0;
}

void shoal_space_fini(struct shoal_space *space)
{
	for (unsigned i = 0; i < space->config.classes_count; i++)
		shoal_map_fini(&space->maps[i]);
	shoal_view_fini(space);
	shoal_image_destroy(space->image, space->config.slab_directory);
	free(space->mailed);
	space->image = NULL;
	space->mailed = NULL;
	shoal_call_table_destroy(space->calls);
	shoal_keyspace_fini(&space->keyspace);
	shoal_channel_destroy(space->channel);
	shoal_contention_fini(&space->contention);
	space->calls = NULL;
	space->channel = NULL;
	space->config.classes_count = 0;
}

/* --- Sending --- */

static void park_for_myself(struct shoal_space *space, struct shoal_parked *parked)
{
	if (space->loopback_last)
		space->loopback_last->next = parked;
	else
		space->loopback_first = parked;
	space->loopback_last = parked;
}

void shoal_space_forward(struct shoal_space *space, uint8_t member, const struct shoal_message *message)
{
	if (member != space->config.self) {
		shoal_channel_forward(space->channel, member, message);
		return;
	}
	struct shoal_parked *parked = shoal_parked_get(&space->contention, message->length);

	memcpy(&parked->message, message, message->length);
	park_for_myself(space, parked);
}

void shoal_space_send(struct shoal_space *space, uint8_t member, struct shoal_message *head, const void *key,
	const struct shoal_waiter *waiters, unsigned waiters_count, const void *bytes, unsigned bytes_count)
{
	uint32_t key_bytes = key ? space->config.classes[head->class]->key_bytes : 0;
	struct shoal_parked *parked;
	uint8_t *body;

	if (member != space->config.self) {
		shoal_channel_send(space->channel, member, head, key, waiters, waiters_count, bytes, bytes_count);
		return;
	}
	head->key_bytes = (uint16_t)key_bytes;
	head->waiters = (uint8_t)waiters_count;
	head->bytes = (uint16_t)bytes_count;
	head->length = (uint16_t)shoal_message_length(key_bytes, waiters_count, bytes_count);
	parked = shoal_parked_get(&space->contention, head->length);
	parked->message = *head;
	body = parked->message.body;
	if (key)
		memcpy(body, key, key_bytes);
	body += shoal_message_pad(key_bytes);
	if (waiters_count)
		memcpy(body, waiters, waiters_count * sizeof(*waiters));
	if (bytes_count)
		memcpy(body + waiters_count * sizeof(*waiters), bytes, bytes_count);
	park_for_myself(space, parked);
}

void shoal_space_send_to_owner(struct shoal_space *space, uint16_t slot, struct shoal_message *head, const void *key,
	const void *bytes, unsigned bytes_count)
{
	uint8_t owner = shoal_keyspace_route(space, slot);

	if (owner == SHOAL_MEMBER_NONE)
		owner = space->config.self; /* handled as "no map yet": waits in the loopback until there is one */
	shoal_space_send(space, owner, head, key, NULL, 0, bytes, bytes_count);
}

bool shoal_space_owner_ended(const struct shoal_space *space, uint16_t slot)
{
	uint8_t owner = shoal_keyspace_route(space, slot);

	/* While a view changes, somebody else is about to own it. */
	return owner < SHOAL_MEMBERS_MAX && owner != space->config.self && !shoal_space_frozen(space) &&
	       shoal_channel_ended(space->channel, owner);
}

void shoal_space_drain(struct shoal_space *space)
{
	/* What the messages send to me is handled too, but not what has to wait for a map or a room. */
	for (unsigned rounds = 0; space->loopback_first && rounds < 4; rounds++) {
		struct shoal_parked *parked = space->loopback_first;

		space->loopback_first = space->loopback_last = NULL;
		while (parked) {
			struct shoal_parked *next = parked->next;

			shoal_space_handle(space, space->config.self, &parked->message);
			shoal_parked_put(&space->contention, parked);
			parked = next;
		}
	}
}

/* --- Receiving --- */

static void handle_for_key_owner(struct shoal_space *space, const struct shoal_message *message)
{
	const struct shoal_map *map = &space->maps[message->class];
	uint64_t hash = shoal_map_hash(map, shoal_message_key(message));
	uint16_t slot = shoal_map_slot(map, shoal_message_key(message), hash);
	uint8_t owner = shoal_keyspace_route(space, slot);

	if (owner == SHOAL_MEMBER_NONE) {
		shoal_space_forward(space, space->config.self, message); /* no map yet: again at the next poll */
	} else if (owner != space->config.self) {
		space->counters.forwarded += message->origin != space->config.self;
		shoal_space_forward(space, owner, message);
	} else if (message->kind == SHOAL_CALL) {
		shoal_call_handle(space, message);
	} else if (shoal_record_here(space, message->class, shoal_message_key(message), hash, slot)) {
		shoal_record_handle(space, message);
	} else {
		shoal_record_pull(space, message, hash);
	}
}

void shoal_space_handle(void *owner, uint8_t from, const struct shoal_message *message)
{
	struct shoal_space *space = owner;

	if (SHOAL_UNLIKELY(space->view.stage != SHOAL_VIEW_QUIET) && shoal_view_filter(space, from, message))
		return;
	switch (message->kind) {
	case SHOAL_LEASE_REQUEST:
	case SHOAL_PASSED:
	case SHOAL_RETURN:
	case SHOAL_REMOVE:
	case SHOAL_CALL:
		handle_for_key_owner(space, message);
		break;
	case SHOAL_ABSENT:
	case SHOAL_RECALL:
	case SHOAL_GRANT:
	case SHOAL_REMOVED:
		shoal_holder_handle(space, message);
		break;
	case SHOAL_REPLY:
	case SHOAL_CALL_APPLIED:
		shoal_call_answered(space, message);
		break;
	case SHOAL_VIEW_STEP:
	case SHOAL_VIEW_TOKENS:
	case SHOAL_VIEW_MARK:
	case SHOAL_VIEW_CLAIM:
	case SHOAL_VIEW_BYTES:
	case SHOAL_VIEW_DROP:
	case SHOAL_VIEW_ENTER:
		shoal_view_handle(space, from, message);
		break;
	default:
		shoal_keyspace_handle(space, from, message);
	}
}

unsigned shoal_space_poll(struct shoal_space *space, uint64_t now_ns)
{
	unsigned work;

	space->now_ns = now_ns;
	space->now_ms = (uint32_t)(now_ns / SHOAL_NS_PER_MS);
	space->context->context.now_ns = now_ns;
	work = space->settle_count; /* what the last poll has left */
	work += shoal_channel_receive_all(space->channel, RECEIVE_BUDGET, shoal_space_handle, space);
	if (space->loopback_first)
		shoal_space_drain(space);
	shoal_wait_expire(space);
	work += shoal_idle_poll(space, IDLE_BUDGET);
	if (SHOAL_UNLIKELY(space->view.stage != SHOAL_VIEW_QUIET))
		return work + shoal_view_poll(space);
	if (SHOAL_UNLIKELY(space->aftermath.open))
		work += shoal_aftermath_poll(space);
	return work + shoal_keyspace_poll(space);
}

/* The receiver has what was sent: the entry may go. */
static void release_mailed(struct shoal_space *space)
{
	unsigned budget = space->now_ns == space->packets_ns ? MAILED_BUDGET_BUSY : MAILED_BUDGET;

	for (; budget && space->mailed_head != space->mailed_tail; budget--) {
		shoal_space_ahead_of_mailed(space);
		const struct shoal_mailed *mailed = &space->mailed[space->mailed_head % SHOAL_MAILED_ROOM];
		struct shoal_place place = shoal_place_at(space, mailed->class, mailed->entry);
		struct shoal_entry_timer *timer = &place.map->timers[place.index];

		/* To a member that has gone nothing is under way: what was, a view change has dealt with. */
		if (shoal_channel_attached(space->channel, mailed->member) &&
			shoal_channel_taken(space->channel, mailed->member) < mailed->number)
			return;
		space->mailed_head++;
		/* One that was sent again since, or lies here again, stays. */
		if (!(place.entry->flags & SHOAL_ENTRY_MAILED) || timer->bucket ||
			timer->next != (uint32_t)mailed->number || timer->previous != mailed->member)
			continue;
		place.entry->flags &= (uint8_t)~SHOAL_ENTRY_MAILED;
		timer->next = timer->previous = 0;
		shoal_place_tidy(space, &place);
	}
}

void shoal_space_flush(struct shoal_space *space)
{
	shoal_keyspace_background(space);
	/* What I send to myself must not outlive the poll, or marks of "nothing waits" would be wrong. */
	if (space->loopback_first)
		shoal_space_drain(space);
	if (space->settle_count && !shoal_space_frozen(space))
		shoal_holder_settle_all(space);
	for (; space->applied_members; space->applied_members &= space->applied_members - 1) {
		uint8_t member = (uint8_t)__builtin_ctzll(space->applied_members);
		struct shoal_message head = { .kind = SHOAL_CALL_APPLIED,
			.origin = space->config.self,
			.holder = SHOAL_MEMBER_NONE,
			.granted = space->applied[member] };

		space->applied[member] = 0;
		shoal_space_send(space, member, &head, NULL, NULL, 0, NULL, 0);
	}
	if (space->loopback_first)
		shoal_space_drain(space);
	shoal_channel_flush(space->channel, space->now_ns);
	if (space->mailed_head != space->mailed_tail)
		release_mailed(space);
}

/* --- Places --- */

struct shoal_place shoal_place_make(struct shoal_space *space, uint8_t class, const void *key, uint64_t hash)
{
	struct shoal_place place = shoal_place_find(space, class, key, hash);

	return place.entry ? place : shoal_place_at(space, class, shoal_map_insert(&space->maps[class], key, hash));
}

void shoal_place_mailed(struct shoal_space *space, struct shoal_place *place, uint8_t member)
{
	struct shoal_mailed *mailed = &space->mailed[space->mailed_tail % SHOAL_MAILED_ROOM];

	if (member == space->config.self || space->mailed_tail - space->mailed_head == SHOAL_MAILED_ROOM)
		return;
	*mailed = (struct shoal_mailed){ .number = shoal_channel_sent(space->channel, member),
		.entry = place->index,
		.class = place->class,
		.member = member };
	space->mailed_tail++;
	/* Whoever finds the entry in the slab of a dead worker knows thereby whether the receiver has had it. */
	shoal_idle_disarm(space, place);
	place->map->timers[place->index].next = (uint32_t)mailed->number;
	place->map->timers[place->index].previous = member;
	place->entry->flags |= SHOAL_ENTRY_MAILED;
}

/* Bytes are read one by one, as they were written. One wide load over narrow stores that were just made waits until these, and
 * all before them, have reached the cache; and those before may lie in a ring's lines, which the peer has. */
static bool in_use(const struct shoal_place *place)
{
	const struct shoal_entry *entry = place->entry;

	return __atomic_load_n(&entry->handle, __ATOMIC_RELAXED) != SHOAL_HANDLE_ABSENT ||
	       __atomic_load_n(&entry->record, __ATOMIC_RELAXED) != SHOAL_RECORD_NONE ||
	       __atomic_load_n(&entry->flags, __ATOMIC_RELAXED) & SHOAL_ENTRY_MAILED || place->lease->contention;
}

void shoal_place_tidy(struct shoal_space *space, struct shoal_place *place)
{
	if (!place->entry)
		return;
	if (place->lease->contention &&
		shoal_contention_empty(&space->contention.contentions[place->lease->contention])) {
		shoal_contention_put(&space->contention, place->lease->contention);
		place->lease->contention = 0;
	}
	if (in_use(place))
		return;
	shoal_idle_disarm(space, place);
	shoal_map_remove(place->map, place->index);
	place->entry = NULL;
}

struct shoal_contention *shoal_place_contention(struct shoal_space *space, struct shoal_place *place)
{
	if (!place->lease->contention)
		place->lease->contention = shoal_contention_get(&space->contention);
	return &space->contention.contentions[place->lease->contention];
}
