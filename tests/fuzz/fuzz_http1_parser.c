/* HTTP/1.1 requests, one behind the other, under the least limits: whole or in uneven pieces, the outcome is the same;
 * what is read lies inside the head, and the head keeps what its header promises. */
#include "tests/fuzz/fuzz.h"

#include "src/base/limits.h"
#include "src/base/text.h"
#include "src/wire/http1_parser.h"

#include <assert.h>
#include <stdlib.h>

enum { FUZZ_REQUESTS_MAX = 50, FUZZ_PIECE_MAX = 61 };

/* What became of a head or a body. */
struct fuzz_outcome {
	gh_status status;
	gh_error err;
	uint16_t http;
	size_t taken;
	uint64_t sum; /* of the body's bytes */
	size_t len;   /* of the body */
};

static void fuzz_limits(gh_limits *limits)
{
	limits_defaults(limits);
	for (size_t i = 0; i < limits_count; i++)
		if (text_starts(text_of(limits_table[i].name), "http_"))
			limits_set(limits, &limits_table[i], limits_table[i].min, NULL);
}

/* A length to go on to: 1 more, 4, 13 ... and again. */
static size_t fuzz_more(size_t n, size_t len, size_t *piece)
{
	*piece = *piece * 3 % FUZZ_PIECE_MAX + 1;
	return len - n < *piece ? len : n + *piece;
}

static void *fuzz_copy(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	assert(copy);
	if (len)
		memcpy(copy, data, len);
	return copy;
}

static void fuzz_head(
	struct http1_head *head, gh_bytes bytes, bool whole, const gh_limits *limits, struct fuzz_outcome *out)
{
	*out = (struct fuzz_outcome){0};
	http1_head_init(head);
	size_t piece = 0;
	for (size_t n = whole ? bytes.len : 0;; n = fuzz_more(n, bytes.len, &piece)) {
		uint8_t *copy = fuzz_copy(bytes.data, n);
		out->status = http1_head_next(head, (gh_bytes){copy, n}, limits, &out->http, &out->err);
		free(copy);
		if (out->status != GH_AGAIN || n == bytes.len)
			return;
	}
}

static void fuzz_same(const struct fuzz_outcome *a, const struct fuzz_outcome *b)
{
	assert(a->status == b->status && a->http == b->http && a->err.code == b->err.code);
	assert(a->len == b->len && a->sum == b->sum);
	assert(a->taken == b->taken || (a->status != GH_OK && a->status != GH_AGAIN));
}

static void fuzz_same_head(const struct http1_head *a, const struct http1_head *b)
{
	assert(a->len == b->len && a->field_count == b->field_count && a->minor == b->minor);
	assert(a->chunked == b->chunked && a->has_length == b->has_length && a->content_length == b->content_length);
	assert(a->keep_alive == b->keep_alive && a->upgrade == b->upgrade && a->expect_continue == b->expect_continue);
	assert(memcmp(&a->method, &b->method, sizeof a->method) == 0);
	assert(memcmp(&a->target, &b->target, sizeof a->target) == 0);
	for (size_t i = 0; i < a->field_count; i++)
		assert(memcmp(&a->fields[i], &b->fields[i], sizeof a->fields[i]) == 0);
}

static gh_bytes fuzz_text(struct http1_span span, const struct http1_head *head, const uint8_t *bytes)
{
	assert((size_t)span.at + span.len < head->len);
	return http1_text(span, bytes);
}

static void fuzz_plain(gh_bytes text)
{
	assert(text.len == 0 || (!memchr(text.data, '\r', text.len) && !memchr(text.data, '\n', text.len)));
	assert(text.len == 0 || !memchr(text.data, 0, text.len));
}

static void fuzz_head_check(const struct http1_head *head, gh_bytes bytes, const gh_limits *limits)
{
	assert(head->len <= bytes.len && head->len <= limits->http_head_bytes_max);
	assert(memcmp(bytes.data + head->len - 4, "\r\n\r\n", 4) == 0);
	assert(head->field_count <= limits->http_fields_max && head->minor <= 1);
	assert(!(head->chunked && head->has_length) && (head->has_length || head->content_length == 0));
	gh_bytes method = fuzz_text(head->method, head, bytes.data), target = fuzz_text(head->target, head, bytes.data);
	assert(method.len > 0 && target.len > 0 && target.len <= limits->http_target_bytes_max);
	assert(target.data[0] == '/' || text_equal(target, text_of("*")));
	fuzz_plain(method);
	fuzz_plain(target);
	for (size_t i = 0; i < head->field_count; i++) {
		gh_bytes name = fuzz_text(head->fields[i].name, head, bytes.data);
		assert(name.len > 0 && !memchr(name.data, ' ', name.len) && !memchr(name.data, ':', name.len));
		fuzz_plain(name);
		fuzz_plain(fuzz_text(head->fields[i].value, head, bytes.data));
	}
}

/* What one piece gives; false when it decided. */
static bool fuzz_body_piece(struct http1_body *body, gh_bytes bytes, const gh_limits *limits, struct fuzz_outcome *out)
{
	gh_bytes piece;
	for (size_t at = 0, taken; at < bytes.len || bytes.len == 0; at += taken) {
		gh_bytes rest = {bytes.data + at, bytes.len - at};
		out->status = http1_body_next(body, rest, limits, &taken, &piece, &out->err);
		if (out->status != GH_OK && out->status != GH_AGAIN)
			return false;
		assert(taken <= rest.len && piece.len <= taken);
		assert(piece.len == 0 || (piece.data >= rest.data && piece.data + piece.len == rest.data + taken));
		out->taken += taken;
		out->len += piece.len;
		for (size_t i = 0; i < piece.len; i++)
			out->sum = out->sum * 31 + piece.data[i];
		if (out->status == GH_OK || bytes.len == 0)
			return out->status != GH_OK;
		assert(taken > 0);
	}
	return true;
}

static void fuzz_body(
	const struct http1_head *head, gh_bytes bytes, bool whole, const gh_limits *limits, struct fuzz_outcome *out)
{
	struct http1_body body;
	*out = (struct fuzz_outcome){0};
	http1_body_init(&body, head);
	size_t piece = 0;
	bool more = true;
	for (size_t at = 0, n; more; at = n) {
		n = whole ? bytes.len : fuzz_more(at, bytes.len, &piece);
		uint8_t *copy = fuzz_copy(bytes.data + at, n - at);
		more = fuzz_body_piece(&body, (gh_bytes){copy, n - at}, limits, out) && n < bytes.len;
		free(copy);
	}
}

/* One request at the front; false when nothing can follow it. */
static bool fuzz_request(gh_bytes *bytes, const gh_limits *limits)
{
	struct http1_head head, cut_head;
	struct fuzz_outcome out, cut_out;
	fuzz_head(&head, *bytes, true, limits, &out);
	fuzz_head(&cut_head, *bytes, false, limits, &cut_out);
	fuzz_same(&out, &cut_out);
	if (out.status == GH_OK) {
		fuzz_same_head(&head, &cut_head);
		fuzz_head_check(&head, *bytes, limits);
		*bytes = (gh_bytes){bytes->data + head.len, bytes->len - head.len};
		fuzz_body(&head, *bytes, true, limits, &out);
		fuzz_body(&head, *bytes, false, limits, &cut_out);
		fuzz_same(&out, &cut_out);
		assert(out.status != GH_OK || head.chunked || out.len == head.content_length);
		*bytes = (gh_bytes){bytes->data + out.taken, bytes->len - out.taken};
	}
	http1_head_done(&head);
	http1_head_done(&cut_head);
	return out.status == GH_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	gh_limits limits;
	fuzz_limits(&limits);
	gh_bytes bytes = {data, size};
	for (int i = 0; i < FUZZ_REQUESTS_MAX && fuzz_request(&bytes, &limits); i++)
		;
	return 0;
}
