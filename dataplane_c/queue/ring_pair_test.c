/* SPDX-License-Identifier: BSD-3-Clause */
/* Both ends at once: two threads (the build with -Db_sanitize=thread looks for races), two processes; and memfds that
 * no peer of ours makes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "queue/ring.h"

#define CAPACITY 16384u
#define RECORDS 200000u
#define DEADLINE_S 60

static time_t seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* Lengths and bytes follow from the number, so both ends know them. */
static uint32_t record_length(uint32_t number)
{
	return 8 + number * 2654435761u % (number % 64 ? 120 : CAPACITY / 4 - 8);
}

/* Sends RECORDS records in bursts. 0, or what went wrong. */
static const char *produce(struct shoal_ring *ring)
{
	time_t deadline = seconds_now() + DEADLINE_S;

	for (uint32_t number = 0; number < RECORDS;) {
		uint32_t burst = 1 + number % 32;
		bool full = false;

		while (burst-- && number < RECORDS) {
			uint32_t length = record_length(number);
			uint8_t *bytes = shoal_ring_reserve(ring, length);

			full = !bytes;
			if (full)
				break;
			memset(bytes, (int)(number & 0xff), length);
			memcpy(bytes, &number, sizeof(number));
			shoal_ring_push(ring, length);
			number++;
		}
		shoal_ring_flush(ring);
		if (shoal_ring_broken(ring))
			return "producer's ring broken";
		if (seconds_now() > deadline)
			return "producer's deadline";
		if (full)
			sched_yield();
	}
	return NULL;
}

static const char *consume(struct shoal_ring *ring)
{
	time_t deadline = seconds_now() + DEADLINE_S;

	for (uint32_t number = 0; number < RECORDS;) {
		uint32_t length;
		const uint8_t *bytes;

		for (uint32_t burst = 0; burst < 1 + number % 48 && (bytes = shoal_ring_peek(ring, &length)); burst++) {
			if (length != record_length(number) || memcmp(bytes, &number, sizeof(number)))
				return "not the record that comes next";
			for (uint32_t i = sizeof(number); i < length; i++)
				if (bytes[i] != (number & 0xff))
					return "a byte of a record";
			shoal_ring_pop(ring);
			number++;
		}
		shoal_ring_consumed(ring);
		if (shoal_ring_broken(ring))
			return "consumer's ring broken";
		if (seconds_now() > deadline)
			return "consumer's deadline";
		if (!shoal_ring_depth(ring))
			sched_yield();
	}
	return NULL;
}

static void *produce_thread(void *pair)
{
	return (void *)(uintptr_t)produce(&((struct shoal_ring_pair *)pair)->out);
}

static void *consume_thread(void *pair)
{
	return (void *)(uintptr_t)consume(&((struct shoal_ring_pair *)pair)->in);
}

static void open_both(struct shoal_ring_pair sides[2], int *descriptor)
{
	*descriptor = shoal_ring_pair_create(CAPACITY);
	assert_true(*descriptor >= 0);
	assert_int_equal(shoal_ring_pair_open(&sides[0], *descriptor, 0), 0);
	assert_int_equal(shoal_ring_pair_open(&sides[1], *descriptor, 1), 0);
}

/* Both directions at once: four threads over one mapping. TSan must see one address for both ends, so the ends lie in
 * one mapping here. */
static void test_threads(void **state)
{
	struct shoal_ring_pair sides[2];
	pthread_t threads[4];
	int descriptor;

	(void)state;
	open_both(sides, &descriptor);
	struct shoal_ring_pair other = sides[0];
	uint8_t *mapping = sides[0].mapping;

	assert_int_equal(shoal_ring_open(&other.out, mapping + shoal_ring_mapping_bytes(CAPACITY), CAPACITY,
				 SHOAL_RING_PRODUCER),
		0);
	assert_int_equal(shoal_ring_open(&other.in, mapping, CAPACITY, SHOAL_RING_CONSUMER), 0);
	assert_int_equal(pthread_create(&threads[0], NULL, produce_thread, &sides[0]), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, consume_thread, &sides[0]), 0);
	assert_int_equal(pthread_create(&threads[2], NULL, produce_thread, &other), 0);
	assert_int_equal(pthread_create(&threads[3], NULL, consume_thread, &other), 0);
	for (int i = 0; i < 4; i++) {
		void *failure;

		pthread_join(threads[i], &failure);
		if (failure)
			fail_msg("%s", (const char *)failure);
	}
	shoal_ring_pair_close(&sides[0]);
	shoal_ring_pair_close(&sides[1]);
	close(descriptor);
}

static void test_processes(void **state)
{
	struct shoal_ring_pair pair;
	int descriptor = shoal_ring_pair_create(CAPACITY);

	(void)state;
	assert_true(descriptor >= 0);
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		if (shoal_ring_pair_open(&pair, descriptor, 1))
			_exit(2);
		_exit(consume(&pair.in) || produce(&pair.out) ? 1 : 0);
	}
	assert_int_equal(shoal_ring_pair_open(&pair, descriptor, 0), 0);
	const char *failure = produce(&pair.out);

	failure = failure ? failure : consume(&pair.in);
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	if (failure)
		fail_msg("%s", failure);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	shoal_ring_pair_close(&pair);
	close(descriptor);
}

/* A peer that dies in the middle leaves whole records, and a ring that goes on. */
static void test_reopen_after_death(void **state)
{
	struct shoal_ring_pair sides[2];
	int descriptor;
	uint32_t length;

	(void)state;
	open_both(sides, &descriptor);
	for (int i = 0; i < 3; i++) {
		memset(shoal_ring_reserve(&sides[0].out, 100), i, 100);
		shoal_ring_push(&sides[0].out, 100);
		if (i == 1)
			shoal_ring_flush(&sides[0].out);
	}
	shoal_ring_pair_close(&sides[0]);
	shoal_ring_pair_close(&sides[0]);
	assert_int_equal(shoal_ring_pair_open(&sides[0], descriptor, 0), 0);
	memset(shoal_ring_reserve(&sides[0].out, 50), 9, 50);
	shoal_ring_push(&sides[0].out, 50);
	shoal_ring_flush(&sides[0].out);
	for (int i = 0; i < 3; i++) {
		const uint8_t *bytes = shoal_ring_peek(&sides[1].in, &length);

		assert_non_null(bytes);
		assert_int_equal(length, i == 2 ? 50 : 100);
		assert_int_equal(bytes[49], i == 2 ? 9 : i);
		shoal_ring_pop(&sides[1].in);
	}
	assert_null(shoal_ring_peek(&sides[1].in, &length));
	shoal_ring_pair_close(&sides[0]);
	shoal_ring_pair_close(&sides[1]);
	close(descriptor);
}

static void test_seals(void **state)
{
	struct shoal_ring_pair pair;
	int descriptor = shoal_ring_pair_create(CAPACITY);

	(void)state;
	assert_true(descriptor >= 0);
	assert_int_equal(ftruncate(descriptor, 4096), -1);
	assert_int_equal(ftruncate(descriptor, 1 << 20), -1);
	assert_int_equal(shoal_ring_pair_open(&pair, descriptor, 2), -EINVAL);
	close(descriptor);
	assert_int_equal(shoal_ring_pair_create(CAPACITY + 1), -EINVAL);
	assert_int_equal(shoal_ring_pair_create(1024), -EINVAL);
	assert_int_equal(shoal_ring_pair_open(&pair, -1, 0), -EBADF);

	/* The right size, but a peer could still shrink it. */
	off_t bytes = (off_t)((2 * shoal_ring_mapping_bytes(CAPACITY) + 4095) / 4096 * 4096);
	int unsealed = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(unsealed, bytes), 0);
	assert_int_equal(shoal_ring_pair_open(&pair, unsealed, 0), -EPROTO);
	/* Sealed, but no rings in it. */
	assert_int_equal(fcntl(unsealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	assert_int_equal(shoal_ring_pair_open(&pair, unsealed, 0), -EPROTO);
	close(unsealed);
	/* Sealed with a size that no pair has. */
	int odd = memfd_create("odd", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(odd, bytes - 4096), 0);
	assert_int_equal(fcntl(odd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	assert_int_equal(shoal_ring_pair_open(&pair, odd, 0), -EPROTO);
	close(odd);
}

static void test_nobody_else_may_open_it(void **state)
{
	int descriptor = shoal_ring_pair_create(CAPACITY);
	struct stat status;

	(void)state;
	assert_true(descriptor >= 0);
	assert_int_equal(fstat(descriptor, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	close(descriptor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_processes),
		cmocka_unit_test(test_reopen_after_death),
		cmocka_unit_test(test_seals),
		cmocka_unit_test(test_nobody_else_may_open_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
