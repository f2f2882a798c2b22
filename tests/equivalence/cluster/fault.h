/* SPDX-License-Identifier: BSD-3-Clause */
/* A planted fault: something that a wrong NAT would do, done once to what leaves the real one, so that tests see whether the
 * checker finds it. It strikes a whole UDP packet that leaves by one port. */
#ifndef SHOAL_TESTS_FAULT_H
#define SHOAL_TESTS_FAULT_H

#include "pcap_file.h"
#include "wire.h"

enum fault_kind {
	FAULT_NONE,
	FAULT_DROP,
	FAULT_COPY,
	FAULT_SWAP, /* the packet leaves behind the next one of its flow */
	FAULT_PAYLOAD, /* a byte is changed, and the checksum with it */
	FAULT_CHECKSUM,
	FAULT_MAPPING, /* outside: the packet has another public port than one of its flow before it */
	FAULT_DELIVERY, /* inside: the packet goes to another host */
	FAULT_KINDS,
};

struct fault {
	enum fault_kind kind;
	unsigned countdown; /* packets that could be struck until one is */
	bool struck;
	unsigned held_length;
	uint8_t held[PCAP_FRAME_MAX];
	unsigned before_length; /* MAPPING: of a packet of the flow that will be struck, which has left; 0: none yet */
	uint8_t before[PCAP_FRAME_MAX];
};

/* FAULT_KINDS: there is none of that name. */
enum fault_kind fault_kind_find(const char *name);
/* The port whose packets it strikes. */
uint8_t fault_port(enum fault_kind kind);

typedef void fault_emit(void *user, uint8_t *frame, unsigned length);
/* Calls emit with what leaves instead of the frame, in order. */
void fault_apply(struct fault *fault, uint8_t *frame, unsigned length, fault_emit *emit, void *user);
/* Nothing moves any more: what is held back leaves, and the fault waits for another packet. */
void fault_release(struct fault *fault, fault_emit *emit, void *user);

#endif
