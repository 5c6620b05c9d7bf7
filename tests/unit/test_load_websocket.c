/* The load client's side of a WebSocket: what neither mosquitto nor Gatehouse will show it, however the bytes are cut. */
#include "tests/suite.h"

#include "tests/bench/load_websocket.h"

SUITE(load_websocket);

/* What it makes of an answer; `@` stands for the right Sec-WebSocket-Accept. */
static enum load_websocket_event answered(struct load_websocket *w, const char *answer)
{
	struct buf request = {0}, filled = {0};
	gh_bytes before, after, payload;
	cr_assert(load_websocket_start(w, "localhost", 443, "/x", &request));
	cr_assert(text_starts(buf_bytes(&request), "GET /x HTTP/1.1\r\nHost: localhost:443\r\n"));
	cr_assert(text_cut(text_of(answer), '@', &before, &after));
	buf_append(&filled, before.data, before.len);
	buf_append(&filled, w->accept, strlen(w->accept));
	buf_append(&filled, after.data, after.len);
	gh_bytes bytes = buf_bytes(&filled);
	enum load_websocket_event event = load_websocket_next(w, &bytes, NULL, &payload);
	cr_assert_eq(bytes.len, 0, "%s", answer);
	buf_done(&request);
	buf_done(&filled);
	return event;
}

static const char good_answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
				  "sec-websocket-accept:@ \r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

/* ---- the answer to the upgrade ---- */

static const struct answer_case {
	const char *answer;
	enum load_websocket_event event;
	const char *says;
} answer_table[] = {
	{good_answer, WEBSOCKET_OPEN, ""},
	{"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: @\r\nSec-WebSocket-Protocol: mqtt\r\n",
		WEBSOCKET_MORE, ""},
	{"HTTP/1.1 400 Bad Request\r\nX: @\r\n\r\n", WEBSOCKET_FAULT, "upgrade refused: HTTP/1.1 400 Bad Request"},
	{"HTTP/1.1 101 S\r\nUpgrade: h2c\r\nSec-WebSocket-Accept: @\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
		WEBSOCKET_FAULT, "upgrade to something else: h2c"},
	{"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x@\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
		WEBSOCKET_FAULT, "wrong Sec-WebSocket-Accept: x"},
	{"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: @\r\nSec-WebSocket-Protocol: MQTT\r\n\r\n",
		WEBSOCKET_FAULT, "wrong sub-protocol: MQTT"},
	{"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: @\r\nSec-WebSocket-Protocol: mqtt\r\n"
	 "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
		WEBSOCKET_FAULT, "an extension that was not offered: permessage-deflate"},
};

Test(load_websocket, an_upgrade_is_believed_only_with_all_that_belongs_to_it)
{
	for (size_t i = 0; i < sizeof answer_table / sizeof *answer_table; i++) {
		const struct answer_case *row = &answer_table[i];
		struct load_websocket w = {0};
		cr_assert_eq(answered(&w, row->answer), row->event, "%s", row->answer);
		cr_assert(text_starts(text_of(w.fault), row->says), "%s: %s", row->answer, w.fault);
		load_websocket_done(&w);
	}
}

/* ---- frames of the server ---- */

struct outcome {
	struct buf payload, replies;
	enum load_websocket_event last;
};

/* Nothing behind a fault; out->last stays WEBSOCKET_MORE unless something ended it. */
static void feed(struct load_websocket *w, const uint8_t *data, size_t len, struct outcome *out)
{
	gh_bytes bytes = {data, len}, payload;
	enum load_websocket_event event;
	while (out->last != WEBSOCKET_FAULT &&
		(event = load_websocket_next(w, &bytes, &out->replies, &payload)) != WEBSOCKET_MORE) {
		if (event == WEBSOCKET_DATA)
			buf_append(&out->payload, payload.data, payload.len);
		else
			out->last = event;
	}
}

/* What the server reads of our frames: "<opcode>:<payload> " each. */
static void unmasked(struct buf *frames, struct buf *ret_text)
{
	struct reader r = reader_of(buf_bytes(frames));
	while (reader_left(&r)) {
		uint8_t first = reader_u8(&r), length = reader_u8(&r);
		cr_assert_eq(first & 0xf0, 0x80, "final, nothing reserved");
		cr_assert(length & 0x80, "masked");
		uint64_t len = length & 0x7f;
		len = len == 126 ? reader_u16(&r) : len == 127 ? reader_u64(&r) : len;
		gh_bytes key = reader_take(&r, 4), payload = reader_take(&r, (size_t)len);
		cr_assert(!r.failed, "whole frames");
		buf_put_u8(ret_text, (uint8_t) "0123456789abcdef"[first & 0x0f]);
		buf_put_u8(ret_text, ':');
		for (size_t i = 0; i < payload.len; i++)
			buf_put_u8(ret_text, payload.data[i] ^ key.data[i % 4]);
		buf_put_u8(ret_text, ' ');
	}
}

static const struct stream_case {
	const char *name, *bytes;
	size_t len;
	const char *payload, *replies;
	enum load_websocket_event last;
} stream_table[] = {
#define STREAM(name, bytes, ...)                                                                                       \
	{                                                                                                              \
		name, bytes, sizeof(bytes) - 1, __VA_ARGS__                                                            \
	}
	STREAM("a frame", "\x82\3abc", "abc", "", WEBSOCKET_MORE),
	STREAM("frames one behind another", "\x82\1a\x82\0\x82\2bc", "abc", "", WEBSOCKET_MORE),
	STREAM("16 bits of length", "\x82\x7e\0\3abc", "abc", "", WEBSOCKET_MORE),
	STREAM("64 bits of length", "\x82\x7f\0\0\0\0\0\0\0\3abc", "abc", "", WEBSOCKET_MORE),
	STREAM("fragments, with a ping between", "\2\1a\x89\2hi\0\1b\x80\1c", "abc", "a:hi ", WEBSOCKET_MORE),
	STREAM("an empty ping", "\x89\0\x82\1a", "a", "a: ", WEBSOCKET_MORE),
	STREAM("a pong nobody asked for", "\x8a\1x\x82\1a", "a", "", WEBSOCKET_MORE),
	STREAM("close with a reason", "\x82\1a\x88\5\3\350bye\x82\1b", "a", "8:\3\350 ", WEBSOCKET_CLOSED),
	STREAM("close without a code", "\x88\0", "", "8: ", WEBSOCKET_CLOSED),
	STREAM("text", "\x81\1a", "", "", WEBSOCKET_FAULT),
	STREAM("a mask", "\x82\x81\0\0\0\0a", "", "", WEBSOCKET_FAULT),
	STREAM("reserved bits", "\xc2\1a", "", "", WEBSOCKET_FAULT),
	STREAM("a fragment of nothing", "\x80\1a", "", "", WEBSOCKET_FAULT),
	STREAM("a message inside another", "\2\1a\x82\1b", "a", "", WEBSOCKET_FAULT),
	STREAM("a ping in fragments", "\x09\1a", "", "", WEBSOCKET_FAULT),
	STREAM("a long ping", "\x89\x7e\0\x7e", "", "", WEBSOCKET_FAULT),
	STREAM("a control frame nobody knows", "\x8b\0", "", "", WEBSOCKET_FAULT),
};

static void stream_is(const struct stream_case *row, size_t cut, size_t step)
{
	struct load_websocket w = {0};
	struct outcome out = {.last = WEBSOCKET_MORE};
	struct buf replies = {0};
	cr_assert_eq(answered(&w, good_answer), WEBSOCKET_OPEN);
	for (size_t at = 0, n = cut; at < row->len; at += n, n = row->len - at < step ? row->len - at : step)
		feed(&w, (const uint8_t *)row->bytes + at, n, &out);
	unmasked(&out.replies, &replies);
	cr_assert_eq(out.last, row->last, "%s, cut at %zu: %d, %s", row->name, cut, out.last, w.fault);
	cr_assert(text_equal(buf_bytes(&out.payload), text_of(row->payload)), "%s, cut at %zu", row->name, cut);
	cr_assert(text_equal(buf_bytes(&replies), text_of(row->replies)), "%s, cut at %zu: %.*s", row->name, cut,
		(int)replies.len, (const char *)replies.data);
	buf_done(&out.payload);
	buf_done(&out.replies);
	buf_done(&replies);
	load_websocket_done(&w);
}

Test(load_websocket, the_server_may_frame_and_cut_as_it_likes)
{
	for (size_t i = 0; i < sizeof stream_table / sizeof *stream_table; i++) {
		for (size_t cut = 1; cut <= stream_table[i].len; cut++)
			stream_is(&stream_table[i], cut, stream_table[i].len);
		stream_is(&stream_table[i], 1, 1);
	}
}

/* ---- frames to the server ---- */

Test(load_websocket, a_packet_of_any_length_comes_out_of_its_mask)
{
	static const size_t lengths[] = {0, 1, 3, 4, 7, 8, 9, 125, 126, 300, 65535, 65536};
	static uint8_t packet[65536];
	struct load_websocket w = {0};
	cr_assert_eq(answered(&w, good_answer), WEBSOCKET_OPEN);
	for (size_t i = 0; i < sizeof packet; i++)
		packet[i] = (uint8_t)(i * 7 + i / 256);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct buf frames = {0}, text = {0};
		load_websocket_put(&w, (gh_bytes){packet, lengths[i]}, &frames);
		unmasked(&frames, &text);
		cr_assert_eq(text.len, lengths[i] + 3, "%zu", lengths[i]);
		cr_assert(memcmp(text.data, "2:", 2) == 0 && memcmp(text.data + 2, packet, lengths[i]) == 0, "%zu",
			lengths[i]);
		buf_done(&frames);
		buf_done(&text);
	}
	load_websocket_done(&w);
}
