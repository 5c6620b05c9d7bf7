/* http1_request.h - one request of an HTTP/1.1 connection: where its head and body are kept, and how much of them.
 *
 * A head that came in one piece, and a body that did, stay in the input they came in as long as that is there; what has to
 * outlive it is copied here, a body within what the worker has left for requests.  The memory serves the next request, too.
 */
#ifndef GATEHOUSE_HTTPS_HTTP1_REQUEST_H
#define GATEHOUSE_HTTPS_HTTP1_REQUEST_H

#include "src/base/buf.h"
#include "src/wire/http1_parser.h"
#include "transports/https/rest.h"

struct http1_request {
	struct http1_head head;
	struct http1_body body;
	struct rest_exchange exchange;
	struct rest_request request; /* points into `base` */
	struct rest_field *fields;
	size_t field_cap;
	const uint8_t *base;   /* first byte of the head: in head_bytes, or in what input was given */
	struct buf head_bytes; /* the head, when it is gathered */
	struct buf body_bytes; /* the body, when it is gathered */
	size_t reserved;       /* bytes of the worker's memory for body_bytes */
	uint64_t passed_over;  /* bytes of a refused request's body */
	bool answered;         /* refused before its body came: the rest is passed over */
	bool keep_alive;
	bool head_only;
};

struct http1_request *http1_request_new(void); /* NULL without memory */
/* Ready for the next one; the exchange is ended. */
void http1_request_clear(struct http1_request *r, gh_worker *worker);
void http1_request_free(struct http1_request *r, gh_worker *worker); /* accepts NULL */

/* The head is whole and begins at base: sets `request`.  False without memory. */
bool http1_request_read(struct http1_request *r, const uint8_t *base);
/* The head outlives the input it came in.  False without memory. */
bool http1_request_own(struct http1_request *r);

/* Keeps more of the body.  False: the worker has no room, or there is no memory. */
bool http1_request_keep(struct http1_request *r, gh_worker *worker, gh_bytes piece);
void http1_request_release_body(struct http1_request *r, gh_worker *worker);

#endif
