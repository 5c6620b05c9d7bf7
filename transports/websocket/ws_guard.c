#include "transports/websocket/ws_guard.h"

#include "src/base/text.h"

#include <assert.h>

enum {
	BIT_FIN = 0x80,
	BITS_RESERVED = 0x70,
	OPCODE_MASK = 0x0f,
	OPCODE_CLOSE = 0x8,
	BIT_MASKED = 0x80,
	LENGTH_MASK = 0x7f,
	LENGTH_IN_2_BYTES = 126,
	LENGTH_IN_8_BYTES = 127,
	LENGTH_AT = 2,
	KEY_BYTES = 4,
};

enum guard_fault {
	FAULT_NONE,
	FAULT_RESERVED_BITS,
	FAULT_RESERVED_OPCODE,
	FAULT_CONTINUES_NOTHING,
	FAULT_INTERRUPTS,
	FAULT_TEXT,
	FAULT_CONTROL_FRAGMENTED,
	FAULT_NOT_MASKED,
	FAULT_CONTROL_LENGTH,
	FAULT_LENGTH,
	FAULT_MESSAGE_LENGTH,
	FAULT_CLOSE_LENGTH,
	FAULT_CLOSE_CODE,
	FAULT_CLOSE_REASON,
};

static const struct {
	gh_status status;
	uint16_t close;
	const char *code;
	const char *text;
} faults[] = {
	[FAULT_RESERVED_BITS] = {GH_MALFORMED, WS_CLOSE_PROTOCOL, "frame_reserved_bits",
		"a frame has a reserved bit set, and no extension was agreed on"}, /* RFC 6455 5.2 */
	[FAULT_RESERVED_OPCODE] = {GH_MALFORMED, WS_CLOSE_PROTOCOL, "frame_reserved_opcode",
		"a frame has an opcode that has no meaning"}, /* 5.2 */
	[FAULT_CONTINUES_NOTHING] = {GH_MALFORMED, WS_CLOSE_PROTOCOL, "frame_continues_nothing",
		"a continuation came, and no message is unfinished"}, /* 5.4 */
	[FAULT_INTERRUPTS] = {GH_MALFORMED, WS_CLOSE_PROTOCOL, "frame_interrupts_message",
		"a message began before the last one had ended"}, /* 5.4 */
	[FAULT_TEXT] = {GH_INVALID, WS_CLOSE_UNSUPPORTED, "frame_text",
		"a text message came, only binary ones are taken"}, /* device contract 1.3 */
	[FAULT_CONTROL_FRAGMENTED] = {GH_MALFORMED, WS_CLOSE_PROTOCOL, "control_fragmented",
		"a control frame is fragmented"}, /* 5.5 */
	[FAULT_NOT_MASKED] = {GH_MALFORMED, WS_CLOSE_PROTOCOL, "frame_not_masked",
		"a frame of a client is not masked"}, /* 5.1 */
	[FAULT_CONTROL_LENGTH] = {GH_MALFORMED, WS_CLOSE_PROTOCOL, "control_length",
		"a control frame is longer than 125 bytes"}, /* 5.5 */
	[FAULT_LENGTH] = {GH_MALFORMED, WS_CLOSE_PROTOCOL, "frame_length",
		"the length of a frame has its highest bit set"}, /* 5.2 */
	[FAULT_MESSAGE_LENGTH] = {GH_TOO_LARGE, WS_CLOSE_TOO_LARGE, "message_length",
		"a message is longer than allowed"}, /* 7.4.1 */
	[FAULT_CLOSE_LENGTH] = {GH_MALFORMED, WS_CLOSE_PROTOCOL, "close_length",
		"a Close frame has half a code"}, /* 5.5.1 */
	[FAULT_CLOSE_CODE] = {GH_MALFORMED, WS_CLOSE_PROTOCOL, "close_code",
		"a Close frame has a code that may not be sent"}, /* 7.4 */
	[FAULT_CLOSE_REASON] = {GH_MALFORMED, WS_CLOSE_BAD_PAYLOAD, "close_reason",
		"the reason in a Close frame is not UTF-8"}, /* 5.5.1, 8.1 */
};

/* What an opcode may be (RFC 6455 5.2, 5.4): its fault outside and inside an unfinished message. */
static const struct guard_rule {
	uint8_t fault[2]; /* [in_message] */
	bool is_control;
} rules[OPCODE_MASK + 1] = {
	[0x0] = {.fault = {FAULT_CONTINUES_NOTHING, FAULT_NONE}},
	[0x1] = {.fault = {FAULT_TEXT, FAULT_INTERRUPTS}},
	[0x2] = {.fault = {FAULT_NONE, FAULT_INTERRUPTS}},
	[0x3] = {.fault = {FAULT_RESERVED_OPCODE, FAULT_RESERVED_OPCODE}},
	[0x4] = {.fault = {FAULT_RESERVED_OPCODE, FAULT_RESERVED_OPCODE}},
	[0x5] = {.fault = {FAULT_RESERVED_OPCODE, FAULT_RESERVED_OPCODE}},
	[0x6] = {.fault = {FAULT_RESERVED_OPCODE, FAULT_RESERVED_OPCODE}},
	[0x7] = {.fault = {FAULT_RESERVED_OPCODE, FAULT_RESERVED_OPCODE}},
	[OPCODE_CLOSE] = {.is_control = true},
	[0x9] = {.is_control = true},
	[0xa] = {.is_control = true},
	[0xb] = {.fault = {FAULT_RESERVED_OPCODE, FAULT_RESERVED_OPCODE}},
	[0xc] = {.fault = {FAULT_RESERVED_OPCODE, FAULT_RESERVED_OPCODE}},
	[0xd] = {.fault = {FAULT_RESERVED_OPCODE, FAULT_RESERVED_OPCODE}},
	[0xe] = {.fault = {FAULT_RESERVED_OPCODE, FAULT_RESERVED_OPCODE}},
	[0xf] = {.fault = {FAULT_RESERVED_OPCODE, FAULT_RESERVED_OPCODE}},
};

/* One call: what it was given, and how far it came. */
struct guard_walk {
	gh_bytes bytes;
	uint64_t message_bytes_max;
	size_t at;
	enum guard_fault fault;
	gh_bytes pass;
};

void ws_guard_init(struct ws_guard *g)
{
	*g = (struct ws_guard){0};
}

/* ---- the head: judged at each byte, with what has come of it ---- */

static const struct guard_rule *guard_rule(const struct ws_guard *g)
{
	return &rules[g->head[0] & OPCODE_MASK];
}

static bool guard_is_close(uint8_t first)
{
	return (first & OPCODE_MASK) == OPCODE_CLOSE;
}

static size_t guard_length_bytes(const struct ws_guard *g)
{
	uint8_t length = g->head[1] & LENGTH_MASK;
	return length == LENGTH_IN_8_BYTES ? 8 : length == LENGTH_IN_2_BYTES ? 2 : 0;
}

/* What the payload's length is at least: bytes of the length that have not come count as 0.  A length in more bytes
 * than it needs is taken, although 5.2 forbids it: it means one thing only, and a client that works matters more. */
static uint64_t guard_length_least(const struct ws_guard *g)
{
	size_t end = LENGTH_AT + guard_length_bytes(g);
	uint64_t length = end == LENGTH_AT ? g->head[1] & LENGTH_MASK : 0;
	for (size_t i = LENGTH_AT; i < end; i++)
		length = length << 8 | (i < g->head_len ? g->head[i] : 0);
	return length;
}

static enum guard_fault guard_first(const struct ws_guard *g)
{
	const struct guard_rule *rule = guard_rule(g);
	if (g->head[0] & BITS_RESERVED)
		return FAULT_RESERVED_BITS;
	if (rule->is_control && !(g->head[0] & BIT_FIN))
		return FAULT_CONTROL_FRAGMENTED;
	return rule->fault[g->in_message];
}

static enum guard_fault guard_second(const struct ws_guard *g)
{
	uint8_t length = g->head[1] & LENGTH_MASK;
	if (!(g->head[1] & BIT_MASKED))
		return FAULT_NOT_MASKED;
	if (guard_rule(g)->is_control && length > WS_CONTROL_BYTES_MAX)
		return FAULT_CONTROL_LENGTH;
	return guard_is_close(g->head[0]) && length == 1 ? FAULT_CLOSE_LENGTH : FAULT_NONE;
}

static enum guard_fault guard_length(const struct ws_guard *g, uint64_t message_bytes_max)
{
	uint64_t least = guard_length_least(g);
	if (least >> 63)
		return FAULT_LENGTH;
	if (guard_rule(g)->is_control)
		return FAULT_NONE;
	bool fits = g->message <= message_bytes_max && least <= message_bytes_max - g->message;
	return fits ? FAULT_NONE : FAULT_MESSAGE_LENGTH;
}

static enum guard_fault guard_head(const struct ws_guard *g, uint64_t message_bytes_max)
{
	if (g->head_len == 1)
		return guard_first(g);
	enum guard_fault fault = g->head_len == 2 ? guard_second(g) : FAULT_NONE;
	return fault ? fault : guard_length(g, message_bytes_max);
}

static void guard_head_end(struct ws_guard *g)
{
	g->in_payload = true;
	g->left = guard_length_least(g);
	if (guard_rule(g)->is_control)
		return;
	g->in_message = !(g->head[0] & BIT_FIN);
	g->message = g->in_message ? g->message + g->left : 0;
}

/* ---- frames ---- */

static void guard_head_byte(struct ws_guard *g, struct guard_walk *w)
{
	assert(g->head_len < sizeof g->head);
	g->head[g->head_len++] = w->bytes.data[w->at];
	w->fault = guard_head(g, w->message_bytes_max);
	if (w->fault)
		return;
	w->at++;
	if (g->head_len >= 2 && g->head_len == LENGTH_AT + guard_length_bytes(g) + KEY_BYTES)
		guard_head_end(g);
}

/* Walks on to the end of the present frame, of the bytes, or to a fault. Returns whether the frame ended. */
static bool guard_frame(struct ws_guard *g, struct guard_walk *w)
{
	while (!g->in_payload && !w->fault && w->at < w->bytes.len)
		guard_head_byte(g, w);
	if (!g->in_payload)
		return false;
	size_t more = w->bytes.len - w->at;
	size_t n = more < g->left ? more : (size_t)g->left;
	w->at += n;
	g->left -= n;
	if (g->left > 0)
		return false;
	g->in_payload = false;
	g->head_len = 0;
	return true;
}

/* Whether the next byte belongs to a Close frame. */
static bool guard_at_close(const struct ws_guard *g, const struct guard_walk *w)
{
	return guard_is_close(g->head_len > 0 ? g->head[0] : w->bytes.data[w->at]);
}

/* What goes on as it came: up to a Close frame, or to the end of another control frame. */
static gh_status guard_pass(struct ws_guard *g, struct guard_walk *w)
{
	bool stops = false;
	while (!stops && !w->fault && w->at < w->bytes.len && !guard_at_close(g, w))
		stops = guard_frame(g, w) && guard_rule(g)->is_control;
	w->pass = (gh_bytes){w->bytes.data, w->at};
	return stops ? GH_OK : GH_AGAIN;
}

/* ---- Close ---- */

/* Codes a peer may send (RFC 6455 7.4, and 1012 to 1014 as registered since). */
static bool guard_code_is_sent(unsigned code)
{
	static const struct {
		uint16_t first, last;
	} sent[] = {{1000, 1003}, {1007, 1014}, {3000, 4999}};
	for (size_t i = 0; i < sizeof sent / sizeof *sent; i++)
		if (code >= sent[i].first && code <= sent[i].last)
			return true;
	return false;
}

static enum guard_fault guard_close(const struct ws_guard *g)
{
	const uint8_t *payload = g->held + WS_CONTROL_HEAD_BYTES, *key = payload - KEY_BYTES;
	uint8_t plain[WS_CONTROL_BYTES_MAX];
	size_t len = (size_t)g->held_len - WS_CONTROL_HEAD_BYTES;
	if (len == 0)
		return FAULT_NONE;
	assert(len >= 2 && len <= sizeof plain);
	for (size_t i = 0; i < len; i++)
		plain[i] = payload[i] ^ key[i % KEY_BYTES];
	if (!guard_code_is_sent((unsigned)plain[0] << 8 | plain[1]))
		return FAULT_CLOSE_CODE;
	return text_is_utf8((gh_bytes){plain + 2, len - 2}) ? FAULT_NONE : FAULT_CLOSE_REASON;
}

static gh_status guard_hold(struct ws_guard *g, struct guard_walk *w)
{
	bool ended = guard_frame(g, w);
	assert(w->at <= sizeof g->held - g->held_len);
	memcpy(g->held + g->held_len, w->bytes.data, w->at);
	g->held_len += (uint8_t)w->at;
	if (!ended)
		return GH_AGAIN;
	g->over = true;
	w->fault = guard_close(g);
	if (!w->fault)
		w->pass = (gh_bytes){g->held, g->held_len};
	return GH_OK;
}

/* ---- */

gh_status ws_guard_next(struct ws_guard *g, gh_bytes bytes, uint64_t message_bytes_max, size_t *ret_taken,
	gh_bytes *ret_pass, uint16_t *ret_close, gh_error *ret_err)
{
	struct guard_walk w = {.bytes = bytes, .message_bytes_max = message_bytes_max};
	gh_status status = GH_AGAIN;
	if (!g->over && bytes.len > 0)
		status = guard_at_close(g, &w) ? guard_hold(g, &w) : guard_pass(g, &w);
	else
		w.at = bytes.len;
	if (w.fault) {
		g->over = true;
		w.at = bytes.len;
		status = gh_fail(ret_err, faults[w.fault].status, faults[w.fault].code, "%s", faults[w.fault].text);
	}
	*ret_taken = w.at;
	*ret_pass = w.pass;
	*ret_close = faults[w.fault].close;
	return status;
}
