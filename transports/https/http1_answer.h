/* http1_answer.h - a rest_answer as bytes of HTTP/1.1. */
#ifndef GATEHOUSE_HTTPS_HTTP1_ANSWER_H
#define GATEHOUSE_HTTPS_HTTP1_ANSWER_H

#include "src/base/buf.h"
#include "transports/https/rest.h"

struct http1_manner {
	const char *date; /* http_date */
	bool keep_alive;  /* the connection goes on */
	bool old;         /* the client speaks HTTP/1.0 */
	bool head_only;   /* HEAD: everything but the body */
};

void http1_answer_put(struct buf *out, const struct rest_answer *answer, const struct http1_manner *manner);
/* 100 Continue */
void http1_answer_put_continue(struct buf *out);

#endif
