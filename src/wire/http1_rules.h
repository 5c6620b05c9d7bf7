/* http1_rules.h - what HTTP/1.1 heads and bodies may be refused for, which byte may stand where, and lists of a field.
 *
 * A reader of bytes in the parser returns RULE_KEPT, RULE_MORE or the rule that was broken, and nothing else; the table
 * says what a broken rule means to the caller and to the client.  Who reads a field of his own needs the second half.
 */
#ifndef GATEHOUSE_WIRE_HTTP1_RULES_H
#define GATEHOUSE_WIRE_HTTP1_RULES_H

#include <gatehouse/message.h>

/* X(rule, status, HTTP status, code, text).  The code is stable. */
#define HTTP1_RULES(X)                                                                                                 \
	X(BARE_LF, GH_MALFORMED, 400, "http_bare_lf", "a line ends without CR")                                        \
	X(BARE_CR, GH_MALFORMED, 400, "http_bare_cr", "a CR without LF behind it")                                     \
	X(CONTROL, GH_MALFORMED, 400, "http_control", "a control character")                                           \
	X(REQUEST_LINE, GH_MALFORMED, 400, "http_request_line", "not method, blank, target, blank, version")           \
	X(TARGET, GH_MALFORMED, 400, "http_target", "the target is no path, no http URI and not * of OPTIONS")         \
	X(TARGET_LONG, GH_TOO_LARGE, 414, "http_target_long", "the target is longer than http_target_bytes_max")       \
	X(VERSION, GH_INVALID, 505, "http_version", "neither HTTP/1.1 nor HTTP/1.0")                                   \
	X(FOLDED, GH_MALFORMED, 400, "http_folded_line", "a field line begins with a blank")                           \
	X(NAME, GH_MALFORMED, 400, "http_field_name", "a field line is not a name, a colon and a value")               \
	X(NAME_BLANK, GH_MALFORMED, 400, "http_blank_before_colon", "a blank in or behind the name of a field")        \
	X(FIELD_LONG, GH_TOO_LARGE, 431, "http_field_long", "a field is longer than http_field_bytes_max")             \
	X(FIELDS, GH_TOO_LARGE, 431, "http_fields_many", "more fields than http_fields_max")                           \
	X(HEAD_LONG, GH_TOO_LARGE, 431, "http_head_long", "head or trailers are longer than http_head_bytes_max")      \
	X(HOST, GH_MALFORMED, 400, "http_host", "Host is not a host with or without port")                             \
	X(HOST_TWICE, GH_MALFORMED, 400, "http_host_twice", "Host is given twice")                                     \
	X(HOST_MISSING, GH_MALFORMED, 400, "http_host_missing", "HTTP/1.1 without Host")                               \
	X(LENGTH, GH_MALFORMED, 400, "http_length", "Content-Length is not 1 to 19 digits")                            \
	X(LENGTH_TWICE, GH_MALFORMED, 400, "http_length_twice", "Content-Length is given twice")                       \
	X(LENGTH_CHUNKED, GH_MALFORMED, 400, "http_length_chunked", "Content-Length beside Transfer-Encoding")         \
	X(CODING, GH_MALFORMED, 400, "http_coding", "Transfer-Encoding is not chunked, once")                          \
	X(CODING_OTHER, GH_INVALID, 501, "http_coding_other", "a transfer coding other than chunked")                  \
	X(CODING_EARLY, GH_MALFORMED, 400, "http_coding_early", "Transfer-Encoding in HTTP/1.0")                       \
	X(CONNECTION, GH_MALFORMED, 400, "http_connection", "Connection is not a list of names")                       \
	X(EXPECT, GH_INVALID, 417, "http_expect", "an expectation other than 100-continue")                            \
	X(CHUNK_SIZE, GH_MALFORMED, 400, "http_chunk_size", "the size of a chunk is not 1 to 16 hex digits")           \
	X(CHUNK_LARGE, GH_MALFORMED, 400, "http_chunk_large", "a chunk is larger than 2^63 bytes")                     \
	X(CHUNK_LINE, GH_MALFORMED, 400, "http_chunk_line", "line of a chunk longer than http_chunk_line_bytes_max")   \
	X(CHUNK_EXTENSION, GH_MALFORMED, 400, "http_chunk_extension", "an extension of a chunk is not plain text")     \
	X(CHUNK_END, GH_MALFORMED, 400, "http_chunk_end", "a chunk goes on beyond its size")                           \
	X(MEMORY, GH_NO_MEMORY, 503, "http_memory", "no memory for the fields")

enum http1_rule {
	RULE_KEPT,
	RULE_MORE, /* kept so far: what comes next is not here yet */
#define X(id, status, http, code, text) RULE_##id,
	HTTP1_RULES(X)
#undef X
		RULE_COUNT
};

/* Fills the error and returns its status; of a broken rule only. */
gh_status http1_rules_refuse(enum http1_rule rule, gh_error *ret_err);
uint16_t http1_rules_http(enum http1_rule rule);

enum http1_class {
	HTTP1_TEXT = 1,   /* in the value of a field */
	HTTP1_TARGET = 2, /* in a request target */
	HTTP1_TOKEN = 4,  /* in a method or a field's name (RFC 9110 5.6.2) */
	HTTP1_HOST = 8,   /* in a host with port (RFC 3986 3.2) */
};

extern const uint8_t http1_rules_classes[256];

static inline bool http1_rules_is(uint8_t c, enum http1_class class)
{
	return http1_rules_classes[c] & class;
}

static inline bool http1_rules_is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

bool http1_rules_all(gh_bytes text, enum http1_class class); /* nothing is of every class */
gh_bytes http1_rules_trim(gh_bytes text);                    /* without blanks around it */
/* Takes one member off the front of a comma list, without blanks around it; it may be empty.  False at the end. */
bool http1_rules_list_next(gh_bytes *list, gh_bytes *ret_member);

/* Which rule c breaks where it may not stand: one of those for every line, else `other`. */
enum http1_rule http1_rules_byte(uint8_t c, enum http1_rule other);
/* The same where a field's name goes on or its colon stands. */
enum http1_rule http1_rules_name_byte(uint8_t c, bool line_begins);

#endif
