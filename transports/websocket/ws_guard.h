/* ws_guard.h - what a WebSocket client sends, judged frame by frame before it is unframed (RFC 6455 5).  No I/O, no time.
 *
 * Reads the heads of frames and walks over their payload.  Refused is what a client must not send: frames that are not
 * masked, reserved bits and opcodes, control frames that are fragmented or longer than 125 bytes, fragments out of
 * order, a length with its highest bit set, text (device contract 1.3: the payload is a stream of bytes), messages over
 * the limit, and Close frames with half a code, a code that may not be sent, or a reason that is no UTF-8.  Whoever
 * unframes then sees well-formed frames only, and each fault has its own close code.
 *
 * Incremental: bytes may come in any pieces, and a fault is found at the first byte that shows it, however they were cut.
 * Bytes are passed on as they come; only a Close frame is held back until it is whole, and its payload judged then.
 */
#ifndef GATEHOUSE_WEBSOCKET_WS_GUARD_H
#define GATEHOUSE_WEBSOCKET_WS_GUARD_H

#include <gatehouse/message.h>

enum ws_close_code {
	WS_CLOSE_NORMAL = 1000,
	WS_CLOSE_GOING_AWAY = 1001,
	WS_CLOSE_PROTOCOL = 1002,
	WS_CLOSE_UNSUPPORTED = 1003,
	WS_CLOSE_BAD_PAYLOAD = 1007,
	WS_CLOSE_TOO_LARGE = 1009,
	WS_CLOSE_INTERNAL = 1011,
};

enum { WS_CONTROL_BYTES_MAX = 125, WS_CONTROL_HEAD_BYTES = 6 };

struct ws_guard {
	uint64_t left;    /* payload bytes of the present frame still to come */
	uint64_t message; /* payload bytes of the unfinished message, as its heads announced them */
	uint8_t head[14]; /* of the present frame, as far as it came; head[0] stands until the next one */
	uint8_t head_len;
	bool in_payload;
	bool in_message; /* a fragment without FIN came */
	bool over;       /* a Close frame or a fault: nothing more is passed */
	uint8_t held_len;
	uint8_t held[WS_CONTROL_HEAD_BYTES + WS_CONTROL_BYTES_MAX]; /* a Close frame */
};

void ws_guard_init(struct ws_guard *g);

/* Takes from the front of `bytes`: *ret_taken of them; *ret_pass (borrowed until the next call, may be empty) is what may
 * be unframed now.  All three are set whatever is returned; *ret_close is 0 but for a fault.
 * GH_AGAIN: go on with what follows, at once while bytes are left.
 * GH_OK: *ret_pass ends where a control frame does; have it answered before more is passed on.
 * Else a fault, GH_MALFORMED, GH_INVALID (text) or GH_TOO_LARGE: all bytes are taken, what is in *ret_pass came before
 * it, *ret_close is the code to close with.
 * After a Close frame and after a fault everything is taken and nothing passed: GH_AGAIN. */
gh_status ws_guard_next(struct ws_guard *g, gh_bytes bytes, uint64_t message_bytes_max, size_t *ret_taken,
	gh_bytes *ret_pass, uint16_t *ret_close, gh_error *ret_err);

#endif
