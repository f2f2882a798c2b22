/* SPDX-License-Identifier: BSD-3-Clause */
/* What of a worker outlives its process beside the class slabs: what it has received of each peer, and what it was writing. Another worker of the host reads it when this one has died (adopt.c). Mapped shared; stores are in
 * the program's order, and a process that ends without warning leaves every one that it has made. */
#ifndef SHOAL_OBJECT_IMAGE_H
#define SHOAL_OBJECT_IMAGE_H

#include "object/map.h"

#define SHOAL_IMAGE_MAGIC UINT64_C(0x6c616f68736d6167)
#define SHOAL_IMAGE_VERSION 5

#define SHOAL_WRITING_LISTS 3
#define SHOAL_WRITING_SOME 2 /* the one where that is not all of a burst */

/* writer: the worker; afterwards its adopter (resumed_view). */
struct shoal_image {
	uint64_t magic; /* written last */
	uint32_t version;
	uint32_t classes_count;
	uint64_t layout; /* checksum over classes and structures: another layout is refused, never misread */
	uint64_t life;
	uint64_t hash_seed;
	uint32_t member;
	uint32_t objects_max;
	uint64_t resumed_view; /* the view in which this worker's objects were adopted; 0: none */
	uint64_t checking; /* not 0: not all objects had been looked at after a loss */
	/* Packets in hand: writing_count entries of the class `writing_class`, in one of the lists: the candidates of either burst, or
	 * those of its packets whose objects were at rest, or have been fetched. And the object that a call is being applied to. */
	uint32_t writing_class, writing_count, writing_list;
	uint32_t writing[SHOAL_WRITING_LISTS][SHOAL_BURST_MAX];
	uint32_t applying_class, applying_entry; /* entry 0: none */
	/* By member: number of the frame being taken << 16 | messages of it that have been handled. */
	uint64_t received[SHOAL_MEMBERS_MAX];
	uint64_t taken[SHOAL_MEMBERS_MAX]; /* messages of that member that have been handled, in all */
};

/* Maps a fresh one; directory NULL: memory without a file. NULL with errno. */
struct shoal_image *shoal_image_create(const char *directory, uint32_t member, uint64_t life, uint64_t hash_seed,
	const struct shoal_class *const *classes, unsigned classes_count, uint32_t objects_max);
/* Unmaps, and removes the file. */
void shoal_image_destroy(struct shoal_image *image, const char *directory);

/* A dead worker's image and slabs, as its adopter sees them. */
struct shoal_legacy {
	struct shoal_image *image; /* owns the mapping */
	struct shoal_map maps[SHOAL_CLASSES_MAX]; /* slabs only; no buckets */
	unsigned classes_count;
};

/* Opens what a worker left. -ENOENT: nothing lies there. -EPROTO, with the reason (static text): another version or layout,
 * another life, or files of another size. */
SHOAL_MUST_USE int shoal_legacy_open(struct shoal_legacy *legacy, const char *directory, uint64_t life,
	const struct shoal_class *const *classes, unsigned classes_count, const char **reason);
/* Unmaps; `remove`: the files go too (all has been adopted). */
void shoal_legacy_close(struct shoal_legacy *legacy, const char *directory, bool remove);

#endif
