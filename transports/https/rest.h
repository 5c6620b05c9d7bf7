/* rest.h - requests and answers of the hub's HTTP surface, whatever version of HTTP carries them.
 *
 * One table of routes.  An engine (http1_engine.c, h2_engine.c) parses and frames; it makes a rest_exchange for each
 * request and leads it through
 *
 *     rest_begin   the head is here: route, method, credential.  REST_BODY: send me the body; REST_UPGRADE: it asks for a
 *                  WebSocket, which the engine grants, or refuses with rest_refuse; else REST_ANSWERED
 *     rest_run     the body is here, whole.  REST_WAIT: the answer comes; REST_BLOCKED: run again when there is room
 *     rest_answer  what to say, after REST_ANSWERED
 *     rest_end     in any case, once
 *
 * What the request's fields and body point at is the engine's and stays as it is from rest_begin until rest_run gave
 * neither REST_BODY nor REST_BLOCKED.  Knows no HTTP version, no bytes on a wire and no time limit of a connection.
 *
 * Links: a connection stays authenticated for the identities it spoke for, by exactly the credential it used; a changed
 * identity or policy ends that (revoked), so that the next request is checked anew.
 *
 * Threads: all on the worker's loop thread.  The callbacks come outside of engine calls, as the core's do, or from inside
 * rest_tick; an engine only notes them and wakes its wire.
 */
#ifndef GATEHOUSE_HTTPS_REST_H
#define GATEHOUSE_HTTPS_REST_H

#include <gatehouse/service.h>

struct rest_field {
	gh_bytes name; /* any case */
	gh_bytes value;
};

struct rest_request {
	gh_bytes method;
	gh_bytes target; /* path and query, as sent */
	const struct rest_field *fields;
	size_t field_count;
};

enum rest_step { REST_BODY, REST_UPGRADE, REST_WAIT, REST_BLOCKED, REST_ANSWERED };

enum { REST_ANSWER_FIELDS_MAX = 8 };

/* Names are lower-case.  Date and what belongs to a connection or to framing (content-length too) is the engine's. */
struct rest_answer {
	uint16_t status; /* HTTP's */
	struct rest_field fields[REST_ANSWER_FIELDS_MAX];
	size_t field_count;
	gh_bytes body;
};

struct rest_link;
struct rest_send;
struct rest_batch;
struct rest_text;
struct rest_exchange;

/* What the engine does for its exchanges. */
struct rest_ops {
	/* An exchange that said REST_WAIT is answered. */
	void (*answered)(struct rest_exchange *exchange);
	/* One that said REST_BLOCKED may run again, and after it the others that did. */
	void (*writable)(struct rest_exchange *exchange);
};

/* One connection.  Fields are rest.c's. */
struct rest_conn {
	gh_worker *worker;
	gh_wire *wire;
	const char *transport; /* "https": for the log */
	const struct rest_ops *ops;
	struct rest_link *links; /* most recently used first */
	size_t link_count;
	bool link_done; /* one of them is to be closed */
	/* Those that said REST_WAIT or REST_BLOCKED, oldest first. */
	struct rest_exchange *waiting;
	struct rest_exchange *waiting_last;
};

/* One request.  Zeroed by the engine before rest_begin; body_max is for the engine to read, the rest is rest.c's. */
struct rest_exchange {
	struct rest_conn *conn;
	uint64_t body_max; /* after REST_BODY: a longer body is answered by rest_refuse with GH_TOO_LARGE */
	uint64_t since_ms; /* when it began to wait */
	const struct rest_route *route;
	struct rest_link *link;
	struct rest_send *send;
	struct rest_batch *batch;
	size_t batch_next; /* the first message not handed over yet */
	gh_call *call;
	struct rest_text *texts;           /* what the answer borrows */
	struct rest_exchange *next, *prev; /* in conn->waiting */
	struct rest_answer answer;
	enum rest_step step;
};

void rest_conn_init(struct rest_conn *conn, gh_worker *worker, gh_wire *wire, const struct rest_ops *ops);
void rest_conn_done(struct rest_conn *conn); /* every exchange was ended */

enum rest_step rest_begin(
	struct rest_exchange *x, struct rest_conn *conn, const struct rest_request *request, uint64_t now_ms);
enum rest_step rest_run(struct rest_exchange *x, const struct rest_request *request, gh_bytes body, uint64_t now_ms);

/* The engine refuses a request itself (it is no request, too large, too slow): x needs no rest_begin, but may have had
 * one that gave REST_BODY or REST_UPGRADE.  http: 0 = as the table says, else the HTTP status.  Gives REST_ANSWERED. */
enum rest_step rest_refuse(struct rest_exchange *x, struct rest_conn *conn, uint16_t http, gh_status status,
	const char *code, const char *text);

/* Borrowed until rest_end. */
const struct rest_answer *rest_answer(const struct rest_exchange *x);
/* Forgets the exchange, wherever it stands: nobody is told any more, what was accepted is still stored. */
void rest_end(struct rest_exchange *x);

/* Exchanges that waited too long (record_ms_max) are answered with 503; returns the next moment, 0 = none. */
uint64_t rest_tick(struct rest_conn *conn, uint64_t now_ms);

#endif
