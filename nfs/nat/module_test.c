/* SPDX-License-Identifier: BSD-3-Clause */
/* The NAT's shared object as the data plane loads it: into a process that shows it no symbols of its own.
 *     nat_module_test PATH */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <string.h>

#include "io/nf_loader.h"

static const char *path;

static void loads_and_takes_its_settings(void **state)
{
	char error[512] = "";
	struct shoal_nf_library *library = shoal_nf_library_open(path, error, sizeof(error));
	const struct shoal_nf *nf;
	void *nat;

	assert_string_equal(error, "");
	assert_non_null(library);
	nf = shoal_nf_library_nf(library);
	assert_string_equal(nf->name, "nat");
	assert_int_equal(nf->ports_count, 2);
	assert_int_equal(nf->classes_count, 3);
	nat = nf->create();
	assert_non_null(nat);
	assert_int_not_equal(nf->init(nat, error, sizeof(error)), 0);
	assert_non_null(strstr(error, "public_addresses must be set"));
	assert_int_equal(nf->configure(nat, "public_addresses", "192.0.2.1", error, sizeof(error)), 0);
	assert_int_equal(nf->init(nat, error, sizeof(error)), 0);
	nf->destroy(nat);
	shoal_nf_library_close(library);
}

/* Two NFs in one process must not meet each other's names. */
static void shows_one_symbol(void **state)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	assert_non_null(handle);
	assert_non_null(dlsym(handle, "shoal_nf"));
	assert_null(dlsym(handle, "nat_process"));
	assert_null(dlsym(handle, "shoal_checksum_sum"));
	dlclose(handle);
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_and_takes_its_settings),
		cmocka_unit_test(shows_one_symbol),
	};

	if (count != 2)
		return 2;
	path = arguments[1];
	return cmocka_run_group_tests_name("nat_module", tests, NULL, NULL);
}
