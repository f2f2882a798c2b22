/* SPDX-License-Identifier: BSD-3-Clause */
/* Entries lie in an array, found by chained hashing, and stand in one of two lists: KNOWN (the first fragment has come)
 * or WAITING (it has not; fragments are held). Each list is in the order of the deadlines, because every entry joins at
 * the end with the same life to come, so that expiry looks at the two heads only.
 *
 *   event            from      to        what happens
 *   first            none      KNOWN     an entry is made; if none is free, the oldest KNOWN one makes room
 *   first            WAITING   KNOWN     the held packets follow the first
 *   first            KNOWN     KNOWN     identification used again: newest ports count, life starts anew
 *   later            none      WAITING   the packet is held (not beyond half of the entries)
 *   later            WAITING   WAITING   the packet is held (within the bounds)
 *   later            KNOWN     KNOWN     the packet goes on
 *   expire           KNOWN     none
 *   expire           WAITING   none      the held packets are dropped by the caller
 *   forbidden: KNOWN -> WAITING, and eviction of a WAITING entry. */
#include "io/fragment_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "io/port.h"

#define NO_ENTRY UINT32_MAX

struct entry {
	struct shoal_fragment_key key;
	uint32_t chain; /* next entry of the bucket, or of the free list */
	uint32_t before, after; /* in its list */
	bool known;
	uint8_t steering_slot;
	uint16_t source_port, destination_port; /* network order */
	uint16_t held;
	uint64_t deadline_ns;
	struct shoal_packet *first, *last; /* owns: held packets */
};

struct list {
	uint32_t head, tail;
	uint32_t length;
};

/* writer: splitter, readers: control (lengths) */
struct shoal_fragment_table {
	struct entry *entries;
	uint32_t *buckets;
	uint32_t bucket_mask;
	uint32_t free;
	uint32_t waiting_max;
	uint32_t held, held_max;
	uint64_t hash_seed;
	struct list known, waiting;
};

static void list_append(struct shoal_fragment_table *table, struct list *list, uint32_t index)
{
	struct entry *entry = &table->entries[index];

	entry->before = list->tail;
	entry->after = NO_ENTRY;
	if (list->tail == NO_ENTRY)
		list->head = index;
	else
		table->entries[list->tail].after = index;
	list->tail = index;
	list->length++;
}

static void list_remove(struct shoal_fragment_table *table, struct list *list, uint32_t index)
{
	struct entry *entry = &table->entries[index];

	if (entry->before == NO_ENTRY)
		list->head = entry->after;
	else
		table->entries[entry->before].after = entry->after;
	if (entry->after == NO_ENTRY)
		list->tail = entry->before;
	else
		table->entries[entry->after].before = entry->before;
	list->length--;
}

static uint32_t *bucket_of(struct shoal_fragment_table *table, const struct shoal_fragment_key *key)
{
	return &table->buckets[XXH3_64bits_withSeed(key, sizeof(*key), table->hash_seed) & table->bucket_mask];
}

static uint32_t find(struct shoal_fragment_table *table, const struct shoal_fragment_key *key)
{
	uint32_t index = *bucket_of(table, key);

	while (index != NO_ENTRY && memcmp(&table->entries[index].key, key, sizeof(*key)) != 0)
		index = table->entries[index].chain;
	return index;
}

/* Takes the entry out of bucket and list; what it holds goes to the caller. */
static struct shoal_packet *entry_end(struct shoal_fragment_table *table, uint32_t index)
{
	struct entry *entry = &table->entries[index];
	uint32_t *link = bucket_of(table, &entry->key);
	struct shoal_packet *held = entry->first;

	while (*link != index)
		link = &table->entries[*link].chain;
	*link = entry->chain;
	list_remove(table, entry->known ? &table->known : &table->waiting, index);
	table->held -= entry->held;
	entry->first = entry->last = NULL;
	entry->held = 0;
	entry->chain = table->free;
	table->free = index;
	return held;
}

/* A new entry in its bucket and list, or NO_ENTRY. */
static uint32_t entry_begin(struct shoal_fragment_table *table, const struct shoal_fragment_key *key, bool known)
{
	uint32_t index, *bucket;

	if (!known && table->waiting.length >= table->waiting_max)
		return NO_ENTRY;
	/* Those that wait can't use up all entries, so that the list of the known ones isn't empty here. */
	if (table->free == NO_ENTRY)
		(void)entry_end(table, table->known.head);
	index = table->free;
	table->free = table->entries[index].chain;
	bucket = bucket_of(table, key);
	table->entries[index] = (struct entry){ .key = *key, .chain = *bucket, .known = known };
	*bucket = index;
	list_append(table, known ? &table->known : &table->waiting, index);
	return index;
}

static void adopt_flow(const struct entry *entry, struct shoal_packet *packet)
{
	packet->tuple.source_port = entry->source_port;
	packet->tuple.destination_port = entry->destination_port;
	packet->flags |= SHOAL_PACKET_PORTS_KNOWN;
	packet->steering_slot = entry->steering_slot;
}

struct shoal_packet *shoal_fragment_table_first(struct shoal_fragment_table *table,
	const struct shoal_fragment_key *key, const struct shoal_packet *packet, uint64_t now_ns)
{
	uint32_t index = find(table, key);
	struct shoal_packet *held;
	struct entry *entry;

	if (index == NO_ENTRY) {
		index = entry_begin(table, key, true);
	} else {
		list_remove(table, table->entries[index].known ? &table->known : &table->waiting, index);
		list_append(table, &table->known, index);
	}
	entry = &table->entries[index];
	entry->known = true;
	entry->steering_slot = packet->steering_slot;
	entry->source_port = packet->tuple.source_port;
	entry->destination_port = packet->tuple.destination_port;
	entry->deadline_ns = now_ns + SHOAL_FRAGMENT_LIFE_NS;
	held = entry->first;
	for (struct shoal_packet *waited = held; waited != NULL; waited = waited->next)
		adopt_flow(entry, waited);
	table->held -= entry->held;
	entry->first = entry->last = NULL;
	entry->held = 0;
	return held;
}

enum shoal_fragment_answer shoal_fragment_table_later(struct shoal_fragment_table *table,
	const struct shoal_fragment_key *key, struct shoal_packet *packet, uint64_t now_ns)
{
	uint32_t index = find(table, key);
	struct entry *entry;

	if (index != NO_ENTRY && table->entries[index].known) {
		adopt_flow(&table->entries[index], packet);
		return SHOAL_FRAGMENT_KNOWN;
	}
	if (table->held >= table->held_max)
		return SHOAL_FRAGMENT_HELD_FULL;
	if (index == NO_ENTRY) {
		index = entry_begin(table, key, false);
		if (index == NO_ENTRY)
			return SHOAL_FRAGMENT_TABLE_FULL;
		table->entries[index].deadline_ns = now_ns + SHOAL_FRAGMENT_LIFE_NS;
	}
	entry = &table->entries[index];
	if (entry->held >= SHOAL_FRAGMENT_HELD_PER_DATAGRAM)
		return SHOAL_FRAGMENT_HELD_FULL;
	packet->next = NULL;
	if (entry->last == NULL)
		entry->first = packet;
	else
		entry->last->next = packet;
	entry->last = packet;
	entry->held++;
	table->held++;
	return SHOAL_FRAGMENT_HELD;
}

struct shoal_packet *shoal_fragment_table_expire(struct shoal_fragment_table *table, unsigned budget, uint64_t now_ns)
{
	struct shoal_packet *dropped = NULL, **end = &dropped;
	unsigned left = budget;

	for (; left > 0 && table->known.length > 0 && table->entries[table->known.head].deadline_ns <= now_ns; left--)
		(void)entry_end(table, table->known.head);
	for (; left > 0 && table->waiting.length > 0 && table->entries[table->waiting.head].deadline_ns <= now_ns;
		left--) {
		*end = entry_end(table, table->waiting.head);
		while (*end != NULL)
			end = &(*end)->next;
	}
	return dropped;
}

static void table_clear(struct shoal_fragment_table *table, uint32_t entries_max)
{
	for (uint32_t i = 0; i < entries_max; i++)
		table->entries[i].chain = i + 1 < entries_max ? i + 1 : NO_ENTRY;
	for (uint32_t i = 0; i <= table->bucket_mask; i++)
		table->buckets[i] = NO_ENTRY;
	table->free = 0;
	table->known = table->waiting = (struct list){ .head = NO_ENTRY, .tail = NO_ENTRY };
}

struct shoal_fragment_table *shoal_fragment_table_create(const struct shoal_fragment_table_config *config)
{
	struct shoal_fragment_table *table;
	uint32_t buckets = 2;

	if (config->entries_max < 2 || config->entries_max > 1U << 24 || config->held_max < 2) {
		errno = EINVAL;
		return NULL;
	}
	while (buckets < config->entries_max)
		buckets *= 2;
	table = calloc(1, sizeof(*table));
	if (table == NULL)
		return NULL;
	table->entries = calloc(config->entries_max, sizeof(*table->entries));
	table->buckets = calloc(buckets, sizeof(*table->buckets));
	if (table->entries == NULL || table->buckets == NULL) {
		shoal_fragment_table_destroy(table);
		errno = ENOMEM;
		return NULL;
	}
	table->bucket_mask = buckets - 1;
	table->waiting_max = config->entries_max / 2;
	table->held_max = config->held_max;
	table->hash_seed = config->hash_seed;
	table_clear(table, config->entries_max);
	return table;
}

void shoal_fragment_table_destroy(struct shoal_fragment_table *table)
{
	struct shoal_packet *packet, *next;

	if (table == NULL)
		return;
	for (packet = table->buckets == NULL ? NULL : shoal_fragment_table_expire(table, UINT32_MAX, UINT64_MAX);
		packet != NULL; packet = next) {
		next = packet->next;
		shoal_packet_free(packet);
	}
	free(table->buckets);
	free(table->entries);
	free(table);
}

uint32_t shoal_fragment_table_entries(const struct shoal_fragment_table *table)
{
	return table->known.length + table->waiting.length;
}

uint32_t shoal_fragment_table_held(const struct shoal_fragment_table *table)
{
	return table->held;
}
