#include "tests/unit/h2_pair.h"

#include "src/base/text.h"
#include "transports/https/h2_engine.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void pair_wake(gh_wire *wire)
{
	struct h2_pair *p = (struct h2_pair *)wire;
	p->woken = true;
	p->wake_count++;
}

static gh_peer pair_peer(gh_wire *wire)
{
	(void)wire;
	return (gh_peer){.address = "192.0.2.7", .port = 4711, .server_name = "hub"};
}

static const gh_wire_ops pair_wire_ops = {.wake = pair_wake, .peer = pair_peer};

void h2_pair_init(struct h2_pair *p, gh_worker *worker)
{
	*p = (struct h2_pair){.wire = {&pair_wire_ops}, .worker = worker, .now_ms = 1000, .reading = true};
	p->engine = h2_transport.engine_new(worker, &p->wire, p->now_ms);
	assert(p->engine);
	h2_pair_run(p);
}

void h2_pair_done(struct h2_pair *p)
{
	if (p->engine)
		p->engine->ops->free(p->engine);
	p->engine = NULL;
	nghttp2_session_del(p->client);
	p->client = NULL;
	buf_done(&p->held);
	buf_done(&p->got);
	for (size_t i = 0; i < H2_PAIR_STREAMS_MAX; i++) {
		buf_done(&p->replies[i].body);
		buf_done(&p->replies[i].sends);
	}
}

int32_t h2_pair_id(size_t number)
{
	return (int32_t)(2 * number + 1);
}

static struct h2_reply *pair_reply(struct h2_pair *p, int32_t id)
{
	assert(id % 2 == 1 && id / 2 < H2_PAIR_STREAMS_MAX);
	return &p->replies[id / 2];
}

/* ---- nghttp2's client ---- */

static int client_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
	const uint8_t *value, size_t value_len, uint8_t flags, void *context)
{
	struct h2_reply *reply = pair_reply(context, frame->hd.stream_id);
	(void)session, (void)name_len, (void)flags;
	const char *is = (const char *)name;
	if (strcmp(is, ":status") == 0)
		reply->status = atoi((const char *)value);
	else if (strcmp(is, "date") == 0)
		snprintf(reply->date, sizeof reply->date, "%.*s", (int)value_len, (const char *)value);
	else if (strcmp(is, "content-length") == 0)
		snprintf(reply->length, sizeof reply->length, "%.*s", (int)value_len, (const char *)value);
	else if (strcmp(is, "x-test") == 0)
		snprintf(reply->field, sizeof reply->field, "%.*s", (int)value_len, (const char *)value);
	return 0;
}

static int client_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct h2_pair *p = context;
	(void)session;
	if (frame->hd.type == NGHTTP2_GOAWAY) {
		p->goaway = true;
		p->goaway_code = frame->goaway.error_code;
		p->goaway_last = frame->goaway.last_stream_id;
	}
	if (frame->hd.type == NGHTTP2_HEADERS && pair_reply(p, frame->hd.stream_id)->status == 100)
		pair_reply(p, frame->hd.stream_id)->continued = true;
	if (frame->hd.type <= NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		pair_reply(p, frame->hd.stream_id)->ended = true;
	if (frame->hd.type == NGHTTP2_RST_STREAM) {
		pair_reply(p, frame->hd.stream_id)->reset = true;
		pair_reply(p, frame->hd.stream_id)->code = frame->rst_stream.error_code;
	}
	return 0;
}

static int client_on_data(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *context)
{
	(void)session, (void)flags;
	buf_append(&pair_reply(context, id)->body, data, len);
	return 0;
}

static int client_on_close(nghttp2_session *session, int32_t id, uint32_t code, void *context)
{
	(void)session, (void)code;
	pair_reply(context, id)->closed = true;
	return 0;
}

/* The client understands all the engine says. */
static int client_on_invalid(nghttp2_session *session, const nghttp2_frame *frame, int error, void *context)
{
	(void)session, (void)frame, (void)context;
	fprintf(stderr, "the client got a frame it takes for invalid: %s\n", nghttp2_strerror(error));
	abort();
}

void h2_pair_connect(struct h2_pair *p, uint32_t window)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	assert(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, client_on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, client_on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, client_on_close);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, client_on_invalid);
	nghttp2_option_set_no_auto_window_update(option, window != 0);
	nghttp2_option_set_peer_max_concurrent_streams(option, 1000);
	nghttp2_session_client_new2(&p->client, callbacks, p, option);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_option_del(option);
	nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window}};
	nghttp2_submit_settings(p->client, NGHTTP2_FLAG_NONE, settings, window != 0);
	/* What the engine said before there was a client. */
	nghttp2_session_mem_recv(p->client, p->got.data, p->got.len);
	h2_pair_run(p);
}

static ssize_t client_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
	nghttp2_data_source *source, void *context)
{
	struct h2_reply *reply = source->ptr;
	size_t left = reply->may_send - reply->sent, n = left < len ? left : len;
	(void)session, (void)id, (void)context;
	if (n > 0)
		memcpy(buf, reply->sends.data + reply->sent, n);
	reply->sent += n;
	if (reply->whole && reply->sent == reply->sends.len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (n == 0)
		return NGHTTP2_ERR_DEFERRED;
	return (ssize_t)n;
}

static nghttp2_nv pair_nv(const char *name, const char *value)
{
	return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value), 0};
}

static size_t pair_submit(struct h2_pair *p, const char *method, const char *path, bool has_body, va_list fields)
{
	nghttp2_nv nv[400] = {pair_nv(":method", method), pair_nv(":path", path), pair_nv(":scheme", "https"),
		pair_nv(":authority", "hub")};
	size_t n = 4;
	for (const char *name; (name = va_arg(fields, const char *)) && n < 400; n++)
		nv[n] = pair_nv(name, va_arg(fields, const char *));
	size_t number = nghttp2_session_get_next_stream_id(p->client) / 2;
	nghttp2_data_provider provider = {.source.ptr = &p->replies[number], .read_callback = client_read};
	int32_t id = nghttp2_submit_request(p->client, NULL, nv, n, has_body ? &provider : NULL, NULL);
	assert(id == h2_pair_id(number));
	return number;
}

size_t h2_pair_request(struct h2_pair *p, const char *method, const char *path, const char *body, ...)
{
	struct h2_reply *reply = &p->replies[nghttp2_session_get_next_stream_id(p->client) / 2];
	va_list fields;
	if (body)
		buf_append(&reply->sends, body, strlen(body));
	reply->may_send = reply->sends.len;
	reply->whole = true;
	va_start(fields, body);
	size_t number = pair_submit(p, method, path, body != NULL, fields);
	va_end(fields);
	h2_pair_run(p);
	return number;
}

size_t h2_pair_begin(struct h2_pair *p, gh_bytes body, size_t now, ...)
{
	struct h2_reply *reply = &p->replies[nghttp2_session_get_next_stream_id(p->client) / 2];
	va_list fields;
	buf_append(&reply->sends, body.data, body.len);
	reply->may_send = now;
	reply->whole = true;
	va_start(fields, now);
	size_t number = pair_submit(p, "POST", "/devices/d1/messages/events", true, fields);
	va_end(fields);
	h2_pair_run(p);
	return number;
}

void h2_pair_more(struct h2_pair *p, size_t number, size_t bytes)
{
	p->replies[number].may_send += bytes;
	assert(p->replies[number].may_send <= p->replies[number].sends.len);
	nghttp2_session_resume_data(p->client, h2_pair_id(number));
	h2_pair_run(p);
}

void h2_pair_reset(struct h2_pair *p, size_t number)
{
	nghttp2_submit_rst_stream(p->client, NGHTTP2_FLAG_NONE, h2_pair_id(number), NGHTTP2_CANCEL);
	h2_pair_run(p);
}

/* ---- driving ---- */

static void pair_offer(struct h2_pair *p)
{
	gh_engine *e = p->engine;
	p->stopped = false;
	while (p->held.len > 0 && !p->stopped && !e->ops->finished(e)) {
		size_t n = p->cut && p->cut < p->held.len ? p->cut : p->held.len;
		size_t taken = e->ops->input(e, p->held.data, n, p->now_ms);
		assert(taken <= n);
		buf_drop(&p->held, taken);
		p->stopped = taken < n;
	}
}

static void pair_deliver(struct h2_pair *p, gh_bytes bytes)
{
	buf_append(&p->got, bytes.data, bytes.len);
	if (p->client) {
		ssize_t n = nghttp2_session_mem_recv(p->client, bytes.data, bytes.len);
		assert(n == (ssize_t)bytes.len);
	}
}

/* The time and the wire, as after every call of an engine; whether anything came out. */
static bool pair_look(struct h2_pair *p)
{
	gh_engine *e = p->engine;
	bool moved = false;
	p->deadline_ms = e->ops->tick(e, p->now_ms);
	assert(p->deadline_ms == 0 || p->deadline_ms > p->now_ms);
	gh_bytes out = e->ops->output(e);
	for (; p->reading && out.len > 0; out = e->ops->output(e)) {
		size_t n = out.len < 16384 ? out.len : 16384;
		pair_deliver(p, (gh_bytes){out.data, n});
		e->ops->output_done(e, n);
		moved = true;
	}
	p->finished = e->ops->finished(e);
	return moved;
}

/* Whether the client said anything. */
static bool pair_hear(struct h2_pair *p)
{
	const uint8_t *data;
	ssize_t n;
	bool moved = false;
	while (p->client && (n = nghttp2_session_mem_send(p->client, &data)) > 0) {
		buf_append(&p->held, data, (size_t)n);
		moved = true;
	}
	if (p->held.len > p->held_max)
		p->held_max = p->held.len;
	return moved;
}

void h2_pair_run(struct h2_pair *p)
{
	bool moved = true;
	for (size_t rounds = 0; moved; rounds++) {
		assert(rounds < 100000);
		moved = pair_hear(p);
		if ((p->held.len > 0 && !p->stopped) || p->woken) {
			moved |= p->woken;
			p->woken = false;
			pair_offer(p);
		}
		moved |= pair_look(p);
	}
}

void h2_pair_send(struct h2_pair *p, gh_bytes bytes)
{
	buf_append(&p->held, bytes.data, bytes.len);
	h2_pair_run(p);
}

void h2_pair_hang_up(struct h2_pair *p)
{
	p->engine->ops->input_end(p->engine, p->now_ms);
	h2_pair_run(p);
}

void h2_pair_wait(struct h2_pair *p, uint64_t ms)
{
	uint64_t until = p->now_ms + ms;
	while (p->deadline_ms && p->deadline_ms <= until) {
		p->now_ms = p->deadline_ms;
		h2_pair_run(p);
	}
	p->now_ms = until;
}

/* ---- frames made by hand ---- */

void h2_put_frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream_id, gh_bytes payload)
{
	buf_put_u8(out, (uint8_t)(payload.len >> 16));
	buf_put_u16(out, (uint16_t)payload.len);
	buf_put_u8(out, type);
	buf_put_u8(out, flags);
	buf_put_u32(out, stream_id);
	buf_append(out, payload.data, payload.len);
}

void h2_put_preface(struct buf *out)
{
	buf_append(out, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
	h2_put_frame(out, NGHTTP2_SETTINGS, 0, 0, (gh_bytes){NULL, 0});
}

void h2_put_u32_frame(struct buf *out, uint8_t type, uint32_t stream_id, uint32_t value)
{
	uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
	h2_put_frame(out, type, 0, stream_id, (gh_bytes){bytes, sizeof bytes});
}

/* Indexed :scheme https and :path /; :authority literal, not indexed. */
#define PAIR_TARGET "\x87\x84\x01\x03hub"

void h2_put_get(struct buf *out, uint8_t flags, uint32_t stream_id)
{
	h2_put_frame(out, NGHTTP2_HEADERS, flags, stream_id, text_of("\x82" PAIR_TARGET));
}

void h2_put_post(struct buf *out, uint8_t flags, uint32_t stream_id)
{
	h2_put_frame(out, NGHTTP2_HEADERS, flags, stream_id, text_of("\x83" PAIR_TARGET));
}

/* An HPACK integer of 7 bits prefix, not Huffman. */
static void pair_put_string(struct buf *out, gh_bytes text)
{
	size_t n = text.len;
	if (n < 127) {
		buf_put_u8(out, (uint8_t)n);
	} else {
		buf_put_u8(out, 127);
		for (n -= 127; n >= 128; n /= 128)
			buf_put_u8(out, (uint8_t)(n % 128 + 128));
		buf_put_u8(out, (uint8_t)n);
	}
	buf_append(out, text.data, text.len);
}

void h2_put_field(struct buf *out, const char *name, gh_bytes value)
{
	buf_put_u8(out, 0x10);
	pair_put_string(out, text_of(name));
	pair_put_string(out, value);
}

size_t h2_pair_got(const struct h2_pair *p, uint8_t type)
{
	size_t count = 0;
	for (size_t at = 0; at + H2_PAIR_HEAD_BYTES <= p->got.len;) {
		const uint8_t *head = p->got.data + at;
		count += head[3] == type;
		at += H2_PAIR_HEAD_BYTES + ((size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2]);
	}
	return count;
}
