/* h2_pair.h - an HTTP/2 engine and the client at its other end, joined in memory; the clock is a number.
 *
 * The client is nghttp2's, which holds the engine to the protocol, or, for what no client should do, frames made by hand.
 * Drives the engine as a connection does: bytes not taken are kept and offered again only when the engine woke the wire.
 * An engine that wakes without end trips an assert.
 */
#ifndef GATEHOUSE_TESTS_H2_PAIR_H
#define GATEHOUSE_TESTS_H2_PAIR_H

#include "tests/unit/core_double.h"
#include "tests/unit/rest_double.h"

#include "src/base/buf.h"

#include <nghttp2/nghttp2.h>

enum { H2_PAIR_STREAMS_MAX = 600, H2_PAIR_HEAD_BYTES = 9 };

/* What the client sent and got on one stream; by its number: 0 for stream 1, 1 for stream 3. */
struct h2_reply {
	int status;     /* of the last head; 0 = none */
	bool continued; /* a 100 came before it */
	bool ended;     /* END_STREAM */
	bool reset;
	bool closed;
	uint32_t code;                        /* of the reset */
	char date[64], length[32], field[64]; /* fields of the answer; field: "x-test" */
	struct buf body;
	/* the request's body */
	struct buf sends;
	size_t sent, may_send;
	bool whole; /* nothing comes after what may be sent */
};

struct h2_pair {
	gh_wire wire;
	gh_worker *worker; /* borrowed */
	gh_engine *engine;
	nghttp2_session *client; /* NULL = frames made by hand */
	struct buf held;         /* sent by the client, not taken yet */
	struct buf got;          /* what the client received, as it came */
	struct h2_reply replies[H2_PAIR_STREAMS_MAX];
	uint64_t now_ms;
	uint64_t deadline_ms;
	size_t cut; /* bytes offered in one piece; 0 = all */
	size_t wake_count;
	size_t held_max;
	uint32_t goaway_code;
	int32_t goaway_last;
	bool goaway;
	bool woken;
	bool stopped; /* the engine did not take all */
	bool reading; /* the client takes what the engine has to say */
	bool finished;
};

void h2_pair_init(struct h2_pair *p, gh_worker *worker); /* no client yet */
void h2_pair_done(struct h2_pair *p);

/* nghttp2's client; window: SETTINGS_INITIAL_WINDOW_SIZE, 0 = the default; else nothing is given back by itself. */
void h2_pair_connect(struct h2_pair *p, uint32_t window);

/* A request of method and path, and of fields given as name, value, ..., NULL; returns its number.  body: all of it, or
 * NULL for none. */
size_t h2_pair_request(struct h2_pair *p, const char *method, const char *path, const char *body, ...)
	__attribute__((sentinel));
/* The same, but of the body only `now` bytes are sent yet; whole = false: more than body may follow. */
size_t h2_pair_begin(struct h2_pair *p, gh_bytes body, size_t now, ...) __attribute__((sentinel));
void h2_pair_more(struct h2_pair *p, size_t number, size_t bytes); /* so many bytes more of its body may be sent */
void h2_pair_reset(struct h2_pair *p, size_t number);
int32_t h2_pair_id(size_t number);

void h2_pair_run(struct h2_pair *p);                  /* until nothing is left to do */
void h2_pair_send(struct h2_pair *p, gh_bytes bytes); /* frames made by hand; then everything runs */
void h2_pair_hang_up(struct h2_pair *p);
/* Moves the clock on; deadlines on the way fire at their time. */
void h2_pair_wait(struct h2_pair *p, uint64_t ms);

/* ---- frames made by hand ---- */

void h2_put_preface(struct buf *out); /* with empty SETTINGS */
void h2_put_frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream_id, gh_bytes payload);
void h2_put_u32_frame(
	struct buf *out, uint8_t type, uint32_t stream_id, uint32_t value); /* RST_STREAM, WINDOW_UPDATE */
/* GET https://hub/ , or POST, without a word for the table of HPACK. */
void h2_put_get(struct buf *out, uint8_t flags, uint32_t stream_id);
void h2_put_post(struct buf *out, uint8_t flags, uint32_t stream_id);
/* A field never indexed. */
void h2_put_field(struct buf *out, const char *name, gh_bytes value);

/* Frames the client got: how many of a type there were.  From p->got. */
size_t h2_pair_got(const struct h2_pair *p, uint8_t type);

#endif
