/* SPDX-License-Identifier: BSD-3-Clause */
/* One worker: a component that takes packets from its ports, runs the NF on them, and is a member of the object space. The
 * packet's path, in this order: worker.c (the poll), input.c (from where it comes), burst.c (parse, look up, burst handler), fetch.c (packets whose
 * declared object is elsewhere), handler.c (packet handlers in microthreads), output.c (verdicts, transmission, markers). */
#ifndef SHOAL_WORKER_WORKER_H
#define SHOAL_WORKER_WORKER_H

#include "io/packet_ring.h"
#include "io/parse.h"
#include "plane/plane.h"
#include "worker/fence.h"
#include "worker/flow.h"

/* Why the runtime itself drops a packet; the parser's and the NF's reasons have counters of their own. */
enum shoal_worker_drop {
	SHOAL_WORKER_DROP_PARKED_FULL, /* too many packets wait for objects */
	SHOAL_WORKER_DROP_MICROTHREADS, /* too many microthreads are suspended */
	SHOAL_WORKER_DROP_TRANSMIT_FULL, /* the port or ring takes no more, and neither does the backlog; such packets are counted
					  * as transmitted too: by the NF's verdict they were */
	SHOAL_WORKER_DROP_NO_PORT, /* the NF chose a port that is not attached */
	SHOAL_WORKER_DROP_VERDICT, /* the NF gave no verdict that the packet could have */
	SHOAL_WORKER_DROP_NOT_WRITTEN, /* what it changed is not known to be in the store */
	SHOAL_WORKER_DROP_STOPPED, /* inside when the worker was stopped */
	SHOAL_WORKER_DROPS,
};

struct shoal_worker_config {
	struct shoal_space_config space;
	const struct shoal_nf *nf; /* borrows */
	void *nf_state; /* borrows; configured and initialised */
	uint32_t parked_max;
	uint32_t backlog_max; /* packets that wait for a full port */
	size_t stack_bytes;
	bool guard_pages;
	uint64_t lease_ns; /* of the fence; 0: none */
	const struct shoal_plane *plane; /* borrows; NULL: shared */
	struct shoal_remote_config remote; /* for the plane `remote` */
};

struct shoal_pipe;

struct shoal_packet_list {
	struct shoal_packet *first, *last;
	uint32_t count;
};

static inline void shoal_packet_list_push(struct shoal_packet_list *list, struct shoal_packet *packet)
{
	packet->next = NULL;
	if (list->last)
		list->last->next = packet;
	else
		list->first = packet;
	list->last = packet;
	list->count++;
}

static inline struct shoal_packet *shoal_packet_list_pop(struct shoal_packet_list *list)
{
	struct shoal_packet *packet = list->first;

	if (!packet)
		return NULL;
	list->first = packet->next;
	if (!list->first)
		list->last = NULL;
	list->count--;
	packet->next = NULL;
	return packet;
}

/* A control task on its way through the worker. */
struct shoal_control_task {
	const struct shoal_nf_task *task;
	char arguments[1024];
	char reply[65536];
	int answer;
	uint32_t finished; /* atomic; release by the worker pairs with acquire by the control thread */
};

/* Everything here is the worker thread's; control reads counters. */
struct shoal_worker {
	struct shoal_space_context context; /* first: an NF's context is a worker */
	struct shoal_space space;
	struct shoal_worker_config config;
	/* What bursts need begins here. Where that lies in its cache lines is worth 1 to 2 % of a packet; this was the best found. */
	uint8_t apart[24] SHOAL_CACHE_ALIGNED;
	const struct shoal_nf *nf;
	const struct shoal_plane *plane; /* borrows */
	struct shoal_scheduler *scheduler; /* owns */
	struct shoal_runtime runtime;
	struct shoal_fence fence;

	struct shoal_pipe *pipe; /* borrows; NULL: reads ring and ports itself, else they are the pipe's to read */
	struct shoal_packet_ring *ring; /* borrows; from the splitter, for all NF ports */
	struct shoal_port *ports[SHOAL_NF_PORTS_MAX]; /* borrows; by NF port, where there is no splitter */
	uint8_t declared_class[SHOAL_NF_PORTS_MAX];
	struct shoal_map *declared[SHOAL_NF_PORTS_MAX]; /* by NF port: the map of its declared class */
	uint32_t alone; /* bit for each NF port whose declared class is no other port's */
	uint32_t ahead_from; /* objects of that class from which on bursts overlap */
	struct shoal_packet_list reentering; /* without a splitter: packets that enter again */

	/* handler.c */
	struct shoal_packet_list handling; /* packets that wait for their microthread to begin */
	struct shoal_packet *handled; /* the packet of the running step, until it suspends */
	uint32_t *handled_link; /* where its flow would hang; NULL: not looked up, there was no flow */
	struct shoal_flow_table flows;
	uint64_t arrivals; /* packets before the present burst */
	uint32_t withdrawn; /* bit i: the burst does not emit its packet i: suspended, parked, or dropped and gone */
	uint32_t parked; /* packets that wait behind a suspended one */
	uint32_t parked_most;
	uint32_t taken_in; /* packets of the last poll */
	bool draining; /* reads no device any more; what the splitter sends comes in yet */
	uint64_t timer_due_ns[8];
	struct shoal_control_task *control_task; /* borrows; the one asked for, or NULL */
	uint8_t timers_begun;
	/* Bit for each NF port whose unknown objects are most likely not made yet: its packets make them, and their key owner is any
	 * member. To ask for such a one before it is made would be a round trip in vain. */
	uint32_t begins;

	/* output.c */
	struct {
		struct shoal_packet *packets[SHOAL_BURST_MAX];
		unsigned count;
		uint32_t late; /* bit i: packet i came in an earlier poll */
		struct shoal_packet_list backlog;
	} output[SHOAL_NF_PORTS_MAX + 1]; /* the last one: the ring */
	uint32_t backlogged; /* packets in all backlogs */
	uint32_t inside[SHOAL_STEERING_SLOTS]; /* packets suspended, parked or held, by steering slot */
	uint32_t held; /* by the NF */
	uint64_t held_overflows; /* times that it held too many and was told to release those of a steering slot */
	uint32_t markers_waiting;
	uint64_t marker[SHOAL_STEERING_SLOTS]; /* number + 1 of a marker that waits; 0: none */

	/* Counters. writer: worker, readers: control. */
	uint64_t received[SHOAL_NF_PORTS_MAX], transmitted[SHOAL_NF_PORTS_MAX], reentered;
	uint64_t parse_drops[SHOAL_PARSE_RESULTS];
	uint64_t nf_drops[SHOAL_NF_DROPS_MAX];
	uint64_t drops[SHOAL_WORKER_DROPS];
	uint64_t blocked; /* packets that were suspended */
	uint64_t handled_packets; /* that went to the packet handler */
	uint64_t markers_returned;
	uint64_t polls, busy_polls;
	struct shoal_histogram blocked_times;
	struct shoal_histogram latencies; /* from the poll that received a packet until it left */
	uint32_t left; /* packets of this poll that have left: they enter `latencies` when its length is known */
};

/* 0 or -errno. The NF's classes must be the space's. */
SHOAL_MUST_USE int shoal_worker_init(struct shoal_worker *worker, const struct shoal_worker_config *config);
/* Frees packets that are still inside. */
void shoal_worker_fini(struct shoal_worker *worker);
/* One poll; returns work done. */
unsigned shoal_worker_poll(void *worker, uint64_t now_ns);

const char *shoal_worker_drop_name(unsigned drop);
/* Packets inside: in the pipe, waiting, suspended, held or in a backlog. */
uint32_t shoal_worker_inside(const struct shoal_worker *worker);
void shoal_worker_statistics(const struct shoal_worker *worker, struct shoal_statistics *statistics);

/* Whether it may touch packets now (fence.h). */
bool shoal_worker_allowed(struct shoal_worker *worker, uint64_t now_ns);

/* --- Between the files of the worker --- */

/* input.c */
unsigned shoal_worker_take_in(struct shoal_worker *worker);
/* The next marker, once all packets before it were received. */
bool shoal_worker_take_marker(struct shoal_worker *worker, uint8_t *steering_slot, uint32_t *marker);
/* Drops what has come through the pipe and was not received. */
void shoal_worker_empty_pipe(struct shoal_worker *worker, enum shoal_worker_drop reason);
/* handler.c */
void shoal_worker_run_handlers(struct shoal_worker *worker);
unsigned shoal_worker_run_tasks(struct shoal_worker *worker);
/* Queues a packet behind its suspended flow, with its verdict if it has one. */
void shoal_worker_park(struct shoal_worker *worker, struct shoal_flow *flow, struct shoal_packet *packet);
/* A packet that was suspended has its verdict: it leaves, and the next one of its flow goes on. */
void shoal_worker_leave_flow(struct shoal_worker *worker, struct shoal_packet *packet);
/* The same where no other one is in its flow; it is the caller's to emit, and the answer. */
struct shoal_packet *shoal_worker_end_flow(struct shoal_worker *worker, struct shoal_packet *packet);
/* The running step's packet is about to be suspended. */
void shoal_worker_suspending(struct shoal_space_context *context);
/* fetch.c */
/* The packet waits for its declared object, if that is elsewhere. False: it goes to its packet handler. */
bool shoal_worker_fetch(struct shoal_worker *worker, struct shoal_packet *packet);
/* Packets whose wait is over go on. */
unsigned shoal_worker_run_fetched(struct shoal_worker *worker);
/* Since when the packet has waited in vain, or 0. It is the suspended one of its flow. */
uint64_t shoal_worker_waited_since(struct shoal_worker *worker, const struct shoal_packet *packet);
/* output.c */
void shoal_worker_emit(struct shoal_worker *worker, struct shoal_packet *packet);
/* One that was suspended, parked or held. */
void shoal_worker_emit_late(struct shoal_worker *worker, struct shoal_packet *packet);
/* The packets at the start that are transmitted by the same NF port as the first, or the first alone; returns how many. */
unsigned shoal_worker_emit_run(struct shoal_worker *worker, struct shoal_packet *const packets[], unsigned n);
/* The same for packets that were suspended; not in a microthread. */
unsigned shoal_worker_emit_late_run(struct shoal_worker *worker, struct shoal_packet *const packets[], unsigned n);
void shoal_worker_drop(struct shoal_worker *worker, struct shoal_packet *packet, enum shoal_worker_drop reason);
unsigned shoal_worker_transmit(struct shoal_worker *worker);
void shoal_worker_markers(struct shoal_worker *worker);
void shoal_worker_release_held(struct shoal_context *context, struct shoal_packet *packet, uint16_t verdict);

/* packet->entry while the worker has it. */
enum shoal_packet_place {
	SHOAL_PACKET_IN_BURST = 0, /* the burst gives it its way out */
	SHOAL_PACKET_HELD = 2, /* the NF does; it may have had it in its list before */
	SHOAL_PACKET_SUSPENDED = 1, /* its microthread, or the flow it waits in, does */
};

/* Its burst does not emit the packet. */
static inline void shoal_worker_withdraw(struct shoal_worker *worker, struct shoal_packet *packet)
{
	if (packet->entry == SHOAL_PACKET_IN_BURST)
		worker->withdrawn |= 1u << (packet->arrival - worker->arrivals);
	packet->entry = SHOAL_PACKET_SUSPENDED;
}

#endif
