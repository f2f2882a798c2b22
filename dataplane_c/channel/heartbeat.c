/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel/heartbeat.h"

bool shoal_heartbeat_due(struct shoal_heartbeat *heartbeat, uint64_t now_ns, uint64_t period_ns)
{
	if (!period_ns)
		return false;
	if (!heartbeat->since_ns)
		heartbeat->since_ns = now_ns;
	return heartbeat->to_answer || now_ns >= heartbeat->ask_at_ns;
}

struct shoal_heartbeat_body shoal_heartbeat_say(struct shoal_heartbeat *heartbeat, uint64_t now_ns, uint64_t period_ns)
{
	struct shoal_heartbeat_body body = { .answer = heartbeat->to_answer };

	heartbeat->to_answer = 0;
	if (now_ns >= heartbeat->ask_at_ns) {
		body.question = heartbeat->asked_ns = now_ns;
		heartbeat->ask_at_ns = now_ns + period_ns;
	}
	return body;
}

bool shoal_heartbeat_take(struct shoal_heartbeat *heartbeat, const struct shoal_heartbeat_body *body)
{
	if (body->answer > heartbeat->asked_ns)
		return false;
	if (body->question)
		heartbeat->to_answer = body->question;
	if (body->answer > heartbeat->heard_ns) {
		heartbeat->heard_ns = body->answer;
		heartbeat->answered = true;
	}
	return true;
}

void shoal_heartbeat_hurry(struct shoal_heartbeat *heartbeat)
{
	heartbeat->ask_at_ns = 0;
	heartbeat->to_answer = 0; /* was asked over a connection that is no more */
}

bool shoal_heartbeat_round_trip(struct shoal_heartbeat *heartbeat, uint64_t now_ns, uint64_t *round_trip_ns)
{
	if (!heartbeat->answered)
		return false;
	heartbeat->answered = false;
	*round_trip_ns = now_ns - heartbeat->heard_ns;
	return true;
}

uint64_t shoal_heartbeat_silent_ns(const struct shoal_heartbeat *heartbeat, uint64_t now_ns)
{
	uint64_t last_ns = heartbeat->heard_ns ? heartbeat->heard_ns : heartbeat->since_ns;

	return last_ns && now_ns > last_ns ? now_ns - last_ns : 0;
}
