#include "transports/https/h2_engine.h"

#include "src/base/deadline.h"
#include "src/base/log.h"
#include "src/base/take.h"
#include "transports/https/h2_conn.h"
#include "transports/https/h2_receive.h"

#include <assert.h>

enum {
	H2_OUT_BYTES = 32768,          /* gathered for one look of the wire: two records, many answers */
	H2_OUT_KEPT_BYTES_MAX = 65536, /* what was needed once for more is not kept */
	H2_FEED_BYTES = 16384,         /* read before what it caused is written */
	H2_SHRINK_MS = 1000,
};

struct h2_engine {
	gh_engine engine;
	struct h2_conn conn;
	struct buf out;
	size_t out_at;   /* bytes of out that left */
	bool draining;   /* no new stream is opened */
	bool input_over; /* the peer sends nothing more */
	bool held;       /* input was not taken whole: what is late is late because of us */
};

static struct h2_engine *h2_of(gh_engine *engine)
{
	return GH_CONTAINER(engine, struct h2_engine, engine);
}

static void h2_wake(struct h2_conn *c)
{
	c->wire->ops->wake(c->wire);
}

/* ---- saying, and the end ---- */

static size_t h2_waiting(const struct h2_engine *h2)
{
	return h2->out.len - h2->out_at;
}

/* Moves what nghttp2 has to say into out, until that many bytes wait there. */
static void h2_pump(struct h2_engine *h2, size_t until)
{
	const uint8_t *data;
	ssize_t n = 0;
	if (h2->out_at > h2->out.len / 2) {
		buf_drop(&h2->out, h2->out_at);
		h2->out_at = 0;
	}
	while (h2_waiting(h2) < until && (n = nghttp2_session_mem_send(h2->conn.session, &data)) > 0)
		buf_append(&h2->out, data, (size_t)n);
	if (n < 0 || h2->out.failed)
		h2_conn_fail_memory(&h2->conn);
}

/* Gives everything back.  What was accepted is still stored; nobody is told any more. */
static void h2_drop(struct h2_conn *c, const char *why)
{
	c->why = why;
	log_event(gh_worker_log(c->worker), LOG_INFO, "closed", "transport=https peer=%s reason=%s",
		c->wire->ops->peer(c->wire).address, why);
	for (size_t i = 0; i < H2_LINE_COUNT; i++)
		while (h2_conn_first(c, (enum h2_line_id)i))
			h2_conn_free(c, h2_conn_first(c, (enum h2_line_id)i));
	nghttp2_session_del(GH_TAKE(c->session));
	rest_conn_done(&c->rest);
}

/* Says why in a GOAWAY, the last word. */
static void h2_close(struct h2_engine *h2)
{
	nghttp2_session_terminate_session(h2->conn.session, h2->conn.code);
	h2_pump(h2, SIZE_MAX);
	h2_drop(&h2->conn, h2->conn.why);
	h2_wake(&h2->conn);
}

/* Whether there is nothing left to say or to hear. */
static bool h2_is_over(const struct h2_engine *h2)
{
	nghttp2_session *session = h2->conn.session;
	if (nghttp2_session_want_write(session))
		return false;
	return !nghttp2_session_want_read(session) || (h2->input_over && h2->conn.streams.count == 0);
}

/* The end of every engine call: what can be done is done, and said. */
static void h2_turn(struct h2_engine *h2)
{
	struct h2_conn *c = &h2->conn;
	if (!c->session)
		return;
	h2_conn_go_on(c);
	h2_pump(h2, H2_OUT_BYTES);
	if (c->why) {
		h2_close(h2);
	} else if (h2_is_over(h2)) {
		h2_drop(c, c->parting);
		h2_wake(c);
	}
}

/* ---- input ---- */

static void h2_feed(struct h2_conn *c, gh_bytes bytes)
{
	static const struct {
		int error;
		const char *why;
		uint32_t code;
	} table[] = {
		{NGHTTP2_ERR_BAD_CLIENT_MAGIC, "preface", NGHTTP2_PROTOCOL_ERROR},
		{NGHTTP2_ERR_FLOODED, "odd_frames", NGHTTP2_ENHANCE_YOUR_CALM},
		{NGHTTP2_ERR_NOMEM, "no_memory", NGHTTP2_INTERNAL_ERROR},
	};
	ssize_t n = nghttp2_session_mem_recv(c->session, bytes.data, bytes.len);
	c->here = (gh_bytes){NULL, 0};
	assert(n < 0 || (size_t)n == bytes.len);
	for (size_t i = 0; n < 0 && i < sizeof table / sizeof *table; i++)
		if (n == table[i].error)
			h2_conn_fail(c, table[i].why, table[i].code);
	if (n < 0)
		h2_conn_fail(c, "internal_error", NGHTTP2_INTERNAL_ERROR);
}

/* Whether HEADERS are for a stream that is there, or that may be. */
static bool h2_serves(const struct h2_engine *h2)
{
	const struct h2_conn *c = &h2->conn;
	const struct h2_frame *frame = &c->meter.frame;
	if (frame->type != NGHTTP2_HEADERS)
		return true;
	return h2_receive_stream(c, frame->stream_id) ||
	       (!h2->draining && h2_meter_is_new(&c->meter, frame->stream_id));
}

/* Takes no more than what is left of one frame, or of its head. */
static size_t h2_take(struct h2_engine *h2, gh_bytes bytes)
{
	struct h2_conn *c = &h2->conn;
	enum h2_piece piece;
	size_t n = h2_meter_cut(&c->meter, bytes, &piece);
	if (piece == H2_PIECE_HEAD)
		h2_conn_fail_flood(c, h2_meter_frame(&c->meter, h2_conn_limits(c), h2_serves(h2), c->now_ms));
	if (c->why)
		return n;
	if (piece == H2_PIECE_HEAD)
		h2_feed(c, (gh_bytes){c->meter.head, H2_FRAME_HEAD_BYTES});
	else if (piece == H2_PIECE_PAYLOAD)
		h2_feed(c, (gh_bytes){bytes.data, n});
	return n;
}

/* Answers that nobody fetches are gathered up to the limit; then nothing is read that could cause more. */
static bool h2_may_read(struct h2_engine *h2)
{
	uint64_t max = h2_conn_limits(&h2->conn)->http_output_bytes_max;
	if (!h2->conn.session)
		return false;
	h2_pump(h2, max);
	return h2_waiting(h2) < max;
}

static size_t h2_input(gh_engine *engine, const uint8_t *data, size_t len, uint64_t now_ms)
{
	struct h2_engine *h2 = h2_of(engine);
	struct h2_conn *c = &h2->conn;
	size_t taken = 0;
	c->now_ms = now_ms;
	if (h2->held)
		h2_conn_excuse(c);
	h2->held = false;
	h2_turn(h2);
	size_t waited = h2_waiting(h2);
	while (taken < len && h2_may_read(h2)) {
		size_t until = len - taken < H2_FEED_BYTES ? len : taken + H2_FEED_BYTES;
		while (taken < until && !c->why)
			taken += h2_take(h2, (gh_bytes){data + taken, until - taken});
		h2_turn(h2);
	}
	if (!c->session)
		return len;
	h2->held = taken < len;
	if (h2_waiting(h2) > waited)
		h2_wake(c);
	return taken;
}

static void h2_input_end(gh_engine *engine, uint64_t now_ms)
{
	struct h2_engine *h2 = h2_of(engine);
	struct h2_conn *c = &h2->conn;
	struct h2_stream *s;
	if (!c->session)
		return;
	c->now_ms = now_ms;
	h2->input_over = true;
	c->parting = "peer_closed";
	while ((s = h2_conn_first(c, H2_LINE_HEAD)) || (s = h2_conn_first(c, H2_LINE_BODY)))
		h2_conn_reset(c, s);
	h2_turn(h2);
}

/* ---- output ---- */

static gh_bytes h2_output(gh_engine *engine)
{
	struct h2_engine *h2 = h2_of(engine);
	h2_turn(h2);
	gh_bytes waiting = buf_bytes(&h2->out);
	if (h2->out_at > 0)
		waiting = (gh_bytes){waiting.data + h2->out_at, waiting.len - h2->out_at};
	return waiting;
}

static void h2_output_done(gh_engine *engine, size_t len)
{
	struct h2_engine *h2 = h2_of(engine);
	bool was_full = h2_waiting(h2) >= h2_conn_limits(&h2->conn)->http_output_bytes_max;
	assert(len <= h2_waiting(h2));
	h2->out_at += len;
	if (h2->out_at == h2->out.len) {
		h2->out_at = 0;
		if (h2->out.cap > H2_OUT_KEPT_BYTES_MAX)
			buf_done(&h2->out);
		buf_clear(&h2->out);
	}
	if (was_full && h2->held)
		h2_wake(&h2->conn);
}

/* ---- time ---- */

/* What a stream may spend in a line; 0 = that is not the client's matter. */
static uint64_t h2_patience(const struct h2_engine *h2, enum h2_line_id line)
{
	const gh_limits *limits = h2_conn_limits(&h2->conn);
	bool ours = h2->held || h2_conn_first(&h2->conn, H2_LINE_BLOCKED);
	switch (line) {
	case H2_LINE_HEAD:
		return ours ? 0 : limits->http_head_ms_max;
	case H2_LINE_BODY:
		return ours ? 0 : limits->http_body_ms_max;
	case H2_LINE_BLOCKED:
		return limits->record_ms_max;
	case H2_LINE_ANSWER:
		return limits->write_stall_ms_max;
	default:
		return 0;
	}
}

static void h2_end_late_streams(struct h2_engine *h2)
{
	struct h2_conn *c = &h2->conn;
	for (size_t i = 0; i < H2_LINE_COUNT; i++) {
		enum h2_line_id line = (enum h2_line_id)i;
		uint64_t patience = h2_patience(h2, line);
		struct h2_stream *s;
		while (patience && (s = h2_conn_first(c, line)) && c->now_ms >= s->since_ms + patience)
			h2_conn_late(c, s);
	}
}

static uint64_t h2_streams_due(const struct h2_engine *h2)
{
	uint64_t due = 0;
	for (size_t i = 0; i < H2_LINE_COUNT; i++) {
		uint64_t patience = h2_patience(h2, (enum h2_line_id)i);
		const struct h2_stream *s = h2_conn_first(&h2->conn, (enum h2_line_id)i);
		if (patience && s)
			due = deadline_sooner(due, s->since_ms + patience);
	}
	return due;
}

/* When a connection that has no request, or had none yet, has to end; 0 = it has one. */
static uint64_t h2_quiet_due(const struct h2_engine *h2)
{
	const struct h2_conn *c = &h2->conn;
	const gh_limits *limits = h2_conn_limits(c);
	if (h2->held || (c->started && c->streams.count > 0))
		return 0;
	return c->quiet_ms + (c->started ? limits->http_idle_ms_max : limits->http_head_ms_max);
}

/* Gives back what only a busy connection needs; when to come again for that, 0 = no need. */
static uint64_t h2_shrink(struct h2_engine *h2)
{
	const struct h2_conn *c = &h2->conn;
	if (c->streams.count > 0 || h2->out.cap == 0 || h2_waiting(h2) > 0)
		return 0;
	if (c->now_ms < c->quiet_ms + H2_SHRINK_MS)
		return c->quiet_ms + H2_SHRINK_MS;
	buf_done(&h2->out);
	return 0;
}

static void h2_end_quiet(struct h2_engine *h2)
{
	struct h2_conn *c = &h2->conn;
	uint64_t due = h2_quiet_due(h2);
	if (due == 0 || c->now_ms < due)
		return;
	h2_conn_fail(c, c->started ? "idle" : "head_late", NGHTTP2_NO_ERROR);
	h2_turn(h2);
}

/* Deadlines are looked at when the wire comes by anyway, or when the first of them is due. */
static uint64_t h2_tick(gh_engine *engine, uint64_t now_ms)
{
	struct h2_engine *h2 = h2_of(engine);
	struct h2_conn *c = &h2->conn;
	c->now_ms = now_ms;
	if (!c->session)
		return 0;
	uint64_t due = rest_tick(&c->rest, now_ms);
	h2_conn_go_on(c);
	h2_end_late_streams(h2);
	h2_turn(h2);
	if (c->session)
		h2_end_quiet(h2);
	if (!c->session)
		return 0;
	due = deadline_sooner(due, deadline_sooner(h2_streams_due(h2), h2_quiet_due(h2)));
	return deadline_sooner(due, h2_shrink(h2));
}

/* ---- the rest of an engine ---- */

static bool h2_finished(const gh_engine *engine)
{
	return !((const struct h2_engine *)engine)->conn.session;
}

/* Later requests are passed over; GOAWAY says which was the last. */
static void h2_drain(gh_engine *engine, uint64_t now_ms)
{
	struct h2_engine *h2 = h2_of(engine);
	struct h2_conn *c = &h2->conn;
	if (!c->session || h2->draining)
		return;
	c->now_ms = now_ms;
	h2->draining = true;
	c->parting = "drained";
	int32_t last = nghttp2_session_get_last_proc_stream_id(c->session);
	if (nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0) != 0)
		h2_conn_fail_memory(c);
	h2_turn(h2);
}

static void h2_free(gh_engine *engine)
{
	if (!engine)
		return;
	struct h2_engine *h2 = h2_of(engine);
	if (h2->conn.session)
		h2_drop(&h2->conn, h2->conn.parting ? h2->conn.parting : "freed");
	buf_done(&h2->out);
	free(h2);
}

static const gh_engine_ops h2_engine_ops = {
	.input = h2_input,
	.input_end = h2_input_end,
	.output = h2_output,
	.output_done = h2_output_done,
	.tick = h2_tick,
	.finished = h2_finished,
	.drain = h2_drain,
	.free = h2_free,
};

/* ---- what rest.c tells: the next engine call acts on it ---- */

static struct h2_conn *h2_of_exchange(struct rest_exchange *exchange)
{
	return GH_CONTAINER(exchange->conn, struct h2_conn, rest);
}

static void h2_answered(struct rest_exchange *exchange)
{
	struct h2_conn *c = h2_of_exchange(exchange);
	struct h2_stream *s = GH_CONTAINER(exchange, struct h2_stream, exchange);
	assert(s->line == H2_LINE_WAIT || s->line == H2_LINE_BLOCKED);
	h2_conn_join(c, s, H2_LINE_READY);
	h2_wake(c);
}

static void h2_writable(struct rest_exchange *exchange)
{
	struct h2_conn *c = h2_of_exchange(exchange);
	c->room = true;
	h2_wake(c);
}

static const struct rest_ops h2_rest_ops = {.answered = h2_answered, .writable = h2_writable};

static gh_engine *h2_engine_new(gh_worker *worker, gh_wire *wire, uint64_t now_ms)
{
	struct h2_engine *h2 = malloc(sizeof *h2);
	if (!h2)
		return NULL;
	*h2 = (struct h2_engine){
		.engine.ops = &h2_engine_ops,
		.conn = {.worker = worker, .wire = wire, .now_ms = now_ms, .quiet_ms = now_ms},
	};
	h2_meter_init(&h2->conn.meter);
	if (!h2_receive_open(&h2->conn)) {
		nghttp2_session_del(h2->conn.session);
		free(h2);
		return NULL;
	}
	rest_conn_init(&h2->conn.rest, worker, wire, &h2_rest_ops);
	return &h2->engine;
}

const char *h2_why(const gh_engine *engine)
{
	return ((const struct h2_engine *)engine)->conn.why;
}

const gh_transport h2_transport = {
	.name = "https",
	.port_default = 443,
	.alpn = (const char *const[]){"h2", NULL},
	.engine_new = h2_engine_new,
};
