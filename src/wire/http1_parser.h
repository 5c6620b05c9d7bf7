/* http1_parser.h - HTTP/1.1 requests (RFC 9112), strictly: a head from bytes, a body from bytes.  No I/O, no time, no
 * routes.
 *
 * Whatever two parsers could read differently is refused, because in front of or behind a proxy that difference is an
 * attack (request smuggling): Content-Length beside Transfer-Encoding, a length given twice or not in plain digits, a
 * bare CR or LF, NUL and other control characters, folded lines, blanks before the colon, any coding but chunked.
 * The refused connection must be closed: where the next request would begin is not known.
 *
 * Incremental: head and body may come in any pieces.  Each byte is scanned once, when it comes, and each line of a head
 * read once, when it is whole.  A request is refused at the first byte that shows the fault, and for the same rule
 * however it was cut.
 */
#ifndef GATEHOUSE_WIRE_HTTP1_PARSER_H
#define GATEHOUSE_WIRE_HTTP1_PARSER_H

#include <gatehouse/limits.h>
#include <gatehouse/message.h>

/* A run of the head's bytes, by position, so that the bytes may move between calls. */
struct http1_span {
	uint32_t at;
	uint32_t len;
};

struct http1_field {
	struct http1_span name;  /* a token; compares without case */
	struct http1_span value; /* without blanks around it; never CR, LF or NUL in it */
};

struct http1_head {
	struct http1_span method;
	/* As sent: "/..." or, for OPTIONS, "*".  An absolute http(s) URI is cut to its path, without one to "/". */
	struct http1_span target;
	uint8_t minor;   /* HTTP/1.0 or HTTP/1.1 */
	bool keep_alive; /* by version and Connection */
	bool chunked;
	bool has_length;
	bool expect_continue; /* Expect: 100-continue of an HTTP/1.1 client */
	bool upgrade;         /* Upgrade of an HTTP/1.1 client, named in Connection */
	uint64_t content_length;
	struct http1_field *fields; /* owned; http1_head_done */
	size_t field_count;
	size_t len; /* bytes of the head with its blank line; after GH_OK */
	/* the parser's */
	size_t field_cap;
	size_t line_at;
	size_t scan_at;
	uint8_t part;
	uint8_t seen;
};

void http1_head_init(struct http1_head *head);
void http1_head_clear(struct http1_head *head); /* for the next request; keeps the memory */
void http1_head_done(struct http1_head *head);

/* Goes on with `bytes`, which begin with the first byte of the head at every call and are never fewer than before; they
 * may have moved.  GH_OK: whole; what follows head->len is not looked at.  GH_AGAIN: more is needed.  Else *ret_http is
 * the status to refuse with, the error's code a stable word for the rule that was broken, the head of no further use:
 *
 *     GH_MALFORMED 400   GH_TOO_LARGE 414, 431   GH_INVALID 417, 501, 505   GH_NO_MEMORY 503
 *
 * One empty line (CRLF) in front of the request line is skipped (RFC 9112 2.2).  The length of a field is that of its
 * line without CRLF. */
gh_status http1_head_next(
	struct http1_head *head, gh_bytes bytes, const gh_limits *limits, uint16_t *ret_http, gh_error *ret_err);

static inline gh_bytes http1_text(struct http1_span span, const uint8_t *bytes)
{
	return (gh_bytes){bytes + span.at, span.len};
}

/* ---- bodies ---- */

/* The parser's. */
struct http1_body {
	uint64_t left; /* of the body, or of this chunk */
	uint32_t line_len;
	/* trailer fields: counted, checked, dropped */
	uint32_t trailer_len;
	uint32_t trailer_count;
	uint8_t state;
};

/* As the head says: chunked, a length, or nothing. */
void http1_body_init(struct http1_body *body, const struct http1_head *head);

/* Takes from the front of `bytes`: *ret_taken of them, of which *ret_piece (borrowed, may be empty) is body.
 * GH_OK: with that the body is whole.  GH_AGAIN: go on with what follows, at once while bytes are left; both are set
 * then, too.  GH_MALFORMED: refuse with 400; GH_TOO_LARGE: trailers beyond http_head_bytes_max, http_fields_max or
 * http_field_bytes_max, 431. */
gh_status http1_body_next(struct http1_body *body, gh_bytes bytes, const gh_limits *limits, size_t *ret_taken,
	gh_bytes *ret_piece, gh_error *ret_err);

#endif
