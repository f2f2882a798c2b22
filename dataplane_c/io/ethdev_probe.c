/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/ethdev_probe.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_pci.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/kernel_interface.h"
#include "worker/eal.h"

#define REFUSE(number, ...) (snprintf(error, error_bytes, __VA_ARGS__), (number))

/* The device's name: devargs up to the first comma, without "pci:" or "vdev:". */
static int device_name(const char *devargs, char *name, size_t bytes, char *error, size_t error_bytes)
{
	const char *start = devargs;
	size_t length;

	if (!strncmp(start, "pci:", 4) || !strncmp(start, "vdev:", 5))
		start = strchr(start, ':') + 1;
	length = strcspn(start, ",");
	if (!length)
		return REFUSE(
			-EINVAL, "port \"%s\": no device named (net_af_packet0,iface=eth0 or 0000:03:02.1)", devargs);
	if (length >= bytes)
		return REFUSE(-EINVAL, "port %.40s…: a device's name has fewer than %zu characters", devargs, bytes);
	memcpy(name, start, length);
	name[length] = 0;
	return 0;
}

/* Why the PCI device at `address` can't be used, from what the kernel says of it. */
static int explain_pci(const char *devargs, const struct rte_pci_addr *address, char *error, size_t error_bytes)
{
	char device[PATH_MAX], driver[PATH_MAX];
	ssize_t length;

	snprintf(device, sizeof(device), "/sys/bus/pci/devices/" PCI_PRI_FMT, address->domain, address->bus,
		address->devid, address->function);
	if (access(device, F_OK))
		return REFUSE(-ENODEV, "port %s: there is no such PCI device", devargs);
	if (!rte_eal_has_pci())
		return REFUSE(-ENODEV, "port %s: EAL was started without PCI devices (--no-pci)", devargs);
	strncat(device, "/driver", sizeof(device) - strlen(device) - 1);
	length = readlink(device, driver, sizeof(driver) - 1);
	if (length < 0)
		return REFUSE(-ENODEV, "port %s: no kernel driver holds the device; bind it to vfio-pci", devargs);
	driver[length] = 0;
	return REFUSE(-EBUSY,
		"port %s: the device is bound to the kernel's driver %s and could not be opened; unless that "
		"driver works with DPDK, bind it to vfio-pci",
		devargs, strrchr(driver, '/') + 1);
}

static int explain(const char *devargs, const char *name, int result, char *error, size_t error_bytes)
{
	struct rte_pci_addr address;

	if (!rte_pci_addr_parse(name, &address))
		return explain_pci(devargs, &address, error, error_bytes);
	switch (result) {
	case -EBUSY:
	case -EEXIST:
		return REFUSE(-EBUSY, "port %s: the device is busy", devargs);
	case -ENODEV:
		return REFUSE(-ENODEV, "port %s: there is no such device", devargs);
	case -EACCES:
		return REFUSE(-EPERM, "port %s: not allowed: %s", devargs, strerror(EACCES));
	default: /* virtual drivers answer -1 to whatever they dislike, and tell the reason to EAL's log only */
		return REFUSE(
			-EINVAL, "port %s: its driver refuses these arguments: %s", devargs, shoal_eal_log_first());
	}
}

/* The port of a device; devices with several are reached by the first. */
static bool find(const char *name, uint16_t *id)
{
	struct rte_eth_dev_info information;
	uint16_t port;

	if (!rte_eth_dev_get_port_by_name(name, id))
		return true;
	RTE_ETH_FOREACH_DEV(port)
	{
		if (!rte_eth_dev_info_get(port, &information) && information.device &&
			!strcmp(rte_dev_name(information.device), name)) {
			*id = port;
			return true;
		}
	}
	return false;
}

static int plug(const char *devargs, const char *name, uint16_t *id, char *error, size_t error_bytes)
{
	struct rte_devargs parsed = { 0 };
	int result;

	result = rte_devargs_parse(&parsed, devargs);
	if (result && if_nametoindex(name))
		return REFUSE(-ENODEV, "port %s: that is an interface of the kernel; write net_af_packet0,iface=%s",
			devargs, name);
	if (result)
		return REFUSE(-ENODEV, "port %s: no driver here knows the device \"%s\"", devargs, name);
	free(parsed.data);
	result = shoal_kernel_interfaces_check(devargs, error, error_bytes);
	if (result)
		return result;
	shoal_eal_log_forget();
	result = rte_dev_probe(devargs);
	if (result)
		return explain(devargs, name, result, error, error_bytes);
	if (!find(name, id))
		return REFUSE(-ENODEV, "port %s: the device has no Ethernet port", devargs);
	return 0;
}

static int own(const char *devargs, struct shoal_ethdev_probed *probed, char *error, size_t error_bytes)
{
	struct rte_eth_dev_owner owner = { 0 };

	if (!rte_eth_dev_owner_get(probed->id, &owner) && owner.id != RTE_ETH_DEV_NO_OWNER)
		return REFUSE(-EBUSY, "port %s: the device is in use in this process already", devargs);
	snprintf(owner.name, sizeof(owner.name), "shoal");
	if (rte_eth_dev_owner_new(&owner.id) || rte_eth_dev_owner_set(probed->id, &owner))
		return REFUSE(-EIO, "port %s: ethdev can't mark the device as ours", devargs);
	probed->owner = owner.id;
	return 0;
}

int shoal_ethdev_probe(const char *devargs, struct shoal_ethdev_probed *probed, char *error, size_t error_bytes)
{
	char name[RTE_ETH_NAME_MAX_LEN];
	int result;

	*probed = (struct shoal_ethdev_probed){ 0 };
	if (!shoal_eal_running())
		return REFUSE(-ENOTCONN, "port %s: EAL is not running", devargs);
	result = device_name(devargs, name, sizeof(name), error, error_bytes);
	if (result)
		return result;
	if (!find(name, &probed->id)) {
		result = plug(devargs, name, &probed->id, error, error_bytes);
		if (result)
			return result;
		probed->plugged = true;
	}
	result = own(devargs, probed, error, error_bytes);
	if (result && probed->plugged)
		shoal_ethdev_unplug(probed);
	return result;
}

void shoal_ethdev_unplug(const struct shoal_ethdev_probed *probed)
{
	struct rte_eth_dev_info information;

	rte_eth_dev_owner_unset(probed->id, probed->owner);
	rte_eth_dev_stop(probed->id);
	if (!probed->plugged || rte_eth_dev_info_get(probed->id, &information))
		return;
	rte_eth_dev_close(probed->id);
	rte_dev_remove(information.device);
}
