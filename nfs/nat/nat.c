/* SPDX-License-Identifier: BSD-3-Clause */
/* The NAT as the worker and the splitter see it. */
#include "nat.h"

#include "burst.h"
#include "flow.h"
#include "handler.h"
#include "ports_task.h"
#include "worker.h"

static const struct shoal_class *const classes[] = { &nat_mapping_class, &nat_reverse_class, &nat_pool_class };

static const struct shoal_nf_port ports[NAT_PORTS] = {
	[NAT_INSIDE] = { .name = "inside",
		.steer = nat_steer_inside,
		.declared = &nat_mapping_class,
		.create = true,
		.keys = nat_keys_inside },
	[NAT_OUTSIDE] = { .name = "outside",
		.steer = nat_steer_outside,
		.declared = &nat_reverse_class,
		.keys = nat_keys_outside },
};

static const struct shoal_nf_task tasks[] = {
	{ .name = "ports",
		.help = "ports ADDRESS PROTOCOL: how many ports of a public address are taken",
		.run = nat_ports_task },
};

__attribute__((visibility("default"))) const struct shoal_nf shoal_nf = {
	.abi = SHOAL_NF_ABI,
	.name = "nat",
	.version = NAT_VERSION,
	.classes = classes,
	.classes_count = sizeof(classes) / sizeof(classes[0]),
	.ports = ports,
	.ports_count = NAT_PORTS,
	.drops = nat_drop_names,
	.drops_count = NAT_DROPS,
	.tasks = tasks,
	.tasks_count = sizeof(tasks) / sizeof(tasks[0]),
	.counters = nat_counter_names,
	.counters_count = NAT_COUNTERS,
	.create = nat_worker_create,
	.configure = nat_worker_configure,
	.init = nat_worker_init,
	.destroy = nat_worker_destroy,
	.counter_values = nat_worker_counters,
	.process = nat_process,
	.packet = nat_packet,
};
