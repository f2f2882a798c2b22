/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "object/image.h"
#include "object/map_inline.h"

#define PATH_BYTES 320
#define HUGE_PAGE ((size_t)2 << 20)
#define FILE_NAME "space.slab"
/* Whole huge pages: the same on hugetlbfs and tmpfs. */
#define IMAGE_BYTES ((sizeof(struct shoal_image) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE)

static uint64_t layout_of(const struct shoal_class *const *classes, unsigned classes_count)
{
	uint64_t sums[SHOAL_CLASSES_MAX * 4 + 5] = { sizeof(struct shoal_image), sizeof(struct shoal_entry),
		sizeof(struct shoal_entry_lease), sizeof(struct shoal_entry_timer), classes_count };
	unsigned at = 5;

	for (unsigned i = 0; i < classes_count; i++) {
		sums[at++] = XXH3_64bits(classes[i]->name, strlen(classes[i]->name));
		sums[at++] = classes[i]->key_bytes;
		sums[at++] = classes[i]->object_bytes;
		sums[at++] = classes[i]->pattern;
	}
	return XXH3_64bits(sums, at * sizeof(sums[0]));
}

static void *map_new_file(const char *directory)
{
	char path[PATH_BYTES];
	int descriptor;
	void *memory;

	snprintf(path, sizeof(path), "%s/" FILE_NAME, directory);
	descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (descriptor < 0)
		return MAP_FAILED;
	memory = shoal_slab_file_resize(descriptor, IMAGE_BYTES)
	                 ? MAP_FAILED
	                 : mmap(NULL, IMAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
	int error = errno;

	close(descriptor);
	if (memory == MAP_FAILED)
		unlink(path);
	errno = error;
	return memory;
}

struct shoal_image *shoal_image_create(const char *directory, uint32_t member, uint64_t life, uint64_t hash_seed,
	const struct shoal_class *const *classes, unsigned classes_count, uint32_t objects_max)
{
	void *memory = directory ? map_new_file(directory)
	                         : mmap(NULL, IMAGE_BYTES, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct shoal_image *image = memory;

	if (memory == MAP_FAILED)
		return NULL;
	image->version = SHOAL_IMAGE_VERSION;
	image->classes_count = classes_count;
	image->layout = layout_of(classes, classes_count);
	image->life = life;
	image->hash_seed = hash_seed;
	image->member = member;
	image->objects_max = objects_max;
	__atomic_store_n(&image->magic, SHOAL_IMAGE_MAGIC, __ATOMIC_RELEASE);
	return image;
}

void shoal_image_destroy(struct shoal_image *image, const char *directory)
{
	char path[PATH_BYTES];

	if (!image)
		return;
	munmap(image, IMAGE_BYTES);
	if (!directory)
		return;
	snprintf(path, sizeof(path), "%s/" FILE_NAME, directory);
	unlink(path);
}

/* --- What a dead worker left --- */

/* All of it, at least *bytes, which it sets. NULL with errno; ESTALE: the file is shorter. */
static void *map_old_file(const char *path, size_t *bytes)
{
	int descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct stat status;
	void *memory = MAP_FAILED;

	if (descriptor < 0)
		return NULL;
	if (fstat(descriptor, &status) || (size_t)status.st_size < *bytes) {
		errno = ESTALE;
	} else {
		*bytes = (size_t)status.st_size;
		memory = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
	}
	int error = errno;

	close(descriptor);
	errno = error;
	return memory == MAP_FAILED ? NULL : memory;
}

static const char *refuse_image(const struct shoal_image *image, uint64_t life,
	const struct shoal_class *const *classes, unsigned classes_count)
{
	if (image->magic != SHOAL_IMAGE_MAGIC)
		return "no image of a worker, or one that never began";
	if (image->version != SHOAL_IMAGE_VERSION)
		return "an image of another version";
	if (image->layout != layout_of(classes, classes_count) || image->classes_count != classes_count)
		return "an image of another layout";
	if (image->life != life)
		return "the image of another life";
	if (!image->objects_max || image->objects_max > UINT32_MAX / 2)
		return "an image whose size can't be";
	return NULL;
}

static int open_slab(struct shoal_map *map, const struct shoal_class *class, const struct shoal_image *image,
	const char *directory, const char **reason)
{
	char path[PATH_BYTES];

	shoal_map_describe(map, class, image->objects_max, image->hash_seed);
	snprintf(path, sizeof(path), "%s/%s.slab", directory, class->name);
	uint8_t *slab = map_old_file(path, &map->slab_bytes);

	if (!slab) {
		*reason = errno == ESTALE ? "a slab of another size" : "a slab that can't be opened";
		return errno == ENOENT ? -ENOENT : -EPROTO;
	}
	shoal_map_attach(map, slab);
	return 0;
}

int shoal_legacy_open(struct shoal_legacy *legacy, const char *directory, uint64_t life,
	const struct shoal_class *const *classes, unsigned classes_count, const char **reason)
{
	char path[PATH_BYTES];
	int error = 0;

	memset(legacy, 0, sizeof(*legacy));
	snprintf(path, sizeof(path), "%s/" FILE_NAME, directory);
	size_t bytes = IMAGE_BYTES;

	legacy->image = map_old_file(path, &bytes);
	if (!legacy->image) {
		*reason = errno == ENOENT ? "nothing lies there" : "an image that can't be opened";
		return errno == ENOENT ? -ENOENT : -EPROTO;
	}
	*reason = refuse_image(legacy->image, life, classes, classes_count);
	if (*reason)
		error = -EPROTO;
	for (; !error && legacy->classes_count < classes_count; legacy->classes_count++)
		error = open_slab(&legacy->maps[legacy->classes_count], classes[legacy->classes_count], legacy->image,
			directory, reason);
	if (error)
		shoal_legacy_close(legacy, directory, false);
	return error;
}

void shoal_legacy_close(struct shoal_legacy *legacy, const char *directory, bool remove)
{
	char path[PATH_BYTES];

	for (unsigned i = 0; i < legacy->classes_count; i++) {
		if (!legacy->maps[i].slab)
			continue;
		munmap(legacy->maps[i].slab, legacy->maps[i].slab_bytes);
		snprintf(path, sizeof(path), "%s/%s.slab", directory, legacy->maps[i].class->name);
		if (remove)
			unlink(path);
	}
	if (legacy->image)
		munmap(legacy->image, IMAGE_BYTES);
	snprintf(path, sizeof(path), "%s/" FILE_NAME, directory);
	if (remove)
		unlink(path);
	memset(legacy, 0, sizeof(*legacy));
}
