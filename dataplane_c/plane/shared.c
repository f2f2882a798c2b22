/* SPDX-License-Identifier: BSD-3-Clause */
/* The plane `shared`: the object space as it is. */
#include "plane/plane.h"
#include <shoal/dataplane.h>

const struct shoal_plane shoal_plane_shared = {
	.name = "shared",
	.runtime = { .take = shoal_space_take,
		.expect = shoal_space_expect,
		.release = shoal_space_release,
		.remove = shoal_space_remove,
		.call = shoal_space_call },
	.poll = shoal_space_poll,
	.flush = shoal_space_flush,
	.fetch = shoal_fetch_begin,
	.run_idle_task = shoal_space_run_idle_task,
};

const struct shoal_plane *shoal_plane_of_kind(int kind)
{
	switch (kind) {
	case SHOAL_PLANE_SHARED:
		return &shoal_plane_shared;
	case SHOAL_PLANE_LOCAL:
		return &shoal_plane_local;
	case SHOAL_PLANE_REMOTE:
		return &shoal_plane_remote;
	default:
		return NULL;
	}
}
