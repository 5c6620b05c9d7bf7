/* The load client's side of AMQP 1.0: what it says, and what a server may answer, however the bytes are cut. */
#include "tests/suite.h"

#include "src/wire/amqp_message.h"
#include "tests/bench/load_amqp.h"
#include "tests/unit/amqp_bytes.h"

SUITE(load_amqp);

enum say_type { SAY_AMQP = 0, SAY_SASL = 1, SAY_RAW };

struct say {
	enum say_type type;
	const char *body; /* of a frame; RAW: all of it */
};

static const struct say welcome[] = {
	{SAY_RAW, "'AMQP' 03 01 00 00"},
	{SAY_SASL, "00 53 40 c0 (01 a3 ('PLAIN'))"},
	{SAY_SASL, "00 53 44 c0 (01 50 00)"},
	{SAY_RAW, "'AMQP' 00 01 00 00"},
	{SAY_AMQP, "00 53 10 c0 (03 a1 () 40 70 00 00 04 00)"}, /* open: frames of 1,024 bytes */
	{SAY_AMQP, "00 53 11 c0 (04 60 00 00 43 52 09 40)"},    /* begin: a window of 9 */
	{SAY_AMQP, "00 53 12 c0 (07 a1 ('l') 43 41 40 40 00 53 28 45 00 53 29 45)"},
};

enum { WELCOME = sizeof welcome / sizeof *welcome };

static struct load_amqp make(void)
{
	struct load_amqp a = {0};
	const struct load_amqp_words words = {
		text_of("user"), text_of("secret"), text_of("/to"), text_of("x 0000000000 y"), 2};
	cr_assert(load_amqp_init(&a, &words));
	return a;
}

static void say(struct buf *b, const struct say *s)
{
	gh_bytes body = amqp_bytes(s->body);
	if (s->type != SAY_RAW) {
		buf_put_u32(b, (uint32_t)body.len + 8);
		buf_append(b, (uint8_t[]){2, (uint8_t)s->type, 0, 0}, 4);
	}
	buf_append(b, body.data, body.len);
	amqp_bytes_free(body);
}

struct heard {
	struct buf out;
	enum load_amqp_event last; /* that was not LOAD_AMQP_MORE */
	struct load_amqp_range accepted;
};

/* From memory of its own, so that a sanitizer sees a read beyond. */
static void feed(struct load_amqp *a, gh_bytes bytes, struct heard *h)
{
	gh_bytes exact = amqp_bytes_cut(bytes, bytes.len), rest = exact;
	enum load_amqp_event event;
	while (h->last != LOAD_AMQP_FAULT &&
		(event = load_amqp_next(a, &rest, &h->out, &h->accepted)) != LOAD_AMQP_MORE)
		h->last = event;
	amqp_bytes_free(exact);
}

static void hear(struct load_amqp *a, const struct say *said, size_t n, struct heard *h)
{
	struct buf bytes = {0};
	for (size_t i = 0; i < n; i++)
		say(&bytes, &said[i]);
	feed(a, buf_bytes(&bytes), h);
	buf_done(&bytes);
}

/* ---- up ---- */

static void cut_is_up(gh_bytes bytes, size_t cut, size_t step)
{
	struct load_amqp a = make();
	struct heard h = {.last = LOAD_AMQP_MORE};
	load_amqp_start(&a, &h.out);
	for (size_t at = 0, n = cut; at < bytes.len; at += n, n = bytes.len - at < step ? bytes.len - at : step) {
		cr_assert_eq(h.last, LOAD_AMQP_MORE, "up before the end, cut at %zu", cut);
		feed(&a, (gh_bytes){bytes.data + at, n}, &h);
	}
	cr_assert_eq(h.last, LOAD_AMQP_UP, "cut at %zu: %s", cut, a.fault);
	cr_assert_eq(h.out.len, a.login.len + a.hello.len, "cut at %zu", cut);
	cr_assert_eq(memcmp(h.out.data + a.login.len, a.hello.data, a.hello.len), 0, "cut at %zu", cut);
	buf_done(&h.out);
	load_amqp_done(&a);
}

Test(load_amqp, a_server_may_cut_its_welcome_anywhere)
{
	struct buf bytes = {0};
	for (size_t i = 0; i < WELCOME; i++)
		say(&bytes, &welcome[i]);
	for (size_t cut = 1; cut <= bytes.len; cut++)
		cut_is_up(buf_bytes(&bytes), cut, bytes.len);
	cut_is_up(buf_bytes(&bytes), 1, 1);
	buf_done(&bytes);
}

/* A last frame instead of the rest of the welcome. */
static const struct refusal_case {
	const char *name;
	size_t welcomes;
	struct say last;
	const char *says; /* "" = not up, and no fault yet */
} refusal_table[] = {
	{"a wrong password", 2, {SAY_SASL, "00 53 44 c0 (01 50 01)"}, "SASL refused: code 1"},
	{"small frames", 4, {SAY_AMQP, "00 53 10 c0 (03 a1 () 40 52 40)"}, "a message does not fit"},
	{"no target", 6, {SAY_AMQP, "00 53 12 c0 (07 a1 ('l') 43 41 40 40 40 40)"}, ""},
	{"a detach with an error", 6, {SAY_AMQP, "00 53 16 c0 (03 43 41 00 53 1d c0 (01 a3 ('amqp:x')))"},
		"the server says 0x16: amqp:x"},
	{"a close", 4, {SAY_AMQP, "00 53 18 45"}, "the server says 0x18"},
	{"fields that are not there", 4, {SAY_AMQP, "00 53 10 c0 (07 43)"}, "a frame is malformed"},
	{"no list", 4, {SAY_AMQP, "a1 ('x')"}, "a frame is malformed"},
	{"a frame too large", 4, {SAY_RAW, "00 01 00 01 02 00 00 00"}, "that is no frame"},
	{"a frame smaller than its head", 4, {SAY_RAW, "00 00 00 04 02 00 00 00"}, "that is no frame"},
	{"a body inside the head", 4, {SAY_RAW, "00 00 00 08 01 00 00 00"}, "that is no frame"},
	{"another protocol", 0, {SAY_RAW, "'HTTP/1.1 400'"}, "that is no frame"},
};

Test(load_amqp, a_refusal_is_a_fault_that_says_what_the_server_said)
{
	for (size_t i = 0; i < sizeof refusal_table / sizeof *refusal_table; i++) {
		const struct refusal_case *row = &refusal_table[i];
		struct load_amqp a = make();
		struct heard h = {.last = LOAD_AMQP_MORE};
		load_amqp_start(&a, &h.out);
		hear(&a, welcome, row->welcomes, &h);
		hear(&a, &row->last, 1, &h);
		cr_assert_eq(h.last, *row->says ? LOAD_AMQP_FAULT : LOAD_AMQP_MORE, "%s: %d", row->name, h.last);
		cr_assert(text_starts(text_of(a.fault), row->says), "%s: %s", row->name, a.fault);
		cr_assert(!load_amqp_has_room(&a, 0), "%s", row->name);
		buf_done(&h.out);
		load_amqp_done(&a);
	}
}

/* ---- room ---- */

static void start_up(struct load_amqp *a, struct heard *h)
{
	*h = (struct heard){.last = LOAD_AMQP_MORE};
	load_amqp_start(a, &h->out);
	hear(a, welcome, WELCOME, h);
	cr_assert_eq(h->last, LOAD_AMQP_UP);
}

static const struct flow_case {
	const char *name, *flow;
	uint32_t first, end; /* ids there is room for */
} flow_table[] = {
	{"credit", "00 53 13 c0 (07 43 52 09 43 43 43 43 52 05)", 0, 5},
	{"the window is smaller", "00 53 13 c0 (07 43 52 03 43 43 43 43 52 05)", 0, 3},
	{"behind what has arrived", "00 53 13 c0 (07 52 04 52 03 43 43 43 52 02 52 0a)", 0, 7},
	{"of the session alone", "00 53 13 c0 (04 43 52 09 43 43)", 0, 0},
	{"none left", "00 53 13 c0 (07 52 03 52 09 43 43 43 52 03 43)", 3, 3},
	{"ids wrap", "00 53 13 c0 (07 70 ff ff ff fe 52 09 43 43 43 70 ff ff ff fe 52 03)", 0xfffffffe, 1},
};

Test(load_amqp, there_is_room_as_far_as_credit_and_window_go)
{
	for (size_t i = 0; i < sizeof flow_table / sizeof *flow_table; i++) {
		const struct flow_case *row = &flow_table[i];
		struct load_amqp a = make();
		struct heard h;
		start_up(&a, &h);
		cr_assert(!load_amqp_has_room(&a, 0), "no credit yet");
		hear(&a, &(struct say){SAY_AMQP, row->flow}, 1, &h);
		cr_assert_eq(h.last, LOAD_AMQP_ROOM, "%s", row->name);
		for (uint32_t id = row->first; id != row->end; id++)
			cr_assert(load_amqp_has_room(&a, id), "%s: %u", row->name, id);
		cr_assert(!load_amqp_has_room(&a, row->end), "%s", row->name);
		buf_done(&h.out);
		load_amqp_done(&a);
	}
}

/* ---- outcomes ---- */

static const struct disposition_case {
	const char *name, *disposition;
	enum load_amqp_event event;
	uint32_t first, last;
} disposition_table[] = {
	{"one", "00 53 15 c0 (05 41 52 07 40 41 00 53 24 45)", LOAD_AMQP_ACCEPTED, 7, 7},
	{"a range", "00 53 15 c0 (05 41 43 52 03 41 00 53 24 45)", LOAD_AMQP_ACCEPTED, 0, 3},
	{"rejected", "00 53 15 c0 (05 41 43 40 41 00 53 25 45)", LOAD_AMQP_FAULT, 0, 0},
	{"released", "00 53 15 c0 (05 41 43 40 41 00 53 26 45)", LOAD_AMQP_FAULT, 0, 0},
	{"no outcome", "00 53 15 c0 (05 41 43 40 41 40)", LOAD_AMQP_FAULT, 0, 0},
	{"not settled", "00 53 15 c0 (05 41 43 40 42 00 53 24 45)", LOAD_AMQP_FAULT, 0, 0},
	{"of its own deliveries", "00 53 15 c0 (05 42 43 40 41 00 53 24 45)", LOAD_AMQP_FAULT, 0, 0},
	{"a heartbeat", "", LOAD_AMQP_UP, 0, 0},
};

Test(load_amqp, only_what_was_accepted_and_settled_counts)
{
	for (size_t i = 0; i < sizeof disposition_table / sizeof *disposition_table; i++) {
		const struct disposition_case *row = &disposition_table[i];
		struct load_amqp a = make();
		struct heard h;
		start_up(&a, &h);
		hear(&a, &(struct say){SAY_AMQP, row->disposition}, 1, &h);
		cr_assert_eq(h.last, row->event, "%s: %s", row->name, a.fault);
		cr_assert_eq(h.accepted.first, row->first, "%s", row->name);
		cr_assert_eq(h.accepted.last, row->last, "%s", row->name);
		buf_done(&h.out);
		load_amqp_done(&a);
	}
}

/* ---- what it sends ---- */

Test(load_amqp, a_transfer_is_one_message_with_its_number_in_body_and_property)
{
	static const uint8_t digits[LOAD_AMQP_DIGITS] = {'0', '0', '0', '0', '0', '0', '0', '0', '4', '2'};
	struct load_amqp a = make();
	gh_bytes transfer = load_amqp_transfer(&a, 0x01020304, digits);
	gh_bytes performative = amqp_bytes("00 53 14 c0 (04 43 70 01 02 03 04 a0 (01 02 03 04) 43)");
	gh_bytes properties = amqp_bytes("00 53 74 c1 (02 a1 ('seq') a1 ('0000000042'))");
	gh_bytes body = amqp_bytes("00 53 75 a0 ('x 0000000042 y')");
	struct amqp_message message;
	gh_error err;
	cr_assert_eq((size_t)transfer.data[2] << 8 | transfer.data[3], transfer.len);
	cr_assert_eq(memcmp(transfer.data + 8, performative.data, performative.len), 0);
	gh_bytes encoded = {transfer.data + 8 + performative.len, transfer.len - 8 - performative.len};
	cr_assert_eq(amqp_message_sections(encoded, &message, &err), GH_OK, "%s", err.text);
	cr_assert(text_equal(message.sections[AMQP_APPLICATION_PROPERTIES], properties));
	cr_assert(text_equal(message.sections[AMQP_BODY_DATA], body));
	amqp_bytes_free(performative);
	amqp_bytes_free(properties);
	amqp_bytes_free(body);
	load_amqp_done(&a);
}
