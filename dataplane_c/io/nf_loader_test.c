/* SPDX-License-Identifier: BSD-3-Clause */
/* Real shared objects, which lie beside this program in the build folder (meson.build), and structures gone wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/nf_loader.h"
#include "io/splitter_world.h"

static char error[512];

static struct shoal_nf_library *open_beside(const char *name)
{
	char program[PATH_MAX], path[2 * PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);

	assert_true(length > 0);
	program[length] = 0;
	snprintf(path, sizeof(path), "%s/io/%s.so", dirname(program), name);
	error[0] = 0;
	return shoal_nf_library_open(path, error, sizeof(error));
}

static void test_opens(void **state)
{
	struct shoal_nf_library *library = open_beside("nf_loader_echo");

	(void)state;
	if (library == NULL)
		fail_msg("%s", error);
	assert_string_equal(shoal_nf_library_nf(library)->name, "echo");
	assert_int_equal(shoal_nf_library_nf(library)->ports_count, 2);
	shoal_nf_library_close(library);
}

static void expect_refused(const char *name, int code, const char *words)
{
	assert_null(open_beside(name));
	assert_int_equal(errno, code);
	assert_non_null(strstr(error, words));
	assert_non_null(strstr(error, name)); /* which file */
}

static void test_files_that_are_no_nf(void **state)
{
	(void)state;
	expect_refused("nf_loader_missing", ENOENT, "no such file");
	expect_refused("nf_loader_no_symbol", ENOSYS, "exports no symbol shoal_nf");
	expect_refused("nf_loader_abi", EPROTO, "version 2");
	assert_null(shoal_nf_library_open("/proc/self/status", error, sizeof(error)));
	assert_int_equal(errno, ELIBBAD);
	assert_non_null(strstr(error, "cannot be loaded"));
	assert_null(shoal_nf_library_open("", error, sizeof(error)));
	shoal_nf_library_close(NULL);
}

static void expect(const struct shoal_nf *nf, const char *words)
{
	assert_int_equal(shoal_nf_check(nf, error, sizeof(error)), -EINVAL);
	if (strstr(error, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", error, words);
}

#define WRONG(words, ...)                                                                                              \
	do {                                                                                                           \
		struct shoal_nf nf = world_nf;                                                                         \
		__VA_ARGS__;                                                                                           \
		expect(&nf, words);                                                                                    \
	} while (0)

static void test_incomplete_nfs(void **state)
{
	static const char *const nameless[] = { "full", NULL };
	static const struct shoal_nf_timer timer = { .name = "sweep", .period_ms = 5 };
	static const struct shoal_nf_task task = { .name = "show" };

	(void)state;
	assert_int_equal(shoal_nf_check(&world_nf, error, sizeof(error)), 0);
	WRONG("no name", nf.name = NULL);
	WRONG("no name or no version", nf.version = NULL);
	WRONG("17 object classes", nf.classes_count = SHOAL_CLASSES_MAX + 1);
	WRONG("0 ports", nf.ports_count = 0);
	WRONG("9 ports", nf.ports_count = SHOAL_NF_PORTS_MAX + 1);
	WRONG("create, configure, init and destroy", nf.init = NULL);
	WRONG("no burst handler", nf.process = NULL);
	WRONG("no packet handler", nf.packet = NULL);
	WRONG("33 drop reasons", nf.drops_count = SHOAL_NF_DROPS_MAX + 1);
	WRONG("drop reason 1", nf.drops_count = 2, nf.drops = nameless);
	WRONG("function for their values", nf.counters_count = 1, nf.counters = nameless);
	WRONG("timer 0", nf.timers_count = 1, nf.timers = &timer);
	WRONG("control task 0", nf.tasks_count = 1, nf.tasks = &task);
}

static void test_wrong_ports(void **state)
{
	static const struct shoal_class other = { .name = "other", .key_bytes = 4, .object_bytes = 4 };
	struct shoal_nf_port port = world_nf.ports[0];

	(void)state;
	port.name = "";
	WRONG("port 0 has no name", nf.ports = &port, nf.ports_count = 1);
	port = world_nf.ports[0];
	port.steer = NULL;
	WRONG("port inside has no steering key", nf.ports = &port, nf.ports_count = 1);
	port = world_nf.ports[0];
	port.keys = NULL;
	WRONG("no key function", nf.ports = &port, nf.ports_count = 1);
	port = world_nf.ports[0];
	port.declared = &other;
	WRONG("not in the NF's list", nf.ports = &port, nf.ports_count = 1);
}

static void test_wrong_classes(void **state)
{
	struct shoal_class class = *world_nf.classes[0];
	const struct shoal_class *const list[] = { &class };
	struct shoal_nf_port port = world_nf.ports[0];
	const struct shoal_method method = { .name = "take" };

	(void)state;
	port.declared = &class;
	class.pattern = SHOAL_MULTI_WRITER;
	WRONG("not single-writer", nf.classes = list, nf.ports = &port, nf.ports_count = 1);
	class.methods = &method;
	class.methods_count = 1;
	WRONG("method 0 of object class world.flow", nf.classes = list);
	class.methods_count = SHOAL_METHODS_MAX + 1;
	WRONG("17 methods", nf.classes = list);
	class.object_bytes = 0;
	WRONG("objects of 0 bytes", nf.classes = list);
	class.key_bytes = SHOAL_KEY_BYTES_MAX + 1;
	WRONG("key of 65 bytes", nf.classes = list);
	class.name = NULL;
	WRONG("object class 0 has no name", nf.classes = list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opens),
		cmocka_unit_test(test_files_that_are_no_nf),
		cmocka_unit_test(test_incomplete_nfs),
		cmocka_unit_test(test_wrong_ports),
		cmocka_unit_test(test_wrong_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
