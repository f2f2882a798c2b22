/* SPDX-License-Identifier: BSD-3-Clause */
/* What one worker knows of one key: the handle (as somebody who uses the object), the key record (as its key owner), the
 * key and the bytes. The hot part shares its first cache line with the key and the object's head; what belongs to the
 * lease lies in the entry's last bytes where the class leaves them free, else in an array of its own, as the timers do.
 * 48 bytes in all.
 *
 * Handle (dso.md, "Names"):
 *     ABSENT  -> WAITING   a microthread asked for it (LEASE_REQUEST is under way)
 *     WAITING -> HELD      GRANT came
 *     WAITING -> ABSENT    the key owner answered ABSENT, and nobody here wants it made
 *     HELD    -> ABSENT    passed on (GRANT sent) or returned (RETURN sent); never with references > 0
 *     HELD    -> REMOVING  removed here (REMOVE sent)
 *     REMOVING-> ABSENT    REMOVED came; local waiters then ask anew
 * KEPT is HELD with no references: the lease stays, which is why local access costs no message.
 *
 * Record (key owner only):
 *     NONE -> LEASED -> RECALLED -> LEASED …, LEASED | RECALLED -> FREE (RETURN came) -> LEASED, any -> NONE (removed, or
 *     handed over with its slot). NONE -> PULLING -> any: asked of the previous owner. SHARED: a multi-writer object, which
 *     lives at its key owner. */
#ifndef SHOAL_OBJECT_ENTRY_H
#define SHOAL_OBJECT_ENTRY_H

#include <shoal/types.h>

enum shoal_handle { SHOAL_HANDLE_ABSENT, SHOAL_HANDLE_WAITING, SHOAL_HANDLE_HELD, SHOAL_HANDLE_REMOVING };

enum shoal_record {
	SHOAL_RECORD_NONE,
	SHOAL_RECORD_FREE,
	SHOAL_RECORD_LEASED,
	SHOAL_RECORD_RECALLED,
	SHOAL_RECORD_PULLING,
	SHOAL_RECORD_SHARED,
};

enum shoal_entry_flag {
	SHOAL_ENTRY_RECALLED = 1 << 0, /* somebody waits for this object: pass it on when references are zero */
	SHOAL_ENTRY_FRESH =
		1 << 1, /* made, but its maker has not all that it asked for yet; for others there is none */
	/* A packet with this declared key may be suspended here: packets look in the flow table before they take the fast way.
	 * Set when the object comes and when a packet is suspended, taken back by the first packet that finds nothing there. */
	SHOAL_ENTRY_FLOWS = 1 << 5,
	SHOAL_ENTRY_MAILED = 1 << 2, /* its bytes are on their way: they stay here until the receiver has them */
	SHOAL_ENTRY_ADOPTED = 1 << 3, /* of a dead worker; not used before the view is complete (RECALLED is set too) */
	SHOAL_ENTRY_BACK = 1 << 6, /* the record knew of a newer lease, which nobody has claimed yet */
	SHOAL_ENTRY_UNCLAIMED = 1 << 7, /* the record is LEASED; nobody has said in this view that he is the holder */
	/* The record's object was mail: at the same lease a live holder beats it. Of a record that is LEASED: its object has been
	 * returned and lies here, but a PASSED is missing before that counts. */
	SHOAL_ENTRY_MAIL = 1 << 4,
};

/* writer: worker. The slab outlives the process: no pointers. */
struct shoal_entry {
	uint8_t handle; /* enum shoal_handle */
	uint8_t flags; /* enum shoal_entry_flag */
	uint8_t record; /* enum shoal_record */
	uint8_t holder; /* member, where record is LEASED or RECALLED */
	uint16_t references; /* of local microthreads */
	uint16_t slot;
	uint32_t hash; /* low half of the key's hash */
	uint32_t used_ms; /* last use, in the worker's milliseconds */
	uint8_t bytes[]; /* key, padded to 8; then the object */
};

/* Aligned to four bytes, so that it fits between an object and the end of a cache line, where the incarnation is aligned to eight. */
struct shoal_entry_lease {
	uint32_t request; /* number of the request that is under way, or under which the lease was obtained */
	uint32_t number;
	uint32_t contention; /* index, 0: nobody waits for anything here */
	uint64_t incarnation;
} __attribute__((packed, aligned(4)));

/* In the idle wheel; `next` also links free entries. MAILED, and not armed: number of the message, and its receiver. */
struct shoal_entry_timer {
	uint32_t next, previous;
	uint32_t bucket; /* where it is armed + 1; 0: not armed */
};

_Static_assert(sizeof(struct shoal_entry) + sizeof(struct shoal_entry_lease) + sizeof(struct shoal_entry_timer) == 48,
	"48 bytes for each object");

#endif
