/* SPDX-License-Identifier: BSD-3-Clause */
/* State of a mapping, which decides its idle time: for TCP the state of its connection as the NAT sees it pass, else just
 * the protocol. */
#ifndef SHOAL_NAT_TCP_STATE_H
#define SHOAL_NAT_TCP_STATE_H

#include <stdint.h>

enum nat_state {
	NAT_STATE_UDP,
	NAT_STATE_ICMP,
	NAT_STATE_TCP_PARTIAL, /* made by a packet other than SYN: its beginning was not seen */
	NAT_STATE_TCP_OPENED_INSIDE, /* SYN from inside */
	NAT_STATE_TCP_OPENED_OUTSIDE, /* SYN from outside */
	NAT_STATE_TCP_ESTABLISHED, /* SYN from both */
	NAT_STATE_TCP_FIN_INSIDE,
	NAT_STATE_TCP_FIN_OUTSIDE,
	NAT_STATE_TCP_TIME_WAIT, /* FIN from both */
	NAT_STATE_TCP_RESET,
	NAT_STATES
};

/* A packet's event: the low three TCP flags (0: plain), and bit 3 if it surely carries data. */
#define NAT_EVENT_FIN 1
#define NAT_EVENT_SYN 2
#define NAT_EVENT_RST 4
#define NAT_EVENT_FLAGS 7
#define NAT_EVENT_DATA 8
#define NAT_EVENTS 16

/* Next state by state and event. Packets of UDP and ICMP have no flags and stay where they are, so that every packet takes
 * the same path. */
extern const uint8_t nat_state_outbound[NAT_STATES][NAT_EVENTS] __attribute__((visibility("hidden")));
extern const uint8_t nat_state_inbound[NAT_STATES][NAT_EVENTS] __attribute__((visibility("hidden")));

/* State of a mapping that a packet from inside makes. */
static inline uint8_t nat_state_initial(uint8_t protocol, uint8_t tcp_flags)
{
	switch (protocol) {
	case 6:
		return nat_state_outbound[NAT_STATE_TCP_PARTIAL][tcp_flags & NAT_EVENT_FLAGS];
	case 1:
		return NAT_STATE_ICMP;
	default:
		return NAT_STATE_UDP;
	}
}

const char *nat_state_name(uint8_t state);

#endif
