/* gatehouse/transport.h - the seam to a protocol: an engine takes bytes and the time, and gives bytes and a deadline.
 *
 * An engine does no I/O, owns no socket, clock or thread.  All calls for one engine come from one loop thread and never
 * nest, but for the core's link ops (gatehouse/core.h), which come from the same thread, outside of engine calls.
 *
 * Time: now_ms is a steady clock in milliseconds; only differences mean something.
 */
#ifndef GATEHOUSE_TRANSPORT_H
#define GATEHOUSE_TRANSPORT_H

#include <gatehouse/message.h>

typedef struct gh_engine gh_engine;
typedef struct gh_wire gh_wire;
struct gh_worker;

typedef struct gh_engine_ops {
	/* Returns how many bytes were taken.  Fewer than len = stop reading until the engine wakes the wire; the rest is
	 * offered again then. */
	size_t (*input)(gh_engine *engine, const uint8_t *data, size_t len, uint64_t now_ms);
	/* The peer sent its last byte, or the stream broke.  After an orderly end output is still asked for, until the
	 * engine has finished or close_ms_max is over: an engine that owes nothing finishes at once.  Once, at most. */
	void (*input_end)(gh_engine *engine, uint64_t now_ms);
	/* Bytes for the wire; borrowed, valid until the next call on the engine. */
	gh_bytes (*output)(gh_engine *engine);
	/* `len` of those bytes left. */
	void (*output_done)(gh_engine *engine, size_t len);
	/* Fires what is due; returns the next deadline on the same clock, 0 = none. */
	uint64_t (*tick)(gh_engine *engine, uint64_t now_ms);
	/* Nothing more will come out once the present output has left; the caller then closes the stream and frees. */
	bool (*finished)(const gh_engine *engine);
	/* The program wants to stop: end in good order as soon as what was accepted is answered. */
	void (*drain)(gh_engine *engine, uint64_t now_ms);
	/* Accepts NULL and half-built engines, at any moment. */
	void (*free)(gh_engine *engine);
} gh_engine_ops;

struct gh_engine {
	const gh_engine_ops *ops;
};

/* Facts of the stream under an engine; borrowed, valid as long as the wire. */
typedef struct gh_peer {
	const char *address; /* text, without port; "" when there is none */
	uint16_t port;
	const char *server_name;    /* SNI, "" when absent */
	const uint8_t *certificate; /* client's leaf as DER, NULL when none was presented */
	size_t certificate_len;
} gh_peer;

/* A WebSocket handshake the HTTP engine has checked (device contract 1.3); borrowed for the call. */
typedef struct gh_upgrade {
	gh_bytes key;         /* Sec-WebSocket-Key: 24 characters */
	gh_bytes subprotocol; /* one of those offered, as the client spelled it */
	gh_bytes origin;      /* empty = none was sent */
	gh_bytes host;        /* the Host field: whom the client means, with its port or without */
} gh_upgrade;

typedef struct gh_wire_ops {
	/* Any moment on the loop thread, also from inside an engine call: soon afterwards, but never from inside, the wire
	 * offers held input, asks for output and calls tick. */
	void (*wake)(gh_wire *wire);
	gh_peer (*peer)(gh_wire *wire);
	/* From inside an engine's input: the stream becomes a WebSocket, for whichever transport has the sub-protocol.
	 * GH_OK: the engine takes nothing of what follows in the stream, and is finished; when its present output has left,
	 * the stream, with that rest of its input, is another's, which also answers the handshake.
	 * Otherwise nothing has happened: GH_NOT_FOUND = nobody has this sub-protocol; GH_UNAUTHORIZED = the origin is not
	 * allowed; GH_UNAVAILABLE, GH_NO_MEMORY = not now.  May be NULL: never. */
	gh_status (*upgrade)(gh_wire *wire, const gh_upgrade *upgrade, uint64_t now_ms);
} gh_wire_ops;

struct gh_wire {
	const gh_wire_ops *ops;
};

/* One protocol.  Port, ALPN name and WebSocket sub-protocol are three keys into the same table. */
typedef struct gh_transport {
	const char *name; /* "mqtt": also the configuration key of its listener */
	uint16_t port_default;
	const char *const *alpn;         /* NULL-terminated, may be NULL */
	const char *const *subprotocols; /* WebSocket, compared without case; NULL-terminated, may be NULL */
	/* NULL without memory.  Borrows worker and wire until free. */
	gh_engine *(*engine_new)(struct gh_worker *worker, gh_wire *wire, uint64_t now_ms);
} gh_transport;

#endif
