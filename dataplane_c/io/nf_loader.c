/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/nf_loader.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct shoal_nf_library {
	void *handle; /* owns */
	const struct shoal_nf *nf; /* borrows from handle */
};

static int __attribute__((format(printf, 4, 5)))
refuse(char *error, size_t error_bytes, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, error_bytes, format, arguments);
	va_end(arguments);
	return code;
}

static int check_class(const struct shoal_class *class, unsigned index, char *error, size_t error_bytes)
{
	if (class == NULL || class->name == NULL || class->name[0] == 0)
		return refuse(error, error_bytes, -EINVAL, "object class %u has no name", index);
	if (class->key_bytes == 0 || class->key_bytes > SHOAL_KEY_BYTES_MAX)
		return refuse(error, error_bytes, -EINVAL,
			"object class %s has a key of %u bytes (1 to %d are allowed)", class->name, class->key_bytes,
			SHOAL_KEY_BYTES_MAX);
	if (class->object_bytes == 0 || class->object_bytes > SHOAL_OBJECT_BYTES_MAX)
		return refuse(error, error_bytes, -EINVAL,
			"object class %s has objects of %u bytes (1 to %d are allowed)", class->name,
			class->object_bytes, SHOAL_OBJECT_BYTES_MAX);
	if (class->methods_count > SHOAL_METHODS_MAX || (class->methods_count != 0 && class->methods == NULL))
		return refuse(error, error_bytes, -EINVAL, "object class %s has %u methods (at most %d are allowed)",
			class->name, class->methods_count, SHOAL_METHODS_MAX);
	for (unsigned i = 0; i < class->methods_count; i++) {
		const struct shoal_method *method = &class->methods[i];

		if (method->name == NULL || method->apply == NULL || method->argument_bytes > SHOAL_METHOD_BYTES_MAX ||
			method->result_bytes > SHOAL_METHOD_BYTES_MAX)
			return refuse(error, error_bytes, -EINVAL,
				"method %u of object class %s lacks its name or function, or passes more than %d bytes",
				i, class->name, SHOAL_METHOD_BYTES_MAX);
	}
	return 0;
}

static bool is_declared_here(const struct shoal_nf *nf, const struct shoal_class *class)
{
	for (unsigned i = 0; i < nf->classes_count; i++)
		if (nf->classes[i] == class)
			return true;
	return false;
}

static int check_port(const struct shoal_nf *nf, unsigned index, char *error, size_t error_bytes)
{
	const struct shoal_nf_port *port = &nf->ports[index];

	if (port->name == NULL || port->name[0] == 0)
		return refuse(error, error_bytes, -EINVAL, "port %u has no name", index);
	if (port->steer == NULL)
		return refuse(error, error_bytes, -EINVAL, "port %s has no steering key", port->name);
	if (port->declared == NULL)
		return 0;
	if (port->keys == NULL)
		return refuse(
			error, error_bytes, -EINVAL, "port %s declares a class, but has no key function", port->name);
	if (!is_declared_here(nf, port->declared))
		return refuse(error, error_bytes, -EINVAL, "port %s declares a class that is not in the NF's list",
			port->name);
	if (port->declared->pattern != SHOAL_SINGLE_WRITER)
		return refuse(error, error_bytes, -EINVAL, "port %s declares class %s, which is not single-writer",
			port->name, port->declared->name);
	return 0;
}

static int check_names(const struct shoal_nf *nf, char *error, size_t error_bytes)
{
	if (nf->drops_count > SHOAL_NF_DROPS_MAX || (nf->drops_count != 0 && nf->drops == NULL))
		return refuse(error, error_bytes, -EINVAL, "it has %u drop reasons (at most %d are allowed)",
			nf->drops_count, SHOAL_NF_DROPS_MAX);
	for (unsigned i = 0; i < nf->drops_count; i++)
		if (nf->drops[i] == NULL || nf->drops[i][0] == 0)
			return refuse(error, error_bytes, -EINVAL, "drop reason %u has no name", i);
	if (nf->counters_count != 0 && (nf->counters == NULL || nf->counter_values == NULL))
		return refuse(error, error_bytes, -EINVAL, "it has %u counters, but no %s", nf->counters_count,
			nf->counters == NULL ? "names for them" : "function for their values");
	for (unsigned i = 0; i < nf->timers_count; i++)
		if (nf->timers == NULL || nf->timers[i].name == NULL || nf->timers[i].fire == NULL ||
			nf->timers[i].period_ms == 0)
			return refuse(error, error_bytes, -EINVAL, "timer %u lacks its name, function or period", i);
	for (unsigned i = 0; i < nf->tasks_count; i++)
		if (nf->tasks == NULL || nf->tasks[i].name == NULL || nf->tasks[i].run == NULL)
			return refuse(error, error_bytes, -EINVAL, "control task %u lacks its name or function", i);
	return 0;
}

static int check_handlers(const struct shoal_nf *nf, char *error, size_t error_bytes)
{
	if (nf->create == NULL || nf->configure == NULL || nf->init == NULL || nf->destroy == NULL)
		return refuse(error, error_bytes, -EINVAL, "one of create, configure, init and destroy is missing");
	if (nf->process == NULL || nf->packet == NULL)
		return refuse(
			error, error_bytes, -EINVAL, "it has no %s handler", nf->process == NULL ? "burst" : "packet");
	return 0;
}

int shoal_nf_check(const struct shoal_nf *nf, char *error, size_t error_bytes)
{
	int code;

	if (nf->abi != SHOAL_NF_ABI)
		return refuse(error, error_bytes, -EPROTO,
			"it was built for version %u of the NF interface, this is version %d", nf->abi, SHOAL_NF_ABI);
	if (nf->name == NULL || nf->name[0] == 0 || nf->version == NULL)
		return refuse(error, error_bytes, -EINVAL, "it has no name or no version");
	if (nf->classes_count > SHOAL_CLASSES_MAX || (nf->classes_count != 0 && nf->classes == NULL))
		return refuse(error, error_bytes, -EINVAL, "it has %u object classes (at most %d are allowed)",
			nf->classes_count, SHOAL_CLASSES_MAX);
	if (nf->ports_count == 0 || nf->ports_count > SHOAL_NF_PORTS_MAX || nf->ports == NULL)
		return refuse(error, error_bytes, -EINVAL, "it has %u ports (1 to %d are allowed)", nf->ports_count,
			SHOAL_NF_PORTS_MAX);
	code = check_handlers(nf, error, error_bytes);
	for (unsigned i = 0; code == 0 && i < nf->classes_count; i++)
		code = check_class(nf->classes[i], i, error, error_bytes);
	for (unsigned i = 0; code == 0 && i < nf->ports_count; i++)
		code = check_port(nf, i, error, error_bytes);
	return code != 0 ? code : check_names(nf, error, error_bytes);
}

static int load(struct shoal_nf_library *library, const char *path, char *error, size_t error_bytes)
{
	char reason[256];
	int code;

	if (access(path, R_OK) != 0)
		return refuse(error, error_bytes, -errno, "NF %s: %s", path,
			errno == ENOENT ? "there is no such file" : "the file cannot be read");
	library->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library->handle == NULL)
		return refuse(error, error_bytes, -ELIBBAD, "NF %s: it cannot be loaded: %s", path, dlerror());
	library->nf = dlsym(library->handle, "shoal_nf");
	if (library->nf == NULL)
		return refuse(error, error_bytes, -ENOSYS, "NF %s: it exports no symbol shoal_nf", path);
	code = shoal_nf_check(library->nf, reason, sizeof(reason));
	return code != 0 ? refuse(error, error_bytes, code, "NF %s: %s", path, reason) : 0;
}

struct shoal_nf_library *shoal_nf_library_open(const char *path, char *error, size_t error_bytes)
{
	struct shoal_nf_library *library = calloc(1, sizeof(*library));
	int code;

	if (library == NULL) {
		refuse(error, error_bytes, 0, "NF %s: out of memory", path);
		errno = ENOMEM;
		return NULL;
	}
	code = load(library, path, error, error_bytes);
	if (code != 0) {
		shoal_nf_library_close(library);
		errno = -code;
		return NULL;
	}
	return library;
}

const struct shoal_nf *shoal_nf_library_nf(const struct shoal_nf_library *library)
{
	return library->nf;
}

void shoal_nf_library_close(struct shoal_nf_library *library)
{
	if (library == NULL)
		return;
	if (library->handle != NULL)
		dlclose(library->handle);
	free(library);
}
