/* h2_meter.h - where the frames of an HTTP/2 connection begin, and which of them have come too often.
 *
 * nghttp2 passes over much without a word: unknown types, frames of streams that are gone.  They cost the client next to
 * nothing and us time, so each frame is looked at here first, by its nine bytes of head alone.  What a client makes the
 * server do (reset a stream) is counted together with what it does itself.
 *
 * Counts are of the last ten seconds of the now_ms that is handed in, to the second.
 */
#ifndef GATEHOUSE_HTTPS_H2_METER_H
#define GATEHOUSE_HTTPS_H2_METER_H

#include <gatehouse/limits.h>
#include <gatehouse/message.h>

enum { H2_FRAME_HEAD_BYTES = 9, H2_METER_SECONDS = 10 };

/* The head of a frame (RFC 9113 4.1). */
struct h2_frame {
	uint32_t len;
	uint32_t stream_id;
	uint8_t type;
	uint8_t flags;
};

struct h2_rate {
	uint64_t second; /* the present one */
	uint32_t sum;
	uint32_t slots[H2_METER_SECONDS];
};

struct h2_meter {
	struct h2_frame frame; /* the present one, from its whole head on */
	uint32_t left;         /* bytes of its payload, at first of the client's preface, that have not come */
	uint32_t credit;       /* WINDOW_UPDATE frames that answers account for */
	uint32_t newest_id;    /* of the streams the client spoke of in HEADERS */
	uint32_t continuations;
	uint8_t head_len;
	uint8_t head[H2_FRAME_HEAD_BYTES]; /* as it came */
	struct h2_rate resets;
	struct h2_rate odd;
};

void h2_meter_init(struct h2_meter *m);

/* What the bytes that were cut off belong to. */
enum h2_piece {
	H2_PIECE_NONE,    /* the front of a head: kept in m->head until the rest of it comes */
	H2_PIECE_HEAD,    /* with them m->head is whole: m->frame begins */
	H2_PIECE_PAYLOAD, /* or the preface */
};

/* Cuts the next piece off; bytes are not empty.  Returns its length, at least 1. */
size_t h2_meter_cut(struct h2_meter *m, gh_bytes bytes, enum h2_piece *ret_piece);

/* Counts m->frame.  serves: of HEADERS, that they open a stream or belong to one that is open.  NULL, or the static word
 * for why the connection has to end. */
const char *h2_meter_frame(struct h2_meter *m, const gh_limits *limits, bool serves, uint64_t now_ms);
/* Whether HEADERS of that id would open a stream, as far as ids tell. */
bool h2_meter_is_new(const struct h2_meter *m, uint32_t stream_id);

/* The same for what a head does not show: DATA that is nothing but padding, and a stream the server resets. */
const char *h2_meter_odd(struct h2_meter *m, const gh_limits *limits, uint64_t now_ms);
const char *h2_meter_reset(struct h2_meter *m, const gh_limits *limits, uint64_t now_ms);

/* A DATA frame of an answer left. */
void h2_meter_answered(struct h2_meter *m, const gh_limits *limits);

#endif
