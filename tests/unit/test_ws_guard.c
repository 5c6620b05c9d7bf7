/* What a WebSocket client may send: frames whole, byte by byte and cut at every offset, each fault found at the byte
 * that shows it. */
#include "tests/suite.h"

#include "src/base/buf.h"
#include "src/base/text.h"
#include "transports/websocket/ws_guard.h"

#include <stdlib.h>

SUITE(ws_guard);

enum { MESSAGE_MAX = 1000, WHOLE = 1 << 20 };

/* One reading of a stream: what came of it, over all pieces. */
struct guard_run {
	struct ws_guard guard;
	uint64_t message_max;
	struct buf passed;
	size_t controls; /* how often GH_OK was said */
	size_t taken;    /* over all pieces */
	size_t calls;
	gh_status status; /* GH_AGAIN, or the fault */
	uint16_t close;
	size_t fault_from, fault_to; /* the piece that had it */
	gh_error err;
};

static void run_init(struct guard_run *run, uint64_t message_max)
{
	*run = (struct guard_run){.message_max = message_max, .status = GH_AGAIN};
	ws_guard_init(&run->guard);
}

static void run_done(struct guard_run *run)
{
	buf_done(&run->passed);
}

/* One call, on a copy of exactly that length, so that a sanitizer sees any step beyond it; returns what was taken. */
static size_t run_call(struct guard_run *run, gh_bytes bytes, gh_status *ret_status)
{
	uint8_t *exact = bytes.len ? malloc(bytes.len) : NULL;
	cr_assert(exact != NULL || bytes.len == 0);
	if (exact)
		memcpy(exact, bytes.data, bytes.len);
	size_t taken = SIZE_MAX;
	gh_bytes pass = {NULL, SIZE_MAX};
	uint16_t close = UINT16_MAX;
	*ret_status = ws_guard_next(
		&run->guard, (gh_bytes){exact, bytes.len}, run->message_max, &taken, &pass, &close, &run->err);
	cr_assert(taken <= bytes.len && (taken > 0 || bytes.len == 0), "a call gets on, and never too far");
	buf_append(&run->passed, pass.data, pass.len);
	free(exact);
	bool fault = *ret_status != GH_OK && *ret_status != GH_AGAIN;
	cr_assert((close != 0) == fault, "a close code with a fault only");
	cr_assert(run->status == GH_AGAIN || (!fault && pass.len == 0), "nothing follows a fault");
	if (fault) {
		cr_assert(taken == bytes.len, "a fault takes everything");
		run->status = *ret_status;
		run->close = close;
		run->fault_from = run->taken;
		run->fault_to = run->taken + taken;
	}
	run->controls += *ret_status == GH_OK;
	run->taken += taken;
	run->calls++;
	return taken;
}

static void run_feed(struct guard_run *run, gh_bytes bytes)
{
	gh_status status;
	for (size_t at = 0; at < bytes.len;)
		at += run_call(run, (gh_bytes){bytes.data + at, bytes.len - at}, &status);
}

/* Bytes in a small language: hex pairs, 'text', *N for N times the letter a, blanks; `!` stands before the byte that
 * shows the fault. */
static void frame_bytes(struct buf *out, const char *text, size_t *ret_fault)
{
	*ret_fault = SIZE_MAX;
	while (*text) {
		char *end = NULL;
		if (*text == '!') {
			*ret_fault = out->len;
			text++;
		} else if (*text == '\'') {
			const char *from = text + 1;
			text = strchr(from, '\'') + 1;
			buf_append(out, from, (size_t)(text - 1 - from));
		} else if (*text == '*') {
			for (unsigned long n = strtoul(text + 1, &end, 10); n > 0; n--)
				buf_put_u8(out, 'a');
			text = end;
		} else if (*text == ' ') {
			text++;
		} else {
			char hex[3] = {text[0], text[1], 0};
			buf_put_u8(out, (uint8_t)strtoul(hex, &end, 16));
			cr_assert(end == hex + 2, "a hex pair at: %s", text);
			text += 2;
		}
	}
}

static void run_text(struct guard_run *run, const char *text)
{
	struct buf bytes = {0};
	size_t fault;
	frame_bytes(&bytes, text, &fault);
	run_feed(run, buf_bytes(&bytes));
	buf_done(&bytes);
}

/* ---- the table ---- */

struct guard_case {
	const char *name;
	const char *bytes;
	size_t passed;   /* of the first bytes */
	size_t controls; /* whole ones */
	gh_status status;
	uint16_t close;
	const char *code;
};

#define FINE GH_AGAIN, 0, NULL
#define PROTOCOL(code) GH_MALFORMED, 1002, code
#define TEXT GH_INVALID, 1003, "frame_text"
#define BAD_REASON GH_MALFORMED, 1007, "close_reason"
#define TOO_LARGE GH_TOO_LARGE, 1009, "message_length"

static const struct guard_case cases[] = {
	/* data */
	{"nothing", "", 0, 0, FINE},
	{"half a head", "82", 1, 0, FINE},
	{"binary", "82 83 01020304 'abc'", 9, 0, FINE},
	{"binary, unfinished payload", "82 83 01020304 'a'", 7, 0, FINE},
	{"binary, empty", "82 80 01020304", 6, 0, FINE},
	{"binary, two of them", "82 81 01020304 'a' 82 82 05060708 'bc'", 15, 0, FINE},
	{"binary, empty ones and others", "82 80 01020304 82 81 01020304 'a' 82 80 01020304", 19, 0, FINE},
	{"binary, 125 bytes", "82 fd 01020304 *125", 131, 0, FINE},
	{"binary, 126 bytes in two bytes", "82 fe 007e 01020304 *126 82 80 01020304", 140, 0, FINE},
	{"binary, 300 bytes in eight bytes", "82 ff 000000000000012c 01020304 *300 82 80 01020304", 320, 0, FINE},
	{"5.2 a length longer than it need be, two bytes", "82 fe 0003 01020304 'abc' 82 80 01020304", 17, 0, FINE},
	{"5.2 a length longer than it need be, eight bytes", "82 ff 0000000000000003 01020304 'abc' 89 80 01020304", 23,
		1, FINE},
	{"a length of nothing in two bytes", "82 fe 0000 01020304 82 80 01020304", 14, 0, FINE},
	{"a length of nothing in eight bytes", "82 ff 0000000000000000 01020304 82 80 01020304", 20, 0, FINE},
	{"payload that looks like faults", "82 84 01020304 ff 7f 81 00 82 80 01020304", 16, 0, FINE},
	{"a mask that looks like faults", "82 81 ff7f8100 'a' 82 80 ffffffff", 13, 0, FINE},
	{"a mask of zeros", "82 82 00000000 'ab'", 8, 0, FINE},
	/* fragments */
	{"5.4 two fragments", "02 81 01020304 'a' 80 81 01020304 'b'", 14, 0, FINE},
	{"5.4 three fragments, then another message",
		"02 81 01020304 'a' 00 81 01020304 'b' 80 81 01020304 'c' 82 81 01020304 'd'", 28, 0, FINE},
	{"5.4 empty fragments", "02 80 01020304 00 80 01020304 80 80 01020304 82 80 01020304", 24, 0, FINE},
	{"5.4 a message that stays unfinished", "02 81 01020304 'a' 00 81 01020304 'b'", 14, 0, FINE},
	{"5.4 control frames between fragments",
		"02 81 01020304 'a' 89 82 01020304 'hi' 00 80 01020304 8a 80 01020304 80 81 01020304 'b'", 34, 2, FINE},
	{"5.4 a Close between fragments", "02 81 01020304 'a' 88 80 01020304", 13, 1, FINE},
	{"5.4 a continuation of nothing", "!80 81 01020304 'a'", 0, 0, PROTOCOL("frame_continues_nothing")},
	{"5.4 a fragment that continues nothing", "!00 81 01020304 'a'", 0, 0, PROTOCOL("frame_continues_nothing")},
	{"5.4 a continuation behind a whole message", "82 81 01020304 'a' !80 81 01020304 'b'", 7, 0,
		PROTOCOL("frame_continues_nothing")},
	{"5.4 a continuation behind the last fragment", "02 80 01020304 80 80 01020304 !80 80 01020304", 12, 0,
		PROTOCOL("frame_continues_nothing")},
	{"5.4 a continuation behind a ping", "89 80 01020304 !80 80 01020304", 6, 1,
		PROTOCOL("frame_continues_nothing")},
	{"5.4 a message inside a message", "02 81 01020304 'a' !82 81 01020304 'b'", 7, 0,
		PROTOCOL("frame_interrupts_message")},
	{"5.4 fragments inside fragments", "02 81 01020304 'a' !02 81 01020304 'b'", 7, 0,
		PROTOCOL("frame_interrupts_message")},
	{"5.4 a message inside a message, behind a ping", "02 80 01020304 89 80 01020304 !82 80 01020304", 12, 1,
		PROTOCOL("frame_interrupts_message")},
	/* text */
	{"1.3 text", "!81 83 01020304 'abc'", 0, 0, TEXT},
	{"1.3 a first fragment of text", "!01 83 01020304 'abc'", 0, 0, TEXT},
	{"1.3 text behind binary", "82 81 01020304 'a' !81 81 01020304 'b'", 7, 0, TEXT},
	{"1.3 text without a mask is text first", "!81 03 'abc'", 0, 0, TEXT},
	{"5.4 text inside a message", "02 81 01020304 'a' !81 81 01020304 'b'", 7, 0,
		PROTOCOL("frame_interrupts_message")},
	{"5.2 text with a reserved bit", "!c1 81 01020304 'a'", 0, 0, PROTOCOL("frame_reserved_bits")},
	/* the first byte */
	{"5.2 RSV1, as of a compressed message", "!c2 81 01020304 'a'", 0, 0, PROTOCOL("frame_reserved_bits")},
	{"5.2 RSV2", "!a2 81 01020304 'a'", 0, 0, PROTOCOL("frame_reserved_bits")},
	{"5.2 RSV3", "!92 81 01020304 'a'", 0, 0, PROTOCOL("frame_reserved_bits")},
	{"5.2 all reserved bits of a ping", "!f9 80 01020304", 0, 0, PROTOCOL("frame_reserved_bits")},
	{"5.2 RSV1 of a Close", "!c8 80 01020304", 0, 0, PROTOCOL("frame_reserved_bits")},
	{"5.2 RSV1 of a second frame", "82 82 01020304 'ab' !c2 80 01020304", 8, 0, PROTOCOL("frame_reserved_bits")},
	{"5.2 RSV1 of a continuation", "02 80 01020304 !c0 80 01020304", 6, 0, PROTOCOL("frame_reserved_bits")},
	{"5.2 opcode 3", "!83 80 01020304", 0, 0, PROTOCOL("frame_reserved_opcode")},
	{"5.2 opcode 7, inside a message", "02 80 01020304 !87 80 01020304", 6, 0, PROTOCOL("frame_reserved_opcode")},
	{"5.2 opcode 11", "!8b 80 01020304", 0, 0, PROTOCOL("frame_reserved_opcode")},
	{"5.2 opcode 15 without FIN", "!0f 80 01020304", 0, 0, PROTOCOL("frame_reserved_opcode")},
	{"5.5 a fragmented ping", "!09 80 01020304", 0, 0, PROTOCOL("control_fragmented")},
	{"5.5 a fragmented pong", "!0a 80 01020304", 0, 0, PROTOCOL("control_fragmented")},
	{"5.5 a fragmented Close", "!08 80 01020304", 0, 0, PROTOCOL("control_fragmented")},
	{"5.5 a fragmented Close behind a message", "82 80 01020304 !08 80 01020304", 6, 0,
		PROTOCOL("control_fragmented")},
	{"HTTP where frames are due", "!'GET / HTTP/1.1'", 0, 0, PROTOCOL("frame_reserved_bits")},
	{"MQTT where frames are due", "!10 0c 0004 'MQTT' 04 02 003c 0000", 0, 0, PROTOCOL("frame_reserved_bits")},
	/* the second byte, and the length */
	{"5.1 binary without a mask", "82 !03 'abc'", 1, 0, PROTOCOL("frame_not_masked")},
	{"5.1 a continuation without a mask", "02 80 01020304 80 !00", 7, 0, PROTOCOL("frame_not_masked")},
	{"5.1 a ping without a mask", "89 !00", 1, 0, PROTOCOL("frame_not_masked")},
	{"5.1 a Close without a mask", "88 !02 03e8", 0, 0, PROTOCOL("frame_not_masked")},
	{"5.1 a length in two bytes without a mask", "82 !7e 0003 'abc'", 1, 0, PROTOCOL("frame_not_masked")},
	{"5.1 a length in eight bytes without a mask", "82 !7f 8000000000000000", 1, 0, PROTOCOL("frame_not_masked")},
	{"5.5 a long ping without a mask", "89 !7e 0080", 1, 0, PROTOCOL("frame_not_masked")},
	{"5.5 a ping of 126 bytes", "89 !fe 007e 01020304 *126", 1, 0, PROTOCOL("control_length")},
	{"5.5 a pong with a length in eight bytes", "8a !ff 0000000000000001 01020304 'a'", 1, 0,
		PROTOCOL("control_length")},
	{"5.5 a short Close with a length in two bytes", "88 !fe 0002 00000000 03e8", 0, 0, PROTOCOL("control_length")},
	{"5.5 a long ping behind a message", "82 81 01020304 'a' 89 !fe 007e", 8, 0, PROTOCOL("control_length")},
	{"5.2 a length with its highest bit set", "82 ff !8000000000000001 01020304 'a'", 2, 0,
		PROTOCOL("frame_length")},
	{"5.2 a length of all bits", "82 ff !ffffffffffffffff 01020304 'a'", 2, 0, PROTOCOL("frame_length")},
	{"5.2 a continuation of all bits", "02 81 01020304 'a' 80 ff !ffffffffffffffff", 9, 0,
		PROTOCOL("frame_length")},
	/* the limit */
	{"as much as is allowed", "82 fe 03e8 01020304 *1000 82 80 01020304", 1014, 0, FINE},
	{"one byte more", "82 fe 03 !e9 01020304 *1001", 3, 0, TOO_LARGE},
	{"too large by its higher byte", "82 fe !04 00", 2, 0, TOO_LARGE},
	{"too large in eight bytes", "82 ff 000000000000 03 !e9 01020304", 9, 0, TOO_LARGE},
	{"too large in the highest byte", "82 ff !7fffffffffffffff 01020304", 2, 0, TOO_LARGE},
	{"too large in the middle", "82 ff 000000 !01 00000000", 5, 0, TOO_LARGE},
	{"fragments as large as is allowed", "02 fe 0384 01020304 *900 80 e4 01020304 *100 82 80 01020304", 1020, 0,
		FINE},
	{"fragments, one byte more", "02 fe 0384 01020304 *900 80 !e5 01020304 *101", 909, 0, TOO_LARGE},
	{"fragments, the third is too much",
		"02 fe 01f4 01020304 *500 00 fe 01f4 01020304 *500 00 80 01020304 80 !81 01020304 'a'", 1023, 0,
		TOO_LARGE},
	{"fragments, more than a number holds", "02 81 01020304 'a' 00 ff !7fffffffffffffff 01020304", 9, 0, TOO_LARGE},
	{"messages count alone", "82 fe 03e8 01020304 *1000 02 fe 03e8 01020304 *1000 80 80 01020304", 2022, 0, FINE},
	{"control frames count for no message", "02 fe 03e8 01020304 *1000 89 fd 01020304 *125 80 80 01020304", 1145, 1,
		FINE},
	/* control frames */
	{"5.5.2 a ping", "89 80 01020304", 6, 1, FINE},
	{"5.5.2 a ping of 125 bytes", "89 fd 01020304 *125", 131, 1, FINE},
	{"5.5.2 half a ping", "89 82 01020304 'a'", 7, 0, FINE},
	{"5.5.3 a pong that no one asked for", "8a 83 01020304 'abc'", 9, 1, FINE},
	{"5.5.3 a pong of one byte", "8a 81 01020304 'a'", 7, 1, FINE},
	{"5.5.2 pings behind one another", "89 80 01020304 89 81 01020304 'a' 89 80 01020304", 19, 3, FINE},
	{"5.5.2 a ping between messages", "82 81 01020304 'a' 89 80 01020304 82 81 01020304 'b'", 20, 1, FINE},
	/* Close */
	{"5.5.1 Close", "88 80 01020304", 6, 1, FINE},
	{"5.5.1 Close behind a message", "82 82 01020304 'ab' 88 80 01020304", 14, 1, FINE},
	{"5.5.1 Close behind a ping", "89 80 01020304 88 80 01020304", 12, 2, FINE},
	{"5.5.1 nothing is read behind Close", "88 80 01020304 82 81 01020304 'a'", 6, 1, FINE},
	{"5.5.1 not even faults", "88 80 01020304 ff ff ff ff ff ff ff", 6, 1, FINE},
	{"5.5.1 half a Close", "88 85 00000000 03e8 'by'", 0, 0, FINE},
	{"5.5.1 half a Close behind a message", "82 82 01020304 'ab' 88 82 0000", 8, 0, FINE},
	{"5.5.1 Close with a code", "88 82 00000000 03e8", 8, 1, FINE},
	{"5.5.1 Close with a masked code", "88 82 ff00ff00 fce8", 8, 1, FINE},
	{"5.5.1 Close with a masked code and reason", "88 84 01020304 02ea 6b 6d", 10, 1, FINE},
	{"5.5.1 Close with a reason", "88 85 00000000 03e8 'bye'", 11, 1, FINE},
	{"5.5.1 Close with a reason of 123 bytes", "88 fd 00000000 03e8 *123", 131, 1, FINE},
	{"5.5.1 Close with half a code", "88 !81 00000000 03", 0, 0, PROTOCOL("close_length")},
	{"5.5.1 Close with half a code behind a message", "82 80 01020304 88 !81 00000000 03", 6, 0,
		PROTOCOL("close_length")},
	{"7.4 code 0", "88 82 00000000 00 !00", 0, 0, PROTOCOL("close_code")},
	{"7.4 code 999", "88 82 00000000 03 !e7", 0, 0, PROTOCOL("close_code")},
	{"7.4 code 999 behind a mask", "88 82 01020304 02 !e5", 0, 0, PROTOCOL("close_code")},
	{"7.4 a bad code behind a message, both in one", "82 81 01020304 'a' 88 82 00000000 03 !e7 82 80 01020304", 7,
		0, PROTOCOL("close_code")},
	{"7.4 a bad code with a bad reason", "88 83 00000000 03e7 !ff", 0, 0, PROTOCOL("close_code")},
	{"8.1 a reason in two, three and four bytes", "88 8b 00000000 03e8 c3a9 e282ac f09f9880", 17, 1, FINE},
	{"8.1 a reason behind a mask", "88 84 11223344 12ca f0ed", 10, 1, FINE},
	{"8.1 the last character there is", "88 86 00000000 03e8 f48fbfbf", 12, 1, FINE},
	{"8.1 a byte of no character", "88 83 00000000 03e8 !ff", 0, 0, BAD_REASON},
	{"8.1 a character cut in half", "88 84 00000000 03e8 'a' !c3", 0, 0, BAD_REASON},
	{"8.1 a reason that begins in the middle", "88 84 00000000 03e8 80 !'a'", 0, 0, BAD_REASON},
	{"8.1 overlong, two bytes", "88 84 00000000 03e8 c0 !af", 0, 0, BAD_REASON},
	{"8.1 overlong, three bytes", "88 85 00000000 03e8 e080 !af", 0, 0, BAD_REASON},
	{"8.1 overlong, four bytes", "88 86 00000000 03e8 f08080 !af", 0, 0, BAD_REASON},
	{"8.1 a surrogate", "88 85 00000000 03e8 eda0 !80", 0, 0, BAD_REASON},
	{"8.1 beyond the last character", "88 86 00000000 03e8 f49080 !80", 0, 0, BAD_REASON},
	{"8.1 plain text that is not, once unmasked", "88 83 80808080 8368 !'a'", 0, 0, BAD_REASON},
	{"8.1 a bad reason behind a ping", "89 80 01020304 88 83 00000000 03e8 !ff", 6, 1, BAD_REASON},
};

enum { CASE_COUNT = sizeof cases / sizeof *cases };

static void case_check(const struct guard_case *c, const struct guard_run *run, gh_bytes bytes, size_t fault)
{
	cr_assert(run->status == c->status, "%s: %s", c->name, gh_status_name(run->status));
	cr_assert(run->close == c->close, "%s: close code %u", c->name, run->close);
	cr_assert(run->controls == c->controls, "%s: %zu control frames", c->name, run->controls);
	cr_assert(text_equal(buf_bytes(&run->passed), (gh_bytes){bytes.data, c->passed}), "%s: %zu bytes are passed",
		c->name, run->passed.len);
	cr_assert(run->taken == bytes.len, "%s: everything is taken", c->name);
	cr_assert((fault == SIZE_MAX) == (c->code == NULL), "%s: `!` marks the fault", c->name);
	if (!c->code)
		return;
	cr_assert_str_eq(run->err.code, c->code, "%s: %s", c->name, run->err.code);
	cr_assert(run->err.status == c->status && run->err.text[0], "%s: the fault has a sentence", c->name);
	cr_assert(run->fault_from <= fault && fault < run->fault_to, "%s: found in the bytes %zu to %zu", c->name,
		run->fault_from, run->fault_to);
}

/* The first `cut` bytes, then in pieces of `step`. */
static void case_run(const struct guard_case *c, size_t cut, size_t step)
{
	struct buf bytes = {0};
	size_t fault;
	struct guard_run run;
	frame_bytes(&bytes, c->bytes, &fault);
	run_init(&run, MESSAGE_MAX);
	run_feed(&run, (gh_bytes){bytes.data, cut});
	for (size_t at = cut; at < bytes.len; at += step)
		run_feed(&run, (gh_bytes){bytes.data + at, bytes.len - at < step ? bytes.len - at : step});
	case_check(c, &run, buf_bytes(&bytes), fault);
	run_done(&run);
	buf_done(&bytes);
}

static size_t case_len(const struct guard_case *c)
{
	struct buf bytes = {0};
	size_t fault;
	frame_bytes(&bytes, c->bytes, &fault);
	size_t len = bytes.len;
	buf_done(&bytes);
	return len;
}

Test(ws_guard, each_stream_is_judged_by_the_table)
{
	for (size_t i = 0; i < CASE_COUNT; i++)
		case_run(&cases[i], 0, WHOLE);
}

Test(ws_guard, byte_by_byte_it_is_judged_the_same_and_at_the_byte_that_shows_it)
{
	for (size_t i = 0; i < CASE_COUNT; i++)
		case_run(&cases[i], 0, 1);
}

Test(ws_guard, cut_anywhere_it_is_judged_the_same)
{
	for (size_t i = 0; i < CASE_COUNT; i++)
		for (size_t cut = 1, len = case_len(&cases[i]); cut < len; cut++)
			case_run(&cases[i], cut, WHOLE);
}

Test(ws_guard, in_small_pieces_it_is_judged_the_same)
{
	for (size_t i = 0; i < CASE_COUNT; i++)
		for (size_t step = 2; step < 16; step++)
			case_run(&cases[i], 0, step);
}

/* ---- all values of a field ---- */

/* The fault of one frame's bytes, behind `before`; NULL without one. */
static const char *run_code(const char *before, gh_bytes bytes)
{
	struct guard_run run;
	run_init(&run, MESSAGE_MAX);
	run_text(&run, before);
	run_feed(&run, bytes);
	const char *code = run.status == GH_AGAIN ? NULL : run.err.code;
	cr_assert(!code || run.close == (strcmp(code, "frame_text") ? 1002 : 1003), "%s: close code", code);
	run_done(&run);
	return code;
}

static bool code_is(const char *code, const char *wanted)
{
	return code && wanted ? strcmp(code, wanted) == 0 : code == wanted;
}

static const char *first_byte_code(uint8_t first, bool inside)
{
	static const char *const of_opcode[2][16] = {
		{"frame_continues_nothing", "frame_text", NULL},
		{NULL, "frame_interrupts_message", "frame_interrupts_message"},
	};
	uint8_t opcode = first & 15;
	if (first & 0x70)
		return "frame_reserved_bits";
	if ((opcode > 2 && opcode < 8) || opcode > 10)
		return "frame_reserved_opcode";
	return opcode >= 8 && first < 0x80 ? "control_fragmented" : of_opcode[inside][opcode];
}

Test(ws_guard, every_first_byte_is_judged_outside_and_inside_a_message)
{
	for (unsigned first = 0; first < 256; first++) {
		uint8_t byte = (uint8_t)first;
		const char *outside = run_code("", (gh_bytes){&byte, 1});
		const char *inside = run_code("02 81 01020304 'a'", (gh_bytes){&byte, 1});
		cr_assert(code_is(outside, first_byte_code(byte, false)), "%02x outside: %s", first, outside);
		cr_assert(code_is(inside, first_byte_code(byte, true)), "%02x inside: %s", first, inside);
	}
}

static const char *second_byte_code(uint8_t first, uint8_t second)
{
	if (second < 0x80)
		return "frame_not_masked";
	if (first >= 0x88 && second > 0xfd)
		return "control_length";
	return first == 0x88 && second == 0x81 ? "close_length" : NULL;
}

Test(ws_guard, every_second_byte_is_judged_by_the_kind_of_frame)
{
	static const uint8_t kinds[] = {0x02, 0x82, 0x88, 0x89, 0x8a};
	for (size_t i = 0; i < sizeof kinds; i++)
		for (unsigned second = 0; second < 256; second++) {
			uint8_t head[] = {kinds[i], (uint8_t)second};
			const char *code = run_code("", (gh_bytes){head, sizeof head});
			cr_assert(code_is(code, second_byte_code(head[0], head[1])), "%02x %02x: %s", head[0], second,
				code);
		}
}

static bool close_code_may_be_sent(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

Test(ws_guard, every_code_of_a_close_frame_is_judged_behind_its_mask)
{
	for (unsigned code = 0; code < 65536; code++) {
		uint8_t frame[] = {0x88, 0x82, 0x5a, 0xc3, 0, 0, (code >> 8) ^ 0x5a, (code & 0xff) ^ 0xc3};
		struct guard_run run;
		run_init(&run, MESSAGE_MAX);
		run_feed(&run, (gh_bytes){frame, sizeof frame});
		bool allowed = close_code_may_be_sent(code);
		cr_assert((run.status == GH_AGAIN) == allowed && run.close == (allowed ? 0 : 1002), "code %u", code);
		cr_assert(run.passed.len == (allowed ? sizeof frame : 0), "code %u", code);
		run_done(&run);
	}
}

/* ---- threats ---- */

Test(ws_guard, threat_10_the_highest_bit_of_a_64_bit_length_is_refused_at_its_byte)
{
	for (unsigned byte = 0x80; byte < 256; byte++) {
		uint8_t head[] = {0x82, 0xff, (uint8_t)byte};
		cr_assert_str_eq(run_code("", (gh_bytes){head, sizeof head}), "frame_length", "%02x", byte);
		head[0] = 0x80;
		cr_assert_str_eq(
			run_code("02 80 01020304", (gh_bytes){head, sizeof head}), "frame_length", "%02x", byte);
	}
}

Test(ws_guard, threat_10_reserved_bits_are_refused_whatever_else_the_byte_says)
{
	for (unsigned first = 0; first < 256; first++) {
		uint8_t byte = (uint8_t)first;
		if (!(byte & 0x70))
			continue;
		cr_assert_str_eq(run_code("", (gh_bytes){&byte, 1}), "frame_reserved_bits", "%02x", first);
		cr_assert_str_eq(
			run_code("02 81 01020304 'a'", (gh_bytes){&byte, 1}), "frame_reserved_bits", "%02x", first);
	}
}

Test(ws_guard, threat_10_control_frames_in_fragments_or_of_more_than_125_bytes_are_refused)
{
	static const char *const before[] = {"", "82 80 01020304", "02 81 01020304 'a'", "89 81 01020304 'a'"};
	for (size_t i = 0; i < sizeof before / sizeof *before; i++)
		for (uint8_t opcode = 8; opcode <= 10; opcode++) {
			uint8_t head[] = {opcode, 0x80};
			cr_assert_str_eq(run_code(before[i], (gh_bytes){head, 1}), "control_fragmented");
			head[0] |= 0x80;
			for (unsigned length = 0xfe; length <= 0xff; length++) {
				head[1] = (uint8_t)length;
				cr_assert_str_eq(run_code(before[i], (gh_bytes){head, 2}), "control_length");
			}
		}
}

/* ---- how it is called ---- */

Test(ws_guard, a_call_ends_behind_each_control_frame)
{
	struct guard_run run;
	gh_status status;
	struct buf bytes = {0};
	size_t fault;
	frame_bytes(&bytes, "82 81 01020304 'a' 89 80 01020304 8a 81 01020304 'b' 82 80 01020304", &fault);
	run_init(&run, MESSAGE_MAX);
	cr_assert(run_call(&run, buf_bytes(&bytes), &status) == 13 && status == GH_OK && run.passed.len == 13);
	cr_assert(run_call(&run, (gh_bytes){bytes.data + 13, bytes.len - 13}, &status) == 7 && status == GH_OK);
	cr_assert(run_call(&run, (gh_bytes){bytes.data + 20, bytes.len - 20}, &status) == 6 && status == GH_AGAIN);
	cr_assert(run.passed.len == bytes.len);
	run_done(&run);
	buf_done(&bytes);
}

Test(ws_guard, an_empty_call_changes_nothing_and_says_again)
{
	static const char *const before[] = {"", "82", "89 80 01020304", "88 85 00000000 03", "88 80 01020304", "c2"};
	for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
		struct guard_run run;
		gh_status status;
		run_init(&run, MESSAGE_MAX);
		run_text(&run, before[i]);
		struct ws_guard guard = run.guard;
		size_t passed = run.passed.len;
		run_call(&run, (gh_bytes){NULL, 0}, &status);
		cr_assert(status == GH_AGAIN && run.passed.len == passed, "behind %s", before[i]);
		cr_assert(memcmp(&guard, &run.guard, sizeof guard) == 0, "behind %s", before[i]);
		run_done(&run);
	}
}

Test(ws_guard, a_close_frame_is_passed_in_one_piece_as_it_came)
{
	struct buf bytes = {0};
	size_t fault, taken, last = 0;
	gh_bytes pass = {NULL, 0};
	uint16_t close;
	gh_error err;
	struct ws_guard guard;
	frame_bytes(&bytes, "82 81 01020304 'a' 88 84 01020304 02ea 6b 6d", &fault);
	ws_guard_init(&guard);
	cr_assert(ws_guard_next(&guard, buf_bytes(&bytes), MESSAGE_MAX, &taken, &pass, &close, &err) == GH_AGAIN);
	cr_assert(taken == 7 && pass.data == bytes.data && pass.len == 7, "the message before it goes first");
	for (size_t at = taken; at < bytes.len; at++) {
		gh_bytes byte = {bytes.data + at, 1};
		gh_status status = ws_guard_next(&guard, byte, MESSAGE_MAX, &taken, &pass, &close, &err);
		cr_assert(taken == 1 && close == 0 && (status == GH_OK) == (at + 1 == bytes.len), "byte %zu", at);
		cr_assert(pass.len == (status == GH_OK ? 10 : 0), "byte %zu", at);
		last = pass.len;
	}
	cr_assert(last == 10 && memcmp(pass.data, bytes.data + 7, 10) == 0, "still masked");
	buf_done(&bytes);
}

Test(ws_guard, nothing_is_passed_and_no_fault_found_behind_a_close_or_a_fault)
{
	static const char *const ends[] = {"88 80 01020304", "88 82 00000000 03e8", "c2", "82 00", "81", "82 fe ffff",
		"88 82 00000000 0000", "88 83 00000000 03e8 ff"};
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		struct guard_run run;
		gh_status status;
		run_init(&run, MESSAGE_MAX);
		run_text(&run, ends[i]);
		size_t passed = run.passed.len, controls = run.controls;
		for (size_t k = 0; k < CASE_COUNT; k++)
			run_text(&run, cases[k].bytes);
		cr_assert(run.passed.len == passed && run.controls == controls, "behind %s", ends[i]);
		cr_assert(
			run_call(&run, text_of("anything"), &status) == 8 && status == GH_AGAIN, "behind %s", ends[i]);
		run_done(&run);
	}
}

Test(ws_guard, a_fault_needs_no_place_for_its_sentence)
{
	struct ws_guard guard;
	size_t taken;
	gh_bytes pass;
	uint16_t close;
	ws_guard_init(&guard);
	cr_assert(ws_guard_next(&guard, text_of("\x81"), MESSAGE_MAX, &taken, &pass, &close, NULL) == GH_INVALID);
	cr_assert(taken == 1 && pass.len == 0 && close == WS_CLOSE_UNSUPPORTED);
}

/* ---- much of it ---- */

Test(ws_guard, a_mebibyte_passes_in_the_pieces_it_came_in)
{
	enum { BULK = 1 << 20 };
	static const size_t steps[] = {997, 16384, BULK, 2 * BULK};
	struct buf bytes = {0};
	size_t fault;
	frame_bytes(&bytes, "82 ff 0000000000100000 01020304", &fault);
	for (uint32_t i = 0; i < BULK; i++)
		buf_put_u8(&bytes, (uint8_t)(i * 2654435761u >> 24));
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct guard_run run;
		run_init(&run, BULK);
		for (size_t at = 0; at < bytes.len; at += steps[i])
			run_feed(&run,
				(gh_bytes){bytes.data + at, bytes.len - at < steps[i] ? bytes.len - at : steps[i]});
		cr_assert(run.status == GH_AGAIN && text_equal(buf_bytes(&run.passed), buf_bytes(&bytes)));
		cr_assert(run.calls == (bytes.len + steps[i] - 1) / steps[i], "one call a piece: %zu", run.calls);
		run_text(&run, "89 80 01020304");
		cr_assert(run.controls == 1, "the frame ended where it said");
		run_done(&run);
	}
	buf_done(&bytes);
}

Test(ws_guard, a_thousand_fragments_are_one_message_under_the_limit)
{
	struct guard_run run;
	run_init(&run, MESSAGE_MAX);
	run_text(&run, "02 81 01020304 'a'");
	for (size_t i = 1; i < MESSAGE_MAX; i++)
		run_text(&run, "00 81 01020304 'a' 89 81 01020304 'p' 00 80 01020304");
	cr_assert(run.status == GH_AGAIN && run.controls == MESSAGE_MAX - 1);
	run_text(&run, "80 81");
	cr_assert(run.status == GH_TOO_LARGE && run.close == WS_CLOSE_TOO_LARGE, "announced, not yet come");
	run_done(&run);
}

Test(ws_guard, the_sum_of_fragments_never_wraps)
{
	struct guard_run run;
	run_init(&run, UINT64_MAX);
	run.guard.in_message = true;
	run.guard.message = UINT64_MAX - 5;
	run_text(&run, "00 85 01020304 'abcde' 00 80 01020304");
	cr_assert(run.status == GH_AGAIN, "up to the last number");
	run_text(&run, "80 81");
	cr_assert(run.status == GH_TOO_LARGE);
	run_done(&run);
}

Test(ws_guard, a_limit_that_sank_below_what_came_refuses_the_rest)
{
	struct guard_run run;
	run_init(&run, MESSAGE_MAX);
	run_text(&run, "02 83 01020304 'abc'");
	run.message_max = 2;
	run_text(&run, "80 80");
	cr_assert(run.status == GH_TOO_LARGE && run.close == WS_CLOSE_TOO_LARGE);
	run_done(&run);
}
