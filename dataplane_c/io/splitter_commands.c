/* SPDX-License-Identifier: BSD-3-Clause */
/* What the control thread asks of a splitter. The polling thread carries it out between two polls; what makes system
 * calls (mapping rings, opening ports) happens in the control thread, before or after. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "io/ethdev_port.h"
#include "io/splitter_control.h"
#include "worker/error.h"

#define COMMAND_DEADLINE_MS 2000

/* One command's argument and answer; each uses what it needs. */
struct order {
	uint8_t nf_port;
	uint16_t member;
	struct shoal_port *port;
	struct shoal_packet_ring *ring;
	uint8_t table[SHOAL_STEERING_SLOTS];
	struct shoal_steering_set slots;
	unsigned slot; /* out: at which it failed */
	uint8_t present; /* out: the member that slot has */
	const char *state; /* out: and its state */
	bool reset;
	struct shoal_redirect_progress *progress;
};

static int post(struct shoal_splitter *splitter, shoal_command_function command, struct order *order)
{
	struct shoal_splitter_control *control = shoal_splitter_control_of(splitter);
	bool polled = control->runner != NULL && shoal_runner_running(control->runner);

	return shoal_mailbox_post(&control->mailbox, polled, splitter, command, order, COMMAND_DEADLINE_MS);
}

static void note_slot(const struct shoal_splitter *splitter, struct order *order)
{
	order->present = splitter->steering.slots[order->slot].member;
	order->state = shoal_steering_state_name(splitter->steering.slots[order->slot].state);
}

/* --- Ports -------------------------------------------------------------------------------------------------------- */

static int port_add(void *component, void *argument, uint64_t now_ns)
{
	struct order *order = argument;

	(void)now_ns;
	return shoal_splitter_port_add(component, order->nf_port, order->port);
}

/* Before a port is opened: opening takes its device away from whoever else would use it. */
static int port_check(const struct shoal_splitter *splitter, uint8_t nf_port)
{
	if (nf_port >= splitter->nf->ports_count)
		return shoal_error(EINVAL, "NF %s has no port %u, only 0 to %u", splitter->nf->name, nf_port,
			splitter->nf->ports_count - 1);
	if (splitter->ports[nf_port].port != NULL)
		return shoal_error(EEXIST, "port %s has %s already", splitter->nf->ports[nf_port].name,
			splitter->ports[nf_port].port->name);
	return 0;
}

int shoal_splitter_attach_given_port(struct shoal_splitter *splitter, uint8_t nf_port, struct shoal_port *port)
{
	struct order order = { .nf_port = nf_port, .port = port };
	int code = port_check(splitter, nf_port);

	return code != 0 ? code : post(splitter, port_add, &order);
}

int shoal_splitter_attach_port(struct shoal_splitter *splitter, uint8_t nf_port, const char *devargs)
{
	char error[512] = "";
	int code = port_check(splitter, nf_port);
	struct shoal_port *port;

	if (code != 0)
		return code;
	port = shoal_ethdev_port_create(
		devargs, nf_port, shoal_splitter_control_of(splitter)->pool, error, sizeof(error));
	if (port == NULL)
		return shoal_error(errno, "%s", error);
	code = shoal_splitter_attach_given_port(splitter, nf_port, port);
	if (code != 0)
		port->operations->destroy(port);
	else
		shoal_splitter_control_of(splitter)->ethdev_ports |= (uint8_t)(1u << nf_port);
	return code;
}

/* --- Members ------------------------------------------------------------------------------------------------------ */

static int member_add(void *component, void *argument, uint64_t now_ns)
{
	struct order *order = argument;

	(void)now_ns;
	return shoal_splitter_member_add(component, order->member, order->ring);
}

int shoal_splitter_attach_member(struct shoal_splitter *splitter, uint16_t member)
{
	struct shoal_splitter_control *control = shoal_splitter_control_of(splitter);
	struct order order = { .member = member };
	int descriptor, code;

	if (member >= SHOAL_MEMBERS_MAX)
		return shoal_error(EINVAL, "there is no member %u, only 0 to %d", member, SHOAL_MEMBERS_MAX - 1);
	descriptor = shoal_ring_pair_create(control->config.ring_bytes);
	if (descriptor < 0)
		return shoal_error(-descriptor, "member %u: no packet ring: %s", member, strerror(-descriptor));
	order.ring = shoal_packet_ring_create(descriptor, 0, control->pool);
	if (order.ring == NULL) {
		code = shoal_error(errno, "member %u: its packet ring cannot be mapped: %s", member, strerror(errno));
		goto no_ring;
	}
	code = post(splitter, member_add, &order);
	if (code == 0)
		return descriptor;
	if (code == -EEXIST)
		code = shoal_error(EEXIST, "member %u is attached already", member);
	shoal_packet_ring_port(order.ring)->operations->destroy(shoal_packet_ring_port(order.ring));
no_ring:
	close(descriptor);
	return code;
}

static int member_remove(void *component, void *argument, uint64_t now_ns)
{
	struct order *order = argument;

	return shoal_splitter_member_remove(component, order->member, now_ns, &order->ring);
}

int shoal_splitter_detach_member(struct shoal_splitter *splitter, uint16_t member)
{
	struct order order = { .member = member };
	int code = post(splitter, member_remove, &order);

	if (code == 0)
		shoal_packet_ring_port(order.ring)->operations->destroy(shoal_packet_ring_port(order.ring));
	return code == -ENOENT ? shoal_error(ENOENT, "member %u is not attached", member) : code;
}

/* --- Steering ----------------------------------------------------------------------------------------------------- */

static int table_assign(void *component, void *argument, uint64_t now_ns)
{
	struct order *order = argument;
	int code = shoal_splitter_table_assign(component, order->table, &order->slot);

	(void)now_ns;
	if (code != 0)
		note_slot(component, order);
	return code;
}

int shoal_splitter_set_table(struct shoal_splitter *splitter, const uint8_t *members)
{
	struct order order = { 0 };
	int code;

	memcpy(order.table, members, sizeof(order.table));
	code = post(splitter, table_assign, &order);
	if (code == -ENOENT)
		return shoal_error(ENOENT, "steering slot %u is given to member %u, which is not attached", order.slot,
			members[order.slot]);
	if (code == -EEXIST)
		return shoal_error(EEXIST, "steering slot %u is at member %u already (%s): redirect it instead",
			order.slot, order.present, order.state);
	return code;
}

static int table_read(void *component, void *argument, uint64_t now_ns)
{
	const struct shoal_splitter *splitter = component;
	struct order *order = argument;

	(void)now_ns;
	shoal_steering_read(&splitter->steering, order->table);
	return 0;
}

int shoal_splitter_get_table(struct shoal_splitter *splitter, uint8_t *members)
{
	struct order order = { 0 };
	int code = post(splitter, table_read, &order);

	if (code == 0)
		memcpy(members, order.table, sizeof(order.table));
	return code;
}

static int slots_redirect(void *component, void *argument, uint64_t now_ns)
{
	struct order *order = argument;
	int code = shoal_splitter_slots_redirect(component, &order->slots, order->member, now_ns, &order->slot);

	if (code == -EBUSY)
		note_slot(component, order);
	return code;
}

int shoal_splitter_redirect(struct shoal_splitter *splitter, const uint8_t *steering_slots, uint16_t member)
{
	struct order order = { .member = member };
	int code;

	for (unsigned i = 0; i < SHOAL_STEERING_SLOTS; i++)
		order.slots.words[i / 64] |= (uint64_t)(steering_slots[i / 8] >> i % 8 & 1) << i % 64;
	code = post(splitter, slots_redirect, &order);
	if (code == -ENOENT)
		return shoal_error(ENOENT, "member %u is not attached: no steering slot was redirected", member);
	if (code == -EBUSY && order.state != NULL)
		return shoal_error(EBUSY,
			"steering slot %u is under redirection already (%s at member %u): none was redirected",
			order.slot, order.state, order.present);
	return code;
}

static int progress_read(void *component, void *argument, uint64_t now_ns)
{
	struct order *order = argument;

	(void)now_ns;
	shoal_splitter_progress_read(component, order->reset, order->progress);
	return 0;
}

int shoal_splitter_redirect_progress(
	struct shoal_splitter *splitter, int reset, struct shoal_redirect_progress *progress)
{
	struct order order = { .reset = reset != 0, .progress = progress };

	return post(splitter, progress_read, &order);
}

/* What a device lost before the splitter could see it. */
static void device_rows(struct shoal_splitter *splitter, struct shoal_statistics *statistics)
{
	const struct shoal_splitter_control *control = shoal_splitter_control_of(splitter);
	uint64_t missed, no_buffer, received, sent;

	for (unsigned i = 0; i < splitter->nf->ports_count; i++) {
		const char *name = splitter->nf->ports[i].name;

		if ((control->ethdev_ports >> i & 1) == 0)
			continue;
		shoal_ethdev_port_missed(splitter->ports[i].port, &missed, &no_buffer);
		shoal_ethdev_port_errors(splitter->ports[i].port, &received, &sent);
		shoal_statistics_counter(statistics, "splitter_port_missed_total", "port", name, missed);
		shoal_statistics_counter(statistics, "splitter_port_device_no_buffer_total", "port", name, no_buffer);
		shoal_statistics_counter(statistics, "splitter_port_receive_errors_total", "port", name, received);
		shoal_statistics_counter(statistics, "splitter_port_transmit_errors_total", "port", name, sent);
	}
}

/* Read while the polling thread writes: each figure is one aligned word. */
long shoal_splitter_statistics(struct shoal_splitter *splitter, struct shoal_statistic *rows, long n)
{
	struct shoal_statistics statistics = { .rows = rows, .room = n };

	shoal_splitter_rows(splitter, &statistics);
	device_rows(splitter, &statistics);
	return statistics.count;
}
