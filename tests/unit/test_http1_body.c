/* Bodies of HTTP/1.1 requests: what is body, where it ends, what is refused, at which byte, and that no cut changes it. */
#include "tests/suite.h"

#include "src/base/buf.h"
#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/wire/http1_parser.h"

#include <stdlib.h>

SUITE(http1_body);

static const struct http1_head chunked = {.chunked = true};

struct outcome {
	gh_status status;
	gh_error err;
	size_t fed;       /* bytes that were there then */
	size_t taken;     /* bytes of them that are the request's */
	struct buf piece; /* what was body */
};

/* Hands over exactly n bytes, in calls as the parser asks for them. */
static void body_give(
	struct http1_body *body, const uint8_t *data, size_t n, const gh_limits *limits, struct outcome *out)
{
	uint8_t *exact = malloc(n ? n : 1);
	cr_assert(exact != NULL);
	if (n)
		memcpy(exact, data, n);
	size_t at = 0, taken;
	do {
		gh_bytes piece;
		out->status = http1_body_next(body, (gh_bytes){exact + at, n - at}, limits, &taken, &piece, &out->err);
		if (out->status != GH_OK && out->status != GH_AGAIN)
			break;
		cr_assert(taken <= n - at && (taken > 0 || at == n || out->status == GH_OK), "it goes on");
		cr_assert(piece.len == 0 || (piece.data >= exact + at && piece.data + piece.len <= exact + at + taken));
		buf_append(&out->piece, piece.data, piece.len);
		at += taken;
		out->taken += taken;
	} while (out->status == GH_AGAIN && at < n);
	free(exact);
}

/* The first `first` bytes, then `step` more at a time. */
static void body_feed(const struct http1_head *head, gh_bytes bytes, size_t first, size_t step, const gh_limits *limits,
	struct outcome *out)
{
	struct http1_body body;
	*out = (struct outcome){.status = GH_AGAIN};
	http1_body_init(&body, head);
	for (size_t n = first; out->status == GH_AGAIN; n = step) {
		if (n > bytes.len - out->fed)
			n = bytes.len - out->fed;
		body_give(&body, bytes.data + out->fed, n, limits, out);
		out->fed += n;
		if (out->fed == bytes.len)
			break;
	}
}

struct body_case {
	const char *name;
	const char *bytes;
	size_t len;
	gh_status status;
	const char *says; /* the body, or the code */
};
#define BODY(text) text, sizeof(text) - 1

static void outcome_is(struct outcome *out, const struct body_case *row, const char *how, size_t at)
{
	cr_assert(out->status == row->status, "%s, %s %zu: %s", row->name, how, at, gh_status_name(out->status));
	if (row->status != GH_OK) {
		cr_assert(strcmp(out->err.code, row->says) == 0, "%s, %s %zu: %s", row->name, how, at, out->err.code);
	} else {
		cr_assert(out->taken == row->len, "%s, %s %zu: took %zu", row->name, how, at, out->taken);
		cr_assert(text_equal(buf_bytes(&out->piece), text_of(row->says)), "%s, %s %zu: %.*s", row->name, how,
			at, (int)out->piece.len, (const char *)out->piece.data);
	}
	buf_done(&out->piece);
}

/* Each row ends with the byte that decides: not one less does, and it does not matter what follows or how it was cut. */
static void body_judge(const struct http1_head *head, const struct body_case *row)
{
	static const char *const tails[] = {"", "\r\n", "GET / HTTP/1.1\r\n", "\n", "0\r\n\r\n"};
	struct outcome out;
	gh_limits limits;
	limits_defaults(&limits);
	gh_bytes bytes = {(const uint8_t *)row->bytes, row->len};
	body_feed(head, bytes, 0, 1, &limits, &out);
	cr_assert(out.fed == row->len, "%s: decided at byte %zu of %zu", row->name, out.fed, row->len);
	outcome_is(&out, row, "byte by byte", 0);
	for (size_t cut = 0; cut < row->len; cut++) {
		body_feed(head, bytes, cut, row->len, &limits, &out);
		outcome_is(&out, row, "cut at", cut);
	}
	for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
		struct buf more = {0};
		buf_append(&more, row->bytes, row->len);
		buf_append(&more, tails[i], strlen(tails[i]));
		body_feed(head, buf_bytes(&more), more.len, 1, &limits, &out);
		outcome_is(&out, row, "tail", i);
		buf_done(&more);
	}
}

static const struct body_case chunks[] = {
	{"nothing", BODY("0\r\n\r\n"), GH_OK, ""},
	{"nothing, with more zeros", BODY("0000000000000000\r\n\r\n"), GH_OK, ""},
	{"one chunk", BODY("5\r\nhello\r\n0\r\n\r\n"), GH_OK, "hello"},
	{"two chunks", BODY("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), GH_OK, "hello world"},
	{"a size in hex of either case", BODY("b\r\nhello world\r\nC\r\n of tomorrow\r\n0\r\n\r\n"), GH_OK,
		"hello world of tomorrow"},
	{"a size of 16 digits", BODY("0000000000000005\r\nhello\r\n0\r\n\r\n"), GH_OK, "hello"},
	{"data that looks like chunks", BODY("9\r\n0\r\n\r\n5\r\na\r\n0\r\n\r\n"), GH_OK, "0\r\n\r\n5\r\na"},
	{"extensions", BODY("5;a=b;c=\"d e\"\r\nhello\r\n0;\tx\r\n\r\n"), GH_OK, "hello"},
	{"an empty extension", BODY("5;\r\nhello\r\n0;\r\n\r\n"), GH_OK, "hello"},
	{"trailers", BODY("5\r\nhello\r\n0\r\nA: b\r\nContent-Length:5\r\n!#:\t\x80\r\n\r\n"), GH_OK, "hello"},
	{"a chunk without a size", BODY("\r"), GH_MALFORMED, "http_chunk_size"},
	{"a second chunk without a size", BODY("1\r\na\r\n\r"), GH_MALFORMED, "http_chunk_size"},
	{"a size without digits", BODY(";"), GH_MALFORMED, "http_chunk_size"},
	{"a size with a plus", BODY("+"), GH_MALFORMED, "http_chunk_size"},
	{"a size with a minus", BODY("-"), GH_MALFORMED, "http_chunk_size"},
	{"a size behind a blank", BODY(" "), GH_MALFORMED, "http_chunk_size"},
	{"a size behind a tab", BODY("\t"), GH_MALFORMED, "http_chunk_size"},
	{"a size with 0x", BODY("0x"), GH_MALFORMED, "http_chunk_size"},
	{"a size in front of a blank", BODY("5 "), GH_MALFORMED, "http_chunk_size"},
	{"a size in front of a tab", BODY("5\t"), GH_MALFORMED, "http_chunk_size"},
	{"a size with another letter", BODY("5g"), GH_MALFORMED, "http_chunk_size"},
	{"a size with an underscore", BODY("1_"), GH_MALFORMED, "http_chunk_size"},
	{"a size with an 8-bit byte", BODY("5\xb5"), GH_MALFORMED, "http_chunk_size"},
	{"a size with NUL", BODY("5\0"), GH_MALFORMED, "http_control"},
	{"a size of 17 digits", BODY("00000000000000005"), GH_MALFORMED, "http_chunk_size"},
	{"a size beyond 64 bits", BODY("10000000000000000"), GH_MALFORMED, "http_chunk_size"},
	{"a size beyond 2^63", BODY("8000000000000001"), GH_MALFORMED, "http_chunk_large"},
	{"the largest number of 64 bits", BODY("ffffffffffffffff"), GH_MALFORMED, "http_chunk_large"},
	{"a size with a bare LF", BODY("5\n"), GH_MALFORMED, "http_bare_lf"},
	{"a size with a bare CR", BODY("5\rh"), GH_MALFORMED, "http_bare_cr"},
	{"a size with two CR", BODY("5\r\r"), GH_MALFORMED, "http_bare_cr"},
	{"an extension with a bare LF", BODY("5;a\n"), GH_MALFORMED, "http_bare_lf"},
	{"an extension with a bare CR", BODY("5;a\rb"), GH_MALFORMED, "http_bare_cr"},
	{"an extension with NUL", BODY("5;a\0"), GH_MALFORMED, "http_control"},
	{"an extension with an 8-bit byte", BODY("5;a\x80"), GH_MALFORMED, "http_chunk_extension"},
	{"more than the size", BODY("5\r\nhello!"), GH_MALFORMED, "http_chunk_end"},
	{"less than the size", BODY("7\r\nhello\r\n0"), GH_MALFORMED, "http_chunk_end"},
	{"data with a bare LF behind it", BODY("5\r\nhello\n"), GH_MALFORMED, "http_bare_lf"},
	{"data with a bare CR behind it", BODY("5\r\nhello\r0"), GH_MALFORMED, "http_bare_cr"},
	{"data with NUL behind it", BODY("5\r\nhello\0"), GH_MALFORMED, "http_control"},
	{"the last chunk with a bare LF", BODY("0\n"), GH_MALFORMED, "http_bare_lf"},
	{"an end with a bare LF", BODY("0\r\n\n"), GH_MALFORMED, "http_bare_lf"},
	{"an end with a bare CR", BODY("0\r\n\rG"), GH_MALFORMED, "http_bare_cr"},
	{"no end but a request", BODY("0\r\nGET "), GH_MALFORMED, "http_blank_before_colon"},
	{"a trailer without a name", BODY("0\r\n:"), GH_MALFORMED, "http_field_name"},
	{"a trailer without a colon", BODY("0\r\nabc\r"), GH_MALFORMED, "http_field_name"},
	{"a trailer with a slash in its name", BODY("0\r\na/"), GH_MALFORMED, "http_field_name"},
	{"a blank before the colon of a trailer", BODY("0\r\na "), GH_MALFORMED, "http_blank_before_colon"},
	{"a folded trailer", BODY("0\r\na: b\r\n "), GH_MALFORMED, "http_folded_line"},
	{"a blank in front of the first trailer", BODY("0\r\n\t"), GH_MALFORMED, "http_folded_line"},
	{"a trailer with NUL in its name", BODY("0\r\na\0"), GH_MALFORMED, "http_control"},
	{"a trailer with a bare LF in its name", BODY("0\r\na\n"), GH_MALFORMED, "http_bare_lf"},
	{"a trailer with NUL", BODY("0\r\na: \0"), GH_MALFORMED, "http_control"},
	{"a trailer with a bare LF", BODY("0\r\na: b\n"), GH_MALFORMED, "http_bare_lf"},
	{"a trailer with a bare CR", BODY("0\r\na: b\rc"), GH_MALFORMED, "http_bare_cr"},
};

Test(http1_body, must_72_chunks_are_read_or_refused_at_their_first_fault_however_they_are_cut)
{
	for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
		body_judge(&chunked, &chunks[i]);
}

Test(http1_body, a_body_of_a_length_ends_with_its_last_byte)
{
	static const struct http1_head five = {.has_length = true, .content_length = 5};
	static const struct body_case row = {"a body of 5", BODY("0\r\n\r\n"), GH_OK, "0\r\n\r\n"};
	body_judge(&five, &row);
}

Test(http1_body, without_length_and_chunks_there_is_no_body)
{
	static const struct http1_head none, zero = {.has_length = true};
	const struct http1_head *const heads[] = {&none, &zero};
	gh_limits limits;
	limits_defaults(&limits);
	for (size_t i = 0; i < 2; i++) {
		struct http1_body body;
		gh_bytes piece;
		size_t taken;
		http1_body_init(&body, heads[i]);
		for (int again = 0; again < 2; again++) {
			cr_assert(http1_body_next(&body, text_of("GET"), &limits, &taken, &piece, NULL) == GH_OK);
			cr_assert(taken == 0 && piece.len == 0);
		}
		cr_assert(http1_body_next(&body, (gh_bytes){NULL, 0}, &limits, &taken, &piece, NULL) == GH_OK);
	}
}

Test(http1_body, the_largest_sizes_are_counted_right)
{
	static const struct http1_head length = {.has_length = true, .content_length = UINT64_C(9999999999999999999)};
	gh_limits limits;
	struct http1_body body;
	gh_bytes piece;
	size_t taken;
	limits_defaults(&limits);
	http1_body_init(&body, &length);
	cr_assert(http1_body_next(&body, text_of("abc"), &limits, &taken, &piece, NULL) == GH_AGAIN);
	cr_assert(taken == 3 && piece.len == 3 && body.left == UINT64_C(9999999999999999996));
	http1_body_init(&body, &chunked);
	cr_assert(
		http1_body_next(&body, text_of("8000000000000000\r\nabc"), &limits, &taken, &piece, NULL) == GH_AGAIN);
	cr_assert(taken == 21 && piece.len == 3 && body.left == (UINT64_C(1) << 63) - 3);
}

/* ---- limits: at each of them, and one beyond ---- */

static void put_text(struct buf *bytes, const char *text)
{
	buf_append(bytes, text, strlen(text));
}

/* A trailer field of n bytes and its end. */
static void put_field(struct buf *bytes, size_t n)
{
	put_text(bytes, "a:");
	for (size_t i = 2; i < n; i++)
		buf_put_u8(bytes, 'v');
	put_text(bytes, "\r\n");
}

/* Byte by byte and whole; takes the bytes.  at: with how many of them it must be refused; 0 = not at all. */
static void body_limit(struct buf *bytes, const gh_limits *limits, size_t at, const char *code)
{
	struct outcome out;
	for (int whole = 0; whole < 2; whole++) {
		body_feed(&chunked, buf_bytes(bytes), whole ? bytes->len : 1, 1, limits, &out);
		cr_assert((out.status == GH_OK) == (at == 0), "%s: %s", code, gh_status_name(out.status));
		cr_assert(at == 0 || strcmp(out.err.code, code) == 0, "%s: %s", code, out.err.code);
		cr_assert(whole || out.fed == (at ? at : bytes->len), "%s: decided after %zu bytes", code, out.fed);
		buf_done(&out.piece);
	}
	buf_done(bytes);
}

Test(http1_body, threat_12_the_line_of_a_chunk_is_of_bounded_length)
{
	static const char *const begins[] = {"5;", "0000000000000005;"};
	gh_limits limits;
	limits_defaults(&limits);
	for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
		for (size_t more = 0; more < 2; more++) {
			struct buf bytes = {0};
			put_text(&bytes, begins[i]);
			while (bytes.len < limits.http_chunk_line_bytes_max + more)
				buf_put_u8(&bytes, 'x');
			put_text(&bytes, "\r\nhello\r\n0\r\n\r\n");
			size_t at = more ? limits.http_chunk_line_bytes_max + 1 : 0;
			body_limit(&bytes, &limits, at, "http_chunk_line");
		}
	limits.http_chunk_line_bytes_max = 16;
	struct buf bytes = {0};
	put_text(&bytes, "0000000000000000\r\n\r\n");
	body_limit(&bytes, &limits, 0, "sixteen digits");
	put_text(&bytes, "0000000000000000;\r\n\r\n");
	body_limit(&bytes, &limits, 17, "http_chunk_line");
}

Test(http1_body, threat_12_trailers_are_of_bounded_number)
{
	gh_limits limits;
	limits_defaults(&limits);
	for (size_t more = 0; more < 2; more++) {
		struct buf bytes = {0};
		put_text(&bytes, "0\r\n");
		for (size_t i = 0; i < limits.http_fields_max + more; i++)
			put_field(&bytes, 4);
		size_t at = bytes.len - 4; /* with the colon of the last */
		put_text(&bytes, "\r\n");
		body_limit(&bytes, &limits, more ? at : 0, "http_fields_many");
	}
}

Test(http1_body, threat_12_a_trailer_is_of_bounded_length)
{
	gh_limits limits;
	limits_defaults(&limits);
	for (size_t more = 0; more < 2; more++) {
		struct buf bytes = {0};
		put_text(&bytes, "0\r\n");
		put_field(&bytes, limits.http_field_bytes_max + more);
		put_text(&bytes, "\r\n");
		body_limit(&bytes, &limits, more ? 3 + limits.http_field_bytes_max + 1 : 0, "http_field_long");
	}
	struct buf bytes = {0};
	put_text(&bytes, "0\r\n");
	for (size_t i = 0; i <= limits.http_field_bytes_max; i++)
		buf_put_u8(&bytes, 'n');
	size_t at = bytes.len;
	body_limit(&bytes, &limits, at, "http_field_long");
}

Test(http1_body, threat_12_trailers_are_of_bounded_length_together)
{
	gh_limits limits;
	limits_defaults(&limits);
	size_t line = 1000, max = limits.http_head_bytes_max;
	for (size_t more = 0; more < 2; more++) {
		struct buf bytes = {0};
		put_text(&bytes, "0\r\n");
		while (bytes.len - 3 + 2 * line < max)
			put_field(&bytes, line - 2);
		put_field(&bytes, max - (bytes.len - 3) - 4 + more);
		put_text(&bytes, "\r\n");
		cr_assert(bytes.len == 3 + max + more);
		body_limit(&bytes, &limits, more ? 3 + max + 1 : 0, "http_head_long");
	}
}
