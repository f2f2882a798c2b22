/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include <shoal/dataplane.h>

#include "worker/error.h"

static void *sentence_of_new_thread(void *argument)
{
	size_t *length = argument;

	*length = strlen(shoal_last_error());
	shoal_error(EIO, "another thread's");
	return NULL;
}

static void each_thread_has_its_own(void **state)
{
	size_t length = 1;
	pthread_t thread;

	(void)state;
	assert_int_equal(shoal_error(ENOENT, "port %d is missing", 7), -ENOENT);
	assert_string_equal(shoal_last_error(), "port 7 is missing");
	assert_int_equal(pthread_create(&thread, NULL, sentence_of_new_thread, &length), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(length, 0);
	assert_string_equal(shoal_last_error(), "port 7 is missing");
}

static void a_sentence_may_contain_the_last_one(void **state)
{
	(void)state;
	shoal_error(EBUSY, "the port is busy");
	assert_int_equal(shoal_error(EBUSY, "no start: %s", shoal_last_error()), -EBUSY);
	assert_string_equal(shoal_last_error(), "no start: the port is busy");
}

static void a_long_sentence_is_cut(void **state)
{
	char longer[2000];

	(void)state;
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	shoal_error(EINVAL, "%s", longer);
	assert_int_equal(strlen(shoal_last_error()), 511);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_thread_has_its_own),
		cmocka_unit_test(a_sentence_may_contain_the_last_one),
		cmocka_unit_test(a_long_sentence_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
