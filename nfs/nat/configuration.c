/* SPDX-License-Identifier: BSD-3-Clause */
#include "configuration.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "duration.h"
#include "tick.h"

/* RFC 1918 and RFC 6598. */
#define INSIDE_PREFIXES "10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10"
#define SECOND UINT32_C(1000)
#define MINUTE (60 * SECOND)

struct setting {
	const char *name;
	int (*set)(struct nat_configuration *configuration, const struct setting *setting, const char *value,
		char *error, size_t error_bytes);
	uint32_t argument; /* a bit for each state, or a port */
};

static int refuse(char *error, size_t error_bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int refuse(char *error, size_t error_bytes, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, error_bytes, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int set_public_addresses(struct nat_configuration *configuration, const struct setting *setting,
	const char *value, char *error, size_t error_bytes)
{
	struct nat_address_set set;

	if (nat_address_set_parse(&set, value, error, error_bytes))
		return -EINVAL;
	if (set.count > NAT_PUBLIC_ADDRESSES_MAX)
		return refuse(error, error_bytes, "%llu addresses are more than %u", (unsigned long long)set.count,
			NAT_PUBLIC_ADDRESSES_MAX);
	configuration->public_addresses = set;
	return 0;
}

static int set_inside_prefixes(struct nat_configuration *configuration, const struct setting *setting,
	const char *value, char *error, size_t error_bytes)
{
	struct nat_address_set set;

	if (nat_address_set_parse(&set, value, error, error_bytes))
		return -EINVAL;
	configuration->inside_prefixes = set;
	return 0;
}

static int set_port_range(struct nat_configuration *configuration, const struct setting *setting, const char *value,
	char *error, size_t error_bytes)
{
	unsigned lowest, highest;
	char rest;

	if (sscanf(value, " %5u - %5u %c", &lowest, &highest, &rest) != 2)
		return refuse(error, error_bytes, "\"%.40s\" is not a range of ports such as 1024-65535", value);
	if (!lowest || lowest > highest || highest > UINT16_MAX)
		return refuse(error, error_bytes, "%u-%u is not a range within 1-65535", lowest, highest);
	if (highest - lowest < 255)
		return refuse(error, error_bytes, "%u-%u has fewer than 256 ports: some steering slots would have none",
			lowest, highest);
	configuration->port_range.lowest = (uint16_t)lowest;
	configuration->port_range.highest = (uint16_t)highest;
	return 0;
}

static int set_idle(struct nat_configuration *configuration, const struct setting *setting, const char *value,
	char *error, size_t error_bytes)
{
	uint32_t milliseconds;

	if (nat_duration_parse(value, NAT_IDLE_MS_MAX, &milliseconds, error, error_bytes))
		return -EINVAL;
	for (unsigned state = 0; state < NAT_STATES; state++)
		if (setting->argument & 1u << state)
			configuration->idle_ms[state] = milliseconds;
	return 0;
}

static int set_decrement_ttl(struct nat_configuration *configuration, const struct setting *setting, const char *value,
	char *error, size_t error_bytes)
{
	bool yes = !strcmp(value, "true") || !strcmp(value, "yes") || !strcmp(value, "on");

	if (!yes && strcmp(value, "false") != 0 && strcmp(value, "no") != 0 && strcmp(value, "off") != 0)
		return refuse(error, error_bytes, "\"%.40s\" is neither true nor false", value);
	configuration->decrement_ttl = yes;
	return 0;
}

/* "OWN, NEXT HOP": frames that leave by the port go from the first to the second. "keep": left as they are. */
static int set_mac(struct nat_configuration *configuration, const struct setting *setting, const char *value,
	char *error, size_t error_bytes)
{
	static const char format[] = " %2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx , %2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx %c";
	uint8_t own[6], next[6];
	char rest;

	if (!strcmp(value, "keep")) {
		configuration->rewrite_macs[setting->argument] = false;
		return 0;
	}
	if (sscanf(value, format, &own[0], &own[1], &own[2], &own[3], &own[4], &own[5], &next[0], &next[1], &next[2],
		    &next[3], &next[4], &next[5], &rest) != 12)
		return refuse(error, error_bytes,
			"\"%.60s\" is neither \"keep\" nor two MAC addresses, this NAT's own and the next hop's, such "
			"as \"02:00:00:00:00:01, 02:00:00:00:00:02\"",
			value);
	if (own[0] & 1 || next[0] & 1)
		return refuse(error, error_bytes, "\"%.60s\" has a multicast MAC address", value);
	memcpy(configuration->macs[setting->argument], next, sizeof(next));
	memcpy(configuration->macs[setting->argument] + sizeof(next), own, sizeof(own));
	configuration->rewrite_macs[setting->argument] = true;
	return 0;
}

#define TRANSITORY                                                                                                     \
	(1u << NAT_STATE_TCP_PARTIAL | 1u << NAT_STATE_TCP_OPENED_INSIDE | 1u << NAT_STATE_TCP_OPENED_OUTSIDE |        \
		1u << NAT_STATE_TCP_FIN_INSIDE | 1u << NAT_STATE_TCP_FIN_OUTSIDE)

static const struct setting settings[] = {
	{ "public_addresses", set_public_addresses, 0 },
	{ "inside_prefixes", set_inside_prefixes, 0 },
	{ "port_range", set_port_range, 0 },
	{ "udp_idle", set_idle, 1u << NAT_STATE_UDP },
	{ "icmp_idle", set_idle, 1u << NAT_STATE_ICMP },
	{ "tcp_established_idle", set_idle, 1u << NAT_STATE_TCP_ESTABLISHED },
	{ "tcp_transitory_idle", set_idle, TRANSITORY },
	{ "tcp_time_wait_idle", set_idle, 1u << NAT_STATE_TCP_TIME_WAIT },
	{ "tcp_reset_idle", set_idle, 1u << NAT_STATE_TCP_RESET },
	{ "decrement_ttl", set_decrement_ttl, 0 },
	{ "inside_mac", set_mac, NAT_INSIDE },
	{ "outside_mac", set_mac, NAT_OUTSIDE },
};

#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

void nat_configuration_init(struct nat_configuration *configuration)
{
	char error[SHOAL_NAME_BYTES];

	memset(configuration, 0, sizeof(*configuration));
	if (nat_address_set_parse(&configuration->inside_prefixes, INSIDE_PREFIXES, error, sizeof(error)))
		__builtin_trap();
	configuration->port_range.lowest = 1024;
	configuration->port_range.highest = UINT16_MAX;
	for (unsigned state = 0; state < NAT_STATES; state++)
		configuration->idle_ms[state] = 4 * MINUTE; /* RFC 5382 REQ-5 (transitory), RFC 7857 §2.2 (reset) */
	configuration->idle_ms[NAT_STATE_UDP] = 5 * MINUTE; /* RFC 4787 REQ-5 */
	configuration->idle_ms[NAT_STATE_ICMP] = MINUTE; /* RFC 5508 REQ-2 */
	configuration->idle_ms[NAT_STATE_TCP_ESTABLISHED] = 124 * MINUTE; /* RFC 5382 REQ-5 */
	configuration->idle_ms[NAT_STATE_TCP_TIME_WAIT] = MINUTE; /* no RFC says; hosts use 30 s to 4 min */
}

static void list_names(char *text, size_t text_bytes)
{
	size_t used = 0;

	for (size_t index = 0; index < SETTINGS && used < text_bytes; index++)
		used += (size_t)snprintf(
			text + used, text_bytes - used, "%s%s", index ? ", " : "", settings[index].name);
}

int nat_configuration_set(
	struct nat_configuration *configuration, const char *name, const char *value, char *error, size_t error_bytes)
{
	char reason[256], names[256];

	for (size_t index = 0; index < SETTINGS; index++) {
		if (strcmp(settings[index].name, name) != 0)
			continue;
		if (!settings[index].set(configuration, &settings[index], value, reason, sizeof(reason)))
			return 0;
		return refuse(error, error_bytes, "%s: %s", name, reason);
	}
	list_names(names, sizeof(names));
	return refuse(error, error_bytes, "unknown setting \"%.40s\" of the NAT; it has %s", name, names);
}

int nat_configuration_check(const struct nat_configuration *configuration, char *error, size_t error_bytes)
{
	uint32_t common;

	if (!configuration->public_addresses.count)
		return refuse(
			error, error_bytes, "public_addresses must be set: the NAT has no address to translate to");
	if (nat_address_set_overlap(&configuration->public_addresses, &configuration->inside_prefixes, &common))
		return refuse(error, error_bytes, "%u.%u.%u.%u lies in both public_addresses and inside_prefixes",
			common >> 24, common >> 16 & 255, common >> 8 & 255, common & 255);
	return 0;
}
