/* SPDX-License-Identifier: BSD-3-Clause */
/* A port on any ethdev: one receive and one transmit queue, promiscuous, no offloads.
 *
 * An AF_PACKET port sees frames as the kernel's own stack left them: where a sender on this host is to reach the NF over
 * veth, checksum and segmentation offload of its interface must be off, or its checksums aren't there yet. */
#include "io/ethdev_port.h"

#include <errno.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/ethdev_probe.h"
#include "io/kernel_interface.h"
#include "worker/eal.h"

#define DESCRIPTORS 1024
#define LINK_WAIT_MS 3000
#define LINK_POLL_MS 10

struct ethdev_port {
	struct shoal_port port;
	uint8_t nf_port;
	struct shoal_ethdev_probed probed;
};

/* --- Data path --- */

/* A frame that does not lie in one segment is longer than the pool's mbufs: jumbo frames on a port that nobody made room
 * for. A VLAN tag that the driver took off (AF_PACKET always does) goes back to where it was. */
static inline bool make_plain(struct rte_mbuf *mbuf)
{
	if (SHOAL_UNLIKELY(mbuf->nb_segs != 1))
		return false;
	if (SHOAL_UNLIKELY(mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED)) {
		struct rte_mbuf *tagged = mbuf;

		if (rte_vlan_insert(&tagged))
			return false;
	}
	return true;
}

static inline struct shoal_packet *packet_of(struct rte_mbuf *mbuf, uint8_t nf_port)
{
	struct shoal_packet *packet = rte_mbuf_to_priv(mbuf);

	packet->mbuf = mbuf;
	packet->frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
	packet->length = rte_pktmbuf_data_len(mbuf);
	packet->flags = 0;
	packet->verdict = 0;
	packet->port = nf_port;
	packet->steering_slot = 0;
	packet->entry = 0;
	packet->traffic = 0;
	return packet;
}

static unsigned ethdev_receive(struct shoal_port *port, struct shoal_packet *packets[], unsigned n, uint64_t now_ns)
{
	struct ethdev_port *ethdev = (struct ethdev_port *)port;
	struct rte_mbuf *mbufs[SHOAL_BURST_MAX];
	unsigned received =
		rte_eth_rx_burst(ethdev->probed.id, 0, mbufs, (uint16_t)(n < SHOAL_BURST_MAX ? n : SHOAL_BURST_MAX));
	unsigned count = 0;

	(void)now_ns;
	for (unsigned i = 0; i < received; i++) {
		__builtin_prefetch(rte_mbuf_to_priv(mbufs[i]), 1);
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
	}
	for (unsigned i = 0; i < received; i++) {
		if (SHOAL_UNLIKELY(!make_plain(mbufs[i]))) {
			rte_pktmbuf_free(mbufs[i]);
			port->dropped_too_long++;
			continue;
		}
		packets[count] = packet_of(mbufs[i], ethdev->nf_port);
		port->received_bytes += packets[count]->length;
		count++;
	}
	port->received_packets += count;
	return count;
}

/* The packet's frame and length are what counts: an NF may have moved either end. */
static inline struct rte_mbuf *mbuf_of(const struct shoal_packet *packet)
{
	struct rte_mbuf *mbuf = packet->mbuf;

	mbuf->data_off = (uint16_t)(packet->frame - (uint8_t *)mbuf->buf_addr);
	mbuf->data_len = packet->length;
	mbuf->pkt_len = packet->length;
	return mbuf;
}

static unsigned ethdev_transmit(struct shoal_port *port, struct shoal_packet *const packets[], unsigned n)
{
	struct ethdev_port *ethdev = (struct ethdev_port *)port;
	struct rte_mbuf *mbufs[SHOAL_BURST_MAX];
	uint16_t lengths[SHOAL_BURST_MAX]; /* a packet is the driver's once it is sent */
	unsigned sent, total = 0;

	do {
		unsigned burst = n - total < SHOAL_BURST_MAX ? n - total : SHOAL_BURST_MAX;

		for (unsigned i = 0; i < burst; i++) {
			mbufs[i] = mbuf_of(packets[total + i]);
			lengths[i] = packets[total + i]->length;
		}
		sent = rte_eth_tx_burst(ethdev->probed.id, 0, mbufs, (uint16_t)burst);
		for (unsigned i = 0; i < sent; i++)
			port->transmitted_bytes += lengths[i];
		total += sent;
	} while (sent == SHOAL_BURST_MAX && total < n);
	port->transmitted_packets += total;
	return total;
}

/* Whatever was transmitted is the device's already. */
static void ethdev_flush(struct shoal_port *port)
{
	(void)port;
}

static void ethdev_destroy(struct shoal_port *port)
{
	struct ethdev_port *ethdev = (struct ethdev_port *)port;

	shoal_ethdev_unplug(&ethdev->probed);
	free(ethdev);
}

static const struct shoal_port_operations operations = {
	.receive = ethdev_receive,
	.transmit = ethdev_transmit,
	.flush = ethdev_flush,
	.destroy = ethdev_destroy,
};

/* --- Control --- */

void shoal_ethdev_port_missed(const struct shoal_port *port, uint64_t *imissed, uint64_t *nombuf)
{
	const struct ethdev_port *ethdev = (const struct ethdev_port *)port;
	struct rte_eth_stats statistics = { 0 };

	if (rte_eth_stats_get(ethdev->probed.id, &statistics))
		memset(&statistics, 0, sizeof(statistics));
	*imissed = statistics.imissed;
	*nombuf = statistics.rx_nombuf;
}

void shoal_ethdev_port_errors(const struct shoal_port *port, uint64_t *received, uint64_t *sent)
{
	const struct ethdev_port *ethdev = (const struct ethdev_port *)port;
	struct rte_eth_stats statistics = { 0 };

	if (rte_eth_stats_get(ethdev->probed.id, &statistics))
		memset(&statistics, 0, sizeof(statistics));
	*received = statistics.ierrors;
	*sent = statistics.oerrors;
}

/* Makes the device ready to run; the failing step's name in *step. */
static int configure(uint16_t id, struct rte_mempool *pool, const char **step)
{
	const struct rte_eth_conf configuration = { 0 };
	uint16_t receive = DESCRIPTORS, transmit = DESCRIPTORS;
	int node = rte_eth_dev_socket_id(id);
	unsigned node_id = node < 0 ? (unsigned)SOCKET_ID_ANY : (unsigned)node;
	int result;

	*step = "configure";
	result = rte_eth_dev_configure(id, 1, 1, &configuration);
	if (!result)
		result = rte_eth_dev_adjust_nb_rx_tx_desc(id, &receive, &transmit);
	if (result)
		return result;
	*step = "set up the receive queue";
	result = rte_eth_rx_queue_setup(id, 0, receive, node_id, NULL, pool);
	if (result)
		return result;
	*step = "set up the transmit queue";
	result = rte_eth_tx_queue_setup(id, 0, transmit, node_id, NULL);
	if (result)
		return result;
	*step = "start";
	result = rte_eth_dev_start(id);
	if (result)
		return result;
	*step = "become promiscuous";
	result = rte_eth_promiscuous_enable(id);
	return result == -ENOTSUP ? 0 : result;
}

/* Drivers whose link is their peer process, which may come later. */
static bool link_is_optional(const char *devargs)
{
	static const char *const prefixes[] = { "net_memif", "net_vhost", "net_virtio_user" };

	for (unsigned i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (!strncmp(devargs, prefixes[i], strlen(prefixes[i])))
			return true;
	}
	return false;
}

static bool link_is_up(uint16_t id, const char *devargs)
{
	struct rte_eth_link link = { 0 };

	return !rte_eth_link_get_nowait(id, &link) && link.link_status == RTE_ETH_LINK_UP &&
	       shoal_kernel_interfaces_linked(devargs);
}

/* Physical links take seconds to come up after start. */
static bool link_comes_up(uint16_t id, const char *devargs)
{
	if (link_is_optional(devargs))
		return true;
	for (unsigned waited = 0; waited < LINK_WAIT_MS; waited += LINK_POLL_MS) {
		if (link_is_up(id, devargs))
			return true;
		rte_delay_us_sleep(LINK_POLL_MS * 1000);
	}
	return link_is_up(id, devargs);
}

static int open_device(
	struct ethdev_port *ethdev, const char *devargs, struct rte_mempool *pool, char *error, size_t error_bytes)
{
	const char *step;
	int result;

	shoal_eal_log_forget();
	result = configure(ethdev->probed.id, pool, &step);
	if (result) {
		const char *told = shoal_eal_log_first();

		snprintf(error, error_bytes, "port %s: the device does not %s: %s%s%s", devargs, step,
			strerror(-result), told[0] ? ": " : "", told);
		return result;
	}
	if (!link_comes_up(ethdev->probed.id, devargs)) {
		snprintf(error, error_bytes, "port %s: its link is down (no cable, or the other end is down)", devargs);
		return -ENETDOWN;
	}
	rte_eth_stats_reset(ethdev->probed.id);
	return 0;
}

struct shoal_port *shoal_ethdev_port_create(
	const char *devargs, uint8_t nf_port, struct rte_mempool *pool, char *error, size_t error_bytes)
{
	struct ethdev_port *ethdev = calloc(1, sizeof(*ethdev));
	int result;

	if (!ethdev) {
		snprintf(error, error_bytes, "port %s: no memory", devargs);
		errno = ENOMEM;
		return NULL;
	}
	ethdev->port.operations = &operations;
	ethdev->port.of_one = true;
	ethdev->nf_port = nf_port;
	snprintf(ethdev->port.name, sizeof(ethdev->port.name), "%.*s", (int)strcspn(devargs, ","), devargs);
	result = shoal_ethdev_probe(devargs, &ethdev->probed, error, error_bytes);
	if (result)
		goto free_port;
	result = open_device(ethdev, devargs, pool, error, error_bytes);
	if (result)
		goto unplug;
	return &ethdev->port;

unplug:
	shoal_ethdev_unplug(&ethdev->probed);
free_port:
	free(ethdev);
	errno = -result;
	return NULL;
}
