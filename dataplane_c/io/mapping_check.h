/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether an address translator keeps its promise: while a source has live flows, all its packets come from one public
 * address and port, and from nobody else's (RFC 4787 REQ-1, RFC 5382 REQ-1). An NF that translates nothing keeps it too. */
#ifndef SHOAL_IO_MAPPING_CHECK_H
#define SHOAL_IO_MAPPING_CHECK_H

#include <shoal/types.h>

/* An address (IPv6: a hash of it) with a port, or an ICMP identifier; all bytes count. */
struct shoal_endpoint {
	uint64_t address;
	uint16_t port; /* network order */
	uint8_t protocol;
	uint8_t version;
	uint32_t zero;
};

enum shoal_mapping_verdict { SHOAL_MAPPING_KEPT, SHOAL_MAPPING_CHANGED, SHOAL_MAPPING_SHARED };

struct shoal_mapping_check;

/* Room for `most` live sources. NULL: no memory. */
struct shoal_mapping_check *shoal_mapping_check_create(uint32_t most);
void shoal_mapping_check_destroy(struct shoal_mapping_check *check);
void shoal_mapping_check_reset(struct shoal_mapping_check *check);

/* A flow of `source` begins: the source's number, counted. Never more than `most` sources are got at once. */
uint32_t shoal_mapping_check_get(struct shoal_mapping_check *check, const struct shoal_endpoint *source);
/* A flow of it has ended. With its last flow the source's public endpoint is free for others. */
void shoal_mapping_check_put(struct shoal_mapping_check *check, uint32_t number);
/* A packet of the source has come from `public`. */
enum shoal_mapping_verdict shoal_mapping_check_seen(
	struct shoal_mapping_check *check, uint32_t number, const struct shoal_endpoint *public);

#endif
