/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/kernel_interface.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <rte_kvargs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Drivers that open an interface which must be there already; others (net_tap) make theirs. */
static const char *const drivers[] = { "net_af_packet", "net_af_xdp", "net_pcap" };
static const char *const interface_keys[] = { "iface", "rx_iface", "rx_iface_in", "tx_iface" };

struct inspection {
	const char *device; /* devargs, for the sentence */
	char *error;
	size_t error_bytes;
	int result;
	bool linked;
};

/* Flags of an interface (IFF_UP …), or -errno. */
static int interface_flags(const char *name)
{
	struct ifreq request = { 0 };
	int result, socket_;

	if (strlen(name) >= sizeof(request.ifr_name))
		return -ENODEV;
	strcpy(request.ifr_name, name);
	socket_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (socket_ < 0)
		return -errno;
	result = ioctl(socket_, SIOCGIFFLAGS, &request) ? -errno : (uint16_t)request.ifr_flags;
	close(socket_);
	return result;
}

static int may_open_raw_socket(void)
{
	int socket_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (socket_ < 0)
		return -errno;
	close(socket_);
	return 0;
}

/* For rte_kvargs_process: 0 to go on, -1 when the answer is known. */
static int inspect_interface(const char *key, const char *value, void *opaque)
{
	struct inspection *inspection = opaque;
	const char *name = value ? value : "";
	int flags = interface_flags(name);

	(void)key;
	inspection->linked = inspection->linked && flags >= 0 && (flags & IFF_RUNNING);
	if (flags < 0 || !(flags & IFF_UP)) {
		inspection->result = flags < 0 ? flags : -ENETDOWN;
		if (inspection->result == -ENETDOWN)
			snprintf(inspection->error, inspection->error_bytes,
				"port %s: interface %s is down (ip link set %s up)", inspection->device, name, name);
		else
			snprintf(inspection->error, inspection->error_bytes, "port %s: interface \"%s\": %s",
				inspection->device, name, strerror(-inspection->result));
		return -1;
	}
	inspection->result = may_open_raw_socket();
	if (inspection->result)
		snprintf(inspection->error, inspection->error_bytes,
			"port %s: interface %s can't be opened: %s (it needs CAP_NET_RAW)", inspection->device, name,
			strerror(-inspection->result));
	return inspection->result ? -1 : 0;
}

static int inspect_capture(const char *key, const char *value, void *opaque)
{
	struct inspection *inspection = opaque;
	int file = open(value ? value : "", O_RDONLY | O_CLOEXEC);

	(void)key;
	if (file >= 0) {
		close(file);
		return 0;
	}
	inspection->result = -errno;
	snprintf(inspection->error, inspection->error_bytes, "port %s: capture file \"%s\": %s", inspection->device,
		value ? value : "", strerror(errno));
	return -1;
}

static bool opens_interfaces(const char *devargs)
{
	for (unsigned i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		if (!strncmp(devargs, drivers[i], strlen(drivers[i])))
			return true;
	}
	return false;
}

static void inspect(const char *devargs, struct inspection *inspection)
{
	const char *arguments = strchr(devargs, ',');
	struct rte_kvargs *pairs;

	if (!arguments || !opens_interfaces(devargs))
		return;
	pairs = rte_kvargs_parse(arguments + 1, NULL);
	if (!pairs) {
		inspection->result = -EINVAL;
		snprintf(inspection->error, inspection->error_bytes,
			"port %s: \"%s\" is no list of key=value, separated by commas", devargs, arguments + 1);
		return;
	}
	for (unsigned i = 0; i < sizeof(interface_keys) / sizeof(interface_keys[0]) && !inspection->result; i++)
		rte_kvargs_process(pairs, interface_keys[i], inspect_interface, inspection);
	if (!inspection->result)
		rte_kvargs_process(pairs, "rx_pcap", inspect_capture, inspection);
	rte_kvargs_free(pairs);
}

int shoal_kernel_interfaces_check(const char *devargs, char *error, size_t error_bytes)
{
	struct inspection inspection = {
		.device = devargs, .error = error, .error_bytes = error_bytes, .linked = true
	};

	inspect(devargs, &inspection);
	return inspection.result;
}

bool shoal_kernel_interfaces_linked(const char *devargs)
{
	char error[256];
	struct inspection inspection = {
		.device = devargs, .error = error, .error_bytes = sizeof(error), .linked = true
	};

	inspect(devargs, &inspection);
	return !inspection.result && inspection.linked;
}
