/* amqp_frames.h - the stream of an AMQP peer, cut into frames and judged before Proton gets them (AMQP 2.3).  No I/O.
 *
 * Proton trusts frames where it should not: it asserts on a first transfer without delivery-id, takes transfers that no
 * credit allows, follows nested values by recursion, and does not tell the message-format.  So each frame passes here:
 * its size and header are checked, and of its performative how deep it nests and, of a transfer, what it says.
 *
 * Incremental: bytes may come in any pieces; a frame is passed on when it is whole, without a copy when it came so.
 */
#ifndef GATEHOUSE_AMQP_FRAMES_H
#define GATEHOUSE_AMQP_FRAMES_H

#include <gatehouse/message.h>

#include "src/base/buf.h"

enum {
	AMQP_FRAME_HEAD_BYTES = 8,
	AMQP_FRAMES_DEPTH_MAX = 32,   /* values inside each other in a performative */
	AMQP_FRAMES_PARTIAL_MAX = 64, /* deliveries begun and not ended at once */
};

/* What a frame is. */
struct amqp_frame {
	uint8_t performative; /* 0x10 open ... 0x18 close; 0 = a protocol header, an empty frame or one of SASL */
	bool first;           /* a transfer: of its delivery */
	uint32_t message_format;
};

struct amqp_partial {
	uint16_t channel;
	uint32_t handle;
};

struct amqp_frames {
	uint32_t frame_max;
	bool over;       /* a fault: nothing more is passed */
	bool passed;     /* what is held was passed */
	struct buf held; /* the front of a frame that has not come whole */
	struct amqp_partial partial[AMQP_FRAMES_PARTIAL_MAX];
	size_t partial_count;
};

void amqp_frames_init(struct amqp_frames *f, uint32_t frame_max);
void amqp_frames_done(struct amqp_frames *f);

/* Takes from the front of `bytes`: *ret_taken of them.  When that completes a frame, *ret_bytes is the frame or protocol header
 * (borrowed until the next call) and *ret_frame tells of it; else *ret_bytes is empty.
 * GH_OK: go on, at once while bytes are left.  Else a fault: GH_MALFORMED, GH_TOO_LARGE (frame size, depth, partial
 * deliveries), GH_NO_MEMORY; all that comes afterwards is taken and nothing passed. */
gh_status amqp_frames_next(struct amqp_frames *f, gh_bytes bytes, size_t *ret_taken, gh_bytes *ret_bytes,
	struct amqp_frame *ret_frame, gh_error *ret_err);

#endif
