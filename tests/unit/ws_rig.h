/* ws_rig.h - the WebSocket engine with libwebsockets under it, a client at one end and a steered engine inside.
 *
 * The clock is the pair's number; the loop is turned by hand, and only where the library is to act of its own accord.
 */
#ifndef GATEHOUSE_TESTS_WS_RIG_H
#define GATEHOUSE_TESTS_WS_RIG_H

#include "tests/suite.h"

#include "src/base/limits.h"
#include "src/base/text.h"
#include "tests/unit/engine_pair.h"
#include "transports/websocket/ws_guard.h"
#include "transports/websocket/ws_lws.h"

/* Keeps what came in; echoes it when told to. */
struct ws_inner {
	gh_engine engine;
	gh_wire *wire;
	struct buf in, out;
	size_t out_at;
	size_t budget; /* how many more bytes it takes */
	size_t output_max;
	uint64_t deadline_ms;
	unsigned inputs, fired, ends, drains;
	bool echo, finished;
};

struct ws_rig {
	gh_worker worker;
	struct loop *loop;
	struct web *web;
	struct web_rules rules;
	struct engine_pair pair; /* pair.got: what the client has not looked at yet */
	struct ws_inner *inner;
	gh_status refused; /* what the making of the engine said */
	const char *subprotocol, *origin;
	size_t looked_at; /* bytes of pair.got in the frame that was given last */
};

/* Frame heads as a client sends them. */
enum {
	WS_CONTINUED = 0x0,
	WS_TEXT = 0x1,
	WS_BINARY = 0x2,
	WS_END = 0x8,
	WS_PING = 0x9,
	WS_PONG = 0xa,
	WS_FIN = 0x80,
};

struct ws_frame {
	uint8_t first; /* FIN, reserved bits, opcode */
	bool masked;
	gh_bytes payload; /* points into pair.got: until the next frame is asked for */
};

/* Loop, web and limits; limits and rules may be changed before ws_rig_open. */
void ws_rig_init(struct ws_rig *rig);
/* False: refused says why.  The client's answer to the handshake is taken and checked. */
bool ws_rig_try(struct ws_rig *rig);
void ws_rig_open(struct ws_rig *rig);
void ws_rig_shut(struct ws_rig *rig); /* frees the engine, and turns the loop until the library has let go */
void ws_rig_done(struct ws_rig *rig);
/* Turns the loop once, and lets the engine do what it woke for. */
void ws_rig_turn(struct ws_rig *rig);

/* Appends a masked frame. */
void ws_rig_put(struct buf *to, uint8_t first, const void *payload, size_t len);
void ws_rig_send(struct ws_rig *rig, uint8_t first, const void *payload, size_t len);
/* Drops the frame it gave before.  False when no whole frame is there. */
bool ws_rig_frame(struct ws_rig *rig, struct ws_frame *ret_frame);
/* The next frame is a Close with that code. */
void ws_rig_expect_close(struct ws_rig *rig, unsigned code, const char *what);

void ws_inner_say(struct ws_inner *inner, const void *data, size_t len);
unsigned ws_rig_open_fds(void);

#endif
