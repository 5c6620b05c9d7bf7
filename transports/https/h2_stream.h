/* h2_stream.h - one request of an HTTP/2 connection, and the lines in which requests wait.
 *
 * A stream stands in one line at a time, by what it waits for.  Who came first stands in front, so the first of a line
 * is the next whose time is up, and a connection of many streams needs no timer for each.
 */
#ifndef GATEHOUSE_HTTPS_H2_STREAM_H
#define GATEHOUSE_HTTPS_H2_STREAM_H

#include "src/base/buf.h"
#include "transports/https/h2_head.h"

#include <stdalign.h>

enum h2_line_id {
	H2_LINE_HEAD,    /* its head is not whole */
	H2_LINE_BODY,    /* its body is not whole */
	H2_LINE_BLOCKED, /* whole; there is no room for what it asks */
	H2_LINE_WAIT,    /* rest.c has it, and will say */
	H2_LINE_READY,   /* its answer is there */
	H2_LINE_ANSWER,  /* its answer is leaving */
	H2_LINE_RESET,   /* given up; the reset is leaving */
	H2_LINE_COUNT
};

struct h2_line {
	struct h2_stream *first, *last;
};

struct h2_lines {
	struct h2_line lines[H2_LINE_COUNT];
	uint32_t count; /* streams in all of them */
};

enum { H2_STREAM_BYTES = 2048 };

struct h2_stream {
	struct rest_exchange exchange;
	struct h2_stream *next, *prev; /* in its line */
	uint64_t since_ms;             /* when it joined it, or last moved */
	struct h2_request request;
	struct h2_head head;
	struct buf body;
	size_t reserved; /* bytes of the worker's memory for body */
	size_t sent;     /* of the answer's body */
	uint64_t passed; /* bytes of its body that came after it was answered */
	uint32_t owed;   /* flow control: bytes taken from the client and not given back */
	int32_t id;
	uint8_t line;
	bool head_only;                      /* its answer has no body */
	alignas(max_align_t) uint8_t room[]; /* for the head; the rest of H2_STREAM_BYTES */
};

/* At the end of H2_LINE_HEAD; NULL without memory. */
struct h2_stream *h2_stream_new(struct h2_lines *lines, int32_t id, uint64_t now_ms);
/* Wherever it stands: its exchange ends, its memory is given back. */
void h2_stream_free(struct h2_lines *lines, struct h2_stream *s, gh_worker *worker);

/* To the end of a line, also of its own. */
void h2_stream_join(struct h2_lines *lines, struct h2_stream *s, enum h2_line_id line, uint64_t now_ms);

/* Keeps more of the body.  False: the worker has no room, or there is no memory. */
bool h2_stream_keep(struct h2_stream *s, gh_worker *worker, gh_bytes piece);
/* The request is not needed any more. */
void h2_stream_release(struct h2_stream *s, gh_worker *worker);

#endif
