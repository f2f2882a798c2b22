/* SPDX-License-Identifier: BSD-3-Clause */
/* How an instance is connected: the splitter's packet ring or ports of its own, and the channels to its peers. Objects are
 * made by the control thread and handed over to the worker between two packets. */
#include <errno.h>
#include <string.h>
#include "channel/ring_transport.h"
#include "channel/tcp_transport.h"
#include "worker/error.h"
#include "worker/instance.h"

/* --- Packets --- */

static int take_ring(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_instance *instance = component;

	if (instance->worker.ring)
		return -EEXIST;
	instance->worker.ring = argument;
	return 0;
}

static int drop_ring(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_instance *instance = component;
	struct shoal_packet_ring **ring = argument;

	*ring = instance->worker.ring;
	if (!*ring)
		return -ENOENT;
	/* What waits to leave by it, or has come by it just now, has nowhere to go. */
	shoal_worker_empty_pipe(&instance->worker, SHOAL_WORKER_DROP_NO_PORT);
	instance->worker.backlogged -= instance->worker.output[SHOAL_NF_PORTS_MAX].backlog.count;
	for (struct shoal_packet *packet;
		(packet = shoal_packet_list_pop(&instance->worker.output[SHOAL_NF_PORTS_MAX].backlog));)
		shoal_worker_drop(&instance->worker, packet, SHOAL_WORKER_DROP_NO_PORT);
	memset(instance->worker.marker, 0, sizeof(instance->worker.marker));
	instance->worker.markers_waiting = 0;
	instance->worker.ring = NULL;
	return 0;
}

int shoal_instance_attach_packet_ring(struct shoal_instance *instance, int descriptor)
{
	struct shoal_packet_ring *ring = shoal_packet_ring_create(descriptor, 1, instance->pool);
	int error;

	if (!ring)
		return shoal_error(errno, "instance %s: the descriptor is no packet ring: %s", instance->config.name,
			strerror(errno));
	error = shoal_instance_command(instance, take_ring, ring);
	if (!error) {
		error = shoal_instance_pipe_ring(instance, ring);
		if (!error)
			return 0;
		if (shoal_instance_command(instance, drop_ring, &ring))
			return shoal_error(
				-error, "instance %s: neither receiver nor worker answers", instance->config.name);
	}
	struct shoal_port *port = shoal_packet_ring_port(ring);

	port->operations->destroy(port);
	return shoal_error(-error, "instance %s: %s", instance->config.name,
		error == -EEXIST ? "it has a packet ring already" : "its worker did not answer");
}

int shoal_instance_detach_packet_ring(struct shoal_instance *instance)
{
	struct shoal_packet_ring *ring = NULL;
	int error = shoal_instance_pipe_ring(instance, NULL);

	if (!error)
		error = shoal_instance_command(instance, drop_ring, &ring);

	if (error)
		return shoal_error(-error, "instance %s: %s", instance->config.name,
			error == -ENOENT ? "it has no packet ring" : "its worker did not answer");
	shoal_packet_ring_port(ring)->operations->destroy(shoal_packet_ring_port(ring));
	return 0;
}

struct port_argument {
	uint8_t nf_port;
	struct shoal_port *port;
};

static int take_port(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_instance *instance = component;
	struct port_argument *attach = argument;

	if (instance->worker.ports[attach->nf_port])
		return -EEXIST;
	instance->worker.ports[attach->nf_port] = attach->port;
	return 0;
}

static int drop_port(void *component, void *argument, uint64_t now_ns)
{
	((struct shoal_instance *)component)->worker.ports[*(const uint8_t *)argument] = NULL;
	return 0;
}

int shoal_instance_attach_port(struct shoal_instance *instance, uint8_t nf_port, const char *devargs)
{
	struct port_argument attach = { .nf_port = nf_port };
	char sentence[256] = "";
	int error;

	if (nf_port >= instance->worker.nf->ports_count)
		return shoal_error(EINVAL, "NF %s has no port %u", instance->worker.nf->name, nf_port);
	attach.port = shoal_ethdev_port_create(devargs, nf_port, instance->pool, sentence, sizeof(sentence));
	if (!attach.port)
		return shoal_error(errno, "%s", sentence);
	error = shoal_instance_command(instance, take_port, &attach);
	if (!error) {
		error = shoal_instance_pipe_port(instance, nf_port, attach.port);
		if (!error)
			return 0;
		if (shoal_instance_command(instance, drop_port, &nf_port))
			return shoal_error(
				-error, "instance %s: neither receiver nor worker answers", instance->config.name);
	}
	attach.port->operations->destroy(attach.port);
	return shoal_error(-error, "instance %s: %s", instance->config.name,
		error == -EEXIST ? "the NF port is attached already" : "its worker did not answer");
}

/* --- Peers --- */

struct peer_argument {
	uint8_t member;
	uint64_t life;
	struct shoal_link *link;
	bool tcp, fenced;
	const char *reason;
};

static int take_peer(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_instance *instance = component;
	struct peer_argument *attach = argument;
	struct shoal_fence *fence = &instance->worker.fence;
	uint64_t bit = UINT64_C(1) << attach->member;
	int error = shoal_channel_attach(instance->worker.space.channel, attach->member, attach->life, attach->link);

	if (error)
		return error;
	instance->peer_is_tcp[attach->member] = attach->tcp;
	fence->remote = attach->tcp ? fence->remote | bit : fence->remote & ~bit;
	fence->gone &= ~bit;
	fence->until_ns = 0;
	return 0;
}

static int attach_link(struct shoal_instance *instance, struct peer_argument *attach)
{
	int error = shoal_instance_command(instance, take_peer, attach);

	if (!error)
		return 0;
	/* Where the worker answered, the channel has destroyed the link. */
	if (error == -ETIMEDOUT)
		attach->link->operations->destroy(attach->link);
	return shoal_error(-error, "member %u: %s", attach->member,
		error == -EEXIST      ? "it has a channel already"
		: error == -ETIMEDOUT ? "the worker did not answer"
				      : strerror(-error));
}

static int check_peer(const struct shoal_instance *instance, uint16_t member)
{
	if (member >= SHOAL_MEMBERS_MAX || member == instance->config.member)
		return shoal_error(EINVAL, "member %u can't be a peer of member %u", member, instance->config.member);
	return 0;
}

int shoal_instance_attach_peer_ring(
	struct shoal_instance *instance, uint16_t member, uint64_t life, int descriptor, unsigned side)
{
	struct peer_argument attach = { .member = (uint8_t)member, .life = life };
	int error = check_peer(instance, member);

	if (error)
		return error;
	attach.link = shoal_ring_transport_create(descriptor, side);
	if (!attach.link)
		return shoal_error(errno, "member %u: the descriptor is no ring pair: %s", member, strerror(errno));
	return attach_link(instance, &attach);
}

static struct shoal_tcp_identity identity(const struct shoal_instance *instance)
{
	return (struct shoal_tcp_identity){
		.cluster = instance->config.cluster, .member = instance->config.member, .life = instance->config.life
	};
}

int shoal_instance_listen(struct shoal_instance *instance, const char *address, uint16_t tcp_port)
{
	const struct shoal_tcp_identity self = identity(instance);

	if (instance->listener)
		return shoal_error(EEXIST, "instance %s listens already", instance->config.name);
	instance->listener = shoal_tcp_listener_create(address, tcp_port, &self);
	if (!instance->listener)
		return shoal_error(errno, "can't listen at %s port %u: %s", address, tcp_port, strerror(errno));
	return shoal_tcp_listener_port(instance->listener);
}

int shoal_instance_attach_peer_tcp(
	struct shoal_instance *instance, uint16_t member, uint64_t life, const char *address, uint16_t tcp_port)
{
	const struct shoal_tcp_identity self = identity(instance);
	const struct shoal_tcp_peer peer = { .member = member, .life = life };
	struct peer_argument attach = { .member = (uint8_t)member, .life = life, .tcp = true };
	int error = check_peer(instance, member);

	if (error)
		return error;
	if (instance->config.member < member) {
		if (!instance->listener)
			return shoal_error(EINVAL, "member %u is to connect here, but nothing listens", member);
		attach.link = shoal_tcp_link_listen(instance->listener, &peer, NULL);
	} else {
		attach.link = shoal_tcp_link_connect(&self, &peer, address, tcp_port, NULL);
	}
	if (!attach.link)
		return shoal_error(errno, "member %u: no TCP channel with %s port %u: %s", member, address, tcp_port,
			strerror(errno));
	return attach_link(instance, &attach);
}

static int end_peer(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_instance *instance = component;
	struct peer_argument *end = argument;
	struct shoal_link *link = shoal_channel_link(instance->worker.space.channel, end->member, end->life);

	if (!link)
		return -ENOENT;
	if (instance->peer_is_tcp[end->member])
		shoal_tcp_link_ended(link, end->reason);
	else
		shoal_ring_transport_ended(link, end->reason);
	/* One that is to be declared dead may live and vote where we can't hear it. */
	if (!end->fenced)
		instance->worker.fence.gone |= UINT64_C(1) << end->member;
	/* Nothing is asked any more until a view change has dealt with it, unless the peer is no member. */
	if ((instance->worker.space.keyspace.in_now | instance->worker.space.keyspace.in_next) >> end->member & 1)
		instance->worker.space.owner_gone = true;
	return 0;
}

int shoal_instance_peer_ended(struct shoal_instance *instance, uint16_t member, uint64_t life, const char *reason)
{
	/* Links keep static text only. */
	static const char *const reasons[] = { "process ended", "connection closed", "removed", "fenced" };
	struct peer_argument end = { .member = (uint8_t)member, .life = life, .reason = "ended" };
	int error = check_peer(instance, member);

	for (unsigned i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (!strcmp(reason, reasons[i]))
			end.reason = reasons[i];
	end.fenced = !strcmp(reason, "fenced");
	if (error)
		return error;
	error = shoal_instance_command(instance, end_peer, &end);
	return error ? shoal_error(-error, "member %u has no channel of life %lu here", member, life) : 0;
}

static int drop_peer(void *component, void *argument, uint64_t now_ns)
{
	struct shoal_instance *instance = component;

	shoal_channel_detach(instance->worker.space.channel, *(uint8_t *)argument);
	instance->worker.fence.remote &= ~(UINT64_C(1) << *(uint8_t *)argument);
	return 0;
}

int shoal_instance_detach_peer(struct shoal_instance *instance, uint16_t member)
{
	uint8_t number = (uint8_t)member;
	int error = check_peer(instance, member);

	if (error)
		return error;
	error = shoal_instance_command(instance, drop_peer, &number);
	return error ? shoal_error(-error, "member %u: the worker did not answer", member) : 0;
}
