/* SPDX-License-Identifier: BSD-3-Clause */
/* Members that die: when and where in the code (sim_trap.c), what stays of them, and what the ledger makes of it. */
#ifndef SIM_DEATH_H
#define SIM_DEATH_H

#include <shoal/types.h>

struct sim_world;
struct sim_member;

/* A member whose process has ended, until a view change has dealt with it. */
struct sim_corpse {
	bool lies_here, noticed;
	bool usable; /* its slabs can be adopted */
	uint64_t life;
	uint64_t died_ns, notice_ns;
	uint64_t received[SHOAL_MEMBERS_MAX]; /* what its image says of each peer */
	char directory[64];
};

struct sim_deaths {
	struct sim_corpse corpses[SHOAL_MEMBERS_MAX];
	unsigned left; /* kills that are still to come */
	uint64_t next_ns; /* of the next one */
	uint64_t latest_ns; /* when somebody died, or all had recovered */
	unsigned done, objects_torn, slabs_lost;
	/* Every slab was adopted, and nothing was under way that a link could lose: then nothing may be lost. */
	bool exact;
	uint64_t recovering_ns; /* since when somebody is dead and no view has dealt with it; 0: all live */
	uint64_t recovered_ns; /* all such times, in sum */
	unsigned views;
	/* What survivors reported, in sum; of those that died since, too. */
	uint64_t adopted, checked, rejected, lost, rolled_back;
	uint64_t vanished, went_back; /* objects that the ledger missed, or found in an earlier state */
};

/* Where the slabs of a member's present life lie; NULL: this world has no deaths. */
const char *sim_slab_directory(struct sim_world *world, const struct sim_member *member);
/* Removes what a life has left. */
void sim_slab_remove(const char *directory);
/* A member goes, and with it what it has counted. */
void sim_deaths_keep_counts(struct sim_world *world, const struct sim_member *member);
/* Chooses who dies next, when its time has come. */
void sim_deaths_poll(struct sim_world *world);
/* The member's process ends here and now. */
void sim_kill(struct sim_world *world, struct sim_member *member);
/* Survivors are being told: a key counts as named while a record of theirs names it. */
void sim_deaths_told(struct sim_world *world);
/* Some of the dead are buried. */
void sim_deaths_recovered(struct sim_world *world);
/* All that died are buried, and nobody is to die. */
bool sim_deaths_over(const struct sim_world *world);
void sim_deaths_fini(struct sim_world *world);

/* How long the world has been without somebody who had died, and how often. */
struct sim_recoveries {
	uint64_t lasted_ns;
	unsigned views; /* begun */
};
struct sim_recoveries sim_recoveries(const struct sim_world *world);

/* sim_trap.c: runs it; where the member is doomed, its process may end anywhere in the library's code. False: it did. */
bool sim_mortal_run(struct sim_member *member, void (*run)(void *argument), void *argument);
void sim_code_end(void);

#endif
