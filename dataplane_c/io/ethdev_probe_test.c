/* SPDX-License-Identifier: BSD-3-Clause */
/* What shoal_ethdev_port_create refuses, and the sentence that it gives. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "io/made_port.h"

static void wrong_devargs(void **state)
{
	char many[256] = "net_pcap0"; /* more arguments than DPDK takes */

	for (unsigned i = 0; i < 40; i++)
		strcat(many, ",a=1");
	made_port_refused("", EINVAL, "no device named");
	made_port_refused(",iface=lo", EINVAL, "no device named");
	made_port_refused("net_nothing0", ENODEV, "no driver here");
	made_port_refused("lo", ENODEV, "net_af_packet0,iface=lo");
	made_port_refused("net_null0,nonsense=1", EINVAL, "refuses these arguments: EAL: Driver cannot attach");
	made_port_refused("net_pcap0", EINVAL, "No rx or tx queues provided");
	made_port_refused("net_memif0,role=client,socket=/nonexistent/memif.socket", EPERM, "Failed to connect socket");
	made_port_refused(many, EINVAL, "key=value");
	made_port_refused("net_af_packet0,iface", ENODEV, "interface \"\"");
	made_port_refused(
		"net_null0123456789012345678901234567890123456789012345678901234567890", EINVAL, "fewer than");
}

static void missing_devices(void **state)
{
	made_port_refused("net_af_packet0,iface=shoal-none", ENODEV, "interface \"shoal-none\"");
	made_port_refused("net_af_packet0,iface=a-name-much-too-long-for-the-kernel", ENODEV, "interface");
	made_port_refused("net_pcap0,rx_pcap=/nonexistent/in.pcap,tx_pcap=/dev/null", ENOENT, "capture file");
	made_port_refused("ffff:1f:1f.7", ENODEV, "no such PCI device");
}

static void busy_device(void **state)
{
	struct shoal_port *port = made_port("net_null0");

	made_port_refused("net_null0", EBUSY, "in use in this process already");
	made_port_close(port);
	port = made_port("net_null0"); /* free again */
	made_port_close(port);
}

static int set_up(void **state)
{
	return made_pool_set_up("shoal-ethdev-probe-test");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_devargs),
		cmocka_unit_test(missing_devices),
		cmocka_unit_test(busy_device),
	};

	return cmocka_run_group_tests_name("ethdev_probe", tests, set_up, made_pool_tear_down);
}
