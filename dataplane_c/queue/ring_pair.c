/* SPDX-License-Identifier: BSD-3-Clause */
/* Two rings in one sealed memfd (contract in ring.h). */
#include "queue/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static size_t pair_bytes(uint32_t capacity)
{
	return (2 * shoal_ring_mapping_bytes(capacity) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

/* The capacity follows from the size alone, so that nothing in the mapping has to be believed. 0: no pair has that
 * size. */
static uint32_t capacity_of(off_t bytes)
{
	for (uint32_t capacity = SHOAL_RING_CAPACITY_MIN; capacity && capacity <= SHOAL_RING_CAPACITY_MAX;
		capacity *= 2)
		if (bytes == (off_t)pair_bytes(capacity))
			return capacity;
	return 0;
}

static int init_rings(int descriptor, uint32_t capacity)
{
	size_t bytes = pair_bytes(capacity);
	uint8_t *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);

	if (mapping == MAP_FAILED)
		return -errno;

	int result = shoal_ring_init(mapping, capacity);

	if (!result)
		result = shoal_ring_init(mapping + shoal_ring_mapping_bytes(capacity), capacity);
	munmap(mapping, bytes);
	return result;
}

int shoal_ring_pair_create(uint32_t capacity)
{
	if (capacity < SHOAL_RING_CAPACITY_MIN || capacity > SHOAL_RING_CAPACITY_MAX || (capacity & (capacity - 1)))
		return -EINVAL;

	int descriptor = memfd_create("shoal-rings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int result;

	if (descriptor < 0)
		return -errno;
	/* A memfd is born open to all: whoever got at it by /proc would be let in. */
	if (fchmod(descriptor, 0600) < 0) {
		result = -errno;
		goto close_descriptor;
	}
	/* fallocate sets the size and gives it its pages: lack of memory shows here, not as a fault in a poll. */
	if (fallocate(descriptor, 0, 0, (off_t)pair_bytes(capacity)) < 0) {
		result = -errno;
		goto close_descriptor;
	}
	result = init_rings(descriptor, capacity);
	if (result)
		goto close_descriptor;
	if (fcntl(descriptor, F_ADD_SEALS, SEALS) < 0) {
		result = -errno;
		goto close_descriptor;
	}
	return descriptor;

close_descriptor:
	close(descriptor);
	return result;
}

int shoal_ring_pair_open(struct shoal_ring_pair *pair, int descriptor, unsigned side)
{
	struct stat status;

	memset(pair, 0, sizeof(*pair));
	if (side > 1)
		return -EINVAL;
	if (fstat(descriptor, &status) < 0)
		return -errno;

	int seals = fcntl(descriptor, F_GET_SEALS);
	uint32_t capacity = capacity_of(status.st_size);

	if (seals < 0 || (seals & SEALS) != SEALS || !capacity)
		return -EPROTO;

	/* Populated, so that no poll takes a page fault. */
	uint8_t *mapping =
		mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor, 0);

	if (mapping == MAP_FAILED)
		return -errno;
	pair->mapping = mapping;
	pair->mapping_bytes = (size_t)status.st_size;

	uint8_t *second = mapping + shoal_ring_mapping_bytes(capacity);
	int result = shoal_ring_open(&pair->out, side == 0 ? mapping : second, capacity, SHOAL_RING_PRODUCER);

	if (!result)
		result = shoal_ring_open(&pair->in, side == 0 ? second : mapping, capacity, SHOAL_RING_CONSUMER);
	if (result)
		shoal_ring_pair_close(pair);
	return result;
}

void shoal_ring_pair_close(struct shoal_ring_pair *pair)
{
	if (pair->mapping)
		munmap(pair->mapping, pair->mapping_bytes);
	memset(pair, 0, sizeof(*pair));
}
