/* SPDX-License-Identifier: BSD-3-Clause */
/* The stages of a reorganisation in one worker; the table of who moves it stands in keyspace.h. Commands come from the
 * controller, whose barrier between learn and hand_over makes sure that no worker which knows only the old map talks to one
 * that routes by the new one (S6 §4.4). */
#include <errno.h>
#include <stdio.h>
#include "keyspace/reorganisation.h"
#include "worker/error.h"

/* Of one poll. Where packets come they wait a few microseconds for it, not fifty: more polls share the work instead. */
#define TOKENS_BUDGET 1024
#define TOKENS_BUDGET_BUSY 128
#define SWEEP_BUDGET 512
#define SWEEP_BUDGET_BUSY 64
/* Packets have come so short a while ago: more are to be expected. */
#define BUSY_NS (SHOAL_NS_PER_MS / 10)

static void transition(struct shoal_keyspace *keyspace, int to)
{
	keyspace->stage = to;
}

/* --- learn --- */

static int refuse_links(const struct shoal_space *space, const struct shoal_plan *plan)
{
	for (uint8_t member = 0; member < SHOAL_MEMBERS_MAX; member++) {
		if (member == space->config.self || (!plan->in_now[member] && !plan->in_next[member]))
			continue;
		if (!shoal_channel_up(space->channel, member))
			return shoal_error(ENOTCONN, "member %u has no channel to member %u yet (%s)",
				space->config.self, member,
				shoal_channel_attached(space->channel, member) ? "connecting" : "not attached");
	}
	return 0;
}

static int refuse_room(const struct shoal_space *space, const struct shoal_plan *plan)
{
	for (unsigned i = 0; i < space->config.classes_count; i++) {
		const struct shoal_map *map = &space->maps[i];
		uint32_t room = map->capacity - map->count;

		if (plan->expected_objects[i] > room)
			return shoal_error(ENOSPC,
				"member %u has room for %u more objects of class %s, the next map would bring %u",
				space->config.self, room, map->class->name, plan->expected_objects[i]);
	}
	return 0;
}

static int refuse_plan(const struct shoal_space *space, const struct shoal_plan *plan)
{
	const struct shoal_keyspace *keyspace = &space->keyspace;
	uint8_t self = space->config.self;

	if (plan->term < keyspace->term)
		return shoal_error(ESTALE, "term %lu is older than %lu", plan->term, keyspace->term);
	if (plan->epoch_next <= keyspace->epoch_abandoned || plan->epoch_next <= keyspace->epoch)
		return shoal_error(ESTALE, "epoch %lu is over", plan->epoch_next);
	if (keyspace->stage != SHOAL_STAGE_ALONE && keyspace->stage != SHOAL_STAGE_NORMAL)
		return shoal_error(EBUSY, "a plan for epoch %lu is active", keyspace->epoch_next);
	if (space->aftermath.open)
		return shoal_error(EBUSY, "objects are still being looked at after a loss");
	if (keyspace->stage == SHOAL_STAGE_NORMAL && plan->epoch_now != keyspace->epoch)
		return shoal_error(
			EINVAL, "the plan starts from epoch %lu, here it is %lu", plan->epoch_now, keyspace->epoch);
	if (!plan->in_now[self] && !plan->in_next[self])
		return shoal_error(EINVAL, "member %u is in neither map", self);
	for (unsigned slot = 0; slot < SHOAL_SLOTS; slot++) {
		if (plan->owner_next[slot] >= SHOAL_MEMBERS_MAX || !plan->in_next[plan->owner_next[slot]])
			return shoal_error(EINVAL, "slot %u has no owner in the next map", slot);
		if (plan->epoch_now &&
			(plan->owner_now[slot] >= SHOAL_MEMBERS_MAX || !plan->in_now[plan->owner_now[slot]]))
			return shoal_error(EINVAL, "slot %u has no owner in the present map", slot);
	}
	return 0;
}

static uint64_t member_bits(const uint8_t *members)
{
	uint64_t bits = 0;

	for (unsigned member = 0; member < SHOAL_MEMBERS_MAX; member++)
		bits |= (uint64_t)(members[member] != 0) << member;
	return bits;
}

/* What had been received of them, in an earlier life: the numbers of a new one begin anew. */
void shoal_keyspace_forget_callers(struct shoal_keyspace *keyspace, uint64_t members)
{
	for (; members; members &= members - 1) {
		uint32_t *received = &keyspace->call_expected[__builtin_ctzll(members)];

		for (unsigned slot = 0; slot < SHOAL_SLOTS; slot++)
			if (shoal_slot_bit(keyspace->called, (uint16_t)slot))
				received[(size_t)slot * SHOAL_MEMBERS_MAX] = 0;
	}
}

static void adopt_plan(struct shoal_space *space, const struct shoal_plan *plan)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	uint8_t self = space->config.self;
	uint32_t slots_moving = 0;

	keyspace->epoch_next = plan->epoch_next;
	memcpy(keyspace->owner_next, plan->owner_next, SHOAL_SLOTS);
	if (plan->epoch_now)
		memcpy(keyspace->owner, plan->owner_now, SHOAL_SLOTS);
	memcpy(keyspace->life, plan->life, sizeof(keyspace->life));
	keyspace->in_now = member_bits(plan->in_now);
	keyspace->in_next = member_bits(plan->in_next);
	if (plan->epoch_now)
		shoal_keyspace_forget_callers(
			keyspace, keyspace->in_next & ~keyspace->in_now); /* members may have died by that number */
	keyspace->tokens_to_send = keyspace->tokens_to_receive = keyspace->send_cursor = 0;
	keyspace->sweep_class = 0;
	keyspace->sweep_index = keyspace->push_index = 1;
	keyspace->push_class = 0;
	keyspace->sweeping = keyspace->swept = keyspace->markers_back = keyspace->settled = false;
	keyspace->quiet_since_ns = 0;
	keyspace->settled_from = 0;
	keyspace->leaving = !plan->in_next[self];
	keyspace->flush1_from = keyspace->flush2_from = 0;
	keyspace->flush1_sent = keyspace->flush2_sent = false;
	for (unsigned slot = 0; slot < SHOAL_SLOTS && plan->epoch_now; slot++) {
		bool mine = keyspace->owner[slot] == self, mine_next = keyspace->owner_next[slot] == self;

		keyspace->tokens_to_send += mine && !mine_next;
		keyspace->tokens_to_receive += !mine && mine_next;
		slots_moving += keyspace->owner[slot] != keyspace->owner_next[slot];
	}
	shoal_sweep_steering_plan(space, slots_moving);
}

int shoal_keyspace_learn(struct shoal_space *space, const struct shoal_plan *plan)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	int error;

	if (plan->term >= keyspace->term && plan->epoch_next == keyspace->epoch_next &&
		(keyspace->stage == SHOAL_STAGE_LEARNT || keyspace->stage == SHOAL_STAGE_HANDING_OVER)) {
		keyspace->term = plan->term;
		return 0;
	}
	error = refuse_plan(space, plan);
	if (!error)
		error = refuse_links(space, plan);
	if (!error)
		error = refuse_room(space, plan);
	if (error)
		return error;
	keyspace->term = plan->term;
	adopt_plan(space, plan);
	transition(keyspace, SHOAL_STAGE_LEARNT);
	return 0;
}

/* --- The other commands --- */

/* 0: the command is for the plan that is known here. */
static int refuse_command(struct shoal_keyspace *keyspace, uint64_t term, uint64_t epoch)
{
	if (term < keyspace->term)
		return shoal_error(ESTALE, "term %lu is older than %lu", term, keyspace->term);
	if (!epoch || epoch != keyspace->epoch_next)
		return shoal_error(
			EBUSY, "the plan for epoch %lu is not known here (known: %lu)", epoch, keyspace->epoch_next);
	keyspace->term = term;
	return 0;
}

int shoal_keyspace_abandon(struct shoal_space *space, uint64_t term, uint64_t epoch)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	int error;

	if (term >= keyspace->term && epoch > keyspace->epoch && epoch != keyspace->epoch_next &&
		keyspace->stage != SHOAL_STAGE_HANDING_OVER) {
		/* Never learnt here, and never to be. */
		keyspace->term = term;
		if (epoch > keyspace->epoch_abandoned)
			keyspace->epoch_abandoned = epoch;
		return 0;
	}
	error = refuse_command(keyspace, term, epoch);
	if (error)
		return error;
	if (keyspace->stage != SHOAL_STAGE_LEARNT)
		return shoal_error(EBUSY, "epoch %lu is being handed over: it can only be completed", epoch);
	keyspace->epoch_abandoned = epoch;
	keyspace->epoch_next = 0;
	transition(keyspace, keyspace->epoch ? SHOAL_STAGE_NORMAL : SHOAL_STAGE_ALONE);
	return 0;
}

int shoal_keyspace_hand_over(struct shoal_space *space, uint64_t term, uint64_t epoch)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	int error = refuse_command(keyspace, term, epoch);

	if (error)
		return error;
	if (keyspace->stage == SHOAL_STAGE_HANDING_OVER || keyspace->stage == SHOAL_STAGE_DONE)
		return 0;
	if (keyspace->stage != SHOAL_STAGE_LEARNT)
		return shoal_error(EBUSY, "not in stage learnt");
	/* The first map of a cluster has no earlier owners: its tokens begin at their places. */
	for (unsigned slot = 0; slot < SHOAL_SLOTS && !keyspace->in_now; slot++) {
		keyspace->owner[slot] = keyspace->owner_next[slot];
		if (keyspace->owner_next[slot] == space->config.self) {
			shoal_slot_set(keyspace->token, (uint16_t)slot, true);
			keyspace->tokens++;
		}
	}
	transition(keyspace, SHOAL_STAGE_HANDING_OVER);
	return 0;
}

int shoal_keyspace_markers_back(struct shoal_space *space, uint64_t term, uint64_t epoch)
{
	int error = refuse_command(&space->keyspace, term, epoch);

	if (error)
		return error;
	if (space->keyspace.stage == SHOAL_STAGE_LEARNT)
		return shoal_error(EBUSY, "epoch %lu is not being handed over yet", epoch);
	space->keyspace.markers_back = true;
	return 0;
}

int shoal_keyspace_forget(struct shoal_space *space, uint64_t term, uint64_t epoch)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	int error;

	if (term >= keyspace->term && epoch == keyspace->epoch && keyspace->stage == SHOAL_STAGE_NORMAL) {
		keyspace->term = term;
		return 0;
	}
	error = refuse_command(keyspace, term, epoch);
	if (error)
		return error;
	if (keyspace->stage == SHOAL_STAGE_LEFT)
		return 0;
	if (keyspace->stage != SHOAL_STAGE_DONE)
		return shoal_error(EBUSY, "epoch %lu is not done here", epoch);
	if (keyspace->leaving) {
		transition(keyspace, SHOAL_STAGE_LEFT);
		return 0;
	}
	memcpy(keyspace->owner, keyspace->owner_next, SHOAL_SLOTS);
	/* All their calls have been applied. */
	shoal_keyspace_forget_callers(keyspace, keyspace->in_now & ~keyspace->in_next);
	keyspace->in_now = keyspace->in_next;
	keyspace->epoch = epoch;
	keyspace->epoch_next = 0;
	transition(keyspace, SHOAL_STAGE_NORMAL);
	return 0;
}

/* --- What goes by itself --- */

static uint64_t others(const struct shoal_space *space)
{
	return (space->keyspace.in_now | space->keyspace.in_next) & ~(UINT64_C(1) << space->config.self);
}

static void send_flush(struct shoal_space *space, uint8_t kind)
{
	for (uint64_t members = others(space); members; members &= members - 1) {
		struct shoal_message head = { .kind = kind,
			.origin = space->config.self,
			.holder = SHOAL_MEMBER_NONE,
			.incarnation = space->keyspace.epoch_next };

		shoal_space_send(space, (uint8_t)__builtin_ctzll(members), &head, NULL, NULL, 0, NULL, 0);
	}
}

/* What keeps this worker from saying FLUSH1, as a sentence; NULL: nothing. */
static const char *open_before_flush1(const struct shoal_space *space)
{
	const struct shoal_keyspace *keyspace = &space->keyspace;

	if (keyspace->tokens_to_send)
		return "tokens to send";
	if (keyspace->tokens_to_receive)
		return "tokens to receive";
	if (!keyspace->leaving)
		return NULL;
	if (!keyspace->markers_back)
		return "the splitter's markers";
	if (space->held)
		return "objects to give back";
	if (space->waiting || space->outstanding || space->fetches || shoal_scheduler_suspended(space->scheduler))
		return "requests under way";
	return NULL;
}

static const char *open_before_done(const struct shoal_space *space)
{
	const struct shoal_keyspace *keyspace = &space->keyspace;
	uint64_t members = others(space);

	if (!keyspace->flush1_sent)
		return open_before_flush1(space);
	if (!keyspace->flush2_sent)
		return "FLUSH1 of other members";
	if ((keyspace->flush2_from & members) != members)
		return "FLUSH2 of other members";
	if (keyspace->sweeping || !keyspace->swept)
		return "the sweep";
	if (keyspace->slots_unswept)
		return "records of the previous owners";
	if (space->contention.parked || keyspace->held_back_count)
		return "parked messages";
	return NULL;
}

static void advance_flushes(struct shoal_space *space)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	uint64_t members = others(space);

	if (!keyspace->flush1_sent && !open_before_flush1(space)) {
		keyspace->flush1_sent = true;
		send_flush(space, SHOAL_FLUSH1);
	}
	if (keyspace->flush1_sent && !keyspace->flush2_sent && (keyspace->flush1_from & members) == members) {
		keyspace->flush2_sent = true;
		send_flush(space, SHOAL_FLUSH2);
	}
	if (keyspace->flush2_sent && !open_before_done(space))
		transition(keyspace, SHOAL_STAGE_DONE);
}

/* An object whose packets have gone goes with its record: nobody asks for it by messages then. */
static bool sweep_may_begin(struct shoal_space *space)
{
	struct shoal_keyspace *keyspace = &space->keyspace;

	if (!keyspace->quiet_since_ns)
		keyspace->quiet_since_ns = space->now_ns;
	return !keyspace->markers_come || keyspace->markers_back || !shoal_sweep_left(keyspace) ||
	       space->now_ns - keyspace->quiet_since_ns > SHOAL_PACKETS_GO_NS;
}

unsigned shoal_keyspace_poll(struct shoal_space *space)
{
	struct shoal_keyspace *keyspace = &space->keyspace;
	bool busy = space->now_ns - space->packets_ns < BUSY_NS;
	unsigned sweep = busy ? SWEEP_BUDGET_BUSY : SWEEP_BUDGET, work = 0;

	if (SHOAL_LIKELY(keyspace->stage != SHOAL_STAGE_HANDING_OVER))
		return 0;
	if (keyspace->tokens_to_send)
		work += shoal_keyspace_send_tokens(space, busy ? TOKENS_BUDGET_BUSY : TOKENS_BUDGET);
	else if (!keyspace->sweeping && !keyspace->swept && sweep_may_begin(space))
		keyspace->sweeping = true;
	if (keyspace->sweeping)
		work += shoal_sweep_poll(space, sweep);
	if (!keyspace->settled && !keyspace->tokens_to_receive && !keyspace->slots_unswept && !keyspace->pulling)
		shoal_sweep_say_settled(space);
	/* After the sweep: an object that comes before its record has to be kept there until that has been pulled. */
	if (keyspace->leaving && keyspace->markers_back && keyspace->swept && space->held)
		work += shoal_sweep_push_held(space, sweep);
	advance_flushes(space);
	return work;
}

void shoal_keyspace_progress(const struct shoal_space *space, struct shoal_progress *progress)
{
	const struct shoal_keyspace *keyspace = &space->keyspace;
	const char *open = keyspace->stage == SHOAL_STAGE_HANDING_OVER ? open_before_done(space) : NULL;

	memset(progress, 0, sizeof(*progress));
	progress->stage = keyspace->stage;
	progress->term = keyspace->term;
	progress->epoch =
		keyspace->stage >= SHOAL_STAGE_LEARNT && keyspace->epoch_next ? keyspace->epoch_next : keyspace->epoch;
	progress->tokens = keyspace->tokens;
	progress->tokens_to_send = keyspace->tokens_to_send;
	progress->tokens_to_receive = keyspace->tokens_to_receive;
	progress->slots_unswept = keyspace->slots_unswept;
	progress->objects = shoal_space_entries(space);
	progress->objects_held = space->held;
	progress->records_moved = space->counters.records_out;
	progress->leases_moved = space->counters.leases_out;
	progress->bytes_moved = space->counters.bytes_out;
	for (unsigned steering = 0; steering < SHOAL_STEERING_SLOTS; steering++)
		if (keyspace->token[steering] == UINT64_MAX)
			progress->steering_ready[steering / 8] |= (uint8_t)(1 << steering % 8);
	snprintf(progress->waiting_for, sizeof(progress->waiting_for), "%s", open ? open : "");
}
