/* SPDX-License-Identifier: BSD-3-Clause */
/* Packet handlers, idle tasks, timers and control tasks: whatever may suspend runs here, in microthreads. A packet whose
 * handler suspends keeps its flow busy; the packets behind it are parked, and go on one after the other when it is done. */
#include <string.h>
#include "object/map_inline.h"
#include "worker/worker.h"

#define TASKS_BUDGET 32

void shoal_worker_park(struct shoal_worker *worker, struct shoal_flow *flow, struct shoal_packet *packet)
{
	if (packet->entry == SHOAL_PACKET_IN_BURST)
		packet->arrived_ns = worker->space.now_ns;
	shoal_worker_withdraw(worker, packet);
	if (worker->parked >= worker->config.parked_max) {
		shoal_worker_drop(worker, packet, SHOAL_WORKER_DROP_PARKED_FULL);
		return;
	}
	shoal_flow_insert(flow, packet);
	worker->inside[packet->steering_slot]++;
	worker->parked++;
	if (worker->parked > worker->parked_most)
		worker->parked_most = worker->parked;
}

/* What its burst found, if it is the packet's object yet; else NULL. It may have been removed since, but then it is not held. */
static struct shoal_entry *found_entry(const struct shoal_map *map, const struct shoal_packet *packet)
{
	struct shoal_entry *entry = shoal_map_entry(map, packet->candidate);

	return entry->handle == SHOAL_HANDLE_HELD && shoal_map_key_equal(map, entry, packet->key) ? entry : NULL;
}

/* Packets that find their object here at rest are to look whether an earlier one is suspended. Where there is no entry yet, it
 * will be marked when the object comes. */
static void mark_flow(struct shoal_worker *worker, const struct shoal_packet *packet)
{
	struct shoal_map *map = worker->declared[packet->port];
	struct shoal_entry *entry;
	uint32_t index;

	if (!packet->traffic)
		return;
	entry = found_entry(map, packet);
	if (SHOAL_UNLIKELY(!entry)) {
		index = shoal_map_find(map, packet->key, packet->hash);
		if (!index)
			return;
		entry = shoal_map_entry(map, index);
	}
	entry->flags |= SHOAL_ENTRY_FLOWS;
}

/* The entry that is marked for the packet's flow and for no other; or NULL: its mark is taken back by the next packet that
 * finds nothing there. */
static struct shoal_entry *marked_entry(struct shoal_worker *worker, const struct shoal_packet *packet)
{
	if (!packet->traffic || !(worker->alone >> packet->port & 1))
		return NULL;
	return found_entry(worker->declared[packet->port], packet);
}

void shoal_worker_suspending(struct shoal_space_context *context)
{
	struct shoal_worker *worker = (struct shoal_worker *)context;
	struct shoal_packet *packet = worker->handled;

	worker->handled = NULL;
	worker->space.waited_since_ns = 0;
	if (!packet || packet->entry == SHOAL_PACKET_SUSPENDED)
		return;
	shoal_worker_withdraw(worker, packet);
	worker->inside[packet->steering_slot]++;
	worker->blocked++;
	if (!worker->handled_link)
		worker->handled_link = shoal_flow_link(&worker->flows, packet);
	shoal_flow_begin(&worker->flows, packet, worker->handled_link);
	mark_flow(worker, packet);
}

static struct shoal_packet *end_flow(
	struct shoal_worker *worker, struct shoal_packet *packet, struct shoal_entry *marked)
{
	shoal_flow_end(&worker->flows, shoal_flow_link(&worker->flows, packet));
	if (marked)
		marked->flags &= (uint8_t)~SHOAL_ENTRY_FLOWS;
	worker->inside[packet->steering_slot]--;
	return packet;
}

struct shoal_packet *shoal_worker_end_flow(struct shoal_worker *worker, struct shoal_packet *packet)
{
	return end_flow(worker, packet, marked_entry(worker, packet));
}

void shoal_worker_leave_flow(struct shoal_worker *worker, struct shoal_packet *packet)
{
	struct shoal_flow *flow = &worker->flows.flows[*shoal_flow_link(&worker->flows, packet)];
	/* Of the one that was suspended: those behind it whose verdicts are known may never have been queued, and name no key. */
	struct shoal_entry *marked = marked_entry(worker, packet);
	struct shoal_packet *next;

	while ((next = flow->first) != NULL) {
		flow->first = next->next;
		if (!flow->first)
			flow->last = NULL;
		worker->parked--;
		worker->inside[packet->steering_slot]--;
		shoal_worker_emit_late(worker, packet);
		packet = next;
		if (!packet->verdict) {
			flow->arrival = packet->arrival;
			flow->waited_in_vain = false;
			/* The flow stays busy: this packet's handler begins when those that are queued have begun. */
			shoal_packet_list_push(&worker->handling, packet);
			return;
		}
	}
	shoal_worker_emit_late(worker, end_flow(worker, packet, marked));
}

/* A packet leaves when what it has changed is where it outlives this worker; else it ends here. One to be held is in the NF's
 * hands already: the NF may have let it go meanwhile, and has to, where it ends. */
static uint16_t settle(struct shoal_worker *worker, struct shoal_packet *packet, uint16_t verdict)
{
	bool held = verdict >> 8 == SHOAL_VERDICT_HOLD && worker->nf->release;
	bool lost = worker->plane->settle(&worker->context.context) != 0;

	if (lost && held && !packet->verdict)
		worker->nf->release(&worker->context.context, packet->steering_slot);
	if (held && packet->verdict)
		verdict = packet->verdict;
	else if (held)
		return verdict;
	if (!lost || verdict >> 8 == SHOAL_VERDICT_DROP)
		return verdict;
	return SHOAL_VERDICT(SHOAL_VERDICT_NOT_WRITTEN, 0);
}

/* One packet handler from its beginning to its end; may suspend in between. */
static bool handle_next(void *argument)
{
	struct shoal_worker *worker = argument;
	struct shoal_packet *packet = shoal_packet_list_pop(&worker->handling);

	if (!packet)
		return false;
	worker->handled_link = NULL;
	if (packet->entry == SHOAL_PACKET_IN_BURST && worker->flows.busy) {
		worker->handled_link = shoal_flow_link(&worker->flows, packet);
		if (*worker->handled_link) {
			shoal_worker_park(worker, &worker->flows.flows[*worker->handled_link], packet);
			return true;
		}
	}
	worker->handled = packet;
	if (packet->entry == SHOAL_PACKET_SUSPENDED)
		worker->space.waited_since_ns = shoal_worker_waited_since(worker, packet);
	uint16_t verdict = worker->nf->packet(&worker->context.context, packet, packet->traffic ? packet->key : NULL);

	if (worker->plane->settle)
		verdict = settle(worker, packet, verdict);
	worker->handled = NULL;
	worker->space.waited_since_ns = 0;
	packet->verdict = verdict ? verdict : SHOAL_VERDICT(SHOAL_VERDICT_INVALID, 0);
	if (packet->entry == SHOAL_PACKET_SUSPENDED) {
		shoal_histogram_add(&worker->blocked_times, worker->space.now_ns - packet->arrived_ns);
		shoal_worker_leave_flow(worker, packet);
		return shoal_microthread_finish(worker->scheduler);
	}
	return true;
}

void shoal_worker_run_handlers(struct shoal_worker *worker)
{
	struct shoal_packet_list waiting = { 0 };
	struct shoal_packet *packet;

	if (!shoal_scheduler_run(worker->scheduler, handle_next, worker))
		return;
	/* No stack is left. Those that wait in a flow go on waiting; new ones can't even begin. */
	while ((packet = shoal_packet_list_pop(&worker->handling)) != NULL) {
		if (packet->entry == SHOAL_PACKET_SUSPENDED) {
			shoal_packet_list_push(&waiting, packet);
			continue;
		}
		shoal_worker_withdraw(worker, packet);
		shoal_worker_drop(worker, packet, SHOAL_WORKER_DROP_MICROTHREADS);
	}
	worker->handling = waiting;
}

/* --- Tasks --- */

static bool run_control_task(struct shoal_worker *worker)
{
	struct shoal_control_task *task = worker->control_task;

	if (!task)
		return false;
	worker->control_task = NULL;
	task->answer = task->task->run(&worker->context.context, task->arguments, task->reply, sizeof(task->reply));
	__atomic_store_n(&task->finished, 1, __ATOMIC_RELEASE); /* pairs with the acquire in instance_state.c */
	return true;
}

static bool run_timer(struct shoal_worker *worker)
{
	for (unsigned i = 0; i < worker->nf->timers_count && i < 8; i++) {
		if (worker->space.now_ns < worker->timer_due_ns[i])
			continue;
		worker->timer_due_ns[i] = worker->space.now_ns + worker->nf->timers[i].period_ms * SHOAL_NS_PER_MS;
		worker->nf->timers[i].fire(&worker->context.context);
		return true;
	}
	return false;
}

static bool run_one_task(struct shoal_worker *worker)
{
	struct shoal_idle_task task;

	if (run_control_task(worker) || run_timer(worker))
		return true;
	if (worker->timers_begun++ >= TASKS_BUDGET || !shoal_scheduler_may_suspend(worker->scheduler) ||
		!shoal_window_open(&worker->space) || !shoal_space_idle_task(&worker->space, &task))
		return false;
	worker->plane->run_idle_task(&worker->space, &task);
	return true;
}

static bool run_task(void *argument)
{
	struct shoal_worker *worker = argument;
	bool run = run_one_task(worker);

	if (run && worker->plane->settle)
		(void)worker->plane->settle(
			&worker->context.context); /* nothing leaves by it; what was lost is counted */
	return run;
}

static bool timer_due(const struct shoal_worker *worker)
{
	for (unsigned i = 0; i < worker->nf->timers_count && i < 8; i++)
		if (worker->space.now_ns >= worker->timer_due_ns[i])
			return true;
	return false;
}

unsigned shoal_worker_run_tasks(struct shoal_worker *worker)
{
	if (!worker->control_task && worker->space.idle_tasks_head == worker->space.idle_tasks_tail &&
		!timer_due(worker))
		return 0;
	worker->handled = NULL;
	worker->timers_begun = 0;
	shoal_scheduler_run(worker->scheduler, run_task, worker);
	return worker->timers_begun;
}
