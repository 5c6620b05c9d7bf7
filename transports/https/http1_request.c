#include "transports/https/http1_request.h"

#include <stdlib.h>

enum { REQUEST_HEAD_KEPT_BYTES_MAX = 8192 };

struct http1_request *http1_request_new(void)
{
	struct http1_request *r = calloc(1, sizeof *r);
	if (r)
		http1_head_init(&r->head);
	return r;
}

void http1_request_clear(struct http1_request *r, gh_worker *worker)
{
	rest_end(&r->exchange);
	r->exchange = (struct rest_exchange){.conn = NULL};
	http1_request_release_body(r, worker);
	http1_head_clear(&r->head);
	if (r->head_bytes.cap > REQUEST_HEAD_KEPT_BYTES_MAX)
		buf_done(&r->head_bytes);
	buf_clear(&r->head_bytes);
	r->base = NULL;
	r->passed_over = 0;
	r->answered = r->head_only = false;
}

void http1_request_free(struct http1_request *r, gh_worker *worker)
{
	if (!r)
		return;
	http1_request_clear(r, worker);
	http1_head_done(&r->head);
	buf_done(&r->head_bytes);
	free(r->fields);
	free(r);
}

/* ---- head ---- */

static bool request_fields_grow(struct http1_request *r, size_t count)
{
	if (count <= r->field_cap)
		return true;
	struct rest_field *fields = realloc(r->fields, count * sizeof *fields);
	if (!fields)
		return false;
	r->fields = fields;
	r->field_cap = count;
	return true;
}

bool http1_request_read(struct http1_request *r, const uint8_t *base)
{
	const struct http1_head *head = &r->head;
	if (!request_fields_grow(r, head->field_count))
		return false;
	r->base = base;
	for (size_t i = 0; i < head->field_count; i++)
		r->fields[i] = (struct rest_field){
			http1_text(head->fields[i].name, base), http1_text(head->fields[i].value, base)};
	r->request = (struct rest_request){
		.method = http1_text(head->method, base),
		.target = http1_text(head->target, base),
		.fields = r->fields,
		.field_count = head->field_count,
	};
	return true;
}

bool http1_request_own(struct http1_request *r)
{
	if (r->base == r->head_bytes.data)
		return true;
	buf_clear(&r->head_bytes);
	buf_append(&r->head_bytes, r->base, r->head.len);
	return !r->head_bytes.failed && http1_request_read(r, r->head_bytes.data);
}

/* ---- body ---- */

bool http1_request_keep(struct http1_request *r, gh_worker *worker, gh_bytes piece)
{
	if (!gh_worker_reserve(worker, piece.len))
		return false;
	r->reserved += piece.len;
	buf_append(&r->body_bytes, piece.data, piece.len);
	return !r->body_bytes.failed;
}

void http1_request_release_body(struct http1_request *r, gh_worker *worker)
{
	gh_worker_release(worker, r->reserved);
	r->reserved = 0;
	buf_done(&r->body_bytes);
}
