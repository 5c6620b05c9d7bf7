#include "transports/https/h2_conn.h"

#include <assert.h>

const struct h2_refusal h2_conn_body_too_large = {0, GH_TOO_LARGE, "body_too_large", "The body is too large."};

static const struct h2_refusal refusal_receiving = {0, GH_UNAVAILABLE, "receiving_full", "Too much is being received."};

/* By the line in which a stream waited too long; in others it is reset. */
static const struct h2_refusal refusal_late[H2_LINE_COUNT] = {
	[H2_LINE_BODY] = {408, GH_UNKNOWN, "body_late", "The request did not come in time."},
	[H2_LINE_BLOCKED] = {0, GH_UNAVAILABLE, "no_room", "There is no room for the request now."},
};

/* ---- the end ---- */

void h2_conn_fail(struct h2_conn *c, const char *why, uint32_t code)
{
	if (c->why)
		return;
	c->why = why;
	c->code = code;
}

void h2_conn_fail_memory(struct h2_conn *c)
{
	h2_conn_fail(c, "no_memory", NGHTTP2_INTERNAL_ERROR);
}

void h2_conn_fail_flood(struct h2_conn *c, const char *why)
{
	if (why)
		h2_conn_fail(c, why, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* ---- lines ---- */

/* What waited for room and leaves makes place for the next, which nobody else may tell. */
static void conn_leaves(struct h2_conn *c, const struct h2_stream *s)
{
	if (s->line == H2_LINE_BLOCKED)
		c->room = true;
}

void h2_conn_join(struct h2_conn *c, struct h2_stream *s, enum h2_line_id line)
{
	conn_leaves(c, s);
	h2_stream_join(&c->streams, s, line, c->now_ms);
}

void h2_conn_free(struct h2_conn *c, struct h2_stream *s)
{
	conn_leaves(c, s);
	if (s == c->receiving)
		c->receiving = NULL;
	h2_stream_free(&c->streams, s, c->worker);
	if (c->streams.count == 0)
		c->quiet_ms = c->now_ms;
}

void h2_conn_excuse(struct h2_conn *c)
{
	static const enum h2_line_id lines[] = {H2_LINE_HEAD, H2_LINE_BODY};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		for (struct h2_stream *s = h2_conn_first(c, lines[i]); s; s = s->next)
			s->since_ms = c->now_ms;
	c->quiet_ms = c->now_ms;
}

/* ---- answering ---- */

static ssize_t conn_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
	nghttp2_data_source *source, void *context)
{
	struct h2_stream *s = source->ptr;
	(void)session, (void)id;
	h2_conn_join(context, s, H2_LINE_ANSWER);
	return (ssize_t)h2_answer_read(s, buf, len, flags);
}

void h2_conn_answer(struct h2_conn *c, struct h2_stream *s)
{
	h2_stream_release(s, c->worker);
	h2_conn_join(c, s, H2_LINE_ANSWER);
	if (h2_answer_submit(c->session, s, &c->clock, gh_worker_wall_ms(c->worker), conn_read) != 0)
		h2_conn_fail_memory(c);
}

void h2_conn_refuse(struct h2_conn *c, struct h2_stream *s, const struct h2_refusal *refusal)
{
	rest_refuse(&s->exchange, &c->rest, refusal->http, refusal->status, refusal->code, refusal->text);
	h2_conn_answer(c, s);
}

void h2_conn_reset(struct h2_conn *c, struct h2_stream *s)
{
	h2_conn_join(c, s, H2_LINE_RESET);
	if (nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL) != 0)
		h2_conn_fail_memory(c);
}

void h2_conn_late(struct h2_conn *c, struct h2_stream *s)
{
	const struct h2_refusal *refusal = &refusal_late[s->line];
	if (refusal->code)
		h2_conn_refuse(c, s, refusal);
	else
		h2_conn_reset(c, s);
}

/* ---- requests that are whole ---- */

/* To the end of those who wait for room.  The body outlives the frame it came in. */
static void conn_park(struct h2_conn *c, struct h2_stream *s)
{
	bool keeps = c->here.len == 0 || h2_stream_keep(s, c->worker, c->here);
	c->here = (gh_bytes){NULL, 0};
	if (keeps)
		h2_conn_join(c, s, H2_LINE_BLOCKED);
	else
		h2_conn_refuse(c, s, &refusal_receiving);
}

/* False: there is no room. */
static bool conn_run(struct h2_conn *c, struct h2_stream *s)
{
	gh_bytes body = c->here.len ? c->here : buf_bytes(&s->body);
	enum rest_step step = rest_run(&s->exchange, &s->request.rest, body, c->now_ms);
	assert(step != REST_BODY);
	if (step == REST_WAIT) {
		h2_stream_release(s, c->worker);
		h2_conn_join(c, s, H2_LINE_WAIT);
	} else if (step == REST_ANSWERED) {
		h2_conn_answer(c, s);
	}
	return step != REST_BLOCKED;
}

void h2_conn_serve(struct h2_conn *c, struct h2_stream *s)
{
	if (h2_conn_first(c, H2_LINE_BLOCKED) || !conn_run(c, s))
		conn_park(c, s);
}

static void conn_give_back(struct h2_conn *c)
{
	for (size_t i = 0; i < H2_LINE_COUNT; i++)
		for (struct h2_stream *s = h2_conn_first(c, (enum h2_line_id)i); s; s = s->next)
			if (s->owed > 0) {
				nghttp2_session_consume_stream(c->session, s->id, s->owed);
				s->owed = 0;
			}
	nghttp2_session_consume_connection(c->session, c->owed);
	c->owed = 0;
}

static void conn_unblock(struct h2_conn *c)
{
	struct h2_stream *s;
	while ((s = h2_conn_first(c, H2_LINE_BLOCKED)) && conn_run(c, s))
		;
	c->room = false;
	if (s)
		return;
	conn_give_back(c);
	h2_conn_excuse(c);
}

void h2_conn_go_on(struct h2_conn *c)
{
	struct h2_stream *s;
	if (c->room)
		conn_unblock(c);
	while ((s = h2_conn_first(c, H2_LINE_READY)))
		h2_conn_answer(c, s);
}

/* ---- bodies ---- */

void h2_conn_body(struct h2_conn *c, struct h2_stream *s, gh_bytes piece, bool all)
{
	if (s->body.len + piece.len > s->exchange.body_max)
		h2_conn_refuse(c, s, &h2_conn_body_too_large);
	else if (s->body.len == 0 && all)
		c->here = piece;
	else if (!h2_stream_keep(s, c->worker, piece))
		h2_conn_refuse(c, s, &refusal_receiving);
}

/* Nobody needs the window of a stream after its last byte. */
void h2_conn_consume(struct h2_conn *c, struct h2_stream *s, size_t len, bool last)
{
	if (h2_conn_first(c, H2_LINE_BLOCKED)) {
		c->owed += len;
		s->owed += last ? 0 : (uint32_t)len;
		return;
	}
	nghttp2_session_consume_connection(c->session, len);
	if (!last)
		nghttp2_session_consume_stream(c->session, s->id, len);
}
