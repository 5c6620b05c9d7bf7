/* load_websocket.h - the client's side of a WebSocket (RFC 6455) for the load client: bytes in, bytes out, no I/O.
 *
 * The payload is a stream: what the server sends comes out in pieces, whichever way it was framed and cut; pings are
 * answered underway.  Frames are masked eight bytes at a time, with a key of a cheap generator: nobody is to be
 * protected here, and a server cannot tell.  Strict about what the server sends, since the load client is a test too.
 */
#ifndef GATEHOUSE_TESTS_BENCH_LOAD_WEBSOCKET_H
#define GATEHOUSE_TESTS_BENCH_LOAD_WEBSOCKET_H

#include "src/base/buf.h"
#include "src/base/text.h"

enum {
	WEBSOCKET_ANSWER_BYTES_MAX = 4096,
	WEBSOCKET_HEAD_BYTES_MAX = 10, /* of a frame without a mask */
	WEBSOCKET_CONTROL_BYTES_MAX = 125,
};

struct load_websocket {
	bool open, closed;                 /* the server agreed; the server said Close */
	char accept[TEXT_BASE64_SIZE(20)]; /* what its answer must show */
	struct buf answer;                 /* head of the answer, until it is whole */
	uint32_t key;                      /* mask of the last frame sent */
	bool in_payload, in_message;       /* the frame's head is whole; a fragment without FIN came */
	uint8_t head[WEBSOCKET_HEAD_BYTES_MAX], head_len;
	uint64_t left; /* of the frame's payload */
	uint8_t control[WEBSOCKET_CONTROL_BYTES_MAX], control_len;
	char fault[120];
};

/* WEBSOCKET_MORE: all is taken.  WEBSOCKET_CLOSED, WEBSOCKET_FAULT: fault says why. */
enum load_websocket_event { WEBSOCKET_MORE, WEBSOCKET_OPEN, WEBSOCKET_DATA, WEBSOCKET_CLOSED, WEBSOCKET_FAULT };

/* Begins anew (zeroed, or used before): writes the request for an upgrade to sub-protocol mqtt. */
bool load_websocket_start(struct load_websocket *w, const char *host, uint16_t port, const char *path, struct buf *out);
void load_websocket_done(struct load_websocket *w);

/* One binary frame. */
void load_websocket_put(struct load_websocket *w, gh_bytes payload, struct buf *out);
/* Takes from the front of *bytes; call again until it says WEBSOCKET_MORE.  With WEBSOCKET_DATA, *ret_payload is a piece
 * of *bytes.  Answers to Ping and Close are appended to out. */
enum load_websocket_event load_websocket_next(
	struct load_websocket *w, gh_bytes *bytes, struct buf *out, gh_bytes *ret_payload);

#endif
