/* SPDX-License-Identifier: BSD-3-Clause */
/* What one frame looks like between two channels; the transport below carries it as bytes. */
#ifndef SHOAL_CHANNEL_FRAME_H
#define SHOAL_CHANNEL_FRAME_H

#include <shoal/types.h>

#define SHOAL_FRAME_MAGIC 0x5348
#define SHOAL_FRAME_VERSION 1

/* Head of each frame; messages follow. A frame without messages only acknowledges and bears no number of its own; a
 * heartbeat (heartbeat.h) may follow it. */
struct shoal_frame {
	uint16_t magic;
	uint8_t version;
	uint8_t from;
	uint32_t length; /* of the whole frame */
	uint64_t life; /* of the sender */
	uint64_t number; /* 1 for a life's first frame; 0: acknowledges only */
	uint64_t acknowledged; /* highest number received in order from the receiver of this frame */
	uint64_t taken; /* messages that have been handled, of the receiver of this frame, in all */
	uint8_t messages[];
};

#endif
