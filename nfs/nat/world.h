/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: the NAT in one or two real workers, in one thread and in virtual time. Packets come and go by packet rings,
 * whose other ends the test holds as a splitter would; the workers' channel is a ring pair. The steering slots are dealt
 * out in turn; the test may send a packet to any worker, though. */
#ifndef SHOAL_NAT_WORLD_H
#define SHOAL_NAT_WORLD_H

#include "io/made_frame.h"
#include "mapping.h"
#include "worker/worker.h"

#define WORLD_MEMBERS_MAX 2
#define WORLD_STEP_MS 10
#define WORLD_REAL_STEP_MS 1000

struct world_member {
	struct shoal_worker worker;
	struct nat_worker *nat;
	struct shoal_packet_ring *ring;
	struct shoal_pipe *pipe; /* NULL: none */
	struct shoal_runner *receiver; /* of the pipe: its thread */
	struct shoal_port *splitter;
};

struct world {
	unsigned members_count;
	struct world_member members[WORLD_MEMBERS_MAX];
	uint64_t now_ns;
	uint32_t sent, received;
	unsigned packets_before; /* in use when it was made, by a test that had failed */
	bool real; /* what its members wait for takes real time */
};

struct world_setup {
	unsigned members;
	uint32_t objects; /* of each class */
	const char *const *settings; /* pairs of setting and value, ended by NULL */
	const struct shoal_plane *plane; /* NULL: shared */
	const char *server; /* of the plane `remote` */
	uint64_t first_life; /* of member 0; 0: 100 */
	const struct shoal_nf *nf; /* NULL: the NAT */
	bool overlapping; /* its bursts overlap from the first object on; those of member 1 always do */
	bool pipe; /* packets are received by a thread of its own, in real time */
};

/* Group set-up and tear-down of cmocka: EAL and the packet pool. */
int world_start(void **state);
int world_stop(void **state);

struct world *world_create_on(const struct world_setup *setup);
/* On the plane `shared`. */
struct world *world_create(unsigned members, uint32_t objects, const char *const settings[]);
/* Asserts that every packet sent was received or dropped, and that none is left. */
void world_destroy(struct world *world);

/* On the plane `remote`: its members end as if killed, in the midst of whatever they are doing. */
void world_kill(struct world *world);

/* Waits until nothing that was sent lies before a receiver any more, but in its pipe. */
void world_await_receivers(const struct world *world);
/* Polls all members once. */
void world_poll(struct world *world);
/* Lets that much time pass, in steps; then until nothing is under way. */
void world_run(struct world *world, uint64_t milliseconds);
/* Lets time pass until the counter has that value: where answers come in real time. */
void world_until(struct world *world, enum nat_counter counter, uint64_t value);

/* Steering slot of a frame that enters at `port`, and the member that has it. */
unsigned world_member_of(struct world *world, const struct made_frame *frame, uint8_t port);
/* A packet with the frame, parsed and steered as a splitter would; to be sent on, counted, without a poll. */
struct shoal_packet *world_make_packet(const struct made_frame *frame, uint8_t port);
void world_send_packet(struct world *world, unsigned member, struct shoal_packet *packet);
/* Both in one. */
void world_send_to(struct world *world, unsigned member, const struct made_frame *frame, uint8_t port);
/* Takes the next packet that any member has sent, into `frame`; re-entering ones are sent on. False: none. */
bool world_receive(struct world *world, struct made_frame *frame, uint8_t *port);
/* Sends to the member that has the steering slot, polls, and takes the answer, which must be at most one. The port by
 * which it left, or -1: dropped. */
int world_pass(struct world *world, struct made_frame *frame, uint8_t port);

/* Runs `function` in a microthread of a member, as a control task. */
void world_task(struct world *world, unsigned member,
	int (*function)(struct shoal_context *context, const char *arguments, char *reply, size_t reply_bytes),
	const char *arguments, char *reply, size_t reply_bytes);

/* Sums over the members. */
uint64_t world_drops(const struct world *world, enum nat_drop drop);
uint64_t world_count(const struct world *world, enum nat_counter counter);
uint32_t world_objects(const struct world *world, const struct shoal_class *class); /* entries, handles and records */

#endif
