/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel/tcp_hello.h"

#include <endian.h>
#include <string.h>

/* As it lies on the wire. */
struct wire_hello {
	uint8_t magic[8];
	uint32_t version;
	uint32_t refusal;
	uint64_t cluster;
	uint64_t life;
	uint64_t to_life;
	uint16_t member;
	uint16_t to_member;
	uint32_t zero;
};

_Static_assert(sizeof(struct wire_hello) == SHOAL_TCP_HELLO_BYTES, "no padding");

static const uint8_t MAGIC[8] = { 'S', 'h', 'o', 'a', 'l', 'T', 'C', 'P' };

void shoal_tcp_hello_write(const struct shoal_tcp_hello *hello, uint8_t bytes[SHOAL_TCP_HELLO_BYTES])
{
	struct wire_hello wire = {
		.version = htole32(hello->version),
		.refusal = htole32(hello->refusal),
		.cluster = htole64(hello->from.cluster),
		.life = htole64(hello->from.life),
		.to_life = htole64(hello->to_life),
		.member = htole16(hello->from.member),
		.to_member = htole16(hello->to_member),
	};

	memcpy(wire.magic, MAGIC, sizeof(MAGIC));
	memcpy(bytes, &wire, sizeof(wire));
}

bool shoal_tcp_hello_read(struct shoal_tcp_hello *hello, const uint8_t bytes[SHOAL_TCP_HELLO_BYTES])
{
	struct wire_hello wire;

	memcpy(&wire, bytes, sizeof(wire));
	if (memcmp(wire.magic, MAGIC, sizeof(MAGIC)) != 0)
		return false;
	*hello = (struct shoal_tcp_hello){
		.from = { .cluster = le64toh(wire.cluster),
			.life = le64toh(wire.life),
			.member = le16toh(wire.member) },
		.to_member = le16toh(wire.to_member),
		.to_life = le64toh(wire.to_life),
		.version = le32toh(wire.version),
		.refusal = le32toh(wire.refusal),
	};
	return true;
}

enum shoal_tcp_refusal shoal_tcp_hello_check(const struct shoal_tcp_hello *hello, const struct shoal_tcp_identity *self)
{
	if (hello->version != SHOAL_TCP_VERSION)
		return SHOAL_TCP_VERSION_REFUSED;
	if (hello->from.cluster != self->cluster)
		return SHOAL_TCP_CLUSTER_REFUSED;
	if (hello->to_member != self->member || hello->from.member >= SHOAL_MEMBERS_MAX)
		return SHOAL_TCP_MEMBER_REFUSED;
	if (hello->to_life != self->life)
		return SHOAL_TCP_LIFE_REFUSED;
	return SHOAL_TCP_ACCEPTED;
}

const char *shoal_tcp_refusal_text(uint32_t refusal, bool theirs)
{
	static const char *const texts[SHOAL_TCP_REFUSALS][2] = {
		[SHOAL_TCP_ACCEPTED] = { "accepted", "accepted" },
		[SHOAL_TCP_NOT_SHOAL] = { "the peer does not speak Shoal's protocol",
			"refused by the peer: not Shoal's protocol" },
		[SHOAL_TCP_VERSION_REFUSED] = { "the peer speaks another version",
			"refused by the peer: other version" },
		[SHOAL_TCP_CLUSTER_REFUSED] = { "the peer belongs to another cluster",
			"refused by the peer: other cluster" },
		[SHOAL_TCP_MEMBER_REFUSED] = { "the peer is another member",
			"refused by the peer: it is another member" },
		[SHOAL_TCP_LIFE_REFUSED] = { "the peer means another life of ours",
			"refused by the peer: it has another life" },
		[SHOAL_TCP_PEER_UNKNOWN] = { "the peer is not known here", "refused by the peer: it does not know us" },
		[SHOAL_TCP_PEER_LIFE_REFUSED] = { "the peer has another life",
			"refused by the peer: it expects another life" },
	};

	return refusal < SHOAL_TCP_REFUSALS ? texts[refusal][theirs] : "refused by the peer, it does not say why";
}
