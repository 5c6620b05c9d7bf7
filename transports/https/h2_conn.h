/* h2_conn.h - one HTTP/2 connection as its parts share it, and how its requests are served: who waits for whom, and how an
 * answer gets on its way.
 *
 * h2_receive.c makes requests of what nghttp2 hears, h2_engine.c drives it all and owns the end.  Everything here may be
 * called from nghttp2's callbacks: it queues, but neither feeds nor empties the session.
 *
 * Under back-pressure (REST_BLOCKED) no flow-control window is given back, and requests that are whole wait behind the
 * first that found no room: first come, first served.
 */
#ifndef GATEHOUSE_HTTPS_H2_CONN_H
#define GATEHOUSE_HTTPS_H2_CONN_H

#include "transports/https/h2_answer.h"
#include "transports/https/h2_meter.h"
#include "transports/https/h2_stream.h"

struct h2_conn {
	gh_worker *worker;
	gh_wire *wire;
	nghttp2_session *session; /* NULL = ended */
	struct rest_conn rest;
	struct h2_lines streams;
	struct h2_meter meter;
	struct http_date_clock clock;
	struct h2_stream *receiving; /* whose head is being received */
	size_t listed;               /* size of the header block that is being received */
	gh_bytes here;               /* the body that came in one frame; only while that is read */
	size_t owed;                 /* flow control: bytes taken from the client and not given back */
	const char *why;             /* set: it ends, or has ended, for this reason */
	uint32_t code;               /* of the last GOAWAY, with why */
	const char *parting;         /* why it ends when the last stream is answered; NULL = it stays */
	uint64_t now_ms;             /* of the last engine call that was told */
	uint64_t quiet_ms;           /* since when there is no stream, or when it began */
	bool started;                /* the first request has come */
	bool room;                   /* there may be room for those who were blocked */
};

static inline const gh_limits *h2_conn_limits(const struct h2_conn *c)
{
	return gh_worker_limits(c->worker);
}

static inline struct h2_stream *h2_conn_first(const struct h2_conn *c, enum h2_line_id line)
{
	return c->streams.lines[line].first;
}

/* The connection has to end; the engine sees to that when the call under way comes back to it.  The first reason counts. */
void h2_conn_fail(struct h2_conn *c, const char *why, uint32_t code);
void h2_conn_fail_memory(struct h2_conn *c);
/* The same with a word of the meter; NULL = none. */
void h2_conn_fail_flood(struct h2_conn *c, const char *why);

void h2_conn_join(struct h2_conn *c, struct h2_stream *s, enum h2_line_id line);
/* A stream that nghttp2 has closed, or that ends with the connection. */
void h2_conn_free(struct h2_conn *c, struct h2_stream *s);

extern const struct h2_refusal h2_conn_body_too_large;

/* rest.c has said what to answer. */
void h2_conn_answer(struct h2_conn *c, struct h2_stream *s);
void h2_conn_refuse(struct h2_conn *c, struct h2_stream *s, const struct h2_refusal *refusal);
void h2_conn_reset(struct h2_conn *c, struct h2_stream *s);
/* It waited too long in its line. */
void h2_conn_late(struct h2_conn *c, struct h2_stream *s);

/* The request is whole; its body is `here`, or what the stream kept. */
void h2_conn_serve(struct h2_conn *c, struct h2_stream *s);
/* More of its body.  all: with these bytes, which stay while they are read, it is whole. */
void h2_conn_body(struct h2_conn *c, struct h2_stream *s, gh_bytes piece, bool all);
/* Bytes of the stream were taken: their window is given back, or owed.  last: the stream has no more. */
void h2_conn_consume(struct h2_conn *c, struct h2_stream *s, size_t len, bool last);

/* What rest.c noted since: answers, and room. */
void h2_conn_go_on(struct h2_conn *c);
/* The client could not go on because of us: its time begins anew. */
void h2_conn_excuse(struct h2_conn *c);

#endif
