/* h2_answer.h - an answer of rest.c as a response of nghttp2. */
#ifndef GATEHOUSE_HTTPS_H2_ANSWER_H
#define GATEHOUSE_HTTPS_H2_ANSWER_H

#include "transports/https/h2_stream.h"
#include "transports/https/http_date.h"

#include <nghttp2/nghttp2.h>

/* Queues the answer of an exchange that is answered; a body leaves by `read`, which finds the stream in source->ptr.
 * Returns as nghttp2_submit_response does. */
int h2_answer_submit(nghttp2_session *session, struct h2_stream *s, struct http_date_clock *clock, uint64_t wall_ms,
	nghttp2_data_source_read_callback read);

/* 100 Continue. */
int h2_answer_continue(nghttp2_session *session, const struct h2_stream *s);

/* A body for nghttp2_data_source_read_callback: the next piece of it. */
size_t h2_answer_read(struct h2_stream *s, uint8_t *buf, size_t len, uint32_t *ret_flags);

#endif
