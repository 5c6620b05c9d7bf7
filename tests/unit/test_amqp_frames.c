/* Frames cut from the stream and judged: whole, byte by byte, and cut everywhere. */
#include "tests/suite.h"

#include "src/base/take.h"
#include "tests/unit/amqp_bytes.h"
#include "transports/amqp/amqp_frames.h"

#include <stdio.h>

SUITE(amqp_frames);

enum { FRAME_MAX = 512, PLACES_MAX = 8 };

/* In words: a frame is "@0 ..." for one of AMQP on channel 0, "%0 ..." for one of SASL, anything else is bytes. */
static void frames_put(struct buf *b, const char *text)
{
	bool framed = *text == '@' || *text == '%';
	gh_bytes body = amqp_bytes(framed ? text + 2 : text);
	if (framed) {
		size_t size = body.len + AMQP_FRAME_HEAD_BYTES;
		uint8_t head[] = {
			0, 0, (uint8_t)(size >> 8), (uint8_t)size, 2, *text == '%', 0, (uint8_t)(text[1] - '0')};
		buf_append(b, head, sizeof head);
	}
	buf_append(b, body.data, body.len);
	amqp_bytes_free(body);
}

#define HEADER "'AMQP' 00 01 00 00"
#define SASL "'AMQP' 03 01 00 00"
#define SASL_INIT "%0 00 53 41 c0 (01 a3 ('PLAIN'))"
#define OPEN "@0 00 53 10 c0 (01 a1 ('c'))"
#define BEGIN "@0 00 53 11 c0 (04 40 43 52 08 52 08)"
#define BEGIN_1 "@1 00 53 11 c0 (04 40 43 52 08 52 08)"
#define SENDER_0 "@0 00 53 12 c0 (03 a1 ('s') 43 42)"
#define SENDER_1 "@0 00 53 12 c0 (03 a1 ('t') 52 01 42)"
#define RECEIVER_1 "@0 00 53 12 c0 (03 a1 ('r') 52 01 41)"
#define FIRST "@0 00 53 14 c0 (06 43 43 a0 ('x') 43 42 41) 'ab'"
#define MORE "@0 00 53 14 c0 (06 43 40 40 40 40 41) 'cd'"
#define LAST "@0 00 53 14 c0 (01 43) 'ef'"
#define WHOLE "@0 00 53 14 c0 (03 43 43 a0 ('x')) 'gh'"
#define ABORT "@0 00 53 14 c0 (0a 43 40 40 40 40 41 40 40 40 41)"
#define DETACH_0 "@0 00 53 16 c0 (02 43 41)"
#define END "@0 00 53 17 45"
#define CLOSE "@0 00 53 18 45"
#define UP HEADER, OPEN, BEGIN, SENDER_0

struct frames_case {
	const char *name;
	const char *in[12];
	const char *
		passed; /* a letter for each: h header, s SASL, e empty, o b a f t d D E c; T a transfer that is a first */
	const char *code; /* of the fault that ends it */
};

static char frames_letter(gh_bytes bytes, const struct amqp_frame *frame)
{
	static const char letters[] = "obaftdDEc";
	if (frame->performative)
		return frame->performative == 0x14 && frame->first ? 'T' : letters[frame->performative - 0x10];
	if (bytes.len == 8)
		return memcmp(bytes.data, "AMQP", 4) == 0 ? 'h' : 'e';
	return bytes.data[5] == 1 ? 's' : '?';
}

/* Feeds so many bytes at once; what came of it, in letters, and the code of the fault. */
static void frames_feed(gh_bytes all, size_t step, size_t places_max, char *ret_passed, const char **ret_code)
{
	struct amqp_frames f;
	size_t count = 0;
	*ret_code = NULL;
	amqp_frames_init(&f, FRAME_MAX, places_max);
	for (size_t at = 0; at < all.len;) {
		gh_bytes cut = amqp_bytes_cut(
			(gh_bytes){all.data + at, all.len - at}, step < all.len - at ? step : all.len - at);
		gh_bytes rest = cut;
		while (rest.len > 0) {
			struct amqp_frame frame;
			gh_error err = {0};
			gh_bytes bytes;
			size_t taken = 0;
			gh_status status = amqp_frames_next(&f, rest, &taken, &bytes, &frame, &err);
			cr_assert(taken <= rest.len && (taken > 0 || status != GH_OK), "no progress");
			if (bytes.len)
				ret_passed[count++] = frames_letter(bytes, &frame);
			cr_assert((status == GH_OK) == (err.code == NULL) && !(*ret_code && (err.code || bytes.len)),
				"nothing comes after a fault");
			if (err.code)
				*ret_code = err.code;
			rest = (gh_bytes){rest.data + taken, rest.len - taken};
		}
		at += cut.len;
		amqp_bytes_free(cut);
	}
	ret_passed[count] = '\0';
	amqp_frames_done(&f);
}

static const struct frames_case frames_cases[] = {
	{"open without SASL", {HEADER, OPEN, CLOSE}, "hoc", NULL},
	{"after SASL", {SASL, SASL_INIT, HEADER, OPEN}, "hsho", NULL},
	{"heartbeats", {HEADER, OPEN, "@0", "@0"}, "hoee", NULL},
	{"an extended header", {HEADER, OPEN, "00 00 00 0c 03 00 00 00 aa bb cc dd"}, "ho?", NULL},
	{"HTTP", {"'GET / HTTP/1.1'"}, "", "amqp_header"},
	{"TLS inside of TLS", {"16 03 01 02 00 01 00 01"}, "", "amqp_header"},
	{"the TLS of AMQP", {"'AMQP' 02 01 00 00"}, "", "amqp_header"},
	{"AMQP 0.9", {"'AMQP' 00 00 09 01"}, "", "amqp_header"},
	{"the header twice", {HEADER, HEADER}, "h", "amqp_frame_max"},
	{"SASL twice", {SASL, SASL_INIT, SASL}, "hs", "amqp_header"},
	{"AMQP's header before a mechanism is named", {SASL, HEADER}, "h", "amqp_frame_max"},
	{"two mechanisms", {SASL, SASL_INIT, SASL_INIT}, "hs", "amqp_header"},
	{"mechanisms from a client", {SASL, "%0 00 53 40 c0 (01 a3 ('PLAIN'))"}, "h", "amqp_performative"},
	{"an outcome from a client", {SASL, "%0 00 53 44 c0 (01 50 00)"}, "h", "amqp_performative"},
	{"SASL after SASL", {SASL, SASL_INIT, HEADER, SASL_INIT}, "hsh", "amqp_order"},
	{"SASL without its header", {HEADER, SASL_INIT}, "h", "amqp_order"},
	{"open inside of SASL", {SASL, OPEN}, "h", "amqp_order"},
	{"an empty frame inside of SASL", {SASL, "%0"}, "h", "amqp_performative"},
	{"begin before open", {HEADER, BEGIN}, "h", "amqp_order"},
	{"open twice", {HEADER, OPEN, OPEN}, "ho", "amqp_order"},
	{"all after close", {HEADER, OPEN, CLOSE, BEGIN, "'any'"}, "hoc", NULL},
	{"size 7", {HEADER, OPEN, "00 00 00 07 02 00 00 00"}, "ho", "amqp_frame_size"},
	{"size 0", {HEADER, OPEN, "00 00 00 00 02 00 00 00"}, "ho", "amqp_frame_size"},
	{"doff 1", {HEADER, OPEN, "00 00 00 08 01 00 00 00"}, "ho", "amqp_frame_size"},
	{"doff beyond the frame", {HEADER, OPEN, "00 00 00 08 03 00 00 00"}, "ho", "amqp_frame_size"},
	{"larger than the maximum", {HEADER, OPEN, "00 00 02 01 02 00 00 00"}, "ho", "amqp_frame_max"},
	{"type 2", {HEADER, OPEN, "00 00 00 08 02 02 00 00"}, "ho", "amqp_frame_type"},
	{"performative 0x19", {HEADER, OPEN, "@0 00 53 19 45"}, "ho", "amqp_performative"},
	{"performative 0x0f", {HEADER, OPEN, "@0 00 53 0f 45"}, "ho", "amqp_performative"},
	{"a map instead of a list", {HEADER, OPEN, "@0 00 53 11 c1 (00)"}, "ho", "amqp_performative"},
	{"a symbol as descriptor", {HEADER, OPEN, "@0 00 a3 ('amqp:begin:list') 45"}, "ho", "amqp_performative"},
	{"no descriptor", {HEADER, OPEN, "@0 45"}, "ho", "amqp_performative"},
	{"half a performative", {HEADER, OPEN, "@0 00 53 11 c0 0a 04"}, "ho", "amqp_performative"},
	{"a session begun twice", {HEADER, OPEN, BEGIN, BEGIN}, "hob", "amqp_order"},
	{"an answer to a session nobody began", {HEADER, OPEN, "@0 00 53 11 c0 (04 60 00 00 43 43 43)"}, "ho",
		"amqp_order"},
	{"a session begun again", {HEADER, OPEN, BEGIN, END, BEGIN}, "hobEb", NULL},
	{"the end of no session", {HEADER, OPEN, END}, "ho", "amqp_order"},
	{"a link without session", {HEADER, OPEN, SENDER_0}, "ho", "amqp_order"},
	{"a handle used twice", {UP, SENDER_0}, "hoba", "amqp_handle_used"},
	{"a handle in another session", {UP, BEGIN_1, "@1 00 53 12 c0 (03 a1 ('s') 43 42)"}, "hobaba", NULL},
	{"a handle used again", {UP, DETACH_0, SENDER_0}, "hobaDa", NULL},
	{"a handle that is negative to Proton", {HEADER, OPEN, BEGIN, "@0 00 53 12 c0 (03 a1 ('s') 70 80 00 00 00 42)"},
		"hob", "amqp_handle_max"},
	{"an attach without role", {HEADER, OPEN, BEGIN, "@0 00 53 12 c0 (02 a1 ('s') 43)"}, "hob", "amqp_attach"},
	{"an attach with a described handle", {HEADER, OPEN, BEGIN, "@0 00 53 12 c0 (03 a1 ('s') 00 53 05 43 42)"},
		"hob", "amqp_attach"},
	{"a detach without handle", {UP, "@0 00 53 16 45"}, "hoba", "amqp_detach"},
	{"what comes late for a session", {UP, END, "@0 00 53 13 c0 (04 43 43 43 43)", DETACH_0, BEGIN}, "hobaEb",
		NULL},
	{"a transfer for a session that ended", {UP, END, WHOLE}, "hobaE", "amqp_handle"},
	{"whole deliveries", {UP, WHOLE, WHOLE}, "hobaTT", NULL},
	{"in pieces", {UP, FIRST, MORE, LAST, WHOLE}, "hobaTttT", NULL},
	{"aborted", {UP, FIRST, ABORT, FIRST}, "hobaTtT", NULL},
	{"a first without id", {UP, LAST}, "hoba", "amqp_delivery_id"},
	{"a first without tag", {UP, "@0 00 53 14 c0 (02 43 43)"}, "hoba", "amqp_delivery_id"},
	{"a first with a described id", {UP, "@0 00 53 14 c0 (03 43 00 53 01 43 a0 ('x'))"}, "hoba", "amqp_transfer"},
	{"a first with an id that is text", {UP, "@0 00 53 14 c0 (03 43 a1 ('1') a0 ('x'))"}, "hoba", "amqp_transfer"},
	{"a first after an aborted one, without id", {UP, FIRST, ABORT, LAST}, "hobaTt", "amqp_delivery_id"},
	{"a detach forgets what was under way", {UP, FIRST, DETACH_0, SENDER_0, LAST}, "hobaTDa", "amqp_delivery_id"},
	{"so does an end", {UP, FIRST, END, BEGIN, SENDER_0, LAST}, "hobaTEba", "amqp_delivery_id"},
	{"a transfer on no link", {UP, "@0 00 53 14 c0 (03 52 07 43 a0 ('x'))"}, "hoba", "amqp_handle"},
	{"a transfer from a receiver", {UP, RECEIVER_1, "@0 00 53 14 c0 (03 52 01 43 a0 ('x'))"}, "hobaa",
		"amqp_handle"},
	{"two links at once", {UP, SENDER_1, FIRST, "@0 00 53 14 c0 (06 52 01 52 01 a0 ('y') 43 42 41)", LAST},
		"hobaaTTt", NULL},
};

Test(amqp_frames, each_is_judged_the_same_however_it_comes)
{
	for (size_t i = 0; i < sizeof frames_cases / sizeof *frames_cases; i++) {
		const struct frames_case *c = &frames_cases[i];
		GH_CLEANUP(buf_done) struct buf all = {0};
		for (size_t j = 0; j < sizeof c->in / sizeof *c->in && c->in[j]; j++)
			frames_put(&all, c->in[j]);
		for (size_t step = 1; step <= all.len; step++) {
			char passed[64];
			const char *code;
			frames_feed(buf_bytes(&all), step, PLACES_MAX, passed, &code);
			cr_assert_str_eq(passed, c->passed, "%s: \"%s\" %s, %zu at a time", c->name, passed,
				code ? code : "", step);
			cr_assert(c->code ? code && strcmp(code, c->code) == 0 : !code, "%s: %s, %zu at a time",
				c->name, code ? code : "no fault", step);
		}
	}
}

Test(amqp_frames, the_largest_frame_passes)
{
	GH_CLEANUP(buf_done) struct buf all = {0};
	char passed[64];
	const char *code;
	uint8_t head[] = {0, 0, FRAME_MAX >> 8, 0, 2, 0, 0, 0}, filler[FRAME_MAX] = {0};
	gh_bytes transfer = amqp_bytes("00 53 14 c0 (03 43 43 a0 ('x'))");
	static const char *const up[] = {UP};
	for (size_t i = 0; i < sizeof up / sizeof *up; i++)
		frames_put(&all, up[i]);
	buf_append(&all, head, sizeof head);
	buf_append(&all, transfer.data, transfer.len);
	buf_append(&all, filler, FRAME_MAX - sizeof head - transfer.len);
	amqp_bytes_free(transfer);
	for (size_t step = 1; step < FRAME_MAX; step += 37) {
		frames_feed(buf_bytes(&all), step, PLACES_MAX, passed, &code);
		cr_assert_str_eq(passed, "hobaT");
	}
}

static void frames_nest(struct buf *b, size_t depth)
{
	GH_CLEANUP(buf_done) struct buf body = {0};
	static const uint8_t open[] = {0x00, 0x53, 0x10};
	buf_append(&body, open, sizeof open);
	for (size_t i = depth; i > 0; i--) {
		uint32_t size = (uint32_t)(4 + 9 * (i - 1));
		uint8_t list[] = {0xd0, 0, 0, (uint8_t)(size >> 8), (uint8_t)size, 0, 0, 0, i > 1};
		buf_append(&body, list, sizeof list);
	}
	size_t all = body.len + AMQP_FRAME_HEAD_BYTES;
	uint8_t head[] = {0, 0, (uint8_t)(all >> 8), (uint8_t)all, 2, 0, 0, 0};
	buf_append(b, head, sizeof head);
	buf_append(b, body.data, body.len);
}

Test(amqp_frames, threat_06_values_inside_values_end_somewhere)
{
	for (size_t depth = AMQP_FRAMES_DEPTH_MAX - 1; depth <= AMQP_FRAMES_DEPTH_MAX + 1; depth++) {
		GH_CLEANUP(buf_done) struct buf all = {0};
		char passed[64];
		const char *code;
		frames_put(&all, HEADER);
		frames_nest(&all, depth);
		frames_feed(buf_bytes(&all), all.len, PLACES_MAX, passed, &code);
		cr_assert_str_eq(passed, depth <= AMQP_FRAMES_DEPTH_MAX ? "ho" : "h", "%zu", depth);
		cr_assert(depth <= AMQP_FRAMES_DEPTH_MAX ? !code : strcmp(code, "amqp_depth") == 0, "%zu", depth);
	}
}

Test(amqp_frames, sessions_and_links_end_somewhere)
{
	GH_CLEANUP(buf_done) struct buf all = {0};
	char passed[64];
	const char *code;
	static const char *const in[] = {UP, SENDER_1, DETACH_0, SENDER_0, BEGIN_1};
	for (size_t i = 0; i < sizeof in / sizeof *in; i++)
		frames_put(&all, in[i]);
	frames_feed(buf_bytes(&all), all.len, 3, passed, &code);
	cr_assert_str_eq(passed, "hobaaDa");
	cr_assert_str_eq(code, "amqp_links_max");
}

Test(amqp_frames, deliveries_under_way_end_somewhere)
{
	GH_CLEANUP(buf_done) struct buf all = {0};
	char passed[256], text[100];
	const char *code;
	frames_put(&all, HEADER);
	frames_put(&all, OPEN);
	frames_put(&all, BEGIN);
	for (unsigned i = 0; i <= AMQP_FRAMES_PARTIAL_MAX; i++) {
		snprintf(text, sizeof text, "@0 00 53 12 c0 (03 a1 ('%u') 52 %02x 42)", i, i);
		frames_put(&all, text);
		snprintf(text, sizeof text, "@0 00 53 14 c0 (06 52 %02x 52 %02x a0 ('x') 43 42 41)", i, i);
		frames_put(&all, text);
	}
	frames_feed(buf_bytes(&all), all.len, 1000, passed, &code);
	cr_assert_eq(strlen(passed), 3 + 2 * AMQP_FRAMES_PARTIAL_MAX + 1);
	cr_assert_str_eq(code, "amqp_partial_max");
}

Test(amqp_frames, the_message_format_is_told)
{
	GH_CLEANUP(buf_done) struct buf all = {0};
	struct amqp_frames f;
	struct amqp_frame frame = {0};
	gh_error err;
	static const char *const in[] = {UP, "@0 00 53 14 c0 (06 43 43 a0 ('x') 70 80 01 37 00 42 42) 'gh'"};
	for (size_t i = 0; i < sizeof in / sizeof *in; i++)
		frames_put(&all, in[i]);
	amqp_frames_init(&f, FRAME_MAX, PLACES_MAX);
	for (gh_bytes rest = buf_bytes(&all), bytes; rest.len > 0;) {
		size_t taken;
		cr_assert_eq(amqp_frames_next(&f, rest, &taken, &bytes, &frame, &err), GH_OK);
		rest = (gh_bytes){rest.data + taken, rest.len - taken};
	}
	cr_assert(frame.performative == 0x14 && frame.first && frame.message_format == 0x80013700u);
	amqp_frames_done(&f);
}
