/* SPDX-License-Identifier: BSD-3-Clause */
/* The splitter's figures: its books, and the rows that metrics are made of. */
#include <inttypes.h>
#include <stdio.h>

#include "io/splitter.h"

const char *shoal_splitter_drop_name(enum shoal_splitter_drop drop)
{
	static const char *const names[SHOAL_SPLITTER_DROPS] = {
		[SHOAL_SPLITTER_NO_PORT] = "no_port",
		[SHOAL_SPLITTER_PORT_FULL] = "port_full",
		[SHOAL_SPLITTER_NO_TABLE] = "no_table",
		[SHOAL_SPLITTER_UNKNOWN_MEMBER] = "unknown_member",
		[SHOAL_SPLITTER_INSTANCE_RING_FULL] = "instance_ring_full",
		[SHOAL_SPLITTER_INSTANCE_RING_BROKEN] = "instance_ring_broken",
		[SHOAL_SPLITTER_INSTANCE_DIED] = "instance_died",
		[SHOAL_SPLITTER_PARKED_OVERFLOW] = "parked_overflow",
		[SHOAL_SPLITTER_FRAGMENT_TABLE_FULL] = "fragment_table_full",
		[SHOAL_SPLITTER_FRAGMENT_HELD_OVERFLOW] = "fragment_held_overflow",
		[SHOAL_SPLITTER_FRAGMENT_TIMEOUT] = "fragment_timeout",
	};

	return names[drop];
}

static uint64_t malformed(const struct shoal_splitter *splitter)
{
	uint64_t total = splitter->malformed_before;

	for (unsigned i = 0; i < SHOAL_MEMBERS_MAX; i++)
		if (splitter->members[i].port != NULL)
			total += splitter->members[i].port->dropped_malformed;
	return total;
}

static int64_t at_member(const struct shoal_splitter_member *member)
{
	int64_t away = (int64_t)(member->sent - member->returned - member->lost);

	return member->port == NULL ? away : away - (int64_t)member->port->dropped_malformed;
}

void shoal_splitter_balance_read(const struct shoal_splitter *splitter, struct shoal_splitter_balance *balance)
{
	*balance = (struct shoal_splitter_balance){ .received = splitter->received,
		.transmitted = splitter->transmitted,
		.dropped = malformed(splitter),
		.inside = (uint64_t)splitter->steering.parked + shoal_fragment_table_held(splitter->fragments) };
	for (unsigned i = 0; i < SHOAL_SPLITTER_DROPS; i++)
		balance->dropped += splitter->drops[i];
	for (unsigned i = 0; i < SHOAL_PARSE_RESULTS; i++)
		balance->dropped += splitter->parse_drops[i];
	for (unsigned i = 0; i < SHOAL_NF_PORTS_MAX; i++)
		balance->inside += splitter->ports[i].tail - splitter->ports[i].head;
	for (unsigned i = 0; i < SHOAL_MEMBERS_MAX; i++)
		balance->at_members += at_member(&splitter->members[i]);
}

static void drop_rows(const struct shoal_splitter *splitter, struct shoal_statistics *statistics)
{
	for (unsigned i = 0; i < SHOAL_SPLITTER_DROPS; i++)
		shoal_statistics_counter(
			statistics, "splitter_drops_total", "reason", shoal_splitter_drop_name(i), splitter->drops[i]);
	for (unsigned i = SHOAL_PARSE_OK + 1; i < SHOAL_PARSE_RESULTS; i++)
		shoal_statistics_counter(statistics, "splitter_drops_total", "reason", shoal_parse_result_name(i),
			splitter->parse_drops[i]);
	shoal_statistics_counter(statistics, "splitter_drops_total", "reason", "ring_malformed", malformed(splitter));
}

static void port_rows(const struct shoal_splitter *splitter, struct shoal_statistics *statistics)
{
	for (unsigned i = 0; i < splitter->nf->ports_count; i++) {
		const struct shoal_splitter_port *output = &splitter->ports[i];
		const struct shoal_port *port = output->port;
		const char *name = splitter->nf->ports[i].name;

		if (port == NULL)
			continue;
		shoal_statistics_counter(
			statistics, "splitter_port_received_packets_total", "port", name, port->received_packets);
		shoal_statistics_counter(
			statistics, "splitter_port_received_bytes_total", "port", name, port->received_bytes);
		shoal_statistics_counter(
			statistics, "splitter_port_transmitted_packets_total", "port", name, port->transmitted_packets);
		shoal_statistics_counter(
			statistics, "splitter_port_transmitted_bytes_total", "port", name, port->transmitted_bytes);
		shoal_statistics_counter(
			statistics, "splitter_port_no_buffer_total", "port", name, port->dropped_no_buffer);
		shoal_statistics_counter(
			statistics, "splitter_port_too_long_total", "port", name, port->dropped_too_long);
		shoal_statistics_gauge(
			statistics, "splitter_port_queue_packets", "port", name, output->tail - output->head);
	}
}

static void member_rows(const struct shoal_splitter *splitter, struct shoal_statistics *statistics)
{
	char number[8];

	for (unsigned i = 0; i < SHOAL_MEMBERS_MAX; i++) {
		const struct shoal_splitter_member *member = &splitter->members[i];

		if (member->port == NULL && member->sent == 0 && member->returned == 0)
			continue;
		snprintf(number, sizeof(number), "%u", i);
		shoal_statistics_counter(
			statistics, "splitter_member_sent_packets_total", "member", number, member->sent);
		shoal_statistics_counter(
			statistics, "splitter_member_returned_packets_total", "member", number, member->returned);
		shoal_statistics_counter(
			statistics, "splitter_member_lost_packets_total", "member", number, member->lost);
		shoal_statistics_counter(
			statistics, "splitter_member_ring_full_total", "member", number, member->ring_full);
		shoal_statistics_gauge(statistics, "splitter_member_broken", "member", number,
			member->ring != NULL && shoal_packet_ring_broken(member->ring));
	}
}

void shoal_splitter_rows(const struct shoal_splitter *splitter, struct shoal_statistics *statistics)
{
	const struct shoal_steering *steering = &splitter->steering;
	struct shoal_splitter_balance balance;

	shoal_splitter_balance_read(splitter, &balance);
	shoal_statistics_counter(statistics, "splitter_received_packets_total", NULL, NULL, balance.received);
	shoal_statistics_counter(statistics, "splitter_transmitted_packets_total", NULL, NULL, balance.transmitted);
	shoal_statistics_counter(statistics, "splitter_reentered_packets_total", NULL, NULL, splitter->reentered);
	shoal_statistics_gauge(statistics, "splitter_inside_packets", NULL, NULL, balance.inside);
	drop_rows(splitter, statistics);
	port_rows(splitter, statistics);
	member_rows(splitter, statistics);
	shoal_statistics_gauge(statistics, "splitter_parked_packets", NULL, NULL, steering->parked);
	shoal_statistics_gauge(statistics, "splitter_parked_packets_most", NULL, NULL, steering->parked_most);
	shoal_statistics_counter(statistics, "splitter_redirects_total", NULL, NULL, steering->redirects);
	shoal_statistics_gauge(statistics, "splitter_redirects_pending", NULL, NULL, steering->pending_count);
	shoal_statistics_counter(statistics, "splitter_markers_void_total", NULL, NULL, steering->markers_void);
	shoal_statistics_counter(statistics, "splitter_markers_stale_total", NULL, NULL, steering->markers_stale);
	shoal_statistics_gauge(
		statistics, "splitter_fragment_entries", NULL, NULL, shoal_fragment_table_entries(splitter->fragments));
	shoal_statistics_gauge(statistics, "splitter_fragment_held_packets", NULL, NULL,
		shoal_fragment_table_held(splitter->fragments));
	shoal_statistics_histogram(statistics, "splitter_park_seconds", &steering->park_time);
	shoal_statistics_histogram(statistics, "splitter_redirect_seconds", &steering->redirect_time);
}
