/* SPDX-License-Identifier: BSD-3-Clause */
/* The connection of a TCP mapping, after RFC 6146 §3.5.2.2 and RFC 7857 §2. Sequence numbers are not tracked, and a mapping
 * may carry several connections (endpoint-independent mapping), so each rule errs towards keeping the mapping longer.
 *
 *   state           from inside: plain  data   SYN   FIN   RST    from outside: SYN   FIN   RST   plain
 *   PARTIAL                      .      .      OI    FI    R                    OO    FO    R     E
 *   OPENED_INSIDE                .      .      .     FI    R                    E     FO    R     .
 *   OPENED_OUTSIDE               .      .      E     FI    R                    .     FO    R     .
 *   ESTABLISHED                  .      .      .     FI    R                    .     FO    R     .
 *   FIN_INSIDE                   .      .      OI    .     R                    OO    TW    R     .
 *   FIN_OUTSIDE                  .      .      OI    TW    R                    OO    .     R     .
 *   TIME_WAIT                    .      E      OI    .     .                    OO    .     .     .
 *   RESET                        .      E      OI    .     .                    OO    .     .     .
 *
 * A dot: stays. RST beats SYN beats FIN where a packet has several. Data after TIME_WAIT or RESET belongs to another
 * connection of the mapping, or shows that the RST was forged. A plain packet from outside is not seen one by one:
 * expiry tells a PARTIAL mapping that there have been some. */
#include "tcp_state.h"

#define UDP NAT_STATE_UDP
#define ICMP NAT_STATE_ICMP
#define P NAT_STATE_TCP_PARTIAL
#define OI NAT_STATE_TCP_OPENED_INSIDE
#define OO NAT_STATE_TCP_OPENED_OUTSIDE
#define E NAT_STATE_TCP_ESTABLISHED
#define FI NAT_STATE_TCP_FIN_INSIDE
#define FO NAT_STATE_TCP_FIN_OUTSIDE
#define TW NAT_STATE_TCP_TIME_WAIT
#define R NAT_STATE_TCP_RESET

/* One row: flags 0 to 7 without data, then with data. */
#define ROW(plain, data, syn, fin, rst)                                                                                \
	{                                                                                                              \
		plain, fin, syn, syn, rst, rst, rst, rst, data, fin, syn, syn, rst, rst, rst, rst                      \
	}

const uint8_t nat_state_outbound[NAT_STATES][NAT_EVENTS] = {
	[UDP] = ROW(UDP, UDP, UDP, UDP, UDP),
	[ICMP] = ROW(ICMP, ICMP, ICMP, ICMP, ICMP),
	[P] = ROW(P, P, OI, FI, R),
	[OI] = ROW(OI, OI, OI, FI, R),
	[OO] = ROW(OO, OO, E, FI, R),
	[E] = ROW(E, E, E, FI, R),
	[FI] = ROW(FI, FI, OI, FI, R),
	[FO] = ROW(FO, FO, OI, TW, R),
	[TW] = ROW(TW, E, OI, TW, TW),
	[R] = ROW(R, E, OI, R, R),
};

const uint8_t nat_state_inbound[NAT_STATES][NAT_EVENTS] = {
	[UDP] = ROW(UDP, UDP, UDP, UDP, UDP),
	[ICMP] = ROW(ICMP, ICMP, ICMP, ICMP, ICMP),
	[P] = ROW(E, E, OO, FO, R),
	[OI] = ROW(OI, OI, E, FO, R),
	[OO] = ROW(OO, OO, OO, FO, R),
	[E] = ROW(E, E, E, FO, R),
	[FI] = ROW(FI, FI, OO, TW, R),
	[FO] = ROW(FO, FO, OO, FO, R),
	[TW] = ROW(TW, TW, OO, TW, TW),
	[R] = ROW(R, R, OO, R, R),
};

const char *nat_state_name(uint8_t state)
{
	static const char *const names[NAT_STATES] = {
		[UDP] = "udp",
		[ICMP] = "icmp",
		[P] = "tcp_partial",
		[OI] = "tcp_opened_inside",
		[OO] = "tcp_opened_outside",
		[E] = "tcp_established",
		[FI] = "tcp_fin_inside",
		[FO] = "tcp_fin_outside",
		[TW] = "tcp_time_wait",
		[R] = "tcp_reset",
	};

	return state < NAT_STATES ? names[state] : "unknown";
}
