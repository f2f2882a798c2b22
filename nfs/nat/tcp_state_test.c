/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tcp_state.h"

#define FIN NAT_EVENT_FIN
#define SYN NAT_EVENT_SYN
#define RST NAT_EVENT_RST
#define DATA NAT_EVENT_DATA

/* A walk: '>' from inside, '<' from outside, then the event, and the state that must follow. */
struct step {
	char direction;
	uint8_t event;
	uint8_t state;
};

static void walk(uint8_t state, const struct step *steps, unsigned n)
{
	for (unsigned index = 0; index < n; index++) {
		state = steps[index].direction == '>' ? nat_state_outbound[state][steps[index].event]
		                                      : nat_state_inbound[state][steps[index].event];
		assert_string_equal(nat_state_name(state), nat_state_name(steps[index].state));
	}
}
#define WALK(first, ...)                                                                                               \
	do {                                                                                                           \
		static const struct step steps[] = { __VA_ARGS__ };                                                    \
		walk(first, steps, sizeof(steps) / sizeof(steps[0]));                                                  \
	} while (0)

static void connection_from_inside(void **state)
{
	assert_int_equal(nat_state_initial(6, SYN), NAT_STATE_TCP_OPENED_INSIDE);
	WALK(NAT_STATE_TCP_OPENED_INSIDE, { '>', SYN, NAT_STATE_TCP_OPENED_INSIDE },
		{ '<', SYN, NAT_STATE_TCP_ESTABLISHED }, { '>', 0, NAT_STATE_TCP_ESTABLISHED },
		{ '>', DATA, NAT_STATE_TCP_ESTABLISHED }, { '>', FIN, NAT_STATE_TCP_FIN_INSIDE },
		{ '>', 0, NAT_STATE_TCP_FIN_INSIDE }, { '<', FIN, NAT_STATE_TCP_TIME_WAIT },
		{ '>', 0, NAT_STATE_TCP_TIME_WAIT }, { '>', RST, NAT_STATE_TCP_TIME_WAIT });
}

static void closed_by_outside_with_data_on_the_fin(void **state)
{
	WALK(NAT_STATE_TCP_ESTABLISHED, { '<', FIN, NAT_STATE_TCP_FIN_OUTSIDE },
		{ '>', DATA, NAT_STATE_TCP_FIN_OUTSIDE }, { '>', DATA | FIN, NAT_STATE_TCP_TIME_WAIT },
		{ '<', FIN, NAT_STATE_TCP_TIME_WAIT });
}

static void connection_from_outside(void **state)
{
	WALK(NAT_STATE_TCP_TIME_WAIT, { '<', SYN, NAT_STATE_TCP_OPENED_OUTSIDE },
		{ '<', SYN, NAT_STATE_TCP_OPENED_OUTSIDE }, { '>', SYN, NAT_STATE_TCP_ESTABLISHED });
}

static void refused(void **state)
{
	WALK(NAT_STATE_TCP_OPENED_INSIDE, { '<', RST, NAT_STATE_TCP_RESET }, { '>', 0, NAT_STATE_TCP_RESET },
		{ '>', SYN, NAT_STATE_TCP_OPENED_INSIDE });
}

static void data_revives_what_a_forged_reset_ended(void **state)
{
	WALK(NAT_STATE_TCP_ESTABLISHED, { '<', RST, NAT_STATE_TCP_RESET }, { '>', DATA, NAT_STATE_TCP_ESTABLISHED });
	WALK(NAT_STATE_TCP_TIME_WAIT, { '>', DATA, NAT_STATE_TCP_ESTABLISHED });
}

static void beginning_not_seen(void **state)
{
	assert_int_equal(nat_state_initial(6, 0), NAT_STATE_TCP_PARTIAL);
	assert_int_equal(nat_state_initial(6, 0x18), NAT_STATE_TCP_PARTIAL);
	WALK(NAT_STATE_TCP_PARTIAL, { '>', DATA, NAT_STATE_TCP_PARTIAL }, { '<', 0, NAT_STATE_TCP_ESTABLISHED });
}

/* RST beats SYN beats FIN, with data or without, in every state of TCP. */
static void several_flags(void **state)
{
	for (unsigned from = NAT_STATE_TCP_PARTIAL; from < NAT_STATES; from++) {
		for (unsigned event = 0; event < NAT_EVENTS; event++) {
			unsigned flags = event & NAT_EVENT_FLAGS;
			unsigned one = flags & RST ? RST : flags & SYN ? SYN : flags & FIN ? FIN : event;

			assert_int_equal(nat_state_outbound[from][event], nat_state_outbound[from][one]);
			assert_int_equal(nat_state_inbound[from][event], nat_state_inbound[from][one]);
			assert_in_range(nat_state_outbound[from][event], NAT_STATE_TCP_PARTIAL, NAT_STATES - 1);
			assert_in_range(nat_state_inbound[from][event], NAT_STATE_TCP_PARTIAL, NAT_STATES - 1);
		}
	}
}

static void other_protocols_stay(void **state)
{
	assert_int_equal(nat_state_initial(17, 0), NAT_STATE_UDP);
	assert_int_equal(nat_state_initial(1, 0), NAT_STATE_ICMP);
	for (unsigned event = 0; event < NAT_EVENTS; event++) {
		assert_int_equal(nat_state_outbound[NAT_STATE_UDP][event], NAT_STATE_UDP);
		assert_int_equal(nat_state_inbound[NAT_STATE_ICMP][event], NAT_STATE_ICMP);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connection_from_inside),
		cmocka_unit_test(closed_by_outside_with_data_on_the_fin),
		cmocka_unit_test(connection_from_outside),
		cmocka_unit_test(refused),
		cmocka_unit_test(data_revives_what_a_forged_reset_ended),
		cmocka_unit_test(beginning_not_seen),
		cmocka_unit_test(several_flags),
		cmocka_unit_test(other_protocols_stay),
	};

	return cmocka_run_group_tests_name("nat_tcp_state", tests, NULL, NULL);
}
