#include "transports/https/http1_engine.h"

#include "src/base/deadline.h"
#include "src/base/log.h"
#include "src/base/take.h"
#include "src/base/text.h"
#include "transports/https/http1_answer.h"
#include "transports/https/http1_request.h"
#include "transports/https/http1_upgrade.h"
#include "transports/https/http_date.h"
#include "transports/https/rest.h"

#include <assert.h>

enum http1_phase {
	PHASE_HEAD,  /* between requests, or a head is on its way */
	PHASE_BODY,  /* gathering it, or passing over that of a refused request */
	PHASE_SERVE, /* the request is whole; its answer, or room for it, is awaited */
	PHASE_ENDED,
};

enum {
	HTTP1_SHRINK_MS = 1000,
	HTTP1_OUT_BYTES = 32768,          /* offered to the wire at once: two records */
	HTTP1_OUT_KEPT_BYTES_MAX = 65536, /* what was needed once for more is not kept */
};

struct http1_engine {
	gh_engine engine;
	gh_worker *worker;
	gh_wire *wire;
	struct rest_conn rest;
	struct http1_request *request; /* NULL = none since a while */
	struct buf out;
	size_t out_at; /* bytes of out that left */
	const char *why;
	uint64_t now_ms;
	uint64_t since_ms; /* when the present phase, or the head that is on its way, began */
	struct http_date_clock clock;
	uint8_t phase;
	bool started;    /* the first request has come */
	bool draining;   /* after the present request it ends */
	bool input_over; /* the peer sends nothing more */
	bool held;       /* input was not taken whole */
	bool room;       /* there may be room again */
	bool upgraded;   /* the stream is another's from behind the present head on */
};

static struct http1_engine *http1_of(gh_engine *engine)
{
	return GH_CONTAINER(engine, struct http1_engine, engine);
}

static const gh_limits *http1_limits(const struct http1_engine *e)
{
	return gh_worker_limits(e->worker);
}

static void http1_wake(struct http1_engine *e)
{
	e->wire->ops->wake(e->wire);
}

/* ---- the end ---- */

static void http1_leave(struct http1_engine *e, const char *why)
{
	e->why = why;
	http1_request_free(GH_TAKE(e->request), e->worker);
	e->phase = PHASE_ENDED;
	http1_wake(e);
}

static void http1_end(struct http1_engine *e, const char *why)
{
	if (e->phase == PHASE_ENDED)
		return;
	log_event(gh_worker_log(e->worker), LOG_INFO, "closed", "transport=https peer=%s reason=%s",
		e->wire->ops->peer(e->wire).address, why);
	http1_leave(e, why);
}

/* ---- answering ---- */

static void http1_next_request(struct http1_engine *e)
{
	http1_request_clear(e->request, e->worker);
	e->phase = PHASE_HEAD;
	e->since_ms = e->now_ms;
	if (e->draining || e->input_over)
		http1_end(e, e->draining ? "drained" : "peer_closed");
}

static void http1_write(struct http1_engine *e)
{
	struct http1_request *r = e->request;
	struct http1_manner manner = {
		.date = http_date_now(&e->clock, gh_worker_wall_ms(e->worker)),
		.keep_alive = r->keep_alive && !e->draining && !e->input_over,
		.old = r->head.minor == 0,
		.head_only = r->head_only,
	};
	r->keep_alive = manner.keep_alive;
	http1_answer_put(&e->out, rest_answer(&r->exchange), &manner);
	r->answered = true;
	if (e->out.failed)
		http1_end(e, "no_memory");
}

/* The answer of a request that was read to its end. */
static void http1_answer(struct http1_engine *e)
{
	http1_write(e);
	if (e->phase == PHASE_ENDED)
		return;
	if (e->request->keep_alive)
		http1_next_request(e);
	else
		http1_end(e, e->draining ? "drained" : "close_asked");
}

/* What was sent is no request: say so, and end, because nobody knows where the next one would begin. */
static void http1_refuse(struct http1_engine *e, uint16_t http, gh_status status, const char *code, const char *text)
{
	struct http1_request *r = e->request;
	r->keep_alive = false;
	rest_refuse(&r->exchange, &e->rest, http, status, code, text);
	http1_write(e);
	http1_end(e, code);
}

/* The request is refused, but it is one: if little of its body is left, the connection can go on behind it. */
static void http1_refuse_early(struct http1_engine *e)
{
	struct http1_request *r = e->request;
	uint64_t max = http1_limits(e)->http_service_body_bytes_max;
	if (r->head.expect_continue || (r->head.has_length && r->head.content_length > max))
		r->keep_alive = false;
	http1_request_release_body(r, e->worker);
	http1_write(e);
	if (e->phase != PHASE_ENDED && !r->keep_alive)
		http1_end(e, "refused");
}

/* ---- serving ---- */

/* Keeps bytes of the body beyond the input they came in.  False: the request is refused. */
static bool http1_keep(struct http1_engine *e, gh_bytes piece)
{
	struct http1_request *r = e->request;
	bool kept = http1_request_keep(r, e->worker, piece);
	if (!kept)
		rest_refuse(&r->exchange, &e->rest, 0, GH_UNAVAILABLE, "receiving_full", "Too much is being received.");
	return kept;
}

/* A whole request waits for room. */
static void http1_park(struct http1_engine *e, gh_bytes body)
{
	struct http1_request *r = e->request;
	if (!http1_request_own(r))
		http1_end(e, "no_memory");
	else if (body.data != r->body_bytes.data && !http1_keep(e, body))
		http1_answer(e);
}

/* The request is whole. */
static void http1_serve(struct http1_engine *e, gh_bytes body)
{
	struct http1_request *r = e->request;
	e->phase = PHASE_SERVE;
	e->since_ms = e->now_ms;
	e->room = false;
	switch (rest_run(&r->exchange, &r->request, body, e->now_ms)) {
	case REST_ANSWERED:
		http1_answer(e);
		break;
	case REST_BLOCKED:
		http1_park(e, body);
		break;
	case REST_WAIT:
		http1_request_release_body(r, e->worker);
		break;
	case REST_BODY:
	case REST_UPGRADE:
		assert(!"a whole request wants no body");
	}
}

/* What happened since: an answer, or room. */
static void http1_go_on(struct http1_engine *e)
{
	if (e->phase != PHASE_SERVE)
		return;
	struct http1_request *r = e->request;
	if (r->exchange.step == REST_ANSWERED)
		http1_answer(e);
	else if (r->exchange.step == REST_BLOCKED && e->room)
		http1_serve(e, buf_bytes(&r->body_bytes));
}

/* ---- bodies ---- */

/* Takes part of a body that comes in pieces. */
static void http1_gather(struct http1_engine *e, gh_bytes piece)
{
	struct http1_request *r = e->request;
	if (r->answered) {
		r->passed_over += piece.len;
		if (r->passed_over > http1_limits(e)->http_service_body_bytes_max)
			http1_end(e, "refused");
		return;
	}
	if (r->body_bytes.len + piece.len > r->exchange.body_max) {
		rest_refuse(&r->exchange, &e->rest, 0, GH_TOO_LARGE, "body_too_large", "The body is too large.");
		http1_refuse_early(e);
		return;
	}
	if (!http1_keep(e, piece))
		http1_refuse_early(e);
}

static void http1_body_ends(struct http1_engine *e)
{
	if (e->request->answered)
		http1_next_request(e);
	else
		http1_serve(e, buf_bytes(&e->request->body_bytes));
}

static size_t http1_take_body(struct http1_engine *e, gh_bytes bytes)
{
	struct http1_request *r = e->request;
	size_t taken;
	gh_bytes piece;
	gh_error err = {0};
	bool whole_here =
		r->head.has_length && !r->answered && r->body_bytes.len == 0 && bytes.len >= r->head.content_length;
	if (whole_here) {
		size_t len = (size_t)r->head.content_length;
		http1_serve(e, (gh_bytes){bytes.data, len});
		return len;
	}
	if (!http1_request_own(r)) {
		http1_end(e, "no_memory");
		return 0;
	}
	gh_status status = http1_body_next(&r->body, bytes, http1_limits(e), &taken, &piece, &err);
	if (status != GH_OK && status != GH_AGAIN) {
		if (r->answered)
			http1_end(e, err.code);
		else
			http1_refuse(e, status == GH_TOO_LARGE ? 431 : 400, status, err.code, err.text);
		return 0;
	}
	if (piece.len)
		http1_gather(e, piece);
	if (status == GH_OK && e->phase == PHASE_BODY)
		http1_body_ends(e);
	return taken;
}

/* ---- heads ---- */

/* The stream becomes a WebSocket, or the request is refused. */
static enum rest_step http1_upgrade(struct http1_engine *e)
{
	struct http1_request *r = e->request;
	struct http1_upgrade upgrade;
	gh_bytes subprotocol;
	gh_error err = {0};
	gh_status status = http1_upgrade_read(&r->head, &r->request, &upgrade, &err);
	if (status == GH_OK && e->draining)
		status = gh_fail(&err, GH_UNAVAILABLE, "websocket_drained", "The gateway is stopping. Try again.");
	if (status == GH_OK)
		status = http1_upgrade_offer(&upgrade, e->wire, e->now_ms, &subprotocol, &err);
	if (status != GH_OK)
		return rest_refuse(&r->exchange, &e->rest, 0, err.status, err.code, err.text);
	e->upgraded = true;
	log_event(gh_worker_log(e->worker), LOG_INFO, "upgraded", "transport=https peer=%s protocol=%s",
		e->wire->ops->peer(e->wire).address, LOG_TEXT(subprotocol));
	http1_leave(e, "upgraded");
	return REST_UPGRADE;
}

/* The head is there: who asks for what, and may they? */
static void http1_begin(struct http1_engine *e, const uint8_t *base)
{
	struct http1_request *r = e->request;
	if (!http1_request_read(r, base)) {
		http1_end(e, "no_memory");
		return;
	}
	e->phase = PHASE_BODY;
	e->since_ms = e->now_ms;
	r->keep_alive = r->head.keep_alive;
	r->head_only = text_equal(r->request.method, text_of("HEAD"));
	http1_body_init(&r->body, &r->head);
	enum rest_step step = rest_begin(&r->exchange, &e->rest, &r->request, e->now_ms);
	if (step == REST_BODY && r->head.has_length && r->head.content_length > r->exchange.body_max)
		step = rest_refuse(&r->exchange, &e->rest, 0, GH_TOO_LARGE, "body_too_large", "The body is too large.");
	if (step == REST_UPGRADE)
		step = http1_upgrade(e);
	if (step == REST_ANSWERED)
		http1_refuse_early(e);
	else if (step == REST_BODY && r->head.expect_continue)
		http1_answer_put_continue(&e->out);
}

/* A body that has no byte ends where it begins. */
static bool http1_body_is_empty(const struct http1_request *r)
{
	return !r->head.chunked && r->head.content_length == 0;
}

static size_t http1_take_head(struct http1_engine *e, gh_bytes bytes)
{
	if (!e->request && !(e->request = http1_request_new())) {
		http1_end(e, "no_memory");
		return 0;
	}
	struct http1_request *r = e->request;
	size_t before = r->head_bytes.len;
	if (before > 0)
		buf_append(&r->head_bytes, bytes.data, bytes.len);
	else if (e->started) /* the first has its time since the handshake */
		e->since_ms = e->now_ms;
	gh_bytes all = before ? buf_bytes(&r->head_bytes) : bytes;
	uint16_t http;
	gh_error err = {0};
	gh_status status =
		r->head_bytes.failed ? GH_NO_MEMORY : http1_head_next(&r->head, all, http1_limits(e), &http, &err);
	e->started = true;
	if (status == GH_AGAIN) {
		if (before == 0)
			buf_append(&r->head_bytes, bytes.data, bytes.len);
		if (r->head_bytes.failed)
			http1_end(e, "no_memory");
		return bytes.len;
	}
	if (status == GH_NO_MEMORY)
		http1_end(e, "no_memory");
	else if (status != GH_OK)
		http1_refuse(e, http, status, err.code, err.text);
	if (status != GH_OK)
		return 0;
	size_t taken = r->head.len - before;
	r->head_bytes.len = before ? r->head.len : 0;
	http1_begin(e, all.data);
	if (e->phase == PHASE_BODY && http1_body_is_empty(r))
		http1_body_ends(e);
	return taken;
}

/* ---- engine ---- */

static size_t http1_waiting(const struct http1_engine *e)
{
	return e->out.len - e->out_at;
}

static bool http1_is_full(const struct http1_engine *e)
{
	return http1_waiting(e) >= http1_limits(e)->http_output_bytes_max;
}

static bool http1_may_read(const struct http1_engine *e)
{
	return (e->phase == PHASE_HEAD || e->phase == PHASE_BODY) && !http1_is_full(e);
}

static size_t http1_input(gh_engine *engine, const uint8_t *data, size_t len, uint64_t now_ms)
{
	struct http1_engine *e = http1_of(engine);
	size_t taken = 0, owed = e->out.len;
	e->now_ms = now_ms;
	http1_go_on(e);
	while (taken < len && http1_may_read(e)) {
		gh_bytes rest = {data + taken, len - taken};
		taken += e->phase == PHASE_HEAD ? http1_take_head(e, rest) : http1_take_body(e, rest);
	}
	/* What is gathered no longer points into data; a head alone in here does. */
	if (e->phase == PHASE_BODY && !http1_request_own(e->request))
		http1_end(e, "no_memory");
	if (e->phase == PHASE_ENDED)
		return e->upgraded ? taken : len;
	e->held = taken < len;
	if (e->out.len > owed)
		http1_wake(e);
	return taken;
}

static void http1_input_end(gh_engine *engine, uint64_t now_ms)
{
	struct http1_engine *e = http1_of(engine);
	e->now_ms = now_ms;
	e->input_over = true;
	http1_go_on(e);
	if (e->phase != PHASE_SERVE)
		http1_end(e, "peer_closed");
}

/* In parts: what is offered and does not leave counts as the backlog of a slow reader, and a long answer is none. */
static gh_bytes http1_output(gh_engine *engine)
{
	struct http1_engine *e = http1_of(engine);
	size_t len = http1_waiting(e);
	if (len == 0)
		return (gh_bytes){NULL, 0};
	return (gh_bytes){e->out.data + e->out_at, len < HTTP1_OUT_BYTES ? len : HTTP1_OUT_BYTES};
}

static void http1_output_done(gh_engine *engine, size_t len)
{
	struct http1_engine *e = http1_of(engine);
	bool was_full = http1_is_full(e);
	assert(len <= http1_waiting(e));
	e->out_at += len;
	if (e->out_at > e->out.len / 2) {
		buf_drop(&e->out, e->out_at);
		e->out_at = 0;
	}
	if (e->out.len == 0 && e->out.cap > HTTP1_OUT_KEPT_BYTES_MAX)
		buf_done(&e->out);
	if (was_full && e->held)
		http1_wake(e);
}

/* How long the present phase may last; UINT64_MAX = that is somebody else's question. */
static uint64_t http1_patience(const struct http1_engine *e)
{
	const gh_limits *limits = http1_limits(e);
	bool head_begun = e->request && e->request->head_bytes.len > 0;
	if (e->phase == PHASE_SERVE || e->held)
		return UINT64_MAX;
	if (e->phase == PHASE_BODY)
		return limits->http_body_ms_max;
	return head_begun || !e->started ? limits->http_head_ms_max : limits->http_idle_ms_max;
}

static void http1_late(struct http1_engine *e)
{
	bool body = e->phase == PHASE_BODY, head = !body && e->request && e->request->head_bytes.len > 0;
	const char *why = body ? "body_late" : head || !e->started ? "head_late" : "idle";
	if ((body && !e->request->answered) || head)
		http1_refuse(e, 408, GH_UNKNOWN, why, "The request did not come in time.");
	else
		http1_end(e, why);
}

/* What a connection that fell silent does not need. */
static uint64_t http1_shrink(struct http1_engine *e)
{
	bool idle = e->phase == PHASE_HEAD && e->request && e->request->head_bytes.len == 0 && !e->held;
	if (!idle)
		return 0;
	if (e->now_ms < e->since_ms + HTTP1_SHRINK_MS)
		return e->since_ms + HTTP1_SHRINK_MS;
	http1_request_free(GH_TAKE(e->request), e->worker);
	if (e->out.len == 0)
		buf_done(&e->out);
	return 0;
}

static uint64_t http1_tick(gh_engine *engine, uint64_t now_ms)
{
	struct http1_engine *e = http1_of(engine);
	size_t owed = e->out.len;
	e->now_ms = now_ms;
	uint64_t due = rest_tick(&e->rest, now_ms);
	http1_go_on(e);
	uint64_t patience = http1_patience(e);
	if (e->phase != PHASE_ENDED && patience != UINT64_MAX && now_ms >= e->since_ms + patience)
		http1_late(e);
	if (e->out.len > owed)
		http1_wake(e);
	if (e->phase == PHASE_ENDED)
		return 0;
	if (e->phase != PHASE_SERVE)
		due = patience == UINT64_MAX ? 0 : e->since_ms + patience;
	return deadline_sooner(due, http1_shrink(e));
}

static bool http1_finished(const gh_engine *engine)
{
	return ((const struct http1_engine *)engine)->phase == PHASE_ENDED;
}

static void http1_drain(gh_engine *engine, uint64_t now_ms)
{
	struct http1_engine *e = http1_of(engine);
	e->now_ms = now_ms;
	e->draining = true;
	http1_go_on(e);
	if (e->phase == PHASE_HEAD && !(e->request && e->request->head_bytes.len > 0))
		http1_end(e, "drained");
}

static void http1_free(gh_engine *engine)
{
	if (!engine)
		return;
	struct http1_engine *e = http1_of(engine);
	http1_end(e, "cut");
	rest_conn_done(&e->rest);
	buf_done(&e->out);
	free(e);
}

static const gh_engine_ops http1_engine_ops = {
	.input = http1_input,
	.input_end = http1_input_end,
	.output = http1_output,
	.output_done = http1_output_done,
	.tick = http1_tick,
	.finished = http1_finished,
	.drain = http1_drain,
	.free = http1_free,
};

/* ---- what rest.c tells: the next engine call acts on it ---- */

static struct http1_engine *http1_of_exchange(struct rest_exchange *exchange)
{
	return GH_CONTAINER(exchange->conn, struct http1_engine, rest);
}

static void http1_answered(struct rest_exchange *exchange)
{
	http1_wake(http1_of_exchange(exchange));
}

static void http1_writable(struct rest_exchange *exchange)
{
	struct http1_engine *e = http1_of_exchange(exchange);
	e->room = true;
	http1_wake(e);
}

static const struct rest_ops http1_rest_ops = {.answered = http1_answered, .writable = http1_writable};

static gh_engine *http1_engine_new(gh_worker *worker, gh_wire *wire, uint64_t now_ms)
{
	struct http1_engine *e = calloc(1, sizeof *e);
	if (!e)
		return NULL;
	*e = (struct http1_engine){
		.engine.ops = &http1_engine_ops, .worker = worker, .wire = wire, .now_ms = now_ms, .since_ms = now_ms};
	rest_conn_init(&e->rest, worker, wire, &http1_rest_ops);
	return &e->engine;
}

const char *http1_why(const gh_engine *engine)
{
	return ((const struct http1_engine *)engine)->why;
}

const gh_transport http1_transport = {
	.name = "https",
	.port_default = 443,
	.alpn = (const char *const[]){"http/1.1", NULL},
	.engine_new = http1_engine_new,
};
