/* SPDX-License-Identifier: BSD-3-Clause */
/* Pools of packets (contract in io/port.h): a packet lies in the private area of its mbuf. */
#include "io/port.h"

#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <string.h>
#include <unistd.h>

#include "worker/eal.h"
#include "worker/error.h"

#define POOL_CACHE_MAX 256u

_Static_assert(SHOAL_PACKET_PRIVATE_BYTES % RTE_MBUF_PRIV_ALIGN == 0, "private area");

struct rte_mempool *shoal_packet_pool_create(const char *name, unsigned packets, unsigned data_bytes)
{
	/* DPDK wants the cache below two thirds of the pool. */
	unsigned cache = packets / 2 < POOL_CACHE_MAX ? packets / 2 : POOL_CACHE_MAX;

	if (!packets || data_bytes > UINT16_MAX - RTE_PKTMBUF_HEADROOM) {
		errno = EINVAL;
		return NULL;
	}

	struct rte_mempool *pool = rte_pktmbuf_pool_create(name, packets, cache, SHOAL_PACKET_PRIVATE_BYTES,
		(uint16_t)(data_bytes + RTE_PKTMBUF_HEADROOM), SOCKET_ID_ANY);

	if (!pool)
		errno = rte_errno;
	return pool;
}

/* DPDK lets no packet cross a page: in ordinary memory each has one for itself. */
static size_t packet_bytes(unsigned data_bytes)
{
	size_t element = sizeof(struct rte_mbuf) + SHOAL_PACKET_PRIVATE_BYTES + RTE_PKTMBUF_HEADROOM + data_bytes;
	size_t bytes = rte_mempool_calc_obj_size((uint32_t)element, 0, NULL), page = (size_t)sysconf(_SC_PAGESIZE);

	return rte_eal_has_hugepages() ? bytes : (bytes + page - 1) / page * page;
}

int shoal_packet_pool_refused(const char *owner, unsigned packets, unsigned data_bytes)
{
	int error = errno;

	if (error == ENOMEM)
		shoal_error(error, "%s: no memory for %u packets, about %zu MiB. %s", owner, packets,
			(packets * packet_bytes(data_bytes) >> 20) + 1, shoal_eal_memory_advice());
	else
		shoal_error(error, "%s: no pool of %u packets: %s", owner, packets, strerror(error));
	errno = error;
	return -error;
}

struct shoal_packet *shoal_packet_from_mbuf(struct rte_mbuf *mbuf)
{
	struct shoal_packet *packet = rte_mbuf_to_priv(mbuf);

	packet->mbuf = mbuf;
	packet->frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
	packet->length = rte_pktmbuf_data_len(mbuf);
	return packet;
}

struct shoal_packet *shoal_packet_alloc(struct rte_mempool *pool, uint16_t length)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);

	if (!mbuf)
		return NULL;
	if (!rte_pktmbuf_append(mbuf, length)) {
		rte_pktmbuf_free(mbuf);
		return NULL;
	}
	memset(rte_mbuf_to_priv(mbuf), 0, offsetof(struct shoal_packet, key));
	return shoal_packet_from_mbuf(mbuf);
}

void shoal_packet_free(struct shoal_packet *packet)
{
	rte_pktmbuf_free(packet->mbuf);
}
