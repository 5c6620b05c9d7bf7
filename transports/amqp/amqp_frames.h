/* amqp_frames.h - the stream of an AMQP peer, cut into frames and judged before Proton gets them (AMQP 2.2, 2.3).  No I/O.
 *
 * Proton trusts frames where it should not: it asserts on a first transfer without delivery-id, takes numbers of sessions
 * and links twice and transfers from a receiver, serves frames of SASL after SASL and performatives before OPEN, would
 * begin TLS inside of TLS, follows nested values by recursion, and does not tell the message-format.  So each frame passes
 * here: its size and header are checked, whether it may come now, and of its performative how deep it nests and what the
 * numbers in it stand for.
 *
 * Incremental: bytes may come in any pieces; a frame is passed on when it is whole, without a copy when it came so.
 */
#ifndef GATEHOUSE_AMQP_FRAMES_H
#define GATEHOUSE_AMQP_FRAMES_H

#include <gatehouse/message.h>

#include "src/base/buf.h"
#include "transports/amqp/amqp_places.h"

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

/* What may come next. */
enum amqp_frames_stage {
	AMQP_FRAMES_START,     /* a protocol header, of SASL or of AMQP */
	AMQP_FRAMES_SASL,      /* the one frame in which a client names its mechanism; none here asks for more */
	AMQP_FRAMES_SASL_DONE, /* the header of AMQP */
	AMQP_FRAMES_HEADER,    /* OPEN */
	AMQP_FRAMES_OPEN,      /* all but OPEN */
	AMQP_FRAMES_OVER,      /* CLOSE came, or a fault: nothing more is passed */
};

struct amqp_frames {
	uint32_t frame_max;
	size_t places_max;
	enum amqp_frames_stage stage;
	bool passed;     /* what is held was passed */
	struct buf held; /* the front of a frame that has not come whole */
	struct amqp_places places;
};

/* places_max: of sessions and links together. */
void amqp_frames_init(struct amqp_frames *f, uint32_t frame_max, size_t places_max);
void amqp_frames_done(struct amqp_frames *f);

/* Takes from the front of `bytes`: *ret_taken of them.  When that completes a frame, *ret_bytes is the frame or protocol header
 * (borrowed until the next call) and *ret_frame tells of it; else *ret_bytes is empty, also for a frame that came too late
 * for its session.
 * GH_OK: go on, at once while bytes are left.  Else a fault, after which everything is taken and nothing passed:
 * GH_NOT_FOUND (amqp_header) = the protocol header is of something that is not spoken here; GH_MALFORMED; GH_INVALID = it
 * may not come now, or names a session or link that is not there, or is; GH_TOO_LARGE (frame size, depth, partial
 * deliveries); GH_QUOTA (sessions and links); GH_NO_MEMORY. */
gh_status amqp_frames_next(struct amqp_frames *f, gh_bytes bytes, size_t *ret_taken, gh_bytes *ret_bytes,
	struct amqp_frame *ret_frame, gh_error *ret_err);

#endif
