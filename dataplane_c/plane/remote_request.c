/* SPDX-License-Identifier: BSD-3-Clause */
/* What is under way, in order: the server answers in the order in which it was asked, so a reply belongs to the oldest
 * request. All that a request says lies in what it is about (a take, a hold, a target) until it is answered; so after a new
 * connection it can be said again:
 *
 *     take     finds its own lock, if it was done, and the same value
 *     put      writes only where its lock still lies: gone, it was done
 *     apply    the server remembers the last number of each lane: not done twice
 *     others   change nothing */
#include "plane/remote.h"

void shoal_remote_ask(struct shoal_remote *remote, enum shoal_remote_kind kind, uint32_t index)
{
	remote->requests[remote->asked++ & remote->requests_mask] =
		(struct shoal_remote_request){ .kind = (uint8_t)kind, .index = index };
	remote->space->outstanding++;
	if (!remote->waiting_ns)
		remote->waiting_ns = remote->space->now_ns;
}

void shoal_remote_ask_later(struct shoal_remote *remote, const struct shoal_remote_request *request, uint64_t after_ns)
{
	uint64_t due_ns = remote->space->now_ns + after_ns;
	uint32_t at = remote->later_tail++;

	remote->space->outstanding++;
	/* The two delays that there are differ by much: few are passed over. */
	for (; at != remote->later_head && remote->later[(at - 1) & remote->requests_mask].due_ns > due_ns; at--)
		remote->later[at & remote->requests_mask] = remote->later[(at - 1) & remote->requests_mask];
	remote->later[at & remote->requests_mask] =
		(struct shoal_remote_later){ .due_ns = due_ns, .request = *request };
}

unsigned shoal_remote_ask_due(struct shoal_remote *remote)
{
	unsigned work = 0;

	for (; remote->later_head != remote->later_tail; work++) {
		const struct shoal_remote_later *later = &remote->later[remote->later_head & remote->requests_mask];

		if (later->due_ns > remote->space->now_ns)
			break;
		shoal_remote_ask(remote, later->request.kind, later->request.index);
		remote->requests[(remote->asked - 1) & remote->requests_mask].again = later->request.again;
		remote->space->outstanding--;
		remote->later_head++;
	}
	return work;
}

void shoal_remote_encode_all(struct shoal_remote *remote)
{
	uint32_t longest = remote->out.room / 2;

	for (; remote->encoded != remote->asked && shoal_remote_buffer_left(&remote->out) >= longest; remote->encoded++)
		shoal_remote_encode(remote, &remote->requests[remote->encoded & remote->requests_mask]);
}

void shoal_remote_begin_again(struct shoal_remote *remote)
{
	for (uint32_t at = remote->answered; at != remote->encoded; at++)
		remote->requests[at & remote->requests_mask].again = true;
	remote->encoded = remote->answered;
	remote->waiting_ns = remote->space->now_ns;
}

bool shoal_remote_beat_answered(struct shoal_remote *remote, const struct shoal_reply *nodes)
{
	if (nodes[0].kind != SHOAL_REPLY_ARRAY || nodes[0].length != 3)
		return false;
	remote->beat_confirmed_ns = remote->beat_sent_ns;
	remote->scanner = nodes[2].integer;
	/* This life had ended there: others may have taken what was locked before. */
	if (!nodes[1].integer && remote->clock_known) {
		remote->doubt = true;
		remote->session++;
	}
	if (!remote->clock_known)
		remote->clock_ms = nodes[3].integer / 1000 - (int64_t)(remote->space->now_ns / SHOAL_NS_PER_MS);
	remote->clock_known = true;
	return true;
}

void shoal_remote_answer(struct shoal_remote *remote, const struct shoal_reply *nodes)
{
	struct shoal_remote_request request = remote->requests[remote->answered++ & remote->requests_mask];

	remote->counters.replies++;
	remote->space->outstanding--;
	switch (request.kind) {
	case SHOAL_REQUEST_TAKE:
		shoal_remote_take_answered(remote, &request, nodes);
		break;
	case SHOAL_REQUEST_PUT:
		shoal_remote_put_answered(remote, &request, nodes);
		break;
	case SHOAL_REQUEST_READ:
		shoal_remote_read_answered(remote, &request, nodes);
		break;
	case SHOAL_REQUEST_APPLY:
		shoal_remote_apply_answered(remote, &request, nodes);
		break;
	case SHOAL_REQUEST_BEAT:
		remote->beating = false;
		remote->counters.errors += !shoal_remote_beat_answered(remote, nodes);
		break;
	case SHOAL_REQUEST_SCAN:
		shoal_remote_scan_answered(remote, nodes);
		break;
	default:
		shoal_remote_look_answered(remote, nodes);
	}
}
