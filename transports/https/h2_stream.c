#include "transports/https/h2_stream.h"

#include "src/base/take.h"

_Static_assert(offsetof(struct h2_stream, room) <= H2_STREAM_BYTES - 1024, "a usual head has room");

static void line_leave(struct h2_lines *lines, struct h2_stream *s)
{
	struct h2_line *line = &lines->lines[s->line];
	*(s->prev ? &s->prev->next : &line->first) = s->next;
	*(s->next ? &s->next->prev : &line->last) = s->prev;
}

static void line_join(struct h2_lines *lines, struct h2_stream *s)
{
	struct h2_line *line = &lines->lines[s->line];
	s->next = NULL;
	s->prev = line->last;
	*(s->prev ? &s->prev->next : &line->first) = s;
	line->last = s;
}

struct h2_stream *h2_stream_new(struct h2_lines *lines, int32_t id, uint64_t now_ms)
{
	struct h2_stream *s = malloc(H2_STREAM_BYTES);
	if (!s)
		return NULL;
	*s = (struct h2_stream){.id = id, .since_ms = now_ms, .line = H2_LINE_HEAD};
	h2_head_init(&s->head, s->room, H2_STREAM_BYTES - offsetof(struct h2_stream, room));
	line_join(lines, s);
	lines->count++;
	return s;
}

void h2_stream_free(struct h2_lines *lines, struct h2_stream *s, gh_worker *worker)
{
	rest_end(&s->exchange);
	h2_stream_release(s, worker);
	line_leave(lines, s);
	lines->count--;
	free(s);
}

void h2_stream_join(struct h2_lines *lines, struct h2_stream *s, enum h2_line_id line, uint64_t now_ms)
{
	line_leave(lines, s);
	s->line = (uint8_t)line;
	s->since_ms = now_ms;
	line_join(lines, s);
}

bool h2_stream_keep(struct h2_stream *s, gh_worker *worker, gh_bytes piece)
{
	if (!gh_worker_reserve(worker, piece.len))
		return false;
	s->reserved += piece.len;
	buf_append(&s->body, piece.data, piece.len);
	return !s->body.failed;
}

void h2_stream_release(struct h2_stream *s, gh_worker *worker)
{
	gh_worker_release(worker, s->reserved);
	s->reserved = 0;
	buf_done(&s->body);
	h2_head_done(&s->head);
}
