/* SPDX-License-Identifier: BSD-3-Clause */
/* The translation's checksum arithmetic against the plain one of io/checksum.h, for every checksum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "io/checksum.h"
#include "translate.h"

static const uint16_t edges[] = { 0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff };

static uint16_t delta_of(unsigned round)
{
	return round < 6 ? edges[round] : (uint16_t)(round * 40503u);
}

static void test_apply(void **state)
{
	for (unsigned round = 0; round < 64; round++)
		for (unsigned checksum = 0; checksum <= UINT16_MAX; checksum++)
			assert_int_equal(nat_checksum_apply((uint16_t)checksum, delta_of(round)),
				shoal_checksum_adjust((uint16_t)checksum, delta_of(round)));
}

static uint16_t plain(uint8_t offset, uint16_t checksum, uint16_t delta)
{
	uint16_t adjusted = shoal_checksum_adjust(checksum, delta);

	if (offset == NAT_UDP_CHECKSUM)
		return shoal_checksum_adjust_udp(checksum, delta);
	return offset != NAT_TCP_CHECKSUM && adjusted == 0 ? UINT16_MAX : adjusted;
}

static void test_apply_transport(void **state)
{
	static const uint8_t protocols[] = { NAT_TCP, NAT_UDP, NAT_ICMP };

	for (unsigned protocol = 0; protocol < 3; protocol++) {
		uint8_t offset = (uint8_t)shoal_checksum_field_offset(protocols[protocol]);

		for (unsigned round = 0; round < 64; round++) {
			const struct nat_translation translation = { .checksum_offset = offset,
				.transport_delta = delta_of(round) };

			for (unsigned checksum = 0; checksum <= UINT16_MAX; checksum++)
				assert_int_equal(nat_transport_checksum_apply((uint16_t)checksum, &translation),
					plain(offset, (uint16_t)checksum, delta_of(round)));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_apply),
		cmocka_unit_test(test_apply_transport),
	};

	return cmocka_run_group_tests_name("nat_checksum", tests, NULL, NULL);
}
