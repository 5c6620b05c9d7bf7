/* http1_body.c - the body of a request: chunked, of a length, or none.
 *
 * Bytes of the body pass as they are; all around them (sizes, line ends, trailers) goes one byte at a time through the
 * table of states, so that it cannot matter how they were cut.
 */
#include "src/wire/http1_parser.h"

#include "src/wire/http1_rules.h"

#include <assert.h>

enum { CHUNK_DIGITS_MAX = 16 };
#define CHUNK_BYTES_MAX (UINT64_C(1) << 63)

enum body_state {
	BODY_WHOLE,
	BODY_BYTES, /* of a body with a length */
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_LINE_LF,
	CHUNK_BYTES,
	CHUNK_END_CR,
	CHUNK_END_LF,
	TRAILER_NAME, /* from here on bytes count as those of a head */
	TRAILER_VALUE,
	TRAILER_LF,
	TRAILERS_END_LF,
	BODY_STATE_COUNT
};

void http1_body_init(struct http1_body *body, const struct http1_head *head)
{
	*body = (struct http1_body){.left = head->content_length};
	body->state = head->chunked ? CHUNK_SIZE : body->left ? BODY_BYTES : BODY_WHOLE;
}

/* ---- chunks ---- */

/* Visible characters and blanks up to the end of the line; nobody here knows an extension. */
static enum http1_rule chunk_extension(struct http1_body *body, uint8_t c, const gh_limits *limits)
{
	if (c == '\r') {
		body->state = CHUNK_LINE_LF;
		return RULE_KEPT;
	}
	if (!http1_rules_is(c, HTTP1_TEXT) || c >= 0x80)
		return http1_rules_byte(c, RULE_CHUNK_EXTENSION);
	return ++body->line_len > limits->http_chunk_line_bytes_max ? RULE_CHUNK_LINE : RULE_KEPT;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* http_chunk_line_bytes_max has room for all of them. */
static enum http1_rule chunk_digit(struct http1_body *body, unsigned digit)
{
	if (body->line_len == CHUNK_DIGITS_MAX)
		return RULE_CHUNK_SIZE;
	if (body->left > (CHUNK_BYTES_MAX - digit) / 16)
		return RULE_CHUNK_LARGE;
	body->left = body->left * 16 + digit;
	body->line_len++;
	return RULE_KEPT;
}

static enum http1_rule chunk_size(struct http1_body *body, uint8_t c, const gh_limits *limits)
{
	int digit = hex_digit(c);
	if (digit >= 0)
		return chunk_digit(body, (unsigned)digit);
	if (body->line_len == 0 || (c != '\r' && c != ';'))
		return http1_rules_byte(c, RULE_CHUNK_SIZE);
	body->state = CHUNK_EXTENSION;
	return chunk_extension(body, c, limits);
}

static enum http1_rule chunk_end(struct http1_body *body, uint8_t c, const gh_limits *limits)
{
	(void)limits;
	body->state = CHUNK_END_LF;
	return c == '\r' ? RULE_KEPT : http1_rules_byte(c, RULE_CHUNK_END);
}

/* ---- trailers ---- */

static enum http1_rule trailer_name(struct http1_body *body, uint8_t c, const gh_limits *limits)
{
	if (c == '\r' && body->line_len == 0) {
		body->state = TRAILERS_END_LF;
		return RULE_KEPT;
	}
	if (c == ':' && body->line_len) {
		body->state = TRAILER_VALUE;
		if (++body->trailer_count > limits->http_fields_max)
			return RULE_FIELDS;
	} else if (!http1_rules_is(c, HTTP1_TOKEN)) {
		return http1_rules_name_byte(c, body->line_len == 0);
	}
	return ++body->line_len > limits->http_field_bytes_max ? RULE_FIELD_LONG : RULE_KEPT;
}

static enum http1_rule trailer_value(struct http1_body *body, uint8_t c, const gh_limits *limits)
{
	if (c == '\r') {
		body->state = TRAILER_LF;
		return RULE_KEPT;
	}
	if (!http1_rules_is(c, HTTP1_TEXT))
		return http1_rules_byte(c, RULE_NAME);
	return ++body->line_len > limits->http_field_bytes_max ? RULE_FIELD_LONG : RULE_KEPT;
}

/* ---- all of it ---- */

/* The LF behind a CR; the line of the last chunk is followed by trailers, not by a chunk. */
static enum http1_rule body_lf(struct http1_body *body, uint8_t c, const gh_limits *limits)
{
	static const uint8_t next[BODY_STATE_COUNT] = {
		[CHUNK_LINE_LF] = CHUNK_BYTES,
		[CHUNK_END_LF] = CHUNK_SIZE,
		[TRAILER_LF] = TRAILER_NAME,
		[TRAILERS_END_LF] = BODY_WHOLE,
	};
	(void)limits;
	if (c != '\n')
		return RULE_BARE_CR;
	bool last = body->state == CHUNK_LINE_LF && body->left == 0;
	body->state = last ? TRAILER_NAME : next[body->state];
	body->line_len = 0;
	return RULE_KEPT;
}

/* What takes the next byte.  Where there is nothing, the next bytes are body. */
static enum http1_rule (*const steps[BODY_STATE_COUNT])(struct http1_body *, uint8_t c, const gh_limits *) = {
	[CHUNK_SIZE] = chunk_size,           /* RFC 9112 7.1 */
	[CHUNK_EXTENSION] = chunk_extension, /* RFC 9112 7.1.1 */
	[CHUNK_LINE_LF] = body_lf,
	[CHUNK_END_CR] = chunk_end,
	[CHUNK_END_LF] = body_lf,
	[TRAILER_NAME] = trailer_name, /* RFC 9112 7.1.2 */
	[TRAILER_VALUE] = trailer_value,
	[TRAILER_LF] = body_lf,
	[TRAILERS_END_LF] = body_lf,
};

static enum http1_rule body_step(struct http1_body *body, uint8_t c, const gh_limits *limits)
{
	if (body->state >= TRAILER_NAME && ++body->trailer_len > limits->http_head_bytes_max)
		return RULE_HEAD_LONG;
	return steps[body->state](body, c, limits);
}

static gh_bytes body_piece(struct http1_body *body, const uint8_t *data, size_t len)
{
	if (len > body->left)
		len = (size_t)body->left;
	body->left -= len;
	if (body->left == 0)
		body->state = body->state == BODY_BYTES ? BODY_WHOLE : CHUNK_END_CR;
	return (gh_bytes){data, len};
}

gh_status http1_body_next(struct http1_body *body, gh_bytes bytes, const gh_limits *limits, size_t *ret_taken,
	gh_bytes *ret_piece, gh_error *ret_err)
{
	size_t at = 0;
	gh_bytes piece = {NULL, 0};
	assert(body->state < BODY_STATE_COUNT);
	while (at < bytes.len && body->state != BODY_WHOLE && piece.len == 0) {
		if (!steps[body->state]) {
			piece = body_piece(body, bytes.data + at, bytes.len - at);
			at += piece.len;
			continue;
		}
		enum http1_rule rule = body_step(body, bytes.data[at++], limits);
		if (rule != RULE_KEPT)
			return http1_rules_refuse(rule, ret_err);
	}
	*ret_taken = at;
	*ret_piece = piece;
	return body->state == BODY_WHOLE ? GH_OK : GH_AGAIN;
}
