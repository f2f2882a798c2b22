/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/splitter.h"

#include <errno.h>
#include <string.h>

#include "io/nf_loader.h"
#include "io/splitter_stages.h"

/* Bursts taken in from a member that is removed: its ring can't hold more, unless it lives and goes on writing. */
#define DRAIN_BURSTS (1 << 16)

void shoal_splitter_drop(struct shoal_splitter *splitter, enum shoal_splitter_drop reason, struct shoal_packet *packet)
{
	splitter->drops[reason]++;
	shoal_packet_free(packet);
}

int shoal_splitter_init(struct shoal_splitter *splitter, const struct shoal_splitter_setup *setup)
{
	struct shoal_fragment_table_config fragments = {
		.entries_max = setup->fragments_max, .held_max = setup->fragments_max, .hash_seed = setup->hash_seed
	};
	char error[256];

	if (setup->parked_max == 0)
		return -EINVAL;
	if (shoal_nf_check(setup->nf, error, sizeof(error)) != 0)
		return -EINVAL;
	memset(splitter, 0, sizeof(*splitter));
	splitter->nf = setup->nf;
	shoal_steering_init(&splitter->steering, setup->parked_max);
	splitter->fragments = shoal_fragment_table_create(&fragments);
	return splitter->fragments == NULL ? -errno : 0;
}

static void port_fini(struct shoal_splitter_port *output)
{
	for (; output->head != output->tail; output->head++)
		shoal_packet_free(output->queue[output->head % SHOAL_SPLITTER_OUTPUT_MAX]);
	if (output->port != NULL)
		output->port->operations->destroy(output->port);
	output->port = NULL;
}

void shoal_splitter_fini(struct shoal_splitter *splitter)
{
	shoal_steering_fini(&splitter->steering);
	shoal_fragment_table_destroy(splitter->fragments);
	splitter->fragments = NULL;
	for (; splitter->attached != 0; splitter->attached &= splitter->attached - 1) {
		struct shoal_splitter_member *member = &splitter->members[__builtin_ctzll(splitter->attached)];

		member->port->operations->destroy(member->port);
		member->ring = NULL;
		member->port = NULL;
	}
	for (unsigned i = 0; i < SHOAL_NF_PORTS_MAX; i++)
		port_fini(&splitter->ports[i]);
}

/* --- Members and ports -------------------------------------------------------------------------------------------- */

int shoal_splitter_port_add(struct shoal_splitter *splitter, uint8_t nf_port, struct shoal_port *port)
{
	if (nf_port >= splitter->nf->ports_count)
		return -EINVAL;
	if (splitter->ports[nf_port].port != NULL)
		return -EEXIST;
	splitter->ports[nf_port].port = port;
	return 0;
}

static bool is_attached(const struct shoal_splitter *splitter, unsigned member)
{
	return member < SHOAL_MEMBERS_MAX && splitter->attached >> member & 1;
}

int shoal_splitter_member_add(struct shoal_splitter *splitter, uint16_t member, struct shoal_packet_ring *ring)
{
	if (member >= SHOAL_MEMBERS_MAX)
		return -EINVAL;
	if (is_attached(splitter, member))
		return -EEXIST;
	splitter->members[member].ring = ring;
	splitter->members[member].port = shoal_packet_ring_port(ring);
	splitter->attached |= UINT64_C(1) << member;
	return 0;
}

unsigned shoal_splitter_member_send(
	struct shoal_splitter *splitter, uint8_t member, struct shoal_packet *const packets[], unsigned n)
{
	struct shoal_splitter_member *to = &splitter->members[member];
	unsigned taken = to->port->operations->transmit(to->port, packets, n);

	splitter->touched |= UINT64_C(1) << member;
	to->sent += taken;
	return taken;
}

void shoal_splitter_batch_send(struct shoal_splitter *splitter, uint8_t member)
{
	struct shoal_splitter_member *to = &splitter->members[member];
	unsigned taken = shoal_splitter_member_send(splitter, member, to->batch, to->batch_count);
	enum shoal_splitter_drop reason = SHOAL_SPLITTER_INSTANCE_RING_FULL;

	if (SHOAL_UNLIKELY(taken < to->batch_count)) {
		if (shoal_packet_ring_broken(to->ring))
			reason = SHOAL_SPLITTER_INSTANCE_RING_BROKEN;
		else
			to->ring_full += to->batch_count - taken;
	}
	for (; taken < to->batch_count; taken++)
		shoal_splitter_drop(splitter, reason, to->batch[taken]);
	to->batch_count = 0;
}

/* Sends all batches, and shows each touched member, once, what is in its ring. */
static void members_flush(struct shoal_splitter *splitter)
{
	for (; splitter->touched != 0; splitter->touched &= splitter->touched - 1) {
		uint8_t index = (uint8_t)__builtin_ctzll(splitter->touched);
		struct shoal_splitter_member *member = &splitter->members[index];

		if (member->batch_count != 0)
			shoal_splitter_batch_send(splitter, index);
		member->port->operations->flush(member->port);
	}
}

/* What the member put out before its end is good: it leaves, or enters again. */
static void member_drain(struct shoal_splitter *splitter, uint8_t member, uint64_t now_ns)
{
	for (unsigned i = 0; i < DRAIN_BURSTS; i++) {
		unsigned n = shoal_splitter_member_receive(splitter, member, SHOAL_BURST_MAX, now_ns);

		shoal_splitter_ports_transmit(splitter);
		members_flush(splitter);
		if (n == 0)
			break;
	}
}

int shoal_splitter_member_remove(
	struct shoal_splitter *splitter, uint16_t member, uint64_t now_ns, struct shoal_packet_ring **ring)
{
	struct shoal_splitter_member *gone;
	uint32_t left;

	if (!is_attached(splitter, member))
		return -ENOENT;
	gone = &splitter->members[member];
	member_drain(splitter, (uint8_t)member, now_ns);
	shoal_steering_member_gone(&splitter->steering, (uint8_t)member, now_ns);
	left = shoal_packet_ring_inside(gone->ring);
	splitter->drops[SHOAL_SPLITTER_INSTANCE_DIED] += left;
	splitter->malformed_before += gone->port->dropped_malformed;
	gone->lost += left + gone->port->dropped_malformed;
	splitter->attached &= ~(UINT64_C(1) << member);
	*ring = gone->ring;
	gone->ring = NULL;
	gone->port = NULL;
	return 0;
}

/* --- Steering ----------------------------------------------------------------------------------------------------- */

int shoal_splitter_table_assign(struct shoal_splitter *splitter, const uint8_t *members, unsigned *slot)
{
	for (unsigned i = 0; i < SHOAL_STEERING_SLOTS; i++) {
		if (members[i] != SHOAL_MEMBER_NONE && !is_attached(splitter, members[i])) {
			*slot = i;
			return -ENOENT;
		}
	}
	return shoal_steering_assign(&splitter->steering, members, slot);
}

int shoal_splitter_slots_redirect(struct shoal_splitter *splitter, const struct shoal_steering_set *slots,
	uint16_t member, uint64_t now_ns, unsigned *slot)
{
	if (!is_attached(splitter, member))
		return -ENOENT;
	return shoal_steering_redirect(&splitter->steering, slots, (uint8_t)member, now_ns, slot);
}

void shoal_splitter_progress_read(struct shoal_splitter *splitter, bool reset, struct shoal_redirect_progress *progress)
{
	struct shoal_steering *steering = &splitter->steering;

	*progress = (struct shoal_redirect_progress){ .pending = steering->pending_count,
		.done = (uint32_t)steering->redirects,
		.parked = steering->parked,
		.parked_most = steering->parked_most };
	for (unsigned i = 0; i < SHOAL_STEERING_SLOTS; i++)
		if (shoal_steering_set_has(&steering->pending, i))
			progress->pending_slots[i / 8] |= (uint8_t)(1 << i % 8);
	if (reset)
		steering->parked_most = steering->parked;
}

unsigned shoal_splitter_poll(struct shoal_splitter *splitter, uint64_t now_ns)
{
	unsigned work;

	/* What came in before is in its rings: slots may begin to move. */
	shoal_steering_move(&splitter->steering, now_ns);
	work = shoal_splitter_output(splitter, now_ns);
	work += shoal_splitter_redirections(splitter, now_ns);
	work += shoal_splitter_input(splitter, now_ns);
	shoal_splitter_fragments_expire(splitter, now_ns);
	members_flush(splitter);
	return work;
}
