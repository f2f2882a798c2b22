/* SPDX-License-Identifier: BSD-3-Clause */
/* The rest of the world: answers to what comes out of the NAT, by rules that see of a packet only what no NAT may change, so that
 * it does the same in every run. The rule goes by the server's port:
 *
 *     81          refuses TCP connections                82   resets them where the client closes
 *     83          never closes from its side             7001 a router's time exceeded, about the header and eight bytes
 *     7002        host unreachable, about the whole      9    silence
 *     any other   SYN → SYN ACK, FIN → FIN ACK, echo → echo reply; anything else: 0 to 2 packets like it, by its number */
#ifndef SHOAL_TESTS_SERVERS_H
#define SHOAL_TESTS_SERVERS_H

#include "feed.h"

#define SERVERS_ANSWERS_MAX 2

struct servers_answer {
	unsigned length;
	uint8_t frame[PCAP_FRAME_MAX];
};

/* Returns how many answers. */
unsigned servers_answer(uint8_t *frame, unsigned length, struct servers_answer answers[SERVERS_ANSWERS_MAX]);

#endif
