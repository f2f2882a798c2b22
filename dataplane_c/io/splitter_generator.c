/* SPDX-License-Identifier: BSD-3-Clause */
/* The generator as a splitter's port: the splitter's thread polls both. */
#include <errno.h>

#include "io/generator.h"
#include "io/splitter_control.h"
#include "worker/error.h"

static bool is_polled(const void *argument)
{
	const struct shoal_splitter_control *control = argument;

	return control->runner && shoal_runner_running(control->runner);
}

int shoal_splitter_attach_generator(struct shoal_splitter *splitter, uint8_t nf_port, struct shoal_generator *generator)
{
	struct shoal_port *port = shoal_generator_port(generator, nf_port);
	int rc;

	if (!port)
		return shoal_error(EINVAL, "a generator has no port %u", nf_port);
	rc = shoal_splitter_attach_given_port(splitter, nf_port, port);
	if (!rc)
		shoal_generator_set_polled(generator, is_polled, shoal_splitter_control_of(splitter));
	return rc;
}
