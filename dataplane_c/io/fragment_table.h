/* SPDX-License-Identifier: BSD-3-Clause */
/* Lets later fragments follow the flow of their first one: remembers, for a bounded time, the ports (or ICMP identifier)
 * and the steering slot of each fragmented datagram, and holds fragments that came before their first. */
#ifndef SHOAL_IO_FRAGMENT_TABLE_H
#define SHOAL_IO_FRAGMENT_TABLE_H

#include "io/parse.h"

/* How long a datagram's entry lives. RFC 791 §3.2 lets a receiver wait 15 s, Linux waits 30 s; a middlebox needs no more
 * than the time that fragments need to overtake each other. */
#define SHOAL_FRAGMENT_LIFE_NS (5 * SHOAL_NS_PER_S)
/* Fragments of one datagram that may wait for their first one: 64 KiB at the usual 1480 bytes, and some. */
#define SHOAL_FRAGMENT_HELD_PER_DATAGRAM 64

struct shoal_fragment_table_config {
	uint32_t entries_max; /* datagrams; those without their first fragment may use half of them */
	uint32_t held_max; /* packets, over all datagrams */
	uint64_t hash_seed; /* random: built collisions must not lengthen the chains */
};

enum shoal_fragment_answer {
	SHOAL_FRAGMENT_KNOWN, /* ports, PORTS_KNOWN and steering_slot are set: the packet goes on */
	SHOAL_FRAGMENT_HELD, /* the table owns the packet now */
	SHOAL_FRAGMENT_TABLE_FULL, /* no entry for one more datagram: the caller drops the packet */
	SHOAL_FRAGMENT_HELD_FULL, /* too many wait already: the caller drops the packet */
};

struct shoal_fragment_table;

/* NULL with errno. entries_max and held_max at least 2. */
struct shoal_fragment_table *shoal_fragment_table_create(const struct shoal_fragment_table_config *config);
/* Frees the packets that it holds. */
void shoal_fragment_table_destroy(struct shoal_fragment_table *table);

/* A first fragment, parsed and with its steering slot. It stays the caller's and goes on at once; the packets returned
 * (linked by `next`, in the order in which they came, now the caller's) must go right behind it: their ports and slot are
 * set. Where there is no room for an entry the oldest known datagram makes room. */
struct shoal_packet *shoal_fragment_table_first(struct shoal_fragment_table *table,
	const struct shoal_fragment_key *key, const struct shoal_packet *packet, uint64_t now_ns);

/* A later fragment. */
enum shoal_fragment_answer shoal_fragment_table_later(struct shoal_fragment_table *table,
	const struct shoal_fragment_key *key, struct shoal_packet *packet, uint64_t now_ns);

/* Forgets datagrams whose time is over, at most `budget` of them. Returns the packets that waited in vain (linked by
 * `next`, now the caller's). */
struct shoal_packet *shoal_fragment_table_expire(struct shoal_fragment_table *table, unsigned budget, uint64_t now_ns);

uint32_t shoal_fragment_table_entries(const struct shoal_fragment_table *table);
uint32_t shoal_fragment_table_held(const struct shoal_fragment_table *table); /* packets */

#endif
