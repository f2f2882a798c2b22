/* SPDX-License-Identifier: BSD-3-Clause */
/* Spreads packets over instances by steering slot, and brings their output back. A component: advances by poll alone, in
 * this order:
 *
 *     members' rings → output queues of the ports, or in again (verdict re-enter)     splitter_output.c
 *     markers, and parked packets of redirected slots → members' rings                splitter_redirect.c
 *     ports → parse → fragment table → steering key → slot → member's ring            splitter_input.c
 *
 * A member's full ring costs packets of its own steering slots alone (drop `instance_ring_full`). The splitter does not
 * stop reading its ports for it: what waited there would be other members' packets too.
 *
 * What is declared here runs in the polling thread, or between two polls; the functions for the control thread are in
 * shoal/dataplane.h and, for ports that are there already, at the end of this file. */
#ifndef SHOAL_IO_SPLITTER_H
#define SHOAL_IO_SPLITTER_H

#include <shoal/dataplane.h>
#include <shoal/nf.h>

#include "io/fragment_table.h"
#include "io/packet_ring.h"
#include "io/steering.h"

/* Packets that may wait for room in one port. A power of two. */
#define SHOAL_SPLITTER_OUTPUT_MAX 512

/* Why a packet ended here, beside the parser's reasons. */
enum shoal_splitter_drop {
	SHOAL_SPLITTER_NO_PORT, /* a verdict names an NF port that is not there */
	SHOAL_SPLITTER_PORT_FULL,
	SHOAL_SPLITTER_NO_TABLE,
	SHOAL_SPLITTER_UNKNOWN_MEMBER, /* the steering slot's member was detached */
	SHOAL_SPLITTER_INSTANCE_RING_FULL,
	SHOAL_SPLITTER_INSTANCE_RING_BROKEN, /* the member wrote what none of ours writes */
	SHOAL_SPLITTER_INSTANCE_DIED, /* was in the rings of a member when it was detached */
	SHOAL_SPLITTER_PARKED_OVERFLOW,
	SHOAL_SPLITTER_FRAGMENT_TABLE_FULL,
	SHOAL_SPLITTER_FRAGMENT_HELD_OVERFLOW,
	SHOAL_SPLITTER_FRAGMENT_TIMEOUT, /* its first fragment did not come within 5 s */
	SHOAL_SPLITTER_DROPS,
};

struct shoal_splitter_setup {
	const struct shoal_nf *nf; /* borrows */
	uint32_t parked_max;
	uint32_t fragments_max; /* entries, and packets held */
	uint64_t hash_seed;
};

struct shoal_splitter_port {
	struct shoal_port *port; /* owns; NULL: none */
	uint32_t head, tail; /* of queue; only grow */
	struct shoal_packet *queue[SHOAL_SPLITTER_OUTPUT_MAX]; /* owns */
};

struct shoal_splitter_member {
	struct shoal_packet_ring *ring; /* owns; NULL: not attached */
	struct shoal_port *port; /* the ring's */
	unsigned batch_count;
	struct shoal_packet *batch[SHOAL_BURST_MAX]; /* owns; empty between two polls */
	/* Of all lives of this member number. Sent less returned less lost: inside, or dropped there by its own count. */
	uint64_t sent;
	uint64_t returned;
	uint64_t lost; /* in rings that are gone: counted there as instance_died or malformed */
	uint64_t ring_full;
};

/* writer: the polling thread, readers: control (counters) */
struct shoal_splitter {
	const struct shoal_nf *nf; /* borrows */
	struct shoal_fragment_table *fragments; /* owns */
	uint64_t attached; /* set of members */
	uint64_t touched; /* set of members whose ring has unflushed records */
	uint64_t received, transmitted, reentered;
	uint64_t drops[SHOAL_SPLITTER_DROPS];
	uint64_t parse_drops[SHOAL_PARSE_RESULTS];
	uint64_t malformed_before; /* records refused from rings that are gone */
	struct shoal_steering steering;
	struct shoal_splitter_member members[SHOAL_MEMBERS_MAX];
	struct shoal_splitter_port ports[SHOAL_NF_PORTS_MAX];
};

/* 0, -EINVAL (a bound that can't be, an incomplete NF) or -ENOMEM. */
SHOAL_MUST_USE int shoal_splitter_init(struct shoal_splitter *splitter, const struct shoal_splitter_setup *setup);
/* Frees all packets inside, destroys ports and rings. */
void shoal_splitter_fini(struct shoal_splitter *splitter);
/* Returns the work done, in packets and markers. */
unsigned shoal_splitter_poll(struct shoal_splitter *splitter, uint64_t now_ns);

/* `port` is the splitter's from now on. -EINVAL: the NF has no such port; -EEXIST: it has one. */
SHOAL_MUST_USE int shoal_splitter_port_add(struct shoal_splitter *splitter, uint8_t nf_port, struct shoal_port *port);
/* `ring` (side 0) is the splitter's from now on. -EINVAL, -EEXIST. */
SHOAL_MUST_USE int shoal_splitter_member_add(
	struct shoal_splitter *splitter, uint16_t member, struct shoal_packet_ring *ring);
/* Takes in what the member has put out, voids its markers, and counts what is left in its rings as `instance_died`. The
 * ring is the caller's (to destroy, outside of the data path). -ENOENT: not attached. */
SHOAL_MUST_USE int shoal_splitter_member_remove(
	struct shoal_splitter *splitter, uint16_t member, uint64_t now_ns, struct shoal_packet_ring **ring);

/* As shoal_splitter_set_table: -ENOENT: *slot names a member that is not attached; -EEXIST as shoal_steering_assign. */
SHOAL_MUST_USE int shoal_splitter_table_assign(struct shoal_splitter *splitter, const uint8_t *members, unsigned *slot);
/* As shoal_splitter_redirect: -ENOENT: no such member; -EBUSY: *slot is under redirection already. */
SHOAL_MUST_USE int shoal_splitter_slots_redirect(struct shoal_splitter *splitter,
	const struct shoal_steering_set *slots, uint16_t member, uint64_t now_ns, unsigned *slot);
void shoal_splitter_progress_read(
	struct shoal_splitter *splitter, bool reset, struct shoal_redirect_progress *progress);

/* The books: received = transmitted + dropped + inside + at_members, between any two polls. */
struct shoal_splitter_balance {
	uint64_t received; /* from the ports */
	uint64_t transmitted; /* by the ports */
	uint64_t dropped; /* all named drops of the splitter */
	uint64_t inside; /* parked, held fragments, waiting for a port */
	int64_t at_members; /* sent to members and not returned: inside them, dropped or held there; theirs to name */
};
void shoal_splitter_balance_read(const struct shoal_splitter *splitter, struct shoal_splitter_balance *balance);
const char *shoal_splitter_drop_name(enum shoal_splitter_drop drop);
/* Rows of shoal_splitter_statistics. */
void shoal_splitter_rows(const struct shoal_splitter *splitter, struct shoal_statistics *statistics);

/* --- Control thread ----------------------------------------------------------------------------------------------- */

/* As shoal_splitter_attach_port, for a port that is there already (the generator's). On an error it stays the caller's. */
SHOAL_MUST_USE int shoal_splitter_attach_given_port(
	struct shoal_splitter *splitter, uint8_t nf_port, struct shoal_port *port);

#endif
