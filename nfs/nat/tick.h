/* SPDX-License-Identifier: BSD-3-Clause */
/* Last-seen times in the objects: 32-bit ticks of 2^20 ns (about a millisecond), because a shift makes them and four
 * bytes hold them. They wrap after 52 days; ages are right up to half of that, far above any idle time allowed. */
#ifndef SHOAL_NAT_TICK_H
#define SHOAL_NAT_TICK_H

#include <shoal/nf.h>

#define NAT_TICK_SHIFT 20
/* Longest idle time that can be configured: 24 h. */
#define NAT_IDLE_MS_MAX UINT32_C(86400000)

static inline uint32_t nat_tick_now(const struct shoal_context *context)
{
	return (uint32_t)(shoal_now(context) >> NAT_TICK_SHIFT);
}

static inline uint32_t nat_tick_from_ms(uint32_t milliseconds)
{
	return (uint32_t)(milliseconds * SHOAL_NS_PER_MS >> NAT_TICK_SHIFT);
}

/* Ticks since `then`. A time that seems to lie ahead (an object that came from a host whose clock is ahead) is now. */
static inline uint32_t nat_tick_age(uint32_t now, uint32_t then)
{
	int32_t age = (int32_t)(now - then);

	return age < 0 ? 0 : (uint32_t)age;
}

#endif
