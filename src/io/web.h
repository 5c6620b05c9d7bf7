/* web.h - libwebsockets as a guest of a loop: it frames and unframes, and answers handshakes, pings and Close frames.
 *
 * The library wants a descriptor, so each WebSocket is a socket pair: what came over the wire is written into our end,
 * the library reads, unframes and writes at the other, and what it wrote there is taken from our end for the wire.  Both
 * happen inside the calls below, without a turn of the loop: the library is served by hand right after each write, and
 * the loop only watches for what it does of its own accord.  Nothing queues in the pair: a write is read at once, and
 * whoever sends takes what was framed before sending more.
 *
 * It is given well-formed frames only, and a handshake that has been checked: what it does not refuse is refused before.
 * A WebSocket holds two descriptors here besides that of its connection.
 *
 * Threads: everything on the loop's thread, or before it runs.
 */
#ifndef GATEHOUSE_IO_WEB_H
#define GATEHOUSE_IO_WEB_H

#include <gatehouse/limits.h>
#include <gatehouse/transport.h>

#include "src/io/loop.h"

struct web;

/* What there is behind a handshake, and for whom: the same for every listener that takes WebSockets. */
struct web_rules {
	const gh_transport *const *transports; /* found by their sub-protocols; NULL-terminated */
	const char *const
		*origins; /* whose pages may connect besides this host's; NULL-terminated; NULL = everybody's */
	/* The engine of the stream under `wire`; answers as gh_wire_ops.upgrade does. */
	gh_status (*engine_new)(const struct web_rules *rules, struct web *web, struct gh_worker *worker, gh_wire *wire,
		const gh_upgrade *upgrade, uint64_t now_ms, gh_engine **ret_engine);
};

/* Bytes that may be fed at once; each WebSocket keeps a buffer of this size in the library. */
enum { WEB_FEED_BYTES_MAX = 4096 };

gh_status web_new(struct loop *loop, const gh_limits *limits, struct web **ret_web, gh_error *ret_err);
/* No WebSocket is left.  Turns the loop until the library has let go of it; accepts NULL. */
void web_free(struct web *web);

struct web_socket;

struct web_socket_ops {
	/* From inside web_socket_feed only: payload, in order, whatever its frames were. */
	void (*received)(void *context, gh_bytes payload);
	/* At any time outside of calls: the library did something of its own accord; take, and look at web_socket_is_open. */
	void (*stirred)(void *context);
};

/* The answer to the handshake is the first that web_socket_take gives.  Borrows ops and context until free.
 * GH_UNAVAILABLE when the system has no descriptors. */
gh_status web_socket_new(struct web *web, const gh_upgrade *upgrade, const struct web_socket_ops *ops, void *context,
	struct web_socket **ret_socket, gh_error *ret_err);
void web_socket_free(struct web_socket *socket); /* at once, both ends; accepts NULL */

/* Whole frames or parts of them, from the wire; at most WEB_FEED_BYTES_MAX.  All of it is taken, or the socket is not
 * open any more. */
void web_socket_feed(struct web_socket *socket, gh_bytes bytes);
/* Has the library send what it owes: pongs, the answer to a Close frame. */
void web_socket_settle(struct web_socket *socket);
/* Frames payload from the front, binary, at most websocket_frame_bytes_max in each; returns how much. */
size_t web_socket_send(struct web_socket *socket, gh_bytes payload);
void web_socket_ping(struct web_socket *socket);
/* Sends a Close frame with that code; once.  The library then waits for the peer's. */
void web_socket_close(struct web_socket *socket, uint16_t code);
/* What the library has written for the wire; 0 = nothing now. */
size_t web_socket_take(struct web_socket *socket, uint8_t *ret_bytes, size_t size);
/* False when the library has ended it: after both Close frames, or for want of memory. */
bool web_socket_is_open(const struct web_socket *socket);

#endif
