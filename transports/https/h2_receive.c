#include "transports/https/h2_receive.h"

#include "src/base/take.h"

enum {
	RECEIVE_WINDOW_SLACK_BYTES = 65536, /* of a stream's window, beyond one message */
	RECEIVE_HEAD_EXCESS = 4,            /* a head of so many times the limit is no mistake */
};

/* ---- heads ---- */

static int receive_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct h2_conn *c = context;
	c->listed = 0;
	c->receiving = NULL;
	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	struct h2_stream *s = h2_stream_new(&c->streams, frame->hd.stream_id, c->now_ms);
	if (!s)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	nghttp2_session_set_stream_user_data(session, s->id, s);
	c->receiving = s;
	return 0;
}

static int receive_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
	const uint8_t *value, size_t value_len, uint8_t flags, void *context)
{
	struct h2_conn *c = context;
	const gh_limits *limits = h2_conn_limits(c);
	(void)session, (void)frame, (void)flags;
	c->listed += h2_head_listed(name_len, value_len);
	if (c->listed > limits->http_head_bytes_max * RECEIVE_HEAD_EXCESS) {
		h2_conn_fail_flood(c, "head_flood");
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	if (c->receiving && c->listed <= limits->http_head_bytes_max)
		h2_head_add(&c->receiving->head, limits, (gh_bytes){name, name_len}, (gh_bytes){value, value_len});
	return 0;
}

/* What HTTP does not allow in a field resets the stream. */
static int receive_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *context)
{
	(void)session, (void)frame, (void)name, (void)name_len, (void)value, (void)value_len, (void)flags,
		(void)context;
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static bool receive_head_is_too_large(const struct h2_conn *c)
{
	return c->listed > h2_conn_limits(c)->http_head_bytes_max;
}

static const struct h2_refusal receive_no_websocket = {
	426, GH_INVALID, "websocket_http2", "A WebSocket is opened over HTTP/1.1: offer http/1.1 in ALPN, or none."};

/* The head is whole: who asks for what, and may they? */
static void receive_request(struct h2_conn *c, struct h2_stream *s, bool whole)
{
	c->receiving = NULL;
	c->started = true;
	s->head_only = s->head.head_only;
	const struct h2_refusal *refusal =
		receive_head_is_too_large(c) ? &h2_head_too_large : h2_head_finish(&s->head, &s->request);
	if (refusal) {
		h2_conn_refuse(c, s, refusal);
		return;
	}
	h2_conn_join(c, s, H2_LINE_BODY);
	enum rest_step step = rest_begin(&s->exchange, &c->rest, &s->request.rest, c->now_ms);
	if (step == REST_ANSWERED)
		h2_conn_answer(c, s);
	else if (step == REST_UPGRADE)
		h2_conn_refuse(c, s, &receive_no_websocket);
	else if (s->request.has_length && s->request.content_length > s->exchange.body_max)
		h2_conn_refuse(c, s, &h2_conn_body_too_large);
	else if (whole)
		h2_conn_serve(c, s);
	else if (s->request.expect_continue && h2_answer_continue(c->session, s) != 0)
		h2_conn_fail_memory(c);
}

/* ---- what follows a head ---- */

/* The request is whole, unless it was answered before. */
static void receive_end_stream(struct h2_conn *c, struct h2_stream *s)
{
	if (s->line == H2_LINE_BODY)
		h2_conn_serve(c, s);
}

/* Trailer fields say nothing to us. */
static void receive_trailers(struct h2_conn *c, struct h2_stream *s)
{
	if (s->line == H2_LINE_BODY && receive_head_is_too_large(c))
		h2_conn_refuse(c, s, &h2_head_too_large);
	receive_end_stream(c, s);
}

static int receive_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct h2_conn *c = context;
	struct h2_stream *s = h2_receive_stream(c, (uint32_t)frame->hd.stream_id);
	bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	(void)session;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
			receive_request(c, s, ends);
		else
			receive_trailers(c, s);
		break;
	case NGHTTP2_DATA:
		if (ends)
			receive_end_stream(c, s);
		else if (frame->hd.length > 0 && frame->hd.length == frame->data.padlen)
			h2_conn_fail_flood(c, h2_meter_odd(&c->meter, h2_conn_limits(c), c->now_ms));
		break;
	case NGHTTP2_GOAWAY:
		if (!c->parting)
			c->parting = "peer_goaway";
		break;
	default:
		break;
	}
	return 0;
}

/* Whether the bytes are all the payload of the present frame, and it ends the stream. */
static bool receive_is_all(const struct h2_conn *c, size_t len)
{
	const struct h2_frame *frame = &c->meter.frame;
	return len == frame->len && (frame->flags & NGHTTP2_FLAG_END_STREAM);
}

/* The rest of a request that was answered early is not wanted (RFC 9113 8.1). */
static void receive_no_more(struct h2_conn *c, const struct h2_stream *s)
{
	if (nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR) != 0)
		h2_conn_fail_memory(c);
}

/* It was answered before its body came.  Some clients read an answer only when they have said all of their request, and
 * lose it to a reset; so a little of it is passed over. */
static void receive_pass_over(struct h2_conn *c, struct h2_stream *s, size_t len)
{
	uint64_t max = h2_conn_limits(c)->http_service_body_bytes_max;
	bool was_within = s->passed <= max;
	s->passed += len;
	if (was_within && s->passed > max)
		receive_no_more(c, s);
}

static int receive_data(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *context)
{
	struct h2_conn *c = context;
	struct h2_stream *s = h2_receive_stream(c, (uint32_t)id);
	(void)session;
	h2_conn_consume(c, s, len, flags & NGHTTP2_FLAG_END_STREAM);
	if (s->line == H2_LINE_BODY)
		h2_conn_body(c, s, (gh_bytes){data, len}, receive_is_all(c, len));
	else
		receive_pass_over(c, s, len);
	return 0;
}

/* ---- what left ---- */

/* What nghttp2 found for itself, by the code of its GOAWAY. */
static const char *receive_goaway_why(uint32_t code)
{
	static const char *const table[] = {
		[NGHTTP2_PROTOCOL_ERROR] = "protocol_error",
		[NGHTTP2_INTERNAL_ERROR] = "internal_error",
		[NGHTTP2_FLOW_CONTROL_ERROR] = "flow_control",
		[NGHTTP2_STREAM_CLOSED] = "stream_closed",
		[NGHTTP2_FRAME_SIZE_ERROR] = "frame_size",
		[NGHTTP2_COMPRESSION_ERROR] = "compression",
		[NGHTTP2_ENHANCE_YOUR_CALM] = "too_much",
	};
	const char *why = code < sizeof table / sizeof *table ? table[code] : NULL;
	return why ? why : "protocol_error";
}

/* An answer that left before its request was whole: a body that is late need not come any more. */
static void receive_answer_left(struct h2_conn *c, const nghttp2_frame_hd *head)
{
	const struct h2_stream *s = h2_receive_stream(c, (uint32_t)head->stream_id);
	if (!s || !(head->flags & NGHTTP2_FLAG_END_STREAM) ||
		nghttp2_session_get_stream_remote_close(c->session, head->stream_id) != 0)
		return;
	if (rest_answer(&s->exchange)->status == 408)
		receive_no_more(c, s);
}

static int receive_frame_left(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct h2_conn *c = context;
	const gh_limits *limits = h2_conn_limits(c);
	(void)session;
	switch (frame->hd.type) {
	case NGHTTP2_DATA:
		if (frame->hd.length > 0)
			h2_meter_answered(&c->meter, limits);
		receive_answer_left(c, &frame->hd);
		break;
	case NGHTTP2_HEADERS:
		receive_answer_left(c, &frame->hd);
		break;
	case NGHTTP2_RST_STREAM:
		h2_conn_fail_flood(c, h2_meter_reset(&c->meter, limits, c->now_ms));
		break;
	case NGHTTP2_GOAWAY:
		if (!c->parting || frame->goaway.error_code != NGHTTP2_NO_ERROR)
			h2_conn_fail(c, receive_goaway_why(frame->goaway.error_code), frame->goaway.error_code);
		break;
	default:
		break;
	}
	return 0;
}

static int receive_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *context)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	(void)code;
	if (s)
		h2_conn_free(context, s);
	return 0;
}

/* ---- the beginning ---- */

static void receive_callbacks_free(nghttp2_session_callbacks **callbacks)
{
	nghttp2_session_callbacks_del(*callbacks);
}

static void receive_option_free(nghttp2_option **option)
{
	nghttp2_option_del(*option);
}

/* Floods are the meter's matter, which has no clock of its own; nghttp2's bounds stand behind it. */
static void receive_options(nghttp2_option *option, const gh_limits *limits)
{
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_max_continuations(option, (size_t)limits->http2_continuations_max);
	nghttp2_option_set_max_outbound_ack(option, (size_t)limits->http2_odd_frames_max);
	nghttp2_option_set_stream_reset_rate_limit(option, UINT32_MAX, UINT32_MAX);
}

static void receive_callbacks(nghttp2_session_callbacks *callbacks)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, receive_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, receive_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, receive_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, receive_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, receive_data);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, receive_frame_left);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, receive_stream_close);
}

static bool receive_settings(nghttp2_session *session, const gh_limits *limits)
{
	uint32_t window = (uint32_t)limits->message_bytes_max + RECEIVE_WINDOW_SLACK_BYTES;
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)limits->http2_streams_max},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->http_head_bytes_max},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window},
		{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}, /* no tree of streams, which a client could make us turn */
	};
	return nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings) == 0 &&
	       nghttp2_session_set_local_window_size(
		       session, NGHTTP2_FLAG_NONE, 0, (int32_t)limits->http2_window_bytes_max) == 0;
}

bool h2_receive_open(struct h2_conn *c)
{
	nghttp2_session_callbacks *callbacks GH_CLEANUP(receive_callbacks_free) = NULL;
	nghttp2_option *option GH_CLEANUP(receive_option_free) = NULL;
	if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0)
		return false;
	receive_callbacks(callbacks);
	receive_options(option, h2_conn_limits(c));
	return nghttp2_session_server_new2(&c->session, callbacks, c, option) == 0 &&
	       receive_settings(c->session, h2_conn_limits(c));
}
