/* h2_head.h - the header fields of one request, and what the engine itself has to know of them.
 *
 * All are copied into one block: the table of fields grows from its front, their text from its end.  The first block is
 * lent by the owner, so that a usual head costs no allocation.
 *
 * nghttp2 has checked what HTTP demands of a request (RFC 9113 8.2, 8.3): pseudo-header fields first, none twice, names
 * in lower case, no connection-specific fields, a content-length of digits.  Limits are kept here.
 */
#ifndef GATEHOUSE_HTTPS_H2_HEAD_H
#define GATEHOUSE_HTTPS_H2_HEAD_H

#include <gatehouse/limits.h>

#include "transports/https/rest.h"

/* How a request is refused without rest.c having seen it: what rest_refuse is told. */
struct h2_refusal {
	uint16_t http;
	gh_status status;
	const char *code;
	const char *text;
};

extern const struct h2_refusal h2_head_too_large;

struct h2_head {
	struct rest_field *fields; /* the block's front */
	uint32_t field_count;
	uint32_t cap;                     /* bytes of the block */
	uint32_t text_len;                /* of them at its end */
	bool owned;                       /* the block is ours, not the lent one */
	bool head_only;                   /* HEAD was asked: no answer, not even a refusal, has a body */
	const struct h2_refusal *refusal; /* the first fault; NULL = none so far */
};

/* What was asked, as rest.c wants it and as framing wants it.  Points into the head. */
struct h2_request {
	struct rest_request rest;
	uint64_t content_length;
	bool has_length;
	bool expect_continue; /* Expect: 100-continue */
};

/* room is aligned for any object and borrowed until done. */
void h2_head_init(struct h2_head *h, void *room, size_t size);
void h2_head_done(struct h2_head *h);

/* What a field adds to the size that SETTINGS_MAX_HEADER_LIST_SIZE speaks of (RFC 9113 6.5.2). */
static inline size_t h2_head_listed(size_t name_len, size_t value_len)
{
	return name_len + value_len + 32;
}

/* Copies a field, unless there was a fault. */
void h2_head_add(struct h2_head *h, const gh_limits *limits, gh_bytes name, gh_bytes value);

/* After the last field; :authority has become host.  NULL, or how the request is to be refused. */
const struct h2_refusal *h2_head_finish(struct h2_head *h, struct h2_request *ret_request);

#endif
