#include "transports/https/h2_answer.h"

#include <assert.h>

enum { ANSWER_OWN_FIELDS = 3, STATUS_DIGITS = 3, LENGTH_DIGITS = 20 };

/* nghttp2 copies what may change before the frame leaves; names here are static. */
static nghttp2_nv answer_nv(const char *name, const void *value, size_t len, uint8_t flags)
{
	return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
		.value = (uint8_t *)(uintptr_t)value,
		.namelen = strlen(name),
		.valuelen = len,
		.flags = (uint8_t)(NGHTTP2_NV_FLAG_NO_COPY_NAME | flags)};
}

/* Writes to the end of room; returns the first digit. */
static char *answer_digits(char *room, size_t size, uint64_t value)
{
	char *at = room + size;
	do
		*--at = (char)('0' + value % 10);
	while (value /= 10);
	assert(at >= room);
	return at;
}

static size_t answer_fields(const struct rest_answer *answer, nghttp2_nv *ret_nv)
{
	for (size_t i = 0; i < answer->field_count; i++)
		ret_nv[i] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)answer->fields[i].name.data,
			.value = (uint8_t *)(uintptr_t)answer->fields[i].value.data,
			.namelen = answer->fields[i].name.len,
			.valuelen = answer->fields[i].value.len};
	return answer->field_count;
}

int h2_answer_submit(nghttp2_session *session, struct h2_stream *s, struct http_date_clock *clock, uint64_t wall_ms,
	nghttp2_data_source_read_callback read)
{
	const struct rest_answer *answer = rest_answer(&s->exchange);
	nghttp2_data_provider provider = {.source.ptr = s, .read_callback = read};
	nghttp2_nv nv[REST_ANSWER_FIELDS_MAX + ANSWER_OWN_FIELDS];
	char status[STATUS_DIGITS], length[LENGTH_DIGITS];
	size_t n = 0;
	assert(answer->status >= 200 && answer->status <= 599 && answer->field_count <= REST_ANSWER_FIELDS_MAX);
	nv[n++] = answer_nv(":status", answer_digits(status, sizeof status, answer->status), sizeof status, 0);
	nv[n++] = answer_nv("date", http_date_now(clock, wall_ms), HTTP_DATE_SIZE - 1, 0);
	n += answer_fields(answer, nv + n);
	if (answer->status != 204) {
		const char *digits = answer_digits(length, sizeof length, answer->body.len);
		nv[n++] = answer_nv("content-length", digits, (size_t)(length + sizeof length - digits), 0);
	}
	bool bodiless = answer->body.len == 0 || answer->status == 204 || s->head_only;
	return nghttp2_submit_response(session, s->id, nv, n, bodiless ? NULL : &provider);
}

int h2_answer_continue(nghttp2_session *session, const struct h2_stream *s)
{
	nghttp2_nv nv = answer_nv(":status", "100", STATUS_DIGITS, NGHTTP2_NV_FLAG_NO_COPY_VALUE);
	return nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, s->id, NULL, &nv, 1, NULL);
}

size_t h2_answer_read(struct h2_stream *s, uint8_t *buf, size_t len, uint32_t *ret_flags)
{
	gh_bytes body = rest_answer(&s->exchange)->body;
	size_t n = body.len - s->sent < len ? body.len - s->sent : len;
	memcpy(buf, body.data + s->sent, n);
	s->sent += n;
	if (s->sent == body.len)
		*ret_flags |= NGHTTP2_DATA_FLAG_EOF;
	return n;
}
