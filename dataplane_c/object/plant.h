/* SPDX-License-Identifier: BSD-3-Clause */
/* A second build of the library, for the simulator alone, can break one rule of the protocol for each of its properties P1
 * to P10, to see that the checkers notice. In the library itself SHOAL_PLANT is false and nothing is left of it. */
#ifndef SHOAL_OBJECT_PLANT_H
#define SHOAL_OBJECT_PLANT_H

/* Beyond the properties: rules that matter when members die and, the last two, when steering slots move. Whatever property breaks,
 * the bug counts as found. */
enum shoal_planted_rule {
	SHOAL_PLANT_TOKENS_NOT_COUNTED = 11, /* minted although somebody reported the token */
	SHOAL_PLANT_LOWER_LEASE_ADOPTED, /* an adopter takes what it finds, whatever is known to be newer */
	SHOAL_PLANT_MAIL_COUNTED_TWICE, /* what a receiver had handled is reported from the sender's slab all the same */
	SHOAL_PLANT_NO_FLUSH, /* tokens are counted while others still send */
	SHOAL_PLANT_HALF_WRITTEN_ADOPTED, /* what was being written counts unchecked */
	SHOAL_PLANT_CLAIMS_KEPT, /* a second death keeps what was claimed before */
	SHOAL_PLANT_OLD_TERM, /* an older controller is obeyed */
	SHOAL_PLANT_MAIL_REPLAYED, /* what the dead had handled is taken back too */
	SHOAL_PLANT_ADOPTED_USED_AT_ONCE, /* before the view is complete */
	SHOAL_PLANT_DROP_IGNORED, /* who claimed in vain goes on */
	SHOAL_PLANT_LEGACY_NOT_VOID, /* slabs count again that were adopted in a completed view */
	SHOAL_PLANT_GAP_AFTER_DEATH, /* calls wait for those that have gone with the dead */
	SHOAL_PLANT_NOTHING_LOST, /* records whose holder is gone stay */
	SHOAL_PLANT_CALLS_FORGOTTEN, /* untethered ones that the dead never handled are not taken back from lossy links */
	SHOAL_PLANT_CALLS_ALL_END, /* every call that is under way ends, whoever has it */
	SHOAL_PLANT_CALLS_WHILE_FROZEN, /* sent by who is given a place in the window while a view changes */
	SHOAL_PLANT_RETURN_NOT_KEPT, /* an object that was returned lies in memory alone while its record waits for a PASSED */
	SHOAL_PLANT_WAITERS_COME_BACK, /* those that came with moved records while a view changed are still waited for */
	SHOAL_PLANT_MARKER_BEFORE_RECORDS, /* a steering slot's marker is given back as soon as its packets have gone */
	SHOAL_PLANT_SWEPT_TOO_EARLY, /* SWEPT of a steering slot while records of it are still here */
};

#ifdef SHOAL_PLANTED_BUILD
extern unsigned shoal_planted_bug;
#define SHOAL_PLANT(property) (shoal_planted_bug == (property))
#else
#define SHOAL_PLANT(property) false
#endif

#endif
