/* SPDX-License-Identifier: BSD-3-Clause */
/* The NAT's objects and methods. Addresses and ports are in network byte order wherever they lie in a key or an object:
 * they are then copied from frame to key without a thought. */
#ifndef SHOAL_NAT_H
#define SHOAL_NAT_H

#include <stddef.h>
#include <string.h>

#include <shoal/nf.h>

/* Of the objects and methods below: instances of one space must agree on it. */
#define NAT_VERSION "1"

enum nat_port { NAT_INSIDE = 0, NAT_OUTSIDE = 1, NAT_PORTS };

#define NAT_ICMP 1
#define NAT_TCP 6
#define NAT_UDP 17

/* What to write into a packet of one direction, ready made: new address and port, the checksum's corrections (RFC 1624,
 * eqn. 3) and where port and checksum lie in the transport header. */
struct nat_translation {
	uint32_t address;
	uint16_t port; /* or ICMP identifier */
	uint16_t network_delta; /* for the IPv4 header's checksum */
	uint16_t transport_delta; /* for the transport's checksum: pseudo header and port */
	uint8_t port_offset;
	uint8_t checksum_offset;
};

/* Inside → public. One for each inside address, port and protocol, whatever the destination (endpoint-independent
 * mapping, RFC 4787 REQ-1). */
struct nat_mapping_key {
	uint32_t address;
	uint16_t port;
	uint8_t protocol;
	uint8_t zero;
};

struct nat_mapping {
	struct nat_translation translation; /* to the public address and port */
	uint32_t last_seen; /* tick (tick.h) of the last packet from inside */
	uint8_t state; /* enum nat_state (tcp_state.h); decides the idle time */
	uint8_t protocol;
	uint8_t ready; /* 1: has a port, and its reverse names it. Else nothing else here counts */
	uint8_t zero;
};

/* Public → inside. */
struct nat_reverse_key {
	uint32_t address;
	uint16_t port;
	uint8_t protocol;
	uint8_t zero;
};

struct nat_reverse {
	struct nat_translation translation; /* to the inside address and port */
	uint32_t last_seen; /* tick of the last packet from outside; 0: none yet */
	uint8_t protocol;
	uint8_t ready; /* 1: its mapping names it. Else nothing else here counts */
	uint8_t zero[2];
};

/* With the map's head of 16 bytes and the key, each fits one cache line. */
_Static_assert(sizeof(struct nat_mapping_key) == 8 && sizeof(struct nat_reverse_key) == 8, "keys of 8 bytes");
_Static_assert(sizeof(struct nat_mapping) <= 32 && sizeof(struct nat_reverse) <= 32, "objects of at most 32 bytes");

/* The ports p with (p & 255) == steering_slot of one public address, for one protocol. For ICMP: the identifiers. */
struct nat_pool_key {
	uint32_t address;
	uint8_t protocol;
	uint8_t steering_slot;
	uint8_t zero[2];
};

struct nat_pool {
	uint64_t taken[4]; /* bit h: port h << 8 | steering_slot */
	uint16_t hint; /* where the next search starts, so that a port is not used again at once */
	uint16_t count; /* bits set */
};

/* Keys are read as one word as soon as they are written: where they were written field by field, that would wait until all
 * stores have reached the cache. */
static inline uint64_t nat_key_word(uint32_t address, uint16_t port, uint8_t protocol)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return address | (uint64_t)port << 32 | (uint64_t)protocol << 48;
#else
	return (uint64_t)address << 32 | (uint64_t)port << 16 | (uint64_t)protocol << 8;
#endif
}

_Static_assert(offsetof(struct nat_mapping_key, port) == 4 && offsetof(struct nat_mapping_key, protocol) == 6 &&
		       offsetof(struct nat_reverse_key, port) == 4 && offsetof(struct nat_reverse_key, protocol) == 6,
	"as nat_key_word has them");

static inline struct nat_reverse_key nat_reverse_key_make(uint32_t address, uint16_t port, uint8_t protocol)
{
	uint64_t word = nat_key_word(address, port, protocol);
	struct nat_reverse_key key;

	memcpy(&key, &word, sizeof(key));
	return key;
}

static inline struct nat_pool_key nat_pool_key_make(uint32_t address, uint8_t protocol, uint8_t steering_slot)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	uint64_t word = address | (uint64_t)protocol << 32 | (uint64_t)steering_slot << 40;
#else
	uint64_t word = (uint64_t)address << 32 | (uint32_t)protocol << 24 | (uint32_t)steering_slot << 16;
#endif
	struct nat_pool_key key;

	_Static_assert(
		offsetof(struct nat_pool_key, protocol) == 4 && offsetof(struct nat_pool_key, steering_slot) == 5,
		"as it is written");
	memcpy(&key, &word, sizeof(key));
	return key;
}

/* Ports in host order here: they are counted with. */
struct nat_pool_take {
	uint16_t lowest, highest; /* the configured port range */
};
struct nat_pool_taken {
	uint16_t port;
	uint16_t found; /* 0: every port of the pool that lies in the range is taken */
};
struct nat_pool_give_back {
	uint16_t port;
};
struct nat_pool_count {
	uint16_t taken;
};

struct nat_pool_keep {
	uint16_t port;
};

enum nat_pool_method { NAT_POOL_TAKE, NAT_POOL_GIVE_BACK, NAT_POOL_COUNT, NAT_POOL_KEEP, NAT_POOL_METHODS };

SHOAL_SINGLE_WRITER_DECLARE(nat_mapping, struct nat_mapping_key, struct nat_mapping)
SHOAL_SINGLE_WRITER_DECLARE(nat_reverse, struct nat_reverse_key, struct nat_reverse)
SHOAL_MULTI_WRITER_DECLARE(nat_pool, struct nat_pool_key, struct nat_pool)
SHOAL_METHOD_DECLARE(nat_pool, take, struct nat_pool_key, NAT_POOL_TAKE, struct nat_pool_take, struct nat_pool_taken)
SHOAL_UNTETHERED_DECLARE(nat_pool, give_back, struct nat_pool_key, NAT_POOL_GIVE_BACK, struct nat_pool_give_back)
SHOAL_METHOD_DECLARE(nat_pool, count, struct nat_pool_key, NAT_POOL_COUNT, void, struct nat_pool_count)

#endif
