#include "tests/bench/load_websocket.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>

enum { FRAME_FIN = 0x80, FRAME_RESERVED = 0x70, FRAME_OPCODE = 0x0f, FRAME_CONTROL = 0x08, FRAME_MASKED = 0x80 };
enum { FRAME_CONTINUATION = 0, FRAME_BINARY = 2, FRAME_CLOSE = 8, FRAME_PING = 9, FRAME_PONG = 10 };
enum { LENGTH_16_BITS = 126, LENGTH_64_BITS = 127 };

static const char websocket_protocol[] = "mqtt";

void load_websocket_done(struct load_websocket *w)
{
	buf_done(&w->answer);
}

static enum load_websocket_event websocket_fault(struct load_websocket *w, const char *what, gh_bytes detail)
{
	snprintf(w->fault, sizeof w->fault, "%s %.*s", what, (int)detail.len, (const char *)detail.data);
	return WEBSOCKET_FAULT;
}

/* ---- the upgrade ---- */

/* Sec-WebSocket-Accept of a key (RFC 6455 4.2.2). */
static bool websocket_accept(const char *key, char ret_accept[static TEXT_BASE64_SIZE(20)])
{
	char text[64];
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned digest_len;
	int len = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	if (!EVP_Digest(text, (size_t)len, digest, &digest_len, EVP_sha1(), NULL))
		return false;
	text_base64_encode(digest, digest_len, ret_accept);
	return true;
}

bool load_websocket_start(struct load_websocket *w, const char *host, uint16_t port, const char *path, struct buf *out)
{
	uint8_t nonce[16];
	char nonce_text[TEXT_BASE64_SIZE(sizeof nonce)], request[1024];
	load_websocket_done(w);
	*w = (struct load_websocket){.key = 1};
	buf_init(&w->answer, WEBSOCKET_ANSWER_BYTES_MAX);
	if (RAND_bytes(nonce, sizeof nonce) != 1)
		return false;
	memcpy(&w->key, nonce, sizeof w->key);
	w->key |= 1; /* the generator must not start at 0 */
	text_base64_encode(nonce, sizeof nonce, nonce_text);
	int len = snprintf(request, sizeof request,
		"GET %s HTTP/1.1\r\nHost: %s:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
		path, host, port, nonce_text, websocket_protocol);
	if (len >= (int)sizeof request || !websocket_accept(nonce_text, w->accept))
		return false;
	buf_append(out, request, (size_t)len);
	return true;
}

static gh_bytes websocket_trim(gh_bytes text)
{
	while (text.len && strchr(" \t\r", text.data[text.len - 1]))
		text.len--;
	while (text.len && strchr(" \t", text.data[0])) {
		text.data++;
		text.len--;
	}
	return text;
}

/* Empty when there is no such field. */
static gh_bytes websocket_field(gh_bytes head, const char *name)
{
	gh_bytes line, field, value;
	while (text_cut(head, '\n', &line, &head))
		if (text_cut(line, ':', &field, &value) && text_equal_nocase(field, text_of(name)))
			return websocket_trim(value);
	return (gh_bytes){NULL, 0};
}

static enum load_websocket_event websocket_judge(struct load_websocket *w, gh_bytes head)
{
	gh_bytes status, rest, accept = websocket_field(head, "Sec-WebSocket-Accept");
	gh_bytes protocol = websocket_field(head, "Sec-WebSocket-Protocol");
	gh_bytes extensions = websocket_field(head, "Sec-WebSocket-Extensions");
	text_cut(head, '\r', &status, &rest);
	if (!text_starts(status, "HTTP/1.1 101 "))
		return websocket_fault(w, "upgrade refused:", status);
	if (!text_equal_nocase(websocket_field(head, "Upgrade"), text_of("websocket")))
		return websocket_fault(w, "upgrade to something else:", websocket_field(head, "Upgrade"));
	if (!text_equal(accept, text_of(w->accept)))
		return websocket_fault(w, "wrong Sec-WebSocket-Accept:", accept);
	if (!text_equal(protocol, text_of(websocket_protocol)))
		return websocket_fault(w, "wrong sub-protocol:", protocol);
	if (extensions.len)
		return websocket_fault(w, "an extension that was not offered:", extensions);
	w->open = true;
	return WEBSOCKET_OPEN;
}

static enum load_websocket_event websocket_answer(struct load_websocket *w, gh_bytes *bytes)
{
	static const char end[] = {'\r', '\n', '\r', '\n'};
	struct buf *answer = &w->answer;
	for (; bytes->len; bytes->data++, bytes->len--) {
		if (answer->len >= sizeof end && memcmp(answer->data + answer->len - sizeof end, end, sizeof end) == 0)
			break;
		buf_put_u8(answer, *bytes->data);
	}
	if (answer->failed)
		return websocket_fault(w, "the answer to the upgrade is too long", text_of(""));
	if (answer->len < sizeof end || memcmp(answer->data + answer->len - sizeof end, end, sizeof end) != 0)
		return WEBSOCKET_MORE;
	enum load_websocket_event event = websocket_judge(w, buf_bytes(answer));
	buf_done(answer);
	return event;
}

/* ---- frames to the server ---- */

static uint32_t websocket_next_key(struct load_websocket *w) /* xorshift32 */
{
	w->key ^= w->key << 13;
	w->key ^= w->key >> 17;
	w->key ^= w->key << 5;
	return w->key;
}

static void websocket_put_masked(struct buf *out, gh_bytes payload, uint32_t key)
{
	const uint64_t keys = (uint64_t)key << 32 | key;
	uint8_t key_bytes[sizeof key];
	uint64_t word;
	size_t i = 0;
	if (!buf_reserve(out, payload.len))
		return;
	uint8_t *to = out->data + out->len;
	memcpy(key_bytes, &key, sizeof key);
	for (; i + sizeof word <= payload.len; i += sizeof word) {
		memcpy(&word, payload.data + i, sizeof word);
		word ^= keys;
		memcpy(to + i, &word, sizeof word);
	}
	for (; i < payload.len; i++)
		to[i] = payload.data[i] ^ key_bytes[i % sizeof key];
	out->len += payload.len;
}

static void websocket_put(struct load_websocket *w, uint8_t opcode, gh_bytes payload, struct buf *out)
{
	uint32_t key = websocket_next_key(w);
	buf_put_u8(out, FRAME_FIN | opcode);
	if (payload.len < LENGTH_16_BITS) {
		buf_put_u8(out, (uint8_t)(FRAME_MASKED | payload.len));
	} else if (payload.len <= UINT16_MAX) {
		buf_put_u8(out, FRAME_MASKED | LENGTH_16_BITS);
		buf_put_u16(out, (uint16_t)payload.len);
	} else {
		buf_put_u8(out, FRAME_MASKED | LENGTH_64_BITS);
		buf_put_u64(out, payload.len);
	}
	buf_append(out, &key, sizeof key);
	websocket_put_masked(out, payload, key);
}

void load_websocket_put(struct load_websocket *w, gh_bytes payload, struct buf *out)
{
	websocket_put(w, FRAME_BINARY, payload, out);
}

/* ---- frames of the server ---- */

static gh_bytes websocket_take(gh_bytes *bytes, uint64_t wanted)
{
	gh_bytes piece = {bytes->data, wanted < bytes->len ? (size_t)wanted : bytes->len};
	bytes->data += piece.len;
	bytes->len -= piece.len;
	return piece;
}

static size_t websocket_head_len(const struct load_websocket *w)
{
	uint8_t length = w->head_len < 2 ? 0 : w->head[1];
	return length == LENGTH_64_BITS ? 2 + 8 : length == LENGTH_16_BITS ? 2 + 2 : 2;
}

/* A whole control frame. */
static enum load_websocket_event websocket_control(struct load_websocket *w, struct buf *out)
{
	gh_bytes payload = {w->control, w->control_len};
	uint8_t opcode = w->head[0] & FRAME_OPCODE;
	if (opcode == FRAME_PING)
		websocket_put(w, FRAME_PONG, payload, out);
	if (opcode != FRAME_CLOSE)
		return WEBSOCKET_MORE;
	struct reader r = reader_of(payload);
	unsigned code = reader_u16(&r); /* 0 = none was given */
	snprintf(w->fault, sizeof w->fault, "closed by the server with code %u", code);
	websocket_put(w, FRAME_CLOSE, (gh_bytes){payload.data, code ? 2 : 0}, out);
	w->closed = true;
	return WEBSOCKET_CLOSED;
}

static enum load_websocket_event websocket_end_frame(struct load_websocket *w, struct buf *out)
{
	w->in_payload = false;
	w->head_len = 0;
	return w->head[0] & FRAME_CONTROL ? websocket_control(w, out) : WEBSOCKET_MORE;
}

static enum load_websocket_event websocket_begin_frame(struct load_websocket *w, struct buf *out)
{
	struct reader r = reader_of((gh_bytes){w->head, w->head_len});
	uint8_t first = reader_u8(&r), length = reader_u8(&r), opcode = first & FRAME_OPCODE;
	bool final = first & FRAME_FIN;
	if (first & FRAME_RESERVED || length & FRAME_MASKED)
		return websocket_fault(w, "a frame with a mask or reserved bits", text_of(""));
	w->left = length < LENGTH_16_BITS ? length : reader_uint(&r, reader_left(&r));
	if (opcode & FRAME_CONTROL) {
		if (!final || opcode > FRAME_PONG || w->left > WEBSOCKET_CONTROL_BYTES_MAX)
			return websocket_fault(w, "a bad control frame", text_of(""));
	} else {
		if (opcode != (w->in_message ? FRAME_CONTINUATION : FRAME_BINARY))
			return websocket_fault(w, "text, or a fragment out of order", text_of(""));
		w->in_message = !final;
	}
	w->in_payload = true;
	w->control_len = 0;
	return w->left ? WEBSOCKET_MORE : websocket_end_frame(w, out);
}

static enum load_websocket_event websocket_head(struct load_websocket *w, gh_bytes *bytes, struct buf *out)
{
	w->head[w->head_len++] = *websocket_take(bytes, 1).data;
	bool whole = w->head_len >= 2 && w->head_len == websocket_head_len(w);
	return whole ? websocket_begin_frame(w, out) : WEBSOCKET_MORE;
}

static enum load_websocket_event websocket_payload(
	struct load_websocket *w, gh_bytes *bytes, struct buf *out, gh_bytes *ret_payload)
{
	gh_bytes piece = websocket_take(bytes, w->left);
	w->left -= piece.len;
	bool control = w->head[0] & FRAME_CONTROL;
	if (control) {
		memcpy(w->control + w->control_len, piece.data, piece.len);
		w->control_len = (uint8_t)(w->control_len + piece.len);
	} else {
		*ret_payload = piece;
	}
	enum load_websocket_event event = w->left ? WEBSOCKET_MORE : websocket_end_frame(w, out);
	return control ? event : WEBSOCKET_DATA;
}

enum load_websocket_event load_websocket_next(
	struct load_websocket *w, gh_bytes *bytes, struct buf *out, gh_bytes *ret_payload)
{
	enum load_websocket_event event = WEBSOCKET_MORE;
	if (!w->open)
		return websocket_answer(w, bytes);
	while (event == WEBSOCKET_MORE && bytes->len) {
		if (w->closed) /* nothing may follow that counts */
			websocket_take(bytes, bytes->len);
		else if (w->in_payload)
			event = websocket_payload(w, bytes, out, ret_payload);
		else
			event = websocket_head(w, bytes, out);
	}
	return event;
}
