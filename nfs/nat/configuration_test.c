/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "configuration.h"

static char error[512];

static int set(struct nat_configuration *configuration, const char *name, const char *value)
{
	error[0] = '\0';
	return nat_configuration_set(configuration, name, value, error, sizeof(error));
}

static void defaults_are_the_rfcs(void **state)
{
	struct nat_configuration configuration;

	nat_configuration_init(&configuration);
	assert_int_equal(configuration.idle_ms[NAT_STATE_UDP], 300000);
	assert_int_equal(configuration.idle_ms[NAT_STATE_ICMP], 60000);
	assert_int_equal(configuration.idle_ms[NAT_STATE_TCP_ESTABLISHED], 7440000);
	assert_int_equal(configuration.idle_ms[NAT_STATE_TCP_OPENED_INSIDE], 240000);
	assert_int_equal(configuration.idle_ms[NAT_STATE_TCP_FIN_OUTSIDE], 240000);
	assert_int_equal(configuration.idle_ms[NAT_STATE_TCP_RESET], 240000);
	assert_int_equal(configuration.idle_ms[NAT_STATE_TCP_TIME_WAIT], 60000);
	assert_true(nat_address_set_contains(&configuration.inside_prefixes, inet_addr("100.127.255.255")));
	assert_false(nat_address_set_contains(&configuration.inside_prefixes, inet_addr("100.128.0.0")));
	assert_int_equal(nat_configuration_check(&configuration, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "public_addresses must be set"));
}

static void addresses(void **state)
{
	struct nat_configuration configuration;
	const struct nat_address_set *public = &configuration.public_addresses;

	nat_configuration_init(&configuration);
	assert_int_equal(
		set(&configuration, "public_addresses", "203.0.113.200, 198.51.100.1 - 198.51.100.16,192.0.2.4/30"), 0);
	assert_int_equal(public->count, 21);
	assert_int_equal(nat_address_set_at(public, 0), inet_addr("203.0.113.200"));
	assert_int_equal(nat_address_set_at(public, 1), inet_addr("198.51.100.1"));
	assert_int_equal(nat_address_set_at(public, 16), inet_addr("198.51.100.16"));
	assert_int_equal(nat_address_set_at(public, 20), inet_addr("192.0.2.7"));
	for (unsigned index = 0; index < public->count; index++)
		assert_true(nat_address_set_contains(public, nat_address_set_at(public, index)));
	assert_false(nat_address_set_contains(public, inet_addr("198.51.100.0")));
	assert_false(nat_address_set_contains(public, inet_addr("198.51.100.17")));
	assert_false(nat_address_set_contains(public, inet_addr("192.0.2.3")));
	assert_false(nat_address_set_contains(public, inet_addr("203.0.113.201")));
	for (uint64_t host = 0; host <= UINT32_MAX;
		host += host >> 8 == 0xc63364 ? 1 : 251) /* the look at the bounds alone */
		assert_int_equal(nat_address_set_contains(public, htonl((uint32_t)host)),
			nat_address_set_search(public, htonl((uint32_t)host)));
	assert_int_equal(nat_configuration_check(&configuration, error, sizeof(error)), 0);
	assert_int_equal(set(&configuration, "inside_prefixes", "0.0.0.0/0"), 0);
	assert_true(nat_address_set_contains(&configuration.inside_prefixes, inet_addr("8.8.8.8")));
	assert_int_equal(nat_configuration_check(&configuration, error, sizeof(error)), -EINVAL);
	assert_string_equal(error, "203.0.113.200 lies in both public_addresses and inside_prefixes");
}

static void values(void **state)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 0x0b, 2, 0, 0, 0, 0, 0x0a };
	struct nat_configuration configuration;

	nat_configuration_init(&configuration);
	assert_int_equal(set(&configuration, "port_range", "20000-30000"), 0);
	assert_int_equal(configuration.port_range.lowest, 20000);
	assert_int_equal(configuration.port_range.highest, 30000);
	assert_int_equal(set(&configuration, "udp_idle", "1h2min3s4ms"), 0);
	assert_int_equal(configuration.idle_ms[NAT_STATE_UDP], 3723004);
	assert_int_equal(set(&configuration, "tcp_time_wait_idle", "10"), 0);
	assert_int_equal(configuration.idle_ms[NAT_STATE_TCP_TIME_WAIT], 10000);
	assert_int_equal(set(&configuration, "tcp_transitory_idle", "7s"), 0);
	assert_int_equal(configuration.idle_ms[NAT_STATE_TCP_PARTIAL], 7000);
	assert_int_equal(configuration.idle_ms[NAT_STATE_TCP_FIN_INSIDE], 7000);
	assert_int_equal(configuration.idle_ms[NAT_STATE_TCP_RESET], 240000);
	assert_int_equal(set(&configuration, "decrement_ttl", "yes"), 0);
	assert_true(configuration.decrement_ttl);
	assert_int_equal(set(&configuration, "outside_mac", "02:00:00:00:00:0a, 02:00:00:00:00:0b"), 0);
	assert_true(configuration.rewrite_macs[NAT_OUTSIDE]);
	assert_false(configuration.rewrite_macs[NAT_INSIDE]);
	assert_memory_equal(configuration.macs[NAT_OUTSIDE], macs, sizeof(macs));
	assert_int_equal(set(&configuration, "outside_mac", "keep"), 0);
	assert_false(configuration.rewrite_macs[NAT_OUTSIDE]);
}

/* Each is refused with a sentence that names the setting and what is wrong, and changes nothing. */
static void bad_values(void **state)
{
	static const char *const bad[][3] = {
		{ "public_address", "192.0.2.1",
			"unknown setting \"public_address\" of the NAT; it has public_addresses" },
		{ "public_addresses", "", "public_addresses: \"\" is not an IPv4 address" },
		{ "public_addresses", "192.0.2.1,", "\"\" is not an IPv4 address" },
		{ "public_addresses", "192.0.2.256", "\"192.0.2.256\" is not an IPv4 address" },
		{ "public_addresses", "192.0.2.9-192.0.2.1", "ends before it starts" },
		{ "public_addresses", "192.0.2.1-x", "\"x\" is not an IPv4 address" },
		{ "public_addresses", "192.0.2.1-192.0.2.9, 192.0.2.9", "range 2 of the list overlaps range 1" },
		{ "public_addresses", "192.0.2.1/24", "has bits set behind its prefix" },
		{ "public_addresses", "192.0.2.0/33", "\"/33\" is not a prefix length" },
		{ "public_addresses", "192.0.2.0/-1", "\"/-1\" is not a prefix length" },
		{ "public_addresses", "192.0.2.0/", "\"/\" is not a prefix length" },
		{ "public_addresses", "192.0.0.0/8", "16777216 addresses are more than 65536" },
		{ "public_addresses",
			"11111111111111111111111111111111111111111111111111111111111111111111111111111111",
			"is not an address, range or prefix" },
		{ "inside_prefixes", "10.0.0.0/8 192.168.0.0/16", "is not" },
		{ "port_range", "1024", "\"1024\" is not a range of ports" },
		{ "port_range", "1024-65536", "not a range within 1-65535" },
		{ "port_range", "0-65535", "not a range within 1-65535" },
		{ "port_range", "5000-4000", "not a range within 1-65535" },
		{ "port_range", "5000-5254", "fewer than 256 ports" },
		{ "port_range", "1024-65535 x", "is not a range of ports" },
		{ "udp_idle", "", "is not a duration" },
		{ "udp_idle", "5 min", "is not a duration" },
		{ "udp_idle", "5m", "is not a duration" },
		{ "udp_idle", "-5s", "is not a duration" },
		{ "udp_idle", "5min3", "is not a duration" },
		{ "udp_idle", "9999999999s", "is not a duration" },
		{ "udp_idle", "0s", "is not between" },
		{ "tcp_established_idle", "25h", "tcp_established_idle: \"25h\" is not between 1ms and 86400s" },
		{ "decrement_ttl", "1", "is neither true nor false" },
		{ "inside_mac", "02:00:00:00:00:01", "inside_mac: \"02:00:00:00:00:01\" is neither" },
		{ "inside_mac", "02:00:00:00:00:01, 01:00:00:00:00:02", "multicast" },
		{ "inside_mac", "02:00:00:00:00:01, 02:00:00:00:00:02, 02:00:00:00:00:03", "is neither" },
	};
	struct nat_configuration configuration, before;

	nat_configuration_init(&configuration);
	assert_int_equal(set(&configuration, "public_addresses", "198.51.100.1"), 0);
	before = configuration;
	for (unsigned index = 0; index < sizeof(bad) / sizeof(bad[0]); index++) {
		assert_int_equal(set(&configuration, bad[index][0], bad[index][1]), -EINVAL);
		if (!strstr(error, bad[index][2]))
			fail_msg(
				"%s = \"%s\": \"%s\" lacks \"%s\"", bad[index][0], bad[index][1], error, bad[index][2]);
		assert_memory_equal(&configuration, &before, sizeof(before));
	}
}

static void too_many_ranges(void **state)
{
	struct nat_configuration configuration;
	char text[4096] = "";

	nat_configuration_init(&configuration);
	for (unsigned index = 0; index <= NAT_ADDRESS_RANGES_MAX; index++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s192.0.2.%u", index ? "," : "", index);
	assert_int_equal(set(&configuration, "public_addresses", text), -EINVAL);
	assert_string_equal(error, "public_addresses: more than 64 ranges");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_the_rfcs),
		cmocka_unit_test(addresses),
		cmocka_unit_test(values),
		cmocka_unit_test(bad_values),
		cmocka_unit_test(too_many_ranges),
	};

	return cmocka_run_group_tests_name("nat_configuration", tests, NULL, NULL);
}
